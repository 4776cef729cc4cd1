"""A regulator's acts on chain."""

from ledger import contracts
from ledger.enumerations import Change, VoidGround
from ledger.events import GrantTerms
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


def countersign_order(ledger: Ledger, key: PartyKey | None, order: bytes) -> Steps[Mined]:
    """Put an order in force that opens a dataset."""
    return (yield from transact(ledger, key, contracts.countersign_order(order)))


def end_order(ledger: Ledger, key: PartyKey | None, order: bytes, reason: str) -> Steps[Mined]:
    """End any order before its time; the reason is public for ever."""
    return (yield from transact(ledger, key, contracts.end_order(order, reason)))


def veto_admission(ledger: Ledger, key: PartyKey | None, party: bytes, reason: str) -> Steps[Mined]:
    """Stop an announced admission before it is due."""
    return (yield from transact(ledger, key, contracts.veto_admission(party, reason)))


def veto_change(
    ledger: Ledger,
    key: PartyKey | None,
    change: Change,
    first: bytes,
    second: bytes,
    reason: str,
) -> Steps[Mined]:
    """Stop an announced change before it is due; `first` and `second` as it was announced."""
    return (yield from transact(ledger, key, contracts.veto_change(change, first, second, reason)))


def appoint_supervisor(ledger: Ledger, key: PartyKey | None, supervisor: bytes) -> Steps[Mined]:
    """Let a machine suspend agreements for 30 minutes each."""
    return (yield from transact(ledger, key, contracts.appoint_supervisor(supervisor)))


def dismiss_supervisor(ledger: Ledger, key: PartyKey | None, supervisor: bytes) -> Steps[Mined]:
    """Take a supervisor's appointment back."""
    return (yield from transact(ledger, key, contracts.dismiss_supervisor(supervisor)))


def review_suspension(
    ledger: Ledger, key: PartyKey | None, agreement: bytes, until: int, findings: str
) -> Steps[Mined]:
    """Look at a suspension: it goes on until then, never longer, or ends if that is past."""
    call = contracts.review_suspension(agreement, until, findings)
    return (yield from transact(ledger, key, call))


def void_access(
    ledger: Ledger,
    key: PartyKey | None,
    sequence: int,
    terms: GrantTerms,
    seen: int,
    last_use: int,
    ground: VoidGround,
    reason: str,
) -> Steps[Mined]:
    """Give back one use that was recorded and never served.

    Args:
        ledger: the contracts.
        key: the regulator's.
        sequence: number of the access.
        terms: the authorization that it used.
        seen: its last use as it was judged by; refused when it is another one.
        last_use: time of the authorization's last access that stands; zero for none.
        ground: why.
        reason: public for ever.
    """
    call = contracts.void_access(sequence, terms, seen, last_use, ground, reason)
    return (yield from transact(ledger, key, call))
