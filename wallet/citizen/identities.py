"""The subject ids of one wallet, their keys, and whom each is kept for."""

import secrets
from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import count
from pathlib import Path
from typing import Literal

import msgspec

from ledger.api.identity import SubjectAnswer
from ledger.hexstr import from_hex, to_hex
from ledger.jsonio import UNREADABLE
from wallet.client.errors import ProblemError
from wallet.client.party import ChainAccess, PartyKey
from wallet.client.signers import AccountSigner, PasskeySigner, SubjectSigner, all_subjects
from wallet.errors import PartyError
from wallet.files import write_whole
from wallet.keystore import Keystore, Kind, SoftwarePasskey
from wallet.passwords import Password


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


RELYING_PARTY = "wallet.quancheng.example"
"""Host name that software passkeys are bound to."""


class PersonKeys:
    """The keys of one person's wallet; its passkeys sign for the contracts of `ledger`."""

    def __init__(
        self, keystore: Keystore, password: Password, identities: Identities, ledger: ChainAccess
    ) -> None:
        self.identities = identities
        self._keystore = keystore
        self._password = password
        self._ledger = ledger
        self._signers: dict[str, SubjectSigner] = {}

    def draw(self, kind: SignerKind, keep_for: str = "any") -> Identity:
        """Draw a key for one more id; it is stored, and not registered yet."""
        taken = {entry.name for entry in self._keystore.entries()}
        entry = next(name for number in count(1) if (name := f"me-{number}") not in taken)
        if kind is SignerKind.PASSKEY:
            passkey = SoftwarePasskey.generate(RELYING_PARTY)
            self._keystore.store_passkey(entry, passkey, self._password)
        else:
            key = secrets.token_bytes(32)
            self._keystore.store(entry, Kind.ETHEREUM_KEY, key, self._password)
        identity = Identity(entry, kind, keep_for=keep_for)
        self.identities.put([identity])
        return identity

    def draw_next(self, identity: Identity, kind: SignerKind) -> Identity:
        """Draw the key that is to take an id's; return the id, with that noted."""
        drawn = self.draw(kind, identity.keep_for)
        changed = msgspec.structs.replace(identity, next_entry=drawn.entry)
        self.identities.put([changed])
        return changed

    def signer(self, identity: Identity) -> SubjectSigner:
        """Return what signs for an id; opened once."""
        if identity.entry in self._signers:
            return self._signers[identity.entry]
        signer: SubjectSigner
        if identity.kind is SignerKind.PASSKEY:
            passkey = self._keystore.load_passkey(identity.entry, self._password)
            signer = PasskeySigner(passkey, self._ledger)
        else:
            secret = self._keystore.load(identity.entry, Kind.ETHEREUM_KEY, self._password)
            signer = AccountSigner(PartyKey(secret))
        self._signers[identity.entry] = signer
        return signer

    def signers(self) -> tuple[SubjectSigner, ...]:
        """Return what signs for each registered id; a `PartyError` if none is registered."""
        if not self.identities.active:
            raise PartyError("Citizen", "the wallet has no registered id: enrol first")
        return tuple(self.signer(identity) for identity in self.identities.active)

    def note_subjects(self, subjects: Sequence[SubjectAnswer]) -> tuple[Identity, ...]:
        by_signer = {subject.signer.lower(): subject for subject in subjects}
        turning = {each.next_entry: each for each in self.identities.active if each.next_entry}
        changed = []
        for identity in self.identities.all:
            enrolled = by_signer.get(to_hex(self.signer(identity).signer))
            if enrolled is None or identity.subject == enrolled.subject:
                continue
            changed.append(msgspec.structs.replace(identity, subject=enrolled.subject))
            before = turning.get(identity.entry)
            if before is not None and before.subject == enrolled.subject:
                self.replace(before, identity)  # a rotation that was interrupted is on chain
            else:
                self.identities.put(changed[-1:])
        return tuple(changed)

    async def refresh(self) -> tuple[Identity, ...]:
        """Ask the identity authority which ids keys have got that had none, as after a recovery."""
        for identity in self.identities.all:
            if identity.subject:
                continue
            try:
                subjects = await all_subjects(self.signer(identity))
            except ProblemError:
                continue  # this key signs for nobody yet
            return self.note_subjects(subjects)
        return ()

    def replace(self, old: Identity, new: Identity) -> None:
        """Note that a key took another one's place, and that its guardians ended."""
        self.identities.put(
            [
                msgspec.structs.replace(old, next_entry="", replaced_by=new.entry),
                msgspec.structs.replace(
                    new,
                    subject=old.subject,
                    keep_for=old.keep_for,
                    guards=old.guards,
                    guards_ended=bool(old.guards),
                ),
            ]
        )
