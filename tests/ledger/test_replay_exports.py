"""An exported trail replays as the chain does; a file that is no whole trail is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ledger.evidence.verifier import trail_hashes
from ledger.hexstr import from_hex
from ledger.replay.engine import Replay
from ledger.replay.export import TrailError, TrailHeader, write_trail
from ledger.replay.report import Kind
from ledger.replay.sources import replay_trail
from tests.support.copies import (
    Copy,
    MemoryJournal,
    drop_the_last_call,
    fresh,
    kinds,
    make_original,
    replayed,
)
from tests.support.trails import CHAIN_ID, CONTRACTS, deployment


@pytest.fixture(scope="module")
def original() -> Copy:
    return make_original()


@pytest.fixture
def copy(original: Copy) -> Copy:
    return fresh(original)


def header() -> TrailHeader:
    return TrailHeader(CHAIN_ID, CONTRACTS, 1, 99, b"\x01" * 32)


def exported(copy: Copy, path: Path) -> Path:
    with path.open("wb") as file:
        assert write_trail(file, header(), [copy.logs[:5], copy.logs[5:]], copy.end) == len(
            copy.logs
        )
    return path


def test_an_export_replays_as_the_trail_does(copy: Copy, tmp_path: Path) -> None:
    path = exported(copy, tmp_path / "trail.jsonl")
    report = replay_trail(path, deployment(), [MemoryJournal(copy.entries)])
    assert report == replayed(copy, end=copy.end)
    assert path.read_bytes().count(b"\n") == len(copy.logs) + 2


def test_an_export_is_the_same_every_time(copy: Copy, tmp_path: Path) -> None:
    one, other = exported(copy, tmp_path / "one"), exported(copy, tmp_path / "other")
    assert one.read_bytes() == other.read_bytes()
    first = one.read_bytes().splitlines()[1]
    assert first.startswith(b'{"blockNumber":"0x1","blockHash":"0x')
    assert first.endswith(b',"blockTimestamp":"0x6ab13b81"}')


def cut(lines: list[bytes]) -> list[bytes]:
    return lines[:-5]


def cut_within_a_line(lines: list[bytes]) -> list[bytes]:
    return [*lines[:-3], lines[-3][:-9]]


def drop_a_line(lines: list[bytes]) -> list[bytes]:
    return [*lines[:20], *lines[21:]]


def spoil_a_line(lines: list[bytes]) -> list[bytes]:
    return [*lines[:20], b'{"blockNumber":1}\n', *lines[21:]]


def add_a_member(lines: list[bytes]) -> list[bytes]:
    return [*lines[:20], b'{"x":1,' + lines[20][1:], *lines[21:]]


def spoil_the_header(lines: list[bytes]) -> list[bytes]:
    return [b"{}\n", *lines[1:]]


def spoil_the_footer(lines: list[bytes]) -> list[bytes]:
    return [*lines[:-1], b'{"logs":"many"}\n']


def add_after_the_end(lines: list[bytes]) -> list[bytes]:
    return [*lines, lines[-1]]


def not_utf8(lines: list[bytes]) -> list[bytes]:
    return [*lines[:20], b"\xff\n", *lines[21:]]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (cut, "cut off"),
        (cut_within_a_line, "is cut off"),
        (drop_a_line, "the last line says"),
        (spoil_a_line, "line 21 is not a log"),
        (add_a_member, "line 21 is not a log"),
        (not_utf8, "line 21 is not a log"),
        (spoil_the_header, "line 1 is not a trail's header"),
        (spoil_the_footer, "is not a trail's last"),
        (add_after_the_end, "line"),
    ],
)
def test_a_file_that_is_no_whole_trail_is_refused(
    copy: Copy, tmp_path: Path, spoil: Callable[[list[bytes]], list[bytes]], message: str
) -> None:
    path = exported(copy, tmp_path / "trail.jsonl")
    path.write_bytes(b"".join(spoil(path.read_bytes().splitlines(keepends=True))))
    with pytest.raises(TrailError, match=message):
        replay_trail(path, deployment())


def test_a_trail_of_another_chain_or_deployment_is_refused(copy: Copy, tmp_path: Path) -> None:
    path = exported(copy, tmp_path / "trail.jsonl")
    other_chain = msgspec.structs.replace(deployment(), chain_id=1)
    with pytest.raises(TrailError, match="of chain 18317"):
        replay_trail(path, other_chain)
    other = dict(deployment().deployed)
    other["Registry"] = other["Catalogue"]
    with pytest.raises(TrailError, match="other contracts"):
        replay_trail(path, msgspec.structs.replace(deployment(), deployed=other))
    with pytest.raises(TrailError, match="cannot be read"):
        replay_trail(tmp_path / "none", deployment())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"first_block": 2}, "begins with block 2, the deployment with 1"),
        ({"first_block": 0}, "begins with block 0, the deployment with 1"),
        ({"last_block": 0}, "no blocks from 1 to 0"),
        ({"last_block": -1}, "no blocks from 1 to -1"),
        ({"last_block": "last but one"}, "the first line says"),
        ({"last_block": "last"}, "has not the hash that the first line says"),
    ],
)
def test_a_first_line_that_is_not_true_of_the_logs_is_refused(
    copy: Copy, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    last = int(copy.logs[-1].block_number, 16)
    places = {"last": last, "last but one": last - 1}
    meant = {name: places.get(value, value) for name, value in changes.items()}
    path = tmp_path / "trail.jsonl"
    with path.open("wb") as file:
        write_trail(file, msgspec.structs.replace(header(), **meant), [copy.logs], copy.end)
    with pytest.raises(TrailError, match=message):
        replay_trail(path, deployment())


def test_a_last_block_with_events_has_the_hash_of_the_first_line(
    copy: Copy, tmp_path: Path
) -> None:
    newest = copy.logs[-1]
    true = msgspec.structs.replace(
        header(),
        last_block=int(newest.block_number, 16),
        last_block_hash=from_hex(newest.block_hash),
    )
    path = tmp_path / "trail.jsonl"
    with path.open("wb") as file:
        write_trail(file, true, [copy.logs], copy.end)
    assert replay_trail(path, deployment()).is_clean


def test_a_trail_cut_off_with_another_last_line_needs_an_end_from_elsewhere(
    copy: Copy, tmp_path: Path
) -> None:
    end = copy.end
    drop_the_last_call(copy)
    replay = Replay(deployment())
    replay.feed(copy.logs)
    copy.end = replay.finish().end
    path = exported(copy, tmp_path / "trail.jsonl")
    assert replay_trail(path, deployment()).is_clean
    assert kinds(replay_trail(path, deployment(), known_end=end.known)) == {Kind.OTHER_END}


# Hashes of blocks


def with_other_hashes(copy: Copy) -> None:
    for place, log in enumerate(copy.logs):
        copy.edit(place, block_hash="0x" + log.block_number[2:].rjust(64, "5"))


def test_hashes_of_blocks_are_the_word_of_whoever_made_the_file(copy: Copy, tmp_path: Path) -> None:
    """The limit that docs/spec/evidence.md and `audit verify --trail` tell: a replay does not see it."""
    true = trail_hashes(exported(copy, tmp_path / "true"), deployment())
    with_other_hashes(copy)
    path = exported(copy, tmp_path / "other")
    assert replay_trail(path, deployment(), known_end=copy.end.known).is_clean
    assert not true & trail_hashes(path, deployment())


def test_a_trail_vouches_only_for_blocks_that_it_has_events_of(copy: Copy, tmp_path: Path) -> None:
    hashes = trail_hashes(exported(copy, tmp_path / "trail.jsonl"), deployment())
    assert hashes == {from_hex(log.block_hash) for log in copy.logs}
    assert header().last_block_hash not in hashes


def test_a_trail_that_contradicts_itself_vouches_for_nothing(copy: Copy, tmp_path: Path) -> None:
    path = exported(copy, tmp_path / "trail.jsonl")
    whole = path.read_bytes()
    path.write_bytes(b"".join(cut(whole.splitlines(keepends=True))))
    with pytest.raises(TrailError, match="cut off"):
        trail_hashes(path, deployment())
    path.write_bytes(whole)
    with pytest.raises(TrailError, match="of chain"):
        trail_hashes(path, msgspec.structs.replace(deployment(), chain_id=1))
    place = next(n for n, log in enumerate(copy.logs[1:], 1) if log.log_index == "0x1")
    copy.edit(place, block_hash="0x" + "5a" * 32)
    with pytest.raises(TrailError, match="two blocks"):
        trail_hashes(exported(copy, path), deployment())
    copy.edit(place, block_hash=copy.logs[place - 1].block_hash)
    copy.edit(0, block_number="one")
    with pytest.raises(TrailError, match="no block's number"):
        trail_hashes(exported(copy, path), deployment())
