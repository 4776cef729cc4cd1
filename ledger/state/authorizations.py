"""What the events of `Authorizations` do to the state. Source: contracts/Subjects.sol, Authorizations.sol."""

from ledger.chain.events import (
    AccessVoided,
    Confirmed,
    Event,
    Granted,
    GuardianAppointed,
    GuardianDismissed,
    LinksEnded,
    RecoveryCompleted,
    RecoveryStarted,
    RecoveryVetoed,
    Revoked,
    SignerRotated,
    SubjectClosed,
    SubjectFrozen,
    SubjectOpened,
    SubjectRegistered,
    SubjectUnfrozen,
)
from ledger.hexstr import keccak256
from ledger.model import ZERO_WORD, Authorization, Guardian, Roles, State, Subject, Terms
from ledger.policy import (
    LATEST_START,
    OutOfBoundsError,
    consent_until,
    guardian_stop_until,
    is_registrar_active,
    is_subject_halted,
    liftable_after,
    may_be_completed,
    may_lift,
    may_lift_own,
    require_within_bounds,
    stop_until,
)
from ledger.state.errors import ImpossibleEventError, require, require_role

_SHORTEST_SIGNER = 20
_LONGEST_SIGNER = 512
_DAY = 86_400
_STOP_AFTER_ROTATION = 30 * _DAY
_STOP_AFTER_RECOVERY = 365 * _DAY
_LAST_SECOND = 2**32 - 1
"""An authorization's times have 32 bits on chain."""
_LAST_DEADLINE = 2**40 - 1


def subject_registered(state: State, event: SubjectRegistered) -> None:
    number = len(state.subjects) + 1
    require(event.subject != ZERO_WORD, event, "no id")
    require(event.subject not in state.subjects, event, "the subject exists")
    require(event.subject_number == number, event, f"not subject {number}")
    require_role(state, event, event.registrar, Roles.IDENTITY_AUTHORITY)
    _require_shape(event, event.signer)
    state.subjects[event.subject] = Subject(
        event.subject, number, event.registrar, event.signer, keccak256(event.signer)
    )


def subject_frozen(state: State, event: SubjectFrozen) -> None:
    """Also again: then the later time counts, and it is nobody's own, as one by a replaced key."""
    subject, now = _known(state, event, event.subject), event.block.timestamp
    again, hash_ = subject.frozen, event.signer_hash
    _require_stopper(state, event, subject, hash_)
    liftable_at = liftable_after(subject, hash_, now, state.delays.recovery)
    liftable_at = max(liftable_at, subject.liftable_at if again else 0)
    require(event.liftable_at == liftable_at, event, f"liftable at {liftable_at}")
    own = may_lift_own(subject, hash_, now) and (not again or subject.frozen_by == hash_)
    subject.frozen_by = hash_ if own else ZERO_WORD
    subject.frozen, subject.liftable_at = True, event.liftable_at


def subject_unfrozen(state: State, event: SubjectUnfrozen) -> None:
    subject = _known(state, event, event.subject)
    lifts = subject.frozen and may_lift(subject, event.signer_hash, event.block.timestamp)
    require(lifts, event, "not frozen, or the signer may not lift it now")
    subject.frozen, subject.frozen_by, subject.liftable_at = False, ZERO_WORD, 0


def signer_rotated(state: State, event: SignerRotated) -> None:
    subject = _open(state, event, event.subject)
    _require_shape(event, event.new_signer)
    _replace_signer(event, subject, event.new_signer, _STOP_AFTER_ROTATION, event.stop_until)


def guardian_appointed(state: State, event: GuardianAppointed) -> None:
    subject, now = _open(state, event, event.subject), event.block.timestamp
    require(now < event.expires_at <= _LAST_DEADLINE, event, "ends before it starts, or too late")
    stops = max(event.expires_at, _stops_after(state, subject, event.guardian_hash, now))
    subject.guardians[event.guardian_hash] = Guardian(
        event.expires_at, stops, len(subject.era_ends)
    )


def guardian_dismissed(state: State, event: GuardianDismissed) -> None:
    """A guardian that is dismissed may stop for a while longer."""
    subject, now = _open(state, event, event.subject), event.block.timestamp
    stops = _stops_after(state, subject, event.guardian_hash, now)
    require(event.stop_until == stops, event, f"may stop until {stops}")
    subject.guardians[event.guardian_hash] = Guardian(0, stops, len(subject.era_ends))


