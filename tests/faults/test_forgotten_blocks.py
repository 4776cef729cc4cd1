"""The embedded chain forgets blocks when its node is killed; the running gateway notices, brings everything back
from its journal, says what came out otherwise, and serves again only when the trail is whole.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from ledger.api import AccessResult, Consent, Submissions
from ledger.api.access import decode_result, encode_submissions
from ledger.chain import contract_calls
from ledger.chain.events import (
    Accessed,
    Event,
    Granted,
    PurposeRegistered,
    PurposeTerms,
    Revoked,
    Text,
)
from ledger.model import Outcome
from ledger.replay.report import Kind
from ledger.typed_data import AccessRequest, Authorization, struct_hash
from scripts.answer_keys import DrawnKeys
from scripts.faults.campaign import Pace, count_all, driver, events_of, replay, unexplained
from scripts.faults.citizens import new_authorization
from scripts.faults.stage import Stage
from scripts.faults.told import PlayReport
from scripts.faults.town import Town
from scripts.scenario import DAY, YEAR
from wallet.client.party import ChainAccess, PartyKey
from wallet.client.transactions import transact
from wallet.client.transports import Client, Endpoints

pytestmark = pytest.mark.slow
SEED = 9
SOME = 60


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A stage whose node forgets everything since the last checkpoint."""
    town = Town(tmp_path, people=6, state_interval=0)
    stage = Stage(town)
    yield stage
    stage.stop()
    town.close()


def play(stage: Stage, seed: int) -> PlayReport:
    """Let the driver play until some accesses were served; nothing is under way afterwards."""
    with driver(stage, seed, Pace(patience=30)) as found:
        until = time.monotonic() + 60
        while len(found.served) < SOME:
            assert time.monotonic() < until
            time.sleep(0.05)
        told = found.finish()
    assert told.unanswered == 0
    return told


def said(events: list[Event]) -> list[tuple[bytes, bytes]]:
    """What a trail says: transactions in their order, and for each access everything that was decided."""
    return [
        (event.transaction, event.data if isinstance(event, Accessed) else b"") for event in events
    ]


def times(events: list[Event]) -> list[int]:
    return [event.block.timestamp for event in events]


def forget(stage: Stage) -> None:
    """Kill the node and start it again; nothing that happened since the start is on it."""
    before = stage.sequence()
    stage.node.kill()
    stage.node.start()
    assert (before > SOME, stage.sequence()) == (True, 0)


def relay_purpose(stage: Stage) -> None:
    """Let the authority register a purpose by a transaction of its own, relayed by the gateway."""
    town = stage.town
    terms = PurposeTerms("other", (Text("en", "I let {consumer} read."),), YEAR, 5, 0, YEAR)
    key = PartyKey(town.chain.parties.authority.private_key)
    chain_id = town.chain.deployment.chain_id
    with Client(Endpoints(stage.gateway.url), key=key, chain_id=chain_id) as client:
        ledger = ChainAccess(town.chain.deployment, own_node=False)
        client.run(transact(ledger, key, contract_calls.register_purpose(terms)))


def grant_unrelayed(town: Town) -> Authorization:
    """Let a person's grant reach the node without the gateway; return what was signed."""
    terms, citizen = town.terms, town.people[0]
    record = new_authorization(terms.dataset, terms.purpose, citizen, terms.consumer, 5)
    town.chain.send(town.chain.parties.authority, town.chain.grant_call(citizen.subject, record))
    return record


def use(stage: Stage, basis: bytes, consent: Consent | None = None) -> AccessResult:
    """Use an authorization once."""
    town = stage.town
    bank = town.terms.consumer
    keys = DrawnKeys(town.chain.deployment.domain_of(AccessRequest), bank.address)
    deadline = int(time.time()) + DAY
    plain = keys.submission(bank.private_key, basis, fields=1, deadline=deadline)
    keyed = msgspec.structs.replace(plain, consent=consent)
    body = encode_submissions(Submissions((keyed,), single=True))
    until = time.monotonic() + 60
    while True:
        answer = httpx.post(f"{stage.gateway.url}/v1/accesses", content=body, timeout=30)
        if answer.status_code != 503:
            break
        assert time.monotonic() < until
    assert answer.status_code == 200, answer.text
    return decode_result(answer.content)


def standing(stage: Stage) -> bytes:
    """An authorization of the first consumer that stands, for many uses."""
    events, consumer = events_of(stage), stage.town.terms.consumer.address
    revoked = {event.authorization for event in events if isinstance(event, Revoked)}
    return next(
        event.authorization
        for event in events
        if isinstance(event, Granted)
        and event.consumer == consumer
        and event.terms.max_uses >= 1000
        and event.authorization not in revoked
    )


def wait_for_line(log: Path, text: str) -> str:
    until = time.monotonic() + 20
    while True:
        for line in log.read_text(encoding="utf-8").splitlines():
            if text in line:
                return line
        assert time.monotonic() < until, text
        time.sleep(0.1)


def test_a_running_gateway_brings_everything_back_before_it_serves_again(stage: Stage) -> None:
    stage.start()
    told = play(stage, SEED)
    relay_purpose(stage)
    stage.settle()
    before = events_of(stage)
    kinds = {type(one) for one in before}
    assert {Granted, Revoked, Accessed, PurposeRegistered} <= kinds
    basis = standing(stage)
    forget(stage)
    used = use(stage, basis)
    back = events_of(stage)[: len(before)]
    assert said(back) == said(before)
    number = sum(isinstance(one, Accessed) for one in before) + 1
    assert (used.recorded is not None, stage.sequence()) == (True, number)
    assert max(abs(a - b) for a, b in zip(times(back), times(before), strict=True)) <= 1
    again = play(stage, SEED + 1)
    counts = count_all(stage, told, findings=0)
    assert counts.is_good
    assert min(access.sequence for access in again.accesses) == number + 1
    assert "the chain lost blocks" in stage.gateway.log.read_text(encoding="utf-8")
    report = replay(stage)
    found = {finding.kind for finding in report.findings}
    assert Kind.OTHER_BLOCK in found, "keyholders had noted the blocks that are gone"
    assert unexplained(stage, report) == []


def test_what_comes_out_otherwise_is_reported(stage: Stage) -> None:
    """Control: a grant that nobody relayed is in no journal, and what rested on it is denied now."""
    stage.start()
    play(stage, SEED)
    town = stage.town
    record = grant_unrelayed(town)
    basis = struct_hash(record)
    used = use(stage, basis, Consent(record, town.people[0].link))
    assert used.recorded is not None
    assert used.release is not None
    relayed = standing(stage)
    forget(stage)
    use(stage, relayed)
    [now] = [
        event for event in events_of(stage) if isinstance(event, Accessed) and event.basis == basis
    ]
    assert (now.outcome, now.sequence) == (Outcome.UNKNOWN_BASIS, used.recorded.sequence)
    number = used.recorded.sequence
    said = f"was Allowed as number {number}, is UnknownBasis as number {number}"
    assert "came out differently" in wait_for_line(stage.gateway.log, said)
    metrics = httpx.get(f"{stage.gateway.url}/metrics", timeout=30).text
    assert "quancheng_reconciliation_differences 1.0" in metrics
    kinds = {one.kind for one in unexplained(stage, replay(stage))}
    assert kinds == {Kind.RELEASE_WITHOUT_RECORD}
    assert play(stage, SEED + 1).accesses
