"""A person's keys: drawing them, and turning keystore entries into signers."""

import secrets
from collections.abc import Sequence

import msgspec

from ledger.hexes import to_hex
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
    """The keys of one person's wallet.

    Args:
        keystore: with the keys.
        password: of the keystore.
        identities: which key signs for which id.
        ledger: the contracts that its passkeys sign for.
    """

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
        entry = self._free_name()
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
        if identity.entry not in self._signers:
            self._signers[identity.entry] = self._open(identity)
        return self._signers[identity.entry]

    def signers(self) -> tuple[SubjectSigner, ...]:
        """Return what signs for each registered id.

        Raises:
            PartyError: none is registered.
        """
        if not self.identities.active:
            raise PartyError("Citizen", "the wallet has no registered id: enrol first")
        return tuple(self.signer(identity) for identity in self.identities.active)

    def note_subjects(self, subjects: Sequence[EnrolledSubject]) -> tuple[Identity, ...]:
        """Note which ids the keys got; return those that are new."""
        by_signer = {one.signer.lower(): one for one in subjects}
        turning = {one.next_entry: one for one in self.identities.active if one.next_entry}
        changed = []
        for identity in self.identities.all:
            found = by_signer.get(to_hex(self.signer(identity).signer))
            if found is None or identity.subject == found.subject:
                continue
            changed.append(msgspec.structs.replace(identity, subject=found.subject))
            before = turning.get(identity.entry)
            if before is not None and before.subject == found.subject:
                self.replace(before, identity)  # a rotation that was interrupted is on chain
            else:
                self.identities.put(changed[-1:])
        return tuple(changed)

    async def refresh(self) -> tuple[Identity, ...]:
        """Ask the identity authority which ids keys have got that had none, as after a recovery."""
        waiting = [one for one in self.identities.all if not one.subject]
        for identity in waiting:
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

    def _open(self, identity: Identity) -> SubjectSigner:
        if identity.kind is SignerKind.PASSKEY:
            passkey = self._keystore.load_passkey(identity.entry, self._password)
            return PasskeySigner(passkey, self._ledger)
        secret = self._keystore.load(identity.entry, Kind.ETHEREUM_KEY, self._password)
        return AccountSigner(PartyKey(secret))

    def _free_name(self) -> str:
        taken = {entry.name for entry in self._keystore.entries()}
        number = 1
        while f"me-{number}" in taken:
            number += 1
        return f"me-{number}"
