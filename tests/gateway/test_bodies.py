"""A body is understood in exactly one way, or refused with a reason that shows no value of it."""

import ast
import asyncio
import io
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.errors import ProblemError
from gateway.problems import _OF_REVERTS, KINDS
from ledger.service.errors import BodyFault
from scripts.scenario import Chain
from tests.gateway.test_authentication import problem
from tests.support.gateway_server import GatewayServer, serve_gateway
from tests.support.logs import logs_in

ROUTE = "/v1/sessions/challenge"
SIGNER = "0x" + "1" * 40
LIMIT = 10_000

MALFORMED: list[tuple[str, bytes, str]] = [
    ("not JSON", b"signer", "not JSON"),
    ("cut off", b'{"signer": "0x', "not JSON"),
    ("two documents", b'{"signer":"0x"}{"signer":"0x"}', "not JSON"),
    ("not UTF-8", b'{"signer":"\xff\xfe"}', "not UTF-8"),
    ("UTF-16", '{"signer":"0x11"}'.encode("utf-16"), "not UTF-8"),
    ("byte order mark", b'\xef\xbb\xbf{"signer":"0x11"}', "JSON"),
    ("key twice", f'{{"signer":"{SIGNER}","signer":"{SIGNER}"}}'.encode(), "more than once"),
    ("deep nesting", b'{"signer":' + b"[" * 100 + b"]" * 100 + b"}", "nested deeper"),
    ("very deep", b"[" * 9_000, "nested deeper"),
    ("NaN", b'{"signer":NaN}', "NaN"),
    ("infinity", b'{"signer":-Infinity}', "Infinity"),
    ("long number", b'{"signer":' + b"9" * 5_000 + b"}", "number is too long"),
    ("half a surrogate pair", b'{"signer":"\\ud800"}', "surrogate"),
    ("an array", b"[]", "object"),
    ("null", b"null", "object"),
    ("a text", b'"0x11"', "object"),
    ("member missing", b"{}", "signer: Field required"),
    ("unknown member", f'{{"signer":"{SIGNER}","x":1}}'.encode(), "x: Extra inputs"),
    ("number for text", b'{"signer":17}', "signer: Input should be a valid string"),
    ("null for text", b'{"signer":null}', "signer: Input should be a valid string"),
    ("not hex", b'{"signer":"0xzz"}', "signer: String should match pattern"),
    ("odd hex", b'{"signer":"0x111"}', "signer: String should match pattern"),
    ("uppercase hex", b'{"signer":"0xAA"}', "signer: String should match pattern"),
    ("empty", b"", "body is needed"),
]


@pytest.fixture
async def gateway(chain: Chain, tmp_path: Path) -> AsyncIterator[GatewayServer]:
    url = f"sqlite:///{tmp_path}/gateway.db"
    limits: dict[str, Any] = {"body_limit": LIMIT, "body_timeout": 0.3}
    limits |= {"head_timeout": 0.5, "answer_timeout": 0.5}
    async with serve_gateway(chain, tmp_path, url, **limits) as serving:
        yield serving


async def post(gateway: GatewayServer, body: bytes, media_type: str) -> httpx.Response:
    headers = {"content-type": media_type} if media_type else {}
    return await gateway.http.post(ROUTE, content=body, headers=headers)


async def test_every_malformed_body_is_refused_with_its_reason(gateway: GatewayServer) -> None:
    for name, body, told in MALFORMED:
        answer = await post(gateway, body, "application/json")
        status, slug = problem(answer)
        assert status == 422, name
        assert slug == ("body-missing" if not body else "malformed"), name
        assert told in answer.json()["detail"], (name, answer.json()["detail"])
        assert len(answer.content) < 1_000, name
    right = await post(gateway, json.dumps({"signer": SIGNER}).encode(), "application/json")
    assert right.status_code == 201


async def test_a_number_in_quotes_or_a_truth_is_no_number(gateway: GatewayServer) -> None:
    provider = gateway.chain.parties.provider
    path = f"/v1/datasets/{'0x' + '0' * 64}/uploads"
    for base in ("1", True, 1.0, 1.5, None, [1], -1, 2**64):
        answer = await gateway.send(provider, "POST", path, {"base": base})
        assert problem(answer) == (422, "malformed"), base


async def test_other_media_types_are_refused(gateway: GatewayServer) -> None:
    body = json.dumps({"signer": SIGNER}).encode()
    for media_type in ("", "text/plain", "application/x-www-form-urlencoded", "application/jsonp"):
        assert problem(await post(gateway, body, media_type)) == (415, "media-type"), media_type
    for media_type in ("application/json; charset=utf-8", "Application/JSON"):
        assert (await post(gateway, body, media_type)).status_code == 201, media_type


