"""Running a service: its log, its socket, and stopping in order."""

import logging
import sys

import structlog
import uvicorn
from fastapi import FastAPI

_SHUTDOWN = 10
"""Seconds for requests under way when the process is told to stop."""


def configure_log(level: str) -> None:
    """Write the log as JSON lines to standard error.

    No event of these services holds a key, a signature, a payload or a person's data.
    """
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
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
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def serve(app: FastAPI, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are finished."""
    uvicorn.run(
        app,
        host=host,
        port=port,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_SHUTDOWN,
    )
