"""Running a service: its log, its socket, and stopping in order."""

import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO, cast

import structlog
import uvicorn
from fastapi import FastAPI

from ledger.lossy import LossyStream
from ledger.steady import settle

_SHUTDOWN: Final = 10
"""Seconds for requests under way when the process is told to stop."""

_FAILED: Final = 1
_STOP: Final = (signal.SIGTERM, signal.SIGINT)
_SAYS_NOTHING: Final = "Application startup failed. Exiting."


def configure_log(level: str) -> None:
    """Write the log as JSON lines to standard error.

    No event of these services holds a key, a signature, a payload or a person's data.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine())
    handler.addFilter(lambda record: record.getMessage() != _SAYS_NOTHING)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", LossyStream(sys.stderr))),
        cache_logger_on_first_use=True,
    )


def serve(app: FastAPI, host: str, port: int) -> int:
    """Serve until SIGTERM or SIGINT; requests under way are finished. Return the exit status."""
    server = _Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_SHUTDOWN,
        )
    )
    settle()
    try:
        server.run()
    except SystemExit:
        # The port is taken: the server has said so.
        return _FAILED
    except KeyboardInterrupt:
        return 0
    return 0 if server.started else _FAILED


class _Server(uvicorn.Server):
    """Ends with status 0 after an orderly stop; uvicorn's own raises the signal once more."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop in order on SIGTERM and SIGINT."""
        before = {one: signal.signal(one, self.handle_exit) for one in _STOP}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)


class _OneLine(logging.Formatter):
    """The last line of a message: of a trace, the error itself without the way to it."""

    def format(self, record: logging.LogRecord) -> str:
        lines = [line for line in record.getMessage().splitlines() if line.strip()]
        return (lines or [""])[-1].strip()
