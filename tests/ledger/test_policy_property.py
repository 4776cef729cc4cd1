"""Random histories of all acts: the contracts and the Python rules never differ.

Each history runs through the real contracts on a real chain and through `ledger.state` and
`ledger.policy`. Compared are whether each transaction is accepted, each event that it emits (so each
outcome of each access, and the running hash), and at the end every view. `HISTORIES` in the
environment sets how many are run.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from ledger.chain.embedded import Node, NodeSettings
from ledger.model import Change, Class, Outcome
from scripts.scenario import Chain
from tests.support.acts_of_consumers import (
    Apply,
    AppointSupervisor,
    Approve,
    Ask,
    BindFields,
    Decline,
    DismissSupervisor,
    Record,
    RegisterPurpose,
    RetirePurpose,
    ReviewSuspension,
    SignConfidentiality,
    Suspend,
    WithdrawAgreement,
)
from tests.support.acts_of_parties import (
    Activate,
    Admit,
    Announce,
    AnnounceChange,
    Appeal,
    CountersignOrder,
    DismissRecorder,
    EndOrder,
    Erase,
    IssueOrder,
    Lift,
    MakeChange,
    NameRecorder,
    Publish,
    Reclassify,
    RegisterDataset,
    Restrict,
    RetractAdmission,
    RetractChange,
    ReviewOrder,
    SetKey,
    VetoAdmission,
    VetoChange,
    Withdraw,
    WithdrawDataset,
)
from tests.support.acts_of_people import (
    AppointGuardian,
    Close,
    CompleteRecovery,
    Confirm,
    EndLinks,
    Grant,
    Open,
    RegisterSubject,
    Revoke,
    RotateSigner,
    SetFrozen,
    StartRecovery,
    VetoRecovery,
    VoidAccess,
)
from tests.support.histories import ACTS, HOUR, Stage, Step, histories, histories_of_orders
from tests.support.view_checks import differences
from tests.support.world import Act, World

pytestmark = pytest.mark.slow

HISTORIES = int(os.environ.get("HISTORIES", "80"))
RECOVERY_DELAY = 4
ADMISSION_DELAY = 3

USE = Ask(0, "authorizations", 1, 7, 0, 1, 100)
GRANT = Grant(1, 1, 0, 7, 0, 9, HOUR, 1, 0, 0, 100, 5, False)
GUARDIAN = AppointGuardian(1, 4, 60, False, 0, 100, 0, False)
EVERYTHING = [
    Step(
        1,
        (
            Record(
                0,
                (
                    USE,
                    USE,
                    replace(USE, nonce=2, deadline=-1),
                    replace(USE, nonce=3, consumer=9),
                    replace(USE, nonce=4, basis=0),
                    replace(USE, nonce=5, consumer=5),
                    replace(USE, nonce=6, basis=2, item=2, fields=1),
                    replace(USE, nonce=7, fields=8),
                    replace(USE, nonce=8, item=2),
                    replace(USE, nonce=9),
                    replace(USE, nonce=10, basis=3, fields=1),
                    replace(USE, nonce=11, basis=3, fields=1),
                    replace(USE, nonce=12, kind="agreements", basis=2),
                    replace(USE, nonce=13, kind="agreements", basis=1),
                    replace(USE, nonce=14, kind="datasets", basis=3),
                    replace(USE, nonce=15, kind="datasets", basis=2),
                ),
            ),
            GRANT,
        ),
    ),
    Step(
        1, (Restrict(0, 3, 9, 1), Revoke(2, 0, 0, 100, False), SetFrozen(1, True, 0, 9, 0, False))
    ),
    Step(
        1,
        (
            Record(
                0,
                (
                    replace(USE, nonce=20),
                    replace(USE, nonce=21, basis=3, fields=1),
                ),
            ),
            Appeal(3, 1),
            Lift(0, 3, 1),
            SetFrozen(1, False, 0, 9, 0, False),
        ),
    ),
    Step(
        1,
        (
            Record(0, (replace(USE, nonce=30, basis=5), replace(USE, nonce=31, basis=2, fields=1))),
            Reclassify(0, 2, Class.NOT_SHARED, 3, 1),
            WithdrawAgreement(0, 3, 1),
            GUARDIAN,
            StartRecovery(0, 1, 2),
        ),
    ),
    Step(
        1,
        (
            Record(
                0,
                (
                    replace(USE, nonce=40, kind="agreements", basis=2),
                    replace(USE, nonce=41, basis=3, fields=1),
                ),
            ),
            VetoRecovery(1, 0, 0, 100, 0, False),
            StartRecovery(0, 1, 3),
            IssueOrder(0, 1, 1, Class.CONDITIONAL, 3, 0, 3, 1),
            IssueOrder(0, 3, 1, Class.UNCONDITIONAL, 3, 0, HOUR, 1),
            CountersignOrder(0, 1),
            CountersignOrder(0, 2),
        ),
    ),
    Step(
        2,
        (
            Record(
                0,
                (
                    replace(USE, nonce=50, kind="orders", basis=1, fields=3),
                    replace(USE, nonce=51, kind="orders", basis=1, fields=7),
                    replace(USE, nonce=52, kind="orders", basis=2, fields=3),
                    replace(USE, nonce=53, basis=4, fields=1),
                ),
            ),
            EndOrder(0, 2, 1),
        ),
    ),
    Step(
        2,
        (
            Record(0, (replace(USE, nonce=60, kind="orders", basis=1, fields=3),)),
            ReviewOrder(0, 1, 1),
            CompleteRecovery(1),
        ),
    ),
    Step(
        1,
        (
            Record(0, (replace(USE, nonce=70, basis=5),)),
            Confirm(1, 0, 0, 100, False),
            RotateSigner(1, 5, 0, 100, 0, False),
            Apply(3, 3, 1, 1, 0, 1),
            BindFields(0, 1, 3, 1),
            Apply(3, 3, 1, 1, 0, 1),
        ),
    ),
    Step(
        40,
        (
            Record(0, (replace(USE, nonce=80, basis=4, fields=1),)),
            Decline(0, 5, 1),
            Apply(3, 3, 1, 1, 1, 1),
            replace(GUARDIAN, dismiss=True),
            RetirePurpose(0, 2),
        ),
    ),
    Step(
        1,
        (
            SignConfidentiality(0, 6, 100, 1, False),
            Approve(0, 6, 1, HOUR),
            Publish(0, 1, 2, 1),
            Erase(0, 1, 1, 1),
            WithdrawDataset(0, 2, 1),
            RegisterDataset(1, 3, True, Class.NOT_SHARED, 4, 256),
        ),
    ),
    Step(
        1,
        (
            RegisterPurpose(0, 2, 30, 1, 0),
            RegisterSubject(0, 3, 2),
            Admit(0, 8, 2, 1),
            SetKey(3, 33),
            Announce(0, 1),
        ),
    ),
    Step(
        1,
        (
            NameRecorder(3, 8),
            Admit(0, 1, 40, 1),
            AnnounceChange(0, Change.AUTHORITY, 0, 0),
            AnnounceChange(0, Change.SUCCESSOR, 0, 0),
            AnnounceChange(0, Change.VERIFIER, 0, 0),
            AppointSupervisor(0, 8),
            Suspend(8, 1, 1),
            EndLinks(0, 1),
        ),
    ),
    Step(
        1,
        (
            VetoChange(0, Change.VERIFIER, -1, 0, 1),
            AnnounceChange(0, Change.VERIFIER, 0, 0),
            RetractChange(0, Change.VERIFIER, -1, 0),
            Admit(0, 4, 40, 1),
            RetractAdmission(0, 4),
            Admit(0, 2, 32, 1),
            VetoAdmission(0, 2, 1),
            ReviewSuspension(0, 1, 0, 1),
            replace(GRANT, nonce=40, offset=0),
            DismissSupervisor(0, -1),
            DismissRecorder(3, 8),
        ),
    ),
    Step(
        2,
        (
            Record(0, (replace(USE, nonce=90, basis=-1), replace(USE, nonce=91, consumer=9))),
            Activate(1),
            MakeChange(0, Change.SUCCESSOR, -1, 0),
            MakeChange(0, Change.AUTHORITY, -1, 0),
        ),
    ),
    Step(1, (VoidAccess(0, -1, 0, -1, 0, 1), Close(0, 1), Withdraw(0, 4))),
    Step(1, (Withdraw(0, 4), Open(0, 1, 0, 100, 0, False))),
    Step(1, (Record(0, (replace(USE, nonce=95, consumer=5),)),)),
]

REPLACED = 6
"""A signer by its index, whoever it is now: the first subject's first key."""
RECORD = Record(0, (USE,))
BOUNDARIES = [
    # Second by second up to each limit and onto it; every step is compared, so nothing is asserted.
    Step(
        1,
        (
            IssueOrder(0, 1, 1, Class.UNCONDITIONAL, 7, 1, 2, 1),
            IssueOrder(0, 3, 1, Class.NOT_SHARED, 7, 1, 2, 1),
            Apply(3, 2, 1, 3, 1, 1),
            SignConfidentiality(0, 5, 0, 1, False),
            Approve(0, 5, 3, 2),
            Restrict(0, 4, 2, 1),
        ),
    ),
    *(
        Step(
            1,
            (
                Record(
                    0,
                    (
                        replace(USE, nonce=second, kind="orders", basis=1, deadline=0),
                        replace(USE, nonce=10 + second, kind="datasets", basis=3),
                        replace(USE, nonce=20 + second, kind="agreements", basis=2, fields=1),
                        replace(USE, nonce=30 + second, basis=3, fields=1),
                        replace(USE, nonce=40 + second, basis=4, fields=1, deadline=-1),
                    ),
                ),
                EndOrder(0, 1, 1) if second == 2 else ReviewOrder(0, 1, 1),
                Lift(0, 4, 1) if second == 1 else Appeal(4, 1),
            ),
        )
        for second in range(4)
    ),
    Step(1, (replace(GUARDIAN, offset=2), replace(GRANT, offset=1, validity=2, uses=5))),
    *(
        Step(
            1,
            (
                SetFrozen(1, False, 4, 0, second, False),
                replace(GRANT, signer=4, nonce=10 + second, offset=-1, validity=1 + second),
                Record(0, (replace(USE, nonce=50 + second, basis=5),)),
            ),
        )
        for second in range(4)
    ),
    # A key that recovery replaced revokes what was granted in its time, nothing else.
    Step(1, (replace(GRANT, nonce=20, offset=0), replace(GUARDIAN, offset=60, nonce=1))),
    Step(1, (StartRecovery(0, 1, 3),)),
    Step(2, (VetoRecovery(1, 0, 5, 100, 9, False), CompleteRecovery(1))),
    Step(1, (CompleteRecovery(1),)),
    Step(1, (VetoRecovery(1, 0, 0, 100, 0, False), CompleteRecovery(1))),
    Step(1, (replace(GRANT, nonce=21, offset=0), SetFrozen(1, False, 4, 9, 30, False))),
    Step(1, (Revoke(-1, 0, REPLACED, 0, False), Confirm(1, 0, REPLACED, 0, False))),
    Step(1, (Confirm(1, 0, 0, 0, False), Confirm(1, 0, 0, 0, False))),
    Step(1, (Revoke(1, 0, REPLACED, 0, False), Revoke(1, 0, 0, 0, False))),
    Step(1, (RECORD, replace(RECORD, caller=9), RotateSigner(1, 6, 0, 0, 0, False))),
    # Who stops, and when it can be lifted: second by second, by the guardian, the key and who was both once.
    Step(1, (replace(GUARDIAN, offset=90, nonce=2), SetFrozen(1, True, 4, 9, 40, False))),
    *(
        Step(
            1,
            (
                SetFrozen(1, False, 0, 9, 41 + second, False),
                SetFrozen(1, False, 5, 9, 41 + second, False),
                SetFrozen(1, second % 2 == 1, 4, 9, 51 + second, False),
            ),
        )
        for second in range(6)
    ),
    Step(1, (SetFrozen(1, False, 4, 9, 60, False), SetFrozen(1, False, 0, 9, 61, False))),
    Step(1, (replace(GUARDIAN, dismiss=True, nonce=3),)),
    *(
        Step(
            1,
            (
                SetFrozen(1, True, 4, 9, 70 + second, False),
                SetFrozen(1, False, 0, 9, 80 + second, False),
                replace(GRANT, signer=4, nonce=60 + second, offset=0),
                Revoke(-1, 0, 4, 9, False),
            ),
        )
        for second in range(8)
    ),
    Step(1, (RotateSigner(1, 1, 0, 9, 90, False), replace(GUARDIAN, offset=30, nonce=4))),
    Step(1, (StartRecovery(0, 1, 2), Close(0, 1), CompleteRecovery(1), Close(0, 1))),
    Step(
        1,
        (
            RECORD,
            replace(GRANT, nonce=69, offset=0),
            StartRecovery(0, 1, 2),
            RotateSigner(1, 3, 0, 9, 91, False),
            Open(1, 1, 0, 9, 92, False),
            Open(0, 1, 4, 9, 92, False),
            Open(0, 1, 0, 9, 92, True),
            Open(0, 1, 0, 9, 92, False),
        ),
    ),
    # Roles and changes that are announced: due in the third second.
    Step(
        1,
        (
            Admit(0, 8, 4, 1),
            Admit(0, 1, 40, 1),
            AnnounceChange(0, Change.AUTHORITY, 0, 0),
            AnnounceChange(0, Change.VERIFIER, 0, 0),
        ),
    ),
    *(
        Step(
            1,
            (
                MakeChange(0, Change.VERIFIER, 0, 0),
                *((Withdraw(0, 5), Activate(8)) if second == 2 else ()),
                *((VetoAdmission(0, 1, 1),) if second == 2 else ()),
                MakeChange(0, Change.AUTHORITY, 0, 0),
            ),
        )
        for second in range(4)
    ),
    Step(1, (Withdraw(0, 5), Admit(0, 1, 40, 1), VetoAdmission(0, 1, 1))),
    *(
        Step(1, (Admit(0, 1, 40, 1), VetoAdmission(0, 1, 1), VetoAdmission(9, 1, 1)))
        for second in range(4)
    ),
    # Consents end with the agreement's withdrawal, not with another approval.
    Step(1, (WithdrawAgreement(0, 1, 1), RECORD)),
    Step(
        1,
        (
            Apply(3, 1, 1, 7, 5, 1),
            SignConfidentiality(0, -1, 9, 1, False),
            Approve(0, -1, 7, HOUR),
            replace(GRANT, nonce=70, offset=0, signer=0),
            Record(0, (replace(USE, nonce=99), replace(USE, nonce=100, basis=-1))),
        ),
    ),
    # Bounds of a purpose: one too many, one too few.
    Step(
        1,
        (
            replace(GRANT, offset=0, validity=HOUR + 1),
            replace(GRANT, offset=0, uses=6),
            replace(GRANT, offset=0, uses=0),
            replace(GRANT, offset=0, agreement=4, interval=2, validity=30),
            replace(GRANT, offset=0, agreement=4, fields=4, interval=3, validity=30),
            replace(GRANT, offset=0, agreement=4, fields=3, interval=3, validity=31),
        ),
    ),
    Step(1, (replace(GRANT, offset=0, agreement=4, fields=3, interval=3, validity=30, uses=2),)),
]

