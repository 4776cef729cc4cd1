r"""Showing somebody else's text: what is not plain is escaped, for terminals, HTML, tables and JSON.

A text that came from a party, from the chain or from a file may hold anything: sequences that repaint a
terminal, characters that turn or hide what stands beside them, formulas. Nothing of it is lost or
replaced by a guess: what cannot be shown as it is stands there as its number, `\u{202E}`.

Source: docs/spec/plain-text.md.
"""

import html
import re
from typing import Final

import msgspec

from ledger.plain_text import FOREIGN

# Also the fullwidth forms, which spreadsheets of East Asian languages read alike.
_FORMULA: Final = re.compile(r"[=+\-@\t\r＝＋－＠]")


def escape_text(text: str) -> str:
    r"""Return a text on one line in which everything that is not plain stands as `\u{NUMBER}`."""
    return FOREIGN.sub(lambda found: f"\\u{{{ord(found[0]):X}}}", text)


def escape_html(text: str) -> str:
    """Return a text for HTML, between tags or in a quoted attribute."""
    return html.escape(escape_text(text))


def escape_cell(text: str) -> str:
    """Return a text for a cell of CSV that no spreadsheet takes for a formula."""
    escaped = escape_text(text)
    return f"'{escaped}" if _FORMULA.match(escaped.lstrip(" ")) else escaped


def escape_json(document: bytes) -> str:
    """Return a JSON document that says the same and is plain; it may be on several lines.

    Args:
        document: JSON in UTF-8, as msgspec encodes and formats it.
    """
    lines = document.decode().split("\n")
    return "\n".join(FOREIGN.sub(lambda found: _json_escape(found[0]), line) for line in lines)


def shown_json(document: object) -> str:
    """Return an object as JSON on several lines that is plain; see `escape_json`."""
    return escape_json(msgspec.json.format(msgspec.json.encode(document), indent=2))


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
