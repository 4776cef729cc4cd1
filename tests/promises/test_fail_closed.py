"""What cannot be recorded does not happen, and says so: nothing leaves, nothing is lost, a retry works."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from ledger.api import Submissions
from ledger.api.access import decode_result, encode_submissions
from scripts.scenario import Chain
from tests.promises.test_whole_way import Town, problem
from tests.support.city import City, gateway_process, make_city

pytestmark = pytest.mark.slow

_SETTINGS = {
    "poll_interval": "0.02",
    "access_timeout": "2",
    "node_timeout": "2",
    "database_timeout": "0.5",
    "keyholder_timeout": "2",
}


@pytest.fixture
def town(city: City, tmp_path: Path) -> Iterator[Town]:
    """A gateway of the test's own; the keyholders run again before and after."""
    city.keyholders.start()
    with gateway_process(city, tmp_path / "gateway", settings=_SETTINGS) as gateway:
        town = Town(city, gateway, {})
        yield town
        town.close()
    city.keyholders.start()


@pytest.fixture
def own_town(own_chain: Chain, tmp_path: Path) -> Iterator[Town]:
    """One whose node a test may stop."""
    with (
        make_city(own_chain, tmp_path / "city") as city,
        gateway_process(city, tmp_path / "gateway", settings=_SETTINGS) as gateway,
    ):
        town = Town(city, gateway, {})
        yield town
        town.close()


def until(holds: Callable[[], bool], seconds: float = 120) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never held"
        time.sleep(0.1)


def is_ready(town: Town) -> bool:
    return httpx.get(f"{town.gateway.url}/readyz").status_code == 200


def test_a_locked_database_is_a_503_and_a_retry_works(town: Town, tmp_path: Path) -> None:
    person = town.city.person()
    town.publish()
    basis = town.granted(person)
    body = encode_submissions(Submissions((town.city.submission(basis),), single=True))
    with sqlite3.connect(tmp_path / "gateway" / "gateway.db", isolation_level=None) as locker:
        locker.execute("BEGIN EXCLUSIVE")
        found = problem(town.send(body), 503, "store-unavailable")
        assert "sealed" not in str(found)
        ready = httpx.get(f"{town.gateway.url}/readyz", timeout=30)
        assert ready.status_code == 503
        assert ready.json()["checks"]["database"] == "locked"
        locker.execute("ROLLBACK")
    result = decode_result(town.send(body).content)
    assert len(town.city.open(result)) == 2


def test_without_keyholders_nothing_is_recorded_and_the_use_is_kept(town: Town) -> None:
    person = town.city.person()
    town.publish()
    basis = town.granted(person)
    body = encode_submissions(Submissions((town.city.submission(basis),), single=True))
    town.city.keyholders.stop(2)
    refused = problem(town.send(body), 503, "cannot-record")
    assert "1 of 3 keyholders are ready" in refused["detail"]
    assert "sequence" not in refused
    town.city.keyholders.start()
    again = decode_result(town.send(body).content)
    assert again.recorded is not None
    assert len(town.city.open(again)) == 2
    assert problem(town.use(basis), 403, "denied")["outcome"] == "UsesExhausted"


def test_one_keyholder_away_is_not_noticed(town: Town) -> None:
    person = town.city.person()
    town.publish()
    town.city.keyholders.stop(1)
    for _ in range(3):
        result = decode_result(town.use(town.granted(person)).content)
        assert len(town.city.open(result)) == 2


def test_without_a_node_nothing_is_recorded_and_nothing_leaves(own_town: Town) -> None:
    town = own_town
    person = town.city.person()
    town.publish()
    basis = town.granted(person)
    body = encode_submissions(Submissions((town.city.submission(basis),), single=True))
    town.city.chain.node.stop()
    found = problem(town.send(body), 503, "cannot-record")
    assert "outcome" not in found
    until(lambda: not is_ready(town))
    until(lambda: bool(httpx.get(f"{town.gateway.url}/readyz").json()["checks"]["chain"]))
    town.city.chain.node.start()
    until(lambda: is_ready(town))
    result = decode_result(town.send(body).content)
    assert len(town.city.open(result)) == 2


def test_everything_is_there_after_a_restart(town: Town, city: City, tmp_path: Path) -> None:
    person = town.city.person()
    town.publish()
    basis = town.granted(person)
    body = encode_submissions(Submissions((town.city.submission(basis),), single=True))
    first = decode_result(town.send(body).content)
    town.gateway.kill()
    with gateway_process(city, tmp_path / "gateway") as gateway:
        restarted = Town(city, gateway, {})
        again = decode_result(restarted.send(body).content)
        assert again.recorded == first.recorded
        assert city.open(again) == city.open(first)
        regulator = restarted.as_party(city.chain.parties.regulator)
        lines = regulator.get("/v1/journal").text.splitlines()
        sequences = [json.loads(line).get("sequence") for line in lines]
        assert [sequence for sequence in sequences if sequence] == [first.recorded.sequence]  # type: ignore[union-attr]
        restarted.close()
