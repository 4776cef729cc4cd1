"""The signed records: the single source of every EIP-712 type of the system.

Class name, attribute order, attribute names (in camelCase) and annotations below give the type
strings; the contracts' typehashes and the web app's are tested against them. How the hashes are
made stands in `ledger.eip712`, whose functions are offered here too.

In Python bytes are `bytes`, addresses too (20 bytes). In JSON bytes are 0x strings, and integers are
numbers below 2**53 and decimal strings from there on, so that JavaScript reads them exactly.

Source: docs/spec/typed-data.md.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final, TypeVar

import msgspec

from ledger.eip712 import (
    DOMAIN_NAME,
    DOMAIN_TYPE,
    DOMAIN_VERSION,
    KINDS,
    Address,
    Bool,
    Bytes,
    Bytes32,
    Domain,
    JsonScalar,
    Schema,
    SignedRecord,
    String,
    Uint32,
    Uint64,
    Uint256,
    digest,
    digest_of,
    domain_separator,
    schema_of,
    struct_hash,
    type_hash,
)
from ledger.errors import MalformedError
from ledger.hexes import to_hex
from ledger.strict_json import parse_json

__all__ = [
    "DOMAIN_NAME",
    "DOMAIN_VERSION",
    "RECORDS",
    "TYPES",
    "AccessRequest",
    "Authorization",
    "ConfidentialityAgreement",
    "Confirmation",
    "Domain",
    "Freeze",
    "GuardianAppointment",
    "JsonScalar",
    "Member",
    "RecoveryVeto",
    "Revocation",
    "SignedRecord",
    "SignerRotation",
    "SubjectLink",
    "SubjectOpening",
    "decode_record",
    "digest",
    "digest_of",
    "domain_separator",
    "encode_record",
    "record_from_object",
    "record_to_object",
    "struct_hash",
    "type_hash",
    "wallet_request",
]

RecordT = TypeVar("RecordT", bound=SignedRecord)


class Authorization(SignedRecord, frozen=True):
    """A subject's consent; its struct hash is the authorization's id."""

    verified_by: ClassVar[str] = "Authorizations"

    subject: Bytes32
    consumer: Address
    dataset: Bytes32
    item: Bytes32
    """Root of the one record that may be used; zero for all that the basis covers."""
    purpose: Bytes32
    fields: Uint256
    """Bitmap over the dataset's schema: bit i is field i."""
    case_reference: Bytes32
    """Salted hash of the consumer's case number: `ledger.statement.case_reference`."""
    statement: String
    """The exact sentence that the person saw: `ledger.statement.make_statement`."""
    not_before: Uint64
    """Seconds since 1970, like the next."""
    expires_at: Uint64
    max_uses: Uint32
    min_interval: Uint32
    """Least time between two uses, seconds."""
    nonce: Bytes32
    deadline: Uint64
    """Until when it may be relayed, seconds since 1970."""


class Revocation(SignedRecord, frozen=True):
    """Ends an authorization."""

    verified_by: ClassVar[str] = "Authorizations"

    subject: Bytes32
    authorization: Bytes32
    deadline: Uint64


class Confirmation(SignedRecord, frozen=True):
    """A subject's new key confirms an authorization that the old one signed."""

    verified_by: ClassVar[str] = "Authorizations"

    subject: Bytes32
    authorization: Bytes32
    deadline: Uint64


class Freeze(SignedRecord, frozen=True):
    """Stops everything of a subject, or lets it go on."""

    verified_by: ClassVar[str] = "Authorizations"

    subject: Bytes32
    frozen: Bool
    nonce: Bytes32
    deadline: Uint64


class SignerRotation(SignedRecord, frozen=True):
    """The current signer of a subject names its successor."""

    verified_by: ClassVar[str] = "Authorizations"

    subject: Bytes32
    new_signer: Bytes
    """ERC-7913 bytes: `ledger.signing.parse_signer`."""
    nonce: Bytes32
    deadline: Uint64


class RecoveryVeto(SignedRecord, frozen=True):
    """The old signer of a subject stops a recovery that its owner did not ask for."""

    verified_by: ClassVar[str] = "Authorizations"

    subject: Bytes32
    new_signer: Bytes
    nonce: Bytes32
    deadline: Uint64


class GuardianAppointment(SignedRecord, frozen=True):
    """Lets somebody else sign for a subject until a time; `expires_at` zero dismisses."""

    verified_by: ClassVar[str] = "Authorizations"

    subject: Bytes32
    guardian: Bytes
    expires_at: Uint64
    nonce: Bytes32
    deadline: Uint64


class SubjectOpening(SignedRecord, frozen=True):
    """The present signer of a closed subject wants it open again; its registrar sends this."""

    verified_by: ClassVar[str] = "Authorizations"

    subject: Bytes32
    nonce: Bytes32
    deadline: Uint64


class AccessRequest(SignedRecord, frozen=True):
    """A consumer asks to use a basis once; its struct hash is the access's id."""

    verified_by: ClassVar[str] = "AccessLog"

    consumer: Address
    basis: Bytes32
    """Id of the authorization, agreement, order or dataset that the access rests on."""
    item: Bytes32
    fields: Uint256
    nonce: Uint256
    deadline: Uint64


