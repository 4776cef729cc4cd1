"""The whole life of one thing, as a timeline, from the chain's events alone.

What belongs to a subject, a case or a dataset follows from the authorizations that were granted: an
access names its basis only.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from ledger.deployment import Deployment
from ledger.events import Accessed, Event, EventDecoder, Granted, Log
from ledger.hexes import to_hex


class TraceEntry(msgspec.Struct, frozen=True):
    """One event."""

    at: str
    """ISO 8601, UTC."""
    block_number: int
    log_index: int
    transaction: str
    event: str
    text: str
    """What the event says, ids as 0x strings."""


def trace_of(
    deployment: Deployment, batches: Iterable[Sequence[Log]], wanted: bytes
) -> tuple[TraceEntry, ...]:
    """Return every event about one thing, in the order of the chain.

    Args:
        deployment: the contracts.
        batches: all logs from the deployment on.
        wanted: id of a subject, an authorization, a dataset or a case reference (32 bytes), or an
            address of a party (20 bytes).

    Raises:
        EventError: the logs cannot be the contracts'; replay says what is wrong.
    """
    decoder, known, found = EventDecoder(deployment.contracts), {wanted}, []
    for logs in batches:
        for event in decoder.decode_all(logs):
            named = set(_identifiers(event))
            if not known & named:
                continue
            if isinstance(event, Granted):
                known.add(event.authorization)
            found.append(_entry(event))
    return tuple(found)


def _identifiers(event: Event) -> Iterator[bytes]:
    """Yield what an event names."""
    for value in _own(event).values():
        if isinstance(value, bytes):
            yield value
        elif isinstance(value, msgspec.Struct):
            yield from (
                inner for inner in msgspec.structs.astuple(value) if isinstance(inner, bytes)
            )


def _own(event: Event) -> dict[str, object]:
    """Return an event's own attributes, without where it stands."""
    names = event.__struct_fields__[len(Event.__struct_fields__) :]
    return {name: getattr(event, name) for name in names if name != "data"}


def _entry(event: Event) -> TraceEntry:
    moment = dt.datetime.fromtimestamp(event.block.timestamp, dt.UTC).isoformat()
    said = ", ".join(f"{name} {_shown(value)}" for name, value in _own(event).items())
    name = "Accessed" if isinstance(event, Accessed) else event.name
    transaction = to_hex(event.transaction)
    return TraceEntry(moment, event.block.number, event.log_index, transaction, name, said)


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return to_hex(value)
    if isinstance(value, msgspec.Struct):
        inner = msgspec.structs.asdict(value).items()
        return "(" + ", ".join(f"{name} {_shown(one)}" for name, one in inner) + ")"
    return str(getattr(value, "title", value)) if not isinstance(value, str) else value
