"""Reading the chain on the party's own node: events by kind, and what follows from them."""

from collections.abc import Sequence
from functools import cache
from typing import Final, TypeVar

from ledger import queries
from ledger.events import Event, EventDecoder, Log, with_timestamp
from ledger.events.plans import PLANS, Plan
from wallet.client.errors import NodeError
from wallet.client.steps import Steps, look
from wallet.client.transactions import Ledger

E = TypeVar("E", bound=Event)

_LEAST_SPAN: Final = 1000
"""Blocks; a node that refuses so few refuses for another reason."""


def events(
    ledger: Ledger,
    kind: type[E],
    topics: Sequence[bytes | None] = (),
    *,
    after: int = -1,
    last: int | None = None,
) -> Steps[tuple[E, ...]]:
    """Return all events of a kind since the deployment, in order.

    Args:
        ledger: the contracts.
        kind: class of the events.
        topics: values of the first indexed attributes; None for any.
        after: newest block that need not be looked at.
        last: newest block to look at; the newest final one when None.

    Raises:
        NodeError: the node cannot be asked.
        MissingNodeError: there is none.
    """
    plan, contract = _plan(kind)
    address = getattr(ledger.deployment.contracts, contract)
    wanted = [[plan.topic], *([None if one is None else [one] for one in topics])]
    newest = last if last is not None else (yield from final_number(ledger))
    logs: list[Log] = []
    first, span = max(ledger.deployment.block_number, after + 1), newest
    while first <= newest:
        end = min(first + span, newest)
        try:
            logs += yield from look(queries.logs(first, end, (address,), wanted))
        except NodeError:
            if span <= _LEAST_SPAN:
                raise
            span //= 8  # some nodes limit blocks or events in one answer
        else:
            first = end + 1
    decoder = EventDecoder(ledger.deployment.contracts)
    found = []
    for log in logs:
        event = decoder.decode((yield from timed(log)))
        if isinstance(event, kind):
            found.append(event)
    return tuple(found)


def final_number(ledger: Ledger) -> Steps[int]:
    """Return the number of the newest final block."""
    newest = yield from look(queries.block(ledger.finality.tag))
    return -1 if newest is None else ledger.finality.final_number(newest)


def timed(log: Log) -> Steps[Log]:
    """Return a log with its block's timestamp, which some nodes leave out."""
    if log.block_timestamp is not None:
        return log
    block = yield from look(queries.block(int(log.block_number, 16)))
    if block is None:
        raise NodeError(f"the node has no block {int(log.block_number, 16)}")
    return with_timestamp(log, block.timestamp)


@cache
def _plan(kind: type[Event]) -> tuple[Plan, str]:
    for contract, plans in PLANS.items():
        for plan in plans:
            if plan.event is kind:
                return plan, contract
    raise NodeError(f"{kind.__name__} is not an event that is looked for this way")
