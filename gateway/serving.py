"""How the gateway listens: uvicorn, with time limits on clients that are slow to send or to read.

uvicorn waits for ever for a request that does not come to its end and for a client that does not take
its answer: some thousand such connections would hold all that a process may open. Bodies have a limit of
their own (`gateway.bodies`).
"""

import asyncio
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.settings import Settings


def server_config(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    """Return how a gateway is served."""
    return uvicorn.Config(
        app,
        http=_protocol(settings.head_timeout, settings.answer_timeout),
        ws="none",
        log_config=None,
        proxy_headers=False,
        access_log=False,
        server_header=False,
        date_header=False,
        lifespan="on",
        timeout_graceful_shutdown=int(settings.shutdown_grace),
    )


def _protocol(head_timeout: float, answer_timeout: float) -> type[HttpToolsProtocol]:
    class Limited(LimitedProtocol):
        head_seconds = head_timeout
        answer_seconds = answer_timeout

    return Limited


class LimitedProtocol(HttpToolsProtocol):
    """One connection. Cut off when a request's head takes too long, or an answer is not taken."""

    head_seconds: float
    answer_seconds: float

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head: asyncio.TimerHandle | None = None
        self._answer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        _cancel(self._head)
        _cancel(self._answer)
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """See httptools. Between two requests the time is uvicorn's, which closes idle connections."""
        super().on_message_begin()
        if self._head is None:
            self._expect_head()

    def on_headers_complete(self) -> None:
        """See httptools."""
        _cancel(self._head)
        self._head = None
        super().on_headers_complete()

    def pause_writing(self) -> None:
        """See asyncio: the client takes less than it is sent."""
        super().pause_writing()
        self._answer = self.loop.call_later(self.answer_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """See asyncio."""
        _cancel(self._answer)
        super().resume_writing()

    def _expect_head(self) -> None:
        self._head = self.loop.call_later(self.head_seconds, self.transport.abort)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
