"""Requests as they travel: signed, read, and every failure as one of few errors."""

import asyncio
import pickle
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest

from ledger.chain import eth_methods
from ledger.service.http_signatures import received_headers, target_of, verify_request
from tests.support.errors import of_kind
from wallet.client import transports
from wallet.client.calls import (
    MAX_EVENT_SIZE,
    Credential,
    EventReader,
    HttpCall,
    Listen,
    ServerEvent,
    Service,
    look,
    path,
    reader,
)
from wallet.client.errors import ClientError, DeniedError, ErrorKind, ProblemError, UnreachableError
from wallet.client.party import Bearer, PartyKey
from wallet.client.retry import RetryPolicy, with_retries
from wallet.client.transports import AsyncClient, Client, Endpoints

KEY = PartyKey(b"\x22" * 32)
NOW = 1_800_000_000.0
CHAIN = 31337

Handler = Callable[[httpx.Request], httpx.Response]


def client(handler: Handler, key: PartyKey | None = KEY) -> Client:
    endpoints = Endpoints("http://gateway:8700", "http://identity:8800")
    return Client(
        endpoints,
        key=key,
        chain_id=CHAIN,
        clock=lambda: NOW,
        transport=httpx.MockTransport(handler),
    )


def answering(status: int = 200, **options: object) -> Handler:
    return lambda _request: httpx.Response(status, **options)  # type: ignore[arg-type]


SIGNED = HttpCall(
    "POST",
    path("/v1/things/{}", b"\x01\x02", since=7),
    lambda answer: answer.body,
    body=b'{"a": 1}',
    credential=Credential.SIGNATURE,
)


def test_a_signed_request_verifies_at_the_other_end() -> None:
    def check(request: httpx.Request) -> httpx.Response:
        headers = received_headers([(name, value) for name, value in request.headers.items()])
        target = target_of(request.method, str(request.url))
        verified = verify_request(target, request.content, headers, chain_id=CHAIN, now=int(NOW))
        assert verified.address == KEY.address
        assert str(request.url) == "http://gateway:8700/v1/things/0x0102?since=7"
        return httpx.Response(200, content=b"fine")

    assert client(check).run(SIGNED) == b"fine"


def test_calls_go_to_the_service_they_are_for() -> None:
    seen = []

    def note(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.host)
        return httpx.Response(200)

    with client(note) as one:
        for service in (Service.GATEWAY, Service.IDENTITY, "http://keyholder:8601"):
            one.run(HttpCall("GET", "/x", lambda _answer: None, service=service))
    assert seen == ["gateway", "identity", "keyholder"]


def test_a_session_travels_as_a_bearer_token_and_shows_nowhere() -> None:
    def check(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Bearer secret"
        assert "signature" not in request.headers
        return httpx.Response(200)

    call = SIGNED.asked_by(Bearer("secret"))
    client(check).run(call)
    assert "secret" not in repr(call)
    assert KEY._private_key.hex() not in repr(KEY)


def test_without_a_key_nothing_that_must_be_signed_is_sent() -> None:
    with pytest.raises(ClientError, check=of_kind(ErrorKind.NO_KEY)):
        client(answering(), key=None).run(SIGNED)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ErrorKind.INVALID),
        (401, ErrorKind.UNAUTHORIZED),
        (403, ErrorKind.FORBIDDEN),
        (404, ErrorKind.NOT_FOUND),
        (409, ErrorKind.CONFLICT),
        (410, ErrorKind.ERASED),
        (412, ErrorKind.OUT_OF_BOUNDS),
        (413, ErrorKind.TOO_LARGE),
        (418, "Problem"),
        (422, ErrorKind.INVALID),
        (429, ErrorKind.THROTTLED),
        (500, ErrorKind.SERVER),
        (502, ErrorKind.SERVER),
        (503, ErrorKind.UNAVAILABLE),
        (301, "Problem"),
    ],
)
def test_a_problem_becomes_an_error_of_its_status(status: int, kind: str) -> None:
    problem = {
        "type": "urn:quancheng:problem:some-thing",
        "title": "Some thing",
        "detail": "what it was",
        "status": 999,
        "expected": 17,
        "nested": {"a": 1},
    }
    handler = answering(status, json=problem, headers={"retry-after": "3"})
    with pytest.raises(ProblemError, match="what it was") as raised:
        client(handler).run(SIGNED)
    assert raised.value.kind == kind
    assert raised.value.slug == "some-thing"
    assert raised.value.problem.status == status
    assert raised.value.member("expected") == 17
    assert raised.value.member("nested") is None
    assert raised.value.retry_after == 3.0


@pytest.mark.parametrize("body", [b"", b"<html>bad gateway</html>", b"\xff\xfe", b"[]"])
def test_an_error_that_is_no_problem_document_is_one_all_the_same(body: bytes) -> None:
    with pytest.raises(ProblemError, check=of_kind(ErrorKind.SERVER)) as raised:
        client(answering(502, content=body)).run(SIGNED)
    assert raised.value.problem.status == 502


