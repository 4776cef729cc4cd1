"""Everything that can be done to the contracts, as small values that a test can draw and shrink.

An act names parties, datasets, people by index into what there is, and times relative to its block,
so that boundaries are hit often. `attempt` turns it into a transaction, and into what the Python
rules say of it: the events that the contracts emit if they accept it, made from the state alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from ledger import contracts
from ledger.contracts import Approval, ContractCall
from ledger.entities import NOTHING, State
from ledger.enumerations import Class, Roles
from ledger.events import (
    Accessed,
    AgreementApproved,
    AgreementWithdrawn,
    ApplicationDeclined,
    Applied,
    Block,
    ConfidentialitySigned,
    ConsumerRestricted,
    ContractAnnounced,
    DatasetReclassified,
    DatasetRegistered,
    DatasetTerms,
    DatasetWithdrawn,
    EncryptionKeySet,
    Event,
    OrderEnded,
    OrderIssued,
    OrderReviewed,
    OrderTerms,
    OwnershipTransferred,
    OwnershipTransferStarted,
    PartyAdmitted,
    PartyWithdrawn,
    Published,
    PurposeFieldsBound,
    PurposeRegistered,
    PurposeRetired,
    PurposeTerms,
    Recorded,
    RecordErased,
    RestrictionAppealed,
    RestrictionLifted,
    Text,
    agreement_id,
    application_id,
    dataset_id,
    order_id,
)
from ledger.keccak import keccak256
from ledger.policy import decide, has_role
from ledger.typed_data import AccessRequest, ConfidentialityAgreement, SignedRecord, digest
from tests.support.chain import Chain, Party

TRANSACTION: Final = b"\x99" * 32
STRANGER: Final = Party("Stranger", Roles(0))
UNKNOWN: Final = b"\xee" * 32
ITEMS: Final = (NOTHING, b"\x01" * 32, b"\x02" * 32)
TEXTS: Final = ("", "text")
LATEST_DEADLINE: Final = 2**40

Events = Callable[[State, Block], Iterator[Event]]
Hidden = Callable[[State, int], bool]


@dataclass(frozen=True)
class Attempt:
    """A transaction, and what the Python rules say of it.

    Attributes:
        caller: who sends it.
        call: what it says.
        events: what the contracts emit if they accept it. A generator: each event is applied to the
            state before the next one is asked for.
        hidden: whether they refuse it for a reason that no event would show: the caller, a
            signature, a deadline of a signed record.
        digest: what may be used only once.
    """

    caller: bytes
    call: ContractCall
    events: Events
    hidden: Hidden = lambda _state, _now: False
    digest: bytes = b""


class Act(Protocol):
    """Something that somebody tries to do."""

    def attempt(self, world: "World", now: int) -> Attempt:
        """Make the transaction of a block with the time `now`."""
        ...


@dataclass
class World:
    """A chain, the state that the Python rules have of it, and the names of what may be on it."""

    chain: Chain
    state: State = field(default_factory=State)
    used: set[bytes] = field(default_factory=set)
    datasets: list[bytes] = field(default_factory=lambda: [UNKNOWN])
    orders: list[bytes] = field(default_factory=lambda: [UNKNOWN])
    purposes: list[bytes] = field(default_factory=lambda: [UNKNOWN])
    applications: list[bytes] = field(default_factory=lambda: [UNKNOWN])
    agreements: list[bytes] = field(default_factory=lambda: [UNKNOWN])
    subjects: list[bytes] = field(default_factory=lambda: [UNKNOWN])
    authorizations: list[bytes] = field(default_factory=lambda: [UNKNOWN])
    now: int = 0

    @property
    def parties(self) -> tuple[Party, ...]:
        """Everybody who may send a transaction."""
        known = self.chain.parties
        return (
            known.authority,
            known.provider,
            known.other_provider,
            known.bank,
            known.insurer,
            known.regulator,
            known.recorder,
            known.identity_authority,
            STRANGER,
        )

    def party(self, index: int) -> Party:
        return self.parties[index % len(self.parties)]

    def restricted(self, index: int) -> bytes:
        """A party: below zero one that is restricted, if there is one."""
        fitting = [
            party.address
            for party in self.parties
            if (found := self.state.parties.get(party.address))
            and found.restricted_until > self.now
        ]
        return fitting[index % len(fitting)] if index < 0 and fitting else self.party(index).address

    def live_dataset(self, index: int) -> bytes:
        """A dataset: below zero one that is not withdrawn."""
        found = self.state.datasets
        return pick(self.datasets, index, lambda id_: id_ in found and not found[id_].withdrawn)

    def live_purpose(self, index: int) -> bytes:
        """A purpose: below zero one that is not retired."""
        found = self.state.purposes
        return pick(self.purposes, index, lambda id_: id_ in found and found[id_].active)

    def open_application(self, index: int) -> bytes:
        """An application: below zero one that is not decided."""
        found = self.state.applications
        return pick(self.applications, index, lambda id_: id_ in found and not found[id_].decided)

    def place(self, block: Block, contract: str) -> tuple[Block, bytes, int, bytes]:
        """The attributes that every event starts with."""
        return block, TRANSACTION, 0, getattr(self.chain.contracts, contract)

    def caller(self, index: int, right: bytes) -> bytes:
        """Who sends: the right one for zero, else somebody."""
        return right if index == 0 else self.party(index - 1).address

    def digest(self, record: SignedRecord) -> bytes:
        return digest(record, self.chain.deployment.domain_of(record))


def pick(
    pool: list[bytes], index: int, fits: Callable[[bytes], object] = lambda _id: True
) -> bytes:
    """Choose from a pool: below zero from the newest of what fits, if anything does, else any."""
    fitting = [id_ for id_ in pool if fits(id_)] if index < 0 else []
    return fitting[index % len(fitting)] if fitting else pool[index % len(pool)]


def remember(pool: list[bytes], value: bytes) -> bytes:
    """Add to a pool what an act may create; it is tried whether or not it came to be."""
    if value not in pool:
        pool.append(value)
    return value


def not_the_authority(caller: bytes) -> Hidden:
    return lambda state, _now: caller != state.authority


def not_the_provider(caller: bytes, dataset: bytes) -> Hidden:
    def hidden(state: State, _now: int) -> bool:
        found = state.datasets.get(dataset)
        return found is not None and found.provider != caller

    return hidden


# Registry


@dataclass(frozen=True)
class Admit:
    caller: int
    party: int
    roles: int
    text: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.caller, world.state.authority or NOTHING[:20])
        party, name = world.party(self.party).address, TEXTS[self.text]

        def events(_state: State, block: Block) -> Iterator[Event]:
            yield PartyAdmitted(*world.place(block, "registry"), party, self.roles, name)

        call = contracts.admit(party, Roles(self.roles), name)
        return Attempt(caller, call, events, not_the_authority(caller))


@dataclass(frozen=True)
class Withdraw:
    caller: int
    party: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.caller, world.state.authority or NOTHING[:20])
        party = world.party(self.party).address

        def events(_state: State, block: Block) -> Iterator[Event]:
            yield PartyWithdrawn(*world.place(block, "registry"), party)

        return Attempt(caller, contracts.withdraw(party), events, not_the_authority(caller))


@dataclass(frozen=True)
class SetKey:
    party: int
    length: int

    def attempt(self, world: World, now: int) -> Attempt:
        party, key = world.party(self.party).address, b"\x01" * self.length

        def events(_state: State, block: Block) -> Iterator[Event]:
            yield EncryptionKeySet(*world.place(block, "registry"), party, key)

        return Attempt(party, contracts.set_encryption_key(key), events)


@dataclass(frozen=True)
class Restrict:
    regulator: int
    consumer: int
    offset: int
    text: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.regulator, world.chain.parties.regulator.address)
        consumer, until = world.party(self.consumer).address, now + self.offset
        reason = TEXTS[self.text]

        def events(_state: State, block: Block) -> Iterator[Event]:
            place = world.place(block, "registry")
            yield ConsumerRestricted(*place, consumer, caller, until, reason)

        return Attempt(caller, contracts.restrict(consumer, until, reason), events)


@dataclass(frozen=True)
class Appeal:
    consumer: int
    text: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller, statement = world.restricted(self.consumer), TEXTS[self.text]

        def events(_state: State, block: Block) -> Iterator[Event]:
            yield RestrictionAppealed(*world.place(block, "registry"), caller, statement)

        return Attempt(caller, contracts.appeal(statement), events)


@dataclass(frozen=True)
class Lift:
    regulator: int
    consumer: int
    text: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.regulator, world.chain.parties.regulator.address)
        consumer, reason = world.restricted(self.consumer), TEXTS[self.text]

        def events(_state: State, block: Block) -> Iterator[Event]:
            yield RestrictionLifted(*world.place(block, "registry"), consumer, caller, reason)

        return Attempt(caller, contracts.lift(consumer, reason), events)


@dataclass(frozen=True)
class Announce:
    caller: int
    text: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.caller, world.state.authority or NOTHING[:20])
        name, deployed = TEXTS[self.text], world.chain.contracts.catalogue

        def events(_state: State, block: Block) -> Iterator[Event]:
            yield ContractAnnounced(*world.place(block, "registry"), name, deployed)

        return Attempt(
            caller, contracts.announce(name, deployed), events, not_the_authority(caller)
        )


@dataclass(frozen=True)
class OfferAuthority:
    party: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.state.authority or NOTHING[:20]
        successor = world.party(self.party).address

        def events(_state: State, block: Block) -> Iterator[Event]:
            yield OwnershipTransferStarted(*world.place(block, "registry"), caller, successor)

        call = contracts.transfer_authority(successor)
        return Attempt(caller, call, events, not_the_authority(caller))


@dataclass(frozen=True)
class AcceptAuthority:
    party: int

    def attempt(self, world: World, now: int) -> Attempt:
        successor = world.state.successor
        caller = successor if self.party < 0 and successor else world.party(self.party).address

        def events(state: State, block: Block) -> Iterator[Event]:
            before = state.authority or NOTHING[:20]
            yield OwnershipTransferred(*world.place(block, "registry"), before, caller)

        return Attempt(caller, contracts.accept_authority(), events)


# Catalogue


@dataclass(frozen=True)
class RegisterDataset:
    provider: int
    code: int
    personal: bool
    sharing: Class
    grade: int
    count: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.party(self.provider).address
        code = f"dataset {self.code}" if self.code else ""
        names = tuple(f"field {number}" for number in range(self.count))
        terms = DatasetTerms(
            code, "", names, self.sharing, Class.NOT_SHARED, self.grade, self.personal, 60
        )
        dataset = remember(world.datasets, dataset_id(caller, code.encode()))

        def events(_state: State, block: Block) -> Iterator[Event]:
            yield DatasetRegistered(*world.place(block, "catalogue"), dataset, caller, terms)

        return Attempt(caller, contracts.register_dataset(terms), events)


@dataclass(frozen=True)
class Reclassify:
    caller: int
    dataset: int
    sharing: Class
    grade: int
    text: int

    def attempt(self, world: World, now: int) -> Attempt:
        dataset, reason = world.live_dataset(self.dataset), TEXTS[self.text]
        caller = world.caller(self.caller, provider_of(world.state, dataset))
        opened, grade = Class.CONDITIONAL, self.grade

        def events(_state: State, block: Block) -> Iterator[Event]:
            place = world.place(block, "catalogue")
            yield DatasetReclassified(*place, dataset, self.sharing, opened, grade, reason)

        call = contracts.reclassify(dataset, self.sharing, opened, grade, reason)
        return Attempt(caller, call, events, not_the_provider(caller, dataset))


@dataclass(frozen=True)
class WithdrawDataset:
    caller: int
    dataset: int
    text: int

    def attempt(self, world: World, now: int) -> Attempt:
        dataset, reason = world.live_dataset(self.dataset), TEXTS[self.text]
        caller = world.caller(self.caller, provider_of(world.state, dataset))

        def events(_state: State, block: Block) -> Iterator[Event]:
            yield DatasetWithdrawn(*world.place(block, "catalogue"), dataset, reason)

        call = contracts.withdraw_dataset(dataset, reason)
        return Attempt(caller, call, events, not_the_provider(caller, dataset))


@dataclass(frozen=True)
class Publish:
    caller: int
    dataset: int
    item: int
    base: int

    def attempt(self, world: World, now: int) -> Attempt:
        dataset, root = world.live_dataset(self.dataset), ITEMS[self.item]
        caller = world.caller(self.caller, provider_of(world.state, dataset))

        def events(state: State, block: Block) -> Iterator[Event]:
            found = state.datasets.get(dataset)
            version = 1 + len(found.publications) if found else 1
            place = world.place(block, "catalogue")
            yield Published(*place, dataset, version, root, 5, self.base, UNKNOWN)

        call = contracts.publish(dataset, root, 5, self.base, UNKNOWN)
        return Attempt(caller, call, events, not_the_provider(caller, dataset))


@dataclass(frozen=True)
class Erase:
    caller: int
    dataset: int
    item: int
    base: int

    def attempt(self, world: World, now: int) -> Attempt:
        dataset, item = world.live_dataset(self.dataset), ITEMS[self.item]
        caller = world.caller(self.caller, provider_of(world.state, dataset))

        def events(_state: State, block: Block) -> Iterator[Event]:
            yield RecordErased(*world.place(block, "catalogue"), dataset, item, self.base)

        call = contracts.erase(dataset, item, self.base)
        return Attempt(caller, call, events, not_the_provider(caller, dataset))


@dataclass(frozen=True)
class IssueOrder:
    caller: int
    dataset: int
    purpose: int
    sharing: Class
    fields: int
    offset: int
    validity: int
    text: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.caller, world.state.authority or NOTHING[:20])
        terms = OrderTerms(
            dataset=world.live_dataset(self.dataset),
            purpose=world.live_purpose(self.purpose),
            sharing=self.sharing,
            fields=self.fields,
            starts_at=now + self.offset,
            ends_at=now + self.offset + self.validity,
            reason=TEXTS[self.text],
            nonce=NOTHING,
        )
        order = remember(world.orders, order_id(terms))

        def events(_state: State, block: Block) -> Iterator[Event]:
            yield OrderIssued(*world.place(block, "catalogue"), order, terms.dataset, terms)

        return Attempt(caller, contracts.issue_order(terms), events, not_the_authority(caller))


@dataclass(frozen=True)
class EndOrder:
    caller: int
    order: int
    text: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.caller, world.state.authority or NOTHING[:20])
        found, reason = world.state.orders, TEXTS[self.text]
        order = pick(
            world.orders, self.order, lambda id_: id_ in found and found[id_].ends_at > now
        )

        def events(state: State, block: Block) -> Iterator[Event]:
            place = world.place(block, "catalogue")
            yield OrderEnded(*place, order, dataset_of(state, order), block.timestamp, reason)

        call = contracts.end_order(order, reason)
        return Attempt(caller, call, events, not_the_authority(caller))


@dataclass(frozen=True)
class ReviewOrder:
    regulator: int
    order: int
    text: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.regulator, world.chain.parties.regulator.address)
        found, findings = world.state.orders, TEXTS[self.text]
        order = pick(
            world.orders,
            self.order,
            lambda id_: id_ in found and found[id_].ends_at <= now and not found[id_].reviewed,
        )

        def events(state: State, block: Block) -> Iterator[Event]:
            place = world.place(block, "catalogue")
            yield OrderReviewed(*place, order, dataset_of(state, order), caller, findings)

        return Attempt(caller, contracts.review_order(order, findings), events)


def provider_of(state: State, dataset: bytes) -> bytes:
    """The dataset's provider, or nobody."""
    found = state.datasets.get(dataset)
    return found.provider if found else STRANGER.address


