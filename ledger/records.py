"""Records: encrypted field by field, committed to leaf by leaf, published in order.

    header leaf      = H(0x00 | 1 | "header" | owner | u64 number | salt | u32 epoch)
    field leaf       = H(0x00 | 1 | "field"  | commitment salt | u32 index | name | value)
    record root      = RFC 6962 over header leaf, field leaf 0, field leaf 1, ...
    publication leaf = H(0x00 | 1 | "record" | owner | u64 number | record root)
    publication root = RFC 6962 over publication leaves, by (owner, number), strictly increasing
    ciphertext       = nonce (12 bytes) | AES-256-GCM(key, nonce, padded value,
                                                      AAD = dataset, record, field)

The provider makes `EncryptedRecord`s and sends them as lines of JSON. The gateway checks and stores
them and learns no value: a field's key and commitment salt come from the keyholders' seeds; the
record's own salt, which the gateway sees, only tells encryptions of a record apart. A consumer opens
the fields that it was granted and proves that the department published exactly these values
(`verify_opened_fields`, `verify_published`) and that none of the person's records was left out
(`verify_owner`). Exact bytes, reasons and vectors: docs/spec/records.md.
"""

import os
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ledger.custody import DatasetKeys, RecordKeys, field_key
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
    publication_leaf,
    record_context,
    sized,
    unpadded,
    utf8,
    value_context,
)
from ledger.errors import MalformedError, OpeningError, ProofError
from ledger.hexes import to_hex
from ledger.merkle import (
    EMPTY_ROOT,
    InclusionProof,
    MerkleTree,
    RangeProof,
    StreamingRoot,
    TreeHead,
    merkle_root,
    verify_inclusion,
    verify_range,
)

_NONCE = 12
_TAG = 16
_SHORTEST = _NONCE + PADDING + _TAG


class PublicationEntry(msgspec.Struct, frozen=True, gc=False):
    """One record as a publication commits to it.

    Attributes:
        owner: Whose record, 32 bytes.
        number: Which of the owner's records, 0 to 2^64 - 1, the same for the life of the record.
        root: The record root, 32 bytes; it is the `item` of an authorization for this record.

    Raises:
        MalformedError: On construction, if one of these does not hold.
    """

    owner: bytes
    number: int
    root: bytes

    def __post_init__(self) -> None:
        _check_place(self.owner, self.number)
        sized("the record root", self.root)

    def leaf(self) -> bytes:
        """Return the publication leaf, 32 bytes."""
        return publication_leaf(self.owner, self.number, self.root)


class WithdrawnRecord(msgspec.Struct, frozen=True, gc=False):
    """In a delta: this record of the publication before is not in the new one.

    Raises:
        MalformedError: On construction, if owner or number do not have their form.
    """

    owner: bytes
    number: int

    def __post_init__(self) -> None:
        _check_place(self.owner, self.number)


class EncryptedRecord(msgspec.Struct, frozen=True, gc=False):
    """A record as its provider publishes it and the gateway stores and serves it.

    Attributes:
        owner: Whose record, 32 bytes.
        number: Which of the owner's records.
        epoch: Of the seeds that the keys come from.
        salt: Drawn anew at every encryption, 32 bytes.
        ciphertexts: For each field: nonce (12 bytes), padded ciphertext, tag (16 bytes). None in an
            excerpt, where the field was not granted.
        leaves: For each field: its leaf, 32 bytes, in the schema's order.

    Raises:
        MalformedError: On construction, if one of these does not hold.
    """

    owner: bytes
    number: int
    epoch: int
    salt: bytes
    ciphertexts: tuple[bytes | None, ...]
    leaves: tuple[bytes, ...]

    def __post_init__(self) -> None:
        _check_place(self.owner, self.number)
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
        """Return the record as a consumer may have it: with the ciphertexts of some fields only.

        All leaves stay: they prove the granted values and tell nothing of the others.
        """
        wanted = frozenset(indices)
        kept = (each if at in wanted else None for at, each in enumerate(self.ciphertexts))
        return msgspec.structs.replace(self, ciphertexts=tuple(kept))


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
    """Encrypt one record and commit to its values.

    Args:
        schema: The dataset and its fields.
        keys: The dataset's keys for the current epoch.
        owner: Whose record, 32 bytes.
        number: Which of the owner's records.
        values: One for each field, in the schema's order.
        randomness: Gives that many secure random bytes; only test vectors pass another one. It is
            called once: record salt (32 bytes), then a nonce (12 bytes) for each field.

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
        OpeningError: The keys are another record's or wrong, or a ciphertext is not there or was
            changed. The message says which field.
        MalformedError: The keys are for fields that the schema does not have.
    """
    if (keys.number, keys.salt, keys.epoch) != (record.number, record.salt, record.epoch):
        raise OpeningError("the keys are for another record, or another encryption of it")
    schema.checked(tuple(key.index for key in keys.fields))
    _check_width(schema, record)
    context = value_context(schema.dataset, record_context(record.number, record.salt))
    opened = []
    for key in keys.fields:
        name, ciphertext = schema.names[key.index], record.ciphertexts[key.index]
        if ciphertext is None:
            raise OpeningError(f"field {key.index} ({name}) was not handed over")
        try:
            value = _decrypt(key.key, ciphertext, context + schema.encoded[key.index])
        except (InvalidTag, MalformedError, UnicodeDecodeError):
            # Not chained: a decoding error holds the plaintext.
            raise OpeningError(f"field {key.index} ({name}) does not open") from None
        opened.append(OpenedField(key.index, name, value, key.salt))
    return tuple(opened)