@pytest.mark.parametrize("body", [b"", b"not json", b"[1]", b'{"count": "many"}', b"\xff"])
def test_an_answer_of_another_form_is_named(body: bytes) -> None:
    call = HttpCall("GET", "/x", reader(dict[str, int]))
    with pytest.raises(ClientError, match="GET /x"):
        client(answering(200, content=body)).run(call)


def test_an_endless_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transports, "MAX_ANSWER_SIZE", 1000)

    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 100

    with pytest.raises(ClientError, match="more than 1000 bytes"):
        client(answering(200, content=endless())).run(SIGNED)


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("nonsense"),
        httpx.InvalidURL("nowhere"),
    ],
)
def test_what_cannot_be_reached_is_one_error(failure: Exception) -> None:
    def fail(_request: httpx.Request) -> httpx.Response:
        raise failure

    with pytest.raises(UnreachableError, match="gateway:8700"):
        client(fail).run(SIGNED)


def test_an_address_that_is_none_is_told() -> None:
    with pytest.raises(UnreachableError, match="no address of the identity"):
        Client(Endpoints("http://gateway")).run(
            HttpCall("GET", "/x", bool, service=Service.IDENTITY)
        )
    with pytest.raises(ClientError):
        Client(Endpoints("gateway:8700")).run(HttpCall("GET", "/x", bool))


def test_without_a_node_nothing_is_asked_of_one() -> None:
    with pytest.raises(ClientError):
        client(answering()).run(look(eth_methods.chain_id()))


# Flows


def test_a_flow_gets_errors_where_it_asked() -> None:
    async def flow() -> str:
        try:
            await SIGNED
        except ProblemError as error:
            if error.kind != ErrorKind.NOT_FOUND:
                raise
            return "not there"
        return "there"

    assert client(answering(404)).run(flow()) == "not there"
    assert client(answering(200)).run(flow()) == "there"
    with pytest.raises(ProblemError, check=of_kind(ErrorKind.CONFLICT)):
        client(answering(409)).run(flow())


def test_patience_tries_what_passes_and_nothing_else() -> None:
    statuses = [503, 429, 200]

    def busy(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(statuses.pop(0))

    client(busy).run(with_retries(SIGNED, RetryPolicy(5, 0.01, 0.02)))
    assert statuses == []
    statuses[:] = [409, 200]
    with pytest.raises(ProblemError, check=of_kind(ErrorKind.CONFLICT)):
        client(busy).run(with_retries(SIGNED, RetryPolicy(5, 0.01, 0.02)))
    statuses[:] = [503] * 100
    with pytest.raises(ProblemError, check=of_kind(ErrorKind.UNAVAILABLE)):
        client(busy).run(with_retries(SIGNED, RetryPolicy(0.05, 0.01, 0.02)))


# Events


def events(text: str) -> list[ServerEvent]:
    reading = EventReader()
    return [event for line in text.split("\n") if (event := reading.feed(line)) is not None]


def test_events_are_read_as_the_standard_says() -> None:
    text = ": comment\n\nevent: state\nid: 7\ndata: one\ndata:two\n\nretry: 10\ndata: three\n\n\n"
    assert events(text) == [
        ServerEvent("state", "one\ntwo", "7"),
        ServerEvent("message", "three", "7"),
    ]


def test_an_endless_event_is_cut() -> None:
    with pytest.raises(ClientError):
        events(f"data: {'x' * (MAX_EVENT_SIZE + 1)}")


FOLLOWED = HttpCall("GET", "/events", lambda _answer: None, credential=Credential.SIGNATURE)


def until_granted(event: ServerEvent) -> str | None:
    return event.data if event.data == "granted" else None


def test_waiting_ends_with_the_event_or_the_stream() -> None:
    stream = b"data: pending\n\ndata: granted\n\ndata: more\n\n"

    async def flow() -> str | None:
        return await Listen(FOLLOWED, until_granted, 5.0)

    assert client(answering(200, content=stream)).run(flow()) == "granted"
    assert client(answering(200, content=b"data: pending\n\n")).run(flow()) is None
    with pytest.raises(ProblemError, check=of_kind(ErrorKind.NOT_FOUND)):
        client(answering(404)).run(flow())


async def test_waiting_in_asyncio_ends_with_its_time() -> None:
    class Slow(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"data: pending\n\n"
            await asyncio.sleep(30)

        async def aclose(self) -> None:
            """Nothing to close."""

    async def slow(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=Slow())

    async def flow() -> str | None:
        return await Listen(FOLLOWED, until_granted, 0.05)

    transport = httpx.MockTransport(slow)
    async with AsyncClient(Endpoints("http://gateway"), key=KEY, transport=transport) as one:
        assert await one.run(flow()) is None


def test_errors_survive_pickling() -> None:
    with pytest.raises(ProblemError) as raised:
        client(answering(409, json={"type": "t", "title": "x", "expected": 3})).run(SIGNED)
    copy = pickle.loads(pickle.dumps(raised.value))
    assert (type(copy), copy.members, str(copy)) == (
        ProblemError,
        raised.value.members,
        str(raised.value),
    )
    assert issubclass(DeniedError, ClientError)
