"""The one module that makes canonical bytes: what is hashed, keyed or authenticated is laid out here.

Integers are big-endian, text is UTF-8, a part of variable length follows its length as u32, a part
of fixed length (ids, salts, hashes: 32 bytes) does not. Every layout starts with the format version
and a tag or label that says what it is, so no two can be taken for each other.

Spec pages: docs/spec/records.md, docs/spec/custody.md, docs/spec/answer-keys.md.
"""

from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise
from typing import Final

from ledger.errors import MalformedError

FORMAT: Final = 1
"""Version of every layout in this module."""

MAX_BESIDES: Final = 1_280
"""Bytes that a sealed message has beside its plaintext at most: form 2 in suite 0x02, with the sealed key, has 1,204."""
SIZE: Final = 32
"""Bytes in an id, an owner, a salt, a key and a hash."""

MAX_FIELDS: Final = 256
"""Fields in a dataset at most: a field mask is one 256-bit word on chain."""


def u32(number: int) -> bytes:
    """Encode in four bytes, big-endian; `MalformedError` if it is negative or does not fit."""
    try:
        return number.to_bytes(4, "big")
    except OverflowError as error:
        raise MalformedError("a number is outside 0 to 2^32 - 1") from error


def u64(number: int) -> bytes:
    """Encode in eight bytes, big-endian; `MalformedError` if it is negative or does not fit."""
    try:
        return number.to_bytes(8, "big")
    except OverflowError as error:
        raise MalformedError("a number is outside 0 to 2^64 - 1") from error


def prefixed(part: bytes) -> bytes:
    """Put the length of `part` (u32) before it."""
    return u32(len(part)) + part


def utf8(text: str) -> bytes:
    """Encode text; `MalformedError` for half of a surrogate pair, which has no UTF-8 form."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        # The original error quotes the text, which may be personal data.
        raise MalformedError(f"text is not valid Unicode at position {error.start}") from None


def sized(name: str, value: bytes, size: int = SIZE) -> bytes:
    """Return `value` if it has `size` bytes; else `MalformedError` says its `name`."""
    if len(value) != size:
        raise MalformedError(f"{name} has {len(value)} bytes instead of {size}")
    return value


def tag(prefix: int, name: str) -> bytes:
    """Start of a tagged hash's input: prefix byte, format version, length of the name (u8), name."""
    encoded = name.encode("ascii")
    return bytes((prefix, FORMAT, len(encoded))) + encoded


def label(name: str) -> bytes:
    """Name a derivation or a ciphertext: `quancheng/1/<name>`."""
    return f"quancheng/{FORMAT}/{name}".encode("ascii")


# Leaves of the two trees. 0x00 is RFC 6962's prefix of a leaf, 0x01 of a node (ledger/crypto/merkle.py).
_LEAF = 0x00
HEADER_LEAF = tag(_LEAF, "header")
FIELD_LEAF = tag(_LEAF, "field")
RECORD_LEAF = tag(_LEAF, "record")

# Derivations and ciphertexts.
DATASET_LABEL = label("dataset")
FIELD_LABEL = label("field")
KEY_AND_SALT_LABEL = label("key+salt")
ANSWER_KEY_LABEL = label("answer-key")
VALUE_LABEL = bytes((FORMAT,)) + label("value")


def header_leaf(owner: bytes, number: int, salt: bytes, epoch: int) -> bytes:
    """First leaf of a record's tree: whose it is, which one, and how it was encrypted (32 bytes)."""
    return sha256(HEADER_LEAF + owner + u64(number) + salt + u32(epoch)).digest()


def field_leaf(commitment_salt: bytes, encoded_name: bytes, value: bytes) -> bytes:
    """Leaf that commits to one field's value (32 bytes).

    The salt is the secret one that is derived beside the field's key: with one that the gateway
    stores, values could be guessed. The name is the field's entry of `Schema.encoded`.
    """
    return sha256(FIELD_LEAF + commitment_salt + encoded_name + prefixed(value)).digest()


