"""A regulator hears of everything as it happens, each once, and can go on where it was."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from gateway.notifications import ALERTS
from gateway.store.alerts import StoredAlert
from ledger.chain import contract_calls
from ledger.hexstr import to_hex
from ledger.model import Roles
from ledger.typed_data import AccessRequest
from scripts.scenario import Party
from tests.gateway.test_authentication import problem
from tests.support.gateway_server import GatewayServer


@dataclass
class Feed:
    """A stream that is being read."""

    lines: AsyncIterator[str]
    heard: dict[str, list[Any]] = field(default_factory=dict)

    async def until(self, kind: str, number: int) -> list[Any]:
        """Read on until so many of a kind were heard."""
        async with asyncio.timeout(60):
            while len(self.heard.get(kind, [])) < number:
                line = await anext(self.lines)
                name, _, value = line.partition(": ")
                if name == "event":
                    self.kind = value
                elif name == "data":
                    self.heard.setdefault(self.kind, []).extend(json.loads(value))
        return self.heard[kind]


@asynccontextmanager
async def feed(gateway: GatewayServer, query: str = "") -> AsyncIterator[Feed]:
    path = f"/v1/feed{query}"
    regulator = gateway.signing(gateway.chain.parties.regulator)
    headers = gateway.signed_headers(regulator, "GET", path)
    async with gateway.http.stream("GET", path, headers=headers) as response:
        assert response.status_code == httpx.codes.OK
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Feed(response.aiter_lines())


def request(gateway: GatewayServer, nonce: int) -> AccessRequest:
    bank = gateway.chain.parties.bank
    return AccessRequest(bank.address, b"\x07" * 32, bytes(32), 1, nonce, 2**40 - 1)


async def test_accesses_events_and_alerts_are_heard_as_they_happen(gateway: GatewayServer) -> None:
    chain = gateway.chain
    async with feed(gateway) as following:
        newcomer = Party("Newcomer of the feed", Roles.CONSUMER)
        admit = contract_calls.admit(newcomer.address, newcomer.roles, newcomer.name)
        await asyncio.to_thread(chain.send, chain.parties.authority, admit)
        (event,) = await following.until("events", 1)
        assert (event["name"], event["members"]["party"]) == (
            "PartyAdmitted",
            to_hex(newcomer.address),
        )
        recorded = await asyncio.to_thread(
            chain.record, [request(gateway, 2**60 + number) for number in range(3)]
        )
        accesses = await following.until("accesses", 3)
        assert [access["sequence"] for access in accesses] == [one.sequence for one in recorded]
        assert {access["outcome"] for access in accesses} == {"UnknownBasis"}
        alert = StoredAlert(0, "key", "rate", "warning", None, None, 1, 2, "many", 1_800_000_000)
        await gateway.services.alerts.put(alert)
        gateway.services.topics.notify(ALERTS)
        (shown,) = await following.until("alerts", 1)
        assert (shown["rule"], shown["text"]) == ("rate", "many")
        assert len(following.heard["events"]) == 1


async def test_who_was_away_goes_on_where_it_was(gateway: GatewayServer) -> None:
    chain = gateway.chain
    recorded = await asyncio.to_thread(
        chain.record, [request(gateway, 2**61 + number) for number in range(4)]
    )
    await gateway.has(await asyncio.to_thread(chain.wait_for_block))
    query = f"?after={recorded[1].sequence}&after_event=0"
    async with feed(gateway, query) as following:
        accesses = await following.until("accesses", 2)
        assert [access["sequence"] for access in accesses] == [one.sequence for one in recorded[2:]]
        events = await following.until("events", 5)
        keys = [event["key"] for event in events]
        assert keys == sorted(set(keys))
        assert keys[0] == 1


async def test_nobody_but_a_regulator_is_told(gateway: GatewayServer) -> None:
    answer = await gateway.send(gateway.chain.parties.bank, "GET", "/v1/feed")
    assert problem(answer) == (403, "role-missing")
    assert problem(await gateway.send(None, "GET", "/v1/feed")) == (401, "unauthenticated")
