"""The subject ids of one wallet: which key signs for which, and whom each is kept for.

A small JSON file beside the keystore. It holds no secret, but it joins a person's ids, so it is for
its user only.
"""

import os
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Literal

import msgspec

from ledger.decode_errors import UNREADABLE
from ledger.hexes import from_hex, to_hex
from wallet.errors import PartyError

_MODE = 0o600


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
    """The file.

    Args:
        path: of the file; it need not exist.

    Raises:
        PartyError: it cannot be read.
    """

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
        return tuple(one for one in self._all if one.subject and not one.replaced_by)

    def of_subject(self, subject: bytes) -> Identity:
        """Return the id with the key that counts.

        Raises:
            PartyError: it is not in this wallet.
        """
        for one in self.active:
            if one.subject == to_hex(subject):
                return one
        raise PartyError("Citizen", f"{to_hex(subject)} is not an id of this wallet")

    def of_entry(self, entry: str) -> Identity:
        """Return the id of a key.

        Raises:
            PartyError: there is none.
        """
        for one in self._all:
            if one.entry == entry:
                return one
        raise PartyError("Citizen", f"the wallet has no key {entry}")

    def note_guard(self, entry: str, signer: bytes, until: int) -> None:
        """Note that an id appointed a guardian, or dismissed it (`until` zero).

        Raises:
            PartyError: the file cannot be written; nothing has changed.
            PartyError: there is no such key.
        """
        one = self.of_entry(entry)
        others = tuple(guard for guard in one.guards if guard.signer != to_hex(signer))
        guards = (*others, Guard(to_hex(signer), until)) if until else others
        self.put([msgspec.structs.replace(one, guards=guards)])

    def note_guards_appointed(self, entry: str) -> None:
        """Note that after a rotation all guardians of an id were appointed anew.

        Raises:
            PartyError: the file cannot be written; nothing has changed.
            PartyError: there is no such key.
        """
        self.put([msgspec.structs.replace(self.of_entry(entry), guards_ended=False)])

    def put(self, changed: Iterable[Identity]) -> None:
        """Add ids, or replace those of the same keys; on disk when this returns.

        Raises:
            PartyError: the file cannot be written; nothing has changed.
        """
        by_entry = {one.entry: one for one in self._all} | {one.entry: one for one in changed}
        found = tuple(by_entry.values())
        self._write(found)
        self._all = found

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
        beside = self._path.with_name(self._path.name + ".new")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(
                os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE), "wb"
            ) as file:
                file.write(text + b"\n")
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            raise PartyError("Citizen", f"{self._path}: {error.strerror}") from error
