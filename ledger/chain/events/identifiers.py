"""Ids that are hashes of what their event says: a forged one shows without any state.

Computed from the log's bytes and not from the event, since text that is not UTF-8 is in the event
only as it is shown.

Source: contracts/Catalogue.sol `datasetId`, `orderId`; contracts/Agreements.sol `purposeId`,
`agreementId`, `applicationOf`; contracts/Authorizations.sol `authorizationId`.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from ledger.chain.events import (
    Accessed,
    Applied,
    DatasetRegistered,
    Event,
    OrderIssued,
    OrderTerms,
    PurposeRegistered,
)
from ledger.hexstr import keccak256
from ledger.typed_data import AccessRequest, type_hash

_REQUEST: Final = type_hash(AccessRequest)

Identify: TypeAlias = Callable[[tuple[bytes, ...], bytes], bytes]
"""From topics (without the first) and data to the id that the first of those topics must be."""

_DATASET_TAG: Final = keccak256(b"Dataset(address provider,string code)")
_ORDER_TAG: Final = keccak256(
    b"Order(bytes32 dataset,bytes32 purpose,uint8 sharing,uint256 fields,"
    b"uint64 startsAt,uint64 endsAt,string reason,bytes32 nonce)"
)
_APPLICATION_TAG: Final = keccak256(
    b"Application(address consumer,bytes32 dataset,bytes32 purpose,uint256 fields,bytes32 nonce)"
)
_AGREEMENT_TAG: Final = keccak256(b"Agreement(address consumer,bytes32 dataset,bytes32 purpose)")
_WORD: Final = 32


def dataset_id(provider: bytes, code: bytes) -> bytes:
    """`code` is UTF-8."""
    return keccak256(_DATASET_TAG + _padded(provider) + keccak256(code))


def order_id(terms: OrderTerms) -> bytes:
    head = b"".join(
        (
            terms.dataset,
            terms.purpose,
            _word(terms.sharing),
            _word(terms.fields),
            _word(terms.starts_at),
            _word(terms.ends_at),
        )
    )
    return keccak256(_ORDER_TAG + head + keccak256(terms.reason.encode()) + terms.nonce)


def application_id(
    consumer: bytes, dataset: bytes, purpose: bytes, fields: int, nonce: bytes
) -> bytes:
    return keccak256(
        _APPLICATION_TAG + _padded(consumer) + dataset + purpose + _word(fields) + nonce
    )


def agreement_id(consumer: bytes, dataset: bytes, purpose: bytes) -> bytes:
    """Return the id of the agreement between a consumer and a dataset's provider, for a purpose."""
    return keccak256(_AGREEMENT_TAG + _padded(consumer) + dataset + purpose)


def _identify_dataset(topics: tuple[bytes, ...], data: bytes) -> bytes:
    code = _tail(data, _number(data, _WORD), 0)
    return keccak256(_DATASET_TAG + topics[1] + keccak256(code))


def _identify_order(_topics: tuple[bytes, ...], data: bytes) -> bytes:
    terms = _number(data, _WORD)
    reason = _tail(data, terms, 6)
    return keccak256(
        _ORDER_TAG
        + data[terms : terms + 6 * _WORD]
        + keccak256(reason)
        + data[terms + 7 * _WORD : terms + 8 * _WORD]
    )


def _identify_purpose(_topics: tuple[bytes, ...], data: bytes) -> bytes:
    # `abi.encode(terms)` is the offset of a tuple that follows at once, and the tuple.
    return keccak256(_word(_WORD) + data[_number(data, _WORD) :])


def _identify_application(topics: tuple[bytes, ...], data: bytes) -> bytes:
    purpose_and_fields, nonce = data[_WORD : 3 * _WORD], data[4 * _WORD : 5 * _WORD]
    return keccak256(_APPLICATION_TAG + topics[1] + topics[2] + purpose_and_fields + nonce)


IDENTIFY: Final[Mapping[type[Event], Identify]] = MappingProxyType(
    {
        DatasetRegistered: _identify_dataset,
        OrderIssued: _identify_order,
        PurposeRegistered: _identify_purpose,
        Applied: _identify_application,
    }
)
"""The events whose first topic is the hash of the rest. Data must have been decoded before."""


def _tail(data: bytes, start: int, place: int) -> bytes:
    """Return a dynamic member's bytes: member `place` of the tuple at `start`."""
    at = start + _number(data, start + place * _WORD)
    return data[at + _WORD : at + _WORD + _number(data, at)]


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + _WORD], "big")


def _word(number: int) -> bytes:
    return number.to_bytes(_WORD, "big")


def _padded(address: bytes) -> bytes:
    return address.rjust(_WORD, b"\0")


def access_id(event: Accessed) -> bytes:
    """Return the struct hash of the request that an access answers, from the event alone."""
    return keccak256(
        b"".join(
            (
                _REQUEST,
                bytes(12),
                event.consumer,
                event.basis,
                event.item,
                event.data[:64],
                event.deadline.to_bytes(32, "big"),
            )
        )
    )
