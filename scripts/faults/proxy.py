"""A proxy for HTTP that loses answers and sends requests twice: between client and gateway, gateway and node.

It forwards message by message. When it is told to, it hands a request on, lets it be carried out, reads the
answer, and then closes the connection instead of handing it back: the ambiguous case.
"""

import asyncio
import re
import threading
from collections.abc import Coroutine, Sequence
from enum import StrEnum
from typing import Any, Final, TypeVar

from scripts.faults.planning import FaultRunError

T = TypeVar("T")

HOST: Final = "127.0.0.1"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_LIMIT: Final = 64 * 2**20
_START_TIMEOUT: Final = 10.0


class Trick(StrEnum):
    """A fault that the proxy adds to handing a request on."""

    LOSE = "lose the answer"
    TWICE = "send it twice"


class Upstream:
    """A connection to a server, made when it is needed."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> bytes:
        """Send a request and return its answer, both with their heads."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(HOST, self.port, limit=_LIMIT)
        reader, writer = self._streams
        writer.write(request)
        await writer.drain()
        return await read_message(reader)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Proxy:
    """One listening port before one server, or before several in turn.

    Args:
        upstreams: ports of the servers on the loopback.
        wanted: what has to be in a request for a trick to be played on it.
    """

    def __init__(self, upstreams: Sequence[int], wanted: bytes) -> None:
        self.upstreams = tuple(upstreams)
        self.played = 0
        """Requests on which a trick was played."""
        self._wanted = wanted
        self._trick = Trick.LOSE
        self._to_play = 0
        self._turn = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="proxy")
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        self._thread.start()
        self._server = self.run(asyncio.start_server(self._serve, HOST, 0, limit=_LIMIT))
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Close everything."""
        self.run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_TIMEOUT)
        self._loop.close()

    def play(self, trick: Trick, count: int) -> None:
        """Play a trick on the next requests that are wanted."""
        self._trick, self.played, self._to_play = trick, 0, count

    def stop_playing(self) -> None:
        self._to_play = 0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Carry something out in the proxy's own event loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_START_TIMEOUT)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _next(self) -> Upstream:
        self._turn += 1
        return Upstream(self.upstreams[self._turn % len(self.upstreams)])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        upstream = self._next()
        try:
            while True:
                answer = await self.answer(await read_message(reader), upstream)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, FaultRunError, asyncio.CancelledError):
            pass  # whoever is gone: the other one sees a closed connection, as without a proxy
        finally:
            upstream.close()
            writer.close()

    async def answer(self, request: bytes, upstream: Upstream) -> bytes | None:
        """Return what to hand back; None for nothing but a closed connection."""
        if not self._to_play or self._wanted not in request:
            return await upstream.ask(request)
        self._to_play -= 1
        if self._trick is Trick.TWICE:
            answer = await self._ask_twice(request, upstream)
        else:
            await upstream.ask(request)
            answer = None
        self.played += 1
        return answer

    async def _ask_twice(self, request: bytes, upstream: Upstream) -> bytes:
        other = self._next()
        try:
            answers = await asyncio.gather(
                upstream.ask(request), other.ask(request), return_exceptions=True
            )
        finally:
            other.close()
        first = answers[0]
        if isinstance(first, BaseException):
            raise first
        return first


async def read_message(reader: asyncio.StreamReader) -> bytes:
    """Return one HTTP message: head and body as they came.

    Raises:
        IncompleteReadError: the connection ended.
        FaultRunError: it is longer than anything that is sent here.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        if _CHUNKED.search(head):
            return head + await _read_chunks(reader)
    except asyncio.LimitOverrunError as error:
        raise FaultRunError("a head without an end") from error
    length = _LENGTH.search(head)
    return head + (await reader.readexactly(int(length[1])) if length else b"")


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        parts += [line, await reader.readexactly(size + 2)]
        if not size:
            return b"".join(parts)