async def test_a_body_that_is_too_large_is_not_read_to_its_end(gateway: GatewayServer) -> None:
    told = await post(gateway, b" " * (LIMIT + 1), "application/json")
    assert problem(told) == (413, "too-large")
    assert told.json()["limit"] == LIMIT

    async def without_length() -> AsyncIterator[bytes]:
        for _ in range(LIMIT // 1_000 + 1):
            yield b" " * 1_000

    headers = {"content-type": "application/json"}
    untold = await gateway.http.post(ROUTE, content=without_length(), headers=headers)
    assert problem(untold) == (413, "too-large")
    declared = (
        f"POST {ROUTE} HTTP/1.1\r\nhost: {gateway.authority}\r\ncontent-type: application/json\r\n"
        f"content-length: {10**30}\r\nconnection: close\r\n\r\n"
    )
    answer = await asyncio.wait_for(gateway.raw(declared.encode()), 5)
    assert answer.startswith(b"HTTP/1.1 4")


async def test_a_client_that_sends_too_slowly_is_cut_off(gateway: GatewayServer) -> None:
    head = (
        f"POST {ROUTE} HTTP/1.1\r\nhost: {gateway.authority}\r\ncontent-type: application/json\r\n"
        "content-length: 100\r\nconnection: close\r\n\r\n"
    )
    answer = await asyncio.wait_for(gateway.raw(head.encode() + b'{"signer":'), 5)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"urn:quancheng:problem:too-slow" in answer


async def until_closed(gateway: GatewayServer, sent: bytes) -> bytes:
    """Open a connection, send something, and return what came until the gateway closed it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.settings.port)
    try:
        writer.write(sent)
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nhost: a"])
async def test_a_client_that_does_not_finish_its_head_is_cut_off(
    gateway: GatewayServer, sent: bytes
) -> None:
    began = time.monotonic()
    assert await asyncio.wait_for(until_closed(gateway, sent), 10) == b""
    assert time.monotonic() - began > 0.9 * gateway.settings.head_timeout


async def test_a_slow_head_after_a_quick_request_is_cut_off_too(gateway: GatewayServer) -> None:
    quick = f"GET /healthz HTTP/1.1\r\nhost: {gateway.authority}\r\n\r\n".encode()
    answer = await asyncio.wait_for(until_closed(gateway, quick + quick[:-2]), 10)
    assert answer.count(b"HTTP/1.1 200") == 1


@pytest.mark.parametrize("takes", [True, False])
async def test_a_client_that_takes_no_answers_is_cut_off(
    gateway: GatewayServer, takes: bool
) -> None:
    head = f"GET /v1/openapi.json HTTP/1.1\r\nhost: {gateway.authority}\r\n"
    asked = f"{head}\r\n" * 99 + f"{head}connection: close\r\n\r\n"
    connections = gateway.server.server_state.connections
    before = set(connections)

    def ask(client: socket.socket) -> None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(10)
        client.connect(("127.0.0.1", gateway.settings.port))
        client.sendall(asked.encode())

    def answers(client: socket.socket) -> int:
        received = bytearray()
        with suppress(ConnectionError):
            while data := client.recv(1 << 20):
                received += data
        return received.count(b"HTTP/1.1 200")

    with socket.socket() as client:
        await asyncio.to_thread(ask, client)
        if not takes:
            async with asyncio.timeout(60):
                while not connections - before:  # noqa: ASYNC110 - uvicorn's
                    await asyncio.sleep(0.01)
                while connections - before:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        assert (await asyncio.to_thread(answers, client) == 100) is takes


async def test_ids_of_wrong_length_are_refused(gateway: GatewayServer) -> None:
    provider = gateway.chain.parties.provider
    for path in (
        "/v1/datasets/0x00/uploads",
        f"/v1/datasets/{'0' * 64}/uploads",
        f"/v1/datasets/0x{'A' * 64}/uploads",
        f"/v1/datasets/0x{'0' * 66}/uploads",
    ):
        answer = await gateway.send(provider, "POST", path, {"base": 0})
        assert problem(answer) == (422, "malformed"), path
    for path in ("/v1/uploads/1", f"/v1/uploads/{'g' * 32}", "/v1/datasets/0x00"):
        assert problem(await gateway.send(provider, "GET", path)) == (422, "malformed"), path


async def test_unknown_routes_and_methods_are_problems_too(gateway: GatewayServer) -> None:
    for path in ("/", "/v2", "/v1/nothing", "/v1/catalogue/", "/docs", "/%2e%2e/etc/passwd"):
        assert problem(await gateway.send(None, "GET", path)) == (404, "not-found"), path
    answer = await gateway.send(None, "DELETE", "/v1/catalogue")
    assert problem(answer) == (405, "method-not-allowed")
    assert answer.headers["allow"] == "GET"
    unknown = await gateway.send(None, "GET", f"/v1/datasets/0x{'0' * 64}")
    assert problem(unknown) == (404, "not-found")


async def test_a_failure_nobody_expected_tells_nothing(
    gateway: GatewayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("resident 370102199001011234")

    monkeypatch.setattr("gateway.api.public.encode_deployment", fail)
    with logs_in(io.StringIO()) as logged:
        answer = await gateway.send(None, "GET", "/v1/deployment")
    assert problem(answer) == (500, "internal")
    assert "3701" not in answer.text
    assert "ValueError" not in answer.text
    assert "ValueError at fail" in logged.getvalue()
    assert "3701" not in logged.getvalue()
    number = answer.json()["instance"].rpartition(":")[2]
    assert f'"request": "{number}"' in logged.getvalue()


def test_every_error_has_a_problem_and_every_problem_an_error() -> None:
    raised: set[object] = {subclass.usual for subclass in _subclasses(ProblemError)} | {
        *_OF_REVERTS.values(),
        *BodyFault,
    }
    for path in Path("gateway").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "").endswith("Error"):
                raised |= {arg.value for arg in node.args[1:2] if isinstance(arg, ast.Constant)}
    named = {one for one in raised if " " not in str(one)}
    # The last ones are told by keyholders, and by a rate.
    assert named | {"release-over", "release-stopped", "throttled"} == KINDS.keys()
    assert {kind.status for kind in KINDS.values()} <= {
        *(401, 403, 404, 408, 409, 410, 412, 413, 415, 422, 429, 503)
    }


def _subclasses(kind: type[ProblemError]) -> set[type[ProblemError]]:
    found = set(kind.__subclasses__())
    return found | {below for one in found for below in _subclasses(one)}
