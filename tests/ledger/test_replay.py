"""A whole trail replays clean; whatever is done to a copy of it is found and named."""

import secrets
import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from ledger import queries
from ledger.enumerations import Outcome
from ledger.events import Accessed, EventDecoder, Log
from ledger.events.decoding import ACCESSED_TOPIC, RECORDED_TOPIC
from ledger.hexes import from_hex, to_hex
from ledger.keccak import keccak256
from ledger.replay import (
    End,
    ExportError,
    Finding,
    JournalError,
    Kind,
    ReleaseEntry,
    Replay,
    ReplayReport,
    TrailHeader,
    access_id,
    export_trail,
    replay_node,
    replay_trail,
    write_trail,
)
from ledger.replay.sources import read_logs
from ledger.rpc import AnswerTooLargeError, Call, Rpc, RpcSettings
from ledger.signing import sign
from ledger.typed_data import AccessRequest, digest, digest_of, struct_hash
from tests.support.chain import Chain
from tests.support.trails import CHAIN_ID, CONTRACTS, DOMAIN, City, deployment, entry_of, make_city

ACCESSED: Final = to_hex(ACCESSED_TOPIC)
RECORDED: Final = to_hex(RECORDED_TOPIC)
OUTCOME: Final = 95
"""Where an access's outcome stands in its data."""


@dataclass
class MemoryJournal:
    """A journal as a list."""

    kept: list[ReleaseEntry]
    name: str = "gateway"

    def entries(self) -> Iterable[ReleaseEntry]:
        return iter(self.kept)


@dataclass
class Copy:
    """A copy of a trail and of its gateway's journal, to be tampered with."""

    logs: list[Log]
    entries: list[ReleaseEntry]
    end: End
    city: City = field(repr=False)

    def accesses(self) -> list[int]:
        """Where the accesses are."""
        return [place for place, log in enumerate(self.logs) if log.topics[0] == ACCESSED]

    def calls(self) -> list[int]:
        """Where calls end."""
        return [place for place, log in enumerate(self.logs) if log.topics[0] == RECORDED]

    def edit(self, place: int, **changes: Any) -> None:
        self.logs[place] = msgspec.structs.replace(self.logs[place], **changes)

    def edit_data(self, place: int, at: int, value: int) -> None:
        data = bytearray(from_hex(self.logs[place].data))
        data[at] = value
        self.edit(place, data=to_hex(bytes(data)))

    def rehash(self) -> None:
        """Compute all running hashes anew, as a clever forger would."""
        head, sequence = bytes(32), 0
        for place, log in enumerate(self.logs):
            if log.topics[0] == ACCESSED:
                head = keccak256(head + from_hex(log.topics[1]) + from_hex(log.data))
                sequence += 1
            elif log.topics[0] == RECORDED:
                self.edit(place, data=to_hex(sequence.to_bytes(32, "big") + head))
        self.end = End(sequence, head)

    def append(self, log: Log, *, index: int, first: bool = False) -> None:
        """Put a log into a block after the last."""
        number = int(self.logs[-1].block_number, 16) + (1 if first else 0)
        self.logs.append(
            msgspec.structs.replace(
                log,
                block_number=hex(number),
                block_hash=to_hex(keccak256(number.to_bytes(8, "big"))),
                block_timestamp=self.logs[-1].block_timestamp,
                transaction_hash=to_hex(keccak256(b"invented")),
                log_index=hex(index),
            )
        )


@pytest.fixture(scope="module")
def original() -> Copy:
    """Forty accesses in four calls, allowed and denied, by two consumers."""
    city = make_city(3, max_uses=9)
    for call in range(4):
        first = 100 * call
        requests = [city.request(first + n, basis=n % 3) for n in range(8)]
        requests.append(city.request(first + 8, fields=1 << 12))
        requests.append(city.request(first))
        city.record(requests)
    trail = city.trail
    # The journal keeps one entry for a request, though it was recorded twice.
    entries = {entry.access: entry for entry in reversed(trail.entries)}
    kept = sorted(entries.values(), key=lambda entry: entry.sequence)
    return Copy(trail.logs, kept, trail.end, city)


@pytest.fixture
def copy(original: Copy) -> Copy:
    return replace(original, logs=list(original.logs), entries=list(original.entries))


