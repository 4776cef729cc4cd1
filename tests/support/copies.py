"""A trail made without a chain, and copies of it to tamper with."""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec

from ledger.chain.eth_methods import Log
from ledger.chain.events import Accessed
from ledger.chain.events.decoder import ACCESSED_TOPIC, RECORDED_TOPIC, EventDecoder
from ledger.hexstr import from_hex, keccak256, to_hex
from ledger.model import Outcome
from ledger.replay.engine import Replay
from ledger.replay.journal_check import JournalEnd, JournalFault, ReleaseEntry
from ledger.replay.report import End, Finding, Kind, ReplayReport
from tests.support.trails import CONTRACTS, City, deployment, entry_of, make_city

ACCESSED: Final = to_hex(ACCESSED_TOPIC)
RECORDED: Final = to_hex(RECORDED_TOPIC)
OUTCOME: Final = 95
"""Where an access's outcome stands in its data."""


@dataclass
class MemoryJournal:
    kept: Sequence[ReleaseEntry | JournalFault | JournalEnd]
    name: str = "gateway"
    owner: bytes | None = None

    @property
    def of_keyholder(self) -> bool:
        return self.name.startswith("keyholder")

    def entries(self) -> Iterable[ReleaseEntry | JournalFault | JournalEnd]:
        return iter(self.kept)


@dataclass
class Copy:
    """A copy of a trail and of its gateway's journal, to be tampered with."""

    logs: list[Log]
    entries: list[ReleaseEntry]
    end: End
    city: City = field(repr=False)

    def accesses(self) -> list[int]:
        return [place for place, log in enumerate(self.logs) if log.topics[0] == ACCESSED]

    def calls(self) -> list[int]:
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
        self.end = msgspec.structs.replace(self.end, sequence=sequence, head=head)

    def append(self, log: Log, *, index: int, first: bool = False) -> None:
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


def make_original() -> Copy:
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


def fresh(original: Copy) -> Copy:
    return replace(original, logs=list(original.logs), entries=list(original.entries))


def replayed(copy: Copy, *, end: End | None = None, journals: bool = True) -> ReplayReport:
    gateway = MemoryJournal(copy.entries, owner=copy.city.parties.recorder.address)
    replay = Replay(deployment(), [gateway] if journals else ())
    for start in range(0, len(copy.logs), 7):
        replay.feed(copy.logs[start : start + 7])
    return replay.finish(end)


def kinds(report: ReplayReport) -> set[Kind]:
    assert report.finding_count == len(report.findings)
    return {finding.kind for finding in report.findings}


def only(report: ReplayReport, kind: Kind) -> Finding:
    (found,) = [finding for finding in report.findings if finding.kind is kind]
    return found


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


def drop_the_last_call(copy: Copy) -> None:
    del copy.logs[copy.calls()[-2] + 1 :]


def edit_an_outcome(copy: Copy) -> None:
    copy.edit_data(copy.accesses()[8], OUTCOME, Outcome.ALLOWED)


def invent_an_access_without_a_signature(copy: Copy) -> None:
    invented_access(copy)


def invent_an_access_with_a_signature_of_ones_own(copy: Copy) -> None:
    invented_access(copy)
    copy.entries.append(entry_of(access_of(copy, -1), copy.city.parties.recorder))


def invent_an_access_with_the_signature_of_another_request(copy: Copy) -> None:
    invented_access(copy)
    entry = entry_of(access_of(copy, -1), copy.city.parties.bank)
    copy.entries.append(msgspec.structs.replace(entry, signature=copy.entries[0].signature))
