"""Logs of this process, written into a text."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ledger.service.logs import configure_logs


@contextmanager
def logs_in(text: io.StringIO, level: str = "info") -> Iterator[io.StringIO]:
    """Write logs into a text; afterwards they go where they went before."""
    root, own = logging.getLogger(), logging.getLogger("quancheng")
    handlers, levels = root.handlers[:], (root.level, own.level)
    configure_logs(level, text)
    try:
        yield text
    finally:
        root.handlers[:] = handlers
        root.setLevel(levels[0])
        own.setLevel(levels[1])


def lines_of(text: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.getvalue().splitlines()]
