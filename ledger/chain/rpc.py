"""JSON-RPC to a node: one keep-alive connection pool, typed answers, typed errors.

What is asked is a `Call`: a method, its parameters and how its answer is read. `ledger.chain.eth_methods` and
`ledger.chain.contract_reads` make them without knowing how they travel; `AsyncRpc` sends them, and `Rpc` lets ordinary
code do so. Nothing is tried twice: whoever asks knows whether asking again is right.

Source: JSON-RPC 2.0; Ethereum's execution API specification.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, Final, Generic, Literal, ParamSpec, Self, TypeAlias, TypeVar
from urllib.parse import urlsplit

import msgspec

from ledger.chain.http_client import BlockingHttpClient, HttpClient, HttpError
from ledger.errors import ExitCode, LedgerError
from ledger.hexstr import from_hex
from ledger.jsonio import UNREADABLE

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_OK: Final = 200
_TOO_LARGE: Final = 413
_CLIENT_ERRORS: Final = range(400, 500)
_MEBIBYTE: Final = 1 << 20
_IDLE: Final = 60.0
"""Seconds for which a connection is kept that nothing travels on."""


RpcProblem: TypeAlias = Literal[
    "unreachable",
    "timeout",
    "refused",
    "malformed",
    "request too large",
    "answer too large",
    "call",
]
"""Kinds of `RpcError`.

unreachable, timeout: no answer; a transaction that was being sent may have arrived.
refused: HTTP status 4xx without JSON-RPC: the node, or a proxy before it, takes no such request.
malformed: what came back is not the answer that the method has.
request too large: more than the settings or the node allow; it was not carried out.
answer too large: more than the settings allow; the rest of it was not read.
call: the node answered with an error (`CallError`).
"""

_REFUSALS: Final = frozenset(("call", "request too large", "refused"))
_LESS_MAY_DO: Final = _REFUSALS | {"answer too large", "timeout"}
_UNREACHED: Final = frozenset(("unreachable", "timeout", "refused"))
_LABELS: Final[dict[RpcProblem, str]] = {
    "unreachable": "NodeUnreachable",
    "timeout": "NodeTimeout",
    "refused": "RequestRefused",
    "malformed": "MalformedAnswer",
    "request too large": "RequestTooLarge",
    "answer too large": "AnswerTooLarge",
    "call": "Call",
}


class RpcError(LedgerError):
    """Asking a node did not work."""

    exit_code = ExitCode.TRY_AGAIN

    def __init__(self, message: str, kind: RpcProblem = "malformed") -> None:
        super().__init__(message)
        self.kind = kind
        self.label = _LABELS[kind]

    @property
    def is_refusal(self) -> bool:
        """The node answered, and does not do what was asked; less at once it may do."""
        return self.kind in _REFUSALS

    @property
    def less_may_do(self) -> bool:
        """Asking for less is worth a try."""
        return self.kind in _LESS_MAY_DO

    @property
    def is_unreached(self) -> bool:
        """No answer of a node came."""
        return self.kind in _UNREACHED


class CallError(RpcError):
    """The node answered with an error."""

    def __init__(self, method: str, code: int, message: str, data: bytes | None = None) -> None:
        super().__init__(f"{method}: {message} (code {code})", "call")
        self.method = method
        self.code = code
        self.message = message
        self.data = data
        """What a reverted call returned: the ABI encoding of an error (`ledger.chain.reverts`)."""

    def __reduce__(self) -> tuple[type["CallError"], tuple[str, int, str, bytes | None]]:
        return type(self), (self.method, self.code, self.message, self.data)


@dataclass(frozen=True, slots=True)
class Call(Generic[T_co]):
    """One question to a node."""

    method: str
    params: tuple[object, ...]
    read: Callable[[msgspec.Raw], T_co]
    """Returns what the answer's `result` means. May raise `msgspec.DecodeError` or `ValueError`."""


@dataclass(frozen=True, slots=True)
class RpcSettings:
    """How to talk to a node.

    Attributes:
        timeout: seconds for one request and its answer; a hung node holds nobody longer.
        max_request: bytes; anvil takes 2 MB, and a longer request would fail there less clearly.
        max_answer: bytes; what a wrong or hostile node can make us hold in memory.
        batch: calls in one HTTP request.
        connections: kept open at most.
    """

    timeout: float = 10.0
    max_request: int = 2 * 1000 * 1000
    max_answer: int = 256 * _MEBIBYTE
    batch: int = 500
    connections: int = 8


