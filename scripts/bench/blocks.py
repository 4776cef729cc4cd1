"""When blocks were mined, as seen by who waits for them: the node tells of each by itself."""

import asyncio
import bisect
import time
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

_SUBSCRIBE: Final = '{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}'


class BlockClock:
    """Notes when each block came, on the clock of `time.perf_counter`."""

    def __init__(self, url: str) -> None:
        self._url = url.replace("http", "ws", 1)
        self._times: list[float] = []

    async def __aenter__(self) -> Self:
        self._connection = await connect(self._url, max_size=None)
        await self._connection.send(_SUBSCRIBE)
        await self._connection.recv()
        self._task = asyncio.create_task(self._listen(self._connection))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._task.cancel()
        await self._connection.close()

    def after_block(self, began: float, done: float) -> float:
        """Return how much of a span lies behind the first block that came in it."""
        at = bisect.bisect_right(self._times, began)
        return done - self._times[at] if at < len(self._times) else 0.0

    async def _listen(self, connection: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            async for _ in connection:
                self._times.append(time.perf_counter())
