"""Calls that only the embedded chain's node has, so that what it lost is mined again as it was.

Its clock can be set, seconds since 1970, back and forth (`evm_setTime`), and transactions that wait can
be taken back (`anvil_removePoolTransactions`); no other node has that.
"""

import time
from collections.abc import Iterable
from math import ceil
from typing import Final

import msgspec

from ledger import queries
from ledger.chain import Finality, final_block
from ledger.hexes import to_hex
from ledger.rpc import AsyncRpc, Call

_BEHIND: Final = 5
_EXACT: Final = 0.5
"""Seconds that setting the clock may take: by so much it may be behind afterwards, for ever."""
_ATTEMPTS: Final = 20


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
    newest = await final_block(rpc, finality)
    if newest is None or newest.timestamp >= time.time() - _BEHIND:
        return
    for _ in range(_ATTEMPTS):
        now = time.time()
        # Rounded up: what was granted a moment ago would not be valid yet by a clock that is behind.
        await set_clock(rpc, ceil(now))
        if time.time() - now < _EXACT:
            return


async def take_back(rpc: AsyncRpc, senders: Iterable[bytes]) -> None:
    """Let the node forget these accounts' transactions that wait to be mined.

    Raises:
        RpcError: as `set_clock`.
    """
    await rpc.send_many(
        [Call("anvil_removePoolTransactions", (to_hex(each),), _ignore) for each in senders]
    )


def _ignore(_raw: msgspec.Raw) -> None:
    return None
