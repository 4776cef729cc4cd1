"""Acts of `Registry` and `Catalogue`. See `tests.support.world`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ledger.chain import contract_calls
from ledger.chain.events import (
    AdmissionAnnounced,
    AdmissionRetracted,
    AdmissionVetoed,
    Block,
    ChangeAnnounced,
    ChangeMade,
    ChangeRetracted,
    ChangeVetoed,
    ConsumerRestricted,
    ContractAnnounced,
    DatasetReclassified,
    DatasetRegistered,
    DatasetTerms,
    DatasetWithdrawn,
    EncryptionKeySet,
    Event,
    OrderCountersigned,
    OrderEnded,
    OrderIssued,
    OrderReviewed,
    OrderTerms,
    PartyAdmitted,
    PartyWithdrawn,
    Published,
    RecordErased,
    RecorderDismissed,
    RecorderNamed,
    RestrictionAppealed,
    RestrictionLifted,
)
from ledger.chain.events.identifiers import dataset_id, order_id
from ledger.model import ZERO_WORD, Change, Class, Roles, State
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

ANNOUNCED: Final = int(Roles.REGULATOR | Roles.IDENTITY_AUTHORITY)


def name_of(party: bytes, text: int) -> str:
    """Nothing, a name of the party's own, or one that everybody would like to have."""
    return ("", f"party {party.hex()}", "Quancheng Bank")[text]


@dataclass(frozen=True)
class Admit:
    caller: int
    party: int
    roles: int
    name: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.caller, world.state.authority or ZERO_WORD[:20])
        party = announced(world, self.party)
        name, roles = name_of(party, self.name), self.roles
        delay = world.chain.deployment.admission_delay

        def events(_state: State, block: Block) -> Iterator[Event]:
            place = world.numbered(block, "registry")
            if roles & ~world.roles_now(party) & ANNOUNCED:
                due = block.timestamp + delay
                yield AdmissionAnnounced(*place, party, roles, name, due)
            else:
                yield PartyAdmitted(*place, party, roles, name)

        call = contract_calls.admit(party, Roles(roles), name)
        return Attempt(caller, call, events, not_the_authority(caller))


@dataclass(frozen=True)
class Activate:
    party: int

    def attempt(self, world: World, now: int) -> Attempt:
        party = announced(world, self.party)

        def events(state: State, block: Block) -> Iterator[Event]:
            due = state.admissions.get(party)
            # Without one there is nothing that the contracts could say: a party of no roles is refused.
            said = (due.roles, due.name) if due else (0, "")
            yield PartyAdmitted(*world.numbered(block, "registry"), party, *said)

        def hidden(state: State, now: int) -> bool:
            due = state.admissions.get(party)
            return due is None or due.effective_at > now

        return Attempt(STRANGER.address, contract_calls.activate(party), events, hidden)


@dataclass(frozen=True)
class VetoAdmission:
    regulator: int
    party: int
    text: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.regulator, world.chain.parties.regulator.address)
        party, reason = announced(world, self.party), TEXTS[self.text]

        events = world.event("registry", AdmissionVetoed, party, caller, reason)
        return Attempt(caller, contract_calls.veto_admission(party, reason), events)


@dataclass(frozen=True)
class RetractAdmission:
    caller: int
    party: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.caller, world.state.authority or ZERO_WORD[:20])
        party = announced(world, self.party)

        events = world.event("registry", AdmissionRetracted, party)
        call = contract_calls.retract_admission(party)
        return Attempt(caller, call, events, not_the_authority(caller))


@dataclass(frozen=True)
class Withdraw:
    caller: int
    party: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.caller, world.state.authority or ZERO_WORD[:20])
        party = world.party(self.party).address

        events = world.event("registry", PartyWithdrawn, party)
        return Attempt(caller, contract_calls.withdraw(party), events, not_the_authority(caller))


@dataclass(frozen=True)
class AnnounceChange:
    caller: int
    change: Change
    first: int
    second: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.caller, world.state.authority or ZERO_WORD[:20])
        first, second = changed(world, self.change, self.first, self.second)
        delay = world.chain.deployment.admission_delay

        def events(_state: State, block: Block) -> Iterator[Event]:
            place, due = world.numbered(block, "registry"), block.timestamp + delay
            yield ChangeAnnounced(*place, self.change, first, second, due)

        def hidden(state: State, _now: int) -> bool:
            return caller != state.authority or codeless(world, self.change, first)

        call = contract_calls.announce_change(self.change, first, second)
        return Attempt(caller, call, events, hidden)


