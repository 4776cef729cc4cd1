"""The whole life of one thing, as a timeline: a subject, an authorization, a party, a dataset, a case.

Made from events alone, in one pass, and pure: a replay's, a node's or a file's. What belongs to a thing
is often named only by something in between (an access names its basis, a revocation the
authorization), so the pass follows: a grant of the subject brings its authorization along, an
application its agreement, a dataset its orders.

An authorization's life includes what halts it from outside: its subject's freezes and recoveries,
its consumer's restrictions, its agreement's end, its dataset's.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import msgspec

from ledger.enumerations import Outcome
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
    """Whose act it is: an address, or the signer of a subject (ERC-7913 bytes). None where neither
    the event nor what came before says it."""
    what: bytes
    """Id of what the act is about; of an access its basis."""
    outcome: Outcome | None
    """Of an access."""
    event: Event
    """Everything that was said, and where it stands."""


def trace(events: Iterable[Event], thing: Thing, name: bytes) -> Iterator[TraceEntry]:
    """Yield the life of one thing, in the order of the chain.

    Args:
        events: All events from the deployment on, in order.
        thing: What is traced.
        name: Its id, 32 bytes, or a party's address, 20 bytes.
    """
    tracer = _Tracer(thing, name)
    for event in events:
        tracer.learn(event)
        if tracer.concerns(event):
            yield tracer.entry(event)


class _Tracer:
    """What is followed, and what has to be known to say who acted."""

    def __init__(self, thing: Thing, name: bytes) -> None:
        self._followed = {name}
        self._circumstances: set[bytes] = set()
        self._with_circumstances = thing in (Thing.AUTHORIZATION, Thing.CASE)
        self._authority: bytes | None = None
        self._providers: dict[bytes, bytes] = {}
        self._datasets: dict[bytes, bytes] = {}

    def learn(self, event: Event) -> None:
        """Remember who stands behind what, whether or not it is followed."""
        if isinstance(event, OwnershipTransferred):
            self._authority = event.new_owner
        elif isinstance(event, DatasetRegistered):
            self._providers[event.dataset] = event.provider
        elif isinstance(event, Applied):
            self._datasets[event.application] = event.dataset

    def concerns(self, event: Event) -> bool:
        """Whether an event belongs to the timeline; what it brings along is followed from now on."""
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

    def entry(self, event: Event) -> TraceEntry:
        """Return an event's line."""
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
        **dict.fromkeys(
            (
                *(SubjectRegistered, SubjectFrozen, SubjectUnfrozen, SignerRotated),
                *(GuardianAppointed, GuardianDismissed),
                *(RecoveryStarted, RecoveryVetoed, RecoveryCompleted),
            ),
            lambda event: (event.subject,),
        ),
        DatasetRegistered: lambda event: (event.dataset, event.provider),
        **dict.fromkeys(
            (DatasetReclassified, DatasetWithdrawn, Published, RecordErased),
            lambda event: (event.dataset,),
        ),
        OrderIssued: lambda event: (event.order, event.dataset),
        OrderEnded: lambda event: (event.order, event.dataset),
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
            (PartyAdmitted, PartyWithdrawn, EncryptionKeySet), lambda event: (event.party,)
        ),
        ConsumerRestricted: lambda event: (event.consumer, event.regulator),
        RestrictionAppealed: lambda event: (event.consumer,),
        RestrictionLifted: lambda event: (event.consumer, event.regulator),
        ContractAnnounced: lambda event: (event.deployed,),
        OwnershipTransferStarted: lambda event: (event.new_owner, event.previous_owner),
        OwnershipTransferred: lambda event: (event.new_owner, event.previous_owner),
    }
)

_BRINGS_ALONG: Final = frozenset(
    (Granted, Applied, AgreementApproved, DatasetRegistered, OrderIssued)
)
"""Events whose principal id is followed once they belong to a timeline."""

_HALTING: Final = frozenset(
    (
        *(SubjectFrozen, SubjectUnfrozen, RecoveryStarted, RecoveryVetoed, RecoveryCompleted),
        *(PartyAdmitted, PartyWithdrawn, ConsumerRestricted, RestrictionLifted),
        *(DatasetReclassified, DatasetWithdrawn, OrderIssued, OrderEnded),
        *(AgreementApproved, AgreementWithdrawn),
    )
)
"""What halts an authorization from outside, or lets it count again."""

_BY_AUTHORITY: Final = frozenset(
    (
        *(PartyAdmitted, PartyWithdrawn, ContractAnnounced, OrderIssued, OrderEnded),
        *(PurposeRegistered, PurposeFieldsBound, PurposeRetired),
    )
)

_ACTOR: Final[Mapping[type[Event], str]] = MappingProxyType(
    {
        Accessed: "consumer",
        Recorded: "recorder",
        Granted: "signer",
        Revoked: "signer",
        Confirmed: "signer",
        SubjectFrozen: "signer",
        SubjectUnfrozen: "signer",
        SignerRotated: "old_signer",
        DatasetRegistered: "provider",
        OrderReviewed: "regulator",
        Applied: "consumer",
        ConfidentialitySigned: "consumer",
        AgreementWithdrawn: "by",
        EncryptionKeySet: "party",
        ConsumerRestricted: "regulator",
        RestrictionAppealed: "consumer",
        RestrictionLifted: "regulator",
        OwnershipTransferStarted: "previous_owner",
        OwnershipTransferred: "new_owner",
    }
)
"""Which attribute says who acted; the others say it nowhere, or by way of the dataset."""
