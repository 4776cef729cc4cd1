"""Running a service: its socket, and stopping in order."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from fastapi import FastAPI

from ledger.steady import settle

_SHUTDOWN: Final = 10
"""Seconds for requests under way when the process is told to stop."""

_FAILED: Final = 1
_STOP: Final = (signal.SIGTERM, signal.SIGINT)


def serve(app: FastAPI, host: str, port: int) -> int:
    """Serve until SIGTERM or SIGINT; requests under way are finished. Return the exit status.

    Args:
        app: Of `wallet.service.app.make_app`.
        host: Name or address to listen on.
        port: To listen on.

    Raises:
        Exception: What kept the app from starting, or, as OSError, the server from listening.
    """
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
    except SystemExit as end:
        # uvicorn has only logged why it does not start, and the log has no texts of libraries.
        failure: BaseException | None = getattr(app.state, "failure", None) or end.__context__
        if failure is None:
            raise
        raise failure from failure.__cause__
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