def publication_leaf(owner: bytes, number: int, root: bytes) -> bytes:
    """Leaf of a publication's tree: one record of one owner (32 bytes)."""
    return sha256(RECORD_LEAF + owner + u64(number) + root).digest()


def dataset_message(epoch: int, dataset: bytes) -> bytes:
    """What a seed is keyed over to give a dataset's subkey."""
    return DATASET_LABEL + u32(epoch) + dataset


def record_context(number: int, salt: bytes) -> bytes:
    """Name one encryption of one record, in key derivation and in the AAD of its values."""
    return u64(number) + salt


def part_message(record: bytes, encoded_name: bytes) -> bytes:
    """What a subkey is keyed over to give its part of a field's key: `record_context`, entry of `Schema.encoded`."""
    return FIELD_LABEL + record + encoded_name


def value_context(dataset: bytes, record: bytes) -> bytes:
    """AAD of a record's values; each value's AAD is this followed by its `Schema.encoded` entry."""
    return VALUE_LABEL + dataset + record


PADDING = 32
"""A value is padded to a multiple of this many bytes before encryption, so that its length hides in a class."""


def padded(value: bytes) -> bytes:
    """Pad a value: 0x80, then zeros up to a multiple of `PADDING` (ISO/IEC 9797-1, method 2)."""
    return value + b"\x80" + bytes(-(len(value) + 1) % PADDING)


def unpadded(value: bytes) -> bytes:
    """Take the padding away; `MalformedError` if there is none."""
    text = value.rstrip(b"\x00")
    if len(value) % PADDING or not text.endswith(b"\x80") or len(value) - len(text) >= PADDING:
        raise MalformedError("a value is not padded")
    return text[:-1]


def sealing_info(purpose: str, context: bytes) -> bytes:
    """HPKE `info` of a sealed message: what it is for, and what it belongs to."""
    return label(purpose) + prefixed(context)


def answer_key_message(chain_id: int, access_log: bytes, consumer: bytes, key: bytes) -> bytes:
    """What a request's nonce is a hash of: where it counts, whose it is (20 bytes each), the key of its answer."""
    place = chain_id.to_bytes(SIZE, "big") + sized("the access log", access_log, 20)
    return ANSWER_KEY_LABEL + place + sized("the consumer's account", consumer, 20) + key


@dataclass(frozen=True, slots=True)
class Schema:
    """The fields of a dataset, in the order of the catalogue: bit i of a field mask is `names[i]`.

    1 to 256 different names, none empty. `encoded` is each field as it enters keys, AAD and leaves:
    index (u32), length (u32), name.
    """

    dataset: bytes
    names: tuple[str, ...]
    encoded: tuple[bytes, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        sized("the dataset's id", self.dataset)
        if not 1 <= len(self.names) <= MAX_FIELDS:
            raise MalformedError(f"a dataset has 1 to {MAX_FIELDS} fields, not {len(self.names)}")
        if "" in self.names or len(set(self.names)) != len(self.names):
            raise MalformedError("a dataset's field names are different and none is empty")
        encoded = (u32(index) + prefixed(utf8(name)) for index, name in enumerate(self.names))
        object.__setattr__(self, "encoded", tuple(encoded))

    def indices(self, mask: int) -> tuple[int, ...]:
        """Return the fields that a mask names, in order; `MalformedError` for none, or one outside."""
        if mask <= 0 or mask >> len(self.names):
            raise MalformedError("the field mask names no field, or one outside the schema")
        return tuple(index for index in range(len(self.names)) if mask >> index & 1)

    def mask(self, indices: tuple[int, ...]) -> int:
        """Return the mask of some fields; `MalformedError` as `checked`."""
        return sum(1 << index for index in self.checked(indices))

    def checked(self, indices: tuple[int, ...]) -> tuple[int, ...]:
        """Return `indices` if they are fields of this dataset, strictly increasing, at least one; else `MalformedError`."""
        ordered = all(a < b for a, b in pairwise(indices))
        if not indices or not ordered or indices[0] < 0 or indices[-1] >= len(self.names):
            raise MalformedError("field indices must be increasing, and within the schema")
        return indices
