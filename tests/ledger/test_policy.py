"""The decision at each limit of each rule. The property test shows that the contracts decide alike."""

import pytest

from ledger import policy
from ledger.model import ZERO_WORD, Class, Outcome, Roles, Terms
from tests.support.decisions import (
    BANK,
    DATASET,
    ITEM,
    NOW,
    OPEN,
    ORDER,
    OTHER,
    OTHER_ITEM,
    Case,
    Change,
    both,
    closing,
    set_to,
)


@pytest.fixture
def case() -> Case:
    return Case()


# Any basis


def test_what_is_in_order_is_allowed(case: Case) -> None:
    assert case.decide() is Outcome.ALLOWED


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        (lambda case: case.state.use_nonce(BANK, 7), Outcome.DUPLICATE_REQUEST),
        (lambda case: case.state.use_nonce(BANK, 6), Outcome.ALLOWED),
        (lambda case: case.state.use_nonce(OTHER, 7), Outcome.ALLOWED),
        (lambda case: case.state.parties.clear(), Outcome.CONSUMER_INACTIVE),
        (set_to("party.active", False), Outcome.CONSUMER_INACTIVE),
        (set_to("party.roles", int(Roles.PROVIDER)), Outcome.CONSUMER_INACTIVE),
        (set_to("party.roles", int(Roles.PROVIDER | Roles.CONSUMER)), Outcome.ALLOWED),
        (set_to("party.restricted_until", NOW), Outcome.ALLOWED),
        (set_to("party.restricted_until", NOW + 1), Outcome.CONSUMER_RESTRICTED),
    ],
)
def test_steps_that_are_before_any_basis(case: Case, change: Change, outcome: Outcome) -> None:
    change(case)
    assert case.decide() is outcome


def test_a_deadline_is_the_last_second_at_which_a_request_is_allowed(case: Case) -> None:
    assert case.decide(deadline=NOW) is Outcome.ALLOWED
    assert case.decide(deadline=NOW - 1) is Outcome.REQUEST_EXPIRED


# Authorizations


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        (set_to("agreement.consumer", OTHER), Outcome.CONSUMER_MISMATCH),
        (set_to("dataset.withdrawn", True), Outcome.DATASET_INACTIVE),
        (set_to("dataset.sharing", Class.NOT_SHARED), Outcome.DATASET_INACTIVE),
        (closing(NOW, NOW + 1), Outcome.DATASET_INACTIVE),
        (closing(NOW + 1, NOW + 2), Outcome.ALLOWED),
        (closing(NOW - 1, NOW), Outcome.ALLOWED),
        (set_to("agreement.withdrawn", True), Outcome.AGREEMENT_INACTIVE),
        (set_to("agreement.expires_at", NOW + 1), Outcome.ALLOWED),
        (set_to("agreement.expires_at", NOW), Outcome.AGREEMENT_INACTIVE),
        (set_to("agreement.suspended_until", NOW), Outcome.ALLOWED),
        (set_to("agreement.suspended_until", NOW + 1), Outcome.AGREEMENT_INACTIVE),
        (set_to("agreement.application.signed", False), Outcome.AGREEMENT_INACTIVE),
        (set_to("agreement.round", 1), Outcome.AGREEMENT_INACTIVE),
        (set_to("consent.not_before", NOW), Outcome.ALLOWED),
        (set_to("consent.not_before", NOW + 1), Outcome.NOT_YET_VALID),
        (set_to("consent.expires_at", NOW + 1), Outcome.ALLOWED),
        (set_to("consent.expires_at", NOW), Outcome.EXPIRED),
        (set_to("consent.revoked", True), Outcome.REVOKED),
        (set_to("subject.frozen", True), Outcome.FROZEN),
        (set_to("subject.closed", True), Outcome.FROZEN),
        (set_to("subject.recovery_at", NOW + 99), Outcome.FROZEN),
        (set_to("subject.recovery_at", 1), Outcome.FROZEN),
        (set_to("subject.epoch", 1), Outcome.FROZEN),
        (set_to("agreement.fields", 0b0010), Outcome.FIELDS_EXCEEDED),
        (set_to("consent.uses_left", 1), Outcome.ALLOWED),
        (set_to("consent.uses_left", 0), Outcome.USES_EXHAUSTED),
        (set_to("consent.last_use", NOW), Outcome.ALLOWED),
        (
            both(set_to("consent.last_use", NOW - 5), set_to("consent.min_interval", 5)),
            Outcome.ALLOWED,
        ),
        (
            both(set_to("consent.last_use", NOW - 5), set_to("consent.min_interval", 6)),
            Outcome.TOO_SOON,
        ),
        (set_to("consent.min_interval", NOW + 99), Outcome.ALLOWED),  # it was never used
    ],
)
def test_each_bound_of_an_authorization(case: Case, change: Change, outcome: Outcome) -> None:
    change(case)
    assert case.decide() is outcome