def verify_opened_fields(
    schema: Schema, record: EncryptedRecord, opened: Sequence[OpenedField]
) -> PublicationEntry:
    """Check that opened values are the ones that the record commits to.

    Returns:
        The record as a publication commits to it, with the root computed here: check it with
        `verify_published` or find it among what `verify_owner` returns.

    Raises:
        ProofError: A value, its name, place or salt is not what the field's leaf commits to.
        MalformedError: The fields are not increasing, or not the schema's.
    """
    schema.checked(tuple(one.index for one in opened))
    _check_width(schema, record)
    for one in opened:
        leaf = field_leaf(one.salt, schema.encoded[one.index], utf8(one.value))
        if one.name != schema.names[one.index] or leaf != record.leaves[one.index]:
            raise ProofError(f"field {one.index} is not what the record commits to")
    return record.entry()


def verify_published(
    entry: PublicationEntry, proof: InclusionProof, head: TreeHead
) -> PublicationEntry:
    """Check that a record is in a publication.

    Args:
        entry: The record, its root computed from what was opened, not taken from the gateway.
        proof: From the gateway.
        head: Count and root of the publication, from the chain.

    Returns:
        The entry.

    Raises:
        ProofError: It is not in there.
    """
    verify_inclusion(entry.leaf(), proof, head)
    return entry


class PublicationRoot:
    """Root and count of a publication, while its records pass in order; O(log n) memory."""

    def __init__(self) -> None:
        self._tree = StreamingRoot()
        self._last = (b"", 0)

    def add(self, entry: PublicationEntry) -> None:
        """Append a record.

        Raises:
            MalformedError: It does not come after the one before, by owner and number.
        """
        self.extend([(entry.owner, entry.number, entry.root)])

    def extend(self, entries: Sequence[tuple[bytes, int, bytes]]) -> None:
        """Append many records, by owner, number and root: faster than one by one, and the same.

        Raises:
            MalformedError: One does not come after the one before, or does not have its form;
                nothing was appended.
        """
        last, leaves = self._last, []
        for owner, number, root in entries:
            if len(owner) != SIZE or len(root) != SIZE:
                raise MalformedError(f"an owner or a record root does not have {SIZE} bytes")
            if (owner, number) <= last:
                raise MalformedError("the records are not in order of owner and number, each once")
            leaves.append(publication_leaf(owner, number, root))
            last = (owner, number)
        self._tree.extend(leaves)
        self._last = last

    def head(self) -> TreeHead:
        """Return count and root of what was added so far."""
        return self._tree.head()


class OwnerProof(msgspec.Struct, frozen=True):
    """All records of one owner in a publication, or that there is none.

    A publication is in order of owner. So a run of neighbouring leaves that begins before the owner
    and ends after it holds all there is of that owner.

    Attributes:
        start: Place of the first entry in the publication.
        size: Number of records in the publication.
        entries: The entry before the owner's records (unless they are the first), the owner's, the
            entry after them (unless they are the last).
        hashes: Range proof of these entries.
    """

    start: int
    size: int
    entries: tuple[PublicationEntry, ...]
    hashes: tuple[bytes, ...]


def prove_owner(tree: MerkleTree, entries: Sequence[PublicationEntry], owner: bytes) -> OwnerProof:
    """Prove which records an owner has in a publication.

    Args:
        tree: The publication's tree.
        entries: The publication's entries in order. Only O(log n) of them and the owner's are
            looked at, so this may be a view of a database.
        owner: 32 bytes.

    Raises:
        MalformedError: Tree and entries are not of one size.
    """
    if tree.size != len(entries):
        raise MalformedError(f"{len(entries)} entries for a tree of {tree.size}")
    if not tree.size:
        return OwnerProof(0, 0, (), ())
    start = max(bisect_left(entries, owner, key=_owner) - 1, 0)
    end = min(bisect_right(entries, owner, key=_owner) + 1, tree.size)
    run = tuple(entries[at] for at in range(start, end))
    return OwnerProof(start, tree.size, run, tree.prove_range(start, end).hashes)


