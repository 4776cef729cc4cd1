"""Attacks on people's ids: contracts and Python rules are compared as in `test_policy_property`, and held to the promise.

Agreeing is not enough here: both once had the same fault.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ledger.chain.embedded import Node, NodeSettings
from ledger.model import Change
from scripts.scenario import Chain
from tests.ledger.test_policy_property import (
    ADMISSION_DELAY,
    GRANT,
    GUARDIAN,
    RECOVERY_DELAY,
    REPLACED,
    USE,
)
from tests.support.acts_of_consumers import Record
from tests.support.acts_of_parties import Activate, Admit, AnnounceChange, MakeChange, Withdraw
from tests.support.acts_of_people import (
    SUBJECTS,
    CompleteRecovery,
    RotateSigner,
    SetFrozen,
    StartRecovery,
    VetoRecovery,
    VoidAccess,
)
from tests.support.histories import Stage, Step
from tests.support.view_checks import differences
from tests.support.world import World

pytestmark = pytest.mark.slow


def turn_signer(to: int, nonce: int) -> Step:
    return Step(1, (RotateSigner(1, to, 0, 100, nonce, False),))


def set_frozen(frozen: bool, signer: int, nonce: int) -> Step:
    return Step(1, (SetFrozen(1, frozen, signer, 100, nonce, False),))


THIEF = [
    # The thief turned the person's key away and has it too; the person freezes with it.
    turn_signer(5, 0),
    set_frozen(True, REPLACED, 0),
    set_frozen(False, REPLACED, 1),
    # Current once more.
    turn_signer(REPLACED, 1),
    set_frozen(False, REPLACED, 2),
    turn_signer(5, 2),
    # A guardian, who freezes anew.
    Step(1, (replace(GUARDIAN, new_signer=REPLACED, nonce=1),)),
    set_frozen(False, REPLACED, 3),
    set_frozen(True, REPLACED, 4),
    set_frozen(False, REPLACED, 5),
    Step(RECOVERY_DELAY + 1, ()),
    set_frozen(False, REPLACED, 6),
    set_frozen(False, 5, 7),
    Step(1, (replace(GRANT, nonce=80, offset=0),)),
]

ANOTHERS_VOID = [
    Step(1, (replace(GRANT, nonce=80, offset=0, uses=2),)),
    Step(1, (Record(0, (replace(USE, nonce=90), replace(USE, nonce=91, basis=-1))),)),
    # The newest authorization's use, by the number of the other's access; the other's; that one again.
    Step(1, (VoidAccess(0, -1, 1, -1, 0, 1),)),
    Step(1, (VoidAccess(0, 1, 1, -1, 0, 1),)),
    Step(1, (VoidAccess(0, 1, 1, -1, 0, 1), VoidAccess(0, -1, 1, -1, 0, 1))),
]

# No recovery, dismissal or freeze has shown the delay: a guardian's end is given anew, and then it freezes.
SHORTENED = [
    Step(1, (replace(GUARDIAN, offset=60),)),
    Step(1, (replace(GUARDIAN, offset=1, nonce=1),)),
    Step(2, (SetFrozen(1, True, 4, 100, 0, False),)),
]

# The identity authority started a recovery, and was withdrawn. Signers by index, callers as in `World.parties`, from 1.
AUTHORITY, OTHER_PROVIDER = 8, 3
WITHDRAWN = [
    Step(1, (StartRecovery(0, 1, 3), Admit(0, 2, 40, 1))),
    Step(ADMISSION_DELAY, (Activate(2), Withdraw(0, 7))),
    Step(RECOVERY_DELAY, (CompleteRecovery(1), CompleteRecovery(1, AUTHORITY))),
    Step(1, (AnnounceChange(0, Change.SUCCESSOR, 7, 2),)),
    Step(ADMISSION_DELAY, (MakeChange(0, Change.SUCCESSOR, 7, 2), CompleteRecovery(1))),
]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Node(NodeSettings(tmp_path_factory.mktemp("chain"), block_time=0.05)) as node:
        chain = Chain(node, recovery_delay=RECOVERY_DELAY, admission_delay=ADMISSION_DELAY)
        yield Stage(chain)
        chain.close()


def played(stage: Stage, history: list[Step]) -> World:
    """Play a history from the start; `stage.accepted` counts what the contracts took of it."""
    stage.accepted = Counter()
    world = stage.start()
    stage.run(world, history)
    return world


def test_a_guardian_stops_on_a_young_chain_after_its_end_was_shortened(stage: Stage) -> None:
    """Whoever follows would else refuse what the chain took, for good: one person would stop all keyholders."""
    world = played(stage, SHORTENED)
    assert stage.accepted[SetFrozen] == 1
    assert world.state.subjects[SUBJECTS[1]].frozen
    assert not differences(world)


def test_what_a_withdrawn_authority_started_is_vetoed_late_or_completed_by_its_successor_alone(
    stage: Stage,
) -> None:
    for last, accepted in (
        (VetoRecovery(1, 0, 0, 100, 0, False), VetoRecovery),
        (CompleteRecovery(1, OTHER_PROVIDER), CompleteRecovery),
    ):
        world = played(stage, WITHDRAWN)
        assert stage.accepted[CompleteRecovery] == 0
        assert stage.accepted[MakeChange] == stage.accepted[Activate] == 1
        assert world.state.subjects[SUBJECTS[1]].recovery_at
        stage.run(world, [Step(1, (last,))])
        assert stage.accepted[accepted] == 1
        assert not world.state.subjects[SUBJECTS[1]].recovery_at
        assert not differences(world)


def test_a_thief_does_not_lift_what_a_replaced_key_froze_by_giving_it_rights(stage: Stage) -> None:
    world = played(stage, THIEF)
    assert stage.accepted[SetFrozen] == 2
    assert world.state.subjects[SUBJECTS[1]].frozen
    assert not differences(world)


def test_a_void_of_anothers_access_keeps_nobody_from_voiding_it(stage: Stage) -> None:
    world = played(stage, ANOTHERS_VOID)
    assert stage.accepted[VoidAccess] == 2
    assert {sequence for _, sequence in world.state.voided} == {world.state.sequence - 1}
    assert not differences(world)
