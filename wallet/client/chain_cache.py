"""What the own node said and will not say differently: events in final blocks.

Accesses of one batch share a transaction, and accesses to one dataset share its publications: opening
many answers asks the node for each of these once.
"""

from collections import OrderedDict
from collections.abc import Collection
from typing import Any, Final

import msgspec

from ledger.api import RecordedAccess, SignedLink
from ledger.chain import contract_reads, eth_methods
from ledger.chain.contract_reads import Standing
from ledger.chain.events import Accessed, LinksEnded, Published
from ledger.chain.events.decoder import EventDecoder, plan_for
from ledger.chain.log_reader import LogReader, timed
from ledger.chain.rpc import Call
from ledger.encoding import Schema
from ledger.hexstr import to_hex
from ledger.links import LinkBounds
from ledger.model import Roles
from ledger.typed_data import SubjectLink
from wallet.client import chain, datasets
from wallet.client.calls import at_node, look, look_all
from wallet.client.errors import ErrorKind, NodeError
from wallet.client.party import ChainAccess
from wallet.links import RememberedLinks

_MAX_TRANSACTIONS: Final = 256


class RecordedAccesses(msgspec.Struct, frozen=True):
    """The accesses that a transaction recorded, by the place of their log."""

    block_number: int
    events: dict[int, Accessed]


class _Publications(msgspec.Struct, frozen=True):
    reached: int
    events: tuple[Published, ...]


_NO_PUBLICATIONS: Final = _Publications(-1, ())


class _Authority(msgspec.Struct, frozen=True):
    successor: bytes
    standing: Standing

    @property
    def is_active(self) -> bool:
        return self.standing.active and Roles.IDENTITY_AUTHORITY in self.standing.roles


class _Subject(msgspec.Struct, frozen=True):
    registrar: bytes
    links_from: int


class _People(msgspec.Struct):
    """What says which links count.

    Replaced by an empty one when something of it may have changed: an answer that is under way then is not
    remembered as news.
    """

    subjects: dict[bytes, _Subject] = {}
    authorities: dict[bytes, _Authority] = {}