def recovery_started(state: State, event: RecoveryStarted) -> None:
    subject = _open(state, event, event.subject)
    _require_shape(event, event.new_signer)
    due = event.block.timestamp + state.delays.recovery
    require(event.effective_at == due, event, f"due at {due}")
    subject.recovery_at, subject.pending_signer = event.effective_at, event.new_signer


def recovery_vetoed(state: State, event: RecoveryVetoed) -> None:
    subject = _recovering(state, event, event.subject, event.new_signer)
    in_time = subject.recovery_at > event.block.timestamp
    require(in_time or not is_registrar_active(state, subject), event, "too late for a veto")
    subject.recovery_at, subject.pending_signer = 0, b""


def recovery_completed(state: State, event: RecoveryCompleted) -> None:
    subject = _known(state, event, event.subject)
    require(may_be_completed(state, subject), event, "the registrar is withdrawn")
    recover(state, event)


def recover(state: State, event: RecoveryCompleted) -> None:
    """Let the new signer count, whoever completed the recovery: for who does not know all parties."""
    subject = _recovering(state, event, event.subject, event.new_signer)
    require(subject.recovery_at <= event.block.timestamp, event, "not due")
    require(event.epoch == subject.epoch + 1, event, f"not epoch {subject.epoch + 1}")
    _replace_signer(event, subject, event.new_signer, _STOP_AFTER_RECOVERY, event.stop_until)
    subject.epoch = event.epoch
    subject.recovery_at, subject.pending_signer = 0, b""


def subject_closed(state: State, event: SubjectClosed) -> None:
    """A pending recovery ends."""
    subject = _known(state, event, event.subject)
    require(not subject.closed, event, "closed before")
    subject.closed, subject.recovery_at, subject.pending_signer = True, 0, b""


def subject_opened(state: State, event: SubjectOpened) -> None:
    subject = _known(state, event, event.subject)
    require(subject.closed, event, "not closed")
    subject.closed = False


def links_ended(state: State, event: LinksEnded) -> None:
    require(event.links_from == event.block.timestamp, event, "not the block's time")
    _known(state, event, event.subject).links_from = event.links_from


def granted(state: State, event: Granted) -> None:
    terms, now = event.terms, event.block.timestamp
    subject = _known(state, event, event.subject)
    require(not is_subject_halted(subject), event, "the subject is halted")
    require(event.authorization not in state.authorizations, event, "granted before")
    require((event.authorization, subject.id) not in state.tombstones, event, "revoked before")
    require(now <= terms.deadline <= _LAST_DEADLINE, event, "relayed after its deadline")
    starts, ends = max(terms.not_before, now), terms.expires_at
    require(starts < ends <= _LAST_SECOND, event, "no period")
    require(terms.not_before <= now + LATEST_START, event, "it starts too late")
    dataset = state.datasets.get(terms.dataset)
    require(dataset is not None and dataset.personal, event, "not for a dataset of personal data")
    try:
        agreement = require_within_bounds(
            state,
            consumer=terms.consumer,
            dataset=terms.dataset,
            purpose=terms.purpose,
            fields=terms.fields,
            validity=ends - starts,
            max_uses=terms.max_uses,
            min_interval=terms.min_interval,
            timestamp=now,
        )
    except OutOfBoundsError as error:
        raise ImpossibleEventError(event, str(error)) from error
    behind = (event.agreement, event.round)
    require(behind == (agreement.number, agreement.round), event, "not the agreement, or its round")
    require(event.epoch == subject.epoch, event, f"not epoch {subject.epoch}")
    _require_consent(event, subject, event.signer_hash)
    key = (agreement.number, agreement.round, terms.fields)
    shared = state.terms.get(key)
    if shared is None:
        number = len(state.terms) + 1
        shared = state.terms[key] = Terms(number, agreement, agreement.round, terms.fields)
    state.authorizations[event.authorization] = Authorization(
        subject=subject,
        terms=shared,
        consumer_name=state.parties[terms.consumer].name,
        item=terms.item,
        not_before=terms.not_before,
        expires_at=ends,
        min_interval=terms.min_interval,
        max_uses=terms.max_uses,
        uses_left=terms.max_uses,
        epoch=subject.epoch,
    )


