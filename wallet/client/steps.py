"""Requests that a flow awaits, beside `HttpCall`.

A flow is a coroutine that awaits calls, questions to the party's own node, and pauses. The clients of
`wallet.client.transports` carry it out, in ordinary code and in asyncio alike:

    async def flow() -> int:
        state = await uploads.upload_state(upload)
        await pause(1.0)
        ...

    Client(...).run(flow())          await AsyncClient(...).run(flow())
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ledger.rpc import Call, Rpc
from wallet.client.calls import Effect, HttpCall
from wallet.client.events import ServerEvent

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pause(Effect[None]):
    """Do nothing for some seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Listen(Effect[T | None]):
    """Follow a stream of events until `until` returns a result, or `seconds` have passed (None then)."""

    call: HttpCall[None]
    until: Callable[[ServerEvent], T | None]
    seconds: float


@dataclass(frozen=True, slots=True)
class Look(Effect[T]):
    """A question to the party's own node."""

    call: Call[T]


@dataclass(frozen=True, slots=True)
class Looks(Effect[list[T]]):
    """Several questions to the party's own node, in one message."""

    calls: tuple[Call[T], ...]


@dataclass(frozen=True, slots=True)
class AtNode(Effect[T]):
    """Work with the party's own node that takes several questions, and waiting."""

    work: Callable[[Rpc], T]


async def look(call: Call[T]) -> T:
    """Ask the party's own node."""
    return await Look(call)


async def look_all(calls: Sequence[Call[T]]) -> list[T]:
    """Ask the party's own node several questions at once; without questions it is not asked."""
    return await Looks(tuple(calls)) if calls else []


async def pause(seconds: float) -> None:
    """Wait."""
    await Pause(seconds)
