"""What can be asked of the contracts: each function returns the `Call` that asks it.

    standing = rpc.send(views.standing_of(contracts, party))

`tag` names the block whose state is asked for. Ids are 32 bytes, addresses 20, times seconds since
1970; sets of fields are bitmaps.

Source: contracts/interfaces/*.sol, where each view is specified.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

import msgspec
from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from ledger import queries
from ledger.contracts import encode_call
from ledger.enumerations import Class, Roles
from ledger.events import Contracts
from ledger.queries import BlockTag
from ledger.rpc import Call

T = TypeVar("T")

_UINT32: Final = 0xFFFFFFFF
_UINT24: Final = 0xFFFFFF


class Standing(msgspec.Struct, frozen=True):
    """What the registry says of a party."""

    roles: Roles
    """None for an address that was never admitted."""
    active: bool
    restricted_until: int
    """Exclusive; zero when never restricted."""


class DatasetState(msgspec.Struct, frozen=True):
    """What the catalogue says of a dataset; all zero for an unknown one."""

    provider: bytes
    active: bool
    shared: bool
    """Active, and neither its own class nor an order in force is `NOT_SHARED`."""
    personal: bool
    field_count: int
    sharing: Class
    open: Class
    grade: int
    publications: int


class Publication(msgspec.Struct, frozen=True):
    """One version of a dataset; all zero for an unknown one."""

    root: bytes
    count: int
    base: int
    published_at: int


class OrderState(msgspec.Struct, frozen=True):
    """What the catalogue says of an emergency order; all zero for an unknown one."""

    dataset: bytes
    purpose: bytes
    fields: int
    sharing: Class
    starts_at: int
    ends_at: int
    reviewed: bool
    in_force: bool


class PurposeBounds(msgspec.Struct, frozen=True):
    """What no authorization for a purpose exceeds; all zero for an unknown one."""

    active: bool
    max_validity: int
    max_uses: int
    min_interval: int


class Application(msgspec.Struct, frozen=True):
    """A consumer's application; all zero for an unknown one."""

    consumer: bytes
    dataset: bytes
    purpose: bytes
    fields: int
    decided: bool
    signed: bool


class AgreementState(msgspec.Struct, frozen=True):
    """An agreement; all zero for an unknown one."""

    id: bytes
    number: int
    consumer: bytes
    dataset: bytes
    purpose: bytes
    application: bytes
    fields: int
    expires_at: int
    withdrawn: bool
    active: bool
    """Approved, not withdrawn, not expired, confidentiality agreement signed."""


class SubjectState(msgspec.Struct, frozen=True):
    """A subject; number zero for an unknown one."""

    number: int
    frozen: bool
    epoch: int
    """Number of recoveries that took effect."""
    recovery_at: int
    """When the pending recovery may take effect; zero for none."""
    signer: bytes
    pending_signer: bytes


class GrantState(msgspec.Struct, frozen=True):
    """An authorization's slot; subject zero for an unknown one."""

    subject: int
    """The subject's number."""
    terms: int
    """Number of the terms: `terms_of`."""
    not_before: int
    expires_at: int
    uses_left: int
    min_interval: int
    last_use: int
    epoch: int
    revoked: bool
    item_bound: bool
    halted: bool
    """The subject is frozen, under recovery, or has not confirmed it since a recovery."""


class TermsState(msgspec.Struct, frozen=True):
    """What all authorizations under one agreement and with the same fields share."""

    agreement: int
    """The agreement's number."""
    fields: int


class LogState(msgspec.Struct, frozen=True):
    """How far the access log has got."""

    sequence: int
    head: bytes


# Registry


def standing_of(contracts: Contracts, party: bytes, tag: BlockTag = "latest") -> Call[Standing]:
    """Ask for a party's roles, whether it is admitted, and its restriction."""
    return _view(
        contracts.registry,
        ("standingOf(address)", party),
        "(uint8,bool,uint64)",
        lambda values: Standing(*_converted(values, {0: Roles})),
        tag,
    )


def encryption_key_of(contracts: Contracts, party: bytes, tag: BlockTag = "latest") -> Call[bytes]:
    """Ask for a party's HPKE public key; empty when it set none."""
    return _view(contracts.registry, ("encryptionKeyOf(address)", party), "bytes", bytes, tag)


