"""How a service of ours listens: uvicorn, with limits on what a connection may hold and for how long.

uvicorn waits for ever for a request that does not come to its end and for a client that does not take
its answer, and keeps a head of any size: some thousand connections hold all that a process may open, one
fills its memory. Bodies have limits of their own (`ledger.service.request_body`).
"""

import asyncio
import gc
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_YOUNG: Final = 50_000
"""Objects made since the collector's last look after which the next one comes; Python's own 700 are one access's."""
_BACKLOG: Final = 2_048
_FAILED: Final = 1
_STOP: Final = (signal.SIGTERM, signal.SIGINT)
_TOO_LARGE: Final = (
    b'{"type":"urn:quancheng:problem:head-too-large","title":"The head of the request is too large",'
    b'"status":431,"detail":"send fewer or shorter header fields"}'
)
_HEAD_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/problem+json\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%s"
) % (len(_TOO_LARGE), _TOO_LARGE)


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What one connection may hold, and for how long."""

    head_timeout: float = 10.0
    """Seconds from the beginning of a connection or request, or from an answer to what is left of its request,
    to the end of the next head."""
    head_bytes: int = 64 * 1024
    """Bytes of a request's head at most; also of what else comes and is no body."""
    answer_timeout: float = 30.0
    """Seconds for which a client may take nothing of an answer that waits for it."""
    connections: int = 4_000
    """At once. Beyond, the one that has waited longest with an unfinished head is cut off, so that idle ones
    keep nobody out."""
    shutdown_grace: float = 10.0
    """Seconds for requests under way when the process is told to stop."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one. `OSError` says where it cannot, and why."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        reason = error.strerror or str(error)
        raise OSError(f"{host}:{port} cannot be listened on: {reason}") from error
    return listening


def serve(
    app: ASGIApp,
    listening: socket.socket,
    limits: ServerLimits,
    failure: Callable[[], BaseException | None],
) -> int:
    """Serve until SIGTERM or SIGINT, finishing requests under way; return the exit status.

    Raises:
        Exception: `failure()`, which kept the app from starting: the server does not hand it
            on.
    """
    server = _Server(server_config(app, limits))
    _settle_collector()
    with listening, suppress(SystemExit):  # uvicorn's, when the app does not start
        server.run(sockets=[listening])
    cause = failure()
    if cause is not None:
        raise cause from cause.__cause__
    return 0 if server.started else _FAILED


def _settle_collector() -> None:
    """Leave what exists now out of the garbage collector's sight: a busy gateway spent a tenth of its time on it."""
    gc.freeze()  # without a collection first: that would be 0.15 s of a start, for little
    gc.enable()  # the process may have started without
    gc.set_threshold(_YOUNG, 20, 20)


def server_config(app: ASGIApp, limits: ServerLimits) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_protocol(limits),
        ws="none",
        log_config=None,
        proxy_headers=False,
        access_log=False,
        server_header=False,
        date_header=False,
        lifespan="on",
        timeout_graceful_shutdown=int(limits.shutdown_grace),
    )


class _Server(uvicorn.Server):
    """Ends with status 0 after an orderly stop; uvicorn's own raises the signal once more."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in _STOP}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _protocol(limits: ServerLimits) -> type[HttpToolsProtocol]:
    room = min(limits.connections, _openable())

    class Limited(LimitedProtocol):
        connection_limits = limits
        most_connections = room
        unfinished: dict[LimitedProtocol, None] = {}  # noqa: RUF012  of all connections of one server

    return Limited


def _openable() -> int:
    """Return how many connections this process may have, after asking for all that it is given."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    now, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Files, the database and our own questions to others need some too.
    return now * 3 // 4


class LimitedProtocol(HttpToolsProtocol):
    """One connection. Cut off when a head is too long, takes too long, or an answer is not taken."""

    connection_limits: ServerLimits
    most_connections: int
    unfinished: dict["LimitedProtocol", None]
    """Connections that wait for the end of a head, who has waited longest first."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head: asyncio.TimerHandle | None = None
        self._answer: asyncio.TimerHandle | None = None
        self._unread = 0
        """Bytes that came since the last that was of use: the parser holds them, or skips them."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()
        if len(self.connections) > self.most_connections and self.unfinished:
            next(iter(self.unfinished)).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_no_head()
        _cancel(self._answer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unread += len(data)
        super().data_received(data)
        if self._unread > self.connection_limits.head_bytes:
            self._refuse_head()

    def on_message_begin(self) -> None:
        """A connection may be idle until here, and from here as long again."""
        super().on_message_begin()
        self._expect_head()

    def on_headers_complete(self) -> None:
        if self._unread > self.connection_limits.head_bytes:  # else the head cannot be longer
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > self.connection_limits.head_bytes:
                raise ValueError("the head is too large")  # ends the parsing
        self._unread = 0
        self._expect_no_head()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unread = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """What is left of the request, and the next head, come in time or not at all."""
        super().on_response_complete()
        is_idle = self.timeout_keep_alive_task is not None  # else a request behind it goes on
        if is_idle and self._head is None:
            self._expect_head()

    def send_400_response(self, msg: str) -> None:
        if self._unread > self.connection_limits.head_bytes:
            self._refuse_head()
        else:
            super().send_400_response(msg)

    def pause_writing(self) -> None:
        """The client takes less than it is sent."""
        super().pause_writing()
        seconds = self.connection_limits.answer_timeout
        self._answer = self.loop.call_later(seconds, self.transport.abort)

    def resume_writing(self) -> None:
        _cancel(self._answer)
        super().resume_writing()

    def _refuse_head(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(_HEAD_TOO_LARGE)
            self.transport.close()

    def _expect_head(self) -> None:
        self._expect_no_head()
        seconds = self.connection_limits.head_timeout
        self._head = self.loop.call_later(seconds, self.transport.abort)
        self.unfinished[self] = None

    def _expect_no_head(self) -> None:
        _cancel(self._head)
        self._head = None
        self.unfinished.pop(self, None)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
