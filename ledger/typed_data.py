"""The signed records: the single source of every EIP-712 type of the system.

Class name, attribute order, attribute names (in camelCase) and annotations below give the type
strings; the contracts' typehashes and the web app's are tested against them. All that follows from
them is worked out once per class, so that hashing a record is the joining of 32-byte words and two
calls of Keccak: ten times as fast as a general library. Only what these records need is here: flat
structs of bytes32, address, bytes, string, bool and uintN.

In Python bytes are `bytes`, addresses too (20 bytes). In JSON bytes are 0x strings, and integers are
numbers below 2**53 and decimal strings from there on, so that JavaScript reads them exactly.

Source: docs/spec/typed-data.md; EIP-712, "Definition of hashStruct", "encodeData", "domainSeparator".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Annotated, Any, ClassVar, Final, TypeAlias, TypeVar, get_type_hints

import msgspec

from ledger.errors import MalformedError
from ledger.hexstr import ADDRESS_LENGTH, HexError, from_hex, keccak256, parse_address, to_hex
from ledger.jsonio import parse_json

Bytes32 = Annotated[bytes, "bytes32"]
Address = Annotated[bytes, "address"]
Bytes = Annotated[bytes, "bytes"]
String = Annotated[str, "string"]
Bool = Annotated[bool, "bool"]
Uint32 = Annotated[int, "uint32"]
Uint64 = Annotated[int, "uint64"]
Uint256 = Annotated[int, "uint256"]

JsonScalar: TypeAlias = str | int | bool

DOMAIN_NAME: Final = "Quancheng"
DOMAIN_VERSION: Final = "1"
DOMAIN_TYPE: Final = (
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)

_WORD: Final = 32
_ADDRESS_PADDING: Final = bytes(_WORD - ADDRESS_LENGTH)
_EXACT_IN_JAVASCRIPT: Final = 2**53
_DOMAINS_REMEMBERED: Final = 64
_DOMAIN_PREFIX: Final = b"".join(
    keccak256(text.encode()) for text in (DOMAIN_TYPE, DOMAIN_NAME, DOMAIN_VERSION)
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What there is to know of one Solidity type."""

    name: str
    problem: Callable[[object], str | None]
    """What is wrong with a value; None when it fits."""
    encode: Callable[[Any], bytes]
    """The value's word of 32 bytes (EIP-712 `encodeData`)."""
    to_json: Callable[[Any], JsonScalar]
    from_json: Callable[[object], object]
    """The value that a JSON value stands for; raises `ValueError`. Lengths and ranges: `problem`."""
    json_schema: Mapping[str, object]
    """JSON Schema of what `from_json` takes; the range of a number in decimal digits is not in it."""


@dataclass(frozen=True, slots=True)
class Field:
    """One member of a record."""

    name: str
    """As in the type string: camelCase; the attribute is in snake_case."""
    attribute: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Schema:
    name: str
    fields: tuple[Field, ...]
    type_string: str
    type_hash: bytes
    encoders: tuple[Callable[[Any], bytes], ...]


class SignedRecord(msgspec.Struct, frozen=True, rename="camel"):
    """What all signed records share: their values are checked when they are made (`MalformedError`)."""

    verified_by: ClassVar[str]
    """Name of the contract that is the domain's `verifyingContract`."""

    def __post_init__(self) -> None:
        schema = schema_of(type(self))
        for field, value in zip(schema.fields, msgspec.structs.astuple(self), strict=True):
            problem = field.kind.problem(value)
            if problem:
                raise MalformedError(f"{schema.name}.{field.name}: {problem}").labelled("TypedData")


class Domain(msgspec.Struct, frozen=True):
    """Where a signature counts: one contract (20 bytes, else `MalformedError`) on one chain."""

    chain_id: int
    verifying_contract: bytes

    def __post_init__(self) -> None:
        problem = KINDS["uint256"].problem(self.chain_id)
        if problem:
            raise MalformedError(f"Domain.chainId: {problem}").labelled("TypedData")
        problem = KINDS["address"].problem(self.verifying_contract)
        if problem:
            raise MalformedError(f"Domain.verifyingContract: {problem}").labelled("TypedData")


