"""A keyholder's journal that was changed after it was written: what is wrong is named, the rest is read."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from ledger.replay import journal_check
from ledger.replay.journal_check import JournalFault
from wallet.hash_chain import FIRST_HEAD, with_head
from wallet.keyholder.journal import Entry, FileJournal, Released, ReleaseEntry, SubkeysEntry
from wallet.regulator.journals import KeyholderJournal

SIGNATURE = "0x" + 130 * "5"
Tamper = Callable[[list[bytes]], list[bytes]]


def release(number: int) -> ReleaseEntry:
    owner = Released("0x" + f"{number:064x}", (number,))
    access = f"0x{number:064x}"
    key, judged = "0x01" + 64 * "7", (812, "0x" + 64 * "8")
    signature = SIGNATURE
    return ReleaseEntry(
        1, 1_800_000_000, access, number, "0x", signature, "0x", 1, "7", key, (owner,), *judged
    )


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
    entries = list(KeyholderJournal(path, "holder 1").entries())
    return [entry.sequence for entry in entries if isinstance(entry, journal_check.ReleaseEntry)]


def faults(path: Path) -> list[str]:
    entries = KeyholderJournal(path, "holder 1").entries()
    return [entry.problem for entry in entries if isinstance(entry, JournalFault)]


def test_a_journal_is_read_as_it_was_written(path: Path) -> None:
    assert read(path) == [1, 1, 2, 3, 4]
    assert read(path) == [1, 1, 2, 3, 4]
    assert faults(path) == []


@pytest.mark.parametrize("signature", ["", "0x", SIGNATURE + "00"])
def test_a_release_without_the_consumers_signature_is_no_entry(
    tmp_path: Path, signature: str
) -> None:
    entry = msgspec.structs.replace(release(1), signature=signature)
    line, _ = with_head(msgspec.json.encode(entry), FIRST_HEAD)
    (tmp_path / "releases.ndjson").write_bytes(line)
    (fault,) = faults(tmp_path / "releases.ndjson")
    assert fault.startswith("line 1: no entry")


def test_a_part_of_a_line_at_the_end_is_passed_over(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])
    assert read(path) == [1, 1, 2, 3]
    assert faults(path) == []


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
    found = faults(path)
    assert re.match(rf"lines? {line}\b", found[0])
    # Access 1, 3 or 4 may have gone with its line; everything else is there.
    assert 2 in read(path)


def test_one_change_is_told_once(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], lines[3], *lines[4:]]))
    assert faults(path) == ["line 3: it does not follow the line before"]
    path.write_bytes(b"".join([*lines[:2], b"torn\n", b"\xff\n", b"\n", *lines[2:]]))
    assert faults(path) == ["lines 3 to 5: the line has no head"]
    assert read(path) == [1, 1, 2, 3, 4]
