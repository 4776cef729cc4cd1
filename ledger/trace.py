"""The whole life of one thing, as a timeline: a subject, an authorization, a party, a dataset, a case.

Made from events alone, in one pass, and pure. What belongs to a thing is often named only by
something in between, so the pass follows: a grant of the subject brings its authorization along, an
application its agreement, a dataset its orders. An authorization's life includes what halts it from
outside: its subject's freezes and recoveries, its consumer's restrictions, its agreement's end, its
dataset's.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import msgspec

from ledger.chain import events
from ledger.chain.events import Event
from ledger.chain.events.identifiers import agreement_id
from ledger.model import Change, Outcome

Names: TypeAlias = Callable[[Any], tuple[bytes, ...]]
"""From an event to the ids that it is about, the principal one first."""


class Thing(StrEnum):
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
    who: bytes | None
    """Whose act it is: an address, or the Keccak-256 of a subject's signer (ERC-7913 bytes). None where
    neither the event nor what came before says it."""
    what: bytes
    """Id of what the act is about; of an access its basis."""
    outcome: Outcome | None
    event: Event


class Tracer:
    """Picks out the life of the thing with this id (a party's address). Show it all events from the deployment on, in order."""

    def __init__(self, thing: Thing, name: bytes) -> None:
        self._followed = {name}
        self._circumstances: set[bytes] = set()
        self._with_circumstances = thing in (Thing.AUTHORIZATION, Thing.CASE)
        self._authority: bytes | None = None
        self._providers: dict[bytes, bytes] = {}
        self._datasets: dict[bytes, bytes] = {}

    def take(self, event: Event) -> TraceEntry | None:
        """Return the line of the next event; None if it does not concern the thing."""
        # Who stands behind what, whether or not it is followed.
        if isinstance(event, events.ChangeMade) and event.change is Change.AUTHORITY:
            self._authority = event.first
        elif isinstance(event, events.DatasetRegistered):
            self._providers[event.dataset] = event.provider
        elif isinstance(event, events.Applied):
            self._datasets[event.application] = event.dataset
        if not self._concerns(event):
            return None
        return TraceEntry(
            time=event.block.timestamp,
            act=event.name,
            who=self._who(event),
            what=_NAMES[type(event)](event)[0],
            outcome=event.outcome if isinstance(event, events.Accessed) else None,
            event=event,
        )

    def _concerns(self, event: Event) -> bool:
        # What an event of the timeline brings along is followed from now on.
        kind = type(event)
        names = _NAMES[kind](event)
        if self._followed.isdisjoint(names):
            return kind in _HALTING and not self._circumstances.isdisjoint(names)
        if kind in _BRINGS_ALONG:
            self._followed.add(names[0])
        if self._with_circumstances and isinstance(event, events.Granted):
            terms = event.terms
            agreement = agreement_id(terms.consumer, terms.dataset, terms.purpose)
            self._circumstances |= {terms.subject, terms.consumer, terms.dataset, agreement}
        return True

    def _who(self, event: Event) -> bytes | None:
        kind = type(event)
        if kind in _BY_AUTHORITY:
            return self._authority
        if isinstance(event, events.AgreementApproved | events.ApplicationDeclined):
            return self._providers.get(self._datasets.get(event.application, b""))
        if isinstance(
            event,
            events.DatasetReclassified
            | events.DatasetWithdrawn
            | events.Published
            | events.RecordErased,
        ):
            return self._providers.get(event.dataset)
        attribute = _ACTOR.get(kind)
        return None if attribute is None else getattr(event, attribute)


_NAMES: Final[Mapping[type[Event], Names]] = MappingProxyType(
    {
        events.Accessed: lambda event: (event.basis, event.consumer),
        events.Recorded: lambda event: (event.recorder,),
        events.Granted: lambda event: (
            event.authorization,
            event.subject,
            event.consumer,
            event.terms.dataset,
            event.terms.case_reference,
        ),
        events.Revoked: lambda event: (event.authorization, event.subject),
        events.Confirmed: lambda event: (event.authorization, event.subject),
        events.AccessVoided: lambda event: (event.authorization, event.regulator),
        events.BatchSkipped: lambda event: (event.consumer, event.recorder),
        **dict.fromkeys(
            (
                *(
                    events.SubjectRegistered,
                    events.SubjectFrozen,
                    events.SubjectUnfrozen,
                    events.SignerRotated,
                ),
                *(events.GuardianAppointed, events.GuardianDismissed),
                *(events.RecoveryStarted, events.RecoveryVetoed, events.RecoveryCompleted),
                *(events.SubjectClosed, events.SubjectOpened, events.LinksEnded),
            ),
            lambda event: (event.subject,),
        ),
        events.DatasetRegistered: lambda event: (event.dataset, event.provider),
        **dict.fromkeys(
            (
                events.DatasetReclassified,
                events.DatasetWithdrawn,
                events.Published,
                events.RecordErased,
            ),
            lambda event: (event.dataset,),
        ),
        events.OrderIssued: lambda event: (event.order, event.dataset),
        events.OrderCountersigned: lambda event: (event.order, event.dataset, event.regulator),
        events.OrderEnded: lambda event: (event.order, event.dataset, event.by),
        events.OrderReviewed: lambda event: (event.order, event.dataset, event.regulator),
        events.PurposeRegistered: lambda event: (event.purpose,),
        events.PurposeFieldsBound: lambda event: (event.purpose, event.dataset),
        events.PurposeRetired: lambda event: (event.purpose,),
        events.Applied: lambda event: (event.application, event.consumer, event.dataset),
        events.ApplicationDeclined: lambda event: (event.application,),
        events.AgreementApproved: lambda event: (event.agreement, event.application),
        events.ConfidentialitySigned: lambda event: (event.application, event.consumer),
        events.AgreementWithdrawn: lambda event: (event.agreement, event.by),
        **dict.fromkeys(
            (
                *(
                    events.PartyAdmitted,
                    events.AdmissionAnnounced,
                    events.AdmissionRetracted,
                    events.PartyWithdrawn,
                ),
                events.EncryptionKeySet,
            ),
            lambda event: (event.party,),
        ),
        events.AdmissionVetoed: lambda event: (event.party, event.regulator),
        events.RecorderNamed: lambda event: (event.consumer, event.recorder),
        events.RecorderDismissed: lambda event: (event.consumer, event.recorder),
        events.SupervisorAppointed: lambda event: (event.supervisor, event.regulator),
        events.SupervisorDismissed: lambda event: (event.supervisor, event.regulator),
        events.AgreementSuspended: lambda event: (event.agreement, event.supervisor),
        events.SuspensionReviewed: lambda event: (event.agreement, event.regulator),
        events.ConsumerRestricted: lambda event: (event.consumer, event.regulator),
        events.RestrictionAppealed: lambda event: (event.consumer,),
        events.RestrictionLifted: lambda event: (event.consumer, event.regulator),
        events.ContractAnnounced: lambda event: (event.deployed,),
        **dict.fromkeys(
            (
                events.ChangeAnnounced,
                events.ChangeVetoed,
                events.ChangeRetracted,
                events.ChangeMade,
            ),
            lambda event: (event.first, event.second),
        ),
    }
)

_BRINGS_ALONG: Final = frozenset(
    (
        events.Granted,
        events.Applied,
        events.AgreementApproved,
        events.DatasetRegistered,
        events.OrderIssued,
    )
)
"""Events whose principal id is followed once they belong to a timeline."""

_HALTING: Final = frozenset(
    (
        *(
            events.SubjectFrozen,
            events.SubjectUnfrozen,
            events.RecoveryStarted,
            events.RecoveryVetoed,
            events.RecoveryCompleted,
        ),
        *(events.SubjectClosed, events.SubjectOpened),
        *(
            events.PartyAdmitted,
            events.PartyWithdrawn,
            events.ConsumerRestricted,
            events.RestrictionLifted,
        ),
        *(
            events.DatasetReclassified,
            events.DatasetWithdrawn,
            events.OrderIssued,
            events.OrderCountersigned,
            events.OrderEnded,
        ),
        *(
            events.AgreementApproved,
            events.AgreementWithdrawn,
            events.AgreementSuspended,
            events.SuspensionReviewed,
        ),
    )
)
"""What halts an authorization from outside, or lets it count again."""

_BY_AUTHORITY: Final = frozenset(
    (
        *(
            events.PartyAdmitted,
            events.AdmissionAnnounced,
            events.AdmissionRetracted,
            events.PartyWithdrawn,
        ),
        *(
            events.ChangeAnnounced,
            events.ChangeRetracted,
            events.ChangeMade,
            events.ContractAnnounced,
            events.OrderIssued,
        ),
        *(events.PurposeRegistered, events.PurposeFieldsBound, events.PurposeRetired),
    )
)

_ACTOR: Final[Mapping[type[Event], str]] = MappingProxyType(
    {
        events.Accessed: "consumer",
        events.Recorded: "recorder",
        events.Granted: "signer_hash",
        events.Revoked: "signer_hash",
        events.Confirmed: "signer_hash",
        events.AccessVoided: "regulator",
        events.SubjectRegistered: "registrar",
        events.SubjectFrozen: "signer_hash",
        events.SubjectUnfrozen: "signer_hash",
        events.DatasetRegistered: "provider",
        events.OrderCountersigned: "regulator",
        events.OrderEnded: "by",
        events.OrderReviewed: "regulator",
        events.SupervisorAppointed: "regulator",
        events.SupervisorDismissed: "regulator",
        events.AgreementSuspended: "supervisor",
        events.SuspensionReviewed: "regulator",
        events.AdmissionVetoed: "regulator",
        events.ChangeVetoed: "regulator",
        events.RecorderNamed: "consumer",
        events.RecorderDismissed: "consumer",
        events.Applied: "consumer",
        events.ConfidentialitySigned: "consumer",
        events.AgreementWithdrawn: "by",
        events.EncryptionKeySet: "party",
        events.ConsumerRestricted: "regulator",
        events.RestrictionAppealed: "consumer",
        events.RestrictionLifted: "regulator",
    }
)
"""Which attribute says who acted; the others say it nowhere, or by way of the dataset."""
