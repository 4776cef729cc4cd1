"""Acts of `Agreements` and `AccessLog`. See `tests.support.world`."""

from collections.abc import Iterator
from dataclasses import dataclass

from ledger.chain import contract_calls
from ledger.chain.events import (
    Accessed,
    AgreementApproved,
    AgreementSuspended,
    AgreementWithdrawn,
    ApplicationDeclined,
    Applied,
    BatchSkipped,
    Block,
    ConfidentialitySigned,
    Event,
    PurposeFieldsBound,
    PurposeRegistered,
    PurposeRetired,
    PurposeTerms,
    Recorded,
    SupervisorAppointed,
    SupervisorDismissed,
    SuspensionReviewed,
)
from ledger.chain.events.identifiers import agreement_id, application_id
from ledger.hexstr import keccak256
from ledger.model import ZERO_WORD, Roles, State, has_role
from ledger.policy import decide
from ledger.typed_data import AccessRequest, ConfidentialityAgreement
from scripts.statements import TEXTS as TEXTS_OF_PURPOSES
from tests.support.world import (
    ITEMS,
    LATEST_DEADLINE,
    STRANGER,
    TEXTS,
    Attempt,
    Hidden,
    World,
    not_the_authority,
    pick,
    remember,
)


@dataclass(frozen=True)
class RegisterPurpose:
    caller: int
    code: int
    validity: int
    uses: int
    interval: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.caller, world.state.authority or ZERO_WORD[:20])
        terms = PurposeTerms(
            code=f"purpose {self.code}" if self.code else "",
            texts=TEXTS_OF_PURPOSES if self.code < 3 else (),
            max_validity=max(self.validity, 0),
            max_uses=self.uses,
            min_interval=self.interval,
            retention=60,
        )
        purpose = remember(world.purposes, contract_calls.purpose_id(terms))

        events = world.event("agreements", PurposeRegistered, purpose, terms)
        return Attempt(
            caller, contract_calls.register_purpose(terms), events, not_the_authority(caller)
        )


@dataclass(frozen=True)
class BindFields:
    caller: int
    purpose: int
    dataset: int
    fields: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.caller, world.state.authority or ZERO_WORD[:20])
        terms = (world.live_purpose(self.purpose), world.live_dataset(self.dataset))

        events = world.event("agreements", PurposeFieldsBound, *terms, self.fields)
        call = contract_calls.bind_fields(*terms, self.fields)
        return Attempt(caller, call, events, not_the_authority(caller))


@dataclass(frozen=True)
class RetirePurpose:
    caller: int
    purpose: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.caller, world.state.authority or ZERO_WORD[:20])
        purpose = world.live_purpose(self.purpose)

        events = world.event("agreements", PurposeRetired, purpose)
        return Attempt(
            caller, contract_calls.retire_purpose(purpose), events, not_the_authority(caller)
        )


@dataclass(frozen=True)
class Apply:
    consumer: int
    dataset: int
    purpose: int
    fields: int
    nonce: int
    text: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller, nonce = world.party(self.consumer).address, bytes([self.nonce]) * 32
        dataset, purpose = world.live_dataset(self.dataset), world.live_purpose(self.purpose)
        application = application_id(caller, dataset, purpose, self.fields, nonce)
        remember(world.applications, application)
        remember(world.agreements, agreement_id(caller, dataset, purpose))
        fields, reason = self.fields, TEXTS[self.text]

        events = world.event(
            "agreements", Applied, application, caller, dataset, purpose, fields, reason, nonce
        )
        return Attempt(
            caller, contract_calls.apply_for(dataset, purpose, fields, reason, nonce), events
        )


@dataclass(frozen=True)
class Approve:
    caller: int
    application: int
    fields: int
    validity: int

    def attempt(self, world: World, now: int) -> Attempt:
        application = world.open_application(self.application)
        caller = world.caller(self.caller, provider_for(world.state, application))
        expires_at = now + self.validity

        def events(state: State, block: Block) -> Iterator[Event]:
            found = state.applications.get(application)
            id_ = (
                agreement_id(found.consumer, found.dataset.id, found.purpose)
                if found
                else ZERO_WORD
            )
            known = state.agreements.get(id_)
            number = known.number if known else len(state.agreements) + 1
            round_ = known.round + known.withdrawn if known else 0
            said = (number, round_, self.fields, expires_at)
            yield AgreementApproved(*world.numbered(block, "agreements"), id_, application, *said)

        call = contract_calls.approve(application, self.fields, expires_at)
        return Attempt(caller, call, events, not_the_provider_for(caller, application))


