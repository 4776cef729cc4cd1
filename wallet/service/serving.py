"""Running a service of a party: its app, its address, and stopping in order."""

from typing import Final

from fastapi import FastAPI

from ledger.service.server import ServerLimits, listen, serve

LIMITS: Final = ServerLimits()


def serve_app(app: FastAPI, host: str, port: int) -> int:
    """Serve until SIGTERM or SIGINT; requests under way are finished. Return the exit status.

    Args:
        app: Of `wallet.service.app.make_app`.
        host: Name or address to listen on.
        port: To listen on.

    Raises:
        Exception: What kept the app from starting, or, as OSError, the server from listening.
    """
    return serve(app, listen(host, port), LIMITS, lambda: getattr(app.state, "failure", None))
