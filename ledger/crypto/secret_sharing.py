"""Who can make a data key: k of n keyholders, by replicated secret sharing; and who they are in an epoch."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from hmac import digest as hmac
from itertools import combinations
from math import comb
from typing import Annotated, Final, TypeVar

import msgspec

from ledger.encoding import (
    FORMAT,
    KEY_AND_SALT_LABEL,
    MAX_BESIDES,
    SIZE,
    Schema,
    dataset_message,
    label,
    part_message,
    record_context,
    sized,
    u32,
)
from ledger.errors import CustodyError, MalformedError
from ledger.hexstr import ADDRESS_LENGTH, to_hex
from ledger.jsonio import UNREADABLE

Subset = tuple[int, ...]

MAX_SUBSETS = 512
"""Subsets at most: each costs the provider one HMAC a field. 5 of 9 has 126, 6 of 11 has 462."""

Epoch = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
Bytes32 = Annotated[bytes, msgspec.Meta(min_length=SIZE, max_length=SIZE)]

_HEAD: Final = 5
_NUMBER: Final = 9
_SMALL: Final = 3
_EXPAND_KEY = KEY_AND_SALT_LABEL + b"\x01"
_EXPAND_SALT = KEY_AND_SALT_LABEL + b"\x02"


@dataclass(frozen=True, slots=True)
class Sharing:
    """How many of how many keyholders it takes: 1 <= threshold <= holders, at most `MAX_SUBSETS` subsets."""

    threshold: int
    holders: int

    def __post_init__(self) -> None:
        if not 1 <= self.threshold <= self.holders:
            raise MalformedError(f"{self.threshold} of {self.holders} keyholders is impossible")
        if self.holders > MAX_SUBSETS or comb(self.holders, self.threshold - 1) > MAX_SUBSETS:
            raise MalformedError(
                f"{self.threshold} of {self.holders} keyholders needs more than {MAX_SUBSETS} seeds"
            )

    @property
    def subsets(self) -> tuple[Subset, ...]:
        """All subsets of holders - threshold + 1 holders, in lexicographic order."""
        return _subsets(self)

    def subsets_of(self, holder: int) -> tuple[Subset, ...]:
        """Return the subsets that a holder is in, in the same order; `MalformedError` if there is none such."""
        return _subsets_of(self, holder)


class Confidential(msgspec.Struct, frozen=True):
    """A struct whose contents never reach a log, a traceback or a terminal through its `repr`."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, not shown>"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("contents", "not shown")]


class Share(Confidential, frozen=True, array_like=True):
    """One subset's secret: a seed or a subkey (32 bytes), or parts of keys (32 bytes a field)."""

    subset: Subset
    secret: bytes


class Seed(Confidential, frozen=True, array_like=True, tag="seed"):
    """The seed of one subset for one epoch. Whoever is not in the subset must never see it."""

    epoch: Epoch
    subset: Subset
    secret: Bytes32


class HolderSeeds(Confidential, frozen=True, array_like=True, tag="seeds"):
    """All seeds of one holder for one epoch: what a keyholder keeps in its keystore."""

    holder: int
    epoch: Epoch
    seeds: tuple[Share, ...]


class HolderSubkeys(Confidential, frozen=True, array_like=True, tag="subkeys"):
    """One holder's subkeys for one dataset and epoch: what a provider needs to encrypt with."""

    holder: int
    epoch: Epoch
    dataset: Bytes32
    subkeys: tuple[Share, ...]


class HolderParts(Confidential, frozen=True, array_like=True, tag="parts"):
    """One holder's parts of the keys of the fields `indices` of one record: 32 bytes a field in each share."""

    holder: int
    epoch: Epoch
    number: Annotated[int, msgspec.Meta(ge=0)]
    salt: Bytes32
    indices: tuple[int, ...]
    shares: tuple[Share, ...]


class Release(Confidential, frozen=True, array_like=True, tag="release"):
    """What one holder hands over for one access: its parts for each record that the access covers."""

    records: tuple[HolderParts, ...]


class DatasetKeys(Confidential, frozen=True):
    """All subkeys of a dataset for one epoch, in the order of `Sharing.subsets`: they open everything."""

    epoch: int
    dataset: bytes
    subkeys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class FieldKey:
    """What opens one field of one record: an AES-256 key, and the salt of its commitment."""

    index: int
    key: bytes = field(repr=False)
    salt: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RecordKeys:
    """The keys of the released fields of the record that `number` and `salt` name."""

    epoch: int
    number: int
    salt: bytes
    fields: tuple[FieldKey, ...]


def draw_seeds(
    sharing: Sharing, holder: int, epoch: int, randomness: Callable[[int], bytes] = os.urandom
) -> tuple[Seed, ...]:
    """Draw the seeds of the subsets in which `holder` has the lowest number.

    The holder then seals each one to every other member of its subset, and to nobody else.
    """
    led = (subset for subset in sharing.subsets_of(holder) if subset[0] == holder)
    return tuple(Seed(epoch, subset, sized("a seed", randomness(SIZE))) for subset in led)


