"""Enrolment: an officer issues a one-time code, the person redeems it and hands in signers."""

import secrets
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final

from ledger.api.identity import CodeAnswer, SignerBody
from ledger.hexstr import from_hex
from wallet.identity.errors import ENROLMENT_REFUSED, NO_MATCH, IdentityError
from wallet.identity.possession_proofs import ENROLMENT, SUBJECTS, Texts
from wallet.identity.registrar import Registrar
from wallet.identity.store import (
    Code,
    Identity,
    KeepFor,
    Order,
    Person,
    Store,
    SubjectRow,
    SubjectState,
    WantedSubject,
)

ENROLMENT_SHOWN: Final = 3600
"""Seconds after its registration for which an enrolment is shown to whoever knows its id."""

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U
_GROUPS: Final = 4
_GROUP: Final = 4
_LOOK_AGAIN: Final = 0.5
_NOT_TOGETHER: Final = "name, number and code do not belong together"


class Enrolments:
    """Issues codes and enrols.

    Args:
        store: People, codes and subject ids.
        registrar: Registers subject ids on chain.
        texts: The texts that signers sign.
        code_seconds: For how long a code counts.
        clock: The present, seconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        registrar: Registrar,
        texts: Texts,
        code_seconds: int,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._registrar = registrar
        self._texts = texts
        self._code_seconds = code_seconds
        self._clock = clock

    async def issue(self, person: Person, order: Order) -> CodeAnswer:
        """Issue a code to somebody whom the officer has identified."""
        groups = ["".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS)]
        code, expires_at = "-".join(groups), order.at + self._code_seconds
        await self._store.issue_code(person.id, Code(_digest(code), order, expires_at))
        return CodeAnswer(code=code, expires_at=expires_at)

    async def enrol(self, wanted: Identity, code: str, signers: Sequence[SignerBody]) -> str:
        """Redeem a code: draw a subject id for each signer; return the enrolment's id.

        The same call again, when the first answer was lost, returns the same enrolment.

        Raises:
            IdentityError: Name, number and code do not belong together, or it is over an hour ago; a signer did
                not prove itself; or see `Store.enrol`.
        """
        person = await self._match(wanted)
        if person is None:
            raise IdentityError(ENROLMENT_REFUSED, _NOT_TOGETHER)
        digest = _digest(code)
        used_for = await self._store.check_code(person.id, digest, int(self._clock()))
        if used_for is None:
            return await self._add(person.id, self._texts.text(ENROLMENT, code), signers, digest)
        known = [row.signer for row in await self.state(used_for)]
        if not known:
            detail = "the code was used over an hour ago: a signed request lists the ids"
            raise IdentityError(ENROLMENT_REFUSED, detail)
        if known != [each.signer for each in signers]:
            raise IdentityError(ENROLMENT_REFUSED, _NOT_TOGETHER)
        return used_for

    async def add(self, subject: SubjectRow, signers: Sequence[SignerBody]) -> str:
        """Draw more subject ids for the person whom a subject is; return the enrolment's id.

        Raises:
            IdentityError: A signer did not prove itself; or see `Store.enrol`.
        """
        text = self._texts.text(SUBJECTS, "0x" + subject.subject.hex())
        return await self._add(subject.person, text, signers, None)

    async def wait(self, enrolment: str, patience: float) -> list[SubjectRow]:
        """Return an enrolment's subject ids, once they are registered or `patience` seconds are over."""
        until = self._clock() + patience
        while True:
            rows = await self._store.subjects_of_enrolment(enrolment)
            left = until - self._clock()
            if all(row.state is SubjectState.REGISTERED for row in rows) or left <= 0:
                return rows
            await self._registrar.registered(min(left, _LOOK_AGAIN))

    async def state(self, enrolment: str) -> list[SubjectRow]:
        """Return an enrolment's subject ids; nothing when it is unknown or was over an hour ago.

        Its id is no credential: whoever reads a log or a proxy's list of addresses would otherwise watch all ids
        of a person, and each one's key, for ever.
        """
        rows = await self._store.subjects_of_enrolment(enrolment)
        if all(row.state is SubjectState.REGISTERED for row in rows):
            registered_at = await self._store.registered_at(enrolment)
            if registered_at is None or self._clock() > registered_at + ENROLMENT_SHOWN:
                return []
        return rows

    async def person(self, wanted: Identity) -> Person:
        """Return who has a number and a name; raises `IdentityError` if nobody has."""
        person = await self._match(wanted)
        if person is None:
            detail = "nobody in the register has this number and this name"
            raise IdentityError(NO_MATCH, detail)
        return person

    async def _match(self, wanted: Identity) -> Person | None:
        person = await self._store.person(wanted.kind, wanted.number)
        return person if person is not None and person.identity.has_name(wanted.name) else None

    async def _add(
        self, person: int, text: str, signers: Sequence[SignerBody], code: bytes | None
    ) -> str:
        wanted = []
        for each in signers:
            signer = self._texts.verify(text, each.signer, each.signature)
            wanted.append(WantedSubject(secrets.token_bytes(32), signer, *_use(each)))
        enrolment = secrets.token_urlsafe(32)
        await self._store.enrol(person, enrolment, wanted, int(self._clock()), code=code)
        self._registrar.hurry()
        return enrolment


def _use(signer: SignerBody) -> tuple[KeepFor, bytes | None]:
    """Return the use that the signer's subject id is kept for, and the consumer that is named."""
    if signer.keep_for.startswith("0x"):
        return KeepFor.CONSUMER, from_hex(signer.keep_for)
    return KeepFor(signer.keep_for), None


def _digest(code: str) -> bytes:
    """Return a code's digest, from which a code of 80 random bits cannot be recovered."""
    return sha256(code.replace("-", "").replace(" ", "").upper().encode()).digest()
