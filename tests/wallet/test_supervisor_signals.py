"""A signal ends what runs, once it may; and it is not lost with an exception that somebody swallowed."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress

import pytest

from wallet.supervisor.processes import ended_by_signals, signals_held

Done = list[str]


def ask_to_end() -> None:
    """Send SIGTERM to this process, which takes it before this returns."""
    os.kill(os.getpid(), signal.SIGTERM)


def at_once(done: Done) -> None:
    ask_to_end()
    done.append("it went on")


def while_held(done: Done) -> None:
    with signals_held():
        with signals_held():
            ask_to_end()
            done.append("inner")
        done.append("outer")
    done.append("it went on")


def while_stopping(done: Done) -> None:
    try:
        ask_to_end()
    finally:
        with signals_held():
            ask_to_end()
            done.append("stopped everything")


def swallowed(done: Done) -> None:
    with suppress(KeyboardInterrupt):
        ask_to_end()
    done.append("went on")


def swallowed_and_repeated(done: Done) -> None:
    swallowed(done)
    ask_to_end()
    done.append("behind the second")


def in_the_middle_of_taking_a_lock(done: Done) -> None:
    try:
        ask_to_end()
    finally:
        done.append("release")
        raise RuntimeError("release unlocked lock")


@pytest.mark.parametrize(
    ("play", "expected"),
    [
        (at_once, []),
        (while_held, ["inner", "outer"]),
        (while_stopping, ["stopped everything"]),
        (swallowed, ["went on"]),
        (swallowed_and_repeated, ["went on"]),
        (in_the_middle_of_taking_a_lock, ["release"]),
    ],
)
def test_a_signal_ends_what_runs(play: Callable[[Done], None], expected: Done) -> None:
    done: Done = []
    with pytest.raises(KeyboardInterrupt), ended_by_signals():
        play(done)
    assert done == expected


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with ended_by_signals():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
