"""Each party may send so much at once and so much per second, and is told when to come again."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, func, select

from gateway.errors import ThrottledError
from gateway.store.tables import request_nonces, sessions, used_challenges
from ledger.hexstr import to_hex
from ledger.model import Roles
from ledger.service import rate_limit
from ledger.service.rate_limit import RateLimit
from scripts.scenario import Chain, Party
from tests.gateway.test_authentication import answer_challenge, challenge, problem
from tests.support.gateway_server import GatewayServer, serve_gateway


class Clock:
    """Seconds, as the test says."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def refused(throttle: RateLimit, party: str, tokens: int = 1) -> int:
    with pytest.raises(ThrottledError) as caught:
        throttle.take(party, tokens)
    return caught.value.retry_after


def test_a_full_bucket_is_emptied_and_fills_again(clock: Clock) -> None:
    throttle = RateLimit(2.0, 10, clock=clock)
    for _ in range(10):
        throttle.take("bank")
    assert refused(throttle, "bank") == 1
    assert refused(throttle, "bank", 10) == 5
    clock.now += 1
    throttle.take("bank", 2)
    assert refused(throttle, "bank") == 1
    clock.now += 100
    throttle.take("bank", 10)
    refused(throttle, "bank")


def test_what_is_refused_costs_nothing_and_parties_do_not_share(clock: Clock) -> None:
    throttle = RateLimit(1.0, 3, clock=clock)
    for _ in range(20):
        refused(throttle, "bank", 4)
    throttle.take("bank", 3)
    throttle.take("insurer", 3)


def test_the_long_run_is_the_rate(clock: Clock) -> None:
    throttle, taken = RateLimit(7.0, 5, clock=clock), 0
    for _ in range(10_000):
        clock.now += 0.01
        try:
            throttle.take("bank")
        except ThrottledError:
            continue
        taken += 1
    assert 700 <= taken <= 705


def test_memory_is_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "_MOST", 100)
    limit = RateLimit(1.0, 2, clock=clock)
    for party in range(1_000):
        with suppress(ThrottledError):
            limit.take(party)
    assert len(limit._full_at) == 100
    clock.now += 1  # all are full again: there is room
    limit.take(2_000)
    assert len(limit._full_at) == 1


def test_nobody_gets_a_full_bucket_by_filling_the_table(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "_MOST", 100)
    limit = RateLimit(0.01, 3, clock=clock)
    for _ in range(3):
        limit.take("guesser")
    for other in range(1_000):
        with suppress(ThrottledError):
            limit.take(other)
    refused(limit, "guesser")


@pytest.fixture
async def gateway(chain: Chain, tmp_path: Path) -> AsyncIterator[GatewayServer]:
    url = f"sqlite:///{tmp_path}/gateway.db"
    slow: dict[str, Any] = {"requests_rate": 0.01, "requests_burst": 3}
    slow_sign_in: dict[str, Any] = {"sign_in_rate": 0.01, "sign_in_burst": 2}
    async with serve_gateway(chain, tmp_path, url, **slow, **slow_sign_in) as serving:
        yield serving


async def test_a_signer_is_throttled_over_http_and_others_are_not(gateway: GatewayServer) -> None:
    bank, insurer = gateway.chain.parties.bank, gateway.chain.parties.insurer
    for _ in range(3):
        assert problem(await gateway.send(bank, "GET", "/v1/inbox"))[1] == "not-a-subject"
    answer = await gateway.send(bank, "GET", "/v1/inbox")
    assert problem(answer) == (429, "throttled")
    assert 90 <= int(answer.headers["retry-after"]) <= 100
    assert answer.json()["retry_after"] == int(answer.headers["retry-after"])
    assert problem(await gateway.send(insurer, "GET", "/v1/inbox"))[1] == "not-a-subject"
    metrics = (await gateway.send(None, "GET", "/metrics")).text
    assert 'quancheng_problems_total{problem="throttled"} 1.0' in metrics


async def test_nobody_can_use_up_the_requests_of_somebody_else(gateway: GatewayServer) -> None:
    bank, insurer = gateway.chain.parties.bank, gateway.chain.parties.insurer
    for _ in range(10):
        signing = gateway.signing(insurer)
        headers = gateway.signed_headers(signing, "GET", "/v1/inbox")
        headers["signature-input"] = headers["signature-input"].replace(
            to_hex(insurer.address), to_hex(bank.address)
        )
        answer = await gateway.http.get("/v1/inbox", headers=headers)
        assert problem(answer) == (401, "unauthenticated")
    assert problem(await gateway.send(bank, "GET", "/v1/inbox"))[1] == "not-a-subject"


