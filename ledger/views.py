"""What can be asked of the contracts: each function returns the `Call` that asks it.

    standing = rpc.send(views.standing_of(contracts, party))

`tag` names the block whose state is asked for. Ids are 32 bytes, addresses 20, times seconds since
1970; sets of fields are bitmaps.

Source: contracts/interfaces/*.sol, where each view is specified.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

import msgspec
from eth_abi.exceptions import DecodingError

from ledger import queries
from ledger.abi_decoder import decode_abi
from ledger.contracts import encode_call
from ledger.enumerations import Change, Class, Roles
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
    recorder: bytes
    """The first one that the party named; zeros for none. `may_record` asks for any."""


class Admission(msgspec.Struct, frozen=True):
    """An admission that was announced; all zero for none pending."""

    roles: Roles
    effective_at: int
    """From when it can be activated."""
    name: str


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
    countersigned: bool
    """By a regulator; an order that closes needs none."""
    reviewed: bool
    in_force: bool


class LastOrders(msgspec.Struct, frozen=True):
    """A dataset's last order that was countersigned, and its last that closes; zeros for none."""

    opening: bytes
    closing: bytes
    unreviewed_closings: int
    """Orders that close and wait for a review, but for those that ended before their start."""


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
    suspended_until: int
    """Exclusive."""
    round: int
    """Number of times that it was approved anew after a withdrawal."""
    suspension_unseen: bool
    """No regulator has looked at the last suspension yet."""
    withdrawn: bool
    active: bool
    """Approved, not withdrawn, expired or suspended, confidentiality agreement signed."""


class SubjectState(msgspec.Struct, frozen=True):
    """A subject; number zero for an unknown one."""

    number: int
    registrar: bytes
    """The identity authority that registered it."""
    links_from: int
    """Links issued up to then count no more; zero for none ended."""
    frozen: bool
    closed: bool
    epoch: int
    """Number of recoveries that took effect."""
    recovery_at: int
    """When the pending recovery may take effect; zero for none."""
    frozen_by: bytes
    """Keccak-256 of the signer who may lift the freeze at once; zeros for nobody."""
    liftable_at: int
    """From when the present signer may lift it."""
    signer: bytes
    pending_signer: bytes


class Rights(msgspec.Struct, frozen=True):
    """What a signer may do for a subject: exclusive ends, zero for not at all."""

    consent_until: int
    stop_until: int


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
    """The subject is frozen, closed, under recovery, or did not confirm it since a recovery."""


class TermsState(msgspec.Struct, frozen=True):
    """What all authorizations under one agreement and with the same fields share."""

    agreement: int
    """The agreement's number."""
    round: int
    """The agreement's round when they were granted."""
    fields: int


class EventState(msgspec.Struct, frozen=True):
    """How far one of the four contracts that number their events has got."""

    count: int
    head: bytes
    """24 bytes."""


class LogState(msgspec.Struct, frozen=True):
    """How far the access log has got."""

    sequence: int
    head: bytes


# Any of the four contracts that number their events


def event_state(contract: bytes, tag: BlockTag = "latest") -> Call[EventState]:
    """Ask one of Registry, Catalogue, Agreements, Authorizations for its events' count and hash."""
    return _then(
        queries.call(contract, encode_call("state()"), tag),
        lambda data: EventState(*_decoded(("uint64", "bytes24"), data)),
    )


# Registry


def standing_of(contracts: Contracts, party: bytes, tag: BlockTag = "latest") -> Call[Standing]:
    """Ask for a party's roles, whether it is admitted, and its restriction."""
    return _view(
        contracts.registry,
        ("standingOf(address)", party),
        "(uint8,bool,uint64,address)",
        lambda values: Standing(*_converted(values, {0: Roles, 3: _address})),
        tag,
    )


def encryption_key_of(contracts: Contracts, party: bytes, tag: BlockTag = "latest") -> Call[bytes]:
    """Ask for a party's HPKE public key; empty when it set none."""
    return _view(contracts.registry, ("encryptionKeyOf(address)", party), "bytes", bytes, tag)


def authority(contracts: Contracts, tag: BlockTag = "latest") -> Call[bytes]:
    """Ask for the authority's address."""
    return _view(contracts.registry, ("authority()",), "address", _address, tag)


def may_record(
    contracts: Contracts, consumer: bytes, recorder: bytes, tag: BlockTag = "latest"
) -> Call[bool]:
    """Ask whether a consumer named this recorder."""
    call = ("mayRecord(address,address)", consumer, recorder)
    return _view(contracts.registry, call, "bool", bool, tag)


def party_named(contracts: Contracts, name: str, tag: BlockTag = "latest") -> Call[bytes]:
    """Ask whose name this is, or was; zeros for a name that nobody had."""
    return _view(contracts.registry, ("partyNamed(string)", name), "address", _address, tag)


def admission_of(contracts: Contracts, party: bytes, tag: BlockTag = "latest") -> Call[Admission]:
    """Ask for the admission that is announced for a party."""
    return _view(
        contracts.registry,
        ("admissionOf(address)", party),
        "(uint8,uint64,string)",
        lambda values: Admission(*_converted(values, {0: Roles})),
        tag,
    )


