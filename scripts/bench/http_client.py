"""An HTTP/1.1 client that costs as little as it can, so that what is measured is the server.

One keep-alive connection a worker, one request at a time, answers with a content length only.
"""

import asyncio
import re
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from scripts.bench.bench import BenchError

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_MOST: Final = 64 * 2**20
_BODY: Final = b"x" * 600
"""As long as a signed access request."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer."""

    status: int
    body: bytes


class Connection:
    """One connection to a server.

    Args:
        url: of the server, with the path of all requests.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        head = f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\n"
        self._head = f"{head}content-type: application/json\r\ncontent-length: ".encode()

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(
            self._host, self._port, limit=_MOST
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()

    async def post(self, body: bytes) -> Response:
        """Send a request and wait for its answer.

        Raises:
            BenchError: the answer is none that this client understands.
        """
        self._writer.write(b"%s%d\r\n\r\n%s" % (self._head, len(body), body))
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            if length is None:
                raise BenchError("an answer without a length")
            return Response(int(head[9:12]), await self._reader.readexactly(int(length[1])))
        except asyncio.IncompleteReadError as error:
            raise BenchError("the server closed the connection") from error


async def knock(url: str, seconds: float, connections: int = 64) -> int:
    """Send requests that mean nothing, one after the other on each connection; return how many."""
    until, answered = time.perf_counter() + seconds, 0

    async def work() -> None:
        nonlocal answered
        async with Connection(url) as connection:
            while time.perf_counter() < until:
                await connection.post(_BODY)
                answered += 1

    await asyncio.gather(*(work() for _ in range(connections)))
    return answered
