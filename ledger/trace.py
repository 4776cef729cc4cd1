"""The whole life of one thing, as a timeline: a subject, an authorization, a party, a dataset, a case.

Made from events alone, in one pass, and pure: a replay's, a node's or a file's. What belongs to a thing
is often named only by something in between (an access names its basis, a revocation the
authorization), so the pass follows: a grant of the subject brings its authorization along, an
application its agreement, a dataset its orders.

An authorization's life includes what halts it from outside: its subject's freezes and recoveries,
its consumer's restrictions, its agreement's end, its dataset's.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import msgspec

from ledger.enumerations import Change, Outcome
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
    agreement_id,
)

Names: TypeAlias = Callable[[Any], tuple[bytes, ...]]
"""From an event to the ids that it is about, the principal one first."""


class Thing(StrEnum):
    """What can be traced."""

    SUBJECT = "subject"
    AUTHORIZATION = "authorization"
    PARTY = "party"
    """A consumer, or any other party: by its address."""
    DATASET = "dataset"
    CASE = "case"
    """A case reference, as authorizations have it."""


class TraceEntry(msgspec.Struct, frozen=True):
    """One line of a timeline."""

    time: int
    """Of the block, seconds since 1970."""
    act: str
    """Name of the event."""
    who: bytes | None
    """Whose act it is: an address, or the Keccak-256 of a subject's signer (ERC-7913 bytes). None where
    neither the event nor what came before says it."""
    what: bytes
    """Id of what the act is about; of an access its basis."""
    outcome: Outcome | None
    """Of an access."""
    event: Event
    """Everything that was said, and where it stands."""


class Tracer:
    """Picks out the life of one thing. Show it all events from the deployment on, in order."""

    def __init__(self, thing: Thing, name: bytes) -> None:
        """Start from nothing.

        Args:
            thing: What is traced.
            name: Its id, 32 bytes, or a party's address, 20 bytes.
        """
        self._followed = {name}
        self._circumstances: set[bytes] = set()
        self._with_circumstances = thing in (Thing.AUTHORIZATION, Thing.CASE)
        self._authority: bytes | None = None
        self._providers: dict[bytes, bytes] = {}
        self._datasets: dict[bytes, bytes] = {}

    def take(self, event: Event) -> TraceEntry | None:
        """Return the line of the next event; None if it does not concern the thing."""
        self._learn(event)
        return self._entry(event) if self._concerns(event) else None

    def _learn(self, event: Event) -> None:
        # Who stands behind what, whether or not it is followed.
        if isinstance(event, ChangeMade) and event.change is Change.AUTHORITY:
            self._authority = event.first
        elif isinstance(event, DatasetRegistered):
            self._providers[event.dataset] = event.provider
        elif isinstance(event, Applied):
            self._datasets[event.application] = event.dataset

    def _concerns(self, event: Event) -> bool:
        # What an event of the timeline brings along is followed from now on.
        kind = type(event)
        names = _NAMES[kind](event)
        if self._followed.isdisjoint(names):
            return kind in _HALTING and not self._circumstances.isdisjoint(names)
        if kind in _BRINGS_ALONG:
            self._followed.add(names[0])
        if self._with_circumstances and isinstance(event, Granted):
            terms = event.terms
            agreement = agreement_id(terms.consumer, terms.dataset, terms.purpose)
            self._circumstances |= {terms.subject, terms.consumer, terms.dataset, agreement}
        return True

    def _entry(self, event: Event) -> TraceEntry:
        return TraceEntry(
            time=event.block.timestamp,
            act=event.name,
            who=self._who(event),
            what=_NAMES[type(event)](event)[0],
            outcome=event.outcome if isinstance(event, Accessed) else None,
            event=event,
        )

    def _who(self, event: Event) -> bytes | None:
        kind = type(event)
        if kind in _BY_AUTHORITY:
            return self._authority
        if isinstance(event, AgreementApproved | ApplicationDeclined):
            return self._providers.get(self._datasets.get(event.application, b""))
        if isinstance(event, DatasetReclassified | DatasetWithdrawn | Published | RecordErased):
            return self._providers.get(event.dataset)
        attribute = _ACTOR.get(kind)
        return None if attribute is None else getattr(event, attribute)


_NAMES: Final[Mapping[type[Event], Names]] = MappingProxyType(
    {
        Accessed: lambda event: (event.basis, event.consumer),
        Recorded: lambda event: (event.recorder,),
        Granted: lambda event: (
            event.authorization,
            event.subject,
            event.consumer,
            event.terms.dataset,
            event.terms.case_reference,
        ),
        Revoked: lambda event: (event.authorization, event.subject),
        Confirmed: lambda event: (event.authorization, event.subject),
        AccessVoided: lambda event: (event.authorization, event.regulator),
        BatchSkipped: lambda event: (event.consumer, event.recorder),
        **dict.fromkeys(
            (
                *(SubjectRegistered, SubjectFrozen, SubjectUnfrozen, SignerRotated),
                *(GuardianAppointed, GuardianDismissed),
                *(RecoveryStarted, RecoveryVetoed, RecoveryCompleted),
                *(SubjectClosed, SubjectOpened, LinksEnded),
            ),
            lambda event: (event.subject,),
        ),
        DatasetRegistered: lambda event: (event.dataset, event.provider),
        **dict.fromkeys(
            (DatasetReclassified, DatasetWithdrawn, Published, RecordErased),
            lambda event: (event.dataset,),
        ),
        OrderIssued: lambda event: (event.order, event.dataset),
        OrderCountersigned: lambda event: (event.order, event.dataset, event.regulator),
        OrderEnded: lambda event: (event.order, event.dataset, event.by),
        OrderReviewed: lambda event: (event.order, event.dataset, event.regulator),
        PurposeRegistered: lambda event: (event.purpose,),
        PurposeFieldsBound: lambda event: (event.purpose, event.dataset),
        PurposeRetired: lambda event: (event.purpose,),
        Applied: lambda event: (event.application, event.consumer, event.dataset),
        ApplicationDeclined: lambda event: (event.application,),
        AgreementApproved: lambda event: (event.agreement, event.application),
        ConfidentialitySigned: lambda event: (event.application, event.consumer),
        AgreementWithdrawn: lambda event: (event.agreement, event.by),
        **dict.fromkeys(
            (
                *(PartyAdmitted, AdmissionAnnounced, AdmissionRetracted, PartyWithdrawn),
                EncryptionKeySet,
            ),
            lambda event: (event.party,),
        ),
        AdmissionVetoed: lambda event: (event.party, event.regulator),
        RecorderNamed: lambda event: (event.consumer, event.recorder),
        RecorderDismissed: lambda event: (event.consumer, event.recorder),
        SupervisorAppointed: lambda event: (event.supervisor, event.regulator),
        SupervisorDismissed: lambda event: (event.supervisor, event.regulator),
        AgreementSuspended: lambda event: (event.agreement, event.supervisor),
        SuspensionReviewed: lambda event: (event.agreement, event.regulator),
        ConsumerRestricted: lambda event: (event.consumer, event.regulator),
        RestrictionAppealed: lambda event: (event.consumer,),
        RestrictionLifted: lambda event: (event.consumer, event.regulator),
        ContractAnnounced: lambda event: (event.deployed,),
        **dict.fromkeys(
            (ChangeAnnounced, ChangeVetoed, ChangeRetracted, ChangeMade),
            lambda event: (event.first, event.second),
        ),
    }
)

_BRINGS_ALONG: Final = frozenset(
    (Granted, Applied, AgreementApproved, DatasetRegistered, OrderIssued)
)
"""Events whose principal id is followed once they belong to a timeline."""

_HALTING: Final = frozenset(
    (
        *(SubjectFrozen, SubjectUnfrozen, RecoveryStarted, RecoveryVetoed, RecoveryCompleted),
        *(SubjectClosed, SubjectOpened),
        *(PartyAdmitted, PartyWithdrawn, ConsumerRestricted, RestrictionLifted),
        *(DatasetReclassified, DatasetWithdrawn, OrderIssued, OrderCountersigned, OrderEnded),
        *(AgreementApproved, AgreementWithdrawn, AgreementSuspended, SuspensionReviewed),
    )
)
"""What halts an authorization from outside, or lets it count again."""

_BY_AUTHORITY: Final = frozenset(
    (
        *(PartyAdmitted, AdmissionAnnounced, AdmissionRetracted, PartyWithdrawn),
        *(ChangeAnnounced, ChangeRetracted, ChangeMade, ContractAnnounced, OrderIssued),
        *(PurposeRegistered, PurposeFieldsBound, PurposeRetired),
    )
)

_ACTOR: Final[Mapping[type[Event], str]] = MappingProxyType(
    {
        Accessed: "consumer",
        Recorded: "recorder",
        Granted: "signer_hash",
        Revoked: "signer_hash",
        Confirmed: "signer_hash",
        AccessVoided: "regulator",
        SubjectRegistered: "registrar",
        SubjectFrozen: "signer_hash",
        SubjectUnfrozen: "signer_hash",
        DatasetRegistered: "provider",
        OrderCountersigned: "regulator",
        OrderEnded: "by",
        OrderReviewed: "regulator",
        SupervisorAppointed: "regulator",
        SupervisorDismissed: "regulator",
        AgreementSuspended: "supervisor",
        SuspensionReviewed: "regulator",
        AdmissionVetoed: "regulator",
        ChangeVetoed: "regulator",
        RecorderNamed: "consumer",
        RecorderDismissed: "consumer",
        Applied: "consumer",
        ConfidentialitySigned: "consumer",
        AgreementWithdrawn: "by",
        EncryptionKeySet: "party",
        ConsumerRestricted: "regulator",
        RestrictionAppealed: "consumer",
        RestrictionLifted: "regulator",
    }
)
"""Which attribute says who acted; the others say it nowhere, or by way of the dataset."""