def authority(contracts: Contracts, tag: BlockTag = "latest") -> Call[bytes]:
    """Ask for the authority's address."""
    return _view(contracts.registry, ("authority()",), "address", _address, tag)


def next_authority(contracts: Contracts, tag: BlockTag = "latest") -> Call[bytes]:
    """Ask for the account that the authority offered its place to; zero for none."""
    return _view(contracts.registry, ("pendingOwner()",), "address", _address, tag)


# Catalogue


def dataset_of(
    contracts: Contracts, dataset: bytes, tag: BlockTag = "latest"
) -> Call[DatasetState]:
    """Ask for a dataset's state."""
    return _view(
        contracts.catalogue,
        ("datasetOf(bytes32)", dataset),
        "(address,bool,bool,bool,uint16,uint8,uint8,uint8,uint64)",
        lambda values: DatasetState(*_converted(values, {0: _address, 5: Class, 6: Class})),
        tag,
    )


def publication_of(
    contracts: Contracts, dataset: bytes, version: int, tag: BlockTag = "latest"
) -> Call[Publication]:
    """Ask for one version of a dataset."""
    return _view(
        contracts.catalogue,
        ("publicationOf(bytes32,uint64)", dataset, version),
        "(bytes32,uint64,uint64,uint64)",
        lambda values: Publication(*values),
        tag,
    )


def order_of(contracts: Contracts, order: bytes, tag: BlockTag = "latest") -> Call[OrderState]:
    """Ask for an emergency order's state."""
    return _view(
        contracts.catalogue,
        ("orderOf(bytes32)", order),
        "(bytes32,bytes32,uint256,uint8,uint64,uint64,bool,bool)",
        lambda values: OrderState(*_converted(values, {3: Class})),
        tag,
    )


def last_order_of(contracts: Contracts, dataset: bytes, tag: BlockTag = "latest") -> Call[bytes]:
    """Ask for the last order issued for a dataset; zeros for none."""
    return _view(contracts.catalogue, ("lastOrderOf(bytes32)", dataset), "bytes32", bytes, tag)


# Agreements


def bounds_of(
    contracts: Contracts, purpose: bytes, tag: BlockTag = "latest"
) -> Call[PurposeBounds]:
    """Ask for a purpose's bounds."""
    return _view(
        contracts.agreements,
        ("boundsOf(bytes32)", purpose),
        "(bool,uint64,uint32,uint32)",
        lambda values: PurposeBounds(*values),
        tag,
    )


def fields_bound(
    contracts: Contracts, purpose: bytes, dataset: bytes, tag: BlockTag = "latest"
) -> Call[int]:
    """Ask which fields of a dataset a purpose may use; zero when not bound."""
    signature = "fieldsBound(bytes32,bytes32)"
    return _view(contracts.agreements, (signature, purpose, dataset), "uint256", int, tag)


def application_of(
    contracts: Contracts, application: bytes, tag: BlockTag = "latest"
) -> Call[Application]:
    """Ask for an application's state."""
    return _view(
        contracts.agreements,
        ("applicationOf(bytes32)", application),
        "(address,bytes32,bytes32,uint256,bool,bool)",
        lambda values: Application(*_converted(values, {0: _address})),
        tag,
    )


def agreement_of(
    contracts: Contracts, agreement: bytes, tag: BlockTag = "latest"
) -> Call[AgreementState]:
    """Ask for an agreement's state by its id."""
    call = ("agreementOf(bytes32)", agreement)
    return _view(contracts.agreements, call, _AGREEMENT, _agreement, tag)


def agreement_by_number(
    contracts: Contracts, number: int, tag: BlockTag = "latest"
) -> Call[AgreementState]:
    """Ask for an agreement's state by its number."""
    call = ("agreementByNumber(uint32)", number)
    return _view(contracts.agreements, call, _AGREEMENT, _agreement, tag)


# Authorizations


def subject_of(
    contracts: Contracts, subject: bytes, tag: BlockTag = "latest"
) -> Call[SubjectState]:
    """Ask for a subject's state."""
    return _view(
        contracts.authorizations,
        ("subjectOf(bytes32)", subject),
        "(uint32,bool,uint24,uint64,bytes,bytes)",
        lambda values: SubjectState(*values),
        tag,
    )


