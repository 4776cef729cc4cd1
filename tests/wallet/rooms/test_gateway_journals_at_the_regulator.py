"""A gateway's journal that is torn or out of order (S18): a fault is named, and the rest is compared."""

import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from ledger.api.journal import JournalLine, ReleasedLine
from ledger.hexstr import to_hex
from ledger.replay.engine import Replay
from ledger.replay.journal_check import JournalEnd, JournalFault, ReleaseEntry
from ledger.replay.report import Kind
from ledger.typed_data import AccessRequest, record_to_object
from tests.support.copies import Copy, access_of, fresh, make_original
from tests.support.trails import deployment
from wallet.client.calls import Answer, HttpCall
from wallet.errors import PartyError
from wallet.regulator.evidence import find_in_journal
from wallet.regulator.journals import GatewayJournal, fetch_journal

Tamper = Callable[[list[bytes]], list[bytes]]


@pytest.fixture(scope="module")
def original() -> Copy:
    return make_original()


@pytest.fixture
def copy(original: Copy) -> Copy:
    return fresh(original)


def lines_of(copy: Copy) -> list[bytes]:
    """The journal of a trail, as a gateway exports it."""
    return [line_of(copy, entry) for entry in copy.entries]


def line_of(copy: Copy, entry: ReleaseEntry) -> bytes:
    event = access_of(copy, entry.sequence - 1)
    request = AccessRequest(
        event.consumer, event.basis, event.item, event.fields, event.nonce, event.deadline
    )
    assert entry.signature is not None
    line = JournalLine(
        access=to_hex(entry.access),
        sequence=entry.sequence,
        outcome=event.outcome,
        request=record_to_object(request),
        signature=to_hex(entry.signature),
        block_number=event.block.number,
        block_hash=to_hex(event.block.hash),
        timestamp=event.block.timestamp,
        transaction=to_hex(event.transaction),
        log_index=event.log_index,
        released=None if entry.key is None else ReleasedLine("", 1, (), [], to_hex(entry.key), 0),
    )
    return msgspec.json.encode(line) + b"\n"


@pytest.fixture
def path(copy: Copy, tmp_path: Path) -> Path:
    return tmp_path / "journal.ndjson"


def swap(lines: list[bytes]) -> list[bytes]:
    return [*lines[:4], lines[5], lines[4], *lines[6:]]


def reverse(lines: list[bytes]) -> list[bytes]:
    return lines[::-1]


def shuffle(lines: list[bytes]) -> list[bytes]:
    return random.Random(7).sample(lines, len(lines))


def put_in(junk: bytes) -> Tamper:
    return lambda lines: [*lines[:4], junk, *lines[4:]]


@pytest.mark.parametrize(
    "tamper",
    [
        *(swap, reverse, shuffle),
        put_in(b"torn\n"),
        put_in(b'{"access":"0x\n'),
        put_in(b"\xff\xfe\n"),
        put_in(b"\n"),
        put_in(b'{"access":"0x","sequence":1,"request":' + b'{"a":' * 5000 + b"\n"),
        put_in(b'{"access":"0x","sequence":' + b"9" * 5000 + b"}\n"),
        put_in(b'{"access":"0x","sequence":-1,"request":{},"signature":"0x","transaction":"0x"}\n'),
        lambda lines: [*lines, lines[-1][:-30]],
    ],
)
def test_a_torn_or_reordered_journal_is_one_finding_and_everything_else_is_compared(
    copy: Copy, path: Path, tamper: Tamper
) -> None:
    path.write_bytes(b"".join(tamper(lines_of(copy))))
    replay = Replay(deployment(), [GatewayJournal(path)])
    replay.feed(copy.logs)
    report = replay.finish(copy.end)
    (finding,) = report.findings
    assert (finding.kind, finding.source) == (Kind.JOURNAL_FAULT, "gateway")
    assert "line" in finding.problem
    assert (report.signatures, report.accesses) == (40, 40)