# Hashes


def type_hash(record_type: type[SignedRecord]) -> bytes:
    """Return Keccak-256 of the type string, 32 bytes (EIP-712 `typeHash`)."""
    return schema_of(record_type).type_hash


def struct_hash(record: SignedRecord) -> bytes:
    """Return the record's `hashStruct` (EIP-712), 32 bytes: the id of what it makes."""
    schema = schema_of(type(record))
    values = msgspec.structs.astuple(record)
    words = [encode(value) for encode, value in zip(schema.encoders, values, strict=True)]
    return keccak256(schema.type_hash + b"".join(words))


@lru_cache(maxsize=_DOMAINS_REMEMBERED)
def domain_separator(domain: Domain) -> bytes:
    """Return the domain's `hashStruct` (EIP-712), 32 bytes."""
    return keccak256(
        _DOMAIN_PREFIX
        + KINDS["uint256"].encode(domain.chain_id)
        + KINDS["address"].encode(domain.verifying_contract)
    )


def digest(record: SignedRecord, domain: Domain) -> bytes:
    """Return the 32 bytes that are signed: Keccak-256 of 0x1901, separator, struct hash."""
    return digest_of(struct_hash(record), domain)


def digest_of(record_struct_hash: bytes, domain: Domain) -> bytes:
    """Return the signed digest of a record of which only the struct hash (its id) is known."""
    return keccak256(b"\x19\x01" + domain_separator(domain) + record_struct_hash)


@cache
def schema_of(record_type: type[SignedRecord]) -> Schema:
    hints = get_type_hints(record_type, include_extras=True)
    fields = tuple(
        Field(name, attribute, KINDS[hints[attribute].__metadata__[0]])
        for name, attribute in zip(
            record_type.__struct_encode_fields__, record_type.__struct_fields__, strict=True
        )
    )
    members = ",".join(f"{field.kind.name} {field.name}" for field in fields)
    type_string = f"{record_type.__name__}({members})"
    return Schema(
        name=record_type.__name__,
        fields=fields,
        type_string=type_string,
        type_hash=keccak256(type_string.encode("ascii")),
        encoders=tuple(field.kind.encode for field in fields),
    )


# The Solidity types


def _bytes_problem(length: int | None) -> Callable[[object], str | None]:
    def problem(value: object) -> str | None:
        if not isinstance(value, bytes):
            return f"needs bytes, got {type(value).__name__}"
        if length is not None and len(value) != length:
            return f"needs {length} bytes, has {len(value)}"
        return None

    return problem


def _uint_problem(bits: int) -> Callable[[object], str | None]:
    limit = 1 << bits

    def problem(value: object) -> str | None:
        if not isinstance(value, int) or value is True or value is False:
            return f"needs an integer, got {type(value).__name__}"
        return None if 0 <= value < limit else f"is outside 0 to 2**{bits} - 1"

    return problem


def _string_problem(value: object) -> str | None:
    if not isinstance(value, str):
        return f"needs a string, got {type(value).__name__}"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "is not Unicode text: a lone surrogate"
    return None


def _bool_problem(value: object) -> str | None:
    return None if isinstance(value, bool) else f"needs true or false, got {type(value).__name__}"


def _encode_uint(value: int) -> bytes:
    return value.to_bytes(_WORD, "big")


def _uint_to_json(value: int) -> JsonScalar:
    return value if value < _EXACT_IN_JAVASCRIPT else str(value)


def _uint_from_json(value: object) -> object:
    if isinstance(value, str):
        canonical = value.isascii() and value.isdigit() and (value == "0" or value[0] != "0")
        if not canonical or len(value) > len(str(2**256)):
            raise ValueError("needs an integer in decimal digits")
        return int(value)
    if isinstance(value, int) and value >= _EXACT_IN_JAVASCRIPT:
        raise ValueError("from 2**53 on an integer must be a string of decimal digits")
    return value


def _bytes_from_json(value: object) -> object:
    return from_hex(_text(value))


