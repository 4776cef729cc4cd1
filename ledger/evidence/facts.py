"""What a decision rests on, rebuilt from the events that prove it.

Evidence has the events of the things that one access names, not the whole chain: of the consumer, the
dataset, the purpose, the agreement, the person. So numbers that count all people or all agreements are
taken as they are, and so is what regulators, supervisors and the authority had the right to do: the chain
checked it when it emitted the event. Everything else follows `ledger.state`.
"""

from collections.abc import Iterable

from ledger.chain.events import (
    Accessed,
    AccessVoided,
    AgreementApproved,
    AgreementSuspended,
    BatchSkipped,
    ChangeMade,
    Event,
    Granted,
    OrderCountersigned,
    OrderEnded,
    OrderReviewed,
    PartyAdmitted,
    PartyWithdrawn,
    Published,
    PurposeFieldsBound,
    Recorded,
    RecordErased,
    RecoveryCompleted,
    SubjectRegistered,
    SuspensionReviewed,
)
from ledger.crypto.statement import Names, names_at_grant
from ledger.hexstr import keccak256
from ledger.model import Agreement, Change, Delays, Outcome, Party, State, Subject
from ledger.policy import decide
from ledger.release_rules import find_basis
from ledger.state import ImpossibleEventError, apply, count, recover


class Facts:
    """What proven events say, up to and with the access.

    Attributes:
        state: Before the access.
        outcome: What the rules decide from it.
        granted: The authorization that is the basis; None if the basis is none.
        names: What was shown when it was granted.
        published: By dataset and version.
        erased: Datasets, and roots of their records that were erased.
        basis: What the access rests on; None if it is unknown.
    """

    def __init__(self, events: Iterable[Event], access: Accessed, delays: Delays) -> None:
        """Go through the events.

        Args:
            events: In the order of the chain; the access is among them.
            access: Whose decision is made again.
            delays: Of the deployment.

        Raises:
            ImpossibleEventError: an event does not follow from those that are there.
        """
        self.state = State(delays)
        self.granted: Granted | None = None
        self.names: Names | None = None
        self.published: dict[tuple[bytes, int], Published] = {}
        self.erased: set[tuple[bytes, bytes]] = set()
        for event in events:
            if event is access:
                break
            if isinstance(event, Accessed):
                self._accessed(event, access)
            elif not isinstance(event, Recorded | BatchSkipped):
                self._apply(event)
                if isinstance(event, Granted) and event.authorization == access.basis:
                    self.granted = event
                    self.names = names_at_grant(self.state, self.state.authorizations[access.basis])
        self.outcome: Outcome = decide(self.state, access, access.block.timestamp)
        self.basis = find_basis(self.state, access.basis)

    @property
    def dataset(self) -> bytes | None:
        """The dataset that the basis is about; None if the basis is unknown."""
        return None if self.basis is None else self.basis.dataset

    def _accessed(self, event: Accessed, access: Accessed) -> None:
        same_nonce = (event.consumer, event.nonce) == (access.consumer, access.nonce)
        if event.basis == access.basis or same_nonce:
            count(self.state, event, event.outcome)

    def _apply(self, event: Event) -> None:
        state = self.state
        if isinstance(event, Published):
            self.published[event.dataset, event.version] = event
        elif isinstance(event, RecordErased):
            self.erased.add((event.dataset, event.item))
        elif isinstance(event, AgreementApproved) and event.agreement not in state.agreements:
            self._first_approval(event)
        elif isinstance(event, PurposeFieldsBound) and event.dataset not in state.datasets:
            return
        elif not self._take(event):
            apply(state, event)

    def _take(self, event: Event) -> bool:
        """Take an event as it is, if it is one of those whose right the chain checked."""
        if isinstance(event, SubjectRegistered):
            self._register(event)
        elif isinstance(event, PartyAdmitted | PartyWithdrawn):
            self._party(event)
        elif isinstance(event, AgreementSuspended | SuspensionReviewed):
            self._agreement(event, event.agreement).suspended_until = event.until
        elif isinstance(event, OrderCountersigned | OrderEnded | OrderReviewed):
            self._order(event)
        elif isinstance(event, AccessVoided):
            self._void(event)
        elif isinstance(event, ChangeMade) and event.change is Change.SUCCESSOR:
            self.state.successors[event.first] = event.second
        elif isinstance(event, RecoveryCompleted):
            recover(self.state, event)
        else:
            return False
        return True

    def _register(self, event: SubjectRegistered) -> None:
        self.state.subjects[event.subject] = Subject(
            event.subject,
            event.subject_number,
            event.registrar,
            event.signer,
            keccak256(event.signer),
        )

    def _party(self, event: PartyAdmitted | PartyWithdrawn) -> None:
        party = self.state.parties.setdefault(event.party, Party("", 0))
        party.active = isinstance(event, PartyAdmitted)
        if isinstance(event, PartyAdmitted):
            party.name, party.roles = event.title, event.roles

    def _first_approval(self, event: AgreementApproved) -> None:
        application = self.state.applications.get(event.application)
        if application is None:
            raise ImpossibleEventError(event, "the application is unknown")
        application.decided = True
        agreement = Agreement(
            id=event.agreement,
            number=event.agreement_number,
            round=event.round,
            consumer=application.consumer,
            dataset=application.dataset,
            purpose=application.purpose,
            application=application,
            fields=event.fields,
            expires_at=event.expires_at,
        )
        self.state.agreements[event.agreement] = agreement
        self.state.numbered[event.agreement_number] = agreement

    def _agreement(self, event: Event, agreement: bytes) -> Agreement:
        known = self.state.agreements.get(agreement)
        if known is None:
            raise ImpossibleEventError(event, "the agreement is unknown")
        return known

    def _order(self, event: OrderCountersigned | OrderEnded | OrderReviewed) -> None:
        order = self.state.orders.get(event.order)
        if order is None:
            raise ImpossibleEventError(event, "the order is unknown")
        if isinstance(event, OrderCountersigned):
            order.countersigned = True
        elif isinstance(event, OrderEnded):
            order.ends_at = event.ends_at
        else:
            order.reviewed = True

    def _void(self, event: AccessVoided) -> None:
        authorization = self.state.authorizations.get(event.authorization)
        if authorization is None:
            raise ImpossibleEventError(event, "the authorization is unknown")
        authorization.uses_left += 1
        authorization.last_use = event.last_use