def dataset_of(state: State, order: bytes) -> bytes:
    """The order's dataset, or none."""
    found = state.orders.get(order)
    return found.dataset if found else NOTHING


# Agreements


@dataclass(frozen=True)
class RegisterPurpose:
    caller: int
    code: int
    validity: int
    uses: int
    interval: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.caller, world.state.authority or NOTHING[:20])
        terms = PurposeTerms(
            code=f"purpose {self.code}" if self.code else "",
            texts=(Text("en", "I let {consumer} read."),) if self.code < 3 else (),
            max_validity=max(self.validity, 0),
            max_uses=self.uses,
            min_interval=self.interval,
            retention=60,
        )
        purpose = remember(world.purposes, contracts.purpose_id(terms))

        def events(_state: State, block: Block) -> Iterator[Event]:
            yield PurposeRegistered(*world.place(block, "agreements"), purpose, terms)

        return Attempt(caller, contracts.register_purpose(terms), events, not_the_authority(caller))


@dataclass(frozen=True)
class BindFields:
    caller: int
    purpose: int
    dataset: int
    fields: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.caller, world.state.authority or NOTHING[:20])
        terms = (world.live_purpose(self.purpose), world.live_dataset(self.dataset))

        def events(_state: State, block: Block) -> Iterator[Event]:
            yield PurposeFieldsBound(*world.place(block, "agreements"), *terms, self.fields)

        call = contracts.bind_fields(*terms, self.fields)
        return Attempt(caller, call, events, not_the_authority(caller))


