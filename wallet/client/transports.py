"""Carries out calls and flows over HTTP: `Client` in ordinary code, `AsyncClient` in asyncio.

Both do the same: make the request, sign it if the call says so, and read the answer. Neither tries
anything twice; whoever knows whether that is right does (`wallet.client.patience`).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import httpx
import msgspec

from ledger.errors import LedgerError
from ledger.http_signatures import body_digest, target_of
from ledger.log_reader import LESS_MAY_DO
from ledger.reverts import revert_in
from ledger.rpc import AsyncRpc, Call, CallError, Rpc
from wallet.client.calls import Answer, Credential, HttpCall, Service, problem_in
from wallet.client.errors import (
    ClientError,
    MissingKeyError,
    NodeError,
    NodeRefusedError,
    RefusedError,
    UnreachableError,
)
from wallet.client.events import EventReader, ServerEvent
from wallet.client.party import Bearer, PartyKey
from wallet.client.steps import Effect, Listen, Looks, Pause, Steps
from wallet.errors import WalletError

T = TypeVar("T")

MOST_ANSWER: Final = 256 * 2**20
"""Bytes of an answer at most: what a service may make us hold."""

_OK: Final = 200
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

    def __init__(
        self,
        endpoints: Endpoints,
        *,
        key: PartyKey | None = None,
        chain_id: int = 0,
        timeout: float = 60.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take over where the others are.

        Args:
            endpoints: addresses.
            key: signs the calls that must be; None for what anyone may ask.
            chain_id: of the deployment; part of the signatures.
            timeout: seconds for one request and its answer.
            clock: seconds since 1970.
        """
        self.endpoints = endpoints
        self.key = key
        self.chain_id = chain_id
        self.clock = clock
        self._timeout = timeout

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
            raise MissingKeyError(f"{call.method} {call.path} must be signed: name a key")
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


def _add(body: bytearray, chunk: bytes) -> None:
    if len(body) + len(chunk) > MOST_ANSWER:
        raise ClientError(f"the answer has more than {MOST_ANSWER} bytes")
    body += chunk


NodeT = TypeVar("NodeT", Rpc, AsyncRpc)


@contextmanager
def _asked(node: NodeT | None) -> Iterator[NodeT]:
    if node is None:
        raise ClientError("this needs a node of one's own, and none was named")
    try:
        yield node
    except CallError as error:
        refused = revert_in(error)
        if refused is None:
            raise NodeRefusedError(str(error)) from error
        arguments = ", ".join(map(str, refused.revert.arguments))
        raise RefusedError(refused.revert.name, arguments) from error
    except LESS_MAY_DO as error:
        raise NodeRefusedError(str(error)) from error
    except LedgerError as error:
        raise NodeError(str(error)) from error


