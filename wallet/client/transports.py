"""Carries out calls and flows over HTTP: `Client` in ordinary code, `AsyncClient` in asyncio.

Neither sends anything twice: a caller that knows that this is right does (`wallet.client.retry`).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Self, TypeVar, cast

import httpx
import msgspec

from ledger.chain.reverts import RevertError, revert_in
from ledger.chain.rpc import AsyncRpc, CallError, RpcError, finish
from ledger.errors import LedgerError
from ledger.service.http_signatures import body_digest, target_of
from wallet.client.calls import (
    Answer,
    AtNode,
    Credential,
    Effect,
    EventReader,
    HttpCall,
    Listen,
    Pause,
    Service,
    problem_in,
)
from wallet.client.errors import ClientError, ErrorKind, NodeError, UnreachableError, refused
from wallet.client.party import Bearer, PartyKey
from wallet.errors import WalletError

T = TypeVar("T")

MAX_ANSWER_SIZE: Final = 256 * 2**20
"""Bytes of an answer at most: what a service may make us hold."""

_OK: Final = 200
_FOREIGN: Final = "a flow awaits calls, questions, events and pauses only"
_EVENT_STREAM: Final = "text/event-stream"


class Endpoints(msgspec.Struct, frozen=True):
    """Where the others are."""

    gateway: str
    """Base address, as http://127.0.0.1:8000."""
    identity: str = ""
    """Of the identity authority; empty when this party has no dealings with it."""
    node: str = ""
    """Of a node of the party's own; empty when it has none."""