def test_an_authorization_covers_its_own_fields_of_those_of_its_agreement(case: Case) -> None:
    case.consent.terms = Terms(1, case.agreement, 0, 0b0010)
    assert case.decide(fields=0b0011) is Outcome.FIELDS_EXCEEDED
    assert case.decide(fields=0b0010) is Outcome.ALLOWED


def test_the_order_of_the_steps(case: Case) -> None:
    """Each fault hides all that come after it."""
    faults: list[tuple[Change, Outcome]] = [
        (set_to("consent.uses_left", 0), Outcome.USES_EXHAUSTED),
        (
            both(set_to("consent.last_use", NOW), set_to("consent.min_interval", 9)),
            Outcome.TOO_SOON,
        ),
        (set_to("agreement.fields", 0), Outcome.FIELDS_EXCEEDED),
        (set_to("consent.item", ITEM), Outcome.ITEM_EXCEEDED),
        (set_to("subject.frozen", True), Outcome.FROZEN),
        (set_to("consent.revoked", True), Outcome.REVOKED),
        (set_to("consent.expires_at", NOW), Outcome.EXPIRED),
        (set_to("consent.not_before", NOW + 1), Outcome.NOT_YET_VALID),
        (set_to("agreement.withdrawn", True), Outcome.AGREEMENT_INACTIVE),
        (set_to("dataset.withdrawn", True), Outcome.DATASET_INACTIVE),
        (set_to("agreement.consumer", OTHER), Outcome.CONSUMER_MISMATCH),
        (set_to("party.restricted_until", NOW + 1), Outcome.CONSUMER_RESTRICTED),
        (set_to("party.active", False), Outcome.CONSUMER_INACTIVE),
    ]
    for change, outcome in faults:
        change(case)
        assert case.decide(item=OTHER_ITEM) is outcome
    assert case.decide(deadline=NOW - 1) is Outcome.REQUEST_EXPIRED
    case.state.use_nonce(BANK, 7)
    assert case.decide(deadline=NOW - 1) is Outcome.DUPLICATE_REQUEST


@pytest.mark.parametrize(
    ("bound", "asked", "outcome"),
    [
        (ZERO_WORD, ZERO_WORD, Outcome.ALLOWED),
        (ZERO_WORD, ITEM, Outcome.ALLOWED),
        (ITEM, ITEM, Outcome.ALLOWED),
        (ITEM, ZERO_WORD, Outcome.ALLOWED),
        (ITEM, OTHER_ITEM, Outcome.ITEM_EXCEEDED),
    ],
)
def test_an_authorization_for_one_record_covers_no_other(
    case: Case, bound: bytes, asked: bytes, outcome: Outcome
) -> None:
    case.consent.item = bound
    assert case.decide(item=asked) is outcome


# Agreements


def test_an_agreement_alone_opens_what_is_nobodys(case: Case) -> None:
    basis = case.agreement.id
    assert case.decide(basis) is Outcome.UNKNOWN_BASIS
    case.dataset.personal = False
    assert case.decide(basis, fields=0b0111) is Outcome.ALLOWED
    assert case.decide(basis, fields=0b1000) is Outcome.FIELDS_EXCEEDED
    case.agreement.expires_at = NOW
    assert case.decide(basis) is Outcome.AGREEMENT_INACTIVE
    case.dataset.withdrawn = True
    assert case.decide(basis) is Outcome.DATASET_INACTIVE
    case.agreement.consumer = OTHER
    assert case.decide(basis) is Outcome.CONSUMER_MISMATCH


