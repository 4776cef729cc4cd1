"""A timeline holds all that concerns a thing, in order, with who did it; and nothing else."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

import pytest

from ledger.chain.events import (
    AgreementWithdrawn,
    ConsumerRestricted,
    DatasetReclassified,
    Event,
    OrderCountersigned,
    OrderEnded,
    OrderIssued,
    OrderReviewed,
    OrderTerms,
    Published,
    RestrictionAppealed,
    RestrictionLifted,
    Revoked,
    SubjectFrozen,
    SubjectUnfrozen,
)
from ledger.chain.events.decoder import PLANS, EventDecoder
from ledger.chain.events.identifiers import order_id
from ledger.hexstr import keccak256
from ledger.model import ZERO_WORD, Class, Outcome
from ledger.trace import _NAMES, Thing, TraceEntry, Tracer
from scripts.scenario import Parties
from tests.support.trails import CONTRACTS, START, City, make_city

PARTIES: Final = Parties()
BANK, REGULATOR = PARTIES.bank.address, PARTIES.regulator.address
DELAY: Final = 3600
PROVIDER, AUTHORITY = PARTIES.provider.address, PARTIES.authority.address


def subject(number: int) -> bytes:
    return keccak256(b"subject" + number.to_bytes(8, "big"))


def signer_of(number: int) -> bytes:
    """How the chain names who signs for a subject."""
    return keccak256(subject(number)[:20])


@pytest.fixture(scope="module")
def city() -> City:
    """Three people; the first is asked, freezes, revokes; the bank is restricted for a while."""
    city = make_city(3, max_uses=2)
    trail, dataset = city.trail, city.dataset
    city.record([city.request(1), city.request(2, basis=1)])
    trail.next_block()
    trail.emit(SubjectFrozen, subject(1), signer_of(1), trail.block.timestamp + DELAY)
    city.record([city.request(3)])
    trail.next_block()
    trail.emit(SubjectUnfrozen, subject(1), signer_of(1))
    until = trail.block.timestamp + 60
    trail.emit(ConsumerRestricted, BANK, REGULATOR, until, "Too many.")
    trail.emit(RestrictionAppealed, BANK, "We need them.")
    city.record([city.request(4), city.request(5, basis=1)])
    trail.next_block()
    trail.emit(RestrictionLifted, BANK, REGULATOR, "Settled.")
    trail.emit(Published, dataset, 1, b"\x01" * 32, 3, 0, ZERO_WORD)
    now = trail.block.timestamp
    (purpose,) = trail.state.purposes
    terms = OrderTerms(dataset, purpose, Class.CONDITIONAL, 1, now, now + 9, "Flood.", ZERO_WORD)
    trail.emit(OrderIssued, order_id(terms), dataset, terms)
    trail.emit(OrderCountersigned, order_id(terms), dataset, REGULATOR)
    trail.emit(Revoked, city.authorizations[0], subject(1), signer_of(1))
    city.record([city.request(6)])
    trail.next_block()
    ends_at = trail.block.timestamp
    trail.emit(OrderEnded, order_id(terms), dataset, AUTHORITY, ends_at, "Dry.")
    trail.next_block()
    trail.emit(OrderReviewed, order_id(terms), dataset, REGULATOR, "Right.")
    classes = (Class.CONDITIONAL, Class.CONDITIONAL)
    trail.emit(DatasetReclassified, dataset, *classes, 4, "Core data.")
    trail.emit(AgreementWithdrawn, next(iter(trail.state.agreements)), BANK, "Done.")
    city.record([city.request(7, basis=1)])
    return city


@pytest.fixture(scope="module")
def events(city: City) -> list[Event]:
    return EventDecoder(CONTRACTS).decode_all(city.trail.logs)


def trace(events: Iterable[Event], thing: Thing, name: bytes) -> list[TraceEntry]:
    tracer = Tracer(thing, name)
    lines = [tracer.take(event) for event in events]
    return [line for line in lines if line is not None]


def acts(entries: list[TraceEntry]) -> list[str]:
    return [
        f"{entry.act} {entry.outcome.title}" if entry.outcome is not None else entry.act
        for entry in entries
    ]


def test_a_subjects_life(events: list[Event]) -> None:
    found = trace(events, Thing.SUBJECT, subject(1))
    assert acts(found) == [
        "SubjectRegistered",
        "Granted",
        "Accessed Allowed",
        "SubjectFrozen",
        "Accessed Frozen",
        "SubjectUnfrozen",
        "Accessed ConsumerRestricted",
        "Revoked",
        "Accessed Revoked",
    ]
    signer, registrar = signer_of(1), PARTIES.identity_authority.address
    assert [one.who for one in found] == [
        *(registrar, signer, BANK, signer, BANK, signer, BANK, signer, BANK)
    ]
    assert all(one.time == one.event.block.timestamp for one in found)
    assert found[0].time >= START
    assert found[2].outcome is Outcome.ALLOWED


def test_a_life_without_accesses(events: list[Event]) -> None:
    assert acts(trace(events, Thing.SUBJECT, subject(3))) == ["SubjectRegistered", "Granted"]
    assert trace(events, Thing.SUBJECT, b"\x05" * 32) == []


def test_an_authorizations_life_holds_what_halts_it(city: City, events: list[Event]) -> None:
    first, second = city.authorizations[:2]
    found = acts(trace(events, Thing.AUTHORIZATION, first))
    assert found == [
        "Granted",
        "Accessed Allowed",
        "SubjectFrozen",
        "Accessed Frozen",
        "SubjectUnfrozen",
        "ConsumerRestricted",
        "Accessed ConsumerRestricted",
        "RestrictionLifted",
        "OrderIssued",
        "OrderCountersigned",
        "Revoked",
        "Accessed Revoked",
        "OrderEnded",
        "DatasetReclassified",
        "AgreementWithdrawn",
    ]
    other = acts(trace(events, Thing.AUTHORIZATION, second))
    assert "SubjectFrozen" not in other
    assert other[-1] == "Accessed AgreementInactive"


def test_a_cases_life_is_that_of_its_authorization(city: City, events: list[Event]) -> None:
    case = keccak256(subject(1))
    assert acts(trace(events, Thing.CASE, case)) == acts(
        trace(events, Thing.AUTHORIZATION, city.authorizations[0])
    )


def test_a_consumers_life(events: list[Event]) -> None:
    found = trace(events, Thing.PARTY, BANK)
    counted = Counter(acts(found))
    assert counted == {
        "PartyAdmitted": 1,
        "RecorderNamed": 1,
        "Applied": 1,
        "ConfidentialitySigned": 1,
        "AgreementApproved": 1,
        "Granted": 3,
        "Accessed Allowed": 2,
        "Accessed Frozen": 1,
        "ConsumerRestricted": 1,
        "RestrictionAppealed": 1,
        "Accessed ConsumerRestricted": 2,
        "RestrictionLifted": 1,
        "Revoked": 1,
        "Accessed Revoked": 1,
        "AgreementWithdrawn": 1,
        "Accessed AgreementInactive": 1,
    }
    by_act = {one.act: one for one in found}
    assert by_act["PartyAdmitted"].who == AUTHORITY
    assert by_act["AgreementApproved"].who == PROVIDER
    assert by_act["ConsumerRestricted"].who == REGULATOR
    assert by_act["ConsumerRestricted"].what == BANK


def test_a_datasets_life(city: City, events: list[Event]) -> None:
    found = trace(events, Thing.DATASET, city.dataset)
    counted = Counter(one.act for one in found)
    assert counted == {
        "DatasetRegistered": 1,
        "PurposeFieldsBound": 1,
        "Applied": 1,
        "ConfidentialitySigned": 1,
        "AgreementApproved": 1,
        "Granted": 3,
        "Accessed": 7,
        "Published": 1,
        "OrderIssued": 1,
        "OrderCountersigned": 1,
        "Revoked": 1,
        "OrderEnded": 1,
        "OrderReviewed": 1,
        "DatasetReclassified": 1,
        "AgreementWithdrawn": 1,
    }
    by_act = {one.act: one for one in found}
    assert by_act["Published"].who == by_act["DatasetReclassified"].who == PROVIDER
    assert by_act["OrderIssued"].who == AUTHORITY
    assert by_act["OrderReviewed"].who == REGULATOR


def test_providers_and_recorders_have_a_life_too(city: City, events: list[Event]) -> None:
    provider = Counter(one.act for one in trace(events, Thing.PARTY, PROVIDER))
    assert provider["Published"] == 1
    assert provider["Accessed"] == 7
    recorder = Counter(one.act for one in trace(events, Thing.PARTY, city.parties.recorder.address))
    assert recorder == {"PartyAdmitted": 1, "RecorderNamed": 2, "Recorded": 5}


def test_every_event_can_be_traced() -> None:
    declared = {plan.event for plans in PLANS.values() for plan in plans}
    assert declared < set(_NAMES)
    assert {kind.__name__ for kind in set(_NAMES) - declared} == {
        "Accessed",
        "BatchSkipped",
        "Recorded",
    }
