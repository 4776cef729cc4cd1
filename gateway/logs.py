"""Structured logs: one JSON object a line on standard error.

An event has a fixed name and says where and how much, never who or what: payloads, keys, signatures,
tokens, ids of people and paths of requests (which hold ids) are not logged. `ALLOWED` is the list of
everything that may appear; what is not on it is dropped, so that a careless call shows nothing.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final, TextIO, cast

import structlog

from ledger.lossy import LossyStream

ALLOWED: Final = frozenset(
    {
        # set here
        "event",
        "level",
        "timestamp",
        # of a request
        "request",
        "method",
        "route",
        "status",
        "milliseconds",
        "problem",
        # of work
        "address",
        "block",
        "blocks",
        "bytes",
        "check",
        "count",
        "error",
        "lag",
        "reason",
        "records",
        "revision",
        "sequence",
        "state",
        "traceback",
    }
)
"""Names of values that may be logged."""


def configure_logs(level: str, stream: TextIO | None = None) -> None:
    """Set up the logs of this process; libraries' own go the same way.

    Args:
        level: Lowest level that is written.
        stream: Where to; standard error when None.
    """
    threshold = getattr(logging, level.upper())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _only_allowed,
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(
            file=cast("TextIO", LossyStream(stream or sys.stderr))
        ),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Forward()]
    root.setLevel(max(threshold, logging.WARNING))


def get_logger() -> Any:
    """Return the logger; its methods take an event's name and values whose names are `ALLOWED`."""
    return structlog.get_logger()


def describe(error: BaseException) -> str:
    """Return an error's type, and the place that raised it: its text may hold what was sent."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f" at {code.co_name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return type(error).__name__ + place


class _Forward(logging.Handler):
    """Hands libraries' logs on, without their texts: nobody knows what those hold."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        get_logger().log(
            record.levelno,
            "library",
            reason=record.name,
            error=None if error is None else describe(error),
        )


def _only_allowed(
    _logger: object, _method: str, values: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for name in [name for name in values if name not in ALLOWED]:
        del values[name]
    return values