class ChainCache:
    """Remembers what final blocks hold. For one deployment; not for several threads at once."""

    def __init__(self) -> None:
        self._transactions: OrderedDict[bytes, RecordedAccesses] = OrderedDict()
        self._publications: dict[bytes, _Publications] = {}
        self._schemas: dict[bytes, Schema] = {}
        self._people = _People()
        self._people_reached = -1
        """Block up to which nothing of it has changed."""
        self._links: RememberedLinks | None = None
        self._final = -1
        """Newest block of which the node said that it is final."""

    async def accesses(self, ledger: ChainAccess, transaction: bytes) -> RecordedAccesses | None:
        """Return the accesses that a transaction recorded; None when it is in no final block."""
        found = self._transactions.get(transaction)
        if found is not None:
            return found
        receipt = await look(eth_methods.receipt(transaction))
        if receipt is None or not (await self._is_final(ledger, receipt.block_number)):
            return None
        decoder = EventDecoder(ledger.deployment.contracts)
        access_log = to_hex(ledger.deployment.contracts.access_log)
        events: dict[int, Accessed] = {}
        logs = tuple([log for log in receipt.logs if log.address == access_log])
        for event in decoder.decode_all(await at_node(timed, logs)):
            if isinstance(event, Accessed):
                events[event.log_index] = event
        found = RecordedAccesses(receipt.block_number, events)
        self._transactions[transaction] = found
        while len(self._transactions) > _MAX_TRANSACTIONS:
            self._transactions.popitem(last=False)
        return found

    async def publications(
        self, ledger: ChainAccess, dataset: bytes, block: int
    ) -> tuple[Published, ...]:
        """Return a dataset's publications, at least those up to a final block."""
        found = self._publications.get(dataset, _NO_PUBLICATIONS)
        if found.reached < block:
            await self._is_final(ledger, block)
            reached, last = found.reached, self._final
            new = await chain.events(ledger, Published, (dataset,), after=reached, last=last)
            found = _Publications(last, found.events + new)
            self._publications[dataset] = found
        return found.events

    async def schema(self, ledger: ChainAccess, dataset: bytes) -> Schema:
        """Return the fields of a dataset, which never change."""
        if dataset not in self._schemas:
            names = (await datasets.registered(ledger, dataset)).fields
            self._schemas[dataset] = Schema(dataset, names)
        return self._schemas[dataset]

    async def learn_subjects(
        self, ledger: ChainAccess, subjects: Collection[bytes], block: int
    ) -> None:
        """Ask at once what `link_bounds` needs of many subjects, as of a final block or later."""
        await self._learn(ledger, subjects, block)

    # Returned, not read again: another task may forget people in the meantime.
    async def _learn(self, ledger: ChainAccess, subjects: Collection[bytes], block: int) -> _People:
        await self._notice_changes(ledger, block)
        known, contracts = self._people, ledger.deployment.contracts
        new = [subject for subject in dict.fromkeys(subjects) if subject not in known.subjects]
        states = await look_all([contract_reads.subject_of(contracts, subject) for subject in new])
        for subject, state in zip(new, states, strict=True):
            known.subjects[subject] = _Subject(state.registrar, state.links_from)
        registrars = {known.subjects[subject].registrar for subject in subjects}
        await _learn_authorities(ledger, known, registrars)
        successors = {known.authorities[registrar].successor for registrar in registrars}
        await _learn_authorities(ledger, known, successors)
        return known

    async def _notice_changes(self, ledger: ChainAccess, block: int) -> None:
        """Forget people and authorities if an event up to a block may have changed what counts of them."""
        if block <= self._people_reached:
            return
        await self._is_final(ledger, block)
        before, last = self._people_reached, self._final
        if await _people_changed(ledger, before + 1, last):
            self._people = _People()
        self._people_reached = max(self._people_reached, last)

    async def link_bounds(
        self, ledger: ChainAccess, subject: bytes, recorded: RecordedAccess
    ) -> LinkBounds:
        """Return which links of a subject count, as of an access's block or later.

        An end of links that came after the access is none for it.
        """
        known = await self._learn(ledger, (subject,), recorded.block_number)
        found = known.subjects[subject]
        may = (found.registrar, known.authorities[found.registrar].successor)
        active = [authority for authority in may if known.authorities[authority].is_active]
        ended = found.links_from if found.links_from <= recorded.timestamp else 0
        return LinkBounds(active, ended)

    def signer(self, ledger: ChainAccess, link: SignedLink) -> bytes:
        """Return who signed a link.

        Raises:
            SigningError: no account can have made this signature.
        """
        if self._links is None:
            self._links = RememberedLinks(ledger.deployment.domain_of(SubjectLink))
        return self._links.signer(link.link, link.signature)

    async def _is_final(self, ledger: ChainAccess, block: int) -> bool:
        if block > self._final:
            self._final = max(self._final, (await chain.final_number(ledger)))
        return block <= self._final


async def _learn_authorities(
    ledger: ChainAccess, known: _People, authorities: Collection[bytes]
) -> None:
    contracts = ledger.deployment.contracts
    new = [authority for authority in authorities if authority not in known.authorities]
    calls: list[Call[Any]] = [
        contract_reads.successor_of(contracts, authority) for authority in new
    ]
    calls += [contract_reads.standing_of(contracts, authority) for authority in new]
    answers = await look_all(calls)
    halves = answers[: len(new)], answers[len(new) :]
    for authority, successor, standing in zip(new, *halves, strict=True):
        known.authorities[authority] = _Authority(successor, standing)


async def _people_changed(ledger: ChainAccess, first: int, last: int) -> bool:
    """Tell whether blocks may hold an event that changes which links count."""
    contracts = ledger.deployment.contracts
    readers = (
        LogReader([contracts.registry]),
        LogReader([contracts.authorizations], [[plan_for(LinksEnded).topic]]),
    )
    # What one question does not answer is not looked for: everything is asked anew then.
    if any(reader.reach(first, last) < last for reader in readers):
        return True
    try:
        return any(await look_all([reader.ask(first, last) for reader in readers]))
    except NodeError as error:
        if error.kind != ErrorKind.NODE_REFUSED:
            raise
        return True
