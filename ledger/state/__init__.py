"""All state, rebuilt from events alone.

`apply` does to a `State` what the contracts did when they emitted an event, after the same checks
as theirs, as far as an event shows what they saw. An event that the contracts cannot have emitted
is refused and changes nothing: a gap in a number, a running hash that does not follow, a grant for
an unknown subject, an outcome that is not the decision.
"""

from collections.abc import Callable
from typing import Any, Final

from ledger.chain import events
from ledger.chain.events import Event, NumberedEvent
from ledger.hexstr import keccak256
from ledger.model import EventChain, State
from ledger.state import accesses, agreements, authorizations, catalogue, registry
from ledger.state.accesses import close, count
from ledger.state.authorizations import recover
from ledger.state.errors import ImpossibleEventError, require

__all__ = [
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
    events.Accessed: accesses.accessed,
    events.Recorded: accesses.recorded,
    events.BatchSkipped: accesses.batch_skipped,
    events.Granted: authorizations.granted,
    events.Revoked: authorizations.revoked,
    events.Confirmed: authorizations.confirmed,
    events.AccessVoided: authorizations.access_voided,
    events.SubjectRegistered: authorizations.subject_registered,
    events.SubjectFrozen: authorizations.subject_frozen,
    events.SubjectUnfrozen: authorizations.subject_unfrozen,
    events.SignerRotated: authorizations.signer_rotated,
    events.GuardianAppointed: authorizations.guardian_appointed,
    events.GuardianDismissed: authorizations.guardian_dismissed,
    events.RecoveryStarted: authorizations.recovery_started,
    events.RecoveryVetoed: authorizations.recovery_vetoed,
    events.RecoveryCompleted: authorizations.recovery_completed,
    events.SubjectClosed: authorizations.subject_closed,
    events.SubjectOpened: authorizations.subject_opened,
    events.LinksEnded: authorizations.links_ended,
    events.PurposeRegistered: agreements.purpose_registered,
    events.PurposeFieldsBound: agreements.purpose_fields_bound,
    events.PurposeRetired: agreements.purpose_retired,
    events.Applied: agreements.applied,
    events.ApplicationDeclined: agreements.application_declined,
    events.AgreementApproved: agreements.agreement_approved,
    events.ConfidentialitySigned: agreements.confidentiality_signed,
    events.AgreementWithdrawn: agreements.agreement_withdrawn,
    events.SupervisorAppointed: agreements.supervisor_appointed,
    events.SupervisorDismissed: agreements.supervisor_dismissed,
    events.AgreementSuspended: agreements.agreement_suspended,
    events.SuspensionReviewed: agreements.suspension_reviewed,
    events.DatasetRegistered: catalogue.dataset_registered,
    events.DatasetReclassified: catalogue.dataset_reclassified,
    events.DatasetWithdrawn: catalogue.dataset_withdrawn,
    events.Published: catalogue.published,
    events.RecordErased: catalogue.record_erased,
    events.OrderIssued: catalogue.order_issued,
    events.OrderCountersigned: catalogue.order_countersigned,
    events.OrderEnded: catalogue.order_ended,
    events.OrderReviewed: catalogue.order_reviewed,
    events.PartyAdmitted: registry.party_admitted,
    events.AdmissionAnnounced: registry.admission_announced,
    events.AdmissionVetoed: registry.admission_vetoed,
    events.AdmissionRetracted: registry.admission_retracted,
    events.PartyWithdrawn: registry.party_withdrawn,
    events.ChangeAnnounced: registry.change_announced,
    events.ChangeVetoed: registry.change_vetoed,
    events.ChangeRetracted: registry.change_retracted,
    events.ChangeMade: registry.change_made,
    events.RecorderNamed: registry.recorder_named,
    events.RecorderDismissed: registry.recorder_dismissed,
    events.EncryptionKeySet: registry.encryption_key_set,
    events.ConsumerRestricted: registry.consumer_restricted,
    events.RestrictionAppealed: registry.restriction_appealed,
    events.RestrictionLifted: registry.restriction_lifted,
    events.ContractAnnounced: registry.contract_announced,
}


def apply(state: State, event: Event) -> None:
    """Bring the state to what it is after an event, whatever its number.

    Raises:
        ImpossibleEventError: the contracts cannot have emitted it; the state is as before.
    """
    _HANDLERS[type(event)](state, event)


def follow(state: State, event: Event) -> None:
    """Do as `apply`, and check and count the event's number: for who has all events, in order.

    Raises:
        ImpossibleEventError: as `apply`, or an event is missing or came before.
    """
    if isinstance(event, NumberedEvent):
        require_next(state, event)
    apply(state, event)
    if isinstance(event, NumberedEvent):
        chain_on(state, event)


def require_next(state: State, event: NumberedEvent) -> None:
    """Check that an event is the next one of its contract; else `ImpossibleEventError`."""
    chain = state.chains.get(event.contract)
    following = 1 if chain is None else chain.count + 1
    require(event.number == following, event, f"not event {following} of its contract")


def chain_on(state: State, event: NumberedEvent) -> None:
    """Count an event and take it into its contract's running hash, without any check."""
    chain = state.chains.setdefault(event.contract, EventChain())
    chain.count = event.number
    chain.head = keccak256(chain.head + event.link)[:24]