def test_a_broken_line_costs_its_own_signature_only(copy: Copy, path: Path) -> None:
    lines = lines_of(copy)
    lines[4] = lines[4][:80] + b"\n"
    path.write_bytes(b"".join(lines))
    replay = Replay(deployment(), [GatewayJournal(path)])
    replay.feed(copy.logs)
    found = [(finding.kind, finding.sequence) for finding in replay.finish(copy.end).findings]
    assert found == [(Kind.JOURNAL_FAULT, None), (Kind.UNSIGNED_ACCESS, 5)]


def test_lines_that_are_none_and_follow_each_other_are_told_once(path: Path) -> None:
    path.write_bytes(b"no journal\n" * 1000)
    (fault,) = GatewayJournal(path).entries()
    assert isinstance(fault, JournalFault)
    assert fault.problem.startswith("lines 1 to 1000: no entry")


def test_evidence_is_found_behind_a_broken_line(copy: Copy, path: Path) -> None:
    lines = lines_of(copy)
    path.write_bytes(b"".join([b"torn\n", *lines]))
    assert find_in_journal(path, 7).sequence == 7
    with pytest.raises(PartyError):
        find_in_journal(path, 4711)


@pytest.mark.parametrize("broken", [b"torn\n", b'{"sequence":1}\n'])
def test_fetching_a_journal_ends_whatever_the_gateway_answers(
    copy: Copy, path: Path, broken: bytes
) -> None:
    """A gateway that answers the same for ever, or nothing that can be read."""
    page = b"".join([*lines_of(copy)[:3], broken])
    steps = fetch_journal(path)
    call, asked = steps.send(None), 0
    while asked < 10:
        assert isinstance(call, HttpCall)
        asked += 1
        try:
            call = steps.send(call.result(Answer(200, {}, page)))
        except StopIteration:
            break
    assert asked == 2
    assert path.read_bytes() == page * 2


RECORDER = b"\x07" * 20
END = b'{"kind":"end","recorder":"0x%s","block":812,"block_hash":"0x%s"}\n' % (
    b"07" * 20,
    b"08" * 32,
)


def test_fetching_a_journal_ends_with_the_line_that_says_how_far_it_goes(
    copy: Copy, path: Path
) -> None:
    lines = lines_of(copy)
    pages = [b"".join(lines[:3]), b"".join([*lines[3:], END]), b""]
    steps = fetch_journal(path)
    call, asked, count = steps.send(None), 0, None
    while count is None:
        assert isinstance(call, HttpCall)
        asked += 1
        try:
            call = steps.send(call.result(Answer(200, {}, pages[asked - 1])))
        except StopIteration as done:
            count = done.value
    assert (asked, count) == (2, len(lines))
    first, *entries = GatewayJournal(path).entries()
    assert first == JournalEnd(812, b"\x08" * 32, RECORDER)
    assert len(entries) == len(lines)


def test_whose_journal_it_is_may_be_said_by_who_hands_it_over(copy: Copy, path: Path) -> None:
    path.write_bytes(b"".join([*lines_of(copy), END]))
    assert GatewayJournal(path).owner is None  # until it is read
    assert GatewayJournal(path, "old", b"\x09" * 20).owner == b"\x09" * 20


@pytest.mark.parametrize(
    "line",
    [
        END.replace(b"812", b"-1"),
        END.replace(b"812", b"9" * 400),
        END.replace(b"07", b"0x"),
        END[:-5] + b"\n",
        b'{"kind":"end",' + b'"x":' + b"[" * 100_000 + b"\n",
    ],
)
def test_an_end_that_is_none_is_a_fault(copy: Copy, path: Path, line: bytes) -> None:
    path.write_bytes(b"".join([*lines_of(copy)[:2], line]))
    *entries, fault = GatewayJournal(path).entries()
    assert len(entries) == 2
    assert isinstance(fault, JournalFault)
    assert fault.problem.startswith("line 3: no entry")
