"""What is appended to the journal is there after a crash; anything else that was changed is refused."""

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.journal import (
    MARK,
    Journal,
    JournalError,
    JournalFullError,
    Storage,
)
from tests.ledger.faulty_storage import FaultyStorage

FIRST = b"opened"


def payloads(directory: Path) -> list[bytes]:
    """What a new process would find."""
    journal = Journal(Storage(directory))
    found = [frame.payload for frame in journal.frames()]
    journal.close()
    return found


def segment(directory: Path, number: int = 1) -> Path:
    return directory / f"{number:010}.journal"


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal.open(tmp_path)
    journal.begin_segment(FIRST)
    return journal


def test_what_was_appended_is_there_in_order_when_reopened(
    journal: Journal, tmp_path: Path
) -> None:
    appended = [os.urandom(length) for length in (0, 1, 1000, 1 << 20)]
    for payload in appended:
        journal.append(payload)
    journal.close()
    assert payloads(tmp_path) == [FIRST, *appended]


def test_reopened_journal_goes_on_where_it_was(journal: Journal, tmp_path: Path) -> None:
    journal.append(b"one")
    journal.close()
    again = Journal.open(tmp_path)
    assert again.segment == 1
    again.append(b"two")
    again.close()
    assert payloads(tmp_path) == [FIRST, b"one", b"two"]