@dataclass(frozen=True)
class MakeChange:
    caller: int
    change: Change
    first: int
    second: int

    def attempt(self, world: World, now: int) -> Attempt:
        first, second = due_change(world, self.change, self.first, self.second)
        right = first if self.change is Change.AUTHORITY else STRANGER.address
        right = right if right in [party.address for party in world.parties] else STRANGER.address
        caller = world.caller(self.caller, right)

        events = world.event("registry", ChangeMade, self.change, first, second)

        def hidden(_state: State, _now: int) -> bool:
            other = self.change is Change.AUTHORITY and caller != first
            return other or codeless(world, self.change, first)

        call = contract_calls.make_change(self.change, first, second)
        return Attempt(caller, call, events, hidden)


@dataclass(frozen=True)
class VetoChange:
    regulator: int
    change: Change
    first: int
    second: int
    text: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.regulator, world.chain.parties.regulator.address)
        first, second = due_change(world, self.change, self.first, self.second)
        reason = TEXTS[self.text]

        events = world.event("registry", ChangeVetoed, self.change, first, second, caller, reason)
        call = contract_calls.veto_change(self.change, first, second, reason)
        return Attempt(caller, call, events)


@dataclass(frozen=True)
class RetractChange:
    caller: int
    change: Change
    first: int
    second: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.caller, world.state.authority or ZERO_WORD[:20])
        first, second = due_change(world, self.change, self.first, self.second)

        events = world.event("registry", ChangeRetracted, self.change, first, second)
        call = contract_calls.retract_change(self.change, first, second)
        return Attempt(caller, call, events, not_the_authority(caller))


@dataclass(frozen=True)
class NameRecorder:
    consumer: int
    party: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller, recorder = world.party(self.consumer).address, world.party(self.party).address

        events = world.event("registry", RecorderNamed, caller, recorder)
        return Attempt(caller, contract_calls.name_recorder(recorder), events)


@dataclass(frozen=True)
class DismissRecorder:
    consumer: int
    party: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.party(self.consumer).address
        recorder = world.party(6 if self.party < 0 else self.party).address

        events = world.event("registry", RecorderDismissed, caller, recorder)
        return Attempt(caller, contract_calls.dismiss_recorder(recorder), events)


def announced(world: World, index: int) -> bytes:
    """A party: below zero one whose admission is announced, if there is one."""
    pending = [party.address for party in world.parties if party.address in world.state.admissions]
    return pending[index % len(pending)] if index < 0 and pending else world.party(index).address


def changed(world: World, change: Change, first: int, second: int) -> tuple[bytes, bytes]:
    known, parties = world.chain.contracts, world.chain.parties
    right = {
        Change.AUTHORITY: (STRANGER.address, ZERO_WORD[:20]),
        Change.VERIFIER: (known.catalogue, ZERO_WORD[:20]),
        Change.SUCCESSOR: (parties.identity_authority.address,) * 2,
    }[change]
    one = right[0] if first == 0 else world.party(first).address
    return one, right[1] if second == 0 else world.party(second).address


def due_change(world: World, change: Change, first: int, second: int) -> tuple[bytes, bytes]:
    """What a change is about: below zero one that is announced, if there is one."""
    pending = [(key[1], key[2]) for key in world.state.changes if key[0] is change]
    if first < 0 and pending:
        return pending[first % len(pending)]
    return changed(world, change, max(first, 0), second)


def codeless(world: World, change: Change, first: bytes) -> bool:
    """Whether a verifier has no code, which no event shows."""
    known = world.chain.contracts
    return change is Change.VERIFIER and first != known.catalogue


@dataclass(frozen=True)
class SetKey:
    party: int
    length: int

    def attempt(self, world: World, now: int) -> Attempt:
        party, key = world.party(self.party).address, b"\x01" * self.length

        events = world.event("registry", EncryptionKeySet, party, key)
        return Attempt(party, contract_calls.set_encryption_key(key), events)


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

        events = world.event("registry", ConsumerRestricted, consumer, caller, until, reason)
        return Attempt(caller, contract_calls.restrict(consumer, until, reason), events)


@dataclass(frozen=True)
class Appeal:
    consumer: int
    text: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller, statement = world.restricted(self.consumer), TEXTS[self.text]

        events = world.event("registry", RestrictionAppealed, caller, statement)
        return Attempt(caller, contract_calls.appeal(statement), events)


@dataclass(frozen=True)
class Lift:
    regulator: int
    consumer: int
    text: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.regulator, world.chain.parties.regulator.address)
        consumer, reason = world.restricted(self.consumer), TEXTS[self.text]

        events = world.event("registry", RestrictionLifted, consumer, caller, reason)
        return Attempt(caller, contract_calls.lift(consumer, reason), events)


