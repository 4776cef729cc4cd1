"""Reading the chain on the party's own node: events by kind, and what follows from them."""

from collections.abc import Sequence
from functools import cache
from typing import TypeVar

from ledger.chain import eth_methods
from ledger.chain.events import Event
from ledger.chain.events.decoder import PLANS, EventDecoder, Plan
from ledger.chain.log_reader import LogReader, next_part
from wallet.client.calls import at_node, look
from wallet.client.errors import NodeError
from wallet.client.party import ChainAccess

E = TypeVar("E", bound=Event)


async def events(
    ledger: ChainAccess,
    kind: type[E],
    topics: Sequence[bytes | None] = (),
    *,
    after: int = -1,
    last: int | None = None,
) -> tuple[E, ...]:
    """Return all events of a kind since the deployment, in order.

    Args:
        ledger: the contracts.
        kind: class of the events.
        topics: values of the first indexed attributes; None for any.
        after: newest block that need not be looked at.
        last: newest block to look at; the newest final one when None.

    Raises:
        NodeError: the node cannot be asked.
        ClientError: there is none.
    """
    plan, contract = _plan(kind)
    wanted = [[plan.topic], *([None if value is None else [value] for value in topics])]
    reader = LogReader((getattr(ledger.deployment.contracts, contract),), wanted)
    newest = last if last is not None else (await final_number(ledger))
    first = max(ledger.deployment.block_number, after + 1)
    decoder = EventDecoder(ledger.deployment.contracts)
    matching: list[E] = []
    while first <= newest:
        part = await at_node(next_part, reader, first, newest)
        matching += [event for event in decoder.decode_all(part.logs) if isinstance(event, kind)]
        first = part.last + 1
    return tuple(matching)


async def final_number(ledger: ChainAccess) -> int:
    """Return the number of the newest final block."""
    newest = await look(eth_methods.block(ledger.finality.tag))
    return -1 if newest is None else ledger.finality.final_number(newest.number)


@cache
def _plan(kind: type[Event]) -> tuple[Plan, str]:
    for contract, plans in PLANS.items():
        for plan in plans:
            if plan.event is kind:
                return plan, contract
    raise NodeError(f"{kind.__name__} is not an event that is looked for this way")
