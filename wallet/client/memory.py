"""What the own node said and will not say differently: events in final blocks.

Accesses of one batch share a transaction, and accesses to one dataset share its publications: opening
many answers asks the node for each of these once.
"""

from collections import OrderedDict
from typing import Final

import msgspec

from ledger import queries, views
from ledger.encoding import Schema
from ledger.enumerations import Roles
from ledger.events import Accessed, EventDecoder, Published
from ledger.exchange import RecordedAccess, SignedLink
from ledger.hexes import to_hex
from ledger.links import LinkBounds
from ledger.typed_data import SubjectLink
from ledger.views import Standing
from wallet.client import chain, datasets
from wallet.client.steps import Steps, look
from wallet.client.transactions import Ledger
from wallet.links import RememberedLinks

_MOST_TRANSACTIONS: Final = 256


class RecordedAccesses(msgspec.Struct, frozen=True):
    """The accesses that a transaction recorded, by the place of their log."""

    block_number: int
    events: dict[int, Accessed]


class _Publications(msgspec.Struct, frozen=True):
    reached: int
    events: tuple[Published, ...]


_NO_PUBLICATIONS: Final = _Publications(-1, ())


class _Known(msgspec.Struct, frozen=True):
    reached: int
    standing: Standing


class _Registered(msgspec.Struct, frozen=True):
    reached: int
    authorities: tuple[bytes, ...]
    links_from: int


class Memory:
    """Remembers what final blocks hold. For one deployment; not for several threads at once."""

    def __init__(self) -> None:
        self._transactions: OrderedDict[bytes, RecordedAccesses] = OrderedDict()
        self._publications: dict[bytes, _Publications] = {}
        self._schemas: dict[bytes, Schema] = {}
        self._standings: dict[bytes, _Known] = {}
        self._subjects: dict[bytes, _Registered] = {}
        self._links: RememberedLinks | None = None
        self._final = -1
        """Newest block of which the node said that it is final."""

    def accesses(self, ledger: Ledger, transaction: bytes) -> Steps[RecordedAccesses | None]:
        """Return the accesses that a transaction recorded; None when it is in no final block."""
        found = self._transactions.get(transaction)
        if found is not None:
            return found
        receipt = yield from look(queries.receipt(transaction))
        if receipt is None or not (yield from self._is_final(ledger, receipt.block_number)):
            return None
        decoder = EventDecoder(ledger.deployment.contracts)
        access_log = to_hex(ledger.deployment.contracts.access_log)
        events: dict[int, Accessed] = {}
        logs = tuple([log for log in receipt.logs if log.address == access_log])
        for event in decoder.decode_all((yield from chain.timed(logs))):
            if isinstance(event, Accessed):
                events[event.log_index] = event
        found = RecordedAccesses(receipt.block_number, events)
        self._transactions[transaction] = found
        while len(self._transactions) > _MOST_TRANSACTIONS:
            self._transactions.popitem(last=False)
        return found

    def publications(
        self, ledger: Ledger, dataset: bytes, block: int
    ) -> Steps[tuple[Published, ...]]:
        """Return a dataset's publications, at least those up to a final block."""
        found = self._publications.get(dataset, _NO_PUBLICATIONS)
        if found.reached < block:
            yield from self._is_final(ledger, block)
            reached, last = found.reached, self._final
            new = yield from chain.events(ledger, Published, (dataset,), after=reached, last=last)
            found = _Publications(last, found.events + new)
            self._publications[dataset] = found
        return found.events

    def schema(self, ledger: Ledger, dataset: bytes) -> Steps[Schema]:
        """Return the fields of a dataset, which never change."""
        if dataset not in self._schemas:
            names = (yield from datasets.registered(ledger, dataset)).fields
            self._schemas[dataset] = Schema(dataset, names)
        return self._schemas[dataset]

    def standing(self, ledger: Ledger, party: bytes, block: int) -> Steps[Standing]:
        """Return a party's standing, as of a final block or later."""
        found = self._standings.get(party)
        if found is None or found.reached < block:
            now = yield from look(views.standing_of(ledger.deployment.contracts, party))
            found = self._standings[party] = _Known(block, now)
        return found.standing

    def link_bounds(
        self, ledger: Ledger, subject: bytes, recorded: RecordedAccess
    ) -> Steps[LinkBounds]:
        """Return which links of a subject count, as of an access's block or later.

        An end of links that came after the access is none for it.
        """
        at, block = ledger.deployment.contracts, recorded.block_number
        found = self._subjects.get(subject)
        if found is None or found.reached < block:
            state = yield from look(views.subject_of(at, subject))
            successor = yield from look(views.successor_of(at, state.registrar))
            found = _Registered(block, (state.registrar, successor), state.links_from)
            self._subjects[subject] = found
        active = []
        for authority in found.authorities:
            standing = yield from self.standing(ledger, authority, block)
            if standing.active and Roles.IDENTITY_AUTHORITY in standing.roles:
                active.append(authority)
        ended = found.links_from if found.links_from <= recorded.timestamp else 0
        return LinkBounds(active, ended)

    def signer(self, ledger: Ledger, link: SignedLink) -> bytes:
        """Return who signed a link.

        Raises:
            SigningError: no account can have made this signature.
        """
        if self._links is None:
            self._links = RememberedLinks(ledger.deployment.domain_of(SubjectLink))
        return self._links.signer(link.link, link.signature)

    def _is_final(self, ledger: Ledger, block: int) -> Steps[bool]:
        if block > self._final:
            self._final = max(self._final, (yield from chain.final_number(ledger)))
        return block <= self._final