def replayed(copy: Copy, *, end: End | None = None, journals: bool = True) -> ReplayReport:
    replay = Replay(CONTRACTS, CHAIN_ID, [MemoryJournal(copy.entries)] if journals else ())
    for start in range(0, len(copy.logs), 7):
        replay.feed(copy.logs[start : start + 7])
    return replay.finish(end)


def kinds(report: ReplayReport) -> set[Kind]:
    assert report.finding_count == len(report.findings)
    return {finding.kind for finding in report.findings}


def test_a_whole_trail_replays_without_findings(copy: Copy) -> None:
    report = replayed(copy, end=copy.end)
    assert report.findings == ()
    assert report.is_clean
    assert (report.logs, report.accesses, report.end) == (len(copy.logs), 40, copy.end)
    # The duplicates are checked against the signature of the request that they repeat.
    assert report.signatures == 40
    outcomes = {one.outcome: one.count for one in report.outcomes}
    assert outcomes == {
        Outcome.ALLOWED: report.releases,
        Outcome.FIELDS_EXCEEDED: 4,
        Outcome.DUPLICATE_REQUEST: 4,
        Outcome.USES_EXHAUSTED: 32 - report.releases,
    }
    assert report.journals == ("gateway",)
    assert (report.first_block, report.last_block) == (1, int(copy.logs[-1].block_number, 16))


def test_without_journals_no_signature_is_checked(copy: Copy) -> None:
    report = replayed(copy, journals=False)
    assert report.is_clean
    assert (report.journals, report.signatures, report.releases) == ((), 0, 0)


def test_nothing_at_all_is_a_clean_trail() -> None:
    report = Replay(CONTRACTS, CHAIN_ID).finish(End(0, bytes(32)))
    assert report.is_clean
    assert report.first_block is None
    assert report.last_block is None


# Drop


def drop_an_access(copy: Copy) -> None:
    del copy.logs[copy.accesses()[12]]


def drop_an_access_and_renumber_the_logs(copy: Copy) -> None:
    place = copy.accesses()[12]
    del copy.logs[place]
    block = copy.logs[place].block_number
    while copy.logs[place].block_number == block:
        copy.edit(place, log_index=hex(int(copy.logs[place].log_index, 16) - 1))
        place += 1


def drop_a_whole_call(copy: Copy) -> None:
    first, last = copy.calls()[:2]
    del copy.logs[first + 1 : last + 1]


def drop_the_last_call(copy: Copy) -> None:
    del copy.logs[copy.calls()[-2] + 1 :]


def drop_the_end_of_a_call(copy: Copy) -> None:
    del copy.logs[copy.calls()[1]]


def drop_the_end_of_the_last_call(copy: Copy) -> None:
    del copy.logs[-1]


def drop_a_grant(copy: Copy) -> None:
    names = [EventDecoder(CONTRACTS).decode(log).name for log in copy.logs]
    del copy.logs[names.index("Granted")]


def drop_the_deployment(copy: Copy) -> None:
    del copy.logs[0]


# Edit


def edit_an_outcome(copy: Copy) -> None:
    copy.edit_data(copy.accesses()[8], OUTCOME, Outcome.ALLOWED)


def edit_the_fields(copy: Copy) -> None:
    copy.edit_data(copy.accesses()[8], 31, 3)


def edit_a_consumer(copy: Copy) -> None:
    place = copy.accesses()[3]
    copy.edit_data(place, 64, from_hex(copy.logs[place].data)[64] ^ 1)


def edit_a_sequence(copy: Copy) -> None:
    copy.edit_data(copy.accesses()[3], 89, 77)


def edit_a_time(copy: Copy) -> None:
    copy.edit(copy.accesses()[3], block_timestamp="0x1")


def edit_a_block_hash(copy: Copy) -> None:
    copy.edit(copy.accesses()[3], block_hash=to_hex(bytes(32)))


def edit_the_recorder(copy: Copy) -> None:
    copy.edit(copy.calls()[1], topics=(RECORDED, to_hex(bytes(31) + b"\x01")))


def edit_a_head(copy: Copy) -> None:
    copy.edit_data(copy.calls()[1], 63, 1)


# Reorder


def exchange_two_accesses(copy: Copy) -> None:
    one, other = copy.accesses()[2:4]
    copy.logs[one], copy.logs[other] = copy.logs[other], copy.logs[one]