@dataclass(frozen=True)
class RetirePurpose:
    caller: int
    purpose: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.caller, world.state.authority or NOTHING[:20])
        purpose = world.live_purpose(self.purpose)

        def events(_state: State, block: Block) -> Iterator[Event]:
            yield PurposeRetired(*world.place(block, "agreements"), purpose)

        return Attempt(caller, contracts.retire_purpose(purpose), events, not_the_authority(caller))


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

        def events(_state: State, block: Block) -> Iterator[Event]:
            place = world.place(block, "agreements")
            yield Applied(*place, application, caller, dataset, purpose, fields, reason, nonce)

        return Attempt(caller, contracts.apply_for(dataset, purpose, fields, reason, nonce), events)


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
                agreement_id(found.consumer, found.dataset.id, found.purpose) if found else NOTHING
            )
            known = state.agreements.get(id_)
            number = known.number if known else len(state.agreements) + 1
            place = world.place(block, "agreements")
            yield AgreementApproved(*place, id_, application, number, self.fields, expires_at)

        call = contracts.approve(application, self.fields, expires_at)
        return Attempt(caller, call, events, not_the_provider_for(caller, application))


@dataclass(frozen=True)
class Decline:
    caller: int
    application: int
    text: int

    def attempt(self, world: World, now: int) -> Attempt:
        application, reason = world.open_application(self.application), TEXTS[self.text]
        caller = world.caller(self.caller, provider_for(world.state, application))

        def events(_state: State, block: Block) -> Iterator[Event]:
            yield ApplicationDeclined(*world.place(block, "agreements"), application, reason)

        call = contracts.decline(application, reason)
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
            consumer.address, application, TEXTS[self.text], NOTHING, now + self.deadline
        )
        key = STRANGER.private_key if self.forged else consumer.private_key

        def events(_state: State, block: Block) -> Iterator[Event]:
            text = keccak256(record.text.encode())
            place = world.place(block, "agreements")
            yield ConfidentialitySigned(*place, application, consumer.address, text, record.nonce)

        def hidden(_state: State, now: int) -> bool:
            return record.deadline < now or (self.forged and consumer != STRANGER)

        call = contracts.sign_confidentiality(record, world.chain.sign(record, key))
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

        def events(_state: State, block: Block) -> Iterator[Event]:
            place = world.place(block, "agreements")
            yield AgreementWithdrawn(*place, agreement, caller, reason)

        return Attempt(caller, contracts.withdraw_agreement(agreement, reason), events)


def provider_for(state: State, application: bytes) -> bytes:
    """Who decides an application, or nobody."""
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
            contracts.RequestGroup(request.consumer, (contracts.encode_request(request),))
            for request in requests
        ]

        def events(state: State, block: Block) -> Iterator[Event]:
            place = world.place(block, "access_log")
            for request in requests:
                yield access(place, state, request)
            yield Recorded(*place, caller, state.sequence, state.head)

        def hidden(state: State, _now: int) -> bool:
            recorder = has_role(state.parties.get(caller), Roles.RECORDER)
            return not recorder or any(each.deadline >= LATEST_DEADLINE for each in requests)

        return Attempt(caller, contracts.record(groups), events, hidden)


def access(
    place: tuple[Block, bytes, int, bytes], state: State, request: AccessRequest
) -> Accessed:
    """The event of a request, as the Python rules have it."""
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
        data if request.item == NOTHING else data + request.item,
    )


def approval(world: World, record: SignedRecord, signer: bytes, key: bytes) -> Approval:
    """A signature over a record, in the name of a signer."""
    return Approval(signer, world.chain.sign(record, key))
