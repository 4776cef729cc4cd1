"""The subject ids of one wallet: which key signs for which, and whom each is kept for.

A small JSON file beside the keystore. It holds no secret, but it joins a person's ids, so it is for
its user only.
"""

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Literal

import msgspec

from ledger.errors import UNREADABLE
from ledger.hexstr import from_hex, to_hex
from wallet.errors import PartyError
from wallet.files import write_whole


class SignerKind(StrEnum):
    """What signs."""

    ACCOUNT = "account"
    PASSKEY = "passkey"


class Guard(msgspec.Struct, frozen=True):
    """A guardian that an id appointed. On chain there is only its hash, so the wallet remembers it.

    Attributes:
        signer: ERC-7913 bytes, a 0x string.
        until: when its right ends, seconds since 1970.
    """

    signer: str
    until: int


class Identity(msgspec.Struct, frozen=True):
    """One subject id.

    Attributes:
        entry: name of the keystore's entry with the key.
        kind: what the key is.
        subject: the id, a 0x string; empty until it is registered.
        keep_for: `any`, `one` or a consumer's address.
        next_entry: entry of the key that is to take its place, from before the rotation is sent.
        replaced_by: entry of the key that took its place, once there is one.
        guards: guardians that it appointed.
        guards_ended: whether a rotation ended them, and they were not appointed anew yet.
    """

    entry: str
    kind: SignerKind
    subject: str = ""
    keep_for: str = "any"
    next_entry: str = ""
    replaced_by: str = ""
    guards: tuple[Guard, ...] = ()
    guards_ended: bool = False

    @property
    def subject_id(self) -> bytes:
        """The id, 32 bytes.

        Raises:
            PartyError: it is not registered yet.
        """
        if not self.subject:
            raise PartyError("Citizen", f"{self.entry} is not registered yet: enrol first")
        return from_hex(self.subject, 32)


class _File(msgspec.Struct):
    format: Literal[1]
    identities: tuple[Identity, ...]


class Identities:
    """The file, which need not exist; a `PartyError` if it cannot be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._all = self._read()

    @property
    def all(self) -> tuple[Identity, ...]:
        """Every id, also those not registered yet and those whose key was replaced."""
        return self._all

    @property
    def active(self) -> tuple[Identity, ...]:
        """The registered ids with the key that counts."""
        return tuple(each for each in self._all if each.subject and not each.replaced_by)

    def of_subject(self, subject: bytes) -> Identity:
        """Return the id with the key that counts; a `PartyError` if it is not in this wallet."""
        for identity in self.active:
            if identity.subject == to_hex(subject):
                return identity
        raise PartyError("Citizen", f"{to_hex(subject)} is not an id of this wallet")

    def of_entry(self, entry: str) -> Identity:
        """Return the id of a key; a `PartyError` if there is none."""
        for identity in self._all:
            if identity.entry == entry:
                return identity
        raise PartyError("Citizen", f"the wallet has no key {entry}")

    def note_guard(self, entry: str, signer: bytes, until: int) -> None:
        """Note that an id appointed a guardian, or dismissed it (`until` zero); see `put`."""
        identity = self.of_entry(entry)
        others = tuple(guard for guard in identity.guards if guard.signer != to_hex(signer))
        guards = (*others, Guard(to_hex(signer), until)) if until else others
        self.put([msgspec.structs.replace(identity, guards=guards)])

    def note_guards_appointed(self, entry: str) -> None:
        """Note that after a rotation all guardians of an id were appointed anew; see `put`."""
        self.put([msgspec.structs.replace(self.of_entry(entry), guards_ended=False)])

    def put(self, changed: Iterable[Identity]) -> None:
        """Add ids, or replace those of the same keys; on disk when this returns.

        Raises:
            PartyError: the file cannot be written; nothing has changed.
        """
        by_entry = {identity.entry: identity for identity in (*self._all, *changed)}
        identities = tuple(by_entry.values())
        self._write(identities)
        self._all = identities

    def _read(self) -> tuple[Identity, ...]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_File).identities
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise PartyError("Citizen", f"{self._path}: {error.strerror}") from error
        except UNREADABLE as error:
            raise PartyError("Citizen", f"{self._path} is damaged: {error}") from error

    def _write(self, identities: tuple[Identity, ...]) -> None:
        text = msgspec.json.format(msgspec.json.encode(_File(1, identities)), indent=2)
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self._path, text + b"\n")
        except OSError as error:
            raise PartyError("Citizen", f"{self._path}: {error.strerror}") from error