def guardian_until(
    contracts: Contracts, subject: bytes, guardian: bytes, tag: BlockTag = "latest"
) -> Call[int]:
    """Ask until when (exclusive) a guardian may sign for a subject; zero for not at all."""
    call = ("guardianUntil(bytes32,bytes)", subject, guardian)
    return _view(contracts.authorizations, call, "uint64", int, tag)


def grant_of(
    contracts: Contracts, authorization: bytes, tag: BlockTag = "latest"
) -> Call[GrantState]:
    """Ask for an authorization's state."""
    call = encode_call("grantOf(bytes32)", authorization)
    return _then(
        queries.call(contracts.authorizations, call, tag),
        lambda data: _grant(*_decoded(("uint256", "bool"), data)),
    )


def terms_of(contracts: Contracts, number: int, tag: BlockTag = "latest") -> Call[TermsState]:
    """Ask for the terms with a number."""
    return _view(
        contracts.authorizations,
        ("termsOf(uint32)", number),
        "(uint32,uint256)",
        lambda values: TermsState(*values),
        tag,
    )


def item_of(contracts: Contracts, authorization: bytes, tag: BlockTag = "latest") -> Call[bytes]:
    """Ask for the record that an authorization is bound to; zeros when it is not."""
    return _view(
        contracts.authorizations, ("itemOf(bytes32)", authorization), "bytes32", bytes, tag
    )


# AccessLog


def log_state(contracts: Contracts, tag: BlockTag = "latest") -> Call[LogState]:
    """Ask for the number of recorded accesses and the running hash."""
    call = encode_call("state()")
    return _then(
        queries.call(contracts.access_log, call, tag),
        lambda data: LogState(*_decoded(("uint256", "bytes32"), data)),
    )


def nonce_used(
    contracts: Contracts, consumer: bytes, nonce: int, tag: BlockTag = "latest"
) -> Call[bool]:
    """Ask whether a consumer's request with this nonce was recorded."""
    call = ("nonceUsed(address,uint256)", consumer, nonce)
    return _view(contracts.access_log, call, "bool", bool, tag)


# Reading answers

_AGREEMENT: Final = "(bytes32,uint32,address,bytes32,bytes32,bytes32,uint256,uint64,bool,bool)"


def _view(
    contract: bytes,
    call: tuple[object, ...],
    output: str,
    build: Callable[[Any], T],
    tag: BlockTag,
) -> Call[T]:
    signature, *arguments = call
    return _then(
        queries.call(contract, encode_call(str(signature), *arguments), tag),
        lambda data: build(_decoded((output,), data)[0]),
    )


def _then(call: Call[bytes], read: Callable[[bytes], T]) -> Call[T]:
    return Call(call.method, call.params, lambda raw: read(call.read(raw)))


def _decoded(types: tuple[str, ...], data: bytes) -> tuple[Any, ...]:
    try:
        return decode(types, data)
    except DecodingError as error:
        raise ValueError(str(error) if data else "no contract at this address") from error


def _address(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _converted(
    values: tuple[Any, ...], conversions: Mapping[int, Callable[[Any], object]]
) -> Iterator[Any]:
    for place, value in enumerate(values):
        convert = conversions.get(place)
        yield value if convert is None else convert(value)


def _agreement(values: tuple[Any, ...]) -> AgreementState:
    return AgreementState(*_converted(values, {2: _address}))


def _grant(slot: int, halted: bool) -> GrantState:
    """Unpack a slot. Source: contracts/libraries/Grants.sol."""
    return GrantState(
        subject=slot & _UINT32,
        terms=slot >> 32 & _UINT32,
        not_before=slot >> 64 & _UINT32,
        expires_at=slot >> 96 & _UINT32,
        uses_left=slot >> 128 & _UINT32,
        min_interval=slot >> 160 & _UINT32,
        last_use=slot >> 192 & _UINT32,
        epoch=slot >> 224 & _UINT24,
        revoked=bool(slot >> 248 & 1),
        item_bound=bool(slot >> 249 & 1),
        halted=halted,
    )
