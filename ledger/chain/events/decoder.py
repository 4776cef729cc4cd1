"""From logs to events.

Accesses come by the million and authorizations with them: their layout is fixed, so they are sliced.
Everything else goes through `eth_abi`. What is refused is what no contract can have emitted: a wrong
length, a number out of its type's range, an id that is not the hash of what it names.
"""

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Any, Final, TypeAlias, get_args, get_origin, get_type_hints

import msgspec
from eth_abi.exceptions import DecodingError

from ledger.chain.decoders import decode_abi
from ledger.chain.eth_methods import EventError, Log
from ledger.chain.events import (
    ACCESSED_SIGNATURE,
    INDEXED,
    ITEM_ACCESSED_SIGNATURE,
    RECORDED_SIGNATURE,
    SKIPPED_SIGNATURE,
    Accessed,
    AgreementsEvent,
    AuthorizationsEvent,
    BatchSkipped,
    Block,
    CatalogueEvent,
    Contracts,
    Event,
    Granted,
    GrantTerms,
    NumberedEvent,
    Recorded,
    RegistryEvent,
)
from ledger.chain.events.identifiers import IDENTIFY
from ledger.hexstr import keccak256, to_hex
from ledger.model import OUTCOMES, ZERO_WORD
from ledger.plain_text import is_moment
from ledger.typed_data import Authorization, type_hash

_NUMBER_TYPE: Final = "uint64"

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
            number, *others = decode_abi((_NUMBER_TYPE, *self.data_types), data)
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
    signature = f"{event.__name__}({','.join((*indexed, _NUMBER_TYPE, *others))})"
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


_WORD: Final = 32
_MAX_PLACE: Final = 1 << 63
"""What tables of databases and files hold; a chain comes nowhere near."""
ACCESSED_TOPIC: Final = keccak256(ACCESSED_SIGNATURE.encode("ascii"))
ITEM_ACCESSED_TOPIC: Final = keccak256(ITEM_ACCESSED_SIGNATURE.encode("ascii"))
RECORDED_TOPIC: Final = keccak256(RECORDED_SIGNATURE.encode("ascii"))
_ACCESSED: Final = to_hex(ACCESSED_TOPIC)
_ITEM_ACCESSED: Final = to_hex(ITEM_ACCESSED_TOPIC)
_RECORDED: Final = to_hex(RECORDED_TOPIC)
SKIPPED_TOPIC: Final = keccak256(SKIPPED_SIGNATURE.encode("ascii"))
_SKIPPED: Final = to_hex(SKIPPED_TOPIC)
_GRANTED_TOPIC: Final = plan_for(Granted).topic
_GRANTED: Final = to_hex(_GRANTED_TOPIC)

# fields | nonce | consumer | sequence (2 + 4 bytes) | deadline (1 + 4 bytes) | outcome
_ACCESS: Final = Struct(">32s32s20sHIBIB")
_WITH_ITEM: Final = _ACCESS.size + _WORD

# The number; the terms' words; agreement, round, epoch and hash of the signer. `x` would skip the padding
# without a look at it, so it is unpacked too and must be zero.
_NUMBER: Final = Struct(">24sQ")
_TERMS: Final = Struct(">32s12s20s32s32s32s32s32s32s24sQ24sQ28sI28sI32s24sQ")
_AFTER_TERMS: Final = Struct(">28sI30sH29s3s32s")
_AFTER_AT: Final = _NUMBER.size + _TERMS.size
_GRANT_SIZE: Final = _AFTER_AT + _AFTER_TERMS.size
_AUTHORIZATION: Final = type_hash(Authorization)


