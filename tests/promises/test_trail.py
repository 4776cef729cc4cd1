"""Promises 1, 2, 4 and 5 by counting: many at once, then everything is held against the node alone."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ledger.api import AccessResult, Submissions
from ledger.api.access import decode_results, encode_submissions
from ledger.chain import eth_methods
from ledger.chain.events import Accessed, Event, Revoked
from ledger.chain.events.decoder import EventDecoder
from ledger.hexstr import from_hex
from ledger.model import Outcome
from ledger.replay.journal_check import Journal
from ledger.replay.sources import replay_node
from scripts.scenario import Chain, Person
from tests.promises.test_whole_way import Town, good
from tests.support.city import gateway_process, make_city
from wallet.regulator.journals import GatewayJournal, KeyholderJournal


@pytest.fixture(scope="module")
def town(module_chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A town on a chain of its own, so that every access on it is this gateway's."""
    home = tmp_path_factory.mktemp("trail")
    with make_city(module_chain, home / "city") as city, gateway_process(city, home) as gateway:
        town = Town(city, gateway, {})
        yield town
        town.close()


@pytest.fixture(scope="module")
def people(town: Town) -> list[Person]:
    people = [town.city.person() for _ in range(4)]
    town.publish()
    return people


def use(town: Town, basis: bytes, count: int, *, fields: int = 0b101) -> list[AccessResult]:
    """Use a basis so many times at once, in one list."""
    submissions = tuple(town.city.submission(basis, fields=fields) for _ in range(count))
    body = encode_submissions(Submissions(submissions, single=False))
    first, again = decode_results(town.send(body).content), decode_results(town.send(body).content)
    assert [one.recorded for one in first] == [one.recorded for one in again]
    return list(first)


def decoded(town: Town, contract: bytes) -> Sequence[Event]:
    chain = town.city.chain
    newest = chain.rpc.send(eth_methods.block_number())
    logs = chain.rpc.send(eth_methods.logs(0, newest, [contract]))
    return EventDecoder(chain.contracts).decode_all(logs)


def events(town: Town) -> list[Accessed]:
    found = decoded(town, town.city.chain.contracts.access_log)
    return [one for one in found if isinstance(one, Accessed)]


def test_uses_are_counted_exactly_however_many_come_at_once(
    town: Town, people: list[Person]
) -> None:
    bases = [town.granted(person, max_uses=5) for person in people]
    with ThreadPoolExecutor(8) as pool:
        runs = [pool.submit(use, town, basis, 4) for basis in bases for _ in range(3)]
        results = [one for run in runs for one in run.result()]
    counted = Counter(
        (result.request.basis, result.recorded.outcome)
        for result in results
        if result.request is not None and result.recorded is not None
    )
    for basis in bases:
        assert counted[basis, Outcome.ALLOWED] == 5
        assert counted[basis, Outcome.USES_EXHAUSTED] == 7


def test_nothing_is_allowed_after_a_revocation_was_final(town: Town, people: list[Person]) -> None:
    basis = town.granted(people[0], max_uses=1000)
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(use, town, basis, 5) for _ in range(8)]
        revoked = good(town.revoke(people[0], basis))["block_number"]
        results = [one for run in runs for one in run.result()]
    results += use(town, basis, 3)
    recorded = [result.recorded for result in results if result.recorded is not None]
    assert len(recorded) == len(results)
    for one in recorded:
        if one.block_number > revoked:
            assert one.outcome == Outcome.REVOKED
        if one.block_number < revoked:
            assert one.outcome == Outcome.ALLOWED
    assert Outcome.REVOKED in {one.outcome for one in recorded}


def test_every_release_has_a_record_and_every_record_a_signature(
    town: Town, people: list[Person], tmp_path: Path
) -> None:
    use(town, town.granted(people[1], max_uses=3), 4)
    use(town, b"\x01" * 32, 2)
    found = events(town)
    assert [one.sequence for one in found] == list(range(1, len(found) + 1))

    regulator = town.as_party(town.city.chain.parties.regulator)
    path = tmp_path / "gateway.ndjson"
    path.write_bytes(regulator.get("/v1/journal").content)
    *lines, end = [json.loads(line) for line in path.read_text().splitlines()]
    assert end["kind"] == "end"
    assert end["block"] >= found[-1].block.number
    assert [line["sequence"] for line in lines] == [one.sequence for one in found]
    acts = decoded(town, town.city.chain.contracts.authorizations)
    revoked = {act.authorization for act in acts if isinstance(act, Revoked)}
    for line, event in zip(lines, found, strict=True):
        if line["released"] is not None:
            assert event.outcome == Outcome.ALLOWED
        elif event.basis not in revoked:  # a release may have come behind the revocation
            assert event.outcome != Outcome.ALLOWED
        assert from_hex(line["transaction"]) == event.transaction

    journals: list[Journal] = [
        GatewayJournal(path),
        *(
            KeyholderJournal(town.city.keyholders.home_of(n) / "releases.ndjson", f"keyholder {n}")
            for n in range(3)
        ),
    ]
    report = replay_node(town.city.chain.rpc, town.city.chain.deployment, journals)
    assert report.findings == ()
