r"""Showing somebody else's text: what is not plain is escaped, for terminals, HTML, tables and JSON.

A text of a party, of the chain or of a file may hold anything: sequences that repaint a terminal,
characters that turn or hide what stands beside them, formulas. What cannot be shown as it is stands
there as its number, `\u{202E}`; nothing is lost.

Source: docs/spec/plain-text.md.
"""

import codecs
import html
import re
from typing import Final

from ledger.plain_text import FOREIGN

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
