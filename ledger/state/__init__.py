"""All state, rebuilt from events alone.

`apply` does to a `State` what the contracts did when they emitted an event, after the same checks as
theirs, as far as an event shows what they saw. An event that the contracts cannot have emitted is
refused and changes nothing: a gap in a number, a running hash that does not follow, a grant for an
unknown subject, an outcome that is not the decision.
"""

from collections.abc import Callable
from typing import Any, Final

from ledger.entities import NOTHING, EventChain, State
from ledger.events import (
    Accessed,
    AccessVoided,
    AdmissionAnnounced,
    AdmissionRetracted,
    AdmissionVetoed,
    AgreementApproved,
    AgreementSuspended,
    AgreementWithdrawn,
    ApplicationDeclined,
    Applied,
    BatchSkipped,
    ChangeAnnounced,
    ChangeMade,
    ChangeRetracted,
    ChangeVetoed,
    ConfidentialitySigned,
    Confirmed,
    ConsumerRestricted,
    ContractAnnounced,
    DatasetReclassified,
    DatasetRegistered,
    DatasetWithdrawn,
    EncryptionKeySet,
    Event,
    Granted,
    GuardianAppointed,
    GuardianDismissed,
    LinksEnded,
    NumberedEvent,
    OrderCountersigned,
    OrderEnded,
    OrderIssued,
    OrderReviewed,
    PartyAdmitted,
    PartyWithdrawn,
    Published,
    PurposeFieldsBound,
    PurposeRegistered,
    PurposeRetired,
    Recorded,
    RecordErased,
    RecorderDismissed,
    RecorderNamed,
    RecoveryCompleted,
    RecoveryStarted,
    RecoveryVetoed,
    RestrictionAppealed,
    RestrictionLifted,
    Revoked,
    SignerRotated,
    SubjectClosed,
    SubjectFrozen,
    SubjectOpened,
    SubjectRegistered,
    SubjectUnfrozen,
    SupervisorAppointed,
    SupervisorDismissed,
    SuspensionReviewed,
)
from ledger.keccak import keccak256
from ledger.state import accesses, agreements, authorizations, catalogue, registry
from ledger.state.accesses import close, count
from ledger.state.authorizations import recover
from ledger.state.errors import ImpossibleEventError, require

__all__ = [
    "NOTHING",
    "ImpossibleEventError",
    "State",
    "apply",
    "chain_on",
    "close",
    "count",
    "follow",
    "recover",
    "require_next",
]

_HANDLERS: Final[dict[type[Event], Callable[[State, Any], None]]] = {
    Accessed: accesses.accessed,
    Recorded: accesses.recorded,
    BatchSkipped: accesses.batch_skipped,
    Granted: authorizations.granted,
    Revoked: authorizations.revoked,
    Confirmed: authorizations.confirmed,
    AccessVoided: authorizations.access_voided,
    SubjectRegistered: authorizations.subject_registered,
    SubjectFrozen: authorizations.subject_frozen,
    SubjectUnfrozen: authorizations.subject_unfrozen,
    SignerRotated: authorizations.signer_rotated,
    GuardianAppointed: authorizations.guardian_appointed,
    GuardianDismissed: authorizations.guardian_dismissed,
    RecoveryStarted: authorizations.recovery_started,
    RecoveryVetoed: authorizations.recovery_vetoed,
    RecoveryCompleted: authorizations.recovery_completed,
    SubjectClosed: authorizations.subject_closed,
    SubjectOpened: authorizations.subject_opened,
    LinksEnded: authorizations.links_ended,
    PurposeRegistered: agreements.purpose_registered,
    PurposeFieldsBound: agreements.purpose_fields_bound,
    PurposeRetired: agreements.purpose_retired,
    Applied: agreements.applied,
    ApplicationDeclined: agreements.application_declined,
    AgreementApproved: agreements.agreement_approved,
    ConfidentialitySigned: agreements.confidentiality_signed,
    AgreementWithdrawn: agreements.agreement_withdrawn,
    SupervisorAppointed: agreements.supervisor_appointed,
    SupervisorDismissed: agreements.supervisor_dismissed,
    AgreementSuspended: agreements.agreement_suspended,
    SuspensionReviewed: agreements.suspension_reviewed,
    DatasetRegistered: catalogue.dataset_registered,
    DatasetReclassified: catalogue.dataset_reclassified,
    DatasetWithdrawn: catalogue.dataset_withdrawn,
    Published: catalogue.published,
    RecordErased: catalogue.record_erased,
    OrderIssued: catalogue.order_issued,
    OrderCountersigned: catalogue.order_countersigned,
    OrderEnded: catalogue.order_ended,
    OrderReviewed: catalogue.order_reviewed,
    PartyAdmitted: registry.party_admitted,
    AdmissionAnnounced: registry.admission_announced,
    AdmissionVetoed: registry.admission_vetoed,
    AdmissionRetracted: registry.admission_retracted,
    PartyWithdrawn: registry.party_withdrawn,
    ChangeAnnounced: registry.change_announced,
    ChangeVetoed: registry.change_vetoed,
    ChangeRetracted: registry.change_retracted,
    ChangeMade: registry.change_made,
    RecorderNamed: registry.recorder_named,
    RecorderDismissed: registry.recorder_dismissed,
    EncryptionKeySet: registry.encryption_key_set,
    ConsumerRestricted: registry.consumer_restricted,
    RestrictionAppealed: registry.restriction_appealed,
    RestrictionLifted: registry.restriction_lifted,
    ContractAnnounced: registry.contract_announced,
}


def apply(state: State, event: Event) -> None:
    """Bring the state to what it is after an event, whatever its number.

    Raises:
        ImpossibleEventError: the contracts cannot have emitted it; the state is as before.
    """
    _HANDLERS[type(event)](state, event)


def follow(state: State, event: Event) -> None:
    """Do as `apply`, and check and count the event's number. For who has all events, in order.

    Raises:
        ImpossibleEventError: as `apply`, or an event is missing or came before.
    """
    if isinstance(event, NumberedEvent):
        require_next(state, event)
    apply(state, event)
    if isinstance(event, NumberedEvent):
        chain_on(state, event)


def require_next(state: State, event: NumberedEvent) -> None:
    """Check that an event is the next one of its contract.

    Raises:
        ImpossibleEventError: one is missing, or it came before.
    """
    chain = state.chains.get(event.contract)
    following = 1 if chain is None else chain.count + 1
    require(event.number == following, event, f"not event {following} of its contract")


def chain_on(state: State, event: NumberedEvent) -> None:
    """Count an event and take it into its contract's running hash, without any check."""
    chain = state.chains.setdefault(event.contract, EventChain())
    chain.count = event.number
    chain.head = keccak256(chain.head + event.link)[:24]
