"""Each party may send so much at once and so much per second, and is told when to come again."""

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ThrottledError
from ledger.hexes import to_hex
from ledger.service import rate_limit
from ledger.service.rate_limit import RateLimit
from tests.gateway.test_authentication import problem
from tests.support.chain import Chain
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
    url = f"sqlite+aiosqlite:///{tmp_path}/gateway.db"
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


async def test_challenges_are_throttled_by_address(gateway: GatewayServer) -> None:
    wanted = {"signer": "0x" + "1" * 40}
    for _ in range(2):
        answer = await gateway.send(None, "POST", "/v1/sessions/challenge", wanted)
        assert answer.status_code == 201
    answer = await gateway.send(None, "POST", "/v1/sessions/challenge", wanted)
    assert problem(answer) == (429, "throttled")
    assert (await gateway.send(None, "GET", "/v1/catalogue")).status_code == 200
