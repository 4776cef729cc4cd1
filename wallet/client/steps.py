"""Doing things in several steps, written once for ordinary code and for asyncio.

A flow is a generator that yields what it needs done (a call to a service, a question to the party's
node, a pause) and gets the result back. `wallet.client.transports` runs it either way:

    def flow() -> Steps[int]:
        state = yield from send(gateway.upload_state(upload))
        yield from pause(1.0)
        ...

    Client(...).run(flow())          await AsyncClient(...).run(flow())
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from ledger.rpc import Call
from wallet.client.calls import HttpCall
from wallet.client.events import ServerEvent

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing for some seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Listen(Generic[T]):
    """Follow a stream of events until one says what is waited for."""

    call: HttpCall[None]
    until: Callable[[ServerEvent], T | None]
    """Returns what was waited for, or None to go on."""
    seconds: float
    """How long at most."""


@dataclass(frozen=True, slots=True)
class Looks(Generic[T]):
    """Ask the party's own node several questions in one message."""

    calls: tuple[Call[T], ...]


Effect: TypeAlias = HttpCall[Any] | Call[Any] | Looks[Any] | Pause | Listen[Any]
Steps: TypeAlias = Generator[Effect, Any, T]


def send(call: HttpCall[T]) -> Steps[T]:
    """Ask a service."""
    result: T = yield call
    return result


def look(call: Call[T]) -> Steps[T]:
    """Ask the party's own node."""
    result: T = yield call
    return result


def look_all(calls: Sequence[Call[T]]) -> Steps[list[T]]:
    """Ask the party's own node several questions at once; nobody is asked where there is none."""
    if not calls:
        return []
    results: list[T] = yield Looks(tuple(calls))
    return results


def pause(seconds: float) -> Steps[None]:
    """Wait."""
    yield Pause(seconds)


def listen(effect: Listen[T]) -> Steps[T | None]:
    """Follow events; None when the stream ended or the time was over first."""
    result: T | None = yield effect
    return result
