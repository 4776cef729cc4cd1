"""Six ways to tamper with a copy of the trail and of the gateway's journal.

Each returns a changed copy as somebody would hand it over who wants it to look whole: numbers and the
last line fit. Where it says so, the running hashes fit as well.
"""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from ledger.chain.eth_methods import Log
from ledger.chain.events import ACCESSED_SIGNATURE, ITEM_ACCESSED_SIGNATURE, RECORDED_SIGNATURE
from ledger.hexstr import from_hex, keccak256, to_hex
from ledger.model import Outcome
from ledger.replay.journal_check import ReleaseEntry
from ledger.replay.report import End
from scripts.demo.stage import DemoError

_TOPICS: Final = tuple(
    to_hex(keccak256(one.encode())) for one in (ACCESSED_SIGNATURE, ITEM_ACCESSED_SIGNATURE)
)
_RECORDED: Final = to_hex(keccak256(RECORDED_SIGNATURE.encode()))
_ENTRY: Final = 64
"""Where an access's entry starts in its data: consumer, then sequence, deadline and outcome."""
_SEQUENCE: Final = slice(_ENTRY + 20, _ENTRY + 26)
_OUTCOME: Final = _ENTRY + 31
_NONCE: Final = slice(32, 64)


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of the trail, and of the gateway's journal."""

    logs: tuple[Log, ...]
    entries: tuple[ReleaseEntry, ...]
    end: End


@dataclass(frozen=True, slots=True)
class CopiedJournal:
    """A gateway's journal in memory."""

    name: str
    copied: tuple[ReleaseEntry, ...]
    owner: bytes | None = None
    of_keyholder: bool = False

    def entries(self) -> Iterable[ReleaseEntry]:
        return self.copied


Tampering = Callable[[Copy], Copy]


def drop_an_access(copy: Copy) -> Copy:
    """Leave out one denied access."""
    place = _places(copy, denied=True)[0]
    return replace(copy, logs=(*copy.logs[:place], *copy.logs[place + 1 :]))


def edit_an_access(copy: Copy) -> Copy:
    """Make one denied access an allowed one."""
    place = _places(copy, denied=True)[0]
    return replace(copy, logs=_with(copy.logs, place, _allowed(copy.logs[place])))


def reorder_accesses(copy: Copy) -> Copy:
    """Exchange two accesses."""
    first, second = _places(copy)[:2]
    one, other = copy.logs[first], copy.logs[second]
    logs = _with(copy.logs, first, _contents_of(other, one))
    return replace(copy, logs=_with(logs, second, _contents_of(one, other)))


def forge_the_hashes(copy: Copy) -> Copy:
    """Make a denied access an allowed one, and compute all running hashes anew."""
    edited = edit_an_access(copy)
    logs, end = _rehashed(edited.logs, copy.end)
    return replace(edited, logs=logs, end=end)


def invent_an_access(copy: Copy) -> Copy:
    """Add an allowed access that its consumer never asked for, as a recorder could, hashes and all."""
    model = copy.logs[_places(copy, denied=False)[-1]]
    recorded = next(log for log in reversed(copy.logs) if log.topics[0] == _RECORDED)
    data = bytearray(from_hex(model.data))
    data[_NONCE] = secrets.token_bytes(32)
    data[_SEQUENCE] = (copy.end.sequence + 1).to_bytes(6, "big")
    last = copy.logs[-1]
    block = {
        "block_number": hex(int(last.block_number, 16) + 1),
        "block_hash": to_hex(secrets.token_bytes(32)),
        "transaction_hash": to_hex(secrets.token_bytes(32)),
        "block_timestamp": last.block_timestamp,
    }
    invented = msgspec.structs.replace(model, **block, log_index="0x0", data=to_hex(bytes(data)))
    closing = msgspec.structs.replace(recorded, **block, log_index="0x1")
    logs, end = _rehashed((*copy.logs, invented, closing), copy.end)
    return replace(copy, logs=logs, end=end)


def claim_a_release(copy: Copy) -> Copy:
    """Let the journal say that something was released for which nothing is recorded."""
    claimed = ReleaseEntry(
        access=secrets.token_bytes(32),
        sequence=copy.end.sequence + 1,
        transaction=None,
        signature=None,
        released=True,
    )
    return replace(copy, entries=(*copy.entries, claimed))


def _places(copy: Copy, *, denied: bool | None = None) -> list[int]:
    """Return where the accesses are: all, the denied ones or the allowed ones."""
    places = [place for place, log in enumerate(copy.logs) if log.topics[0] in _TOPICS]
    if denied is not None:
        places = [
            place
            for place in places
            if (from_hex(copy.logs[place].data)[_OUTCOME] != Outcome.ALLOWED) == denied
        ]
    if not places:
        raise DemoError("the trail has no such access")
    return places


def _with(logs: tuple[Log, ...], place: int, log: Log) -> tuple[Log, ...]:
    return (*logs[:place], log, *logs[place + 1 :])


def _allowed(log: Log) -> Log:
    data = bytearray(from_hex(log.data))
    data[_OUTCOME] = Outcome.ALLOWED
    return msgspec.structs.replace(log, data=to_hex(bytes(data)))


def _contents_of(one: Log, at: Log) -> Log:
    return msgspec.structs.replace(at, topics=one.topics, data=one.data)


def _rehashed(logs: Iterable[Log], end: End) -> tuple[tuple[Log, ...], End]:
    """Compute every running hash anew, as the contract does."""
    head, sequence, rehashed = bytes(32), 0, []
    for log in logs:
        if log.topics[0] in _TOPICS:
            head = keccak256(head + from_hex(log.topics[1]) + from_hex(log.data))
            sequence += 1
        elif log.topics[0] == _RECORDED:
            closing = sequence.to_bytes(32, "big") + head
            log = msgspec.structs.replace(log, data=to_hex(closing))  # noqa: PLW2901
        rehashed.append(log)
    return tuple(rehashed), msgspec.structs.replace(end, sequence=sequence, head=head)
