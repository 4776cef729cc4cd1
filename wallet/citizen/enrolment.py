"""Getting subject ids: with the code from the identity authority's counter, one signer for each id."""

from collections.abc import Sequence
from typing import Final

import msgspec

from ledger.api.identity import EnrolmentAnswer, SubjectAnswer
from wallet.client.authorities import identity_authority
from wallet.client.calls import pause
from wallet.client.errors import ClientError, ErrorKind
from wallet.client.identity import (
    Person,
    enrol,
    enrolment_state,
    enrolment_text,
    more_subjects,
    subjects_text,
)
from wallet.client.party import ChainAccess
from wallet.client.retry import with_retries
from wallet.client.signers import SubjectSigner, asking, prove

_POLL: Final = 1.0
_TRIES: Final = 120


class NewId(msgspec.Struct, frozen=True):
    """A signer that is to get a subject id, and whom the id is kept for."""

    signer: SubjectSigner
    keep_for: str = "any"


async def enrol_person(
    ledger: ChainAccess, person: Person, code: str, ids: Sequence[NewId]
) -> tuple[SubjectAnswer, ...]:
    """Enrol with a code from the counter; return the ids once they are on chain.

    Raises:
        ProblemError: the identity authority refuses.
        ClientError (FOREIGN_TEXT): whoever answers is no identity authority of this deployment.
        ClientError (NOT_ANSWERED): the ids are not on chain yet; ask for them later (`all_subjects`).
    """
    authority = await identity_authority(ledger)
    text = enrolment_text(authority, code)
    proven = [prove(new.signer, text, new.keep_for) for new in ids]
    begun = await with_retries(enrol(person, code, proven))
    return await _settled(begun)


async def add_ids(
    ledger: ChainAccess, subject: bytes, signer: SubjectSigner, ids: Sequence[NewId]
) -> tuple[SubjectAnswer, ...]:
    """Get more ids for a person that has one; see `enrol_person`."""
    authority = await identity_authority(ledger)
    text = subjects_text(authority, subject)
    proven = [prove(new.signer, text, new.keep_for) for new in ids]
    begun = await asking(signer, more_subjects(proven))
    return await _settled(begun)


async def _settled(begun: EnrolmentAnswer) -> tuple[SubjectAnswer, ...]:
    state = begun
    for _ in range(_TRIES):
        if all(subject.state != "waiting" for subject in state.subjects):
            return state.subjects
        await pause(_POLL)
        state = await with_retries(enrolment_state(begun.enrolment))
    raise ClientError("the subject ids are not on chain yet", ErrorKind.NOT_ANSWERED)
