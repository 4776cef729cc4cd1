"""Ending by a signal without leaving a process behind.

SIGTERM ends the program as Ctrl-C does, by `KeyboardInterrupt`, so that every `with` and `finally`
stops what it started. While processes are started or stopped in order it waits; and if somebody's
code swallows the exception, as finalizers do, the next signal raises it again, and at the latest the end.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class _Interruption:
    """The signals of this process; only the main thread gets them."""

    def __init__(self) -> None:
        self.arrived = False
        self.held = 0
        self._waits = False

    def arrive(self, _number: int, _frame: FrameType | None) -> None:
        self.arrived = True
        if not self.held:
            raise KeyboardInterrupt
        self._waits = True

    def release(self) -> None:
        self.held -= 1
        if self._waits and not self.held:
            self._waits = False
            raise KeyboardInterrupt


_current: _Interruption | None = None


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Raise `KeyboardInterrupt` in the main thread at SIGINT or SIGTERM; never end as if none had come."""
    global _current  # noqa: PLW0603 - so are signal handlers
    interruption = _Interruption()
    before = {each: signal.signal(each, interruption.arrive) for each in _SIGNALS}
    _current = interruption
    try:
        yield
    finally:
        _current = None
        for each, handler in before.items():
            signal.signal(each, handler)
    if interruption.arrived:
        raise KeyboardInterrupt


@contextmanager
def signals_held() -> Iterator[None]:
    """Let a signal wait until the end of the block, in which processes are started and noted, or stopped.

    If it came in between, nobody would know of a process.
    """
    interruption = _current
    if interruption is None:
        yield
        return
    interruption.held += 1
    try:
        yield
    finally:
        interruption.release()
