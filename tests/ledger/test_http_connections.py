"""Questions over real connections, to a service that plays bytes: every edge of HTTP is a real one."""

import asyncio
import datetime as dt
import socket
import ssl
import struct
from base64 import b64encode
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Self

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ledger.chain.http_client import HttpAnswer, HttpClient, HttpError

Behave = Callable[[asyncio.StreamWriter], Awaitable[None]]

MOST = 100
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
UNTIL_CLOSED = b"HTTP/1.1 200 OK\r\n\r\n"

pytestmark = pytest.mark.timeout(20)


class Service:
    """Does for each question what is next in its script; the last of it again and again."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.asked: asyncio.Queue[bytes] = asyncio.Queue()
        self.connections = 0
        self._tls = tls
        self._script: deque[Behave] = deque([plays(ok())])
        self._gone: asyncio.Queue[None] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._clients: list[HttpClient] = []

    def client(
        self, url: str = "", *, timeout: float = 5, connections: int = 4, idle: float = 60
    ) -> HttpClient:
        """Somebody who asks this service, or whatever is at a URL; `PORT` in it is the service's."""
        url = (url or "http://127.0.0.1:PORT").replace("PORT", str(self.port))
        client = HttpClient(url, timeout=timeout, connections=connections, most=MOST, idle=idle)
        self._clients.append(client)
        return client

    def will(self, *script: Behave) -> None:
        self._script = deque(script)

    async def one_connection_is_closed(self) -> None:
        async with asyncio.timeout(5):
            await self._gone.get()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            await client.close()
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._tasks.append(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
                self.asked.put_nowait(head + await reader.readexactly(length))
                behave = self._script.popleft() if len(self._script) > 1 else self._script[0]
                await behave(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self._gone.put_nowait(None)


def plays(
    *pieces: bytes, closes: bool = False, resets: bool = False, after: asyncio.Event | None = None
) -> Behave:
    """Writes so that each piece arrives by itself, perhaps not before something happened."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        if after is not None:
            await after.wait()
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        if resets:
            await asyncio.sleep(0.05)  # what is played is received
            at_once = struct.pack("ii", 1, 0)
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        if closes or resets:
            writer.close()

    return behave


def ok(body: bytes = b"answer", header: bytes = b"x: y") -> bytes:
    return b"HTTP/1.1 200 OK\r\n%s\r\ncontent-length: %d\r\n\r\n%s" % (header, len(body), body)


def chunked(*chunks: bytes, trailer: bytes = b"") -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s0\r\n%s\r\n" % (body, trailer)


def split(data: bytes, size: int = 1) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with Service() as service:
        yield service


REQUESTS = [("", "", "", "/", ""), ("", "/", "", "/", ""), ("", "?a=1", "", "/?a=1", "")]
REQUESTS += [("", "", "/x?y=1", "/x?y=1", ""), ("", "/base?a=1#b", "/x", "/base/x?a=1", "")]
REQUESTS += [("user@", "", "/x", "/x", "user:"), ("a:%3Ab%40@", "/base", "/x", "/base/x", "a::b@")]
REQUESTS += [("%E5%9F%8E:a%0D%0Ab@", "", "/x", "/x", "城:a\r\nb")]


@pytest.mark.parametrize(("user", "base", "path", "target", "login"), REQUESTS)
@pytest.mark.parametrize("body", [b"", b'{"\xff":\n}'])
async def test_request_is_sent_as_it_is_written_here(
    service: Service, user: str, base: str, path: str, target: str, login: str, body: bytes
) -> None:
    await service.client(f"http://{user}127.0.0.1:PORT{base}").ask("POST", path, body)
    lines = [f"POST {target} HTTP/1.1", f"host: 127.0.0.1:{service.port}"]
    if login:
        lines.append(f"authorization: Basic {b64encode(login.encode()).decode()}")
    lines += ["content-type: application/json", "accept-encoding: identity"]
    lines += [f"content-length: {len(body)}", "", ""]
    assert await service.asked.get() == "\r\n".join(lines).encode() + body


ANSWERS = [(ok(body), 200, body) for body in (b"answer", b"", b"x" * MOST)]
ANSWERS += [(chunked(b"ans", b"w", b"er"), 200, b"answer"), (INTERIM + ok(), 200, b"answer")]
ANSWERS += [(INTERIM + chunked(b"answer", trailer=b"x: y\r\n"), 200, b"answer")]
ANSWERS += [(b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"")]
ANSWERS += [(b"HTTP/1.1 %d Oh\r\ncontent-length: 2\r\n\r\nno" % at, at, b"no") for at in (302, 503)]


@pytest.mark.parametrize("size", [1, 100_000], ids=["single bytes", "whole"])
@pytest.mark.parametrize(("played", "status", "body"), ANSWERS)
async def test_answer_comes_back_whole_and_the_connection_is_used_again(
    service: Service, size: int, played: bytes, status: int, body: bytes
) -> None:
    service.will(plays(*split(played, size)))
    client = service.client()
    assert [await client.ask("GET", "/") for _ in range(2)] == [HttpAnswer(status, body)] * 2
    assert service.connections == 1


async def test_many_answers_are_not_taken_for_one_too_long(service: Service) -> None:
    service.will(plays(ok(header=b"x: " + b"y" * 30_000)))
    client = service.client()
    assert {(await client.ask("GET", "/")).body for _ in range(5)} == {b"answer"}
    assert service.connections == 1


ENDED = [plays(ok(header=b"Connection: close")), plays(ok(), closes=True)]
ENDED += [plays(*split(UNTIL_CLOSED + b"answer"), closes=True)]
ENDED += [plays(INTERIM, UNTIL_CLOSED.replace(b"1.1", b"1.0"), b"answer", closes=True)]
ENDED += [
    plays(ok() + ok(b"stray")),
    plays(ok(), ok(b"stray")),
    plays(ok(), b"H"),
    plays(ok(), b"\0"),
]


@pytest.mark.parametrize("behave", ENDED)
async def test_connection_at_its_end_is_not_used_again(service: Service, behave: Behave) -> None:
    service.will(behave, plays(ok(b"next")))
    client = service.client()
    assert await client.ask("GET", "/") == HttpAnswer(200, b"answer")
    await service.one_connection_is_closed()
    await asyncio.sleep(0.02)  # the client hears of it
    assert await client.ask("GET", "/") == HttpAnswer(200, b"next")
    assert service.connections == 2


async def test_connection_is_not_used_again_after_its_idle_time(service: Service) -> None:
    client = service.client(idle=0.05)
    await client.ask("GET", "/")
    await asyncio.sleep(0.1)
    await client.ask("GET", "/")
    await service.one_connection_is_closed()
    assert service.connections == 2


@pytest.mark.parametrize("is_cancelled", [False, True], ids=["timed out", "cancelled"])
async def test_late_answer_is_never_given_to_the_next(service: Service, is_cancelled: bool) -> None:
    late = asyncio.Event()
    service.will(plays(ok(b"late"), after=late), plays(ok(b"next")))
    client = service.client(timeout=5 if is_cancelled else 0.5)
    task = asyncio.create_task(client.ask("GET", "/"))
    await service.asked.get()
    if is_cancelled:
        task.cancel()
    with pytest.raises(asyncio.CancelledError if is_cancelled else HttpError) as caught:
        await task
    assert is_cancelled or str(caught.value) == "no answer in time"
    late.set()
    assert (await client.ask("GET", "/")).body == b"next"
    await service.one_connection_is_closed()


TOO_MUCH = b"x: " + b"y" * 1_000_000
TOO_LONG = [ok(b"x" * (MOST + 1)), ok(TOO_MUCH), ok(header=TOO_MUCH), chunked(b"x" * MOST, b"x")]
TOO_LONG += [chunked(trailer=TOO_MUCH + b"\r\n"), UNTIL_CLOSED + b"x" * (MOST + 1)]


@pytest.mark.parametrize("played", TOO_LONG, ids=range(6))
async def test_answer_that_is_too_long_ends_the_connection(service: Service, played: bytes) -> None:
    service.will(plays(*split(played, 50_000)), plays(ok(b"next")))
    client = service.client()
    with pytest.raises(HttpError, match="more than 100 bytes"):
        await client.ask("GET", "/")
    await service.one_connection_is_closed()
    assert (await client.ask("GET", "/")).body == b"next"


async def test_later_questions_wait_for_one_of_the_connections(service: Service) -> None:
    client, gate = service.client(connections=2), asyncio.Event()
    service.will(plays(ok(), after=gate))
    tasks = [asyncio.create_task(client.ask("GET", "/")) for _ in range(6)]
    for _ in range(2):
        await service.asked.get()
    await asyncio.sleep(0.05)
    assert (service.connections, service.asked.qsize()) == (2, 0)
    gate.set()
    assert await asyncio.gather(*tasks) == [HttpAnswer(200, b"answer")] * 6
    assert (service.connections, service.asked.qsize()) == (2, 4)


async def test_waiting_for_a_connection_is_part_of_the_time(service: Service) -> None:
    with pytest.raises(HttpError, match="no answer in time"):
        async with asyncio.timeout(5):
            await service.client(connections=0, timeout=0.05).ask("GET", "/")


BROKEN_OFF = [b"", b"HTTP/1.1 200 OK\r\nconte", ok()[:-1], chunked(b"x")[:-5], INTERIM]
GARBAGE = [b"SSH-2.0-OpenSSH_9.9\r\n", b"\x15\x03\1\0\2\2\x46", ok(header=b"content-length: 5")]
GARBAGE += [ok(header=b"content-length: x"), chunked(b"x").replace(b"\r\n1", b"\r\nz")]
NO_ANSWERS = [(plays(data, closes=True), "closed before the answer") for data in BROKEN_OFF]
NO_ANSWERS += [(plays(data), "no HTTP") for data in GARBAGE]
NO_ANSWERS += [(plays(UNTIL_CLOSED + b"half", resets=True), "closed before the answer")]
NO_ANSWERS += [(plays(SWITCH), "changes the protocol")]


@pytest.mark.parametrize(("behave", "message"), NO_ANSWERS)
async def test_no_answer_is_an_error(service: Service, behave: Behave, message: str) -> None:
    service.will(behave, plays(ok(b"next")))
    client = service.client(connections=1)
    with pytest.raises(HttpError, match=message) as caught:
        await client.ask("GET", "/")
    assert type(caught.value) is HttpError
    await service.one_connection_is_closed()
    assert (await client.ask("GET", "/")).body == b"next"


@pytest.mark.parametrize("begun", [b"", ok()[:-1], chunked(b"x")[:-5], UNTIL_CLOSED + b"half"])
async def test_closing_fails_what_waits_and_not_what_comes(service: Service, begun: bytes) -> None:
    service.will(plays(begun), plays(ok(b"next")))
    client = service.client()
    task = asyncio.create_task(client.ask("GET", "/"))
    await service.asked.get()
    await asyncio.sleep(0.05)  # what has begun is received
    await client.close()
    await client.close()
    with pytest.raises(HttpError, match="closed"):
        await task
    assert (await client.ask("GET", "/")).body == b"next"
    await client.close()
    for _ in range(2):  # the unused one as well
        await service.one_connection_is_closed()


@pytest.mark.parametrize("end", [" b", " HTTP/1.1\r\nx: y", "\nx: y", "\r", "\0", "城", "\xa0"])
async def test_path_carries_nothing_else_into_a_request(service: Service, end: str) -> None:
    client = service.client()
    with pytest.raises(HttpError, match="not a URL to ask"):
        await client.ask("GET", f"/{end}")
    await client.ask("GET", "/good")
    assert (await service.asked.get()).startswith(b"GET /good HTTP/1.1\r\n")
    assert service.connections == 1  # none was opened for nothing


NO_URLS = [" ", "127.0.0.1", "ftp://127.0.0.1", "http://", "http://u:secret@", "http://["]
NO_URLS += ["http://a b", "http://城.example", "http://127.0.0.1:99999"]
NO_URLS += ["http://u:secret/x@127.0.0.1:PORT", "http://u:secret@127.0.0.1:PORT/a b"]
NO_URLS += [f"http://u:secret@{'a' * 64}.example", "http://城:secret@127.0.0.1:PORT"]


@pytest.mark.parametrize("url", NO_URLS)
async def test_what_is_no_url_is_an_error_without_password(service: Service, url: str) -> None:
    with pytest.raises(HttpError) as caught:
        await service.client(url).ask("GET", "/")
    assert str(caught.value) == "not a URL to ask"
    assert service.connections == 0


async def test_nobody_there_is_an_error_without_password(service: Service) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://user:secret@127.0.0.1:{free.getsockname()[1]}/key"
        with pytest.raises(HttpError, match="Connect call failed") as caught:
            await service.client(url).ask("GET", "/")
    assert type(caught.value) is HttpError
    assert "secret" not in str(caught.value)


def certificate(path: Path, address: str) -> None:
    """Write a key and the certificate that it signs for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    service = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "service")])
    name = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
    now, hour = dt.datetime.now(dt.UTC), dt.timedelta(hours=1)
    builder = x509.CertificateBuilder(service, service, key.public_key(), 1, now - hour, now + hour)
    signed = builder.add_extension(name, critical=False).sign(key, hashes.SHA256())
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private = key.private_bytes(pem, pkcs8, serialization.NoEncryption())
    path.write_bytes(private + signed.public_bytes(pem))


CERTIFICATES = [("127.0.0.1", True, ""), ("127.0.0.1", False, "self-signed certificate")]
CERTIFICATES += [("127.0.0.2", True, "IP address mismatch")]


@pytest.mark.parametrize(("address", "is_trusted", "error"), CERTIFICATES)
async def test_only_a_trusted_certificate_of_the_service_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, is_trusted: bool, error: str
) -> None:
    path, context = tmp_path / "service.pem", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate(path, address)
    context.load_cert_chain(path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path) if is_trusted else "")
    async with Service(context) as service:
        client = service.client("https://user:secret@127.0.0.1:PORT")
        if not error:
            assert await client.ask("GET", "/") == HttpAnswer(200, b"answer")
            return
        with pytest.raises(HttpError, match=f"certificate verify failed: {error}") as caught:
            await client.ask("GET", "/")
        assert "secret" not in str(caught.value)
        assert service.asked.empty()