class _Problem(msgspec.Struct):
    code: int
    message: str
    data: msgspec.Raw = msgspec.Raw(b"null")
    """Whatever the node says: an `Any` here is built before it is looked at, however deep it is nested."""


class _ProblemData(msgspec.Struct):
    data: str | None = None


class _Answer(msgspec.Struct):
    id: int | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _Problem | None = None


class _Failure(msgspec.Struct):
    error: _Problem


_decode_failure: Final = msgspec.json.Decoder(_Failure | list[_Failure]).decode
_decode_answer: Final = msgspec.json.Decoder(_Answer).decode
_decode_answers: Final = msgspec.json.Decoder(list[_Answer]).decode
_decode_data: Final = msgspec.json.Decoder(str | _ProblemData | None).decode
_encode: Final = msgspec.json.Encoder().encode


class AsyncRpc:
    """A node. Belongs to the event loop in which it was first used; safe for concurrent use in it."""

    def __init__(
        self, url: str, settings: RpcSettings | None = None, *, blocks: bool = False
    ) -> None:
        """Take a node's address.

        Args:
            url: of its JSON-RPC.
            settings: how to talk to it.
            blocks: whether whoever asks is kept waiting, its whole thread with it, instead of being suspended;
                see `Rpc`.
        """
        self.url = url
        self.settings = settings or RpcSettings()
        # Without user and password, path and query: those may hold a key.
        self._name = _place(url)
        self._takes_batches = True
        self.blocks = blocks
        self._http = self._connections()

    def _connections(self) -> HttpClient | BlockingHttpClient:
        bounds = self.settings.timeout, self.settings.connections, self.settings.max_answer
        if self.blocks:
            return BlockingHttpClient(self.url, *bounds)
        return HttpClient(self.url, *bounds, _IDLE)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.close()

    async def pause(self, seconds: float) -> None:
        if self.blocks:
            time.sleep(seconds)  # noqa: ASYNC251 - this is what `blocks` means
        else:
            await asyncio.sleep(seconds)

    async def send(self, call: Call[T]) -> T:
        """Ask one question.

        Raises:
            RpcError: one of its kinds.
        """
        body = await self._post(self._checked(_encode(_message(0, call))))
        return _result(call, _parsed(_decode_answer, body))

    async def try_many(self, calls: Sequence[Call[T]]) -> list[T | CallError]:
        """Ask several questions; where the node answered with an error, that error is the answer.

        Raises:
            RpcError: one of its kinds other than `CallError`.
        """
        results: list[T | CallError] = []
        for part, body in self._bodies(calls):
            if self._takes_batches:
                try:
                    results += _results(part, await self._post(body))
                    continue
                except RpcError as error:
                    if not error.is_refusal:  # as a whole; the calls are tried by themselves
                        raise
            for call in part:
                try:
                    results.append(await self.send(call))
                except CallError as error:
                    results.append(error)
            self._takes_batches = False
        return results

    async def send_many(self, calls: Sequence[Call[T]]) -> list[T]:
        """Ask several questions at once.

        Raises:
            RpcError: one of its kinds; the first `CallError` if there are several.
        """
        return _all_answered(await self.try_many(calls))

    def _bodies(self, calls: Sequence[Call[Any]]) -> Iterator[tuple[Sequence[Call[Any]], bytes]]:
        for start in range(0, len(calls), self.settings.batch):
            part = calls[start : start + self.settings.batch]
            yield part, self._checked(_encode([_message(n, call) for n, call in enumerate(part)]))

    def _checked(self, body: bytes) -> bytes:
        if len(body) > self.settings.max_request:
            raise RpcError(
                f"the request has {len(body)} bytes, {self.settings.max_request} are allowed",
                "request too large",
            )
        return body

    async def _post(self, body: bytes) -> bytes:
        try:
            answer = await self._http.ask("POST", "", body)
        except HttpError as error:
            if error.kind == "timeout":
                seconds = f"{self.settings.timeout:g} s"
                raise RpcError(
                    f"{self._name} did not answer within {seconds}", "timeout"
                ) from error
            if error.kind == "too long":
                raise RpcError(
                    f"the answer of {self._name} has more than {self.settings.max_answer} bytes",
                    "answer too large",
                ) from error
            raise RpcError(f"{self._name} cannot be reached: {error}", "unreachable") from error
        if answer.status == _OK or (answer.status in _CLIENT_ERRORS and _is_failure(answer.body)):
            return answer.body
        if answer.status == _TOO_LARGE:
            raise RpcError(f"{self._name} says that the request is too large", "request too large")
        kind: RpcProblem = "refused" if answer.status in _CLIENT_ERRORS else "unreachable"
        raise RpcError(f"{self._name} answered with HTTP status {answer.status}", kind)


