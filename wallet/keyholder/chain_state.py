"""What a keyholder knows of the chain: replay's fold over final blocks, and the accesses of the release window."""

from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from ledger.chain.events import (
    Accessed,
    AccessVoided,
    BatchSkipped,
    Block,
    Event,
    Published,
    Recorded,
)
from ledger.chain.events.identifiers import access_id
from ledger.crypto.hpke import EncryptionKey
from ledger.crypto.merkle import TreeHead
from ledger.crypto.statement import names_at_grant, verify_consent
from ledger.encoding import Schema
from ledger.errors import MalformedError
from ledger.links import LinkBounds, link_bounds
from ledger.model import OUTCOMES, Delays, Outcome, Roles, State, has_role
from ledger.policy import Request
from ledger.release_rules import Basis, Stop, Times, find_basis, find_stop
from ledger.state import ImpossibleEventError, chain_on, follow, require_next
from ledger.typed_data import Authorization

_ID: Final = 32


@dataclass(frozen=True, slots=True)
class KnownAccess:
    """One access as the keyholder's own node has it.

    Attributes:
        access: Its id, the struct hash of the request.
        sequence: Its number on chain.
        outcome: What the contract decided.
        block_number: Of its block.
        timestamp: Of the same, seconds since 1970.
        log_index: Place among the block's logs.
    """

    access: bytes
    sequence: int
    outcome: Outcome
    block_number: int
    timestamp: int
    log_index: int


@dataclass(slots=True)
class _BlockAccesses:
    """One block's; they are numbered without a gap, so the first number tells all."""

    timestamp: int
    first_sequence: int
    ids: bytearray = field(default_factory=bytearray)
    outcomes: bytearray = field(default_factory=bytearray)
    places: "array[int]" = field(default_factory=lambda: array("I"))


class RecentAccesses:
    """Accesses by their place on chain, from some block on."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[int, _BlockAccesses] = OrderedDict()

    def add(self, event: Accessed) -> None:
        """Take the next access; they come in the chain's order, numbered without a gap."""
        block = self._blocks.get(event.block.number)
        if block is None:
            block = _BlockAccesses(event.block.timestamp, event.sequence)
            self._blocks[event.block.number] = block
        block.ids += access_id(event)
        block.outcomes.append(event.outcome)
        block.places.append(event.log_index)

    def find(self, block_number: int, log_index: int) -> KnownAccess | None:
        block = self._blocks.get(block_number)
        if block is None:
            return None
        at = bisect_left(block.places, log_index)
        if at == len(block.places) or block.places[at] != log_index:
            return None
        return KnownAccess(
            access=bytes(block.ids[_ID * at : _ID * (at + 1)]),
            sequence=block.first_sequence + at,
            outcome=OUTCOMES[block.outcomes[at]],
            block_number=block_number,
            timestamp=block.timestamp,
            log_index=log_index,
        )

    def forget_before(self, timestamp: int) -> int:
        """Forget blocks that are older than a time; return the number of the last one, -1 for none."""
        blocks, gone = self._blocks, -1
        while blocks:
            number, block = next(iter(blocks.items()))
            if block.timestamp >= timestamp:
                break
            del blocks[number]
            gone = number
        return gone

    def __len__(self) -> int:
        return sum(len(block.outcomes) for block in self._blocks.values())


NO_BLOCK: Final = Block(-1, b"", -1)


@dataclass(frozen=True, slots=True)
class Publication:
    """One version of a dataset.

    Attributes:
        version: From 1.
        head: Count and root.
        times: When it was published and superseded.
    """

    version: int
    head: TreeHead
    times: Times