def change_due_at(
    contracts: Contracts,
    change: Change,
    first: bytes,
    second: bytes = bytes(20),
    tag: BlockTag = "latest",
) -> Call[int]:
    """Ask from when an announced change can be made; zero for none pending."""
    call = ("changeDueAt(uint8,address,address)", change, first, second)
    return _view(contracts.registry, call, "uint64", int, tag)


def veto_until(contracts: Contracts, regulator: bytes, tag: BlockTag = "latest") -> Call[int]:
    """Ask until when (exclusive) a withdrawn regulator may still veto."""
    return _view(contracts.registry, ("vetoUntil(address)", regulator), "uint64", int, tag)


def is_verifier(contracts: Contracts, verifier: bytes, tag: BlockTag = "latest") -> Call[bool]:
    """Ask whether signers may be checked by a verifier."""
    return _view(contracts.registry, ("isVerifier(address)", verifier), "bool", bool, tag)


def successor_of(
    contracts: Contracts, identity_authority: bytes, tag: BlockTag = "latest"
) -> Call[bytes]:
    """Ask who acts for the subjects of an identity authority beside itself; zeros for nobody."""
    call = ("successorOf(address)", identity_authority)
    return _view(contracts.registry, call, "address", _address, tag)


def is_trial(contracts: Contracts, tag: BlockTag = "latest") -> Call[bool]:
    """Ask whether the deployment is a trial: its delays may be shorter than three days."""
    return _view(contracts.registry, ("TRIAL()",), "bool", bool, tag)


def admission_delay(contracts: Contracts, tag: BlockTag = "latest") -> Call[int]:
    """Ask for the seconds from an announcement to its taking effect."""
    return _view(contracts.registry, ("ADMISSION_DELAY()",), "uint64", int, tag)


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
        "(bytes32,bytes32,uint256,uint8,uint64,uint64,bool,bool,bool)",
        lambda values: OrderState(*_converted(values, {3: Class})),
        tag,
    )


def last_orders_of(
    contracts: Contracts, dataset: bytes, tag: BlockTag = "latest"
) -> Call[LastOrders]:
    """Ask for a dataset's last orders, and how many that close wait for a review."""
    return _then(
        queries.call(contracts.catalogue, encode_call("lastOrdersOf(bytes32)", dataset), tag),
        lambda data: LastOrders(*_decoded(("bytes32", "bytes32", "uint32"), data)),
    )


def closed_by_order(contracts: Contracts, dataset: bytes, tag: BlockTag = "latest") -> Call[bool]:
    """Ask whether an order in force closes a dataset."""
    return _view(contracts.catalogue, ("closedByOrder(bytes32)", dataset), "bool", bool, tag)


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


def supervisor_of(contracts: Contracts, supervisor: bytes, tag: BlockTag = "latest") -> Call[bytes]:
    """Ask which regulator appointed a supervisor; zeros for none."""
    call = ("supervisorOf(address)", supervisor)
    return _view(contracts.agreements, call, "address", _address, tag)


# Authorizations


def subject_of(
    contracts: Contracts, subject: bytes, tag: BlockTag = "latest"
) -> Call[SubjectState]:
    """Ask for a subject's state."""
    return _view(
        contracts.authorizations,
        ("subjectOf(bytes32)", subject),
        "(uint32,address,uint64,bool,bool,uint24,uint64,bytes32,uint64,bytes,bytes)",
        lambda values: SubjectState(*_converted(values, {1: _address})),
        tag,
    )


def recovery_delay(contracts: Contracts, tag: BlockTag = "latest") -> Call[int]:
    """Ask for the seconds between the start of a recovery and its taking effect."""
    return _view(contracts.authorizations, ("RECOVERY_DELAY()",), "uint64", int, tag)


def rights_of(
    contracts: Contracts, subject: bytes, signer: bytes, tag: BlockTag = "latest"
) -> Call[Rights]:
    """Ask until when a signer may consent for a registered subject, and until when stop."""
    call = encode_call("rightsOf(bytes32,bytes)", subject, signer)
    return _then(
        queries.call(contracts.authorizations, call, tag),
        lambda data: Rights(*_decoded(("uint64", "uint64"), data)),
    )


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
        "(uint32,uint16,uint256)",
        lambda values: TermsState(*values),
        tag,
    )


def item_of(contracts: Contracts, authorization: bytes, tag: BlockTag = "latest") -> Call[bytes]:
    """Ask for the record that an authorization is bound to; zeros when it is not."""
    return _view(
        contracts.authorizations, ("itemOf(bytes32)", authorization), "bytes32", bytes, tag
    )


def is_voided(
    contracts: Contracts, authorization: bytes, sequence: int, tag: BlockTag = "latest"
) -> Call[bool]:
    """Ask whether an access was voided as a use of an authorization."""
    call = ("isVoided(bytes32,uint256)", authorization, sequence)
    return _view(contracts.authorizations, call, "bool", bool, tag)


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

_AGREEMENT: Final = (
    "(bytes32,uint32,address,bytes32,bytes32,bytes32,uint256,uint64,uint64,uint16,bool,bool,bool)"
)


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
        return decode_abi(types, data)
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