def exchange_what_two_accesses_say(copy: Copy) -> None:
    one, other = copy.accesses()[2:4]
    first, second = copy.logs[one], copy.logs[other]
    copy.edit(one, topics=second.topics, data=second.data)
    copy.edit(other, topics=first.topics, data=first.data)


def exchange_two_calls(copy: Copy) -> None:
    first, second, third = copy.calls()[:3]
    copy.logs[first + 1 : third + 1] = [
        *copy.logs[second + 1 : third + 1],
        *copy.logs[first + 1 : second + 1],
    ]


def repeat_an_access(copy: Copy) -> None:
    place = copy.accesses()[2]
    copy.logs.insert(place, copy.logs[place])


# Forge


def forge_an_outcome_with_hashes(copy: Copy) -> None:
    edit_an_outcome(copy)
    copy.rehash()


def forge_a_grant(copy: Copy) -> None:
    names = [EventDecoder(CONTRACTS).decode(log).name for log in copy.logs]
    place = names.index("Granted")
    copy.edit_data(place, 9 * 32 + 31, 1)


def forge_a_log_of_another_contract(copy: Copy) -> None:
    copy.edit(copy.accesses()[2], address=to_hex(b"\x01" * 20))


def forge_the_number_of_an_agreement(copy: Copy) -> None:
    names = [EventDecoder(CONTRACTS).decode(log).name for log in copy.logs]
    copy.edit_data(names.index("AgreementApproved"), 31, 2)


# Invent, and claim


def invented_access(copy: Copy) -> None:
    """What a recorder can really do: an allowed access, hashes and all."""
    trail = copy.city.trail
    place = copy.accesses()[0]
    copy.append(copy.logs[place], index=0, first=True)
    data = bytearray(from_hex(copy.logs[-1].data))
    data[32:64] = secrets.token_bytes(32)
    data[84:90] = (trail.end.sequence + 1).to_bytes(6, "big")
    data[OUTCOME] = Outcome.USES_EXHAUSTED
    copy.edit(-1, data=to_hex(bytes(data)))
    copy.append(copy.logs[copy.calls()[0]], index=1)
    copy.rehash()


def access_of(copy: Copy, number: int) -> Accessed:
    event = EventDecoder(CONTRACTS).decode(copy.logs[copy.accesses()[number]])
    assert isinstance(event, Accessed)
    return event


def invent_an_access_without_a_signature(copy: Copy) -> None:
    invented_access(copy)


def invent_an_access_with_a_signature_of_ones_own(copy: Copy) -> None:
    invented_access(copy)
    copy.entries.append(entry_of(access_of(copy, -1), copy.city.parties.recorder))


def invent_an_access_with_the_signature_of_another_request(copy: Copy) -> None:
    invented_access(copy)
    entry = entry_of(access_of(copy, -1), copy.city.parties.bank)
    copy.entries.append(msgspec.structs.replace(entry, signature=copy.entries[0].signature))


def invent_an_access_with_a_broken_signature(copy: Copy) -> None:
    invented_access(copy)
    entry = entry_of(access_of(copy, -1), copy.city.parties.bank)
    copy.entries.append(msgspec.structs.replace(entry, signature=b"\x01" * 64))


def lose_a_journal_entry(copy: Copy) -> None:
    del copy.entries[5]


def claim_a_release(copy: Copy) -> None:
    copy.entries.append(ReleaseEntry(b"\x01" * 32, copy.end.sequence + 1, None, None, True))


def claim_a_release_amid_others(copy: Copy) -> None:
    copy.entries.insert(4, ReleaseEntry(b"\x01" * 32, 4, None, None, True))


def claim_a_release_for_a_denied_access(copy: Copy) -> None:
    place = next(n for n, entry in enumerate(copy.entries) if not entry.released)
    copy.entries[place] = msgspec.structs.replace(copy.entries[place], released=True)


def claim_a_record(copy: Copy) -> None:
    copy.entries.append(ReleaseEntry(b"\x01" * 32, 99, None, b"\x01" * 65, False))


def claim_another_transaction(copy: Copy) -> None:
    copy.entries[3] = msgspec.structs.replace(copy.entries[3], transaction=b"\x01" * 32)


