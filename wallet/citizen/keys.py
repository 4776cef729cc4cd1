"""A person's keys: drawing them, and turning keystore entries into signers."""

import secrets
from collections.abc import Sequence
from itertools import count

import msgspec

from ledger.hexstr import to_hex
from wallet.citizen.enrolment import all_subjects
from wallet.citizen.identities import Identities, Identity, SignerKind
from wallet.client.errors import ProblemError
from wallet.client.identity import EnrolledSubject
from wallet.client.party import PartyKey
from wallet.client.signers import AccountSigner, PasskeySigner, SubjectSigner
from wallet.client.transactions import Ledger
from wallet.errors import PartyError
from wallet.keystore import Keystore, Kind, SoftwarePasskey
from wallet.passwords import Password

RELYING_PARTY = "wallet.quancheng.example"
"""Host name that software passkeys are bound to."""


class PersonKeys:
    """The keys of one person's wallet; its passkeys sign for the contracts of `ledger`."""

    def __init__(
        self, keystore: Keystore, password: Password, identities: Identities, ledger: Ledger
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

    def note_subjects(self, subjects: Sequence[EnrolledSubject]) -> tuple[Identity, ...]:
        """Note which ids the keys got; return those that are new."""
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
