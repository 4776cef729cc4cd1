"""A stream ends with the right to hear it, with the session, and after a session's length at the latest."""

import asyncio
import importlib
import inspect
import json
import pkgutil
import secrets
import typing
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from fastapi.responses import StreamingResponse
from sse_starlette import EventSourceResponse

import gateway.api
from gateway.api.regulator import _LINES_AT_ONCE
from gateway.notifications import inbox_topic
from gateway.store.inbox import StoredAsk
from gateway.store.releases import ReleaseJournal
from ledger.chain import contract_calls
from ledger.chain.contract_calls import ContractCall
from ledger.hexstr import to_hex
from ledger.model import Roles
from ledger.typed_data import SignerRotation
from scripts.scenario import Chain, Party, Subject
from tests.gateway.test_access_stores import entry
from tests.gateway.test_authentication import answer_challenge, challenge
from tests.support.gateway_server import GatewayServer, Signing, serve_gateway

_INBOX: Final = "/v1/inbox/events"
_ANSWER: Final = "/v1/requests/{request}/events"
_FEED: Final = "/v1/feed"
_REVOCATIONS: Final = "/v1/revocations/events"
_JOURNAL: Final = "/v1/journal"
_MOST: Final = 30.0
"""Seconds in which a stream must end that has to; it looks every 5."""


def streaming_routes() -> set[str]:
    """All routes that answer with a stream, by what their functions say that they return."""
    found = set()
    for module in pkgutil.iter_modules(gateway.api.__path__, "gateway.api."):
        router = getattr(importlib.import_module(module.name), "router", None)
        for route in [] if router is None else router.routes:
            answer = typing.get_type_hints(route.endpoint).get("return")
            if inspect.isclass(answer) and issubclass(
                answer, StreamingResponse | EventSourceResponse
            ):
                found.add(route.path)
    return found


def test_all_streams_are_tested() -> None:
    assert streaming_routes() == {_INBOX, _ANSWER, _FEED, _REVOCATIONS, _JOURNAL}


@asynccontextmanager
async def stream(
    gateway: GatewayServer, path: str, headers: dict[str, str]
) -> AsyncIterator[AsyncIterator[str]]:
    async with gateway.http.stream("GET", path, headers=headers, timeout=_MOST * 2) as answer:
        assert answer.status_code == 200
        yield (line async for line in answer.aiter_lines() if line.startswith("data: "))


async def rest(lines: AsyncIterator[str]) -> list[Any]:
    """What is told until the stream ends, which must be soon."""
    async with asyncio.timeout(_MOST):
        return [json.loads(line.removeprefix("data: ")) async for line in lines]


async def send(gateway: GatewayServer, party: Party, call: ContractCall) -> None:
    await asyncio.to_thread(gateway.chain.send, party, call)
    await gateway.has(await asyncio.to_thread(gateway.chain.wait_for_block))


async def ask(gateway: GatewayServer, subject: Subject, consumer: Party) -> str:
    """Put an ask into a subject's inbox."""
    services = gateway.services
    now = services.index.head.timestamp
    kept = StoredAsk(
        id=secrets.token_hex(16),
        consumer=consumer.address,
        reference=secrets.token_hex(8),
        subject=subject.id,
        state="pending",
        body=_ASK,
        reason="",
        authorization=None,
        created_at=now,
        expires_at=now + 86_400,
    )
    await services.inbox_store.put(kept)
    services.topics.notify(inbox_topic(subject.id))
    return kept.id


_ASK: Final = json.dumps(
    {
        **{name: to_hex(bytes(20)) for name in ("consumer",)},
        **{
            name: _hash for name in ("dataset", "item", "purpose") for _hash in (to_hex(bytes(32)),)
        },
        "fields": "1",
        "case_number": "2026-118",
        "case_salt": to_hex(bytes(32)),
        "case_reference": to_hex(bytes(32)),
        "reference": "5TN3K8",
        "not_before": 1,
        "expires_at": 2,
        "max_uses": 1,
        "min_interval": 0,
        "deadline": 3,
        "message": "",
    }
).encode()


def rotation(chain: Chain, subject: Subject) -> ContractCall:
    record = SignerRotation(
        subject.id, secrets.token_bytes(20), secrets.token_bytes(32), chain.now() + 600
    )
    return contract_calls.rotate_signer(record, chain.approval(record, subject))


async def person(gateway: GatewayServer) -> tuple[Subject, dict[str, str]]:
    """A subject, and what it signs to hear of its inbox."""
    subject = await asyncio.to_thread(gateway.chain.register_subject)
    await gateway.has(await asyncio.to_thread(gateway.chain.wait_for_block))
    signing = Signing(subject.private_key, gateway.chain.deployment.chain_id, gateway.authority)
    return subject, gateway.signed_headers(signing, "GET", _INBOX)


async def test_who_signs_for_nobody_any_more_hears_of_no_new_ask(gateway: GatewayServer) -> None:
    """The thief of a phone whose owner rotated away."""
    chain, bank = gateway.chain, gateway.chain.parties.bank
    subject, headers = await person(gateway)
    async with stream(gateway, _INBOX, headers) as lines:
        assert json.loads((await anext(lines)).removeprefix("data: ")) == {"requests": []}
        first = await ask(gateway, subject, bank)
        told = json.loads((await anext(lines)).removeprefix("data: "))
        assert [one["request"] for one in told["requests"]] == [first]
        await send(gateway, bank, rotation(chain, subject))
        await ask(gateway, subject, bank)
        assert await rest(lines) == []


