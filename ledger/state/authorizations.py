"""What the events of `Authorizations` do to the state. Source: contracts/Subjects.sol, Authorizations.sol."""

from ledger.entities import NOTHING, Authorization, Guardian, State, Subject, Terms
from ledger.events.abi import Event
from ledger.events.authorizations import (
    Confirmed,
    Granted,
    GuardianAppointed,
    GuardianDismissed,
    RecoveryCompleted,
    RecoveryStarted,
    RecoveryVetoed,
    Revoked,
    SignerRotated,
    SubjectFrozen,
    SubjectRegistered,
    SubjectUnfrozen,
)
from ledger.policy import OutOfBoundsError, may_sign, may_stop, require_within_bounds
from ledger.state.errors import ImpossibleEventError, require

_SHORTEST_SIGNER = 20
_LAST_SECOND = 2**32 - 1
"""An authorization's times have 32 bits on chain."""


def subject_registered(state: State, event: SubjectRegistered) -> None:
    """Add a subject."""
    number = len(state.subjects) + 1
    require(event.subject != NOTHING, event, "no id")
    require(event.subject not in state.subjects, event, "the subject exists")
    require(event.number == number, event, f"not subject {number}")
    _require_shape(event, event.signer)
    state.subjects[event.subject] = Subject(event.subject, event.number, event.signer)


def subject_frozen(state: State, event: SubjectFrozen) -> None:
    """Freeze a subject."""
    _signed_for(state, event, event.subject, event.signer).frozen = True


def subject_unfrozen(state: State, event: SubjectUnfrozen) -> None:
    """End a freeze."""
    _signed_for(state, event, event.subject, event.signer).frozen = False


def signer_rotated(state: State, event: SignerRotated) -> None:
    """Replace the signer by its own decision."""
    subject = _settled(state, event, event.subject)
    _require_shape(event, event.new_signer)
    require(event.old_signer == subject.signer, event, "not by the present signer")
    subject.signer = event.new_signer


def guardian_appointed(state: State, event: GuardianAppointed) -> None:
    """Appoint a guardian."""
    subject = _settled(state, event, event.subject)
    _require_shape(event, event.guardian)
    require(event.expires_at > event.block.timestamp, event, "ends before it starts")
    require(event.epoch == subject.epoch, event, f"not epoch {subject.epoch}")
    subject.guardians[event.guardian] = Guardian(event.expires_at, event.epoch)


def guardian_dismissed(state: State, event: GuardianDismissed) -> None:
    """Dismiss a guardian."""
    subject = _settled(state, event, event.subject)
    _require_shape(event, event.guardian)
    subject.guardians[event.guardian] = Guardian(0, subject.epoch)


def recovery_started(state: State, event: RecoveryStarted) -> None:
    """Start a recovery; every recovery takes as long as the first one."""
    subject = _settled(state, event, event.subject)
    _require_shape(event, event.new_signer)
    delay = event.effective_at - event.block.timestamp
    require(delay > 0 and state.recovery_delay in (None, delay), event, "another delay")
    state.recovery_delay = delay
    subject.recovery_at, subject.pending_signer = event.effective_at, event.new_signer


def recovery_vetoed(state: State, event: RecoveryVetoed) -> None:
    """Stop a recovery."""
    subject = _recovering(state, event, event.subject, event.new_signer)
    require(subject.recovery_at > event.block.timestamp, event, "too late for a veto")
    subject.recovery_at, subject.pending_signer = 0, b""


def recovery_completed(state: State, event: RecoveryCompleted) -> None:
    """Let the new signer count."""
    subject = _recovering(state, event, event.subject, event.new_signer)
    require(subject.recovery_at <= event.block.timestamp, event, "not due")
    require(event.old_signer == subject.signer, event, "it replaces another signer")
    require(event.epoch == subject.epoch + 1, event, f"not epoch {subject.epoch + 1}")
    subject.retired[event.old_signer] = event.epoch
    subject.signer, subject.epoch = event.new_signer, event.epoch
    subject.recovery_at, subject.pending_signer = 0, b""