class Rpc:
    """A node, asked from ordinary code. Safe to share between threads."""

    def __init__(self, url: str, settings: RpcSettings | None = None) -> None:
        self.awaited = AsyncRpc(url, settings, blocks=True)
        """The same node, for flows that ordinary code carries out."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.run(AsyncRpc.close)

    def run(
        self,
        flow: Callable[Concatenate[AsyncRpc, P], Coroutine[Any, Any, T]],
        *arguments: P.args,
        **options: P.kwargs,
    ) -> T:
        """Carry out a flow that asks this node and waits for nothing else."""
        return finish(flow(self.awaited, *arguments, **options))

    def send(self, call: Call[T]) -> T:
        """Ask one question; see `AsyncRpc.send`."""
        return finish(self.awaited.send(call))

    def try_many(self, calls: Sequence[Call[T]]) -> list[T | CallError]:
        """Ask several questions; see `AsyncRpc.try_many`."""
        return finish(self.awaited.try_many(calls))

    def send_many(self, calls: Sequence[Call[T]]) -> list[T]:
        """Ask several questions at once; see `AsyncRpc.send_many`."""
        return finish(self.awaited.send_many(calls))


def finish(flow: Coroutine[Any, Any, T]) -> T:
    """Return the result of a flow that never suspends: no event loop is needed for it.

    Raises:
        RuntimeError: it suspends.
    """
    try:
        flow.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    flow.close()
    raise RuntimeError("ordinary code cannot wait for an event loop")


def _message(number: int, call: Call[Any]) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": number, "method": call.method, "params": call.params}


def _parsed(decode: Callable[[bytes], T], body: bytes) -> T:
    try:
        return decode(body)
    except UNREADABLE as error:
        raise RpcError(f"the node's answer is not JSON-RPC: {error}") from error


def _is_failure(body: bytes) -> bool:
    """Whether an answer is JSON-RPC and says that the call failed: some nodes give it a status of its own."""
    try:
        return bool(_decode_failure(body))
    except UNREADABLE:
        return False


def _results(calls: Sequence[Call[T]], body: bytes) -> list[T | CallError]:
    # A node that refuses a batch as a whole answers with a single error.
    if not body.lstrip().startswith(b"["):
        error = _parsed(_decode_answer, body).error
        raise _call_error("batch", error) if error else RpcError("no batch came back")
    answers = {answer.id: answer for answer in _parsed(_decode_answers, body)}
    results: list[T | CallError] = []
    for number, call in enumerate(calls):
        answer = answers.get(number)
        if answer is None:
            raise RpcError(f"{call.method}: the node left out an answer of a batch")
        try:
            results.append(_result(call, answer))
        except CallError as error:
            results.append(error)
    return results


def _result(call: Call[T], answer: _Answer) -> T:
    if answer.error is not None:
        raise _call_error(call.method, answer.error)
    try:
        return call.read(answer.result)
    except (*UNREADABLE, ValueError) as error:
        raise RpcError(f"{call.method}: unexpected answer: {error}") from error


def _call_error(method: str, problem: _Problem) -> CallError:
    return CallError(method, problem.code, problem.message[:500], _revert_data(problem.data))


def _revert_data(raw: msgspec.Raw) -> bytes | None:
    # Besu and geth give the data itself, others an object that holds it.
    try:
        data = _decode_data(raw)
        text = data.data if isinstance(data, _ProblemData) else data
        return None if text is None else from_hex(text)
    except (*UNREADABLE, ValueError):
        return None


def _all_answered(results: Sequence[T | CallError]) -> list[T]:
    answered: list[T] = []
    for result in results:
        if isinstance(result, CallError):
            raise result
        answered.append(result)
    return answered


def _place(url: str) -> str:
    try:
        parts = urlsplit(url)
        return f"the node at {parts.hostname}:{parts.port}" if parts.port else f"{parts.hostname}"
    except ValueError:
        return "the node"