@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        (drop_an_access, {Kind.MISSING_ACCESS, Kind.MISSING_LOG, Kind.WRONG_HEAD}),
        (drop_an_access_and_renumber_the_logs, {Kind.MISSING_ACCESS, Kind.WRONG_HEAD}),
        (drop_a_whole_call, {Kind.MISSING_ACCESS, Kind.WRONG_HEAD, Kind.RELEASE_WITHOUT_RECORD}),
        (drop_the_last_call, {Kind.OTHER_END, Kind.ENTRY_WITHOUT_RECORD}),
        (drop_the_end_of_a_call, {Kind.OPEN_CALL}),
        (drop_the_end_of_the_last_call, {Kind.OPEN_CALL}),
        (drop_a_grant, {Kind.MISSING_LOG, Kind.WRONG_OUTCOME}),
        (drop_the_deployment, {Kind.MISSING_LOG}),
        (edit_an_outcome, {Kind.WRONG_OUTCOME, Kind.WRONG_HEAD}),
        (edit_the_fields, {Kind.WRONG_HEAD, Kind.UNSIGNED_ACCESS}),
        (edit_a_consumer, {Kind.WRONG_OUTCOME, Kind.WRONG_HEAD, Kind.UNSIGNED_ACCESS}),
        (edit_a_sequence, {Kind.MISSING_ACCESS, Kind.REPEATED_ACCESS, Kind.WRONG_HEAD}),
        (edit_a_time, {Kind.OUT_OF_ORDER, Kind.WRONG_OUTCOME}),
        (edit_a_block_hash, {Kind.OUT_OF_ORDER}),
        (edit_the_recorder, {Kind.IMPOSSIBLE_EVENT}),
        (edit_a_head, {Kind.WRONG_HEAD}),
        (exchange_two_accesses, {Kind.OUT_OF_ORDER, Kind.REPEATED_ACCESS, Kind.WRONG_HEAD}),
        (exchange_what_two_accesses_say, {Kind.REPEATED_ACCESS, Kind.WRONG_HEAD}),
        (exchange_two_calls, {Kind.OUT_OF_ORDER, Kind.REPEATED_ACCESS, Kind.WRONG_HEAD}),
        (repeat_an_access, {Kind.OUT_OF_ORDER, Kind.REPEATED_ACCESS}),
        (forge_an_outcome_with_hashes, {Kind.WRONG_OUTCOME, Kind.OTHER_END}),
        (forge_a_grant, {Kind.MALFORMED_EVENT, Kind.WRONG_OUTCOME}),
        (forge_a_log_of_another_contract, {Kind.MALFORMED_EVENT, Kind.MISSING_ACCESS}),
        (forge_the_number_of_an_agreement, {Kind.IMPOSSIBLE_EVENT, Kind.WRONG_OUTCOME}),
        (invent_an_access_without_a_signature, {Kind.UNSIGNED_ACCESS, Kind.OTHER_END}),
        (invent_an_access_with_a_signature_of_ones_own, {Kind.WRONG_SIGNATURE}),
        (invent_an_access_with_the_signature_of_another_request, {Kind.WRONG_SIGNATURE}),
        (invent_an_access_with_a_broken_signature, {Kind.WRONG_SIGNATURE}),
        (lose_a_journal_entry, {Kind.UNSIGNED_ACCESS}),
        (claim_a_release, {Kind.RELEASE_WITHOUT_RECORD}),
        (claim_a_release_amid_others, {Kind.RELEASE_WITHOUT_RECORD}),
        (claim_a_release_for_a_denied_access, {Kind.RELEASE_WITHOUT_RECORD}),
        (claim_a_record, {Kind.ENTRY_WITHOUT_RECORD}),
        (claim_another_transaction, {Kind.ENTRY_WITHOUT_RECORD}),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_tampering_is_found_and_named(
    copy: Copy, tamper: Callable[[Copy], None], expected: set[Kind]
) -> None:
    end = copy.end
    tamper(copy)
    assert expected <= kinds(replayed(copy, end=end))


def only(report: ReplayReport, kind: Kind) -> Finding:
    (found,) = [finding for finding in report.findings if finding.kind is kind]
    return found


def test_an_edited_access_is_named_by_its_number_and_place(copy: Copy) -> None:
    place = copy.accesses()[8]
    edit_an_outcome(copy)
    found = only(replayed(copy), Kind.WRONG_OUTCOME)
    assert found.sequence == 9
    assert found.transaction == from_hex(copy.logs[place].transaction_hash)
    assert found.block_number == int(copy.logs[place].block_number, 16)
    assert found.problem == "recorded as Allowed, decided FieldsExceeded"
    assert "access 9" in str(found)


