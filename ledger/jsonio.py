"""JSON as strangers send it, read strictly.

What two readers could understand differently is refused: a key given twice, a number that is no
number, broken UTF-8. So what is signed, checked and stored is the same thing.

Source: RFC 8259 clauses 4, 6 and 8.1; RFC 7493 (I-JSON) clauses 2.1 to 2.3.
"""

import json
from collections import Counter
from typing import Final, NoReturn

import msgspec

from ledger.errors import LedgerError

MAX_DEPTH: Final = 32
"""How deep objects and arrays may be nested.

Checked before parsing: Python's own limit does not protect. `eth_account` (by way of `py_ecc`) raises
the recursion limit to 100,000, and then 50 kB of opening brackets overflow the C stack of
`msgspec.json.decode` (100 kB that of `json.loads`) and kill the process, also inside a member that
the reader would skip.
"""

_NO_MARKS: Final = bytes(set(range(256)) - set(b'"[]{}'))
_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")
_PIECE: Final = 1 << 20
"""Marks split at a time: a list of pieces takes eight bytes for each of them."""


UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoders raise. `RecursionError` also where they only skip a member that is nested deep."""


class JsonError(LedgerError, ValueError):
    """A text is not JSON, or not the kind of JSON that everybody reads alike."""


def parse_json(data: bytes | str) -> object:
    """Return the value that a JSON text stands for.

    Raises:
        JsonError: not UTF-8, not JSON, a key given twice, NaN or an infinity, half a surrogate
            pair, or nested too deep.
    """
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
        check_depth(text)
        value = json.loads(
            text, object_pairs_hook=_object_without_repeats, parse_constant=_refuse_constant
        )
    except JsonError:
        raise
    except UnicodeDecodeError as error:
        raise JsonError(f"not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise JsonError(f"not JSON: {error.msg} at character {error.pos}") from error
    except ValueError as error:  # an integer of thousands of digits
        raise JsonError("a number is too long") from error
    if "\\u" in text:
        _check_surrogates(value)
    return value


def check_depth(data: bytes | str) -> None:
    """Check a text before another parser gets it; not that it is JSON. Raises `JsonError`.

    It takes time and memory in proportion to the text, whatever the text is: it runs on what
    strangers send, unsigned, in the event loop. So no regular expression, and no step in Python for
    each bracket. Up to where a parser stops, this reads brackets and strings as the parser does;
    behind that place nothing matters.
    """
    encoded = data.encode("utf-8", "replace") if isinstance(data, str) else data
    if b"\\" in encoded:
        # So that each quote left begins or ends a string.
        encoded = encoded.replace(rb"\\", b"").replace(rb"\"", b"")
    marks = encoded.translate(_ONE_KIND, _NO_MARKS)
    if len(marks) <= MAX_DEPTH:
        return
    brackets = _outside_strings(marks.replace(b'""', b""))
    for levels in range(MAX_DEPTH + 1):
        rest = brackets.replace(b"[]", b"")  # without the innermost level, all over the text
        if len(rest) == len(brackets):
            # Where closing ones come first, a parser stops there. Else what is left is never closed.
            if not rest.startswith(b"]") and levels + len(rest) > MAX_DEPTH:
                break
            return
        brackets = rest
    raise JsonError(f"nested deeper than {MAX_DEPTH}")


def _outside_strings(marks: bytes) -> bytes:
    """Return the brackets that stand in no string, of a text's brackets and quotes."""
    outside = bytearray()
    inside = 0  # 1 within a string that an earlier piece began
    for start in range(0, len(marks), _PIECE):
        runs = marks[start : start + _PIECE].split(b'"')
        outside += b"".join(runs[inside::2])
        inside ^= (len(runs) - 1) & 1
    return bytes(outside)


def _object_without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        ((repeated, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise JsonError(f"the key {repeated[:40]!r} is given more than once")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise JsonError(f"{name} is not a JSON number")


def _check_surrogates(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise JsonError("half a surrogate pair is not Unicode text") from error