class ChainState:
    """The state after all events that were applied. Lookups cost no I/O.

    Args:
        delays: Of the deployment.
        window: Seconds, in block times, for which accesses stay known.
        first_block: First block whose accesses are applied.
    """

    def __init__(self, delays: Delays, window: int, first_block: int = 0) -> None:
        self._block = NO_BLOCK
        self._window = window
        self._first_block = first_block
        self._accesses = RecentAccesses()
        self._sequence: int | None = None
        self._state = State(delays)
        self._places: dict[bytes, list[tuple[int, int]]] = {}
        self._schemas: dict[bytes, Schema | None] = {}

    @property
    def block(self) -> Block:
        """The newest final block that is known; `NO_BLOCK` before the first."""
        return self._block

    @property
    def first_block(self) -> int:
        """The first block whose accesses are known; those of older ones are out of the window."""
        return self._first_block

    def access(self, block_number: int, log_index: int) -> KnownAccess | None:
        return self._accesses.find(block_number, log_index)

    def stop(self, use: Request, sequence: int) -> Stop | None:
        """Return which act stands against an access in the newest block that is known."""
        return find_stop(self._state, use, sequence, self._block.timestamp)

    def basis(self, basis: bytes) -> Basis | None:
        """Return what an id stands for."""
        known = find_basis(self._state, basis)
        return None if known is None or self._schema(known.dataset) is None else known

    def schema(self, dataset: bytes) -> Schema:
        """Return the fields of a dataset that some basis names."""
        schema = self._schema(dataset)
        if schema is None:
            raise KeyError(dataset)
        return schema

    def publication(self, dataset: bytes, version: int) -> Publication | None:
        known = self._state.datasets.get(dataset)
        if known is None or not 1 <= version <= len(known.publications):
            return None
        published = known.publications[version - 1]
        is_newest = version == len(known.publications)
        superseded_at = None if is_newest else known.publications[version].published_at
        times = Times(self._places[dataset][version - 1], superseded_at)
        return Publication(version, TreeHead(published.count, published.root), times)

    def erased(self, dataset: bytes) -> Collection[bytes]:
        """Return the roots of a dataset's records whose tombstones are on chain."""
        known = self._state.datasets.get(dataset)
        return () if known is None else known.erased

    def encryption_key(self, party: bytes) -> EncryptionKey | None:
        """Return the key to which a party wants messages sealed; None without a usable one."""
        known = self._state.parties.get(party)
        try:
            return EncryptionKey(known.encryption_key) if known and known.encryption_key else None
        except MalformedError:
            return None  # the contract takes any bytes

    def link_bounds(self, subject: bytes) -> LinkBounds:
        return link_bounds(self._state, subject)

    @property
    def identity_authorities(self) -> frozenset[bytes]:
        parties = self._state.parties
        return frozenset(each for each in parties if self.has_role(each, Roles.IDENTITY_AUTHORITY))

    def has_role(self, address: bytes, role: Roles) -> bool:
        """Tell whether an address is an active party with this role."""
        return has_role(self._state.parties.get(address), role)

    def provider(self, dataset: bytes) -> bytes | None:
        known = self._state.datasets.get(dataset)
        return None if known is None else known.provider

    def is_stated(self, authorization: bytes) -> bool:
        """Tell whether the statement of an authorization was shown, and is right."""
        known = self._state.authorizations.get(authorization)
        return known is not None and bool(known.is_stated)

    def take_statement(self, authorization: bytes, record: Authorization) -> None:
        """Check the signed record of an authorization, and remember that it is right; of the text nothing.

        Raises:
            LedgerError: The statement does not say what is authorized, or it is another record.
        """
        known = self._state.authorizations[authorization]
        verify_consent(record, authorization, names_at_grant(self._state, known))
        known.is_stated = True

    def apply(self, event: Event) -> None:
        """Take one event; events come in the chain's order, each once.

        Raises:
            ImpossibleEventError: No contract can have emitted it after what came before.
        """
        if isinstance(event, Accessed):
            self._follow(event, event.sequence - 1)
            self._accesses.add(event)
            self._sequence = event.sequence
        elif isinstance(event, Recorded):
            self._follow(event, event.sequence)
            self._sequence = event.sequence
        elif isinstance(event, AccessVoided):
            # Uses are not counted here, so whether one could be given back is the chain's word.
            require_next(self._state, event)
            self._state.voided.add((event.authorization, event.sequence))
            chain_on(self._state, event)
        elif not isinstance(event, BatchSkipped):  # of which nothing came
            follow(self._state, event)
            if isinstance(event, Published):
                place = (event.block.number, event.log_index)
                self._places.setdefault(event.dataset, []).append(place)

    def count(self, contract: bytes) -> int:
        """Return how many events of one of the four contracts that number theirs were applied."""
        chain = self._state.chains.get(contract)
        return 0 if chain is None else chain.count

    @property
    def sequence(self) -> int | None:
        """Number of the last access that was applied; None before the first."""
        return self._sequence

    def reach(self, block: Block) -> None:
        """Note that all events up to this block were applied, and forget what its time lets go."""
        self._block = block
        gone = self._accesses.forget_before(block.timestamp - self._window)
        self._first_block = max(self._first_block, gone + 1)

    def _follow(self, event: Event, last: int) -> None:
        # What is read first may have any number: older accesses are not read.
        if self._sequence not in (None, last):
            raise ImpossibleEventError(event, f"after access {self._sequence}, not {last}")

    def _schema(self, dataset: bytes) -> Schema | None:
        if dataset not in self._schemas:
            names = self._state.datasets[dataset].fields
            try:
                self._schemas[dataset] = Schema(dataset, names)
            except MalformedError:
                self._schemas[dataset] = None  # nothing can be encrypted under these names
        return self._schemas[dataset]
