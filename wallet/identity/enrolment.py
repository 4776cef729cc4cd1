"""Enrolment: an officer issues a one-time code, the person redeems it and hands in signers."""

import secrets
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final

import msgspec

from wallet.identity.errors import EnrolmentRefusedError, NoMatchError
from wallet.identity.people import Identity
from wallet.identity.registrar import Registrar
from wallet.identity.selection import KeepFor, SubjectRow, SubjectState
from wallet.identity.store import Code, Person, Store, WantedSubject
from wallet.identity.texts import ENROLMENT, SUBJECTS, ProvenSigner, Texts

ENROLMENT_SHOWN: Final = 3600
"""Seconds after its registration for which an enrolment is shown to whoever knows its id."""

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U
_GROUPS: Final = 4
_LOOK_AGAIN: Final = 0.5
_GROUP: Final = 4


class WantedSigner(msgspec.Struct, frozen=True):
    """A signer for a new subject id, and what the id is kept for."""

    proven: ProvenSigner
    keep_for: KeepFor
    consumer: bytes | None


class IssuedCode(msgspec.Struct, frozen=True):
    """A code, shown once, and until when it can be redeemed."""

    code: str
    expires_at: int

    def __repr__(self) -> str:
        return "<IssuedCode, not shown>"


class Enrolments:
    """Issues codes and enrols.

    Args:
        store: People, codes and subject ids.
        registrar: Registers subject ids on chain.
        texts: Makes and checks what signers sign.
        code_seconds: For how long a code counts.
        clock: The present, seconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        registrar: Registrar,
        texts: Texts,
        *,
        code_seconds: int,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._registrar = registrar
        self._texts = texts
        self._code_seconds = code_seconds
        self._clock = clock

    async def issue(self, officer: bytes, wanted: Identity, identification: str) -> IssuedCode:
        """Issue a code to somebody whom the officer has identified.

        Raises:
            NoMatchError: Nobody has this number and this name.
        """
        person = await self.person(wanted)
        groups = ["".join(map(_character, range(_GROUP))) for _ in range(_GROUPS)]
        code, now = "-".join(groups), int(self._clock())
        expires_at = now + self._code_seconds
        kept = Code(_digest(code), officer, identification, now, expires_at)
        await self._store.issue_code(person.id, kept)
        return IssuedCode(code, expires_at)

    async def enrol(self, wanted: Identity, code: str, signers: Sequence[WantedSigner]) -> str:
        """Redeem a code: draw a subject id for each signer; return the enrolment's id.

        The same call again, when the first answer was lost, returns the same enrolment.

        Raises:
            EnrolmentRefusedError: Name, number and code do not belong together, or it is over an hour ago.
            PossessionError: A signer did not prove itself.
            SignerInUseError, TooManySubjectsError: See `Store.enrol`.
        """
        try:
            person = await self.person(wanted)
        except NoMatchError:
            refusal = "name, number and code do not belong together"
            raise EnrolmentRefusedError(refusal) from None
        digest = _digest(code)
        used_for = await self._store.check_code(person.id, digest, int(self._clock()))
        if used_for is not None:
            return await self._verify_same(used_for, signers)
        text = self._texts.text(ENROLMENT, code)
        return await self._keep(person.id, text, signers, digest)

    async def add(self, subject: SubjectRow, signers: Sequence[WantedSigner]) -> str:
        """Draw more subject ids for the person whom a subject is; return the enrolment's id.

        Raises:
            PossessionError, SignerInUseError, TooManySubjectsError: As `enrol`.
        """
        text = self._texts.text(SUBJECTS, "0x" + subject.subject.hex())
        return await self._keep(subject.person, text, signers, None)

    async def wait(self, enrolment: str, patience: float) -> list[SubjectRow]:
        """Return an enrolment's subject ids, once they are registered or patience is over."""
        until = self._clock() + patience
        while True:
            found = await self._store.subjects_of_enrolment(enrolment)
            left = until - self._clock()
            if all(one.state is SubjectState.REGISTERED for one in found) or left <= 0:
                return found
            await self._registrar.registered(min(left, _LOOK_AGAIN))

    async def state(self, enrolment: str) -> list[SubjectRow]:
        """Return an enrolment's subject ids; nothing when it is unknown or was over an hour ago.

        Its id is no credential: whoever reads a log or a proxy's list of addresses would otherwise watch all ids
        of a person, and each one's key, for ever.
        """
        found = await self._store.subjects_of_enrolment(enrolment)
        if all(one.state is SubjectState.REGISTERED for one in found):
            registered_at = await self._store.registered_at(enrolment)
            if registered_at is None or self._clock() > registered_at + ENROLMENT_SHOWN:
                return []
        return found

    async def person(self, wanted: Identity) -> Person:
        """Return who has a number and a name.

        Raises:
            NoMatchError: Nobody.
        """
        person = await self._store.person(wanted.kind, wanted.number)
        if person is None or not person.identity.has_name(wanted.name):
            raise NoMatchError("nobody in the register has this number and this name")
        return person

    async def _keep(
        self, person: int, text: str, signers: Sequence[WantedSigner], code: bytes | None
    ) -> str:
        wanted = [
            WantedSubject(
                subject=secrets.token_bytes(32),
                signer=self._texts.verify(text, one.proven),
                keep_for=one.keep_for,
                consumer=one.consumer,
            )
            for one in signers
        ]
        enrolment, now = secrets.token_urlsafe(32), int(self._clock())
        await self._store.enrol(person, enrolment, wanted, now, code=code)
        self._registrar.hurry()
        return enrolment

    async def _verify_same(self, enrolment: str, signers: Sequence[WantedSigner]) -> str:
        known = [one.signer for one in await self.state(enrolment)]
        if not known:
            refusal = "the code was used over an hour ago: a signed request lists the ids"
            raise EnrolmentRefusedError(refusal)
        if known != [one.proven.signer for one in signers]:
            raise EnrolmentRefusedError("name, number and code do not belong together")
        return enrolment


def _character(_: int) -> str:
    return secrets.choice(_ALPHABET)


def _digest(code: str) -> bytes:
    """Return a code's digest; a code of 80 random bits cannot be found from it."""
    return sha256(code.replace("-", "").replace(" ", "").upper().encode()).digest()
