"""Requests and answers as plain values: what is sent to which service, and how the answer is read.

Nothing here does I/O. `HttpCall`s are made by the modules that know a service's surface
(`wallet.client.gateway`, `wallet.client.identity`, `wallet.client.uploads`) and carried out by
`wallet.client.transports`.
"""

from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from typing import Any, Concatenate, Final, Generic, ParamSpec, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from ledger.api import Refusal
from ledger.api.forms import Body
from ledger.chain.rpc import AsyncRpc, Call
from ledger.errors import LedgerError
from ledger.hexstr import to_hex
from ledger.jsonio import UNREADABLE
from wallet.client.errors import ClientError, ErrorKind, ProblemError
from wallet.client.party import Bearer, PartyKey

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
BodyT = TypeVar("BodyT", bound=Body)

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"


class Service(StrEnum):
    """Whom a call is for."""

    GATEWAY = "gateway"
    IDENTITY = "identity"


class Credential(StrEnum):
    """What a call must carry to show who asks."""

    NONE = "none"
    """Nothing: it is public, or an EIP-712 record that is signed in itself."""
    SIGNATURE = "signature"
    """An HTTP message signature by the party's account (RFC 9421)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered."""

    status: int
    headers: Mapping[str, str]
    """By name in lowercase."""
    body: bytes
    origin: str = ""
    """Of whom it was asked: scheme, host and port of the request's address."""
    at: int = 0
    """When it came, by the client's clock, seconds since 1970."""


class Effect(Generic[T_co]):
    """Something that a flow awaits and a client carries out."""

    __slots__ = ()

    def __await__(self) -> Generator["Effect[Any]", Any, T_co]:
        result: T_co = yield self
        return result


@dataclass(frozen=True, slots=True)
class HttpCall(Effect[T_co]):
    """One request, and how its answer is read."""

    method: str
    path: str
    """Percent-encoded; query included."""
    read: Callable[[Answer], T_co]
    service: Service | str = Service.GATEWAY
    """A service, or the address of one (keyholders)."""
    body: bytes = b""
    content_type: str = JSON
    credential: Credential = Credential.NONE
    by: PartyKey | Bearer | None = None
    """Who asks, when it is not the client's own party: one of a person's subject ids."""
    read_too: frozenset[int] = frozenset()
    """Statuses from 400 on that `read` understands; of all others an error is made."""

    def asked_by(self, who: PartyKey | Bearer | None) -> "HttpCall[T_co]":
        """Return the call as somebody else asks it."""
        return replace(self, by=who)

    def result(self, answer: Answer) -> T_co:
        """Return what the answer means.

        Raises:
            ProblemError: a problem; its subclass by status.
            ClientError: the answer is none of the protocol.
        """
        if answer.status >= 300 and answer.status not in self.read_too:
            raise problem_in(answer)
        try:
            return self.read(answer)
        except (*UNREADABLE, LedgerError) as error:
            raise ClientError(
                f"{self.method} {self.path.partition('?')[0]}: not an answer of the protocol: {error}"
            ) from error


class _Problem(msgspec.Struct):
    type: str = "about:blank"
    title: str = ""
    status: int = 0
    detail: str = ""


_MAX_QUOTED: Final = 200
_USUAL: Final = frozenset(_Problem.__struct_fields__)


def problem_in(answer: Answer) -> ProblemError:
    """Return the error that an answer tells of; one that is no problem document makes one too."""
    try:
        found = msgspec.json.decode(answer.body, type=_Problem)
        everything = msgspec.json.decode(answer.body, type=dict[str, msgspec.Raw])
    except UNREADABLE:
        text = answer.body[:_MAX_QUOTED].decode("utf-8", "replace")
        found, everything = _Problem(title=f"HTTP status {answer.status}", detail=text.strip()), {}
    problem = Refusal(found.type, found.title, answer.status, found.detail)
    members = tuple(
        (name, value)
        for name, raw in everything.items()
        if name not in _USUAL and (value := _scalar(raw)) is not None
    )
    return ProblemError(problem, _seconds(answer.headers.get("retry-after")), members)


def _scalar(raw: msgspec.Raw) -> str | int | float | bool | None:
    """Return a member that is neither an object nor an array; these are not even built."""
    try:
        return msgspec.json.decode(raw, type=str | int | float | bool | None)
    except UNREADABLE:
        return None


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isascii() and text.isdigit() else None


