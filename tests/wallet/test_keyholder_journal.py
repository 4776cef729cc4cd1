"""The release journal: what it confirmed is there after any crash, and no line can be taken away."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

import pytest

from wallet.keyholder.errors import JournalError
from wallet.keyholder.journal import Entry, FileJournal, Released, ReleaseEntry, read_journal


def entry(number: int) -> ReleaseEntry:
    owner = Released("0x" + f"{number:064x}", (number,))
    access = f"0x{number:064x}"
    key, judged = "0x01" + 64 * "7", (812, "0x" + 64 * "8")
    signature = "0x" + 130 * "5"
    return ReleaseEntry(
        1, 1_800_000_000, access, number, "0x", signature, "0x", 1, "7", key, (owner,), *judged
    )


def write(path: Path, numbers: Iterable[int]) -> None:
    async def write_all() -> None:
        journal = FileJournal(path)
        await asyncio.gather(*(journal.note([entry(number)]) for number in numbers))
        await journal.close()

    asyncio.run(write_all())


def read(path: Path) -> list[int]:
    found: list[Entry] = list(read_journal(path))
    return [one.sequence for one in found if isinstance(one, ReleaseEntry)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "releases.ndjson"


def test_entries_of_concurrent_releases_are_all_there_in_order(path: Path) -> None:
    write(path, range(100))
    write(path, range(100, 120))
    assert read(path) == list(range(120))


def test_a_group_of_releases_shares_a_write(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(os, "fsync", calls.append)
    write(path, range(200))
    assert read(path) == list(range(200))
    assert len(calls) < 10


async def test_an_empty_group_is_noted_at_once_without_a_write(path: Path) -> None:
    journal = FileJournal(path)
    assert journal.note([]).done()
    await journal.close()
    assert read(path) == []


@pytest.mark.parametrize("cut", [1, 2, 40, 66, 75, 200])
def test_a_part_of_a_line_that_a_crash_left_is_cut_off(path: Path, cut: int) -> None:
    write(path, range(3))
    whole = path.read_bytes()
    write(path, range(3, 4))
    path.write_bytes(path.read_bytes()[:-cut])
    assert read(path) == [0, 1, 2]

    write(path, ())
    assert path.read_bytes() == whole
    write(path, [9])
    assert read(path) == [0, 1, 2, 9]


Tamper = Callable[[list[bytes]], list[bytes]]


@pytest.mark.parametrize(
    "tamper",
    [
        lambda lines: lines[1:],
        lambda lines: [*lines[:1], *lines[2:]],
        lambda lines: [lines[1], lines[0], *lines[2:]],
        lambda lines: [*lines, lines[-1]],
        lambda lines: [lines[0].replace(b'"fields":"7"', b'"fields":"3"'), *lines[1:]],
        lambda lines: [lines[0].replace(b'"v":1', b'"v": 1'), *lines[1:]],
        lambda lines: [lines[0][:-70] + lines[1][-70:], *lines[1:]],
        lambda lines: [b"{}\n", *lines],
        lambda lines: [b"\xff\n", *lines],
        lambda lines: [b"\n", *lines],
        lambda lines: [*lines, lines[0].replace(b'"v":1', b'"x":' + b"[" * 100_000)],
    ],
    ids=[
        "first",
        "middle",
        "swapped",
        "twice",
        "edited",
        "spaced",
        "head",
        "odd",
        "bytes",
        "blank",
        "nested deep",
    ],
)
def test_a_line_that_was_dropped_or_edited_shows(path: Path, tamper: Tamper) -> None:
    write(path, range(4))
    path.write_bytes(b"".join(tamper(path.read_bytes().splitlines(keepends=True))))
    with pytest.raises(JournalError, match="line"):
        read(path)


def test_a_file_that_ends_in_something_else_is_not_written_to(path: Path) -> None:
    write(path, range(2))
    path.write_bytes(path.read_bytes() + b"something else\n")
    with pytest.raises(JournalError):
        FileJournal(path)
    path.write_bytes(bytes(5 << 20))
    with pytest.raises(JournalError):
        FileJournal(path)


async def test_two_processes_do_not_write_one_journal(path: Path) -> None:
    journal = FileJournal(path)
    with pytest.raises(JournalError, match="in use"):
        FileJournal(path)
    await journal.close()
    await FileJournal(path).close()


@pytest.mark.parametrize("failing", ["write", "sync"])
async def test_after_a_failed_write_nothing_is_confirmed_and_the_next_one_mends_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    journal = FileJournal(path)
    await journal.note([entry(0)])

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        if failing == "sync":
            broken.setattr(os, "fsync", full)
        else:
            broken.setattr("wallet.keyholder.journal._write_all_of", partly)
        with pytest.raises(JournalError, match="No space"):
            await journal.note([entry(1)])
        seen = [journal.failed]

    await journal.note([entry(2)])
    assert [*seen, journal.failed] == [True, False]
    await journal.close()
    assert read(path) == [0, 2]


def partly(file: BinaryIO, data: bytes) -> None:
    file.write(data[: len(data) // 2])
    raise OSError(28, "No space left on device")


async def test_a_write_under_way_has_not_failed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, begun, go_on = os.fsync, threading.Event(), threading.Event()

    def slow(descriptor: int) -> None:
        begun.set()
        go_on.wait(10)
        real(descriptor)

    journal = FileJournal(path)
    monkeypatch.setattr(os, "fsync", slow)
    noted = journal.note([entry(1)])
    assert await asyncio.to_thread(begun.wait, 10)
    assert not journal.failed
    go_on.set()
    await noted
    await journal.close()


def test_what_was_confirmed_survives_sigkill_at_any_moment(path: Path) -> None:
    for seen in (1, 5, 50):
        process = subprocess.Popen(
            [sys.executable, __file__, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        confirmed = [int(process.stdout.readline()) for _ in range(seen)]
        process.send_signal(signal.SIGKILL)
        confirmed += [int(line) for line in process.stdout.read().split("\n")[:-1]]
        process.wait()
        process.stdout.close()

        there = read(path)
        assert set(confirmed) <= set(there)
        path.unlink()


async def keep_writing(path: Path) -> None:
    """What the test above kills."""
    journal = FileJournal(path)
    for number in range(1_000_000):
        await asyncio.gather(*(journal.note([entry(4 * number + part)]) for part in range(4)))
        sys.stdout.write("".join(f"{4 * number + part}\n" for part in range(4)))
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(keep_writing(Path(sys.argv[1])))
