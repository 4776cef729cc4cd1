"""The whole story at a small size: told, left running, and stopped."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from ledger.chain import eth_methods
from ledger.chain.rpc import Rpc
from tests.story.running import SMALL, Run
from wallet.supervisor import read_addresses

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ACTS = 13
OUTCOMES = {
    "Allowed",
    "ConsumerRestricted",
    "UnknownBasis",
    "DatasetInactive",
    "AgreementInactive",
    "Revoked",
    "Frozen",
    "ItemExceeded",
    "FieldsExceeded",
    "TooSoon",
    "UsesExhausted",
}


@dataclass(frozen=True)
class Told:
    run: Run
    data: Path
    status: int
    output: str


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    run, data = Run(), tmp_path_factory.mktemp("story") / "data"
    status, output = run.finish("scripts.demo", "--keep", "--data", str(data), *SMALL)
    yield Told(run, data, status, output)
    if (data / "lock").exists():
        run.finish("scripts.demo", "--stop", str(data))
    assert run.processes() == []


def test_every_act_is_as_the_story_says(told: Told) -> None:
    assert told.status == 0, told.output
    verdict = re.search(r"✓ (\d+) checks in (\d+) acts", told.output)
    assert verdict is not None, told.output
    assert int(verdict[1]) > 75
    assert int(verdict[2]) == ACTS
    assert "✗" not in told.output
    assert all(outcome in told.output for outcome in OUTCOMES)


def test_what_is_left_running_goes_on_and_stops_on_request(told: Told) -> None:
    addresses = read_addresses(told.data / "addresses.json")
    assert addresses.gateway in told.output
    assert httpx.get(f"{addresses.gateway}/readyz").status_code == httpx.codes.OK
    with Rpc(addresses.node) as node:
        before, until = node.send(eth_methods.block_number()), time.monotonic() + 20
        while node.send(eth_methods.block_number()) == before:
            assert time.monotonic() < until, "the chain stands still"
            time.sleep(0.2)
    status, output = told.run.finish("scripts.demo", "--stop", str(told.data))
    assert status == 0
    assert "stopped gateway, " in output
    assert told.run.processes() == []


def test_a_story_is_not_told_twice_in_one_place(told: Told) -> None:
    status, output = told.run.finish("scripts.demo", "--data", str(told.data), *SMALL)
    assert status == 1
    assert "has a story already" in output
