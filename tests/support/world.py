"""Everything that can be done to the contracts, as small values that a test can draw and shrink.

An act names parties, datasets, people by index into what there is, and times relative to its block,
so that boundaries are hit often. `attempt` turns it into a transaction, and into what the Python
rules say of it: the events that the contracts emit if they accept it, made from the state alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from ledger.chain.contract_calls import Approval, ContractCall
from ledger.chain.events import Block, Event, NumberedEvent
from ledger.model import ZERO_WORD, Roles, State
from ledger.typed_data import Authorization, SignedRecord, digest
from scripts.scenario import Chain, Party

TRANSACTION: Final = b"\x99" * 32
STRANGER: Final = Party("Stranger", Roles(0))
UNKNOWN: Final = b"\xee" * 32
ITEMS: Final = (ZERO_WORD, b"\x01" * 32, b"\x02" * 32)
TEXTS: Final = ("", "text")
LATEST_DEADLINE: Final = 2**40

Events = Callable[[State, Block], Iterator[Event]]
Hidden = Callable[[State, int], bool]


@dataclass(frozen=True)
class Attempt:
    """A transaction, and what the Python rules say of it.

    Attributes:
        caller: who sends it.
        call: what it says.
        events: what the contracts emit if they accept it. A generator: each event is applied to the
            state before the next one is asked for.
        hidden: whether they refuse it for a reason that no event would show: the caller, a
            signature, a deadline of a signed record.
        digest: what may be used only once.
    """

    caller: bytes
    call: ContractCall
    events: Events
    hidden: Hidden = lambda _state, _now: False
    digest: bytes = b""


class Act(Protocol):
    """Something that somebody tries to do."""

    def attempt(self, world: "World", now: int) -> Attempt:
        """Make the transaction of a block with the time `now`."""
        ...


@dataclass
class World:
    """A chain, the state that the Python rules have of it, and the names of what may be on it."""

    chain: Chain
    state: State = field(init=False)
    used: set[bytes] = field(default_factory=set)
    datasets: list[bytes] = field(default_factory=lambda: [UNKNOWN])
    orders: list[bytes] = field(default_factory=lambda: [UNKNOWN])
    purposes: list[bytes] = field(default_factory=lambda: [UNKNOWN])
    applications: list[bytes] = field(default_factory=lambda: [UNKNOWN])
    agreements: list[bytes] = field(default_factory=lambda: [UNKNOWN])
    subjects: list[bytes] = field(default_factory=lambda: [UNKNOWN])
    authorizations: list[bytes] = field(default_factory=lambda: [UNKNOWN])
    granted: dict[bytes, Authorization] = field(default_factory=dict)
    """What people signed or tried to, by its id."""
    now: int = 0

    def __post_init__(self) -> None:
        self.state = State(self.chain.deployment.delays)

    @property
    def parties(self) -> tuple[Party, ...]:
        known = self.chain.parties
        return (
            known.authority,
            known.provider,
            known.other_provider,
            known.bank,
            known.insurer,
            known.regulator,
            known.recorder,
            known.identity_authority,
            STRANGER,
        )

    def party(self, index: int) -> Party:
        return self.parties[index % len(self.parties)]

    def restricted(self, index: int) -> bytes:
        """A party: below zero one that is restricted, if there is one."""
        fitting = [
            party.address
            for party in self.parties
            if (found := self.state.parties.get(party.address))
            and found.restricted_until > self.now
        ]
        return fitting[index % len(fitting)] if index < 0 and fitting else self.party(index).address

    def live_dataset(self, index: int) -> bytes:
        """A dataset: below zero one that is not withdrawn."""
        found = self.state.datasets
        return pick(self.datasets, index, lambda id_: id_ in found and not found[id_].withdrawn)

    def live_purpose(self, index: int) -> bytes:
        """A purpose: below zero one that is not retired."""
        found = self.state.purposes
        return pick(self.purposes, index, lambda id_: id_ in found and found[id_].active)

    def open_application(self, index: int) -> bytes:
        """An application: below zero one that is not decided."""
        found = self.state.applications
        return pick(self.applications, index, lambda id_: id_ in found and not found[id_].decided)

    def place(self, block: Block) -> tuple[Block, bytes, int, bytes]:
        """The attributes that every event of the access log starts with."""
        return block, TRANSACTION, 0, self.chain.contracts.access_log

    def numbered(self, block: Block, contract: str) -> tuple[Block, bytes, int, bytes, int, bytes]:
        """The attributes that the next event of another contract starts with."""
        address: bytes = getattr(self.chain.contracts, contract)
        chain = self.state.chains.get(address)
        return block, TRANSACTION, 0, address, 1 if chain is None else chain.count + 1, b""

    def event(self, contract: str, kind: type[NumberedEvent], *values: Any) -> Events:
        """Return what an act emits that emits this event alone."""

        def events(_state: State, block: Block) -> Iterator[Event]:
            yield kind(*self.numbered(block, contract), *values)

        return events

    def roles_now(self, party: bytes) -> int:
        found = self.state.parties.get(party)
        return found.roles if found is not None and found.active else 0

    def caller(self, index: int, right: bytes) -> bytes:
        return right if index == 0 else self.party(index - 1).address

    def digest(self, record: SignedRecord) -> bytes:
        return digest(record, self.chain.deployment.domain_of(record))


def pick(
    pool: list[bytes], index: int, fits: Callable[[bytes], object] = lambda _id: True
) -> bytes:
    """Choose from a pool: below zero from the newest of what fits, if anything does, else any."""
    fitting = [id_ for id_ in pool if fits(id_)] if index < 0 else []
    return fitting[index % len(fitting)] if fitting else pool[index % len(pool)]


def remember(pool: list[bytes], value: bytes) -> bytes:
    """Add to a pool what an act may create; it is tried whether or not it came to be."""
    if value not in pool:
        pool.append(value)
    return value


def not_the_authority(caller: bytes) -> Hidden:
    return lambda state, _now: caller != state.authority


def not_the_provider(caller: bytes, dataset: bytes) -> Hidden:
    def hidden(state: State, _now: int) -> bool:
        found = state.datasets.get(dataset)
        return found is not None and found.provider != caller

    return hidden


def approval(world: World, record: SignedRecord, signer: bytes, key: bytes) -> Approval:
    return Approval(signer, world.chain.sign(record, key))