# Orders of one dataset, and which of them hold up the next that opens.
OPENING = IssueOrder(0, 1, 1, Class.CONDITIONAL, 3, 0, 30, 1)
CLOSING = replace(OPENING, sharing=Class.NOT_SHARED)
ENDED, REVIEWED, SIGNED = EndOrder(0, -1, 1), ReviewOrder(0, -1, 1), CountersignOrder(0, -1)
ORDERS: list[Act] = [
    # What ended before its start needs no review, and nobody can give it one.
    *(replace(CLOSING, offset=9), ENDED, REVIEWED),
    *(replace(OPENING, offset=9), SIGNED, ENDED, REVIEWED),
    *(OPENING, SIGNED, ENDED, OPENING, REVIEWED),
    # A newer one that closes hides none that was in force: ended before its start, running or reviewed.
    *(CLOSING, ENDED, replace(CLOSING, offset=9), ENDED, OPENING),
    *(replace(CLOSING, validity=2), OPENING, REVIEWED, OPENING),
    *(ReviewOrder(0, 5, 1), OPENING, SIGNED),
]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Node(NodeSettings(tmp_path_factory.mktemp("chain"), block_time=0.05)) as node:
        chain = Chain(node, recovery_delay=RECOVERY_DELAY, admission_delay=ADMISSION_DELAY)
        yield Stage(chain)
        chain.close()