def revoked(state: State, event: Revoked) -> None:
    """End an authorization, or keep it from ever being granted by this subject."""
    subject = _known(state, event, event.subject)
    _require_stopper(state, event, subject, event.signer_hash)
    if event.authorization in state.authorizations:
        _authorization(state, event, event.authorization, event.subject).revoked = True
        return
    tombstone = (event.authorization, event.subject)
    require(tombstone not in state.tombstones, event, "revoked before")
    state.tombstones.add(tombstone)


def confirmed(state: State, event: Confirmed) -> None:
    """Let an authorization of an earlier epoch count again."""
    subject = _known(state, event, event.subject)
    require(not is_subject_halted(subject), event, "the subject is halted")
    authorization = _authorization(state, event, event.authorization, event.subject)
    require(authorization.epoch != subject.epoch, event, "it counts already")
    require(event.epoch == subject.epoch, event, f"not epoch {subject.epoch}")
    _require_consent(event, subject, event.signer_hash)
    authorization.epoch = event.epoch


def access_voided(state: State, event: AccessVoided) -> None:
    """That the access was this authorization's is not for the state to know."""
    require_role(state, event, event.regulator, Roles.REGULATOR)
    authorization = state.authorizations.get(event.authorization)
    if authorization is None or authorization.revoked:
        raise ImpossibleEventError(event, "the authorization is unknown or revoked")
    void = (event.authorization, event.sequence)
    fresh = 0 < event.sequence <= state.sequence and void not in state.voided
    require(fresh, event, "no such access, or voided before")
    left = (
        authorization.uses_left < authorization.max_uses
        and authorization.voids < authorization.max_uses
    )
    require(left, event, "there is no use to give back")
    require(event.last_use <= authorization.last_use, event, "a later last use")
    require(event.reason, event, "no reason")
    state.voided.add(void)
    authorization.voids += 1
    authorization.uses_left += 1
    authorization.last_use = event.last_use


def _replace_signer(
    event: Event, subject: Subject, new_signer: bytes, stop_time: int, stop_until_: int
) -> None:
    """Let another signer count; the old one may stop for a time, and all guardians end."""
    now = event.block.timestamp
    until = max(now + stop_time, subject.replaced.get(subject.signer_hash, 0))
    require(stop_until_ == until, event, f"the old key may stop until {until}")
    subject.replaced[subject.signer_hash] = until
    subject.signer, subject.signer_hash = new_signer, keccak256(new_signer)
    subject.era_ends.append(now)


def _stops_after(state: State, subject: Subject, guardian_hash: bytes, now: int) -> int:
    """Return until when one who is appointed or dismissed now may stop for what it was before."""
    delay = state.delays.recovery
    may = guardian_stop_until(subject, guardian_hash, delay) > now
    return now + delay if may else 0


def _known(state: State, event: Event, subject: bytes) -> Subject:
    known = state.subjects.get(subject)
    if known is None:
        raise ImpossibleEventError(event, "the subject is unknown")
    return known


def _open(state: State, event: Event, subject: bytes) -> Subject:
    """Return a subject that is neither closed nor under recovery."""
    known = _known(state, event, subject)
    require(not known.recovery_at, event, "a recovery is pending")
    require(not known.closed, event, "the subject is closed")
    return known


def _recovering(state: State, event: Event, subject: bytes, new_signer: bytes) -> Subject:
    known = _known(state, event, subject)
    pending = known.recovery_at and known.pending_signer == new_signer
    require(pending, event, "no such recovery is pending")
    return known


def _require_consent(event: Event, subject: Subject, signer_hash: bytes) -> None:
    holds = consent_until(subject, signer_hash) > event.block.timestamp
    require(holds, event, "the signer may not consent for the subject")


def _require_stopper(state: State, event: Event, subject: Subject, signer_hash: bytes) -> None:
    until = stop_until(subject, signer_hash, state.delays.recovery)
    holds = until > event.block.timestamp
    require(holds, event, "the signer may not stop for the subject")


def _authorization(
    state: State, event: Event, authorization: bytes, subject: bytes
) -> Authorization:
    known = state.authorizations.get(authorization)
    if known is None or known.subject.id != subject:
        raise ImpossibleEventError(event, "the authorization is unknown, or another subject's")
    require(not known.revoked, event, "revoked before")
    return known


def _require_shape(event: Event, signer: bytes) -> None:
    fits = _SHORTEST_SIGNER <= len(signer) <= _LONGEST_SIGNER
    require(fits, event, "the signer is too short, or too long")
