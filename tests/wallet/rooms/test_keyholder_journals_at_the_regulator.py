"""A keyholder's journal that was changed after it was written is refused by whoever is handed it."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from wallet.cli.exit_codes import ExitCode, exit_code
from wallet.keyholder.journal import Entry, FileJournal, Released, ReleaseEntry, SubkeysEntry
from wallet.regulator.errors import ChangedJournalError, JournalFileError
from wallet.regulator.journals import KeyholderJournal

Tamper = Callable[[list[bytes]], list[bytes]]


def release(number: int) -> ReleaseEntry:
    owner = Released("0x" + f"{number:064x}", (number,))
    return ReleaseEntry(1, 1_800_000_000, f"0x{number:064x}", number, "0x", "0x", 1, "7", (owner,))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Four releases, one of them told twice, and subkeys."""
    subkeys = SubkeysEntry(1, 1_800_000_000, "0x", "0x", 1)
    entries: list[Entry] = [release(1), subkeys, release(3), release(2), release(1), release(4)]

    async def write() -> None:
        journal = FileJournal(tmp_path / "releases.ndjson")
        await journal.note(entries)
        await journal.close()

    asyncio.run(write())
    return tmp_path / "releases.ndjson"


def read(path: Path) -> list[int]:
    return [entry.sequence for entry in KeyholderJournal(path, "holder 1").entries()]


def test_a_journal_is_read_as_it_was_written(path: Path) -> None:
    assert read(path) == [1, 2, 3, 4]
    assert read(path) == [1, 2, 3, 4]


def test_a_part_of_a_line_at_the_end_is_passed_over(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])
    assert read(path) == [1, 2, 3]


@pytest.mark.parametrize(
    ("tamper", "line"),
    [
        (lambda lines: lines[1:], 1),
        (lambda lines: [*lines[:2], *lines[3:]], 3),
        (lambda lines: [lines[0], *lines[2:]], 2),  # of subkeys: the chain knows nothing of them
        (lambda lines: [lines[1], lines[0], *lines[2:]], 1),
        (lambda lines: [*lines, lines[-1]], 7),
        (lambda lines: [*lines[:3], lines[3].replace(b'"fields":"7"', b'"fields":"3"')], 4),
        (lambda lines: [*lines[:3], lines[3].replace(b'"v":1', b'"v": 1')], 4),
        (lambda lines: [lines[0][:-70] + lines[1][-70:], *lines[1:]], 1),
        (lambda lines: [*lines[:2], b'{"kind":"release"}\n', *lines[2:]], 3),
        (lambda lines: [*lines[:2], b"\xff\n", *lines[2:]], 3),
        (lambda lines: [*lines[:2], b"\n", *lines[2:]], 3),
    ],
)
def test_a_line_that_was_edited_dropped_or_put_in_is_named(
    path: Path, tamper: Tamper, line: int
) -> None:
    path.write_bytes(b"".join(tamper(path.read_bytes().splitlines(keepends=True))))
    with pytest.raises(ChangedJournalError, match=f"line {line}: ") as raised:
        read(path)
    assert exit_code(raised.value) is ExitCode.NOT_VERIFIED
    assert isinstance(raised.value, JournalFileError)
