"""Ending by a signal without leaving a process behind.

SIGTERM ends the program as Ctrl-C does, by `KeyboardInterrupt`, so that every `with` and `finally`
stops what it started. It comes once: what is stopped in order must not be interrupted in it.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class _Interruption:
    """What is known of signals in this process; only the main thread gets them."""

    def __init__(self) -> None:
        self.arrived = False
        self.held = 0

    def arrive(self, _number: int, _frame: FrameType | None) -> None:
        if self.arrived:
            return
        self.arrived = True
        if not self.held:
            raise KeyboardInterrupt

    def release(self) -> None:
        self.held -= 1
        if self.arrived and not self.held:
            raise KeyboardInterrupt


_current: _Interruption | None = None


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Raise `KeyboardInterrupt` in the main thread at the first SIGINT or SIGTERM; ignore later ones."""
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


@contextmanager
def signals_held() -> Iterator[None]:
    """Let a signal wait until the end of the block, in which a process is started and noted.

    If it came in between, nobody would know of the process.
    """
    interruption = _current
    if interruption is None or interruption.arrived:
        yield
        return
    interruption.held += 1
    try:
        yield
    finally:
        interruption.release()
