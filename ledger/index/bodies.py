"""What is in an event, whatever its kind. No I/O."""

import json
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from ledger.events import Accessed, Event, Granted
from ledger.hexes import to_hex
from ledger.plain_text import FOREIGN

_LARGEST_JSON_NUMBER: Final = 2**53
_ESCAPED: Final = "\\x"
_PLACE: Final = frozenset(("block", "transaction", "log_index", "contract", "link"))


def basis_ids(events: Iterable[Event]) -> Iterable[bytes]:
    """Yield the ids of authorizations, agreements, orders and datasets that events name."""
    for event in events:
        if isinstance(event, Accessed):
            yield event.basis
            continue
        for name in ("authorization", "agreement", "order", "dataset"):
            found = getattr(event, name, None)
            if isinstance(found, bytes):
                yield found


def subject_ids(events: Iterable[Event]) -> Iterable[bytes]:
    """Yield the ids of subjects that events name."""
    for event in events:
        found = getattr(event, "subject", None)
        if isinstance(found, bytes):
            yield found


def body(event: Event) -> str:
    """Return what an event says, as JSON: without its place, large numbers as texts."""
    members = {
        name: _plain(getattr(event, name))
        for name in type(event).__struct_fields__
        # The terms of an authorization have columns of their own.
        if name not in _PLACE and not (name == "terms" and isinstance(event, Granted))
    }
    return json.dumps(members, ensure_ascii=False, separators=(",", ":"))


def is_unfit(event: Event) -> bool:
    """Whether a text in an event is not plain, or had to be escaped to be kept.

    Nobody is stopped by it: whoever shows the text escapes it, and supervision raises it.
    """
    return any(_ESCAPED in text or FOREIGN.search(text.replace("\n", "")) for text in _texts(event))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            if name not in _PLACE:
                yield from _texts(getattr(value, name))


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return to_hex(value)
    if isinstance(value, bool) or not isinstance(value, int):
        if isinstance(value, msgspec.Struct):
            return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
        return [_plain(one) for one in value] if isinstance(value, tuple) else value
    return str(value) if value >= _LARGEST_JSON_NUMBER else int(value)