def path(template: str, *parts: bytes | str | int, **query: bytes | str | int | None) -> str:
    """Return a path with its variable parts filled in, and the query parameters that are given.

    Bytes become 0x strings; everything is percent-encoded.
    """
    filled = template.format(*(quote(_text(part), safe="") for part in parts))
    given = {name: _text(value) for name, value in query.items() if value is not None}
    return f"{filled}?{urlencode(given, quote_via=quote)}" if given else filled


def _text(value: bytes | str | int) -> str:
    return to_hex(value) if isinstance(value, bytes) else str(value)


def reader(kind: type[T]) -> Callable[[Answer], T]:
    """Return a reader of JSON answers of one type."""
    decode = _decoder(kind).decode  # type: ignore[arg-type]  # a type is hashable
    return lambda answer: decode(answer.body)


@cache
def _decoder(kind: Any) -> "msgspec.json.Decoder[Any]":
    """Made once: for a dataclass that costs as much as some answers."""
    return msgspec.json.Decoder(kind)


def nothing(_answer: Answer) -> None:
    """Read an answer of which only the status counts."""


def body_of(kind: type[BodyT], members: Mapping[str, object]) -> BodyT:
    """Return a body of what somebody named, such as a person's number.

    Raises:
        ClientError (INVALID): the service would refuse it; nothing is sent.
    """
    try:
        return kind.of(members)
    except LedgerError as error:
        raise ClientError(str(error), ErrorKind.INVALID) from error


def signed_get(
    where: str, read: Callable[[Answer], T], service: Service = Service.GATEWAY
) -> HttpCall[T]:
    """Return a question that whoever asks signs."""
    return HttpCall("GET", where, read, service, credential=Credential.SIGNATURE)


def signed_post(
    where: str,
    body: Body | None,
    read: Callable[[Answer], T],
    service: Service | str = Service.GATEWAY,
) -> HttpCall[T]:
    """Return a message that whoever sends it signs."""
    data = b"" if body is None else body.encode()
    return HttpCall("POST", where, read, service, data, credential=Credential.SIGNATURE)


MAX_EVENT_SIZE: Final = 2**20
"""Characters of one event at most."""


class ServerEvent(msgspec.Struct, frozen=True):
    """A server-sent event (WHATWG HTML, section 9.2.6)."""

    event: str
    data: str
    id: str


class EventReader:
    """Puts lines together to events, as the standard's section 9.2.6 says."""

    def __init__(self) -> None:
        self._event = ""
        self._data: list[str] = []
        self._size = 0
        self._id = ""

    def feed(self, line: str) -> ServerEvent | None:
        """Take the next line, without its end; return the event that it completes.

        Raises:
            ClientError: an event is too long.
        """
        if not line:
            return self._complete()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        self._size += len(value)
        if self._size > MAX_EVENT_SIZE:
            raise ClientError("an event is too long")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        return None

    def _complete(self) -> ServerEvent | None:
        data, event = self._data, self._event or "message"
        self._event, self._data, self._size = "", [], 0
        return ServerEvent(event, "\n".join(data), self._id) if data else None


@dataclass(frozen=True, slots=True)
class Pause(Effect[None]):
    """Do nothing for some seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Listen(Effect[T | None]):
    """Follow a stream of events until `until` returns a result, or `seconds` have passed (None then)."""

    call: HttpCall[None]
    until: Callable[[ServerEvent], T | None]
    seconds: float


@dataclass(frozen=True, slots=True)
class AtNode(Effect[T]):
    """Work with the party's own node."""

    work: Callable[[AsyncRpc], Awaitable[T]]


async def at_node(
    work: Callable[Concatenate[AsyncRpc, P], Awaitable[T]], *arguments: P.args, **options: P.kwargs
) -> T:
    """Ask the party's own node whatever `work` asks."""
    return await AtNode(lambda node: work(node, *arguments, **options))


async def look(call: Call[T]) -> T:
    """Ask the party's own node."""
    return await AtNode(lambda node: node.send(call))


async def look_all(calls: Sequence[Call[T]]) -> list[T]:
    """Ask the party's own node several questions at once; without questions it is not asked."""
    return await AtNode(lambda node: node.send_many(calls)) if calls else []


async def pause(seconds: float) -> None:
    """Wait."""
    await Pause(seconds)