def test_journal_without_a_segment_takes_nothing(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    assert list(journal.frames()) == []
    with pytest.raises(JournalError, match="begins with a segment"):
        journal.append(b"one")


def test_second_process_is_refused(journal: Journal, tmp_path: Path) -> None:
    code = f"from pathlib import Path; from ledger.journal import Journal; Journal.open(Path({str(tmp_path)!r}))"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert "in use by another process" in other.stderr
    with pytest.raises(JournalError, match="another process"):
        Journal.open(tmp_path)
    journal.close()
    Journal.open(tmp_path).close()


# Torn tails


@pytest.mark.parametrize("cut", [1, 3, 4, 11, 12, 13, 30])
def test_half_written_last_frame_is_cut_off(journal: Journal, tmp_path: Path, cut: int) -> None:
    journal.append(b"acknowledged")
    end = journal.size
    journal.append(b"x" * 30)
    journal.close()
    with segment(tmp_path).open("r+b") as file:
        file.truncate(end + cut)
    again = Journal.open(tmp_path)
    assert again.size == segment(tmp_path).stat().st_size == end
    again.append(b"next")
    again.close()
    assert payloads(tmp_path) == [FIRST, b"acknowledged", b"next"]


@pytest.mark.parametrize(
    "filler",
    [b"\0" * 5000, MARK, MARK * 9, bytes(range(1, 65))],
    ids=["zeros", "mark", "marks", "bytes"],
)
def test_what_a_crash_leaves_behind_the_last_frame_is_cut_off(
    journal: Journal, tmp_path: Path, filler: bytes
) -> None:
    journal.append(b"acknowledged")
    journal.close()
    with segment(tmp_path).open("ab") as file:
        file.write(filler)
    assert payloads(tmp_path) == [FIRST, b"acknowledged"]


def test_torn_frame_whose_payload_looks_like_a_frame_is_cut_off(tmp_path: Path) -> None:
    # Whoever may write into a payload copies a frame of an older segment into it.
    source = Journal.open(tmp_path / "source")
    source.begin_segment(FIRST)
    source.append(b"forged")
    source.close()
    forged = segment(tmp_path / "source").read_bytes()
    journal = Journal.open(tmp_path / "target")
    journal.begin_segment(FIRST)
    end = journal.size
    journal.append(forged * 3 + b"rest")
    journal.close()
    with segment(tmp_path / "target").open("r+b") as file:
        file.truncate(end + 12 + 3 * len(forged))
    assert payloads(tmp_path / "target") == [FIRST]


# Damage


def test_any_changed_byte_before_the_last_frame_is_refused(
    journal: Journal, tmp_path: Path
) -> None:
    for payload in (b"one", b"two" * 20, b"three"):
        journal.append(payload)
    last = journal.size - len(b"three") - 12
    journal.close()
    whole = segment(tmp_path).read_bytes()
    for place in range(last):
        changed = bytearray(whole)
        changed[place] ^= 1 << random.randrange(8)
        segment(tmp_path).write_bytes(changed)
        with pytest.raises(JournalError):
            Journal(Storage(tmp_path))


def test_older_segment_may_not_end_half_written(journal: Journal, tmp_path: Path) -> None:
    journal.append(b"one")
    journal.begin_segment(b"second")
    journal.close()
    data = segment(tmp_path).read_bytes()
    segment(tmp_path).write_bytes(data[:-1])
    with pytest.raises(JournalError, match="0000000001"):
        payloads(tmp_path)


def test_missing_segment_between_others_is_refused(journal: Journal, tmp_path: Path) -> None:
    journal.begin_segment(b"second")
    journal.begin_segment(b"third")
    journal.close()
    segment(tmp_path, 2).unlink()
    with pytest.raises(JournalError, match="missing"):
        Journal.open(tmp_path)


# Segments


def test_dropping_keeps_the_newest_segment(journal: Journal, tmp_path: Path) -> None:
    for name in (b"second", b"third"):
        journal.begin_segment(name)
    journal.drop_segments(3)
    journal.drop_segments(99)
    assert [frame.payload for frame in journal.frames()] == [b"third"]
    assert journal.segment == 3
    journal.close()


def test_reading_may_start_at_a_segment(journal: Journal) -> None:
    journal.begin_segment(b"second")
    journal.append(b"two")
    assert [(frame.segment, frame.payload) for frame in journal.frames(since=2)] == [
        (2, b"second"),
        (2, b"two"),
    ]
    journal.close()


# The failure table: every write x {failed, failed but persisted, killed after}


def _append(journal: Journal) -> None:
    journal.append(b"new")


def _begin(journal: Journal) -> None:
    journal.begin_segment(b"new")


WRITES: dict[str, Callable[[Journal], None]] = {
    "write": _append,
    "sync": _append,
    "create": _begin,
}


@pytest.mark.parametrize("persisted", [False, True], ids=["lost", "persisted"])
@pytest.mark.parametrize("kind", WRITES)
def test_failed_write_is_never_taken_for_a_done_one(
    tmp_path: Path, kind: str, *, persisted: bool
) -> None:
    act = WRITES[kind]
    storage = FaultyStorage(tmp_path)
    journal = Journal(storage)
    journal.begin_segment(FIRST)
    journal.append(b"acknowledged")
    storage.fail_next(kind, persisted=persisted)
    with pytest.raises(JournalError) as caught:
        act(journal)
    assert isinstance(caught.value, JournalFullError) == (kind != "sync")
    if kind == "sync":
        # What is on the disk is unknown, so nothing may follow it.
        with pytest.raises(JournalError, match="cannot be synced"):
            journal.append(b"more")
        assert payloads(tmp_path) in ([FIRST, b"acknowledged"], [FIRST, b"acknowledged", b"new"])
    else:
        assert payloads(tmp_path) == [FIRST, b"acknowledged"]
        act(journal)
        assert payloads(tmp_path) == [FIRST, b"acknowledged", b"new"]


@pytest.mark.parametrize("kind", ["truncate", "remove"])
def test_failure_that_cannot_be_mended_ends_the_journal(tmp_path: Path, kind: str) -> None:
    storage = FaultyStorage(tmp_path)
    journal = Journal(storage)
    journal.begin_segment(FIRST)
    journal.append(b"acknowledged")
    storage.fail_next("write" if kind == "truncate" else "create", persisted=False)
    storage.fail_next(kind)
    act = _append if kind == "truncate" else _begin
    reason = "written or mended" if kind == "truncate" else "may be there or not"
    with pytest.raises(JournalError, match=reason):
        act(journal)
    with pytest.raises(JournalError, match=reason):
        journal.append(b"more")
    assert payloads(tmp_path) == [FIRST, b"acknowledged"]


_KILLED = """
import os, signal, sys
from pathlib import Path
from ledger.journal import Journal
from tests.ledger.faulty_storage import FaultyStorage, FaultyFile
kind, passes, directory = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
def strikes(self, what):
    global passes
    if what == kind:
        passes -= 1
        if passes < 0:
            os.kill(os.getpid(), signal.SIGKILL)
FaultyStorage.strikes = strikes
journal = Journal(FaultyStorage(directory))
journal.begin_segment(b"opened")
print("opened", flush=True)
for number in range(5):
    journal.append(b"%d" % number)
    print(number, flush=True)
    if number == 2:
        journal.begin_segment(b"next")
        print("next", flush=True)
"""


@pytest.mark.parametrize("kind", ["create", "write", "sync"])
@pytest.mark.parametrize("passes", [0, 1, 3])
def test_process_killed_at_any_write_finds_everything_that_it_acknowledged(
    tmp_path: Path, kind: str, passes: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, kind, str(passes), tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -9 or (kind, passes) == ("create", 3), done.stderr
    acknowledged = [line.encode() for line in done.stdout.split()]
    found = payloads(tmp_path)
    # At most the one that was under way is there too.
    assert found[: len(acknowledged)] == acknowledged
    assert len(found) <= len(acknowledged) + 1