class Client(_Core):
    """The other parties, asked from ordinary code. Safe to share between threads."""

    def __init__(
        self, *arguments: Any, transport: httpx.BaseTransport | None = None, **options: Any
    ) -> None:
        """Take the arguments of `_Core`, and what carries the requests (for tests)."""
        super().__init__(*arguments, **options)
        self._http = httpx.Client(timeout=self._timeout, trust_env=False, transport=transport)
        self._node = Rpc(self.endpoints.node) if self.endpoints.node else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
        if self._node is not None:
            self._node.close()

    def run(self, steps: Steps[T]) -> T:
        """Carry out a flow.

        Raises:
            WalletError: what the flow raises.
        """
        try:
            effect = next(steps)
            while True:
                try:
                    result = self._perform(effect)
                except WalletError as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(result)
        except StopIteration as end:
            found: T = end.value
            return found

    def send(self, call: HttpCall[T]) -> T:
        """Ask a service.

        Raises:
            ClientError: one of its kinds.
        """
        request = self._request(call, call.content_type)
        body = bytearray()
        with self._errors(request):
            response = self._http.send(request, stream=True)
            try:
                for chunk in response.iter_bytes():
                    _add(body, chunk)
            finally:
                response.close()
        return call.result(self._answer(response, bytes(body)))

    def look(self, call: Call[T]) -> T:
        """Ask the party's own node.

        Raises:
            ClientError: none was named.
            NodeError: it did not answer, or refused.
        """
        with _asked(self._node) as node:
            return node.send(call)

    def look_all(self, looks: Looks[T]) -> list[T]:
        """Ask the party's own node several questions; see `look`."""
        with _asked(self._node) as node:
            return node.send_many(looks.calls)

    def events(self, call: HttpCall[None]) -> Iterator[ServerEvent]:
        """Follow a stream of events until it ends.

        Raises:
            ClientError: one of its kinds.
        """
        request, reader = self._request(call, _EVENT_STREAM), EventReader()
        with self._errors(request):
            response = self._http.send(request, stream=True)
            try:
                if response.status_code != _OK:
                    raise problem_in(self._answer(response, response.read()))
                for line in response.iter_lines():
                    event = reader.feed(line)
                    if event is not None:
                        yield event
            finally:
                response.close()

    def _perform(self, effect: Effect) -> Any:
        if isinstance(effect, HttpCall):
            return self.send(effect)
        if isinstance(effect, Call):
            return self.look(effect)
        if isinstance(effect, Looks):
            return self.look_all(effect)
        if isinstance(effect, Pause):
            time.sleep(effect.seconds)
            return None
        return self._listen(effect)

    def _listen(self, effect: Listen[T]) -> T | None:
        end = time.monotonic() + effect.seconds
        for event in self.events(effect.call):
            found = effect.until(event)
            if found is not None or time.monotonic() > end:
                return found
        return None


class AsyncClient(_Core):
    """The other parties, asked from asyncio."""

    def __init__(
        self, *arguments: Any, transport: httpx.AsyncBaseTransport | None = None, **options: Any
    ) -> None:
        """Take the arguments of `_Core`, and what carries the requests (for tests)."""
        super().__init__(*arguments, **options)
        self._http = httpx.AsyncClient(timeout=self._timeout, trust_env=False, transport=transport)
        self._node = AsyncRpc(self.endpoints.node) if self.endpoints.node else None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()
        if self._node is not None:
            await self._node.close()

    async def run(self, steps: Steps[T]) -> T:
        """Carry out a flow; see `Client.run`."""
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
            found: T = end.value
            return found

    async def send(self, call: HttpCall[T]) -> T:
        """Ask a service; see `Client.send`."""
        request = self._request(call, call.content_type)
        body = bytearray()
        with self._errors(request):
            response = await self._http.send(request, stream=True)
            try:
                async for chunk in response.aiter_bytes():
                    _add(body, chunk)
            finally:
                await response.aclose()
        return call.result(self._answer(response, bytes(body)))

    async def look(self, call: Call[T]) -> T:
        """Ask the party's own node; see `Client.look`."""
        with _asked(self._node) as node:
            return await node.send(call)

    async def look_all(self, looks: Looks[T]) -> list[T]:
        """Ask the party's own node several questions; see `Client.look`."""
        with _asked(self._node) as node:
            return await node.send_many(looks.calls)

    async def events(self, call: HttpCall[None]) -> AsyncIterator[ServerEvent]:
        """Follow a stream of events until it ends; see `Client.events`."""
        request, reader = self._request(call, _EVENT_STREAM), EventReader()
        with self._errors(request):
            response = await self._http.send(request, stream=True)
            try:
                if response.status_code != _OK:
                    raise problem_in(self._answer(response, await response.aread()))
                async for line in response.aiter_lines():
                    event = reader.feed(line)
                    if event is not None:
                        yield event
            finally:
                await response.aclose()

    async def _perform(self, effect: Effect) -> Any:
        if isinstance(effect, HttpCall):
            return await self.send(effect)
        if isinstance(effect, Call):
            return await self.look(effect)
        if isinstance(effect, Looks):
            return await self.look_all(effect)
        if isinstance(effect, Pause):
            await asyncio.sleep(effect.seconds)
            return None
        return await self._listen(effect)

    async def _listen(self, effect: Listen[T]) -> T | None:
        try:
            async with asyncio.timeout(effect.seconds):
                async for event in self.events(effect.call):
                    found = effect.until(event)
                    if found is not None:
                        return found
        except TimeoutError:
            pass
        return None
