"""Load on a server that does nothing, from the client that everything else is measured with."""

import asyncio
import time
from typing import Final

from ledger.chain.http_client import HttpClient

_BODY: Final = b"x" * 600
"""As long as a signed access request."""
_TIMEOUT: Final = 10.0
_MOST: Final = 2**20
_IDLE: Final = 4.0


async def knock(url: str, seconds: float, connections: int = 64) -> int:
    """Send requests that mean nothing, one after the other on each connection; return how many."""
    until, answered = time.perf_counter() + seconds, 0
    client = HttpClient(url, timeout=_TIMEOUT, connections=connections, most=_MOST, idle=_IDLE)

    async def work() -> None:
        nonlocal answered
        while time.perf_counter() < until:
            await client.ask("POST", "", _BODY)
            answered += 1

    try:
        await asyncio.gather(*(work() for _ in range(connections)))
    finally:
        await client.close()
    return answered
