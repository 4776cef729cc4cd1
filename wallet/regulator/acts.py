"""A regulator's acts on chain."""

from ledger import contracts
from ledger.enumerations import Change, VoidGround
from ledger.events import GrantTerms
from wallet.client.party import PartyKey
from wallet.client.transactions import Ledger, Mined, transact


async def restrict(
    ledger: Ledger, key: PartyKey | None, consumer: bytes, until: int, reason: str
) -> Mined:
    """Deny every access of a consumer until a time; the reason is public for ever."""
    return await transact(ledger, key, contracts.restrict(consumer, until, reason))


async def lift(ledger: Ledger, key: PartyKey | None, consumer: bytes, reason: str) -> Mined:
    """End a restriction before its time."""
    return await transact(ledger, key, contracts.lift(consumer, reason))


async def review_order(ledger: Ledger, key: PartyKey | None, order: bytes, findings: str) -> Mined:
    """Review an emergency order that is over; before, the dataset can have no other one."""
    return await transact(ledger, key, contracts.review_order(order, findings))


async def countersign_order(ledger: Ledger, key: PartyKey | None, order: bytes) -> Mined:
    """Put an order in force that opens a dataset."""
    return await transact(ledger, key, contracts.countersign_order(order))


async def end_order(ledger: Ledger, key: PartyKey | None, order: bytes, reason: str) -> Mined:
    """End any order before its time; the reason is public for ever."""
    return await transact(ledger, key, contracts.end_order(order, reason))


async def veto_admission(ledger: Ledger, key: PartyKey | None, party: bytes, reason: str) -> Mined:
    """Stop an announced admission before it is due."""
    return await transact(ledger, key, contracts.veto_admission(party, reason))


async def veto_change(
    ledger: Ledger,
    key: PartyKey | None,
    change: Change,
    first: bytes,
    second: bytes,
    reason: str,
) -> Mined:
    """Stop an announced change before it is due; `first` and `second` as it was announced."""
    return await transact(ledger, key, contracts.veto_change(change, first, second, reason))


async def appoint_supervisor(ledger: Ledger, key: PartyKey | None, supervisor: bytes) -> Mined:
    """Let a machine suspend agreements for 30 minutes each."""
    return await transact(ledger, key, contracts.appoint_supervisor(supervisor))


async def dismiss_supervisor(ledger: Ledger, key: PartyKey | None, supervisor: bytes) -> Mined:
    """Take a supervisor's appointment back."""
    return await transact(ledger, key, contracts.dismiss_supervisor(supervisor))


async def review_suspension(
    ledger: Ledger, key: PartyKey | None, agreement: bytes, until: int, findings: str
) -> Mined:
    """Look at a suspension: it goes on until then, never longer, or ends if that is past."""
    call = contracts.review_suspension(agreement, until, findings)
    return await transact(ledger, key, call)


async def void_access(
    ledger: Ledger,
    key: PartyKey | None,
    sequence: int,
    terms: GrantTerms,
    seen: int,
    last_use: int,
    ground: VoidGround,
    reason: str,
) -> Mined:
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
    return await transact(ledger, key, call)