class _Core:
    """What both clients share: everything but the waiting."""

    _blocks = False
    """Whether it keeps its thread waiting instead of being suspended."""

    def __init__(
        self,
        endpoints: Endpoints,
        *,
        key: PartyKey | Callable[[], PartyKey | None] | None = None,
        chain_id: int = 0,
        timeout: float = 60.0,
        clock: Callable[[], float] = time.time,
        transport: httpx.BaseTransport | httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Take over where the others are.

        Args:
            endpoints: addresses.
            key: signs the calls that must be, or what opens it when the first must; None for what anyone may ask.
            chain_id: of the deployment; part of the signatures.
            timeout: seconds for one request and its answer.
            clock: seconds since 1970.
            transport: carries the requests (for tests).
        """
        self.endpoints = endpoints
        self._key = key
        self.chain_id = chain_id
        self.clock = clock
        self._timeout = timeout
        if self._blocks:
            transport = _BlockingTransport(cast("httpx.BaseTransport | None", transport))
        carried = cast("httpx.AsyncBaseTransport | None", transport)
        self._http = httpx.AsyncClient(timeout=timeout, trust_env=False, transport=carried)
        node = endpoints.node
        self._node = AsyncRpc(node, blocks=self._blocks) if node else None

    @property
    def key(self) -> PartyKey | None:
        """The key that signs."""
        return self._key() if callable(self._key) else self._key

    def _request(self, call: HttpCall[Any], accept: str) -> httpx.Request:
        url = self._base(call.service).rstrip("/") + call.path
        headers = {"accept": accept, "accept-encoding": "identity"}
        if call.body:
            headers["content-type"] = call.content_type
        try:
            request = httpx.Request(call.method, url, content=call.body or None, headers=headers)
        except httpx.InvalidURL as error:
            raise UnreachableError(f"not an address of a service: {error}") from error
        if call.credential is Credential.SIGNATURE:
            self._sign(request, call)
        return request

    def _sign(self, request: httpx.Request, call: HttpCall[Any]) -> None:
        who = self.key if call.by is None else call.by
        if who is None:
            raise ClientError(
                f"{call.method} {call.path} must be signed: name a key", ErrorKind.NO_KEY
            )
        if isinstance(who, Bearer):
            request.headers["authorization"] = who.header
            return
        target = target_of(call.method, str(request.url))
        signed = who.sign_request(target, body_digest(call.body), self.chain_id, int(self.clock()))
        request.headers.update(dict(signed.pairs()))

    def _base(self, service: str) -> str:
        if service == Service.GATEWAY:
            base = self.endpoints.gateway
        elif service == Service.IDENTITY:
            base = self.endpoints.identity
        else:
            base = service
        if not base:
            raise UnreachableError(f"no address of the {service} is known")
        return base

    def _answer(self, response: httpx.Response, body: bytes) -> Answer:
        headers = {name.lower(): value for name, value in response.headers.items()}
        url = response.request.url
        origin = f"{url.scheme}://{target_of(response.request.method, str(url)).authority}"
        return Answer(response.status_code, headers, body, origin, int(self.clock()))

    @contextmanager
    def _errors(self, request: httpx.Request) -> Iterator[None]:
        place = request.url.netloc.decode("ascii", "replace")
        try:
            yield
        except httpx.TimeoutException as error:
            raise UnreachableError(f"{place} did not answer in {self._timeout:g} s") from error
        except httpx.RequestError as error:
            raise UnreachableError(f"{place} cannot be reached: {error}") from error
        except httpx.InvalidURL as error:
            raise UnreachableError(f"{place} sent us elsewhere: {error}") from error

    # Carrying out

    async def _run(self, flow: Awaitable[T]) -> T:
        steps = flow.__await__()
        try:
            effect = next(steps)
            while True:
                try:
                    result = await self._perform(effect)
                except WalletError as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(result)
        except StopIteration as end:
            outcome: T = end.value
            return outcome
        finally:
            steps.close()

    async def _perform(self, effect: Effect[Any]) -> Any:
        if isinstance(effect, HttpCall):
            return await self._ask(effect)
        if isinstance(effect, Listen):
            return await self._listen(effect)
        if isinstance(effect, Pause):
            return await self._pause(effect.seconds)
        if isinstance(effect, AtNode):
            with _asked(self._node) as node:
                return await effect.work(node)
        raise ClientError(_FOREIGN)

    async def _ask(self, call: HttpCall[T]) -> T:
        request = self._request(call, call.content_type)
        body = bytearray()

        def take(chunk: bytes) -> None:
            if len(body) + len(chunk) > MAX_ANSWER_SIZE:
                raise ClientError(f"the answer has more than {MAX_ANSWER_SIZE} bytes")
            body.extend(chunk)

        with self._errors(request):
            response = await self._receive(request, take)
        return call.result(self._answer(response, bytes(body)))

    async def _listen(self, effect: Listen[T]) -> T | None:
        end = time.monotonic() + effect.seconds
        reader, results = EventReader(), list[T]()

        def take(line: str) -> bool:
            event = reader.feed(line)
            result = None if event is None else effect.until(event)
            if result is not None:
                results.append(result)
            return result is not None or (event is not None and time.monotonic() > end)

        request = self._request(effect.call, _EVENT_STREAM)
        with self._errors(request):
            refused = await self._follow(request, take)
        if refused is not None:
            raise problem_in(self._answer(refused, refused.content))
        return results[0] if results else None

    async def _receive(
        self, request: httpx.Request, take: Callable[[bytes], None]
    ) -> httpx.Response:
        """Hand the answer's body to `take`, piece by piece."""
        response = await self._http.send(request, stream=True)
        try:
            async for chunk in response.aiter_bytes():
                take(chunk)
        finally:
            await response.aclose()
        return response

    async def _follow(
        self, request: httpx.Request, take: Callable[[str], bool]
    ) -> httpx.Response | None:
        """Hand the stream's lines to `take`, until that returns True; return an answer that is no stream."""
        response = await self._http.send(request, stream=True)
        try:
            if response.status_code != _OK:
                await response.aread()
                return response
            async for line in response.aiter_lines():
                if take(line):
                    break
        finally:
            await response.aclose()
        return None

    async def _pause(self, seconds: float) -> None:
        if self._blocks:
            time.sleep(seconds)  # noqa: ASYNC251 - this is what `_blocks` means
        else:
            await asyncio.sleep(seconds)

    async def _close(self) -> None:
        await self._http.aclose()
        if self._node is not None:
            await self._node.close()


@contextmanager
def _asked(node: AsyncRpc | None) -> Iterator[AsyncRpc]:
    if node is None:
        raise ClientError("this needs a node of one's own, and none was named")
    try:
        yield node
    except (CallError, RevertError) as error:
        refusal = error if isinstance(error, RevertError) else revert_in(error)
        if refusal is None:
            raise NodeError(str(error), ErrorKind.NODE_REFUSED) from error
        raise refused(refusal) from error
    except RpcError as error:
        raise NodeError(str(error), ErrorKind.NODE_REFUSED if error.less_may_do else "") from error
    except LedgerError as error:
        raise NodeError(str(error)) from error


class Client(_Core):
    """Carries out flows in ordinary code. Safe to share between threads."""

    _blocks = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        finish(self._close())

    def run(self, flow: Awaitable[T]) -> T:
        """Carry out a flow, or a single call. There is no event loop: nothing below ever suspends.

        Raises:
            WalletError: what the flow raises.
        """
        return finish(self._run(flow))


class AsyncClient(_Core):
    """Carries out flows in asyncio."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._close()

    async def run(self, flow: Awaitable[T]) -> T:
        """Carry out a flow, or a single call; see `Client.run`."""
        return await self._run(flow)

    async def _listen(self, effect: Listen[T]) -> T | None:
        try:
            async with asyncio.timeout(effect.seconds):
                return await super()._listen(effect)
        except TimeoutError:
            return None


class _BlockingTransport(httpx.AsyncBaseTransport):
    """Carries requests without ever suspending."""

    def __init__(self, transport: httpx.BaseTransport | None) -> None:
        self._transport = transport or httpx.HTTPTransport(trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = self._transport.handle_request(request)
        stream = cast("httpx.SyncByteStream", response.stream)
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=_BlockingStream(stream),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        self._transport.close()


class _BlockingStream(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._stream:
            yield chunk

    async def aclose(self) -> None:
        self._stream.close()
