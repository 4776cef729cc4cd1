"""Which text is plain, and how other text is shown. docs/spec/plain-text.md."""

import codecs
import datetime as dt
import html
import json
import re
import sys
from importlib import resources
from typing import Any, Final, TextIO

from ledger.errors import ExitCode, LedgerError

MAX_NAME: Final = 200
"""Characters of a name at most."""

MAX_MESSAGE: Final = 500
"""Characters of a consumer's message to a person, and of a person's reason, at most."""

MAX_TEXT: Final = 2000

MAX_CASE_NUMBER: Final = 64

MAX_DOCUMENT: Final = 200_000


class PlainTextError(LedgerError, ValueError):
    """A text is not plain; the message says why, and names a character by its number only."""

    exit_code = ExitCode.BAD_INPUT


def _class(*ranges: str) -> str:
    """Return the inside of a regular expression's set, for ranges as "4E00-9FFF"."""
    ends = (text.partition("-")[::2] for text in ranges)
    return "".join(f"\\U{int(a, 16):08X}-\\U{int(b or a, 16):08X}" for a, b in ends)


# With the standard library alone, since logs need no package (`ledger.service.logs`).
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
    return FOREIGN.match(character) is None


def verify_text(what: str, text: str, most: int = MAX_TEXT) -> str:
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


def verify_optional_text(what: str, text: str, most: int = MAX_TEXT) -> str:
    """Return a text that may be left out (empty) if it is plain; see `verify_text`."""
    return verify_text(what, text, most) if text else text


def verify_name(what: str, text: str) -> str:
    """Return a name if it is plain, and could not end the quotation marks that it stands in; else `PlainTextError`."""
    verify_text(what, text, MAX_NAME)
    _check(what, text, _QUOTATION)
    return text


def verify_case_number(text: str) -> str:
    """Return a case number if it is one; else `PlainTextError`."""
    what = "the case number"
    if not 1 <= len(text) <= MAX_CASE_NUMBER:
        raise PlainTextError(f"{what} has {len(text)} characters instead of 1 to {MAX_CASE_NUMBER}")
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
    if not 1 <= len(text) <= MAX_DOCUMENT:
        raise PlainTextError(f"{what} has {len(text)} characters instead of 1 to {MAX_DOCUMENT}")
    for line in text.split("\n"):
        _check(what, line, FOREIGN)
    return text


def _check(what: str, text: str, refused: re.Pattern[str]) -> None:
    match = refused.search(text)
    if match:
        named = f"U+{ord(match[0][0]):04X}"
        raise PlainTextError(f"{what} has {named}, at character {match.start() + 1}")


# Also the fullwidth forms, which spreadsheets of East Asian languages read alike; and behind what other locales take for
# the end of a cell: there the quotation marks of CSV do not hold either.
_FORMULA: Final = re.compile(r"(^|[;,|；，])( *[=+\-@＝＋－＠])")
_UNENCODABLE: Final = "quancheng.escape"
"""Error handler of encodings: escapes what an encoding does not have."""


def escape_text(text: str, encoding: str = "utf-8") -> str:
    r"""Return a text on one line in which everything that is not plain, or not in `encoding`, stands as `\u{NUMBER}`."""
    return _fit(FOREIGN.sub(lambda match: _escape(match[0]), text), encoding)


def escape_surrogates(text: str) -> str:
    r"""Return a text that is Unicode, as it is but for halves of surrogate pairs, which stand as `\u{NUMBER}`."""
    return _fit(text, "utf-8")


def escape_html(text: str) -> str:
    """Return a text for HTML, between tags or in a quoted attribute."""
    return html.escape(escape_text(text))


def escape_cell(text: str) -> str:
    """Return a text for a cell of CSV that no spreadsheet takes for a formula."""
    return _FORMULA.sub(r"\1'\2", escape_text(text))


def escape_json(document: str, encoding: str = "utf-8") -> str:
    """Return a JSON document that says the same and is plain; it may be on several lines."""

    def escape(match: re.Match[str]) -> str:
        return _json_escape(match[0])

    lines = (FOREIGN.sub(escape, line) for line in document.split("\n"))
    text = "\n".join(lines)
    if _fit(text, encoding) == text:
        return text
    return re.sub(r"[^\x00-\x7f]", escape, text)


def _escape(text: str) -> str:
    return "".join(f"\\u{{{ord(character):X}}}" for character in text)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _fit(text: str, encoding: str) -> str:
    return text.encode(encoding, _UNENCODABLE).decode(encoding)


def _escape_unencodable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return _escape(error.object[error.start : error.end]), error.end


codecs.register_error(_UNENCODABLE, _escape_unencodable)

LAST: Final = 253_402_300_799 - 86_400
"""A day before the end of the year 9999, so that every time zone has a date for it."""


def is_moment(seconds: float) -> bool:
    """Tell whether a time has a date: it is of the years 1970 to 9999."""
    return 0 <= seconds <= LAST


def moment(seconds: float) -> dt.datetime:
    """Return a moment in UTC, seconds since 1970; what has no date as the nearest that has one."""
    return dt.datetime.fromtimestamp(max(0, min(seconds, LAST)), dt.UTC)


def iso_moment(seconds: int) -> str:
    """Return a moment as ISO 8601; what has no date as the number that it is."""
    return moment(seconds).isoformat() if is_moment(seconds) else str(seconds)


def print_line(line: str) -> None:
    _write(sys.stdout, line)


def print_problem(line: str) -> None:
    """Print why something failed, on one line, or what should be known."""
    _write(sys.stderr, " ".join(line.split()))


def _write(stream: TextIO, line: str) -> None:
    stream.write(escape_text(line, stream.encoding or "utf-8") + "\n")