@dataclass(frozen=True)
class Announce:
    caller: int
    text: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.caller, world.state.authority or ZERO_WORD[:20])
        name, deployed = TEXTS[self.text], world.chain.contracts.catalogue

        events = world.event("registry", ContractAnnounced, deployed, name)
        return Attempt(
            caller, contract_calls.announce(name, deployed), events, not_the_authority(caller)
        )


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
        names = tuple(f"field {number}" for number in range(abs(self.count)))
        names = (*names, *names[: self.count < 0])
        terms = DatasetTerms(
            code,
            f"Data {code}".strip(),
            names,
            self.sharing,
            Class.NOT_SHARED,
            self.grade,
            self.personal,
            60,
        )
        dataset = remember(world.datasets, dataset_id(caller, code.encode()))

        events = world.event("catalogue", DatasetRegistered, dataset, caller, terms)
        return Attempt(caller, contract_calls.register_dataset(terms), events)


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

        events = world.event(
            "catalogue", DatasetReclassified, dataset, self.sharing, opened, grade, reason
        )
        call = contract_calls.reclassify(dataset, self.sharing, opened, grade, reason)
        return Attempt(caller, call, events, not_the_provider(caller, dataset))


@dataclass(frozen=True)
class WithdrawDataset:
    caller: int
    dataset: int
    text: int

    def attempt(self, world: World, now: int) -> Attempt:
        dataset, reason = world.live_dataset(self.dataset), TEXTS[self.text]
        caller = world.caller(self.caller, provider_of(world.state, dataset))

        events = world.event("catalogue", DatasetWithdrawn, dataset, reason)
        call = contract_calls.withdraw_dataset(dataset, reason)
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
            place = world.numbered(block, "catalogue")
            yield Published(*place, dataset, version, root, 5, self.base, UNKNOWN)

        call = contract_calls.publish(dataset, root, 5, self.base, UNKNOWN)
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

        events = world.event("catalogue", RecordErased, dataset, item, self.base)
        call = contract_calls.erase(dataset, item, self.base)
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
        caller = world.caller(self.caller, world.state.authority or ZERO_WORD[:20])
        terms = OrderTerms(
            dataset=world.live_dataset(self.dataset),
            purpose=world.live_purpose(self.purpose),
            sharing=self.sharing,
            fields=self.fields,
            starts_at=now + self.offset,
            ends_at=now + self.offset + self.validity,
            reason=TEXTS[self.text],
            nonce=ZERO_WORD,
        )
        order = remember(world.orders, order_id(terms))

        events = world.event("catalogue", OrderIssued, order, terms.dataset, terms)
        return Attempt(caller, contract_calls.issue_order(terms), events, not_the_authority(caller))


@dataclass(frozen=True)
class CountersignOrder:
    regulator: int
    order: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.regulator, world.chain.parties.regulator.address)
        found = world.state.orders
        order = pick(
            world.orders,
            self.order,
            lambda id_: id_ in found and found[id_].ends_at > now and not found[id_].countersigned,
        )

        def events(state: State, block: Block) -> Iterator[Event]:
            place = world.numbered(block, "catalogue")
            yield OrderCountersigned(*place, order, dataset_of(state, order), caller)

        return Attempt(caller, contract_calls.countersign_order(order), events)


@dataclass(frozen=True)
class EndOrder:
    caller: int
    order: int
    text: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.caller, world.state.authority or ZERO_WORD[:20])
        found, reason = world.state.orders, TEXTS[self.text]
        order = pick(
            world.orders, self.order, lambda id_: id_ in found and found[id_].ends_at > now
        )

        def events(state: State, block: Block) -> Iterator[Event]:
            place = world.numbered(block, "catalogue")
            dataset = dataset_of(state, order)
            yield OrderEnded(*place, order, dataset, caller, block.timestamp, reason)

        return Attempt(caller, contract_calls.end_order(order, reason), events)


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
            place = world.numbered(block, "catalogue")
            yield OrderReviewed(*place, order, dataset_of(state, order), caller, findings)

        return Attempt(caller, contract_calls.review_order(order, findings), events)


def provider_of(state: State, dataset: bytes) -> bytes:
    found = state.datasets.get(dataset)
    return found.provider if found else STRANGER.address


def dataset_of(state: State, order: bytes) -> bytes:
    found = state.orders.get(order)
    return found.dataset if found else ZERO_WORD