class ConfidentialityAgreement(SignedRecord, frozen=True):
    """A consumer binds itself to the terms of an application."""

    verified_by: ClassVar[str] = "Agreements"

    consumer: Address
    application: Bytes32
    text: String
    nonce: Bytes32
    deadline: Uint64


class SubjectLink(SignedRecord, frozen=True):
    """The identity authority's word that a dataset's owner is this subject; never on chain."""

    verified_by: ClassVar[str] = "Authorizations"

    subject: Bytes32
    dataset: Bytes32
    owner: Bytes32
    issued_at: Uint64
    """Seconds since 1970; after the subject's `linksFrom` on chain."""
    expires_at: Uint64
    """Exclusive; at most 30 days later (`ledger.links`)."""


RECORDS: Final[tuple[type[SignedRecord], ...]] = (
    Authorization,
    Revocation,
    Confirmation,
    Freeze,
    SignerRotation,
    RecoveryVeto,
    GuardianAppointment,
    SubjectOpening,
    AccessRequest,
    ConfidentialityAgreement,
    SubjectLink,
)
"""All signed records, in the order of the specification."""


# JSON


def record_to_object(record: SignedRecord) -> dict[str, JsonScalar]:
    """Return the record as a JSON object."""
    schema = schema_of(type(record))
    values = msgspec.structs.astuple(record)
    return {
        field.name: field.kind.to_json(value)
        for field, value in zip(schema.fields, values, strict=True)
    }


def record_from_object(record_type: type[RecordT], value: object) -> RecordT:
    """Return the record that a parsed JSON object stands for.

    Raises:
        MalformedError: not an object, a member missing, unknown or unfit for its type.
    """
    schema = schema_of(record_type)
    if not isinstance(value, Mapping):
        raise MalformedError(f"{schema.name}: needs a JSON object, got {type(value).__name__}")
    _check_members(schema, value)
    attributes: dict[str, object] = {}
    for field in schema.fields:
        try:
            attributes[field.attribute] = field.kind.from_json(value[field.name])
        except ValueError as error:
            raise MalformedError(f"{schema.name}.{field.name}: {error}") from error
    return record_type(**attributes)


def encode_record(record: SignedRecord) -> bytes:
    """Return the record as JSON text (UTF-8, members in the order of the type, no spaces)."""
    return msgspec.json.encode(record_to_object(record))


def decode_record(record_type: type[RecordT], data: bytes | str) -> RecordT:
    """Return the record that a JSON text stands for; `JsonError` or `MalformedError` if it stands for none."""
    return record_from_object(record_type, parse_json(data))


def _check_members(schema: Schema, value: Mapping[object, object]) -> None:
    expected = {field.name for field in schema.fields}
    if value.keys() == expected:
        return
    missing = sorted(expected - value.keys())
    if missing:
        raise MalformedError(f"{schema.name}: missing {', '.join(missing)}")
    unknown = sorted(str(name)[:40] for name in value.keys() - expected)
    raise MalformedError(f"{schema.name}: unknown {', '.join(unknown)}")


# For wallets (eth_signTypedData_v4)


class Member(msgspec.Struct, frozen=True):
    """One line of a type in `eth_signTypedData`'s JSON."""

    name: str
    type: str


class _WalletRequest(msgspec.Struct, frozen=True, rename="camel"):
    types: dict[str, tuple[Member, ...]]
    primary_type: str
    domain: dict[str, JsonScalar]
    message: dict[str, JsonScalar]


def _members_of_domain() -> tuple[Member, ...]:
    inside = DOMAIN_TYPE[DOMAIN_TYPE.index("(") + 1 : -1]
    pairs = (member.split(" ") for member in inside.split(","))
    return tuple(Member(name=name, type=kind) for kind, name in pairs)


def _members_of(record_type: type[SignedRecord]) -> tuple[Member, ...]:
    fields = schema_of(record_type).fields
    return tuple(Member(name=field.name, type=field.kind.name) for field in fields)


TYPES: Final[Mapping[str, tuple[Member, ...]]] = MappingProxyType(
    {
        "EIP712Domain": _members_of_domain(),
        **{record_type.__name__: _members_of(record_type) for record_type in RECORDS},
    }
)
"""All types as wallets want them, the domain's included, by name."""


def wallet_request(record: SignedRecord, domain: Domain) -> bytes:
    """Return the JSON that `eth_signTypedData_v4` takes to sign a record, UTF-8."""
    name = type(record).__name__
    request = _WalletRequest(
        types={type_name: TYPES[type_name] for type_name in ("EIP712Domain", name)},
        primary_type=name,
        domain={
            "name": DOMAIN_NAME,
            "version": DOMAIN_VERSION,
            "chainId": KINDS["uint256"].to_json(domain.chain_id),
            "verifyingContract": to_hex(domain.verifying_contract),
        },
        message=record_to_object(record),
    )
    return msgspec.json.encode(request)