@dataclass(frozen=True)
class Decline:
    caller: int
    application: int
    text: int

    def attempt(self, world: World, now: int) -> Attempt:
        application, reason = world.open_application(self.application), TEXTS[self.text]
        caller = world.caller(self.caller, provider_for(world.state, application))

        events = world.event("agreements", ApplicationDeclined, application, reason)
        call = contract_calls.decline(application, reason)
        return Attempt(caller, call, events, not_the_provider_for(caller, application))


@dataclass(frozen=True)
class SignConfidentiality:
    consumer: int
    application: int
    deadline: int
    text: int
    forged: bool

    def attempt(self, world: World, now: int) -> Attempt:
        known = world.state.applications
        application = pick(
            world.applications, self.application, lambda id_: id_ in known and not known[id_].signed
        )
        found = known.get(application)
        right = found.consumer if found else STRANGER.address
        consumer = next(
            party for party in world.parties if party.address == world.caller(self.consumer, right)
        )
        record = ConfidentialityAgreement(
            consumer.address, application, TEXTS[self.text], ZERO_WORD, now + self.deadline
        )
        key = STRANGER.private_key if self.forged else consumer.private_key

        def events(_state: State, block: Block) -> Iterator[Event]:
            text = keccak256(record.text.encode())
            place = world.numbered(block, "agreements")
            yield ConfidentialitySigned(*place, application, consumer.address, text, record.nonce)

        def hidden(_state: State, now: int) -> bool:
            return record.deadline < now or (self.forged and consumer != STRANGER)

        call = contract_calls.sign_confidentiality(record, world.chain.sign(record, key))
        return Attempt(STRANGER.address, call, events, hidden)


@dataclass(frozen=True)
class WithdrawAgreement:
    caller: int
    agreement: int
    text: int

    def attempt(self, world: World, now: int) -> Attempt:
        agreement, reason = pick(world.agreements, self.agreement), TEXTS[self.text]
        found = world.state.agreements.get(agreement)
        caller = world.caller(self.caller, found.consumer if found else STRANGER.address)

        events = world.event("agreements", AgreementWithdrawn, agreement, caller, reason)
        return Attempt(caller, contract_calls.withdraw_agreement(agreement, reason), events)


@dataclass(frozen=True)
class AppointSupervisor:
    regulator: int
    party: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.regulator, world.chain.parties.regulator.address)
        supervisor = world.party(self.party).address

        events = world.event("agreements", SupervisorAppointed, supervisor, caller)
        return Attempt(caller, contract_calls.appoint_supervisor(supervisor), events)


@dataclass(frozen=True)
class DismissSupervisor:
    regulator: int
    party: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.regulator, world.chain.parties.regulator.address)
        supervisor = supervising(world, self.party)

        events = world.event("agreements", SupervisorDismissed, supervisor, caller)
        return Attempt(caller, contract_calls.dismiss_supervisor(supervisor), events)


@dataclass(frozen=True)
class Suspend:
    party: int
    agreement: int
    text: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller, reason = supervising(world, self.party), TEXTS[self.text]
        agreement = pick(world.agreements, self.agreement, world.state.agreements.__contains__)

        def events(_state: State, block: Block) -> Iterator[Event]:
            place, until = world.numbered(block, "agreements"), block.timestamp + 1800
            yield AgreementSuspended(*place, agreement, caller, until, reason)

        return Attempt(caller, contract_calls.suspend_agreement(agreement, reason), events)


