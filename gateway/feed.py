"""The regulator's live feed: accesses, all other events of the chain, and alerts, as they happen."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from gateway.services import Services
from gateway.showing import Shower, show_event
from gateway.topics import ALERTS, CHAIN

_EVENTS_AT_ONCE: Final = 500


@dataclass(slots=True)
class FeedPlace:
    access: int
    """Sequence number."""
    event: int
    """Key."""
    alert: int
    """Id."""


async def follow(
    services: Services,
    place: FeedPlace,
    may: Callable[[], bool],
    wait: Callable[[str, str], Awaitable[None]],
) -> AsyncIterator[dict[str, Any]]:
    """Yield server-sent events; nothing is left out and nothing comes twice."""
    index = services.index
    while may():
        head, found = index.head, False
        async for message in _new(services, place):
            found = True
            yield message
        if not found and index.head == head:
            await wait(CHAIN, ALERTS)


async def _new(services: Services, place: FeedPlace) -> AsyncIterator[dict[str, Any]]:
    """Yield one page of each kind of which there is something new."""
    index = services.index
    if index.head.sequence > place.access:
        accesses = await index.accesses_after(place.access, _EVENTS_AT_ONCE)
        shower = Shower(index.snapshot)
        if accesses:
            place.access = accesses[-1].sequence
            releases = await services.release_states(accesses)
            shown = [shower.access(entry, releases) for entry in accesses]
            yield _message("accesses", place.access, shown)
    events = await index.events_after(place.event, _EVENTS_AT_ONCE)
    if events:
        place.event = events[-1].key
        yield _message("events", place.event, map(show_event, events))
    alerts = await services.alerts.list(place.alert, _EVENTS_AT_ONCE)
    if alerts:
        place.alert = alerts[-1].id
        shower = Shower(index.snapshot)
        yield _message("alerts", place.alert, map(shower.alert, alerts))


def _message(kind: str, last: int, shown: Iterable[BaseModel]) -> dict[str, Any]:
    listed = ",".join(one.model_dump_json() for one in shown)
    return {"event": kind, "id": f"{kind}:{last}", "data": f"[{listed}]"}
