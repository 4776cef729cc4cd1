"""Records: encrypted field by field, committed to leaf by leaf.

    header leaf      = H(0x00 | 1 | "header" | owner | u64 number | salt | u32 epoch)
    field leaf       = H(0x00 | 1 | "field"  | commitment salt | u32 index | name | value)
    record root      = RFC 6962 over header leaf, field leaf 0, field leaf 1, ...
    ciphertext       = nonce (12 bytes) | AES-256-GCM(key, nonce, padded value,
                                                      AAD = dataset, record, field)

The provider makes `EncryptedRecord`s and sends them as lines of JSON. The gateway checks and stores
them and learns no value: a field's key and commitment salt come from the keyholders' seeds; the
record's own salt, which the gateway sees, only tells encryptions of a record apart. A consumer opens
the fields that it was granted and proves that the department published exactly these values
(`verify_opened_fields`) that are in its publication, with none of the person's left out
(`ledger.crypto.publications`). Exact bytes, reasons and vectors: docs/spec/records.md.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ledger.crypto.merkle import merkle_root
from ledger.crypto.publications import PublicationEntry, check_place
from ledger.crypto.secret_sharing import DatasetKeys, RecordKeys, field_key
from ledger.encoding import (
    FORMAT,
    MAX_FIELDS,
    PADDING,
    SIZE,
    Schema,
    field_leaf,
    header_leaf,
    padded,
    part_message,
    record_context,
    sized,
    unpadded,
    utf8,
    value_context,
)
from ledger.errors import LedgerError, MalformedError
from ledger.hexstr import to_hex
from ledger.jsonio import UNREADABLE

_NONCE = 12
_TAG = 16
_SHORTEST = _NONCE + PADDING + _TAG


class WithdrawnRecord(msgspec.Struct, frozen=True, gc=False):
    """In a delta: this record of the publication before is not in the new one."""

    owner: bytes
    number: int

    def __post_init__(self) -> None:
        check_place(self.owner, self.number)


class EncryptedRecord(msgspec.Struct, frozen=True, gc=False):
    """A record as its provider publishes it and the gateway stores and serves it.

    Owner, salt (drawn anew at every encryption) and leaves have 32 bytes; the epoch is that of the
    seeds that the keys come from. A ciphertext is nonce (12 bytes), padded ciphertext, tag (16
    bytes); None in an excerpt where the field was not granted. `MalformedError` on construction if
    one of these does not hold.
    """

    owner: bytes
    number: int
    epoch: int
    salt: bytes
    ciphertexts: tuple[bytes | None, ...]
    leaves: tuple[bytes, ...]

    def __post_init__(self) -> None:
        check_place(self.owner, self.number)
        sized("salt", self.salt)
        if not 0 <= self.epoch < 2**32:
            raise MalformedError("epoch is outside 0 to 2^32 - 1")
        if not 1 <= len(self.leaves) <= MAX_FIELDS:
            raise MalformedError(f"a record has 1 to {MAX_FIELDS} fields, not {len(self.leaves)}")
        if len(self.ciphertexts) != len(self.leaves):
            raise MalformedError("a record has as many fields as leaves")
        if any(len(leaf) != SIZE for leaf in self.leaves):
            raise MalformedError(f"a field leaf does not have {SIZE} bytes")
        if any(each is not None and len(each) < _SHORTEST for each in self.ciphertexts):
            raise MalformedError("a field is shorter than a nonce, a padded value and a tag")

    def entry(self) -> PublicationEntry:
        """Return what a publication commits to; this computes the record root."""
        header = header_leaf(self.owner, self.number, self.salt, self.epoch)
        return PublicationEntry(self.owner, self.number, merkle_root((header, *self.leaves)))

    def excerpt(self, indices: Sequence[int]) -> "EncryptedRecord":
        """Return the record with the ciphertexts of some fields only.

        All leaves stay: they prove the granted values and tell nothing of the others.
        """
        wanted = frozenset(indices)
        granted = (each if at in wanted else None for at, each in enumerate(self.ciphertexts))
        return msgspec.structs.replace(self, ciphertexts=tuple(granted))


@dataclass(frozen=True, slots=True)
class OpenedField:
    """One value, and the salt that proves it: whoever has both can check it against its leaf."""

    index: int
    name: str
    value: str = field(repr=False)
    salt: bytes = field(repr=False)


def encrypt_record(
    schema: Schema,
    keys: DatasetKeys,
    *,
    owner: bytes,
    number: int,
    values: Sequence[str],
    randomness: Callable[[int], bytes] = os.urandom,
) -> EncryptedRecord:
    """Encrypt one record, a value for each field of the schema, and commit to its values.

    Only test vectors pass another `randomness`. It is called once: record salt (32 bytes), then a
    nonce (12 bytes) for each field.

    Raises:
        MalformedError: The keys are another dataset's, or an argument does not have its form.
    """
    if len(values) != len(schema.names):
        raise MalformedError(f"{len(values)} values for {len(schema.names)} fields")
    if keys.dataset != schema.dataset:
        raise MalformedError("the keys belong to another dataset than the schema")
    drawn = randomness(SIZE + _NONCE * len(values))
    salt = drawn[:SIZE]
    record = record_context(number, salt)
    context = value_context(schema.dataset, record)
    ciphertexts, leaves, at = [], [], SIZE
    for name, text in zip(schema.encoded, values, strict=True):
        value = utf8(text)
        key, commitment_salt = field_key(keys, part_message(record, name))
        nonce = drawn[at : at + _NONCE]
        at += _NONCE
        ciphertexts.append(nonce + AESGCM(key).encrypt(nonce, padded(value), context + name))
        leaves.append(field_leaf(commitment_salt, name, value))
    return EncryptedRecord(owner, number, keys.epoch, salt, tuple(ciphertexts), tuple(leaves))


def open_fields(
    schema: Schema, record: EncryptedRecord, keys: RecordKeys
) -> tuple[OpenedField, ...]:
    """Decrypt the fields that `keys` are for. What they prove is for `verify_opened_fields`.

    Raises:
        LedgerError: The keys are another record's or wrong, or a ciphertext is not there or was
            changed; the message says which field. `MalformedError` for fields that the schema does
            not have.
    """
    if (keys.number, keys.salt, keys.epoch) != (record.number, record.salt, record.epoch):
        raise LedgerError("the keys are for another record, or another encryption of it")
    schema.checked(tuple(key.index for key in keys.fields))
    _check_width(schema, record)
    context = value_context(schema.dataset, record_context(record.number, record.salt))
    opened = []
    for key in keys.fields:
        name, ciphertext = schema.names[key.index], record.ciphertexts[key.index]
        if ciphertext is None:
            raise LedgerError(f"field {key.index} ({name}) was not handed over")
        try:
            value = _decrypt(key.key, ciphertext, context + schema.encoded[key.index])
        except (InvalidTag, MalformedError, UnicodeDecodeError):
            # Not chained: a decoding error holds the plaintext.
            raise LedgerError(f"field {key.index} ({name}) does not open") from None
        opened.append(OpenedField(key.index, name, value, key.salt))
    return tuple(opened)


def verify_opened_fields(
    schema: Schema, record: EncryptedRecord, opened: Sequence[OpenedField]
) -> PublicationEntry:
    """Return the record as a publication commits to it, if opened values are the ones that it commits to.

    The root is computed here: check it with `verify_published` or look for it in what
    `verify_owner` returns.

    Raises:
        LedgerError: A value, its name, place or salt is not what the field's leaf commits to.
            `MalformedError` if the fields are not increasing, or not the schema's.
    """
    schema.checked(tuple(shown.index for shown in opened))
    _check_width(schema, record)
    for shown in opened:
        leaf = field_leaf(shown.salt, schema.encoded[shown.index], utf8(shown.value))
        if shown.name != schema.names[shown.index] or leaf != record.leaves[shown.index]:
            raise LedgerError(f"field {shown.index} is not what the record commits to")
    return record.entry()


def _check_width(schema: Schema, record: EncryptedRecord) -> None:
    if len(record.leaves) != len(schema.names):
        raise MalformedError(
            f"the record has {len(record.leaves)} fields, the schema {len(schema.names)}"
        )


def _decrypt(key: bytes, ciphertext: bytes, context: bytes) -> str:
    value = AESGCM(key).decrypt(ciphertext[:_NONCE], ciphertext[_NONCE:], context)
    return unpadded(value).decode()


# As lines of JSON: what a provider uploads, a gateway stores, a consumer gets


class _Line(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A record as JSON. A field that was not granted is null, which only an excerpt may have."""

    v: Literal[1]
    owner: str
    number: int
    epoch: int
    salt: str
    fields: tuple[bytes | None, ...]
    leaves: tuple[str, ...]