@dataclass(frozen=True)
class ReviewSuspension:
    regulator: int
    agreement: int
    offset: int
    text: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.regulator, world.chain.parties.regulator.address)
        known, findings, until = world.state.agreements, TEXTS[self.text], now + self.offset
        agreement = pick(
            world.agreements,
            self.agreement,
            lambda id_: id_ in known and known[id_].suspension_unseen,
        )

        def events(state: State, block: Block) -> Iterator[Event]:
            found = state.agreements.get(agreement)
            ends = min(until, found.suspended_until) if found else 0
            place = world.numbered(block, "agreements")
            yield SuspensionReviewed(*place, agreement, caller, ends, findings)

        return Attempt(caller, contract_calls.review_suspension(agreement, until, findings), events)


def supervising(world: World, index: int) -> bytes:
    """A party: below zero one that is a supervisor, if there is one."""
    appointed = list(world.state.supervisors)
    return (
        appointed[index % len(appointed)] if index < 0 and appointed else world.party(index).address
    )


def provider_for(state: State, application: bytes) -> bytes:
    found = state.applications.get(application)
    return found.dataset.provider if found else STRANGER.address


def not_the_provider_for(caller: bytes, application: bytes) -> Hidden:
    def hidden(state: State, _now: int) -> bool:
        found = state.applications.get(application)
        return found is not None and found.dataset.provider != caller

    return hidden


# AccessLog


@dataclass(frozen=True)
class Ask:
    """One request of a batch."""

    consumer: int
    kind: str
    """Which pool the basis is from."""
    basis: int
    fields: int
    item: int
    nonce: int
    deadline: int

    def request(self, world: World, now: int) -> AccessRequest:
        pool: list[bytes] = getattr(world, self.kind)
        known = getattr(world.state, self.kind)
        basis = pick(pool, self.basis, known.__contains__)
        return AccessRequest(
            consumer=world.caller(self.consumer, consumer_of(world, basis)),
            basis=basis,
            item=ITEMS[self.item],
            fields=self.fields,
            nonce=self.nonce,
            deadline=LATEST_DEADLINE if self.deadline == 99 else now + self.deadline,
        )


def consumer_of(world: World, basis: bytes) -> bytes:
    """Whose basis it is; the bank's when it is anybody's."""
    authorization = world.state.authorizations.get(basis)
    agreement = authorization.terms.agreement if authorization else None
    found = agreement or world.state.agreements.get(basis)
    return found.consumer if found else world.chain.parties.bank.address


@dataclass(frozen=True)
class Record:
    caller: int
    asks: tuple[Ask, ...]

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.caller, world.chain.parties.recorder.address)
        requests = [ask.request(world, now) for ask in self.asks]
        groups = [
            contract_calls.RequestGroup(request.consumer, (contract_calls.encode_request(request),))
            for request in requests
        ]

        def events(state: State, block: Block) -> Iterator[Event]:
            place = world.place(block)
            for request in requests:
                party = state.parties.get(request.consumer)
                if party is not None and caller in party.recorders:
                    yield access(place, state, request)
                else:
                    yield BatchSkipped(*place, request.consumer, caller)
            yield Recorded(*place, caller, state.sequence, state.head)

        def hidden(state: State, _now: int) -> bool:
            recorder = has_role(state.parties.get(caller), Roles.RECORDER)
            late = (each for each in requests if each.deadline >= LATEST_DEADLINE)
            return not recorder or any(
                (party := state.parties.get(each.consumer)) and caller in party.recorders
                for each in late
            )

        return Attempt(caller, contract_calls.record(groups), events, hidden)


def access(
    place: tuple[Block, bytes, int, bytes], state: State, request: AccessRequest
) -> Accessed:
    sequence = state.sequence + 1
    outcome = decide(state, request, place[0].timestamp)
    entry = (
        int.from_bytes(request.consumer, "big") << 96
        | sequence << 48
        | request.deadline << 8
        | outcome
    )
    words = (request.fields, request.nonce, entry)
    data = b"".join(word.to_bytes(32, "big") for word in words)
    return Accessed(
        *place,
        request.basis,
        request.fields,
        request.nonce,
        request.consumer,
        sequence,
        request.deadline,
        outcome,
        request.item,
        data if request.item == ZERO_WORD else data + request.item,
    )
