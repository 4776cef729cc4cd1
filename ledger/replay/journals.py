"""The chain compared with the journals of gateways and keyholders.

A gateway's journal has an entry with the consumer's signature for every access that it recorded,
allowed or denied: the chain does not see signatures, so this is where an invented access shows. A
keyholder's journal says what it released. Both may be asked for by the regulator at any time.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from ledger.answer_keys import is_committed
from ledger.consents import names_at_grant, verify_consent
from ledger.entities import State
from ledger.enumerations import Outcome
from ledger.errors import LedgerError
from ledger.events import Accessed, Block
from ledger.hexes import to_hex
from ledger.keccak import keccak256
from ledger.replay.entries import (
    Journal,
    JournalEnd,
    JournalFault,
    Place,
    ReleaseEntry,
    merged,
)
from ledger.replay.releases import ReleaseJudge
from ledger.replay.report import Finding, Kind, finding_at
from ledger.replay.seats import Seats
from ledger.replay.signatures import Call, Signature, SignatureChecks, united, unsigned
from ledger.replay.uses import NOTHING, Compared, Reached, Uses
from ledger.typed_data import AccessRequest, Authorization, Domain, struct_hash, type_hash

_REQUEST: Final = type_hash(AccessRequest)


def access_id(event: Accessed) -> bytes:
    """Return the struct hash of the request that an access answers, from the event alone."""
    return keccak256(
        b"".join(
            (
                _REQUEST,
                bytes(12),
                event.consumer,
                event.basis,
                event.item,
                event.data[:64],
                event.deadline.to_bytes(32, "big"),
            )
        )
    )


class JournalComparison:
    """Goes along with a replay, access by access; memory is flat."""

    def __init__(
        self,
        domain: Domain,
        journals: Sequence[Journal],
        releases: ReleaseJudge,
        state: State,
        uses: Uses,
        seats: Seats,
    ) -> None:
        """Open the journals: without any nothing is compared.

        `state` and `uses` are always those after the events so far.
        """
        self._state = state
        self._judge = releases
        self.names = tuple(journal.name for journal in journals)
        self.releases = 0
        self.compared = NOTHING
        """Of the access that came last, if all signatures are the consumer's."""
        self.statements = 0
        self.noted: dict[tuple[int, bytes], str] = {}
        """Blocks that keyholders noted, and the journal that has each first."""
        self._domain = domain
        self._journals = journals
        self._seats = seats
        self._owners = [journal.owner for journal in journals]
        self._newest: list[tuple[int, bytes] | None] = [None] * len(journals)
        self._bounds = [0] * len(journals)
        self._checks = SignatureChecks(domain, journals, uses, self._owners) if journals else None
        self._entries = merged(journals)
        self._next = next(self._entries, None)
        self._call = Call()
        self._repeated: dict[bytes, list[tuple[Accessed, Call]]] = {}
        self._unsigned: list[tuple[Accessed, Call]] = []

    @property
    def signatures(self) -> int:
        """How many accesses have a signature that is the consumer's."""
        return 0 if self._checks is None else self._checks.checked

    def accessed(self, event: Accessed) -> Iterator[Finding]:
        """Compare an access with its entries. Findings may come later."""
        if self._checks is None:
            return
        id_ = access_id(event)
        signatures: list[Signature] = []
        while self._next is not None and self._next[0] <= event.sequence:
            sequence, index, entry = self._taken(self._next)
            source = self.names[index]
            if isinstance(entry, JournalEnd):
                continue
            if isinstance(entry, JournalFault):
                yield _fault(entry, source)
                continue
            if sequence < event.sequence or entry.access != id_:
                yield from _without_record(entry, source)
                continue
            yield from self._matched(event, entry, source)
            self._claim(signatures, entry, index)
        self.compared = united(signatures)
        if event.outcome is Outcome.DUPLICATE_REQUEST:
            # A journal keeps one entry for a request that was recorded twice: at the first.
            self._repeated.setdefault(id_, []).append((event, self._call))
        elif signatures:
            self._checks.add(event, id_, tuple(signatures), self._call)
        else:
            self.compared = Compared(reported=True)
            self._unsigned.append((event, self._call))

    def _claim(self, signatures: list[Signature], entry: ReleaseEntry, index: int) -> None:
        if entry.signature is None:
            return
        known = next((each for each in signatures if each.data == entry.signature), None)
        if known is None:
            known = Signature(entry.signature)
            signatures.append(known)
        known.add(entry, index, self._owners[index], self._seats)

    def _taken(self, place: Place) -> Place:
        """Go on to the next entry, and remember which block this one notes."""
        self._next = next(self._entries, None)
        _, index, entry = place
        noted = None
        if isinstance(entry, JournalEnd):
            noted = (entry.block, entry.block_hash)
            self._owners[index] = self._owners[index] or entry.owner
        elif isinstance(entry, ReleaseEntry) and entry.judged is not None:
            noted = (entry.judged.block, entry.judged.block_hash)
        if noted is not None:
            if self._journals[index].of_keyholder:
                self.noted.setdefault(noted, self.names[index])
            self._newest[index] = max(noted, self._newest[index] or noted)
        return place

    def pass_block(self, block: Block) -> None:
        """Go past a block with events: a journal that notes it or a later one was written after it."""
        for index, newest in enumerate(self._newest):
            if newest is not None and newest[0] >= block.number:
                self._bounds[index] = block.timestamp

    def noted_numbers(self) -> list[int]:
        """Return the numbers of the blocks up to which the journals were written."""
        return [newest[0] for newest in self._newest if newest is not None]

    def reached(self, blocks: Mapping[int, Block] | None) -> Reached:
        """Return up to when the journals tell.

        Args:
            blocks: Those of `noted_numbers` that the node has. None without a node: then a block's time
                is that of the last one with events, at least.
        """
        keyholders: dict[bytes, int] = {}
        gateways: dict[bytes, int] = {}
        for index, journal in enumerate(self._journals):
            owner, newest, time = self._owners[index], self._newest[index], self._bounds[index]
            if owner is None or newest is None:
                continue
            if blocks is not None:
                block = blocks.get(newest[0])
                time = block.timestamp if block is not None and block.hash == newest[1] else 0
            times = keyholders if journal.of_keyholder else gateways
            times[owner] = max(time, times.get(owner, 0))
        return Reached(keyholders, gateways)

    def recorded(self, recorder: bytes | None) -> Iterator[Finding]:
        """End a call: findings about its accesses can name the recorder now."""
        self._call.recorder = recorder
        self._call = Call()
        for event, call in self._unsigned:
            yield unsigned(event, call)
        self._unsigned.clear()
        if self._checks is not None:
            yield from self._checks.go_on()

    def finish(self) -> Iterator[Finding]:
        """End the trail: entries that are left belong to no access."""
        yield from self.recorded(None)
        while self._next is not None:
            _, index, entry = self._taken(self._next)
            if isinstance(entry, JournalFault):
                yield _fault(entry, self.names[index])
            elif isinstance(entry, ReleaseEntry):
                yield from _without_record(entry, self.names[index])
        if self._checks is None:
            return
        self._find_repeated(self._checks)
        for waiting in self._repeated.values():
            for event, call in waiting:
                yield unsigned(event, call)
        yield from self._checks.finish()
        self._checks.close()

    def _matched(self, event: Accessed, entry: ReleaseEntry, source: str) -> Iterator[Finding]:
        if entry.transaction is not None and entry.transaction != event.transaction:
            problem = f"the journal has it in transaction {to_hex(entry.transaction)}"
            yield finding_at(
                event,
                Kind.ENTRY_WITHOUT_RECORD,
                problem,
                sequence=event.sequence,
                source=source,
            )
        if entry.authorization is not None:
            yield from self._stated(event, entry.authorization, source)
        if not entry.released:
            return
        if entry.key is None or not is_committed(
            self._domain, event.consumer, event.nonce, entry.key
        ):
            yield finding_at(
                event,
                Kind.OTHER_KEY,
                "released to a key to which the request's nonce does not commit",
                sequence=event.sequence,
                source=source,
            )
        if event.outcome is Outcome.ALLOWED:
            self.releases += 1
            if entry.judged is not None:
                yield from self._judge.note(event, entry.judged, source)
            return
        problem = f"released, but the access is denied: {event.outcome.title}"
        yield finding_at(
            event,
            Kind.RELEASE_WITHOUT_RECORD,
            problem,
            sequence=event.sequence,
            source=source,
        )

    def _stated(self, event: Accessed, record: Authorization, source: str) -> Iterator[Finding]:
        """Check what a person signed, once for each authorization."""
        authorization = self._state.authorizations.get(event.basis)
        if authorization is None or authorization.is_stated is not None:
            return
        if struct_hash(record) != event.basis:
            problem = f"access {event.sequence} rests on another record than it tells of"
            yield _fault(JournalFault(problem), source)
            return
        try:
            verify_consent(record, event.basis, names_at_grant(self._state, authorization))
        except LedgerError:
            authorization.is_stated = False
            yield finding_at(
                event,
                Kind.WRONG_STATEMENT,
                f"the person did not see what {to_hex(event.basis)} authorizes",
                sequence=event.sequence,
                source=source,
            )
            return
        authorization.is_stated = True
        self.statements += 1

    @property
    def unseen(self) -> int:
        """How many authorizations were used whose statement no journal has."""
        return sum(
            each.was_used and each.is_stated is None for each in self._state.authorizations.values()
        )

    def _find_repeated(self, checks: SignatureChecks) -> None:
        """Take the signatures of requests that were recorded again from wherever a journal has them."""
        if not self._repeated:
            return
        claimed: dict[bytes, list[Signature]] = {}
        for _, index, entry in merged(self._journals):
            if isinstance(entry, ReleaseEntry) and entry.access in self._repeated:
                self._claim(claimed.setdefault(entry.access, []), entry, index)
        for id_, signatures in claimed.items():
            for event, call in self._repeated.pop(id_) if signatures else ():
                checks.add(event, id_, tuple(signatures), call)


def _without_record(entry: ReleaseEntry, source: str) -> Iterator[Finding]:
    kind = Kind.RELEASE_WITHOUT_RECORD if entry.released else Kind.ENTRY_WITHOUT_RECORD
    problem = f"access {to_hex(entry.access)} is not recorded under this number"
    yield Finding(
        kind, problem, transaction=entry.transaction, sequence=entry.sequence, source=source
    )


def _fault(fault: JournalFault, source: str) -> Finding:
    return Finding(Kind.JOURNAL_FAULT, fault.problem, source=source)
