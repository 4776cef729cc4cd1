"""Random histories of all acts: the contracts and the Python rules never differ.

Each history runs through the real contracts on a real chain and through `ledger.state` and
`ledger.policy`. Compared are whether each transaction is accepted, each event that it emits (so each
outcome of each access, and the running hash), and at the end every view. `HISTORIES` in the
environment sets how many are run.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from ledger.enumerations import Class, Outcome
from ledger.node import Node, NodeSettings
from tests.support.acts_of_consumers import (
    Apply,
    Approve,
    Ask,
    BindFields,
    Decline,
    Record,
    RegisterPurpose,
    RetirePurpose,
    SignConfidentiality,
    WithdrawAgreement,
)
from tests.support.acts_of_parties import (
    AcceptAuthority,
    Admit,
    Announce,
    Appeal,
    EndOrder,
    Erase,
    IssueOrder,
    Lift,
    OfferAuthority,
    Publish,
    Reclassify,
    RegisterDataset,
    Restrict,
    ReviewOrder,
    SetKey,
    Withdraw,
    WithdrawDataset,
)
from tests.support.acts_of_people import (
    AppointGuardian,
    CompleteRecovery,
    Confirm,
    Grant,
    RegisterSubject,
    Revoke,
    RotateSigner,
    SetFrozen,
    StartRecovery,
    VetoRecovery,
)
from tests.support.chain import Chain
from tests.support.histories import ACTS, HOUR, Stage, Step, histories
from tests.support.view_checks import differences

pytestmark = pytest.mark.slow

HISTORIES = int(os.environ.get("HISTORIES", "80"))
RECOVERY_DELAY = 4

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
            OfferAuthority(8),
        ),
    ),
    Step(1, (AcceptAuthority(-1), Withdraw(0, 4))),
    Step(1, (Withdraw(0, 4),)),
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


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Node(NodeSettings(tmp_path_factory.mktemp("chain"), block_time=0.05)) as node:
        chain = Chain(node, recovery_delay=RECOVERY_DELAY)
        yield Stage(chain)
        chain.close()


def test_contracts_and_rules_agree_where_everything_happens_once(stage: Stage) -> None:
    stage.accepted, stage.outcomes = Counter(), Counter()
    world = stage.start()
    stage.run(world, EVERYTHING)
    assert not differences(world)
    assert set(stage.outcomes) == set(Outcome)
    assert set(stage.accepted) == set(ACTS)


def test_contracts_and_rules_agree_up_to_every_limit_and_on_it(stage: Stage) -> None:
    world = stage.start()
    stage.run(world, BOUNDARIES)
    assert not differences(world)


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

    run()