def test_one_edit_is_not_found_again_in_every_later_call(copy: Copy) -> None:
    edit_an_outcome(copy)
    report = replayed(copy, end=copy.end, journals=False)
    assert [one.kind for one in report.findings] == [Kind.WRONG_OUTCOME, Kind.WRONG_HEAD]


@pytest.mark.parametrize(
    "invent",
    [
        invent_an_access_without_a_signature,
        invent_an_access_with_a_signature_of_ones_own,
        invent_an_access_with_the_signature_of_another_request,
    ],
)
def test_who_invents_an_access_is_named(copy: Copy, invent: Callable[[Copy], None]) -> None:
    invent(copy)
    report = replayed(copy, end=copy.end)
    (found,) = report.findings
    assert found.party == copy.city.parties.recorder.address
    assert found.sequence == 41
    assert to_hex(copy.city.parties.recorder.address) in str(found)


def test_an_invented_duplicate_is_named_too(copy: Copy) -> None:
    copy.entries = [entry for entry in copy.entries if entry.sequence != 1]
    found = replayed(copy).findings
    assert [(one.kind, one.sequence) for one in found] == [
        (Kind.UNSIGNED_ACCESS, 1),
        (Kind.UNSIGNED_ACCESS, 10),
    ]
    assert {one.party for one in found} == {copy.city.parties.recorder.address}


def test_a_release_without_a_record_names_the_journal(copy: Copy) -> None:
    claimed = ReleaseEntry(b"\x05" * 32, 3, None, None, True)
    replay = Replay(
        CONTRACTS,
        CHAIN_ID,
        [MemoryJournal(copy.entries), MemoryJournal([claimed], "keyholder 2")],
    )
    replay.feed(copy.logs)
    (found,) = replay.finish().findings
    assert (found.kind, found.source) == (Kind.RELEASE_WITHOUT_RECORD, "keyholder 2")
    assert to_hex(claimed.access) in found.problem


def test_a_keyholders_journal_alone_shows_its_releases_but_no_signature(copy: Copy) -> None:
    released = [
        msgspec.structs.replace(entry, signature=None) for entry in copy.entries if entry.released
    ]
    replay = Replay(
        CONTRACTS,
        CHAIN_ID,
        [MemoryJournal(copy.entries), MemoryJournal(released, "keyholder 1")],
    )
    replay.feed(copy.logs)
    report = replay.finish()
    assert report.is_clean
    assert report.releases == 2 * len(released)


def test_a_journal_out_of_order_is_refused(copy: Copy) -> None:
    copy.entries.reverse()
    with pytest.raises(JournalError, match="comes after access"):
        replayed(copy)


def test_findings_are_counted_beyond_what_is_kept(copy: Copy) -> None:
    for place in copy.accesses():
        copy.edit_data(place, OUTCOME, Outcome.TOO_SOON)
    replay = Replay(CONTRACTS, CHAIN_ID, most_findings=3)
    replay.feed(copy.logs)
    report = replay.finish()
    assert len(report.findings) == 3
    assert report.finding_count > 40


def test_logs_of_other_contracts_leave_gaps_where_they_are_expected(copy: Copy) -> None:
    place = copy.accesses()[0]
    block = copy.logs[place].block_number
    for at in range(place, len(copy.logs)):
        if copy.logs[at].block_number == block:
            copy.edit(at, log_index=hex(int(copy.logs[at].log_index, 16) + 5))
    assert kinds(replayed(copy)) == {Kind.MISSING_LOG}
    replay = Replay(CONTRACTS, CHAIN_ID, other_contracts=True)
    replay.feed(copy.logs)
    assert replay.finish().is_clean


def test_the_id_of_an_access_is_the_struct_hash_of_its_request(copy: Copy) -> None:
    event = access_of(copy, 3)
    request = AccessRequest(
        event.consumer, event.basis, event.item, event.fields, event.nonce, event.deadline
    )
    assert access_id(event) == struct_hash(request)
    assert digest_of(access_id(event), DOMAIN) == digest(request, DOMAIN)


