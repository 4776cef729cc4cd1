"""A release is a right of an hour: what comes on chain after an access stops it, whatever it rests on."""

from collections.abc import Callable

import pytest

from ledger.api import ReleaseTask
from ledger.chain.events import (
    AccessVoided,
    AgreementSuspended,
    AgreementWithdrawn,
    Confirmed,
    ConsumerRestricted,
    DatasetReclassified,
    DatasetWithdrawn,
    OrderEnded,
    PartyAdmitted,
    PartyWithdrawn,
    RecoveryCompleted,
    RecoveryStarted,
    RecoveryVetoed,
    RestrictionLifted,
    Revoked,
    SubjectClosed,
    SubjectFrozen,
    SubjectOpened,
    SubjectUnfrozen,
    SupervisorAppointed,
)
from ledger.hexstr import keccak256
from ledger.model import Class, Roles, VoidGround
from ledger.release_rules import Reason, ReleaseRefusedError, Stop
from tests.support.releases import (
    BANK,
    DELAYS,
    PROVIDER,
    REGULATOR,
    STRANGER,
    WINDOW,
    Case,
    named,
)
from wallet.keyholder.rules import verify_task

Act = Callable[[Case], object]

DELAY = DELAYS.recovery
SUSPENSION = 1_800


@pytest.fixture
def case() -> Case:
    return Case()


def release(case: Case, task: ReleaseTask | None = None) -> None:
    verify_task(task or case.task, case.world.register, case.world.rules, case.world.links)


def refusal(case: Case, task: ReleaseTask | None = None) -> tuple[Reason, str]:
    with pytest.raises(ReleaseRefusedError) as caught:
        release(case, task)
    return caught.value.reason, str(caught.value)


def stopped(case: Case, task: ReleaseTask | None = None) -> str:
    reason, detail = refusal(case, task)
    assert reason is Reason.RELEASE_STOPPED
    return detail


# What happens on chain


def own_key(case: Case) -> bytes:
    return keccak256(case.world.signer(case.subject).address)


def consumer_withdrawn(case: Case) -> None:
    case.world.happen(PartyWithdrawn, party=BANK.address)


def consumer_has_another_role(case: Case) -> None:
    case.world.happen(PartyAdmitted, party=BANK.address, roles=Roles.KEYHOLDER, title="bank")


def restricted(case: Case, seconds: int = 600) -> None:
    case.world.happen(
        ConsumerRestricted,
        consumer=BANK.address,
        regulator=REGULATOR.address,
        until=case.world.now + 1 + seconds,
        reason="odd",
    )


def restriction_lifted(case: Case) -> None:
    case.world.happen(
        RestrictionLifted, consumer=BANK.address, regulator=REGULATOR.address, reason="explained"
    )


def revoked(case: Case) -> None:
    case.world.happen(
        Revoked,
        authorization=case.authorization,
        subject=case.subject,
        signer_hash=own_key(case),
    )


def frozen(case: Case) -> None:
    case.world.happen(
        SubjectFrozen,
        subject=case.subject,
        signer_hash=own_key(case),
        liftable_at=case.world.now + 1 + DELAY,
    )


def unfrozen(case: Case) -> None:
    case.world.happen(SubjectUnfrozen, subject=case.subject, signer_hash=own_key(case))


def closed(case: Case) -> None:
    case.world.happen(SubjectClosed, subject=case.subject)


def opened(case: Case) -> None:
    case.world.happen(SubjectOpened, subject=case.subject)


def voided(case: Case) -> None:
    case.world.happen(
        AccessVoided,
        authorization=case.authorization,
        sequence=1,
        regulator=REGULATOR.address,
        last_use=0,
        ground=VoidGround.UNSIGNED,
        reason="nobody signed",
    )


def number_voided_of_another(case: Case) -> None:
    world = case.world
    other = world.grant(named("another person"), case.schema)
    world.happen(
        AccessVoided,
        authorization=other,
        sequence=1,
        regulator=REGULATOR.address,
        last_use=0,
        ground=VoidGround.UNSIGNED,
        reason="nobody signed",
    )


def agreement_suspended(case: Case) -> None:
    supervisor = named("machine")[:20]
    case.world.happen(SupervisorAppointed, supervisor=supervisor, regulator=REGULATOR.address)
    case.world.happen(
        AgreementSuspended,
        agreement=case.world.agreement(case.schema),
        supervisor=supervisor,
        until=case.world.now + 1 + SUSPENSION,
        reason="odd hours",
    )


def suspension_passed(case: Case) -> None:
    case.world.pass_time(SUSPENSION)


def recovery_started(case: Case) -> None:
    case.world.happen(
        RecoveryStarted,
        subject=case.subject,
        new_signer=STRANGER.address,
        effective_at=case.world.now + 1 + DELAY,
    )


def recovery_vetoed(case: Case) -> None:
    case.world.happen(RecoveryVetoed, subject=case.subject, new_signer=STRANGER.address)


def recovered(case: Case) -> None:
    recovery_started(case)
    case.world.pass_time(DELAY)
    case.world.happen(
        RecoveryCompleted,
        subject=case.subject,
        new_signer=STRANGER.address,
        epoch=1,
        stop_until=case.world.now + 1 + 365 * 86_400,
    )


