"""A keyholder's keystore: its account, its encryption key, its seeds by epoch.

Each epoch has an entry of its own, with the members and the threshold that it was drawn for: a later
epoch may have other keyholders. Old epochs stay, because records that were encrypted under them do.
"""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hmac import digest as hmac
from typing import Final, Self

import msgspec

from ledger.crypto.hpke import DecryptionKey, Suite
from ledger.crypto.secret_sharing import (
    Confidential,
    HolderSeeds,
    Roster,
    Seed,
    Subset,
    assemble_seeds,
)
from ledger.crypto.signatures import PRIVATE_KEY_LENGTH, address_of
from ledger.encoding import FORMAT, label
from ledger.errors import MalformedError
from ledger.jsonio import UNREADABLE
from wallet.errors import KeystoreError
from wallet.keyholder.errors import KeyholderError, SeedsMissingError
from wallet.keystore import Keystore, Kind
from wallet.passwords import Password

ACCOUNT: Final = "account"
ENCRYPTION: Final = "encryption"
_EPOCH: Final = "epoch-"
_FINGERPRINT: Final = 8


class _Stored(Confidential, frozen=True, array_like=True, tag="epoch"):
    epoch: int
    threshold: int
    members: tuple[bytes, ...]
    seeds: tuple[Seed, ...]


@dataclass(frozen=True, slots=True)
class EpochSeeds:
    """The seeds of one holder for one epoch, as far as they were drawn and received."""

    roster: Roster
    number: int
    """The holder's, in the roster."""
    seeds: Mapping[Subset, Seed] = field(repr=False)

    @property
    def missing(self) -> tuple[Subset, ...]:
        """The subsets of which no seed is there yet."""
        mine = self.roster.sharing.subsets_of(self.number)
        return tuple(subset for subset in mine if subset not in self.seeds)

    def with_seeds(self, seeds: Iterable[Seed]) -> Self:
        """Return this with more seeds.

        Raises:
            KeyholderError: A seed is not this holder's, or differs from the one that is there.
        """
        known = dict(self.seeds)
        for seed in seeds:
            if seed.epoch != self.roster.epoch:
                raise KeyholderError(f"the seed is of epoch {seed.epoch}")
            if seed.subset not in self.roster.sharing.subsets_of(self.number):
                raise KeyholderError(f"keyholder {self.number} is not in subset {seed.subset}")
            if known.setdefault(seed.subset, seed) != seed:
                raise KeyholderError(f"there is another seed of subset {seed.subset} already")
        return type(self)(self.roster, self.number, known)

    def complete(self) -> HolderSeeds:
        """Return all seeds of the holder; raises `SeedsMissingError` if one was not received yet."""
        if self.missing:
            raise SeedsMissingError(
                f"epoch {self.roster.epoch} lacks the seeds of subsets {list(self.missing)}"
            )
        sharing, epoch = self.roster.sharing, self.roster.epoch
        return assemble_seeds(sharing, self.number, epoch, self.seeds.values())

    def fingerprints(self) -> dict[Subset, str]:
        """Return a short hash of each seed, which says nothing of it, to be compared by voice."""
        message = label("fingerprint") + self.roster.digest()
        return {
            subset: hmac(seed.secret, message, "sha256")[:_FINGERPRINT].hex()
            for subset, seed in sorted(self.seeds.items())
        }


@dataclass(frozen=True, slots=True)
class Holdings:
    """Everything secret that a keyholder's process works with."""

    account: bytes = field(repr=False)
    """Private key, 32 bytes."""
    opening: DecryptionKey = field(repr=False)
    epochs: Mapping[int, EpochSeeds]

    @property
    def address(self) -> bytes:
        """The keyholder's."""
        return address_of(self.account)

    def newest(self) -> EpochSeeds:
        """Return the newest epoch of which all seeds are there; raises `SeedsMissingError` for none."""
        for epoch in sorted(self.epochs, reverse=True):
            if not self.epochs[epoch].missing:
                return self.epochs[epoch]
        raise SeedsMissingError("no epoch's seeds are complete: hold the seed ceremony")


def create_holder(keystore: Keystore, password: Password, suite: Suite = Suite.X25519) -> Holdings:
    """Draw a new keyholder's account and encryption key and store them.

    Raises:
        KeystoreError: The keystore has a keyholder already, or cannot be written.
    """
    account, opening = secrets.token_bytes(PRIVATE_KEY_LENGTH), DecryptionKey.generate(suite)
    keystore.store(ACCOUNT, Kind.ETHEREUM_KEY, account, password)
    keystore.store(
        ENCRYPTION,
        Kind.ENCRYPTION_KEY,
        opening.to_bytes(),
        password,
        public=opening.encryption_key.to_bytes(),
    )
    return Holdings(account, opening, {})


def load_holdings(keystore: Keystore, password: Password) -> Holdings:
    """Open a keyholder's keystore.

    Raises:
        KeystoreError: An entry is missing, damaged, or has another password.
    """
    account = keystore.load(ACCOUNT, Kind.ETHEREUM_KEY, password)
    opening = DecryptionKey(keystore.load(ENCRYPTION, Kind.ENCRYPTION_KEY, password))
    address = address_of(account)
    names = [entry.name for entry in keystore.entries() if entry.name.startswith(_EPOCH)]
    epochs = [_load_epoch(keystore, name, password, address) for name in names]
    return Holdings(account, opening, {epoch.roster.epoch: epoch for epoch in epochs})


def store_epoch(keystore: Keystore, password: Password, seeds: EpochSeeds) -> None:
    """Store the seeds of an epoch. When this returns they are on disk.

    Raises:
        KeystoreError: They cannot be written; those of before are still there.
    """
    roster = seeds.roster
    stored = _Stored(roster.epoch, roster.threshold, roster.members, tuple(seeds.seeds.values()))
    secret = bytes((FORMAT,)) + msgspec.msgpack.encode(stored)
    name = f"{_EPOCH}{roster.epoch}"
    keystore.store(name, Kind.SEEDS, secret, password, public=roster.digest(), replace=True)


def _load_epoch(keystore: Keystore, name: str, password: Password, address: bytes) -> EpochSeeds:
    secret = keystore.load(name, Kind.SEEDS, password)
    try:
        if secret[:1] != bytes((FORMAT,)):
            raise KeystoreError(f"{name} is not in format version {FORMAT}")
        stored = msgspec.msgpack.decode(secret[1:], type=_Stored)
        roster = Roster(stored.epoch, stored.threshold, stored.members)
        empty = EpochSeeds(roster, roster.number_of(address), {})
        return empty.with_seeds(stored.seeds)
    except (*UNREADABLE, KeyholderError, MalformedError) as error:
        raise KeystoreError(f"{name} does not hold this keyholder's seeds") from error
