"""A party's secrets on disk, each in a file of its own under a password.

A keystore is a directory that nobody else may enter (mode 0700) with a file `<name>.json` (0600) per
entry. An Ethereum key's file is a V3 key file like any wallet's. Other secrets use the same envelope;
what is encrypted then also holds kind, name and public part, so that one file cannot be passed off
as another. Nothing here logs.

Crash safety: a file is written under another name, synced, then linked or renamed into place, and the
directory synced. If we crash before the last step the entry is as it was; a stray `.tmp` file stays,
which holds nothing that is not encrypted.
"""

import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Final
from uuid import uuid4

import msgspec

from ledger.crypto.keyfile import (
    STANDARD_SCRYPT_N,
    Envelope,
    EnvelopeError,
    check_cost,
    decrypt,
    encrypt,
)
from ledger.crypto.signatures import address_of
from ledger.encoding import label, prefixed
from ledger.errors import LedgerError
from ledger.hexstr import from_hex, to_hex
from ledger.jsonio import UNREADABLE, JsonError, check_depth
from wallet.errors import KeystoreError, KeystoreErrorKind
from wallet.passkey import SoftwarePasskey
from wallet.passwords import Password

__all__ = ["Entry", "Keystore", "Kind", "SoftwarePasskey"]

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_SUFFIX: Final = ".json"
_MAX_BYTES: Final = 2**22
_FOR_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_LABEL: Final = label("keystore")


class Kind(StrEnum):
    """What an entry holds."""

    ETHEREUM_KEY = "ethereum-key"
    """A secp256k1 private key, 32 bytes; its public part is the address."""
    ENCRYPTION_KEY = "encryption-key"
    """A private HPKE key; its public part is what the Registry holds."""
    PASSKEY = "passkey"
    """A `SoftwarePasskey`; its public part is the P-256 key."""
    SEEDS = "seeds"
    """A keyholder's seeds."""
    OTHER = "other"
    """Any other bytes."""


class Entry(msgspec.Struct, frozen=True):
    """What is known of an entry without its password. It counts for certain only once opened."""

    name: str
    kind: Kind
    public: bytes


class _Label(msgspec.Struct, frozen=True):
    """What V3 has no member for."""

    kind: Kind
    public: str
    checksum: str


class _File(msgspec.Struct, frozen=True, omit_defaults=True):
    """A V3 file; `quancheng` is missing in one that another wallet made."""

    version: int
    id: str
    crypto: Envelope
    address: str | None = None
    quancheng: _Label | None = None


