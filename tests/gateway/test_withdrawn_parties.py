"""Who was withdrawn has no role any more, on every route that needs one; its own history it may still read."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pytest

from ledger.chain import contract_calls
from ledger.chain.contract_calls import ContractCall
from ledger.hexstr import to_hex
from ledger.model import Roles
from scripts.scenario import Party
from tests.gateway.test_authentication import problem
from tests.support.gateway_server import JSON, NDJSON, GatewayServer

_HASH: Final = to_hex(b"\x07" * 32)
_OWN: Final = "a party's own history, which it needs to answer for what it did"
_PEOPLE: Final = "judged by the subjects that the signer signs for now"
_PUBLIC: Final = "anybody may know"
_CHAIN: Final = "the contracts judge what was signed"

NEEDS: Final[dict[tuple[str, str], Roles]] = {
    ("POST", "/v1/datasets/{dataset}/uploads"): Roles.PROVIDER,
    ("GET", "/v1/uploads/{upload}"): Roles.PROVIDER,
    ("PUT", "/v1/uploads/{upload}/lines"): Roles.PROVIDER,
    ("POST", "/v1/uploads/{upload}/seal"): Roles.PROVIDER,
    ("POST", "/v1/uploads/{upload}/publish"): Roles.PROVIDER,
    ("DELETE", "/v1/uploads/{upload}"): Roles.PROVIDER,
    ("GET", "/v1/datasets/{dataset}/accesses"): Roles.PROVIDER,
    ("GET", "/v1/applications"): Roles.PROVIDER,
    ("POST", "/v1/requests"): Roles.CONSUMER,
    ("POST", "/v1/keyholder-reports"): Roles.CONSUMER,
    ("GET", "/v1/keyholder-reports"): Roles.REGULATOR,
    ("GET", "/v1/trace"): Roles.REGULATOR,
    ("GET", "/v1/alerts"): Roles.REGULATOR,
    ("GET", "/v1/feed"): Roles.REGULATOR,
    ("GET", "/v1/journal"): Roles.REGULATOR,
    ("POST", "/v1/handles"): Roles.IDENTITY_AUTHORITY,
}
"""Routes that a party without its role is turned away from."""

NEEDS_NONE: Final[dict[tuple[str, str], str]] = {
    (
        "POST",
        "/v1/datasets/{dataset}/erasures",
    ): "does only what a tombstone on chain says, which it needed its role for",
    ("POST", "/v1/accesses"): "what a consumer signed is recorded; the chain denies it",
    ("GET", "/v1/accesses"): _OWN,
    ("GET", "/v1/accesses/{access}"): f"{_OWN}; keyholders release nothing more",
    ("GET", "/v1/requests/{request}"): f"{_OWN}, without the link",
    ("GET", "/v1/requests/{request}/events"): f"{_OWN}, without the link",
    ("GET", "/v1/inbox"): _PEOPLE,
    ("GET", "/v1/inbox/events"): _PEOPLE,
    ("POST", "/v1/inbox/{request}/refusal"): _PEOPLE,
    ("GET", "/v1/authorizations"): _PEOPLE,
    ("GET", "/v1/history"): _PEOPLE,
    ("GET", "/v1/receipts/{access}"): _PEOPLE,
    **{
        ("POST", f"/v1/{name}"): _CHAIN
        for name in ("authorizations", "revocations", "confirmations", "freezes", "rotations")
    },
    **{("POST", f"/v1/{name}"): _CHAIN for name in ("vetoes", "guardians", "transactions")},
    **{
        ("GET", f"/v1/{name}"): _PUBLIC
        for name in ("catalogue", "purposes", "parties", "deployment", "stats", "revocations")
    },
    **{
        ("GET", path): _PUBLIC
        for path in (
            "/v1/datasets/{dataset}",
            "/v1/parties/{address}",
            "/v1/transactions/{address}",
            "/v1/revocations/logs",
            "/v1/revocations/events",
            "/healthz",
            "/readyz",
            "/metrics",
        )
    },
    ("POST", "/v1/sessions/challenge"): "a session is a signer's, not a party's",
    ("POST", "/v1/sessions"): "a session is a signer's, not a party's",
}
"""All others, each with the reason."""


@dataclass
class Stage:
    """A party in a role, and what its requests are about."""

    gateway: GatewayServer
    party: Party
    names: dict[str, str]

    async def status(self, method: str, template: str) -> tuple[int, str]:
        """Send a request of the party to a route; return status and kind of problem."""
        path = template.format(**self.names)
        value, media = _body(method, template, self.names)
        headers = {"content-type": media} if value else {}
        signing = self.gateway.signing(self.party)
        headers |= self.gateway.signed_headers(signing, method, path, value)
        async with self.gateway.http.stream(
            method, path, content=value or None, headers=headers
        ) as answer:
            if answer.status_code < 400:
                return answer.status_code, ""  # streams have no end to wait for
            await answer.aread()
            return problem(answer)


def _body(method: str, template: str, names: dict[str, str]) -> tuple[bytes, str]:
    bodies = {
        "/v1/datasets/{dataset}/uploads": b'{"base":0}',
        "/v1/uploads/{upload}/publish": b'{"version":1}',
        "/v1/requests": b'{"handle":"%s","ask":{}}' % _HASH.encode(),
        "/v1/handles": b'{"subject":"%s"}' % names["subject"].encode(),
        "/v1/keyholder-reports": b'{"access":"%s","keyholder":"0x%s"}'
        % (_HASH.encode(), b"07" * 20),
    }
    if method == "PUT":
        return b"{}\n", NDJSON
    return (bodies.get(template, b"") if method == "POST" else b""), JSON


async def send(gateway: GatewayServer, party: Party, calls: Sequence[ContractCall]) -> None:
    await asyncio.to_thread(gateway.chain.send_all, party, calls)
    await gateway.has(await asyncio.to_thread(gateway.chain.wait_for_block))


async def stage(gateway: GatewayServer, role: Roles) -> Stage:
    """Admit a newcomer in a role, with all that its requests are about."""
    chain, party = gateway.chain, Party(f"Newcomer {role.name} {id(gateway)}", role)
    calls = [contract_calls.admit(party.address, role, party.name)]
    await send(gateway, chain.parties.authority, calls)
    names = {"dataset": _HASH, "upload": "0" * 32, "subject": _HASH}
    if role is Roles.PROVIDER:
        names["dataset"] = to_hex(await gateway.new_dataset(provider=party))
        path = f"/v1/datasets/{names['dataset']}/uploads"
        begun = await gateway.send(party, "POST", path, {"base": 0})
        names["upload"] = begun.json()["upload"]
    if role is Roles.IDENTITY_AUTHORITY:
        subject = b"\x05" * 12 + party.address
        await send(gateway, party, [contract_calls.register_subjects([subject], [b"\x06" * 20])])
        names["subject"] = to_hex(subject)
    return Stage(gateway, party, names)


@pytest.mark.parametrize("role", sorted(set(NEEDS.values())), ids=lambda role: role.name)
async def test_a_withdrawn_party_is_turned_away_where_its_role_is_needed(
    gateway: GatewayServer, role: Roles
) -> None:
    staged = await stage(gateway, role)
    routes = [route for route, needed in NEEDS.items() if needed is role]
    for method, path in routes:
        if method != "DELETE":  # control: what is refused below is not refused for something else
            status, _ = await staged.status(method, path)
            assert status not in (401, 403), (method, path)
    await send(
        gateway, gateway.chain.parties.authority, [contract_calls.withdraw(staged.party.address)]
    )
    refused = {route: await staged.status(*route) for route in routes}
    assert {status for status, _ in refused.values()} == {403}, refused
    assert {kind for _, kind in refused.values()} <= {"role-missing", "forbidden"}, refused


async def test_a_withdrawn_consumer_still_reads_what_it_did(gateway: GatewayServer) -> None:
    staged = await stage(gateway, Roles.CONSUMER)
    await send(
        gateway, gateway.chain.parties.authority, [contract_calls.withdraw(staged.party.address)]
    )
    for path in ("/v1/accesses", "/v1/applications"):
        assert await staged.status("GET", path) == (200, "")


async def test_an_identity_authority_gets_no_handle_to_another_ones_ids(
    gateway: GatewayServer,
) -> None:
    staged = await stage(gateway, Roles.IDENTITY_AUTHORITY)
    stranger = await asyncio.to_thread(gateway.chain.register_subject)
    await gateway.has(await asyncio.to_thread(gateway.chain.wait_for_block))
    staged.names["subject"] = to_hex(stranger.id)
    assert await staged.status("POST", "/v1/handles") == (403, "forbidden")


def test_every_route_is_judged(gateway: GatewayServer) -> None:
    found = {
        (method.upper(), path)
        for path, item in gateway.app.openapi()["paths"].items()
        for method in item
    }
    assert not NEEDS.keys() & NEEDS_NONE.keys()
    assert found == NEEDS.keys() | NEEDS_NONE.keys()
