"""The harness itself, small: a dozen faults with a fixed seed, on real processes, and the counting of them."""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger import failpoints
from scripts.faults.campaign import Campaign, Driver
from scripts.faults.database import SQLITE
from scripts.faults.faults import COMMON
from scripts.faults.planning import Fault, FaultRunError, Planned, draw_plan
from scripts.faults.stage import Stage
from scripts.faults.town import Town

SEED = 8
KINDS = (
    "gateway killed: after_send",
    "node killed",
    "keyholder killed",
    "node's answer lost",
    "node hung",
    "sent to the node twice",
    "gateway's answer lost",
    "sent to the gateway twice",
    "database locked",
    "clock jumps",
    "node's answer lost",
    "disk full",
)
MISSING = 7
"""Place in the plan of a fault that does not strike: it is told, and all is mended before the next one."""


def miss(stage: Stage, driver: Driver, source: random.Random) -> tuple[float, str]:
    raise FaultRunError("missed")


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    town = Town(tmp_path, people=6)
    stage = Stage(town)
    yield stage
    stage.stop()
    town.close()


def planned(*faults: Fault) -> list[Planned]:
    return [Planned(fault, random.Random(f"{SEED} {at}")) for at, fault in enumerate(faults)]


@pytest.mark.slow
def test_a_dozen_faults_strike_and_nothing_is_wrong(stage: Stage) -> None:
    known = {one.kind: one for one in (*COMMON, *SQLITE)}
    faults = [known[kind] for kind in KINDS]
    faults.insert(MISSING, Fault("miss", miss))
    stage.start()
    said: list[str] = []
    campaign = Campaign(stage, "test", SEED, said.append)
    counts = campaign.run(planned(*faults))
    assert campaign.failures == ["test, miss, fault 8 of 13: missed"]
    assert Counter(one.kind for one in campaign.struck) == Counter(KINDS)
    assert [one for one in said if one.startswith("✗")] == ["✗ miss: missed"]
    assert counts.wrongs == dict.fromkeys(counts.wrongs, 0)
    # It was no walk in an empty room.
    assert counts.attempts > counts.requests > 50
    assert counts.released > 20
    assert counts.acts > 20
    assert any("no answer" in kind for kind in campaign.answers)


def test_a_plan_has_every_kind_and_comes_out_the_same_from_the_same_seed() -> None:
    faults = (*COMMON, *SQLITE)
    kinds = [one.fault.kind for one in draw_plan(faults, 60, seed=1)]
    assert len(kinds) == 60
    assert set(kinds) == {fault.kind for fault in faults}
    assert kinds == [one.fault.kind for one in draw_plan(faults, 60, seed=1)]
    assert kinds != [one.fault.kind for one in draw_plan(faults, 60, seed=2)]


def test_every_failpoint_is_among_the_faults() -> None:
    kinds = {one.kind for one in COMMON}
    assert {f"gateway killed: {name}" for name in failpoints.NAMES} <= kinds