def granted(state: State, event: Granted) -> None:
    """Add an authorization, if it is within every bound."""
    terms, now = event.terms, event.block.timestamp
    subject = _settled(state, event, event.subject)
    require(event.authorization not in state.authorizations, event, "granted before")
    require(terms.deadline >= now, event, "relayed after its deadline")
    ends = terms.expires_at
    require(max(terms.not_before, now) < ends <= _LAST_SECOND, event, "no period")
    dataset = state.datasets.get(terms.dataset)
    require(dataset is not None and dataset.personal, event, "the dataset is not personal")
    try:
        agreement = require_within_bounds(
            state,
            consumer=terms.consumer,
            dataset=terms.dataset,
            purpose=terms.purpose,
            fields=terms.fields,
            validity=ends - terms.not_before,
            max_uses=terms.max_uses,
            min_interval=terms.min_interval,
            timestamp=now,
        )
    except OutOfBoundsError as error:
        raise ImpossibleEventError(event, str(error)) from error
    require(event.agreement == agreement.number, event, f"not agreement {agreement.number}")
    require(event.epoch == subject.epoch, event, f"not epoch {subject.epoch}")
    require(may_sign(subject, event.signer, now), event, "the signer may not sign for the subject")
    key = (agreement.number, terms.fields)
    shared = state.terms.get(key)
    if shared is None:
        shared = state.terms[key] = Terms(len(state.terms) + 1, agreement, terms.fields)
    state.authorizations[event.authorization] = Authorization(
        subject=subject,
        terms=shared,
        item=terms.item,
        not_before=terms.not_before,
        expires_at=ends,
        min_interval=terms.min_interval,
        uses_left=terms.max_uses,
        epoch=subject.epoch,
        granted_in=subject.epoch,
    )


def revoked(state: State, event: Revoked) -> None:
    """End an authorization."""
    found = _authorization(state, event, event.authorization, event.subject)
    holds = may_stop(found, event.signer, event.block.timestamp)
    require(holds, event, "the signer may not sign for the subject")
    found.revoked = True


def confirmed(state: State, event: Confirmed) -> None:
    """Let an authorization of an earlier epoch count again."""
    subject = _settled(state, event, event.subject)
    found = _authorization(state, event, event.authorization, event.subject)
    require(found.epoch != subject.epoch, event, "it counts already")
    require(event.epoch == subject.epoch, event, f"not epoch {subject.epoch}")
    holds = may_sign(subject, event.signer, event.block.timestamp)
    require(holds, event, "the signer may not sign for the subject")
    found.epoch = event.epoch


def _known(state: State, event: Event, subject: bytes) -> Subject:
    found = state.subjects.get(subject)
    if found is None:
        raise ImpossibleEventError(event, "the subject is unknown")
    return found


def _settled(state: State, event: Event, subject: bytes) -> Subject:
    """Return a subject that is not under recovery."""
    found = _known(state, event, subject)
    require(not found.recovery_at, event, "a recovery is pending")
    return found


def _recovering(state: State, event: Event, subject: bytes, new_signer: bytes) -> Subject:
    found = _known(state, event, subject)
    pending = found.recovery_at and found.pending_signer == new_signer
    require(pending, event, "no such recovery is pending")
    return found


def _signed_for(state: State, event: Event, subject: bytes, signer: bytes) -> Subject:
    found = _known(state, event, subject)
    holds = may_sign(found, signer, event.block.timestamp)
    require(holds, event, "the signer may not sign for the subject")
    return found


def _authorization(
    state: State, event: Event, authorization: bytes, subject: bytes
) -> Authorization:
    found = state.authorizations.get(authorization)
    if found is None or found.subject.id != subject:
        raise ImpossibleEventError(event, "the authorization is unknown, or another subject's")
    require(not found.revoked, event, "revoked before")
    return found


def _require_shape(event: Event, signer: bytes) -> None:
    require(len(signer) >= _SHORTEST_SIGNER, event, "the signer is too short")