def assemble_seeds(sharing: Sharing, holder: int, epoch: int, seeds: Iterable[Seed]) -> HolderSeeds:
    """Put together the seeds that a holder drew and received.

    Raises:
        CustodyError: A seed is missing, of another epoch, of a subset that the holder is not
            in, or differs from another one of the same subset.
    """
    secrets: dict[Subset, bytes] = {}
    for seed in seeds:
        if seed.epoch != epoch:
            raise CustodyError(f"a seed of epoch {seed.epoch} among those of epoch {epoch}")
        if secrets.setdefault(seed.subset, seed.secret) != seed.secret:
            raise CustodyError(f"two different seeds of subset {seed.subset}")
    for subset in sharing.subsets_of(holder):
        if subset not in secrets:
            raise _missing(subset)
    if len(secrets) > len(sharing.subsets_of(holder)):
        raise CustodyError(f"a seed of a subset that keyholder {holder} is not in")
    shares = (Share(subset, secrets[subset]) for subset in sharing.subsets_of(holder))
    return HolderSeeds(holder, epoch, tuple(shares))


def derive_subkeys(seeds: HolderSeeds, dataset: bytes) -> HolderSubkeys:
    """Derive a holder's subkeys for a dataset (32 bytes). They stay the same for the whole epoch."""
    message = dataset_message(seeds.epoch, sized("the dataset's id", dataset))
    subkeys = (Share(seed.subset, hmac(seed.secret, message, "sha256")) for seed in seeds.seeds)
    return HolderSubkeys(seeds.holder, seeds.epoch, dataset, tuple(subkeys))


def derive_parts(
    subkeys: HolderSubkeys, schema: Schema, number: int, salt: bytes, indices: tuple[int, ...]
) -> HolderParts:
    """Derive a holder's parts of the keys of some fields of one record; whether they may be had is not checked.

    Raises:
        MalformedError: The subkeys are another dataset's, the salt does not have 32 bytes, or
            the indices are not increasing ones of the schema.
    """
    if subkeys.dataset != schema.dataset:
        raise MalformedError("the keys belong to another dataset than the schema")
    record = record_context(number, sized("the record's salt", salt))
    messages = [part_message(record, schema.encoded[index]) for index in schema.checked(indices)]
    shares = [
        Share(share.subset, b"".join([hmac(share.secret, each, "sha256") for each in messages]))
        for share in subkeys.subkeys
    ]
    return HolderParts(subkeys.holder, subkeys.epoch, number, salt, indices, tuple(shares))


def combine_subkeys(sharing: Sharing, handed: Sequence[HolderSubkeys]) -> DatasetKeys:
    """Combine what at least k holders gave a provider into the keys of its dataset.

    Raises:
        CustodyError: Too few holders, two that disagree, or subkeys that are not for one
            dataset and epoch, or not exactly those of a holder's subsets.
    """
    if len({(keys.epoch, keys.dataset) for keys in handed}) > 1:
        raise CustodyError("the subkeys are not all for the same dataset and epoch")
    shares = _agreed(sharing, [(keys.holder, keys.subkeys) for keys in handed], SIZE)
    return DatasetKeys(handed[0].epoch, handed[0].dataset, shares)


def combine_parts(sharing: Sharing, handed: Sequence[HolderParts]) -> RecordKeys:
    """Combine what at least k holders released to a consumer into the keys of a record's fields.

    Raises:
        CustodyError: Too few holders, two that disagree, or parts that are not for the same
            fields of the same record, or not exactly those of a holder's subsets.
    """
    if len({(part.epoch, part.number, part.salt, part.indices) for part in handed}) > 1:
        raise CustodyError("the parts are not all for the same fields of the same record")
    size = SIZE * len(handed[0].indices) if handed else 0
    parts = _agreed(sharing, [(part.holder, part.shares) for part in handed], size)
    first, prks = handed[0], _xor(parts, size)
    fields = [
        FieldKey(index, *_expand(prks[place * SIZE : (place + 1) * SIZE]))
        for place, index in enumerate(first.indices)
    ]
    return RecordKeys(first.epoch, first.number, first.salt, tuple(fields))


def field_key(keys: DatasetKeys, message: bytes) -> tuple[bytes, bytes]:
    """Derive a field's key and commitment salt, 32 bytes each, from its `ledger.encoding.part_message`."""
    return _expand(_xor([hmac(subkey, message, "sha256") for subkey in keys.subkeys], SIZE))


def pack(message: Seed | HolderSeeds | HolderSubkeys | Release) -> bytes:
    """Write down what is then sealed or kept in a keystore: format version, then MessagePack."""
    return bytes((FORMAT,)) + msgspec.msgpack.encode(message)


def most_packed(sharing: Sharing, records: int, fields: int) -> int:
    """Return how many bytes a release of so many records and fields, packed, has at most.

    MessagePack writes a number in at most 9 bytes and what has a length with at most 5 before it;
    numbers of holders and fields, up to 512, take 3.
    """
    subset = sharing.holders - sharing.threshold + 1
    share = _HEAD + (_HEAD + _SMALL * subset) + (_HEAD + SIZE * fields)
    shares = comb(sharing.holders - 1, sharing.threshold - 1) * share
    record = 6 * _HEAD + 3 * _NUMBER + SIZE + _SMALL * fields + shares
    return 4 * _HEAD + records * record