# Orders


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        (set_to("party.active", True), Outcome.ALLOWED),
        (set_to("order.countersigned", False), Outcome.DATASET_INACTIVE),
        (set_to("order.sharing", Class.NOT_SHARED), Outcome.DATASET_INACTIVE),
        (set_to("order.starts_at", NOW), Outcome.ALLOWED),
        (set_to("order.starts_at", NOW + 1), Outcome.DATASET_INACTIVE),
        (set_to("order.ends_at", NOW + 1), Outcome.ALLOWED),
        (set_to("order.ends_at", NOW), Outcome.DATASET_INACTIVE),
        (set_to("dataset.withdrawn", True), Outcome.DATASET_INACTIVE),
        (set_to("dataset.sharing", Class.NOT_SHARED), Outcome.ALLOWED),  # what it is there for
        (closing(NOW, NOW + 1), Outcome.DATASET_INACTIVE),
        (closing(NOW - 1, NOW), Outcome.ALLOWED),
        (lambda case: case.state.purposes.clear(), Outcome.FIELDS_EXCEEDED),
        (set_to("purpose.fields", {}), Outcome.FIELDS_EXCEEDED),
        (set_to("purpose.fields", {OPEN: 0b1111}), Outcome.FIELDS_EXCEEDED),
        (lambda case: case.state.agreements.clear(), Outcome.ALLOWED),
    ],
)
def test_each_bound_of_an_order(case: Case, change: Change, outcome: Outcome) -> None:
    change(case)
    assert case.decide(ORDER, fields=0b0010) is outcome


def test_an_order_opens_what_it_names_and_its_purpose_may(case: Case) -> None:
    assert policy.order_fields(case.state, case.order) == 0b0110
    assert case.decide(ORDER, fields=0b0110) is Outcome.ALLOWED
    for field_ in (0b0001, 0b1000):
        assert case.decide(ORDER, fields=field_) is Outcome.FIELDS_EXCEEDED


def test_an_order_opens_nothing_for_a_purpose_without_bounds(case: Case) -> None:
    case.order.fields = 0b1111
    case.purpose.fields = {}
    assert policy.order_fields(case.state, case.order) == 0
    case.state.purposes.clear()
    assert policy.order_fields(case.state, case.order) == 0


@pytest.mark.parametrize(
    ("change", "fields", "outcome"),
    [
        (set_to("party.active", True), 0b0110, Outcome.ALLOWED),
        (set_to("agreement.fields", 0b0010), 0b0110, Outcome.FIELDS_EXCEEDED),
        (set_to("agreement.fields", 0b0010), 0b0010, Outcome.ALLOWED),
        (set_to("agreement.fields", 0b1011), 0b1000, Outcome.FIELDS_EXCEEDED),
        (set_to("agreement.withdrawn", True), 0b0010, Outcome.AGREEMENT_INACTIVE),
        (lambda case: case.state.agreements.clear(), 0b0010, Outcome.AGREEMENT_INACTIVE),
    ],
)
def test_a_conditional_order_needs_an_agreement_for_its_purpose(
    case: Case, change: Change, fields: int, outcome: Outcome
) -> None:
    case.order.sharing = Class.CONDITIONAL
    change(case)
    assert case.decide(ORDER, fields=fields) is outcome


# Datasets


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        (set_to("dataset.sharing", Class.UNCONDITIONAL), Outcome.ALLOWED),
        (set_to("dataset.sharing", Class.CONDITIONAL), Outcome.UNKNOWN_BASIS),
        (set_to("dataset.sharing", Class.NOT_SHARED), Outcome.DATASET_INACTIVE),
        (lambda case: case.state.datasets.clear(), Outcome.UNKNOWN_BASIS),
        (
            both(set_to("dataset.sharing", Class.UNCONDITIONAL), closing(NOW, NOW + 1)),
            Outcome.DATASET_INACTIVE,
        ),
        (
            both(set_to("dataset.sharing", Class.UNCONDITIONAL), set_to("dataset.withdrawn", True)),
            Outcome.DATASET_INACTIVE,
        ),
    ],
)
def test_an_open_dataset_is_its_own_basis(case: Case, change: Change, outcome: Outcome) -> None:
    change(case)
    assert case.decide(DATASET, fields=0b1111) is outcome


def test_an_open_dataset_has_no_more_fields_than_it_has(case: Case) -> None:
    case.dataset.sharing = Class.UNCONDITIONAL
    assert policy.all_fields(case.dataset) == 0b1111
    assert case.decide(DATASET, fields=0b1_0000) is Outcome.FIELDS_EXCEEDED
    assert case.decide(b"\x77" * 32) is Outcome.UNKNOWN_BASIS
