"""No stranger takes a service's memory or its connections: gateway, identity authority, keyholder alike."""

import asyncio
import re
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

import httpx
import pytest
from fastapi import FastAPI

import gateway.app
import wallet.identity.app
import wallet.keyholder.app
from gateway.settings import AccessSettings, Settings
from scripts.scenario import Chain, make_keyholders
from tests.support.services import SERVICES, ServiceProcess, service_process
from wallet.keyholder.settings import KeyholderSettings

MEBIBYTE: Final = 1 << 20
HUGE: Final = 300 * MEBIBYTE
PIECE: Final = b" " * (256 * 1024)
IDLE_OR_SLOW: Final = 2_000

LARGEST: Final = {"gateway": 2, "wallet.identity": 8, "wallet.keyholder": 32}
"""Mebibytes of the largest body that a route of the service takes."""


def routes(module: str) -> Iterator[tuple[str, str]]:
    """Yield method and path of all routes of a service that something is sent to, and of some others."""
    if module == "gateway":
        app = gateway.app.create_app(Settings(), AccessSettings())
    elif module == "wallet.identity":
        app = FastAPI()
        app.include_router(wallet.identity.app.router)
    else:
        (holdings,) = make_keyholders(1, 1)
        home = Path("nowhere")
        app = wallet.keyholder.app.create_app(
            KeyholderSettings(home=home, deployment=home), holdings
        )
    for path, methods in app.openapi()["paths"].items():
        for method in methods.keys() - {"get"}:
            yield method.upper(), re.sub(r"{\w+}", "0x" + "0" * 64, path)
    yield "POST", "/v1/nothing"
    yield "GET", "/healthz"


@pytest.fixture(params=SERVICES)
def service(
    request: pytest.FixtureRequest, chain: Chain, tmp_path: Path
) -> Iterator[ServiceProcess]:
    with service_process(request.param, chain, tmp_path) as serving:
        yield serving


async def send(service: ServiceProcess, head: bytes, pieces: Iterable[bytes]) -> bytes:
    """Send until the service answers or closes; return what it answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    answering = asyncio.ensure_future(reader.readuntil(b"\r\n\r\n"))
    try:
        writer.write(head)
        for piece in pieces:
            if answering.done() or writer.is_closing():
                break
            writer.write(piece)
            with suppress(TimeoutError):
                await asyncio.wait_for(writer.drain(), 20)
        return await asyncio.wait_for(answering, 30)
    except (ConnectionError, asyncio.IncompleteReadError):
        return b""
    finally:
        answering.cancel()
        writer.transport.abort()


def head(path: str, *fields: str, method: str = "POST") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: a", "content-type: application/json", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def in_chunks(size: int) -> Iterator[bytes]:
    for _ in range(size // len(PIECE)):
        yield b"%x\r\n%s\r\n" % (len(PIECE), PIECE)


async def honest(service: ServiceProcess) -> float:
    """Ask as anybody may; return how long the answer took."""
    began = time.monotonic()
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        assert (await http.get(f"{service.url}/healthz")).status_code == httpx.codes.OK
    return time.monotonic() - began


async def test_a_huge_body_does_not_fill_the_memory(service: ServiceProcess) -> None:
    before = service.peak_memory()
    for method, path in routes(service.module):
        told = head(path, f"content-length: {HUGE}", method=method)
        untold = head(path, "transfer-encoding: chunked", method=method)
        answers = (
            await send(service, told, [PIECE] * 1_200),
            await send(service, untold, in_chunks(HUGE)),
        )
        refused = b"HTTP/1.1 200" if path == "/healthz" else b"HTTP/1.1 4"
        assert all(answer.startswith(refused) for answer in answers if answer), path
    # Several copies of one largest body, and nothing of what comes behind it.
    assert service.peak_memory() - before < (40 + 4 * LARGEST[service.module]) * MEBIBYTE
    await honest(service)


async def test_a_huge_head_is_refused_and_not_kept(service: ServiceProcess) -> None:
    before = service.peak_memory()
    begun = b"POST /healthz HTTP/1.1\r\nhost: a\r\n"
    one = await send(service, begun + b"x: ", [b"a" * MEBIBYTE] * 50)
    many = await send(service, begun, [b"x: abcdefghijk\r\n" * 65_536] * 50)
    path = await send(service, b"GET /", [b"a" * MEBIBYTE] * 50)
    blank = await send(service, b"", [b"\r\n" * (MEBIBYTE // 2)] * 50)
    chunked = begun + b"transfer-encoding: chunked\r\n\r\n"
    trailer = await send(service, chunked + b"0\r\nx: ", [b"a" * MEBIBYTE] * 50)
    extension = await send(service, chunked + b"5;x=", [b"a" * MEBIBYTE] * 50)
    for answer in (one, many, path):
        assert answer.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 ")) or not answer
    del blank, trailer, extension  # answered or cut off; nothing is kept of them
    assert service.peak_memory() - before < 24 * MEBIBYTE
    small = await send(service, begun + b"x: " + b"a" * 30_000 + b"\r\n\r\n", [])
    assert small.startswith(b"HTTP/1.1 405 ")
    large = await send(service, begun + b"x: " + b"a" * 100_000 + b"\r\n\r\n", [])
    assert large.startswith(b"HTTP/1.1 431 ")
    await honest(service)


DRIP: Final = {
    "says nothing": (b"", b""),
    "never ends its head": (b"GET /healthz HTTP/1.1\r\nhost: a\r\n", b"x"),
    "sends blank lines": (b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n", b"\r\n"),
    "never ends a body that is read": (head("/v1/sessions", "content-length: 200000"), b" "),
    "never ends a body that is not": (head("/v1/nothing", "content-length: 200000"), b" "),
}
"""What a slow client sends first, and then again each second."""


async def hold(service: ServiceProcess, first: bytes, again: bytes) -> float:
    """Keep a connection for as long as the service lets one; return the seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    began = time.monotonic()
    reading = asyncio.ensure_future(reader.read())
    try:
        writer.write(first)
        while not reading.done():
            await asyncio.wait([reading], timeout=1)
            if again:
                writer.write(again)
    finally:
        with suppress(ConnectionError):
            await reading
        writer.transport.abort()
    return time.monotonic() - began


@pytest.mark.slow
async def test_idle_and_slow_connections_are_closed_and_keep_nobody_out(
    service: ServiceProcess,
) -> None:
    kinds = list(DRIP.values())
    holding = [
        asyncio.ensure_future(hold(service, *kinds[number % len(kinds)]))
        for number in range(IDLE_OR_SLOW)
    ]
    await asyncio.sleep(3)
    assert await honest(service) < 5
    held = await asyncio.wait_for(asyncio.gather(*holding), 60)
    assert max(held) < 50
    assert await honest(service) < 5


@pytest.mark.slow
async def test_more_connections_than_a_service_may_have_keep_nobody_out(
    service: ServiceProcess,
) -> None:
    """Beyond the limit it is the one that has waited longest that goes."""
    with ExitStack() as stack:
        for _ in range(4_500):
            client = await asyncio.to_thread(socket.create_connection, ("127.0.0.1", service.port))
            stack.enter_context(client)
        assert await honest(service) < 5