class EventDecoder:
    """Reads the logs of one deployment."""

    def __init__(self, contracts: Contracts) -> None:
        self._access_log = to_hex(contracts.access_log)
        self._access_log_address = contracts.access_log
        self._others = {
            to_hex(address): (address, {to_hex(plan.topic): plan for plan in PLANS[name]})
            for name, address in (
                ("registry", contracts.registry),
                ("catalogue", contracts.catalogue),
                ("agreements", contracts.agreements),
                ("authorizations", contracts.authorizations),
            )
        }
        # Logs of one transaction follow each other and share what says where they are.
        self._block_texts: tuple[str, str, str | None] = ("", "", None)
        self._block = Block(-1, b"", -1)
        self._transaction_text = ""
        self._transaction = b""

    def decode_all(self, logs: Iterable[Log]) -> list[Event]:
        """Return the events of logs, in order; raises as `decode` for the first that is none."""
        decode = self.decode
        return [decode(log) for log in logs]

    def decode(self, log: Log) -> Event:
        """Return the event of one log.

        Raises:
            EventError: not of the five contracts, not an event of its contract, or topics, data or place
                do not have the form of the event.
        """
        try:
            if log.address == self._access_log:
                return self._decode_access(log)
            return self._decode_other(log)
        except (ValueError, struct.error) as error:
            raise EventError(log, str(error)) from error

    def _decode_access(self, log: Log) -> Event:
        topics = log.topics
        if len(topics) == 3 and topics[0] == _SKIPPED and log.data == "0x":
            return self._skipped(log)
        if len(topics) != 2:
            raise EventError(log, "the access log has no event with so many topics")
        topic, basis, data = topics[0], bytes.fromhex(topics[1][2:]), bytes.fromhex(log.data[2:])
        if topic == _RECORDED:
            return self._recorded(log, basis, data)
        if topic == _ACCESSED and len(data) == _ACCESS.size:
            item = ZERO_WORD
        elif topic == _ITEM_ACCESSED and len(data) == _WITH_ITEM and data[-_WORD:] != ZERO_WORD:
            item = data[-_WORD:]
        else:
            raise _not_an_access(log)
        fields, nonce, consumer, high, low, far, near, outcome = _ACCESS.unpack_from(data)
        if outcome >= len(OUTCOMES) or len(basis) != _WORD:
            raise ValueError(f"a basis of {len(basis)} bytes, or no outcome {outcome}")
        if log.transaction_hash != self._transaction_text or self._block_texts != (
            log.block_hash,
            log.block_number,
            log.block_timestamp,
        ):
            self._turn_to(log)
        return Accessed(
            self._block,
            self._transaction,
            _place(log.log_index),
            self._access_log_address,
            basis,
            int.from_bytes(fields, "big"),
            int.from_bytes(nonce, "big"),
            consumer,
            high << 32 | low,
            far << 32 | near,
            OUTCOMES[outcome],
            item,
            data,
        )

    def _recorded(self, log: Log, topic: bytes, data: bytes) -> Recorded:
        recorder, sequence, head = topic[12:], data[:_WORD], data[_WORD:]
        if len(data) != 2 * _WORD or topic != recorder.rjust(_WORD, b"\0") or len(recorder) != 20:
            raise ValueError("the words of Recorded are not an address, a number and a hash")
        place = self._place_of(log, self._access_log_address)
        return Recorded(*place, recorder, int.from_bytes(sequence, "big"), head)

    def _skipped(self, log: Log) -> BatchSkipped:
        consumer, recorder = (_topic_address(topic) for topic in log.topics[1:])
        return BatchSkipped(*self._place_of(log, self._access_log_address), consumer, recorder)

    def _decode_other(self, log: Log) -> Event:
        address, plans = self._others.get(log.address, (b"", {}))
        if not address:
            raise EventError(log, f"{log.address[:42]} is none of the five contracts")
        plan = plans.get(log.topics[0]) if log.topics else None
        if plan is None:
            raise EventError(log, f"{log.address} has no such event")
        topics = tuple(bytes.fromhex(topic[2:]) for topic in log.topics[1:])
        data = bytes.fromhex(log.data[2:])
        if len(topics) != len(plan.topic_types) or any(len(topic) != _WORD for topic in topics):
            raise ValueError(f"{plan.event.__name__} has {len(plan.topic_types)} indexed words")
        place = self._place_of(log, address)
        values = (
            _granted(topics, data) if log.topics[0] == _GRANTED else _values(plan, topics, data)
        )
        members: list[Any] = [*place, *values]
        return plan.event(*members)

    def _place_of(self, log: Log, contract: bytes) -> tuple[Block, bytes, int, bytes]:
        self._turn_to(log)
        return self._block, self._transaction, _place(log.log_index), contract

    def _turn_to(self, log: Log) -> None:
        texts = (log.block_hash, log.block_number, log.block_timestamp)
        if texts != self._block_texts:
            if log.block_timestamp is None:
                raise ValueError("the node left out the block's timestamp")
            number, timestamp = _place(log.block_number), _place(log.block_timestamp)
            if not is_moment(timestamp):
                raise ValueError("no block is of such a time")
            self._block = Block(number, _hash(log.block_hash), timestamp)
            self._block_texts = texts
        self._transaction = _hash(log.transaction_hash)
        self._transaction_text = log.transaction_hash


