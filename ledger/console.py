"""Lines that services and their commands print; other people's text in them is escaped, whatever the terminal has."""

import sys
from typing import TextIO

from ledger.escaping import escape_text


def print_line(line: str) -> None:
    _write(sys.stdout, line)


def print_problem(line: str) -> None:
    """Print why something failed, on one line, or what should be known."""
    _write(sys.stderr, " ".join(line.split()))


def _write(stream: TextIO, line: str) -> None:
    stream.write(escape_text(line, stream.encoding or "utf-8") + "\n")
