"""How events are read from their annotations: worked out once per class, then left to `eth_abi`.

Source: Solidity documentation, "Contract ABI Specification", clause "Events".
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, TypeAlias, get_args, get_origin, get_type_hints

import msgspec
from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from ledger.events import agreements, authorizations, catalogue, registry
from ledger.events.abi import INDEXED, Event
from ledger.keccak import keccak256

Convert: TypeAlias = Callable[[Any], Any]
"""From what `eth_abi` returns to what an event holds."""


@dataclass(frozen=True, slots=True)
class Part:
    """One attribute of an event."""

    type: str
    """ABI type as in the signature."""
    indexed: bool
    convert: Convert


@dataclass(frozen=True, slots=True)
class Plan:
    """How to read one event class."""

    event: type[Event]
    signature: str
    topic: bytes
    parts: tuple[Part, ...]
    topic_types: tuple[str, ...]
    data_types: tuple[str, ...]

    def values(self, topics: tuple[bytes, ...], data: bytes) -> list[object]:
        """Return the event's own attributes, in order.

        Args:
            topics: without the first, 32 bytes each, as many as `topic_types`.
            data: the log's.

        Raises:
            ValueError: They are not the ABI encoding of such values; the message says what is wrong.
        """
        try:
            in_topics = iter(decode(self.topic_types, b"".join(topics)))
            in_data = iter(decode(self.data_types, data))
        except DecodingError as error:
            raise ValueError(str(error)) from error
        return [part.convert(next(in_topics if part.indexed else in_data)) for part in self.parts]


def plan_for(event: type[Event]) -> Plan:
    """Work out how an event class is read."""
    own = event.__struct_fields__[len(Event.__struct_fields__) :]
    hints = get_type_hints(event, include_extras=True)
    parts = tuple(_part(hints[name]) for name in own)
    signature = f"{event.__name__}({','.join(part.type for part in parts)})"
    return Plan(
        event=event,
        signature=signature,
        topic=keccak256(signature.encode("ascii")),
        parts=parts,
        topic_types=tuple(part.type for part in parts if part.indexed),
        # Strings are read as bytes: a contract takes any, `eth_abi` only UTF-8.
        data_types=tuple(
            part.type.replace("string", "bytes") for part in parts if not part.indexed
        ),
    )


def _part(annotation: Any) -> Part:
    kind, *marks = annotation.__metadata__
    convert = _address if kind == "address" else _conversion(annotation.__origin__)
    return Part(kind, INDEXED in marks, convert)


def _conversion(python: Any) -> Convert:
    """Return how what `eth_abi` gives becomes a value of a Python type."""
    if get_origin(python) is tuple:
        convert = _conversion(get_args(python)[0])
        return lambda values: tuple(map(convert, values))
    if python is str:
        return _text
    if issubclass(python, msgspec.Struct):
        return _struct(python)
    return python if issubclass(python, IntEnum) else _same


def _struct(struct: type[msgspec.Struct]) -> Convert:
    converts = tuple(map(_conversion, get_type_hints(struct).values()))

    def convert(values: tuple[Any, ...]) -> msgspec.Struct:
        return struct(*(one(value) for one, value in zip(converts, values, strict=True)))

    return convert


def _address(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _same(value: Any) -> Any:
    return value


PLANS: Final = {
    "registry": tuple(map(plan_for, registry.EVENTS)),
    "catalogue": tuple(map(plan_for, catalogue.EVENTS)),
    "agreements": tuple(map(plan_for, agreements.EVENTS)),
    "authorizations": tuple(map(plan_for, authorizations.EVENTS)),
}
"""The events of each contract but the access log, whose events have no plan: they are sliced."""