def test_contracts_and_rules_agree_where_everything_happens_once(stage: Stage) -> None:
    stage.accepted, stage.outcomes, stage.consents = Counter(), Counter(), 0
    world = stage.start()
    stage.run(world, EVERYTHING)
    assert not differences(world)
    # Not one that the rules of statements would refuse was granted, in no history.
    assert stage.consents == stage.accepted[Grant] > 0
    assert set(stage.outcomes) == set(Outcome)
    assert set(stage.accepted) == set(ACTS)


def test_contracts_and_rules_agree_up_to_every_limit_and_on_it(stage: Stage) -> None:
    world = stage.start()
    stage.run(world, BOUNDARIES)
    assert not differences(world)


def run_orders(stage: Stage, world: World, history: Sequence[Step]) -> None:
    """Run a block at a time; an order that opens comes on only when all that were in force before it are reviewed."""
    for step in history:
        before = {id_: each.countersigned for id_, each in world.state.orders.items()}
        stage.run(world, [step])
        moved = [
            each
            for id_, each in world.state.orders.items()
            if each.sharing != Class.NOT_SHARED and before.get(id_) != each.countersigned
        ]
        for order in moved:
            unreviewed = [
                each.id
                for each in world.state.orders.values()
                if each is not order
                and (each.countersigned or each.sharing == Class.NOT_SHARED)
                and each.starts_at <= each.ends_at
                and not each.reviewed
            ]
            assert not unreviewed, f"{step} passes by the review of {unreviewed}"
    assert not differences(world)


