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
from typing import Final, TypeVar

import msgspec

from ledger.chain.rpc import Call, Rpc
from wallet.client.calls import Effect, HttpCall
from wallet.client.errors import ClientError

T = TypeVar("T")

MAX_EVENT_SIZE: Final = 2**20
"""Characters of one event at most."""


class ServerEvent(msgspec.Struct, frozen=True):
    """A server-sent event (WHATWG HTML, section 9.2.6)."""

    event: str
    data: str
    id: str


class EventReader:
    """Puts lines together to events, as the standard's section 9.2.6 says."""

    def __init__(self) -> None:
        self._event = ""
        self._data: list[str] = []
        self._size = 0
        self._id = ""

    def feed(self, line: str) -> ServerEvent | None:
        """Take the next line, without its end; return the event that it completes.

        Raises:
            ClientError: an event is too long.
        """
        if not line:
            return self._complete()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        self._size += len(value)
        if self._size > MAX_EVENT_SIZE:
            raise ClientError("an event is too long")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        return None

    def _complete(self) -> ServerEvent | None:
        data, event = self._data, self._event or "message"
        self._event, self._data, self._size = "", [], 0
        return ServerEvent(event, "\n".join(data), self._id) if data else None


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