class Keystore:
    """The secrets in one directory. Several processes may use it at once.

    Args:
        directory: made if it is missing.
        scrypt_n: cost of opening what is stored from now on; `ledger.crypto.keyfile` says the least.

    Raises:
        KeystoreError: others may enter the directory, or it cannot be made or read.
        KeystoreError (INVALID_ENTRY): the cost is not allowed.
    """

    def __init__(self, directory: Path, *, scrypt_n: int = STANDARD_SCRYPT_N) -> None:
        self.directory = directory
        try:
            self._scrypt_n = check_cost(scrypt_n)
        except EnvelopeError as error:
            raise KeystoreError(str(error), KeystoreErrorKind.INVALID_ENTRY) from error
        with _access(directory):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = directory.stat()
        if status.st_mode & _FOR_OTHERS:
            raise KeystoreError(f"{directory} is open to others: chmod 700 it")

    def entries(self) -> tuple[Entry, ...]:
        """Return all entries by name; files whose name is no entry's are left alone.

        Raises:
            KeystoreError: a file is not an entry, open to others or unreadable.
        """
        with _access(self.directory):
            names = sorted(path.stem for path in self.directory.glob(f"*{_SUFFIX}"))
        return tuple(self.entry(name) for name in names if _NAME.fullmatch(name))

    def entry(self, name: str) -> Entry:
        """Return what is known of one entry without its password.

        Raises:
            KeystoreError: there is none of this name; or as `entries`.
        """
        return _entry(name, self._read(name))

    def store(
        self,
        name: str,
        kind: Kind,
        secret: bytes,
        password: Password,
        *,
        public: bytes = b"",
        replace: bool = False,
    ) -> Entry:
        """Store a secret. When this returns it is on disk.

        Args:
            name: lowercase letters, digits, dot, underscore, hyphen; 63 at most.
            kind: what it is.
            secret: any bytes; of an Ethereum key the 32 of the private key.
            password: opens it again.
            public: what goes with it and is no secret; of an Ethereum key it is the address, which
                need not be given.
            replace: whether an entry of this name may be there.

        Raises:
            KeystoreError: there is one, and it may not be replaced; or it cannot be written.
            KeystoreError (INVALID_ENTRY): the name is not allowed, or the secret not of this kind.
        """
        path = self._path(name)
        if not replace and path.exists():
            raise KeystoreError(f"{path} is there already")
        if kind is Kind.ETHEREUM_KEY:
            public, plaintext = _address(secret), secret
        else:
            plaintext = _bound(kind, name, public) + secret
        sealed = encrypt(plaintext, password.reveal(), self._scrypt_n)
        file = _File(
            version=3,
            id=str(uuid4()),
            crypto=sealed,
            address=public.hex() if kind is Kind.ETHEREUM_KEY else None,
            quancheng=_Label(kind, to_hex(public), to_hex(sealed.checksum())),
        )
        _write(path, msgspec.json.format(msgspec.json.encode(file)) + b"\n", replace=replace)
        return Entry(name, kind, public)

    def load(self, name: str, kind: Kind, password: Password) -> bytes:
        """Return a secret.

        Raises:
            KeystoreError: there is no entry of this name and kind; or its file was damaged or changed,
                was another entry's, is open to others or unreadable.
            KeystoreError (WRONG_PASSWORD): the password is another.
        """
        file = self._read(name)
        entry = _entry(name, file)
        if entry.kind is not kind:
            raise KeystoreError(f"{name} holds {entry.kind}, not {kind}")
        plaintext = self._open(name, file, password)
        if kind is Kind.ETHEREUM_KEY:
            with _unchanged(name):
                belongs, secret = _address(plaintext) == entry.public, plaintext
        else:
            bound = _bound(kind, name, entry.public)
            belongs, secret = plaintext.startswith(bound), plaintext[len(bound) :]
        if not belongs:
            raise KeystoreError(f"{name} holds what was stored as another entry")
        return secret

    def store_passkey(self, name: str, passkey: SoftwarePasskey, password: Password) -> Entry:
        """Store a passkey; see `store`."""
        return self.store(
            name, Kind.PASSKEY, passkey.to_secret(), password, public=passkey.public_key
        )

    def load_passkey(self, name: str, password: Password) -> SoftwarePasskey:
        """Return a passkey; see `load`."""
        return SoftwarePasskey.from_secret(self.load(name, Kind.PASSKEY, password))

    def remove(self, name: str) -> None:
        """Delete an entry. Copies that were made of its file still open with the password.

        Raises:
            KeystoreError: there is none of this name, or it cannot be deleted.
        """
        path = self._path(name)
        with _access(path), _existing(path):
            path.unlink()
            _sync_directory(self.directory)

    def _path(self, name: str) -> Path:
        if _NAME.fullmatch(name) is None:
            raise KeystoreError(
                "an entry's name is 1 to 63 lowercase letters, digits, dots, underscores, hyphens",
                KeystoreErrorKind.INVALID_ENTRY,
            )
        return self.directory / f"{name}{_SUFFIX}"

    def _read(self, name: str) -> _File:
        data = _read(self._path(name))
        try:
            check_depth(data)
            file = msgspec.json.decode(data, type=_File)
        except (JsonError, *UNREADABLE) as error:
            raise KeystoreError(f"{self._path(name)} is not a key file") from error
        if file.version != 3:
            raise KeystoreError(f"{self._path(name)} is of version {file.version}, not 3")
        known = file.quancheng
        if known is not None and known.checksum != to_hex(file.crypto.checksum()):
            raise KeystoreError(f"{self._path(name)} was damaged: its checksum is wrong")
        return file

    def _open(self, name: str, file: _File, password: Password) -> bytes:
        try:
            return decrypt(file.crypto, password.reveal())
        except EnvelopeError as error:
            if error.wrong_password:
                damage = "" if file.quancheng else ", or the file was damaged"
                raise KeystoreError(
                    f"wrong password for {name}{damage}", KeystoreErrorKind.WRONG_PASSWORD
                ) from error
            raise KeystoreError(f"{self._path(name)}: {error}") from error


def _entry(name: str, file: _File) -> Entry:
    with _unchanged(name):
        if file.quancheng is not None:
            return Entry(name, file.quancheng.kind, from_hex(file.quancheng.public))
        return Entry(name, Kind.ETHEREUM_KEY, from_hex(f"0x{file.address}".lower(), 20))


def _address(private_key: bytes) -> bytes:
    try:
        return address_of(private_key)
    except LedgerError as error:
        raise KeystoreError(
            "the secret is not an Ethereum key", KeystoreErrorKind.INVALID_ENTRY
        ) from error


def _bound(kind: Kind, name: str, public: bytes) -> bytes:
    return _LABEL + prefixed(kind.encode()) + prefixed(name.encode()) + prefixed(public)


# Files


def _read(path: Path) -> bytes:
    with _access(path):
        with _existing(path):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & _FOR_OTHERS:
                raise KeystoreError(f"{path} is open to others: chmod 600 it")
            data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise KeystoreError(f"{path} is too long for a key file")
    return data


def _write(path: Path, data: bytes, *, replace: bool) -> None:
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(8)}.tmp")
    with _access(path):
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                temporary.replace(path)
            else:  # unlike a rename, linking fails when the name is taken
                path.hardlink_to(temporary)
            _sync_directory(path.parent)
        except FileExistsError as error:
            raise KeystoreError(f"{path} is there already") from error
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _access(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise KeystoreError(f"{path}: {error.strerror}") from error


@contextmanager
def _existing(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise KeystoreError(f"there is no {path}") from error


@contextmanager
def _unchanged(name: str) -> Iterator[None]:
    """What does not fit together in a file was changed after it was written."""
    try:
        yield
    except (LedgerError, KeystoreError) as error:
        raise KeystoreError(f"{name} was damaged or changed: {error}") from error