def _place(text: str) -> int:
    number = int(text, 16)
    if 0 <= number < _MAX_PLACE:
        return number
    raise ValueError("no log is at such a place, or of such a time")


def _values(plan: Plan, topics: tuple[bytes, ...], data: bytes) -> list[object]:
    values = plan.values(topics, data)
    identify = IDENTIFY.get(plan.event)
    if identify is not None and identify(topics, data) != topics[0]:
        raise ValueError(f"the id in {plan.event.__name__} is not the hash of what it names")
    return values


def _granted(topics: tuple[bytes, ...], data: bytes) -> list[object]:
    """Return what `Plan.values` would, sliced: `eth_abi` takes 75 microseconds for it."""
    if len(data) != _GRANT_SIZE:
        raise ValueError(f"Granted has {_GRANT_SIZE} bytes of data, not {len(data)}")
    a, number = _NUMBER.unpack_from(data)
    terms = _grant_terms(data)
    b, agreement, c, round_, d, epoch, signer_hash = _AFTER_TERMS.unpack_from(data, _AFTER_AT)
    if any(a + b + c + d):
        raise ValueError("a word of Granted is out of its type's range")
    if topics[1:] != (terms.subject, terms.consumer.rjust(_WORD, b"\0")):
        raise ValueError("Granted is indexed under another subject or consumer")
    if topics[0] != keccak256(_AUTHORIZATION + data[_NUMBER.size : _AFTER_AT]):
        raise ValueError("the id in Granted is not the hash of what it names")
    link = b"".join((_GRANTED_TOPIC, *topics, data))
    own = (topics[0], terms.subject, terms.consumer, terms, agreement, round_)
    return [number, link, *own, int.from_bytes(epoch, "big"), signer_hash]


def _grant_terms(data: bytes) -> GrantTerms:
    words = _TERMS.unpack_from(data, _NUMBER.size)
    subject, a, consumer, dataset, item, purpose, fields, case_reference, statement_hash = words[:9]
    b, not_before, c, expires_at, d, max_uses, e, min_interval, nonce, f, deadline = words[9:]
    if any(a + b + c + d + e + f):
        raise ValueError("a word of the terms is out of its type's range")
    return GrantTerms(
        subject,
        consumer,
        dataset,
        item,
        purpose,
        int.from_bytes(fields, "big"),
        case_reference,
        statement_hash,
        not_before,
        expires_at,
        max_uses,
        min_interval,
        nonce,
        deadline,
    )


def _topic_address(topic: str) -> bytes:
    word = bytes.fromhex(topic[2:])
    if len(word) != _WORD or any(word[:12]):
        raise ValueError("a topic is no address")
    return word[12:]


def _not_an_access(log: Log) -> EventError:
    if log.topics[0] in (_ACCESSED, _ITEM_ACCESSED):
        return EventError(log, "an access has 96 bytes of data, and 32 more for an item")
    return EventError(log, f"{log.address} has no such event")


def _hash(text: str) -> bytes:
    data = bytes.fromhex(text[2:])
    if len(data) != _WORD:
        raise ValueError(f"a hash has {_WORD} bytes, this has {len(data)}")
    return data