_Packed = TypeVar("_Packed", Seed, HolderSeeds, HolderSubkeys, Release)


def unpack(data: bytes, kind: type[_Packed]) -> _Packed:
    """Read what `pack` wrote; `MalformedError` for anything else, or another format version."""
    if data[:1] != bytes((FORMAT,)):
        raise MalformedError(f"not in format version {FORMAT}")
    try:
        return msgspec.msgpack.decode(data[1:], type=kind)
    except UNREADABLE as error:
        raise MalformedError(f"not a {kind.__name__}: {error}") from error


@lru_cache(maxsize=64)
def _subsets(sharing: Sharing) -> tuple[Subset, ...]:
    size = sharing.holders - sharing.threshold + 1
    return tuple(combinations(range(1, sharing.holders + 1), size))


@lru_cache(maxsize=1024)
def _subsets_of(sharing: Sharing, holder: int) -> tuple[Subset, ...]:
    if not 1 <= holder <= sharing.holders:
        raise MalformedError(f"there is no keyholder {holder}, only 1 to {sharing.holders}")
    return tuple(subset for subset in sharing.subsets if holder in subset)


def _agreed(
    sharing: Sharing, handed: Sequence[tuple[int, tuple[Share, ...]]], size: int
) -> tuple[bytes, ...]:
    """Return each subset's secret, in order, after comparing what its holders handed over."""
    agreed: dict[Subset, tuple[int, bytes]] = {}
    for holder, shares in handed:
        if tuple(share.subset for share in shares) != sharing.subsets_of(holder):
            raise CustodyError(f"not exactly the shares of keyholder {holder}'s subsets")
        for share in shares:
            if len(share.secret) != size:
                raise CustodyError(f"a share of keyholder {holder} does not have {size} bytes")
            other, secret = agreed.setdefault(share.subset, (holder, share.secret))
            if secret != share.secret:
                raise CustodyError(
                    f"keyholders {other} and {holder} disagree about the share of subset {_named(share.subset)}"
                )
    for subset in sharing.subsets:
        if subset not in agreed:
            raise _missing(subset)
    return tuple(agreed[subset][1] for subset in sharing.subsets)


def _missing(subset: Subset) -> CustodyError:
    return CustodyError(f"no share of subset {_named(subset)}: ask one of these keyholders")


def _named(subset: Subset) -> str:
    return "{" + ", ".join(map(str, subset)) + "}"


def _xor(parts: Iterable[bytes], size: int) -> bytes:
    mixed = 0
    for part in parts:
        mixed ^= int.from_bytes(part, "big")
    return mixed.to_bytes(size, "big")


def _expand(prk: bytes) -> tuple[bytes, bytes]:
    """HKDF-Expand to 64 bytes: the AES-256 key, and the salt of the field's commitment."""
    key = hmac(prk, _EXPAND_KEY, "sha256")
    return key, hmac(prk, key + _EXPAND_SALT, "sha256")


@dataclass(frozen=True, slots=True)
class Roster:
    """The keyholders of one epoch: how many together make a key, and their addresses, keyholder 1 first.

    `MalformedError` on construction if there is no such roster.
    """

    epoch: int
    threshold: int
    members: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if not 0 <= self.epoch < 2**32:
            raise MalformedError("an epoch's number is 0 to 2^32 - 1")
        if len(set(self.members)) != len(self.members):
            raise MalformedError("a keyholder is named twice")
        self.sharing.subsets_of(1)
        for member in self.members:
            sized("a keyholder's address", member, ADDRESS_LENGTH)

    @property
    def sharing(self) -> Sharing:
        return Sharing(self.threshold, len(self.members))

    def number_of(self, address: bytes) -> int:
        """Return a member's number, from 1; `MalformedError` if it is none."""
        if address not in self.members:
            raise MalformedError(f"{to_hex(address)} is not a keyholder of epoch {self.epoch}")
        return self.members.index(address) + 1

    def digest(self) -> bytes:
        """Return what all members must agree on, as 32 bytes (docs/spec/custody.md)."""
        sizes = u32(self.epoch) + u32(self.threshold) + u32(len(self.members))
        return sha256(label("ceremony") + sizes + b"".join(self.members)).digest()


def add_roster(rosters: Iterable[Roster], roster: Roster) -> tuple[Roster, ...]:
    """Return rosters with one more, by epoch; `MalformedError` if there is another one of this epoch."""
    known = {known_roster.epoch: known_roster for known_roster in rosters}
    if known.setdefault(roster.epoch, roster) != roster:
        raise MalformedError(f"epoch {roster.epoch} has another roster")
    return tuple(known[epoch] for epoch in sorted(known))


def most_sealed(rosters: Iterable[Roster], records: int, fields: int) -> int:
    """Return how many bytes one keyholder's sealed parts of so many records and fields have at most."""
    packed = [most_packed(roster.sharing, records, fields) for roster in rosters]
    return max(packed, default=0) + MAX_BESIDES
