"""What the authority announces, up to each limit and on it: contracts and Python rules never differ.

As `test_policy_property`, with every way that an announcement can end.
"""

from collections.abc import Iterator

import pytest

from ledger.chain.embedded import Node, NodeSettings
from ledger.model import Change
from scripts.scenario import Chain
from tests.support.acts_of_parties import (
    Activate,
    Admit,
    AnnounceChange,
    MakeChange,
    RetractAdmission,
    RetractChange,
    Withdraw,
)
from tests.support.histories import HOUR, Stage, Step
from tests.support.view_checks import differences
from tests.support.world import Act

pytestmark = pytest.mark.slow

DELAYS = (3, 2 * HOUR)
AGAIN: tuple[Act, ...] = (
    # Against what is pending: the same, another role that waits, one that does not.
    *(Admit(0, 8, 32, 1), Admit(0, 8, 33, 1), Admit(0, 8, 2, 1)),
    *(AnnounceChange(0, change, 0, 0) for change in Change),
)
RETRACT: tuple[Act, ...] = (
    RetractAdmission(0, 8),
    *(RetractChange(0, change, 0, 0) for change in Change),
)
TAKE: tuple[Act, ...] = (
    *(Activate(8), MakeChange(0, Change.SUCCESSOR, 0, 0), MakeChange(0, Change.VERIFIER, 0, 0)),
    MakeChange(0, Change.AUTHORITY, 0, 0),
)


def endings(delay: int) -> dict[str, tuple[Step, ...]]:
    """Name what follows on an announcement; one that is due lapses after the delay, an hour at least."""
    lapse = delay + max(delay, HOUR)
    return {
        "taken when due": (Step(delay, AGAIN), Step(1, TAKE), Step(1, AGAIN)),
        "taken in the last second": (Step(lapse - 1, (*AGAIN, *TAKE)), Step(1, AGAIN)),
        "lapsed": (Step(lapse, (*TAKE, *RETRACT)), Step(1, (*AGAIN[::-1], *TAKE))),
        "retracted": (Step(1, RETRACT), Step(1, AGAIN), Step(lapse, TAKE)),
        "retracted when due": (Step(delay, (*RETRACT, *TAKE)), Step(1, AGAIN)),
        "of one that is withdrawn": (
            Step(1, (Withdraw(0, 8), *AGAIN)),
            Step(lapse, (Admit(0, 8, 2, 1), *AGAIN, Withdraw(0, 8))),
            Step(delay, TAKE),
        ),
        "handed over twice": (
            Step(delay, TAKE[::-1]),
            Step(1, (AnnounceChange(0, Change.AUTHORITY, 1, 0), *AGAIN)),
            Step(delay, (MakeChange(0, Change.AUTHORITY, 1, 0), *TAKE, *AGAIN)),
        ),
    }


@pytest.fixture(scope="module", params=DELAYS)
def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    with Node(NodeSettings(tmp_path_factory.mktemp("chain"), block_time=0.05)) as node:
        chain = Chain(node, admission_delay=request.param)
        yield Stage(chain)
        chain.close()


@pytest.mark.parametrize("name", endings(0))
def test_contracts_and_rules_agree_on_what_is_announced(stage: Stage, name: str) -> None:
    world = stage.start()
    delay = stage.chain.deployment.admission_delay
    stage.run(world, [Step(1, AGAIN), *endings(delay)[name]])
    assert not differences(world)