def _address_from_json(value: object) -> object:
    return parse_address(_text(value))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise HexError(f"needs a 0x string, got {type(value).__name__}")
    return value


def _same(value: Any) -> Any:
    return value


def _uint(bits: int) -> Kind:
    number = {"type": "integer", "minimum": 0, "maximum": min(1 << bits, _EXACT_IN_JAVASCRIPT) - 1}
    digits = {"type": "string", "pattern": "^(0|[1-9][0-9]{0,77})$"}
    return Kind(
        f"uint{bits}",
        _uint_problem(bits),
        _encode_uint,
        _uint_to_json,
        _uint_from_json,
        {"anyOf": [number, digits]},
    )


def _hex_schema(length: int | None) -> dict[str, object]:
    digits = "([0-9a-f]{2})*" if length is None else f"[0-9a-f]{{{2 * length}}}"
    return {"type": "string", "pattern": f"^0x{digits}$"}


KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind(
            "bytes32",
            _bytes_problem(_WORD),
            _same,
            to_hex,
            _bytes_from_json,
            _hex_schema(_WORD),
        ),
        Kind(
            "address",
            _bytes_problem(ADDRESS_LENGTH),
            _ADDRESS_PADDING.__add__,
            to_hex,
            _address_from_json,
            # Mixed letters are a checksum (EIP-55), which an expression cannot judge.
            {"type": "string", "pattern": "^0x[0-9a-fA-F]{40}$"},
        ),
        Kind("bytes", _bytes_problem(None), keccak256, to_hex, _bytes_from_json, _hex_schema(None)),
        Kind(
            "string",
            _string_problem,
            lambda text: keccak256(text.encode()),
            _same,
            _same,
            {"type": "string"},
        ),
        Kind("bool", _bool_problem, _encode_uint, _same, _same, {"type": "boolean"}),
        _uint(32),
        _uint(64),
        _uint(256),
    )
}
"""The Solidity types that a record may have, by name."""


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
    """Salted hash of the consumer's case number: `ledger.crypto.statement.case_reference`."""
    statement: String
    """The exact sentence that the person saw: `ledger.crypto.statement.make_statement`."""
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
    """ERC-7913 bytes: an account, or a verifier and a key (`ledger.crypto.signatures`)."""
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


# JSON


def record_to_object(record: SignedRecord) -> dict[str, JsonScalar]:
    schema = schema_of(type(record))
    values = msgspec.structs.astuple(record)
    return {
        field.name: field.kind.to_json(value)
        for field, value in zip(schema.fields, values, strict=True)
    }


def json_schema(record_type: type[SignedRecord]) -> dict[str, object]:
    """Return the JSON Schema (2020-12) of a record's JSON object, for who makes a client of it."""
    schema = schema_of(record_type)
    return {
        "type": "object",
        "title": schema.name,
        "description": f"EIP-712: {schema.type_string}",
        "required": [field.name for field in schema.fields],
        "additionalProperties": False,
        "properties": {field.name: dict(field.kind.json_schema) for field in schema.fields},
    }


def record_from_object(record_type: type[RecordT], value: object) -> RecordT:
    """Return the record that a parsed JSON object stands for.

    Raises:
        MalformedError: not an object, a member missing, unknown or unfit for its type.
    """
    schema = schema_of(record_type)
    if not isinstance(value, Mapping):
        raise MalformedError(
            f"{schema.name}: needs a JSON object, got {type(value).__name__}"
        ).labelled("TypedData")
    _check_members(schema, value)
    attributes: dict[str, object] = {}
    for field in schema.fields:
        try:
            attributes[field.attribute] = field.kind.from_json(value[field.name])
        except ValueError as error:
            raise MalformedError(f"{schema.name}.{field.name}: {error}").labelled(
                "TypedData"
            ) from error
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
        raise MalformedError(f"{schema.name}: missing {', '.join(missing)}").labelled("TypedData")
    unknown = sorted(str(name)[:40] for name in value.keys() - expected)
    raise MalformedError(f"{schema.name}: unknown {', '.join(unknown)}").labelled("TypedData")
