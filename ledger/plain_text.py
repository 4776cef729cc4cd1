"""Which text is plain: what is seen of it is all there is, and it is the same on every machine.

Every text that a party can set is a *text* (one line), a *name* (a text that can stand in quotation
marks), a *case number* (letters of ASCII, digits, Han characters and a few marks, brackets in
pairs) or a *document* (lines of text). It is checked where it is sent and where a service takes it;
whoever follows the chain checks nothing and escapes what is shown (`ledger.escaping`). The code
points are a list with a version (`plain_text.json`), never a runtime's Unicode tables, of which two
machines have two versions.

Source: docs/spec/plain-text.md.
"""

import json
import re
from importlib import resources
from typing import Any, Final

from ledger.errors import ExitCode, LedgerError

MOST_NAME: Final = 200
"""Characters of a name at most."""

MOST_MESSAGE: Final = 500
"""Characters of a consumer's message to a person, and of a person's reason, at most."""

MOST_TEXT: Final = 2000

MOST_CASE_NUMBER: Final = 64

MOST_DOCUMENT: Final = 200_000


class PlainTextError(LedgerError, ValueError):
    """A text is not plain; the message says why, and names a character by its number only."""

    exit_code = ExitCode.BAD_INPUT


def _class(*ranges: str) -> str:
    """Return the inside of a regular expression's set, for ranges as "4E00-9FFF"."""
    ends = (text.partition("-")[::2] for text in ranges)
    return "".join(f"\\U{int(a, 16):08X}-\\U{int(b or a, 16):08X}" for a, b in ends)


# With the standard library alone, since logs need no package (`ledger.logs`).
_LIST: Final[dict[str, Any]] = json.loads(
    (resources.files("ledger") / "plain_text.json").read_text("utf-8")
)
VERSION: Final[int] = _LIST["version"]
"""Of the list of code points."""

_PLAIN: Final = _class(*(text for ranges in _LIST["code_points"].values() for text in ranges))
FOREIGN: Final = re.compile(f"[^{_PLAIN}]")
"""Matches one character that plain text does not have."""

_FOREIGN_IN_CASE_NUMBERS: Final = re.compile(f"[^{_class(*_LIST['case_number']['code_points'])}]")
_QUOTATION: Final = re.compile(f"[{re.escape(_LIST['quotation_marks'])}]|['’]{{2}}")
_LATIN, _GREEK, _CYRILLIC = (
    _class(*_LIST["code_points"][name]) for name in ("latin", "greek", "cyrillic")
)
# A word in two of these alphabets is a word that looks like another one.
_MIXED: Final = re.compile(
    f"[{_LATIN}][{_GREEK}{_CYRILLIC}]|[{_GREEK}][{_LATIN}{_CYRILLIC}]"
    f"|[{_CYRILLIC}][{_LATIN}{_GREEK}]"
)
_CLOSING: Final = {pair[1]: pair[0] for pair in _LIST["case_number"]["brackets"]}
_OPENING: Final = frozenset(_CLOSING.values())


def is_plain(character: str) -> bool:
    """Whether plain text may have this character."""
    return FOREIGN.match(character) is None


def verify_text(what: str, text: str, most: int = MOST_TEXT) -> str:
    """Return a text of one line, 1 to `most` characters, if it is plain; else `PlainTextError` says what it is."""
    if not 1 <= len(text) <= most:
        raise PlainTextError(f"{what} has {len(text)} characters instead of 1 to {most}")
    _check(what, text, FOREIGN)
    if text[0] == " " or text[-1] == " " or "  " in text:
        raise PlainTextError(f"{what} starts or ends with a blank, or has two together")
    mixed = _MIXED.search(text)
    if mixed:
        raise PlainTextError(
            f"{what} has a word in two alphabets, at character {mixed.start() + 1}"
        )
    return text


def verify_optional_text(what: str, text: str, most: int = MOST_TEXT) -> str:
    """Return a text that may be left out (empty) if it is plain; see `verify_text`."""
    return verify_text(what, text, most) if text else text


def verify_name(what: str, text: str) -> str:
    """Return a name if it is plain, and could not end the quotation marks that it stands in; else `PlainTextError`."""
    verify_text(what, text, MOST_NAME)
    _check(what, text, _QUOTATION)
    return text


def verify_case_number(text: str) -> str:
    """Return a case number if it is one; else `PlainTextError`."""
    what = "the case number"
    if not 1 <= len(text) <= MOST_CASE_NUMBER:
        raise PlainTextError(
            f"{what} has {len(text)} characters instead of 1 to {MOST_CASE_NUMBER}"
        )
    _check(what, text, _FOREIGN_IN_CASE_NUMBERS)
    open_brackets: list[str] = []
    for character in text:
        if character in _OPENING:
            open_brackets.append(character)
        elif character in _CLOSING and (
            not open_brackets or open_brackets.pop() != _CLOSING[character]
        ):
            raise PlainTextError(f"{what} has brackets that are no pairs")
    if open_brackets:
        raise PlainTextError(f"{what} has brackets that are no pairs")
    return text


def verify_document(what: str, text: str) -> str:
    """Return a text of several lines if it is plain; lines may be empty and begin with blanks. Else `PlainTextError`."""
    if not 1 <= len(text) <= MOST_DOCUMENT:
        raise PlainTextError(f"{what} has {len(text)} characters instead of 1 to {MOST_DOCUMENT}")
    for line in text.split("\n"):
        _check(what, line, FOREIGN)
    return text


def _check(what: str, text: str, refused: re.Pattern[str]) -> None:
    match = refused.search(text)
    if match:
        named = f"U+{ord(match[0][0]):04X}"
        raise PlainTextError(f"{what} has {named}, at character {match.start() + 1}")