def verify_owner(proof: OwnerProof, owner: bytes, head: TreeHead) -> tuple[PublicationEntry, ...]:
    """Check that a proof shows all records of an owner in a publication.

    Args:
        proof: From the gateway.
        owner: 32 bytes, from a `SubjectLink`.
        head: Count and root of the publication, from the chain.

    Returns:
        The owner's entries, in order of number; none if the owner has no record there.

    Raises:
        ProofError: The entries are not a run of this publication, are not in order, or do not reach
            from before the owner to after it.
    """
    return entries_of_owner(verify_run(proof, head), owner)


def verify_run(proof: OwnerProof, head: TreeHead) -> OwnerProof:
    """Check that a proof's entries are a run of a publication, whoever's they are; return the proof.

    Raises:
        ProofError: They are not, or are not in order.
    """
    entries, end = proof.entries, proof.start + len(proof.entries)
    if head.size == 0:
        if head.root != EMPTY_ROOT or proof != OwnerProof(0, 0, (), ()):
            raise ProofError("the proof is not that of an empty publication")
        return proof
    run = RangeProof(proof.start, end, proof.size, proof.hashes)
    verify_range([entry.leaf() for entry in entries], run, head)
    if any((a.owner, a.number) >= (b.owner, b.number) for a, b in pairwise(entries)):
        raise ProofError("the publication is not in order of owner and number, each once")
    return proof


def entries_of_owner(verified: OwnerProof, owner: bytes) -> tuple[PublicationEntry, ...]:
    """Return an owner's entries in a run that `verify_run` verified, if it shows them all.

    Raises:
        ProofError: The run does not reach from before the owner to after it.
    """
    proof, entries = verified, verified.entries
    before = sum(entry.owner < owner for entry in entries)
    after = sum(entry.owner > owner for entry in entries)
    if before > 1 or (proof.start > 0 and before == 0):
        raise ProofError("the proof does not begin right before the owner's records")
    if after > 1 or (proof.start + len(entries) < proof.size and after == 0):
        raise ProofError("the proof does not end right after the owner's records")
    return entries[before : len(entries) - after]


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
        found = _parse(_withdrawn_lines, line)
        return WithdrawnRecord(_hash("owner", found.owner), found.number)
    record = decode_excerpt(line)
    if None in record.ciphertexts:
        raise MalformedError("a field is null")
    return record


def decode_excerpt(line: bytes) -> EncryptedRecord:
    """Read one record as a consumer gets it, where fields that were not granted are null.

    Raises:
        MalformedError: It is not exactly that. The message says where, and shows no value.
    """
    found = _parse(_lines, line)
    leaves = tuple([_hash(f"leaves[{at}]", leaf) for at, leaf in enumerate(found.leaves)])
    owner, salt = _hash("owner", found.owner), _hash("salt", found.salt)
    return EncryptedRecord(owner, found.number, found.epoch, salt, found.fields, leaves)


def decode_lines(lines: Iterable[bytes]) -> Iterator[EncryptedRecord | WithdrawnRecord]:
    """Read an upload line by line.

    Raises:
        MalformedError: As `decode_line`; the message says which line, counted from 1.
    """
    for count, line in enumerate(lines, 1):
        try:
            yield decode_line(line)
        except MalformedError as error:
            raise MalformedError(f"line {count}: {error}") from error


_Found = TypeVar("_Found", _Line, _WithdrawnLine)


def _parse(decoder: "msgspec.json.Decoder[_Found]", line: bytes) -> _Found:
    try:
        return decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MalformedError(str(error)) from error


def _hash(name: str, text: str) -> bytes:
    """Read 32 bytes from their one text form: 0x and 64 lowercase digits."""
    try:
        found = bytes.fromhex(text[2:])
    except ValueError:
        found = b""
    if len(found) != SIZE or to_hex(found) != text:
        raise MalformedError(f"{name} is not 0x and {2 * SIZE} lowercase hexadecimal digits")
    return found


def _check_place(owner: bytes, number: int) -> None:
    sized("owner", owner)
    if not 0 <= number < 2**64:
        raise MalformedError("number is outside 0 to 2^64 - 1")


def _check_width(schema: Schema, record: EncryptedRecord) -> None:
    if len(record.leaves) != len(schema.names):
        raise MalformedError(
            f"the record has {len(record.leaves)} fields, the schema {len(schema.names)}"
        )


def _decrypt(key: bytes, ciphertext: bytes, context: bytes) -> str:
    value = AESGCM(key).decrypt(ciphertext[:_NONCE], ciphertext[_NONCE:], context)
    return unpadded(value).decode()


def _owner(entry: PublicationEntry) -> bytes:
    return entry.owner
