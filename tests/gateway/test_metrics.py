"""Each alarm worth having has a figure, and a scrape of /metrics alone shows all of them."""

import asyncio

from prometheus_client.parser import text_string_to_metric_families

from gateway.store.alerts import StoredAlert
from ledger.api import Submissions
from ledger.api.access import encode_submissions
from ledger.typed_data import AccessRequest
from scripts.answer_keys import DrawnKeys
from scripts.scenario import ROSTER
from tests.gateway.test_authentication import problem
from tests.support.gateway_server import GatewayServer


async def figures(gateway: GatewayServer) -> dict[str, float]:
    """Everything that /metrics shows, by name and labels."""
    text = (await gateway.send(None, "GET", "/metrics")).text
    return {
        sample.name + "".join(f"|{value}" for _, value in sorted(sample.labels.items())): float(
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_a_scrape_shows_what_alarms_need(gateway: GatewayServer) -> None:
    alert = StoredAlert(0, "key", "rate", "warning", None, None, 1, 2, "many", 1_800_000_000)
    await gateway.services.alerts.put(alert)
    number = await asyncio.to_thread(gateway.chain.wait_for_block)
    await gateway.has(number)
    found = await figures(gateway)
    assert found["quancheng_indexed_block"] >= number
    assert found["quancheng_final_block"] >= number
    assert abs(found["quancheng_indexed_block_timestamp_seconds"] - gateway.chain.now()) < 10
    assert found["quancheng_ready|database"] == 1
    assert found["quancheng_ready|recorder"] == 0
    assert found["quancheng_ready|keyholders"] == 0
    assert found["quancheng_keyholders_ready"] == 0
    assert found["quancheng_keyholders_needed"] == ROSTER.threshold, "also while none answers"
    assert found["quancheng_last_alert"] == 1
    assert found["quancheng_journal_disk_free_bytes"] > 0
    assert found["quancheng_accesses_waiting"] == 0
    assert found["quancheng_requests_in_flight"] == 1, "the scrape itself"
    assert found["process_resident_memory_bytes"] > 0


async def test_accesses_are_counted_by_what_became_of_them(gateway: GatewayServer) -> None:
    bank = gateway.chain.parties.bank
    domain = gateway.chain.deployment.domain_of(AccessRequest)
    keys = DrawnKeys(domain, bank.address)
    signed = keys.submission(bank.private_key, b"\x07" * 32, fields=1, deadline=2**39)
    for submissions, number in (((signed,), 1), ((signed, signed), 3)):
        single = len(submissions) == 1
        body = encode_submissions(Submissions(submissions, single=single))
        answer = await gateway.http.post(
            "/v1/accesses", content=body, headers={"content-type": "application/json"}
        )
        if single:
            assert problem(answer) == (503, "cannot-record")
        found = await figures(gateway)
        assert found["quancheng_accesses_total|none"] == number
        assert found["quancheng_accesses_unreleased_total"] == 0
