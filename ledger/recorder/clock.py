"""The embedded chain's clock: what it lost is mined again at the times at which it was.

Only anvil's clock can be set (`evm_setTime`, seconds since 1970, back and forth); no other node has that.
"""

import time
from typing import Final

import msgspec

from ledger import queries
from ledger.chain import Finality, final_block
from ledger.rpc import AsyncRpc, Call

_BEHIND: Final = 5


async def set_clock(rpc: AsyncRpc, timestamp: int) -> None:
    """Let the next blocks be of this time, and those after them of later ones.

    If there are blocks of a later time already, the next ones are of that: anvil would make blocks that are
    older than the ones before them.

    Raises:
        RpcError: the node cannot be asked, or has no clock that can be set.
    """
    newest = await rpc.send(queries.block("latest"))
    least = newest.timestamp if newest is not None else 0
    await rpc.send(Call("evm_setTime", (max(timestamp, least),), _ignore))


async def catch_up(rpc: AsyncRpc, finality: Finality) -> None:
    """Set the clock to now if it may have been left in the past. One that is ahead stays so.

    Raises:
        RpcError: as `set_clock`.
    """
    newest, now = await final_block(rpc, finality), int(time.time())
    if newest is not None and newest.timestamp < now - _BEHIND:
        await set_clock(rpc, now)


def _ignore(_raw: msgspec.Raw) -> None:
    return None
