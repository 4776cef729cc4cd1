"""All state, rebuilt from events alone.

`apply` does to a `State` what the contracts did when they emitted an event, after the same checks as
theirs, as far as an event shows what they saw. An event that the contracts cannot have emitted is
refused and changes nothing: a gap in a number, a running hash that does not follow, a grant for an
unknown subject, an outcome that is not the decision.
"""

from collections.abc import Callable
from typing import Any, Final

from ledger.entities import NOTHING, State
from ledger.events import (
    Accessed,
    AgreementApproved,
    AgreementWithdrawn,
    ApplicationDeclined,
    Applied,
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
    OrderEnded,
    OrderIssued,
    OrderReviewed,
    OwnershipTransferred,
    OwnershipTransferStarted,
    PartyAdmitted,
    PartyWithdrawn,
    Published,
    PurposeFieldsBound,
    PurposeRegistered,
    PurposeRetired,
    Recorded,
    RecordErased,
    RecoveryCompleted,
    RecoveryStarted,
    RecoveryVetoed,
    RestrictionAppealed,
    RestrictionLifted,
    Revoked,
    SignerRotated,
    SubjectFrozen,
    SubjectRegistered,
    SubjectUnfrozen,
)
from ledger.state import accesses, agreements, authorizations, catalogue, registry
from ledger.state.accesses import count
from ledger.state.errors import ImpossibleEventError

__all__ = ["NOTHING", "ImpossibleEventError", "State", "apply", "count"]

_HANDLERS: Final[dict[type[Event], Callable[[State, Any], None]]] = {
    Accessed: accesses.accessed,
    Recorded: accesses.recorded,
    Granted: authorizations.granted,
    Revoked: authorizations.revoked,
    Confirmed: authorizations.confirmed,
    SubjectRegistered: authorizations.subject_registered,
    SubjectFrozen: authorizations.subject_frozen,
    SubjectUnfrozen: authorizations.subject_unfrozen,
    SignerRotated: authorizations.signer_rotated,
    GuardianAppointed: authorizations.guardian_appointed,
    GuardianDismissed: authorizations.guardian_dismissed,
    RecoveryStarted: authorizations.recovery_started,
    RecoveryVetoed: authorizations.recovery_vetoed,
    RecoveryCompleted: authorizations.recovery_completed,
    PurposeRegistered: agreements.purpose_registered,
    PurposeFieldsBound: agreements.purpose_fields_bound,
    PurposeRetired: agreements.purpose_retired,
    Applied: agreements.applied,
    ApplicationDeclined: agreements.application_declined,
    AgreementApproved: agreements.agreement_approved,
    ConfidentialitySigned: agreements.confidentiality_signed,
    AgreementWithdrawn: agreements.agreement_withdrawn,
    DatasetRegistered: catalogue.dataset_registered,
    DatasetReclassified: catalogue.dataset_reclassified,
    DatasetWithdrawn: catalogue.dataset_withdrawn,
    Published: catalogue.published,
    RecordErased: catalogue.record_erased,
    OrderIssued: catalogue.order_issued,
    OrderEnded: catalogue.order_ended,
    OrderReviewed: catalogue.order_reviewed,
    PartyAdmitted: registry.party_admitted,
    PartyWithdrawn: registry.party_withdrawn,
    EncryptionKeySet: registry.encryption_key_set,
    ConsumerRestricted: registry.consumer_restricted,
    RestrictionAppealed: registry.restriction_appealed,
    RestrictionLifted: registry.restriction_lifted,
    ContractAnnounced: registry.contract_announced,
    OwnershipTransferStarted: registry.ownership_transfer_started,
    OwnershipTransferred: registry.ownership_transferred,
}


def apply(state: State, event: Event) -> None:
    """Bring the state to what it is after an event.

    Raises:
        ImpossibleEventError: the contracts cannot have emitted it; the state is as before.
    """
    _HANDLERS[type(event)](state, event)