async def test_strangers_share_a_bucket_and_use_up_nobody_elses(gateway: GatewayServer) -> None:
    """Whoever draws keys has as many as it likes: none of them is worth a bucket."""
    for _ in range(3):
        assert problem(await gateway.send(drawn(), "GET", "/v1/inbox"))[1] == "not-a-subject"
    for _ in range(3):
        assert problem(await gateway.send(drawn(), "GET", "/v1/inbox")) == (429, "throttled")
    bank = gateway.chain.parties.bank
    assert problem(await gateway.send(bank, "GET", "/v1/inbox"))[1] == "not-a-subject"
    subject = await asyncio.to_thread(gateway.chain.register_subject)
    await gateway.has(await asyncio.to_thread(gateway.chain.wait_for_block))
    person = replace(gateway.signing(bank), by=subject.private_key)
    assert (await gateway.send(person, "GET", "/v1/inbox")).status_code == 200


async def test_a_signed_request_sent_again_uses_up_nothing(gateway: GatewayServer) -> None:
    bank = gateway.chain.parties.bank
    headers = gateway.signed_headers(gateway.signing(bank), "GET", "/v1/inbox")
    assert (await gateway.http.get("/v1/inbox", headers=headers)).status_code == 403
    for _ in range(10):
        answer = await gateway.http.get("/v1/inbox", headers=headers)
        assert problem(answer) == (401, "replayed")
    for _ in range(2):
        assert problem(await gateway.send(bank, "GET", "/v1/inbox"))[1] == "not-a-subject"
    assert problem(await gateway.send(bank, "GET", "/v1/inbox")) == (429, "throttled")


async def test_who_sends_too_much_costs_no_write(gateway: GatewayServer) -> None:
    bank = gateway.chain.parties.bank
    for _ in range(20):
        await gateway.send(bank, "GET", "/v1/inbox")
    assert await rows(gateway, request_nonces) == 3


# Signing in


async def test_asking_for_challenges_keeps_nothing_and_keeps_nobody_from_signing_in(
    gateway: GatewayServer,
) -> None:
    bank = gateway.chain.parties.bank
    text = await challenge(gateway, bank.address)
    for _ in range(100):  # in the bank's own name, too
        await challenge(gateway, bank.address)
        await challenge(gateway, secrets.token_bytes(20))
    assert await rows(gateway, used_challenges) == await rows(gateway, sessions) == 0
    answer = await answer_challenge(gateway, text, bank.address, bank.private_key)
    assert answer.status_code == 201


async def test_a_challenge_answered_wrongly_or_again_uses_up_nothing(
    gateway: GatewayServer,
) -> None:
    bank, insurer = gateway.chain.parties.bank, gateway.chain.parties.insurer
    text = await challenge(gateway, bank.address)
    for _ in range(5):  # somebody else answers it: it is still the bank's
        refused = await answer_challenge(gateway, text, bank.address, insurer.private_key)
        assert problem(refused) == (401, "challenge")
    assert (await answer_challenge(gateway, text, bank.address, bank.private_key)).is_success
    for _ in range(5):
        again = await answer_challenge(gateway, text, bank.address, bank.private_key)
        assert problem(again) == (401, "challenge")
    other = await challenge(gateway, bank.address)
    assert (await answer_challenge(gateway, other, bank.address, bank.private_key)).is_success


async def test_strangers_who_sign_in_are_bounded_and_keep_no_party_out(
    gateway: GatewayServer,
) -> None:
    slugs = []
    for _ in range(6):
        stranger = drawn()
        text = await challenge(gateway, stranger.address)
        answer = await answer_challenge(gateway, text, stranger.address, stranger.private_key)
        slugs.append(answer.status_code)
    assert slugs == [201, 201, 429, 429, 429, 429]
    assert await rows(gateway, sessions) == 2
    bank = gateway.chain.parties.bank
    text = await challenge(gateway, bank.address)
    assert (await answer_challenge(gateway, text, bank.address, bank.private_key)).is_success


async def test_gateways_on_one_database_know_each_others_challenges(
    chain: Chain, tmp_path: Path, database_url: str
) -> None:
    bank = chain.parties.bank
    (tmp_path / "b").mkdir()
    async with (
        serve_gateway(chain, tmp_path, database_url) as first,
        serve_gateway(chain, tmp_path / "b", database_url) as second,
    ):
        texts = [await challenge(first, bank.address) for _ in range(2)]
        for text, there in zip(texts, (second, first), strict=True):
            assert (await answer_challenge(there, text, bank.address, bank.private_key)).is_success
        for there in (first, second):
            again = await answer_challenge(there, texts[0], bank.address, bank.private_key)
            assert problem(again) == (401, "challenge")


def drawn() -> Party:
    """Somebody of whom nothing is known."""
    return Party(secrets.token_hex(8), Roles(0))


async def rows(gateway: GatewayServer, table: Table) -> int:
    row = await gateway.services.database.one(select(func.count()).select_from(table))
    return int(row[0])
