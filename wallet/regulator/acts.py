"""A regulator's acts on chain."""

from ledger import contracts
from wallet.client.party import PartyKey
from wallet.client.steps import Steps
from wallet.client.transactions import Ledger, Mined, transact


def restrict(
    ledger: Ledger, key: PartyKey | None, consumer: bytes, until: int, reason: str
) -> Steps[Mined]:
    """Deny every access of a consumer until a time; the reason is public for ever."""
    return (yield from transact(ledger, key, contracts.restrict(consumer, until, reason)))


def lift(ledger: Ledger, key: PartyKey | None, consumer: bytes, reason: str) -> Steps[Mined]:
    """End a restriction before its time."""
    return (yield from transact(ledger, key, contracts.lift(consumer, reason)))


def review_order(ledger: Ledger, key: PartyKey | None, order: bytes, findings: str) -> Steps[Mined]:
    """Review an emergency order that is over; before, the dataset can have no other one."""
    return (yield from transact(ledger, key, contracts.review_order(order, findings)))