def confirmed(case: Case) -> None:
    case.world.happen(
        Confirmed,
        authorization=case.authorization,
        subject=case.subject,
        epoch=1,
        signer_hash=keccak256(STRANGER.address),
    )


def agreement_withdrawn(case: Case) -> None:
    case.world.happen(
        AgreementWithdrawn,
        agreement=case.world.agreement(case.schema),
        by=PROVIDER.address,
        reason="misused",
    )


def agreement_of_another_round(case: Case) -> None:
    """A consent ends with the agreement behind it, also if that is approved anew."""
    agreement_withdrawn(case)
    case.world.agree(case.schema, fields=0b1111, round_=1)


def agreement_narrowed(case: Case) -> None:
    case.world.agree(case.schema, fields=0b0001)


def dataset_withdrawn(case: Case) -> None:
    case.world.happen(DatasetWithdrawn, dataset=case.schema.dataset, reason="wrong")


def reclassified(case: Case, sharing: Class = Class.NOT_SHARED) -> None:
    case.world.happen(
        DatasetReclassified,
        dataset=case.schema.dataset,
        sharing=sharing,
        open=Class.NOT_SHARED,
        grade=4,
        reason="leak",
    )


def closed_by_order(case: Case) -> None:
    case.world.order(case.schema, sharing=Class.NOT_SHARED)


# Whose data it is


PERSONS = [
    (consumer_withdrawn, Stop.CONSUMER_WITHDRAWN),
    (consumer_has_another_role, Stop.CONSUMER_WITHDRAWN),
    (restricted, Stop.CONSUMER_RESTRICTED),
    (revoked, Stop.AUTHORIZATION_REVOKED),
    (frozen, Stop.SUBJECT_HALTED),
    (recovery_started, Stop.SUBJECT_HALTED),
    (recovered, Stop.SUBJECT_HALTED),
    (closed, Stop.SUBJECT_HALTED),
    (voided, Stop.ACCESS_VOIDED),
    (agreement_withdrawn, Stop.AGREEMENT_WITHDRAWN),
    (agreement_of_another_round, Stop.AGREEMENT_WITHDRAWN),
    (agreement_suspended, Stop.AGREEMENT_SUSPENDED),
    (agreement_narrowed, Stop.FIELDS_NARROWED),
    (dataset_withdrawn, Stop.DATASET_CLOSED),
    (reclassified, Stop.DATASET_CLOSED),
    (closed_by_order, Stop.DATASET_CLOSED),
]


@pytest.mark.parametrize(("act", "stop"), PERSONS, ids=lambda value: getattr(value, "__name__", ""))
def test_an_act_after_the_access_stops_the_release_of_a_persons_record(
    case: Case, act: Act, stop: Stop
) -> None:
    release(case)
    act(case)
    assert stopped(case) == stop


def undone(*acts: Act) -> Act:
    def do(case: Case) -> None:
        for act in acts:
            act(case)

    return do


@pytest.mark.parametrize(
    "acts",
    [
        undone(restricted, restriction_lifted),
        undone(lambda case: restricted(case, 5), lambda case: case.world.pass_time(5)),
        undone(frozen, unfrozen),
        undone(closed, opened),
        undone(agreement_suspended, suspension_passed),
        undone(recovery_started, recovery_vetoed),
        undone(recovered, confirmed),
        number_voided_of_another,
        undone(reclassified, lambda case: reclassified(case, Class.CONDITIONAL)),
        undone(
            lambda case: case.world.order(case.schema, sharing=Class.NOT_SHARED, seconds=10),
            lambda case: case.world.pass_time(10),
        ),
    ],
)
def test_an_act_that_was_taken_back_or_is_over_stops_nothing(case: Case, acts: Act) -> None:
    acts(case)
    release(case)


def test_an_end_that_was_set_from_the_start_stops_nothing(case: Case) -> None:
    world = case.world
    agreement = world.agree(case.schema, seconds=20)
    authorization = world.grant(case.subject, case.schema, seconds=5)
    request = world.request(authorization)
    task = case.retold(request, world.record(request))
    world.pass_time(100)  # authorization, agreement and request are over
    assert agreement == world.agreement(case.schema)
    release(case, task)


# Each basis


def of_agreement(case: Case) -> ReleaseTask:
    request = case.world.request(case.world.agree(case.schema), fields=0b0011)
    return case.retold(request, case.world.record(request), owner=None)


def of_order(case: Case, sharing: Class = Class.UNCONDITIONAL) -> ReleaseTask:
    world = case.world
    if sharing is Class.UNCONDITIONAL:  # which none may be over data of persons
        case.schema = world.register_dataset("hospital beds", personal=False)
        records = [world.encrypt(case.schema, bytes(32), number) for number in range(3)]
        case.version = world.publish(case.schema, records)
    case.order = world.order(case.schema, fields=0b0011, sharing=sharing)
    request = world.request(case.order, fields=0b0011)
    return case.retold(request, world.record(request), owner=None)


