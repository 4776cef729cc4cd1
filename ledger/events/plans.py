"""How events are read from their annotations: worked out once per class, then left to `eth_abi`.

Source: Solidity documentation, "Contract ABI Specification", clause "Events".
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, TypeAlias, get_args, get_origin, get_type_hints

import msgspec
from eth_abi.exceptions import DecodingError

from ledger.abi_decoder import decode_abi
from ledger.events import (
    INDEXED,
    AgreementsEvent,
    AuthorizationsEvent,
    CatalogueEvent,
    NumberedEvent,
    RegistryEvent,
)
from ledger.keccak import keccak256

_NUMBER: Final = "uint64"

Convert: TypeAlias = Callable[[Any], Any]
"""From what `eth_abi` returns to what an event holds."""


@dataclass(frozen=True, slots=True)
class Part:
    type: str
    """ABI type as in the signature."""
    indexed: bool
    convert: Convert


@dataclass(frozen=True, slots=True)
class Plan:
    event: type[NumberedEvent]
    signature: str
    topic: bytes
    parts: tuple[Part, ...]
    topic_types: tuple[str, ...]
    data_types: tuple[str, ...]

    def values(self, topics: tuple[bytes, ...], data: bytes) -> list[object]:
        """Return the event's number, its link, and its own attributes, in order.

        Topics are without the first, as many as `topic_types`. Raises `ValueError` if it is not the
        ABI encoding of such values.
        """
        try:
            in_topics = iter(decode_abi(self.topic_types, b"".join(topics)))
            number, *others = decode_abi((_NUMBER, *self.data_types), data)
        except DecodingError as error:
            raise ValueError(str(error)) from error
        in_data = iter(others)
        own = [part.convert(next(in_topics if part.indexed else in_data)) for part in self.parts]
        return [number, b"".join((self.topic, *topics, data)), *own]


def plan_for(event: type[NumberedEvent]) -> Plan:
    own = event.__struct_fields__[len(NumberedEvent.__struct_fields__) :]
    hints = get_type_hints(event, include_extras=True)
    parts = tuple(_part(hints[name]) for name in own)
    indexed = [part.type for part in parts if part.indexed]
    others = [part.type for part in parts if not part.indexed]
    signature = f"{event.__name__}({','.join((*indexed, _NUMBER, *others))})"
    return Plan(
        event=event,
        signature=signature,
        topic=keccak256(signature.encode("ascii")),
        parts=parts,
        topic_types=tuple(indexed),
        # Strings are read as bytes: a contract takes any, `eth_abi` only UTF-8.
        data_types=tuple(kind.replace("string", "bytes") for kind in others),
    )


def _part(annotation: Any) -> Part:
    kind, *marks = annotation.__metadata__
    convert = _address_bytes if kind == "address" else _conversion(annotation.__origin__)
    return Part(kind, INDEXED in marks, convert)


def _conversion(python: Any) -> Convert:
    """Return how what `eth_abi` gives becomes a value of a Python type."""
    if get_origin(python) is tuple:
        convert = _conversion(get_args(python)[0])
        return lambda values: tuple(map(convert, values))
    if python is str:
        return _text
    if issubclass(python, msgspec.Struct):
        converts = tuple(map(_conversion, get_type_hints(python).values()))
        return lambda values: python(*(c(value) for c, value in zip(converts, values, strict=True)))
    return python if issubclass(python, IntEnum) else lambda value: value


def _address_bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _text(data: bytes) -> str:
    # No database of ours may be stopped by a text that the chain took, and PostgreSQL's cannot hold NUL.
    return data.decode("utf-8", "backslashreplace").replace("\0", "\\x00")


PLANS: Final = {
    "registry": tuple(map(plan_for, RegistryEvent.__subclasses__())),
    "catalogue": tuple(map(plan_for, CatalogueEvent.__subclasses__())),
    "agreements": tuple(map(plan_for, AgreementsEvent.__subclasses__())),
    "authorizations": tuple(map(plan_for, AuthorizationsEvent.__subclasses__())),
}
"""The events of each contract but the access log, whose events have no plan: they are sliced."""