@pytest.mark.parametrize(
    "act",
    [
        contract_calls.close_subject,
        contract_calls.end_links,
    ],
    ids=["closed", "corrected"],
)
async def test_what_was_asked_before_is_gone_with_a_closing_or_correction(
    gateway: GatewayServer, act: Callable[[bytes], ContractCall]
) -> None:
    chain, bank = gateway.chain, gateway.chain.parties.bank
    subject, headers = await person(gateway)
    first = await ask(gateway, subject, bank)
    async with stream(gateway, _INBOX, headers) as lines:
        told = json.loads((await anext(lines)).removeprefix("data: "))
        assert [one["request"] for one in told["requests"]] == [first]
        await send(gateway, chain.parties.identity_authority, act(subject.id))
        gateway.services.topics.notify(inbox_topic(subject.id))
        told = json.loads((await anext(lines)).removeprefix("data: "))
        assert told == {"requests": []}
    state = await gateway.services.inbox.state(bank.address, first)
    assert state.state == "expired"


async def regulator(gateway: GatewayServer) -> Party:
    party = Party(f"Regulator of streams {secrets.token_hex(4)}", Roles.REGULATOR)
    admit = contract_calls.admit(party.address, party.roles, party.name)
    await send(gateway, gateway.chain.parties.authority, admit)
    return party


async def test_a_withdrawn_regulators_feed_ends(gateway: GatewayServer) -> None:
    chain, party = gateway.chain, await regulator(gateway)
    headers = gateway.signed_headers(gateway.signing(party), "GET", _FEED)
    async with stream(gateway, _FEED, headers) as lines:
        other = Party(f"Newcomer {secrets.token_hex(4)}", Roles.CONSUMER)
        admit = contract_calls.admit(other.address, other.roles, other.name)
        await send(gateway, chain.parties.authority, admit)
        assert other.name in await anext(lines)
        await send(gateway, chain.parties.authority, contract_calls.withdraw(party.address))
        await send(gateway, chain.parties.authority, contract_calls.withdraw(other.address))
        assert await rest(lines) == []


async def test_a_journal_that_is_read_slowly_ends_with_the_role(gateway: GatewayServer) -> None:
    """Its lines are made as they are read: whoever reads slowly would hear for as long as it likes."""
    party, count = await regulator(gateway), 3 * _LINES_AT_ONCE
    await ReleaseJournal(gateway.services.database).write(
        [entry(number + 1) for number in range(count)]
    )
    headers = gateway.signed_headers(gateway.signing(party), "GET", _JOURNAL)
    more, pieces = asyncio.Event(), asyncio.Queue[bytes]()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def take(message: Any) -> None:
        if message["type"] == "http.response.body":
            await pieces.put(message["body"])
            await more.wait()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": _JOURNAL,
        "raw_path": _JOURNAL.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"host", gateway.authority.encode()),
            *((name.encode(), value.encode()) for name, value in headers.items()),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", gateway.settings.port),
    }
    reading = asyncio.create_task(gateway.app(scope, receive, take))
    async with asyncio.timeout(_MOST):
        assert (await pieces.get()).count(b"\n") == _LINES_AT_ONCE
        withdraw = contract_calls.withdraw(party.address)
        await send(gateway, gateway.chain.parties.authority, withdraw)
        more.set()
        await reading
    assert b"".join([pieces.get_nowait() for _ in range(pieces.qsize())]) == b""


SESSION: Final = 3
"""Seconds of a session in the tests below."""


@pytest.fixture
async def hasty_gateway(chain: Chain, tmp_path: Path) -> AsyncIterator[GatewayServer]:
    """A gateway whose sessions are short."""
    url = f"sqlite:///{tmp_path}/gateway.db"
    async with serve_gateway(chain, tmp_path, url, session_lifetime=SESSION) as serving:
        yield serving


async def bearer(gateway: GatewayServer, signer: bytes, key: bytes) -> dict[str, str]:
    text = await challenge(gateway, signer)
    begun = await answer_challenge(gateway, text, signer, key)
    return {"authorization": f"Bearer {begun.json()['token']}"}


Opened = Callable[[GatewayServer], Awaitable[tuple[str, dict[str, str]]]]


async def inbox(gateway: GatewayServer) -> tuple[str, dict[str, str]]:
    return _INBOX, (await person(gateway))[1]


async def inbox_by_session(gateway: GatewayServer) -> tuple[str, dict[str, str]]:
    subject, _ = await person(gateway)
    return _INBOX, await bearer(gateway, subject.signer, subject.private_key)


async def answer_by_session(gateway: GatewayServer) -> tuple[str, dict[str, str]]:
    subject, bank = (await person(gateway))[0], gateway.chain.parties.bank
    path = _ANSWER.format(request=await ask(gateway, subject, bank))
    return path, await bearer(gateway, bank.address, bank.private_key)


async def feed(gateway: GatewayServer) -> tuple[str, dict[str, str]]:
    signing = gateway.signing(gateway.chain.parties.regulator)
    return _FEED, gateway.signed_headers(signing, "GET", _FEED)


async def revocations(_: GatewayServer) -> tuple[str, dict[str, str]]:
    return _REVOCATIONS, {}


@pytest.mark.parametrize("opened", [inbox, inbox_by_session, answer_by_session, feed, revocations])
async def test_no_stream_outlasts_a_session(hasty_gateway: GatewayServer, opened: Opened) -> None:
    path, headers = await opened(hasty_gateway)
    began = asyncio.get_running_loop().time()
    async with stream(hasty_gateway, path, headers) as lines:
        await rest(lines)
    assert asyncio.get_running_loop().time() - began < SESSION + 2