def of_conditional_order(case: Case) -> ReleaseTask:
    return of_order(case, Class.CONDITIONAL)


def of_dataset(case: Case) -> ReleaseTask:
    world = case.world
    case.schema = world.register_dataset("weather", personal=False, sharing=Class.UNCONDITIONAL)
    records = [world.encrypt(case.schema, bytes(32), number) for number in range(3)]
    case.version = world.publish(case.schema, records)
    request = world.request(case.schema.dataset, fields=0b0011)
    return case.retold(request, world.record(request), owner=None)


def order_ended(case: Case) -> None:
    case.world.happen(
        OrderEnded,
        order=case.order,
        dataset=case.schema.dataset,
        by=REGULATOR.address,
        ends_at=case.world.now + 1,
        reason="over",
    )


def made_conditional(case: Case) -> None:
    reclassified(case, Class.CONDITIONAL)


Basis = Callable[[Case], ReleaseTask]

OTHERS = [
    (of_agreement, agreement_withdrawn, Stop.AGREEMENT_WITHDRAWN),
    (of_agreement, agreement_suspended, Stop.AGREEMENT_SUSPENDED),
    (of_agreement, agreement_narrowed, Stop.FIELDS_NARROWED),
    (of_agreement, dataset_withdrawn, Stop.DATASET_CLOSED),
    (of_agreement, reclassified, Stop.DATASET_CLOSED),
    (of_agreement, closed_by_order, Stop.DATASET_CLOSED),
    (of_agreement, restricted, Stop.CONSUMER_RESTRICTED),
    (of_order, order_ended, Stop.ORDER_ENDED),
    (of_order, closed_by_order, Stop.DATASET_CLOSED),
    (of_order, dataset_withdrawn, Stop.DATASET_CLOSED),
    (of_order, restricted, Stop.CONSUMER_RESTRICTED),
    (of_order, consumer_withdrawn, Stop.CONSUMER_WITHDRAWN),
    (of_conditional_order, agreement_withdrawn, Stop.AGREEMENT_WITHDRAWN),
    (of_conditional_order, agreement_suspended, Stop.AGREEMENT_SUSPENDED),
    (of_conditional_order, agreement_narrowed, Stop.FIELDS_NARROWED),
    (of_dataset, dataset_withdrawn, Stop.DATASET_CLOSED),
    (of_dataset, reclassified, Stop.DATASET_CLOSED),
    (of_dataset, made_conditional, Stop.DATASET_CLOSED),
    (of_dataset, closed_by_order, Stop.DATASET_CLOSED),
    (of_dataset, restricted, Stop.CONSUMER_RESTRICTED),
]


@pytest.mark.parametrize(
    ("basis", "act", "stop"), OTHERS, ids=lambda value: getattr(value, "__name__", "")
)
def test_an_act_after_the_access_stops_its_release_on_every_basis(
    case: Case, basis: Basis, act: Act, stop: Stop
) -> None:
    task = basis(case)
    release(case, task)
    act(case)
    assert stopped(case, task) == stop


def test_a_conditional_order_goes_on_when_the_suspension_of_its_agreement_is_over(
    case: Case,
) -> None:
    task = of_conditional_order(case)
    agreement_suspended(case)
    assert stopped(case, task) == Stop.AGREEMENT_SUSPENDED
    suspension_passed(case)
    release(case, task)


def test_a_basis_that_is_not_on_chain_stops_a_release(case: Case) -> None:
    use = case.world.request(named("nothing"))
    stop = case.world.register.stop(use, 99)
    assert stop is Stop.BASIS_UNKNOWN


def test_an_order_opens_what_the_class_closes_and_its_own_end_stops_nothing(case: Case) -> None:
    case.world.agree(case.schema)
    reclassified(case)
    task = of_conditional_order(case)
    release(case, task)
    case.world.pass_time(WINDOW - 10)
    release(case, task)


# The window


@pytest.mark.parametrize("basis", [None, of_agreement, of_order, of_dataset])
def test_the_window_counts_block_times_from_the_access_to_its_last_second(
    case: Case, basis: Basis | None
) -> None:
    task = basis(case) if basis is not None else case.task
    recorded_at = case.world.now if basis is not None else case.recorded_at
    case.world.pass_time(recorded_at + WINDOW - case.world.now)
    release(case, task)
    case.world.pass_time(1)
    reason, detail = refusal(case, task)
    assert (reason, reason.status, reason.slug) == (Reason.RELEASE_OVER, 410, "release-over")
    assert str(WINDOW) in detail


def test_a_gateway_that_names_another_place_gets_nothing_for_an_old_access(case: Case) -> None:
    case.world.pass_time(WINDOW + 1)
    request = case.world.request(case.authorization)
    place = case.world.record(request)
    assert refusal(case, case.changed(location=place))[0] is Reason.ACCESS_DIFFERS


def test_a_release_says_at_which_block_it_was_judged(case: Case) -> None:
    case.world.pass_time(7)
    judged = verify_task(
        case.task, case.world.register, case.world.rules, case.world.links
    ).judged_at
    assert (judged.number, judged.hash) == (case.world.height, named(f"block {case.world.height}"))
