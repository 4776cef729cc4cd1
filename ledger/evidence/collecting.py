"""The events that a decision rests on: by the ids that they are indexed under, in a few rounds.

Each round asks for events that name the ids of the round before: an authorization brings its
subject, consumer, dataset, purpose and agreement; an agreement its application; and so on.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec

from ledger import events as happened
from ledger.deployment import Deployment
from ledger.enumerations import Outcome
from ledger.events import (
    Accessed,
    Applied,
    Event,
    EventError,
    Granted,
    OrderIssued,
    PurposeFieldsBound,
)
from ledger.events.decoding import ACCESSED_TOPIC, ITEM_ACCESSED_TOPIC, EventDecoder, plan_for
from ledger.events.identifiers import agreement_id
from ledger.evidence.document import NoEvidenceError
from ledger.log_reader import LogReader, logs_between
from ledger.rpc import Rpc

NEWEST_USES: Final = 64
"""Earlier uses of an authorization in one file: the newest, which say whether it is too soon. Where an
access was denied because none was left, all are in the file, since their number decided."""

_WORD: Final = 32
_BY_FIRST: Final = (
    *(
        happened.PartyAdmitted,
        happened.PartyWithdrawn,
        happened.ConsumerRestricted,
        happened.RestrictionLifted,
    ),
    *(happened.DatasetRegistered, happened.DatasetReclassified, happened.DatasetWithdrawn),
    *(OrderIssued, happened.OrderCountersigned, happened.OrderEnded, happened.OrderReviewed),
    *(happened.PurposeRegistered, PurposeFieldsBound, happened.PurposeRetired),
    *(
        Applied,
        happened.ApplicationDeclined,
        happened.AgreementApproved,
        happened.ConfidentialitySigned,
        happened.AgreementWithdrawn,
    ),
    *(happened.AgreementSuspended, happened.SuspensionReviewed),
    *(
        happened.SubjectRegistered,
        happened.SubjectFrozen,
        happened.SubjectUnfrozen,
        happened.SignerRotated,
    ),
    *(happened.GuardianAppointed, happened.GuardianDismissed),
    *(happened.RecoveryStarted, happened.RecoveryVetoed, happened.RecoveryCompleted),
    *(happened.SubjectClosed, happened.SubjectOpened, happened.LinksEnded),
    *(Granted, happened.Revoked, happened.Confirmed, happened.AccessVoided),
)
_TOPICS: Final = tuple(plan_for(event).topic for event in _BY_FIRST)
_ISSUED: Final = plan_for(OrderIssued).topic
_PUBLISHED: Final = plan_for(happened.Published).topic
_ERASED: Final = plan_for(happened.RecordErased).topic

_Brings = Callable[[Any, Accessed], tuple[bytes, ...]]
_BRINGS: Final[Mapping[type[Event], _Brings]] = MappingProxyType(
    {
        Granted: lambda event, _: (
            event.subject,
            event.terms.dataset,
            event.terms.purpose,
            agreement_id(event.terms.consumer, event.terms.dataset, event.terms.purpose),
        ),
        happened.AgreementApproved: lambda event, _: (event.application,),
        Applied: lambda event, _: (event.consumer, event.dataset, event.purpose),
        happened.DatasetRegistered: lambda event, _: (event.provider,),
        OrderIssued: lambda event, access: (
            event.order,
            event.dataset,
            event.terms.purpose,
            agreement_id(access.consumer, event.dataset, event.terms.purpose),
        ),
        happened.SubjectRegistered: lambda event, _: (event.registrar,),
        happened.ConsumerRestricted: lambda event, _: (event.regulator,),
        happened.RestrictionLifted: lambda event, _: (event.regulator,),
    }
)


class Collected(msgspec.Struct, frozen=True):
    """Where the events stand that the decision rests on."""

    places: frozenset[tuple[int, bytes]]
    """Number of the block, hash of the transaction."""
    granted_in: bytes | None
    """Transaction in which the authorization was granted, if the basis is one."""


class Collector:
    """Looks for the events that an access's decision rests on, up to the access."""

    def __init__(self, rpc: Rpc, deployment: Deployment, access: Accessed) -> None:
        self._rpc = rpc
        self._deployment = deployment
        self._contracts = deployment.contracts
        self._access = access
        self._decoder = EventDecoder(deployment.contracts)
        self._found: list[Event] = []
        self._granted_in: bytes | None = None
        self._dataset = access.basis

    def collect(self, publication: int | None, parties: Sequence[bytes]) -> Collected:
        """Find the events.

        Args:
            publication: Version of the dataset that was released, if any.
            parties: Addresses whose roles matter too.

        Raises:
            NoEvidenceError: the node's logs are not the contracts'.
            RpcError: the node cannot be asked.
        """
        access = self._access
        asked: set[bytes] = set()
        wanted = {access.basis, access.consumer, *parties}
        while wanted:
            asked |= wanted
            brought: set[bytes] = set()
            for event in self._named(wanted):
                brought |= set(self._brought(event))
            wanted = brought - asked
        if self._granted_in is not None or access.outcome is Outcome.DUPLICATE_REQUEST:
            self._earlier_uses()
        if publication is not None:
            self._ask((_PUBLISHED,), (self._dataset,), (publication.to_bytes(_WORD, "big"),))
            self._ask((_ERASED,), (self._dataset,))
        # A purpose may be bound to many datasets; those of others say nothing here.
        return Collected(
            frozenset(
                (event.block.number, event.transaction)
                for event in self._found
                if not isinstance(event, PurposeFieldsBound) or event.dataset == self._dataset
            ),
            self._granted_in,
        )

    def _named(self, ids: set[bytes]) -> Iterator[Event]:
        """Ask for events that are indexed under ids, and for orders by their dataset."""
        words = tuple(id_.rjust(_WORD, b"\0") for id_ in sorted(ids))
        yield from self._ask(_TOPICS, words)
        yield from self._ask((_ISSUED,), None, words)

    def _brought(self, event: Event) -> tuple[bytes, ...]:
        if isinstance(event, Granted):
            self._granted_in = event.transaction
            self._dataset = event.terms.dataset
        elif isinstance(event, Applied | OrderIssued):
            self._dataset = event.dataset
        brings = _BRINGS.get(type(event))
        return () if brings is None else brings(event, self._access)

    def _earlier_uses(self) -> None:
        access = self._access
        topics = (ACCESSED_TOPIC, ITEM_ACCESSED_TOPIC)
        events = self._logs((self._contracts.access_log,), topics, (access.basis,))
        before = [e for e in events if isinstance(e, Accessed) and e.sequence < access.sequence]
        uses = [event for event in before if event.outcome is Outcome.ALLOWED]
        if access.outcome is not Outcome.USES_EXHAUSTED:
            uses = uses[-NEWEST_USES:]
        same = [e for e in before if (e.consumer, e.nonce) == (access.consumer, access.nonce)]
        self._found += [*uses, *same]

    def _ask(self, *topics: Sequence[bytes] | None) -> list[Event]:
        contracts = self._contracts
        others = (contracts.registry, contracts.catalogue)
        events = self._logs((*others, contracts.agreements, contracts.authorizations), *topics)
        self._found += events
        return events

    def _logs(self, addresses: Sequence[bytes], *topics: Sequence[bytes] | None) -> list[Event]:
        """Ask for events up to the access. Decisions take times from headers, not from these."""
        access, first = self._access, self._deployment.block_number
        reader = LogReader(addresses, topics)
        parts = logs_between(self._rpc, reader, first, access.block.number)
        try:
            events = [event for part in parts for event in self._decoder.decode_all(part.logs)]
        except EventError as error:
            raise NoEvidenceError(f"the node's logs are not the contracts': {error}") from error
        end = (access.block.number, access.log_index)
        return [event for event in events if (event.block.number, event.log_index) <= end]