class _WithdrawnLine(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A withdrawn record as JSON."""

    v: Literal[1]
    owner: str
    number: int
    withdrawn: Literal[True]


_lines = msgspec.json.Decoder(_Line)
_withdrawn_lines = msgspec.json.Decoder(_WithdrawnLine)
_encoder = msgspec.json.Encoder()


def encode_line(record: EncryptedRecord | WithdrawnRecord) -> bytes:
    """Write a record, an excerpt or a withdrawal as one line of NDJSON, newline included."""
    owner = to_hex(record.owner)
    if isinstance(record, WithdrawnRecord):
        return _encoder.encode(_WithdrawnLine(FORMAT, owner, record.number, True)) + b"\n"
    leaves = tuple([to_hex(leaf) for leaf in record.leaves])
    salt, fields = to_hex(record.salt), record.ciphertexts
    line = _Line(FORMAT, owner, record.number, record.epoch, salt, fields, leaves)
    return _encoder.encode(line) + b"\n"


def decode_line(line: bytes) -> EncryptedRecord | WithdrawnRecord:
    """Read one line of what a provider uploads.

    Raises:
        MalformedError: It is not exactly a record or a withdrawal. The message says where, and
            shows no value.
    """
    # No string in a record's line can hold this word, so it decides which of the two it must be.
    if b'"withdrawn"' in line:
        withdrawn = _parse(_withdrawn_lines, line)
        return WithdrawnRecord(_hash("owner", withdrawn.owner), withdrawn.number)
    record = decode_excerpt(line)
    if None in record.ciphertexts:
        raise MalformedError("a field is null")
    return record


def decode_excerpt(line: bytes) -> EncryptedRecord:
    """Read one record as a consumer gets it, where fields that were not granted are null. Raises as `decode_line`."""
    record = _parse(_lines, line)
    leaves = tuple([_hash(f"leaves[{at}]", leaf) for at, leaf in enumerate(record.leaves)])
    owner, salt = _hash("owner", record.owner), _hash("salt", record.salt)
    return EncryptedRecord(owner, record.number, record.epoch, salt, record.fields, leaves)


def decode_lines(lines: Iterable[bytes]) -> Iterator[EncryptedRecord | WithdrawnRecord]:
    """Read an upload line by line. Raises as `decode_line`; the message says which line, counted from 1."""
    for count, line in enumerate(lines, 1):
        try:
            yield decode_line(line)
        except MalformedError as error:
            raise MalformedError(f"line {count}: {error}") from error


_Found = TypeVar("_Found", _Line, _WithdrawnLine)


def _parse(decoder: "msgspec.json.Decoder[_Found]", line: bytes) -> _Found:
    try:
        return decoder.decode(line)
    except UNREADABLE as error:
        raise MalformedError(str(error)) from error


def _hash(name: str, text: str) -> bytes:
    """Read 32 bytes from their one text form: 0x and 64 lowercase digits."""
    try:
        data = bytes.fromhex(text[2:])
    except ValueError:
        data = b""
    if len(data) != SIZE or to_hex(data) != text:
        raise MalformedError(f"{name} is not 0x and {2 * SIZE} lowercase hexadecimal digits")
    return data
