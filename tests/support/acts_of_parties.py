"""Acts of `Registry` and `Catalogue`. See `tests.support.world`."""

from collections.abc import Iterator
from dataclasses import dataclass

from ledger import contracts
from ledger.entities import NOTHING, State
from ledger.enumerations import Class, Roles
from ledger.events import (
    Block,
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
    RecordErased,
    RestrictionAppealed,
    RestrictionLifted,
    dataset_id,
    order_id,
)
from tests.support.world import (
    ITEMS,
    STRANGER,
    TEXTS,
    UNKNOWN,
    Attempt,
    World,
    not_the_authority,
    not_the_provider,
    pick,
    remember,
)


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
