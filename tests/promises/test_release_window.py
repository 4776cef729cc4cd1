"""A release is a right of an hour: through gateway and keyholders, as processes, on a chain."""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ledger.api import KeyedSubmission, Submissions
from ledger.api.access import decode_result, decode_results, encode_submissions
from ledger.hexstr import to_hex
from ledger.replay.sources import replay_node
from scripts.scenario import Chain
from tests.promises.test_whole_way import Town, good, problem
from tests.support.city import City, gateway_process, make_city
from wallet.regulator.journals import KeyholderJournal

pytestmark = pytest.mark.slow

WINDOW = 8


@pytest.fixture
def town(own_chain: Chain, tmp_path: Path) -> Iterator[Town]:
    """A town in which accesses are released for some seconds only."""
    own_chain.deployment = msgspec.structs.replace(own_chain.deployment, release_window=WINDOW)
    with (
        make_city(own_chain, tmp_path / "city") as city,
        gateway_process(city, tmp_path / "gateway", settings={"poll_interval": "0.02"}) as gateway,
    ):
        town = Town(city, gateway, {})
        yield town
        town.close()


def body_of(*submissions: KeyedSubmission) -> bytes:
    single = len(submissions) == 1
    return encode_submissions(Submissions(tuple(submissions), single=single))


def wait_for(chain: Chain, timestamp: int) -> None:
    while chain.now() < timestamp:
        time.sleep(0.1)


def test_the_same_request_is_answered_within_the_window_and_410_with_the_record_after_it(
    town: Town,
) -> None:
    person = town.city.person()
    town.publish()
    basis = town.granted(person)
    body = body_of(town.city.submission(basis))
    first = decode_result(town.send(body).content)
    assert first.recorded is not None
    assert town.city.open(decode_result(town.send(body).content)) == town.city.open(first)

    wait_for(town.city.chain, first.recorded.timestamp + WINDOW + 1)
    over = problem(town.send(body), 410, "release-over")
    assert (over["access"], over["sequence"], over["outcome"]) == (
        to_hex(first.recorded.access),
        first.recorded.sequence,
        "Allowed",
    )
    citizen = town.as_subject(person.subject)
    for listed in (
        good(citizen.get("/v1/history"))["entries"],
        good(town.bank.get("/v1/accesses"))["accesses"],
        good(
            town.as_party(town.city.chain.parties.regulator).get(
                f"/v1/trace?authorization={to_hex(basis)}"
            )
        )["accesses"],
    ):
        assert listed[0]["access"] == over["access"]
        assert listed[0]["release"] == "handed-out"
    assert good(town.as_party(town.city.chain.parties.insurer).get("/v1/accesses")) == {
        "accesses": [],
        "cursor": None,
    }


def test_a_revocation_stops_the_request_that_was_answered_before_and_replay_finds_nothing(
    town: Town,
) -> None:
    person = town.city.person()
    town.publish()
    basis = town.granted(person, max_uses=2)
    body = body_of(town.city.submission(basis))
    assert town.send(body).status_code == 200
    good(town.revoke(person, basis))
    stopped = problem(town.send(body), 403, "release-stopped")
    assert "revoked" in stopped["detail"]
    assert stopped["outcome"] == "Allowed"
    chain = town.city.chain
    journals = [
        KeyholderJournal(town.city.keyholders.home_of(number) / "releases.ndjson", str(number))
        for number in range(3)
    ]
    found = replay_node(chain.rpc, chain.deployment, journals).findings
    assert [one for one in found if one.source] == []


def test_with_all_keyholders_away_fifty_people_keep_their_one_use(town: Town) -> None:
    city: City = town.city
    people = [city.person() for _ in range(5)]
    town.publish()
    bases = [town.granted(people[number % 5]) for number in range(50)]
    city.keyholders.stop(3)
    body = body_of(*(city.submission(basis) for basis in bases))
    results = decode_results(town.send(body).content)
    assert {result.problem.type for result in results if result.problem is not None} == {
        "urn:quancheng:problem:cannot-record"
    }
    assert [result.recorded for result in results] == [None] * 50
    assert good(town.bank.get("/v1/accesses"))["accesses"] == []
    city.keyholders.start()
    again = decode_results(town.send(body).content)
    assert all(one.release is not None for one in again)
    assert len(good(town.bank.get("/v1/accesses"))["accesses"]) == 50
