"""The conditions that have a name, at their limits: roles, consent, stopping, freezes, a grant's bounds."""

import pytest

from ledger import policy
from ledger.model import Agreement, Guardian, Roles, has_role
from ledger.policy import OutOfBoundsError
from tests.support.decisions import (
    BANK,
    DATASET,
    DELAY,
    GUARD,
    KEY,
    NOW,
    OLD,
    OPEN,
    OTHER,
    PURPOSE,
    STRANGER,
    Case,
)


@pytest.fixture
def case() -> Case:
    return Case()


def test_a_role_is_an_active_partys(case: Case) -> None:
    assert has_role(case.party, Roles.CONSUMER)
    assert not has_role(case.party, Roles.REGULATOR)
    assert not has_role(None, Roles.CONSUMER)
    case.party.active = False
    assert not has_role(case.party, Roles.CONSUMER)


def test_who_may_consent_and_until_when(case: Case) -> None:
    subject = case.subject
    subject.guardians[GUARD] = Guardian(NOW + 5, NOW + 7, 0)
    subject.replaced[OLD] = NOW + 9
    ends = [policy.consent_until(subject, signer) for signer in (KEY, GUARD, OLD, STRANGER)]
    assert ends == [2**64 - 1, NOW + 5, 0, 0]
    subject.era_ends.append(NOW - 1)
    assert policy.consent_until(subject, GUARD) == 0


def test_who_may_stop_and_until_when(case: Case) -> None:
    subject = case.subject
    subject.guardians[GUARD] = Guardian(0, NOW + 5_000, 0)
    subject.replaced[OLD] = NOW + 9

    def ends(*signers: bytes) -> list[int]:
        return [policy.stop_until(subject, signer, DELAY) for signer in signers]

    assert ends(KEY, GUARD, OLD, STRANGER) == [policy.FOR_EVER, NOW + 5_000, NOW + 9, 0]
    subject.era_ends.append(NOW - 1)
    assert ends(GUARD) == [NOW - 1 + DELAY]
    subject.guardians[GUARD] = Guardian(0, NOW + 4, 0)
    assert ends(GUARD) == [NOW + 4]
    subject.era_ends.append(NOW)  # the end of a later era is not that guardian's
    subject.guardians[GUARD] = Guardian(0, NOW + 5_000, 0)
    assert ends(GUARD) == [NOW - 1 + DELAY]
    subject.replaced[GUARD] = NOW + 6_000
    assert ends(GUARD) == [NOW + 6_000]
    subject.replaced[GUARD] = 1
    assert ends(GUARD) == [NOW - 1 + DELAY]


def test_when_a_freeze_may_be_lifted_by_the_current_key(case: Case) -> None:
    subject = case.subject

    def liftable(signer: bytes) -> int:
        return policy.liftable_after(subject, signer, NOW, DELAY)

    assert liftable(KEY) == liftable(GUARD) == NOW + DELAY
    subject.replaced |= {OLD: NOW + 1, GUARD: NOW, KEY: NOW + 77}
    assert liftable(OLD) == NOW + 1
    assert liftable(GUARD) == NOW + DELAY  # its time as a replaced key is over
    assert liftable(KEY) == NOW + DELAY  # the current key once more


def test_who_lifts_a_freeze(case: Case) -> None:
    subject = case.subject
    subject.guardians[GUARD] = Guardian(NOW + 1, NOW + 9, 0)
    subject.liftable_at = NOW + 1

    def lifts(signer: bytes) -> bool:
        return policy.may_lift(subject, signer, NOW)

    subject.frozen_by = GUARD
    assert (lifts(GUARD), lifts(KEY), lifts(STRANGER)) == (True, False, False)
    subject.liftable_at = NOW
    assert (lifts(GUARD), lifts(KEY), lifts(STRANGER)) == (True, True, False)
    subject.guardians[GUARD] = Guardian(NOW, NOW + 9, 0)
    assert not lifts(GUARD)  # it consents no more
    subject.frozen_by, subject.liftable_at = KEY, NOW + 1
    assert (lifts(KEY), lifts(GUARD)) == (True, False)
    subject.frozen_by = OLD
    assert (lifts(OLD), lifts(KEY)) == (False, False)
    subject.guardians[OLD] = Guardian(NOW + 1, NOW + 9, 0)
    subject.replaced[OLD] = NOW + 1
    assert not lifts(OLD)  # a replaced key lifts nothing, whatever it is besides
    subject.replaced[OLD] = NOW
    assert lifts(OLD)  # its stop time is over: a guardian as any other
    subject.frozen_by = subject.signer_hash = KEY
    subject.replaced[KEY] = NOW + 9
    assert lifts(KEY)  # the current key once more


# Bounds of a grant


def within(case: Case, **changes: object) -> Agreement:
    terms: dict[str, object] = {
        "consumer": BANK,
        "dataset": DATASET,
        "purpose": PURPOSE,
        "fields": 0b0111,
        "validity": 100,
        "max_uses": 5,
        "min_interval": 10,
        "timestamp": NOW,
    }
    return policy.require_within_bounds(case.state, **{**terms, **changes})  # type: ignore[arg-type]


def test_what_is_at_each_bound_is_within(case: Case) -> None:
    assert within(case) is case.agreement
    assert within(case, validity=1, max_uses=1, min_interval=11, fields=1) is case.agreement


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"purpose": OPEN}, "unknown or retired"),
        ({"fields": 0}, "no field"),
        ({"fields": 0b1000}, "of what the purpose may use"),
        ({"dataset": OPEN}, "of what the purpose may use"),
        ({"dataset": OPEN, "fields": 0b0001}, "of what the purpose may use"),
        ({"validity": 101}, "valid for 101 s; at most 100"),
        ({"max_uses": 6}, "6 uses; 1 to 5"),
        ({"max_uses": 0}, "0 uses; 1 to 5"),
        ({"min_interval": 9}, "an interval of 9 s; at least 10"),
        ({"consumer": OTHER}, "no active agreement"),
        ({"timestamp": NOW + 50}, "no active agreement"),
    ],
)
def test_what_is_beyond_a_bound_is_refused_by_its_name(
    case: Case, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(OutOfBoundsError, match=words):
        within(case, **changes)


def test_a_retired_purpose_and_a_narrower_agreement_bound_a_grant(case: Case) -> None:
    assert within(case, timestamp=NOW + 49) is case.agreement
    case.agreement.fields = 0b0011
    with pytest.raises(OutOfBoundsError, match="outside of the agreement"):
        within(case)
    case.purpose.active = False
    with pytest.raises(OutOfBoundsError, match="unknown or retired"):
        within(case)
