"""What the own node said and will not say differently: events in final blocks.

Accesses of one batch share a transaction, and accesses to one dataset share its publications: opening
many answers asks the node for each of these once.
"""

from collections import OrderedDict
from typing import Final

import msgspec

from ledger import queries
from ledger.events import Accessed, EventDecoder, Published
from ledger.hexes import to_hex
from wallet.client import chain, datasets
from wallet.client.steps import Steps, look
from wallet.client.transactions import Ledger

_MOST_TRANSACTIONS: Final = 256


class RecordedAccesses(msgspec.Struct, frozen=True):
    """The accesses that a transaction recorded, by the place of their log."""

    block_number: int
    events: dict[int, Accessed]


class _Publications(msgspec.Struct, frozen=True):
    reached: int
    events: tuple[Published, ...]


class Memory:
    """Remembers what final blocks hold. For one deployment; not for several threads at once."""

    def __init__(self) -> None:
        self._transactions: OrderedDict[bytes, RecordedAccesses] = OrderedDict()
        self._publications: dict[bytes, _Publications] = {}
        self._names: dict[bytes, tuple[str, ...]] = {}

    def accesses(self, ledger: Ledger, transaction: bytes) -> Steps[RecordedAccesses | None]:
        """Return the accesses that a transaction recorded; None when it is in no final block."""
        found = self._transactions.get(transaction)
        if found is not None:
            return found
        receipt = yield from look(queries.receipt(transaction))
        final = yield from chain.final_number(ledger)
        if receipt is None or receipt.block_number > final:
            return None
        decoder = EventDecoder(ledger.deployment.contracts)
        access_log = to_hex(ledger.deployment.contracts.access_log)
        events: dict[int, Accessed] = {}
        for log in receipt.logs:
            if log.address != access_log:
                continue
            event = decoder.decode((yield from chain.timed(log)))
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
        found = self._publications.get(dataset)
        if found is None or found.reached < block:
            final = yield from chain.final_number(ledger)
            events = yield from chain.events(ledger, Published, (dataset,), last=final)
            found = _Publications(final, events)
            self._publications[dataset] = found
        return found.events

    def names(self, ledger: Ledger, dataset: bytes) -> Steps[tuple[str, ...]]:
        """Return the names of a dataset's fields, which never change."""
        if dataset not in self._names:
            self._names[dataset] = (yield from datasets.registered(ledger, dataset)).fields
        return self._names[dataset]
