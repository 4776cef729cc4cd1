"""Structured logs of every service: one JSON object a line on standard error.

An event has a fixed name and says where and how much, never who or what. `ALLOWED` is all that may
appear; what is not on it is dropped, so that a careless call shows nothing.
"""

import json
import logging
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, TextIO

from ledger.plain_text import escape_json, moment

ALLOWED: Final = frozenset(
    {
        # set here
        "event",
        "level",
        "timestamp",
        # of a request
        "method",
        "milliseconds",
        "request",
        "route",
        "status",
        # of work
        "address",
        "block",
        "check",
        "contract",
        "count",
        "error",
        "nonce",
        "problem",
        "reason",
        "records",
        "sequence",
        "starts",
    }
)
"""Names of values that may be logged."""

Loggable = str | int | float | None

_own: Final = logging.getLogger("quancheng")


def configure_logs(level: str, stream: TextIO | None = None) -> None:
    """Set up the logs of this process from a level on (debug, info, warning, error); libraries' from warnings on."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    root = logging.getLogger()
    root.handlers[:] = [_Lines(stream or sys.stderr)]
    root.setLevel(max(threshold, logging.WARNING))
    _own.setLevel(threshold)


class Log:
    """Takes an event's name, and values whose names are `ALLOWED`."""

    def debug(self, event: str, **values: Loggable) -> None:
        """For who looks for something."""
        _tell(logging.DEBUG, event, values)

    def info(self, event: str, **values: Loggable) -> None:
        _tell(logging.INFO, event, values)

    def warning(self, event: str, **values: Loggable) -> None:
        """For what goes wrong, and is tried again or got over."""
        _tell(logging.WARNING, event, values)

    def error(self, event: str, **values: Loggable) -> None:
        """For what somebody should look into."""
        _tell(logging.ERROR, event, values)


_log: Final = Log()


def get_logger() -> Log:
    """Return the logger, which all share: lines do not say which module wrote them."""
    return _log


def describe(error: BaseException) -> str:
    """Return an error's type, and the place that raised it: its text may hold what was sent."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f" at {code.co_name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return type(error).__name__ + place


def _tell(level: int, event: str, values: Mapping[str, Loggable]) -> None:
    if _own.isEnabledFor(level):  # first: requests are told at a level that is mostly off
        allowed = {name: value for name, value in values.items() if name in ALLOWED}
        _own.log(level, event, extra={"values": allowed})


class _Lines(logging.Handler):
    """Writes records as lines; of libraries' without their texts: nobody knows what those hold."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        values: dict[str, Loggable]
        if record.name == _own.name:
            values = {**record.__dict__["values"], "event": record.msg}
        else:
            error = record.exc_info[1] if record.exc_info else None
            described = None if error is None else describe(error)
            values = {"event": "library", "reason": record.name, "error": described}
        values["level"] = record.levelname.lower()
        text = moment(record.created).isoformat(timespec="microseconds")
        values["timestamp"] = text.replace("+00:00", "Z")
        line = json.dumps(
            values, ensure_ascii=False, sort_keys=True, default=lambda value: type(value).__name__
        )
        # A full disk, or a closed stream, loses the line and does not end what it was about.
        with suppress(OSError, ValueError):
            self._stream.write(escape_json(line) + "\n")
            self._stream.flush()