def test_contracts_and_rules_agree_on_orders_that_hold_each_other_up(stage: Stage) -> None:
    world = stage.start()
    run_orders(stage, world, [Step(1, (act,)) for act in ORDERS])
    last = world.state.orders[world.orders[-1]]
    assert last.countersigned, "when all is reviewed"


def test_contracts_and_rules_agree_on_every_history_of_orders(stage: Stage) -> None:
    @settings(
        max_examples=HISTORIES,
        deadline=None,
        derandomize="HISTORIES" not in os.environ,
        suppress_health_check=list(HealthCheck),
    )
    @given(histories_of_orders(16))
    def run(history: list[Step]) -> None:
        run_orders(stage, stage.start(), history)

    run()


@pytest.mark.timeout(0)
def test_contracts_and_rules_agree_on_every_history(stage: Stage) -> None:
    @settings(
        max_examples=HISTORIES,
        deadline=None,
        derandomize="HISTORIES" not in os.environ,
        suppress_health_check=list(HealthCheck),
    )
    @given(histories(30))
    def run(history: list[Step]) -> None:
        world = stage.start()
        stage.run(world, history)
        assert not differences(world)

    stage.accepted, stage.consents = Counter(), 0
    run()
    # All but those of a consumer that was renamed in the grant's own block.
    assert stage.consents > 0.9 * stage.accepted[Grant] > 0
