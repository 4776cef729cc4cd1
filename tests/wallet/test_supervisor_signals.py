"""A signal ends what runs, once it may; and it is not lost with an exception that somebody swallowed."""

import os
import signal
from contextlib import suppress

import pytest

from wallet.supervisor.signals import ended_by_signals, signals_held


def ask_to_end() -> None:
    """Send SIGTERM to this process, which takes it before this returns."""
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_raises_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), ended_by_signals():
        ask_to_end()
        raise AssertionError("it went on")


def test_a_signal_waits_while_it_is_held() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), ended_by_signals():
        with signals_held():
            with signals_held():
                ask_to_end()
                done.append("inner")
            done.append("outer")
        done.append("it went on")
    assert done == ["inner", "outer"]


def test_what_stops_in_order_is_not_interrupted_by_a_second_signal() -> None:
    stopped = []
    with pytest.raises(KeyboardInterrupt), ended_by_signals():
        try:
            ask_to_end()
        finally:
            with signals_held():
                ask_to_end()
                stopped.append("everything")
    assert stopped == ["everything"]


def test_a_swallowed_signal_is_raised_at_the_end_and_by_the_next_one() -> None:
    reached = []
    with pytest.raises(KeyboardInterrupt), ended_by_signals():
        with suppress(KeyboardInterrupt):
            ask_to_end()
        reached.append("on")
        with suppress(KeyboardInterrupt):
            ask_to_end()
            reached.append("behind the second")
    assert reached == ["on"]


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with ended_by_signals():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