def test_memory_is_flat_in_the_number_of_accesses() -> None:
    def peak(calls: int) -> int:
        city = make_city(1)
        replay = Replay(CONTRACTS, CHAIN_ID, most_findings=10)
        tracemalloc.start()
        for call in range(calls):
            del city.trail.logs[:], city.trail.entries[:]
            city.record([city.request(call * 256 + n) for n in range(256)])
            replay.feed(city.trail.logs)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    # A hundred bytes for each word of 256 nonces are kept, nothing for the accesses themselves.
    assert peak(24) - peak(8) < 16 * 256 * 10


# Exports


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
    with pytest.raises(ExportError, match=message):
        replay_trail(path, deployment())


def test_a_trail_of_another_chain_or_deployment_is_refused(copy: Copy, tmp_path: Path) -> None:
    path = exported(copy, tmp_path / "trail.jsonl")
    other_chain = msgspec.structs.replace(deployment(), chain_id=1)
    with pytest.raises(ExportError, match="of chain 18317"):
        replay_trail(path, other_chain)
    other = dict(deployment().deployed)
    other["Registry"] = other["Catalogue"]
    with pytest.raises(ExportError, match="other contracts"):
        replay_trail(path, msgspec.structs.replace(deployment(), deployed=other))
    with pytest.raises(ExportError, match="cannot be read"):
        replay_trail(tmp_path / "none", deployment())


def test_a_trail_cut_off_with_another_last_line_needs_an_end_from_elsewhere(
    copy: Copy, tmp_path: Path
) -> None:
    end = copy.end
    drop_the_last_call(copy)
    replay = Replay(CONTRACTS, CHAIN_ID)
    replay.feed(copy.logs)
    copy.end = replay.finish().end
    path = exported(copy, tmp_path / "trail.jsonl")
    assert replay_trail(path, deployment()).is_clean
    assert kinds(replay_trail(path, deployment(), end=end)) == {Kind.OTHER_END}


# A real node


def test_a_real_nodes_trail_replays_and_exports(own_chain: Chain, tmp_path: Path) -> None:
    chain, bank = own_chain, own_chain.parties.bank
    terms = chain.personal_terms()
    basis = chain.granted(1, terms, max_uses=2)[0]
    requests = [chain.request(bank, basis) for _ in range(4)]
    requests.append(chain.request(bank, b"\x01" * 32))
    events = [*chain.record(requests[:3]), *chain.record(requests[3:])]
    domain = chain.deployment.domain_of(requests[0])
    entries = [
        ReleaseEntry(
            struct_hash(request),
            event.sequence,
            event.transaction,
            sign(digest(request, domain), bank.private_key),
            released=event.outcome is Outcome.ALLOWED,
        )
        for request, event in zip(requests, events, strict=True)
    ]
    journals = [MemoryJournal(entries)]
    report = replay_node(chain.rpc, chain.deployment, journals)
    assert report.findings == ()
    assert (report.accesses, report.signatures, report.releases) == (5, 5, 2)

    path = tmp_path / "trail.jsonl"
    made = export_trail(chain.rpc, chain.deployment, path)
    assert made.contracts == chain.contracts
    again = replay_trail(path, chain.deployment, journals)
    assert again == report

    entries[2] = msgspec.structs.replace(entries[2], signature=entries[0].signature)
    (found,) = replay_node(chain.rpc, chain.deployment, journals).findings
    assert (found.kind, found.sequence) == (Kind.WRONG_SIGNATURE, 3)
    assert found.party == chain.parties.recorder.address


class _Flooded(Rpc):
    """Refuses more than three blocks at once, and leaves out the times of blocks."""

    def send(self, call: Call[Any]) -> Any:
        if call.method == "eth_getLogs":
            (selection,) = call.params
            assert isinstance(selection, dict)
            if int(selection["toBlock"], 16) - int(selection["fromBlock"], 16) > 2:
                raise AnswerTooLargeError("too much")
            logs = super().send(call)
            return tuple(msgspec.structs.replace(log, block_timestamp=None) for log in logs)
        return super().send(call)


def test_logs_come_in_parts_and_with_their_times(chain: Chain) -> None:
    chain.record([chain.request(chain.parties.bank, b"\x01" * 32)])
    newest = chain.rpc.send(queries.block_number())
    with _Flooded(chain.node.url, RpcSettings()) as rpc:
        parts = list(read_logs(rpc, chain.contracts, 0, newest))
    whole = list(read_logs(chain.rpc, chain.contracts, 0, newest))
    assert [log for part in parts for log in part] == [log for part in whole for log in part]
    assert len(parts) > 1
