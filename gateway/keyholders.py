"""The keyholders as the gateway sees them: services over HTTP that answer with sealed parts or a refusal.

`Keyholders.ask` hands the same tasks to as many keyholders as it takes, and turns to the others when
one is slow, fails or refuses. What comes back is opaque here: it is sealed to the consumer.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from gateway.errors import ForbiddenError, GatewayError, UnavailableError
from ledger.errors import LedgerError
from ledger.exchange import HeldKeys, Refusal, SealedParts, decode_answers, encode_tasks
from ledger.hexes import ADDRESS_LENGTH, from_hex
from ledger.http_client import HttpAsker, HttpError
from ledger.http_connections import HttpClient

_OK: Final = 200
_MOST_ANSWER: Final = 64 * 1024 * 1024
_CONNECTIONS: Final = 16
_IDLE: Final = 4.0
"""Seconds for which an unused connection is kept; a keyholder closes it after five."""
_REST: Final = 5.0
"""Seconds for which a keyholder that failed is asked last."""
_LOOK_AGAIN: Final = 2.0
"""Seconds for which it stays known who is ready: readiness may be asked for often, and by anybody."""
_SOON: Final = 1.5
_FRESH: Final = 0.05
"""Seconds for which an answer shows that a keyholder is ready: a use that is recorded while too few are is
somebody's use for nothing. Under load releases show it, otherwise each access asks."""

PROBLEM: Final = "urn:quancheng:problem:"
RELEASE_OVER: Final = PROBLEM + "release-over"
RELEASE_STOPPED: Final = PROBLEM + "release-stopped"


class KeyholderError(GatewayError):
    """One keyholder could not be asked, or its answer cannot be used."""


class KeyholdersUnavailableError(UnavailableError):
    """Fewer keyholders than it takes handed out their parts; the access is kept."""

    def __init__(self, have: int, needed: int, reasons: Sequence[str]) -> None:
        told = "; ".join(dict.fromkeys(reasons))
        super().__init__(f"{have} of {needed} keyholders released{': ' if told else ''}{told}")
        self.have = have
        self.needed = needed


class ReleaseOverError(GatewayError):
    """The access's release window is over: it is handed out no more, and that is final."""


class ReleaseStoppedError(ForbiddenError):
    """An act on chain stands against the release; the access is kept."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who a keyholder is, and how many it takes, as it says itself."""

    address: bytes
    threshold: int


class _Epoch(msgspec.Struct):
    threshold: int
    complete: bool


class _Description(msgspec.Struct):
    address: str
    epochs: list[_Epoch]


_descriptions: Final = msgspec.json.Decoder(_Description)


class Availability(msgspec.Struct, frozen=True):
    """How many keyholders there are, how many of them can release now, and how many it takes."""

    known: int
    ready: int
    needed: int

    @property
    def problem(self) -> str | None:
        """Why nothing could be released now; None when enough can."""
        if not self.known:
            return "no keyholder is configured"
        if self.ready >= self.needed:
            return None
        return f"{self.ready} of {self.known} keyholders are ready, {self.needed} are needed"


class KeyholderClient:
    """One keyholder. Belongs to the event loop in which it was first used."""

    def __init__(self, http: HttpAsker) -> None:
        """Prepare; nothing is sent.

        Args:
            http: Asks the service; see `keyholder_at`.
        """
        self._http = http
        self._holder: Holder | None = None
        self.failed_at = float("-inf")
        self.ready_at = float("-inf")
        """When it last showed that it can release."""

    async def describe(self) -> Holder:
        """Ask, once, who this is.

        Raises:
            KeyholderError: It does not answer, or has no complete epoch yet.
        """
        if self._holder is None:
            self._holder = _holder(await self._send("GET", "/v1/holder", b""))
        return self._holder

    async def check(self) -> Holder:
        """Ask whether this keyholder can release now, and who it is.

        Raises:
            KeyholderError: It cannot, or does not answer soon.
        """
        try:
            async with asyncio.timeout(_SOON):
                await self._send("GET", "/readyz", b"")
                self._holder = _holder(await self._send("GET", "/v1/holder", b""))
        except TimeoutError as error:
            raise KeyholderError("a keyholder does not answer soon") from error
        return self._holder

    async def confirm(self) -> Holder:
        """Ask whether this keyholder can release at this moment.

        Raises:
            KeyholderError: It cannot, or does not answer soon.
        """
        try:
            async with asyncio.timeout(_SOON):
                holder = await self.describe()
                await self._send("GET", "/readyz", b"")
        except TimeoutError as error:
            raise KeyholderError("a keyholder does not answer soon") from error
        self.ready_at = time.monotonic()
        return holder

    def is_fresh(self) -> bool:
        """Whether it has just shown that it can release, and nothing went wrong since."""
        return self.ready_at > max(self.failed_at, time.monotonic() - _FRESH)

    async def release(self, body: bytes, count: int) -> tuple[SealedParts | Refusal, ...]:
        """Ask for the parts of `count` tasks (`ledger.exchange.encode_tasks`).

        Raises:
            KeyholderError: It does not answer, or not as it should.
        """
        answer = await self._send("POST", "/v1/releases", body)
        try:
            answers = decode_answers(answer, count)
        except LedgerError as error:
            raise KeyholderError(f"a keyholder's answer: {error}") from error
        self.ready_at = time.monotonic()
        return answers

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _send(self, method: str, path: str, body: bytes) -> bytes:
        try:
            answer = await self._http.ask(method, path, body)
        except HttpError as error:
            self.failed_at = time.monotonic()
            raise KeyholderError("a keyholder does not answer") from error
        if answer.status != _OK:
            self.failed_at = time.monotonic()
            raise KeyholderError(f"a keyholder answers with status {answer.status}")
        return answer.body


def keyholder_at(url: str, *, timeout: float) -> KeyholderClient:
    """Return the keyholder with this URL.

    Args:
        url: Of the service, without a path.
        timeout: Seconds for one question and its answer.
    """
    return KeyholderClient(
        HttpClient(url, timeout=timeout, connections=_CONNECTIONS, most=_MOST_ANSWER, idle=_IDLE)
    )


def _holder(body: bytes) -> Holder:
    try:
        found = _descriptions.decode(body)
        address = from_hex(found.address, ADDRESS_LENGTH)
    except (msgspec.MsgspecError, LedgerError) as error:
        raise KeyholderError("a keyholder does not say who it is") from error
    thresholds = [epoch.threshold for epoch in found.epochs if epoch.complete]
    if not thresholds:
        raise KeyholderError("a keyholder has no complete seeds yet")
    return Holder(address, max(thresholds))


NotReleased = KeyholdersUnavailableError | ReleaseOverError | ReleaseStoppedError

Answer = tuple[HeldKeys, ...] | NotReleased
"""The sealed parts of enough keyholders, or why there are too few."""


_Asked = asyncio.Task[tuple[SealedParts | Refusal, ...]]


_LASTING: Final[dict[str, type[ReleaseOverError] | type[ReleaseStoppedError]]] = {
    RELEASE_OVER: ReleaseOverError,
    RELEASE_STOPPED: ReleaseStoppedError,
}


@dataclass(slots=True)
class _Question:
    """Where one group of tasks stands."""

    tasks: Sequence[bytes]
    unasked: list[KeyholderClient]
    needed: int = 1
    keys: list[list[HeldKeys]] = field(default_factory=list)
    reasons: list[list[str]] = field(default_factory=list)
    refusals: list[list[Refusal]] = field(default_factory=list)
    known: int = field(init=False)
    """How many keyholders there are."""
    asked: dict[_Asked, tuple[KeyholderClient, list[int]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.keys = [[] for _ in self.tasks]
        self.reasons = [[] for _ in self.tasks]
        self.refusals = [[] for _ in self.tasks]
        self.known = len(self.unasked)

    def short(self) -> list[int]:
        """Return the tasks that have too few keys even if all who were asked release."""
        coming = [0] * len(self.tasks)
        for _, places in self.asked.values():
            for place in places:
                coming[place] += 1
        return [
            place for place, keys in enumerate(self.keys) if len(keys) + coming[place] < self.needed
        ]

    def open(self) -> list[int]:
        """Return the tasks that do not have enough keys now."""
        return [place for place, keys in enumerate(self.keys) if len(keys) < self.needed]

    def answers(self) -> list[Answer]:
        """Return what came of each task."""
        return [
            tuple(keys[: self.needed]) if len(keys) >= self.needed else self._problem(place)
            for place, keys in enumerate(self.keys)
        ]

    def _problem(self, place: int) -> NotReleased:
        # Some keyholders may lie. What so many say that the others are too few is how it is.
        refusals = self.refusals[place]
        for type_, error in _LASTING.items():
            said = [one for one in refusals if one.type == type_]
            if len(said) > max(self.known - self.needed, 0):
                return error(said[0].detail or said[0].title)
        return KeyholdersUnavailableError(len(self.keys[place]), self.needed, self.reasons[place])


class Keyholders:
    """All keyholders of the deployment, of which `threshold` are needed."""

    def __init__(self, clients: Sequence[KeyholderClient], *, hedge: float) -> None:
        """Prepare; nothing is sent.

        Args:
            clients: One for each keyholder that this gateway can reach.
            hedge: Seconds after which another one is asked beside those that have not answered.
        """
        self._clients = tuple(clients)
        self._hedge = hedge
        self._turn = 0
        self._looking = asyncio.Lock()
        self._looked_at = float("-inf")
        self._available = Availability(len(self._clients), 0, 1)
        self._needed = 0  # not known yet
        self._confirming: asyncio.Task[Availability] | None = None

    async def ask(self, tasks: Sequence[bytes]) -> list[Answer]:
        """Ask for the parts of several accesses at once.

        Args:
            tasks: From `ledger.exchange.encode_task`.

        Returns:
            For each task the parts of as many keyholders as it takes, or why there are too few.
        """
        question = _Question(tasks, self._in_turn())
        try:
            await self._start(question)
            while question.asked and question.open():
                await self._next(question)
        finally:
            for task in question.asked:
                task.cancel()
        return question.answers()

    async def availability(self) -> Availability:
        """Return how many keyholders can release now, as of at most two seconds ago."""
        async with self._looking:
            if time.monotonic() - self._looked_at > _LOOK_AGAIN:
                found = await asyncio.gather(
                    *(client.check() for client in self._clients), return_exceptions=True
                )
                ready = [one.threshold for one in found if isinstance(one, Holder)]
                needed = max([*ready, self._available.needed])
                self._available = Availability(len(self._clients), len(ready), needed)
                self._looked_at = time.monotonic()
        return self._available

    async def confirm(self) -> Availability:
        """Return whether enough keyholders can release at this moment.

        Whoever asks at the same time shares the answer; nobody waits for more than it takes.
        """
        fresh = sum(client.is_fresh() for client in self._clients)
        if 0 < self._needed <= fresh:
            return Availability(len(self._clients), fresh, self._needed)
        if self._confirming is None:
            self._confirming = asyncio.get_running_loop().create_task(self._confirm())
            self._confirming.add_done_callback(self._confirmed)
        return await asyncio.shield(self._confirming)

    async def _confirm(self) -> Availability:
        ready, waiting = 0, {asyncio.ensure_future(one.confirm()) for one in self._clients}
        try:
            while waiting and not 0 < self._needed <= ready:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for one in done:
                    if one.exception() is None:
                        ready += 1
                        self._needed = max(self._needed, one.result().threshold)
        finally:
            for one in waiting:
                one.cancel()
        return Availability(len(self._clients), ready, max(self._needed, 1))

    def _confirmed(self, _: object) -> None:
        self._confirming = None

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients:
            await client.close()

    def _in_turn(self) -> list[KeyholderClient]:
        """Return all keyholders, each time another one first, and last those that just failed."""
        self._turn += 1
        at = self._turn % max(len(self._clients), 1)
        now = time.monotonic()
        return sorted(
            self._clients[at:] + self._clients[:at], key=lambda one: now - one.failed_at < _REST
        )

    async def _start(self, question: _Question) -> None:
        """Ask as many as it takes, as far as is known before the first answers."""
        for client in tuple(question.unasked):
            try:
                question.needed = max(question.needed, (await client.describe()).threshold)
                break
            except KeyholderError as error:
                question.unasked.remove(client)
                self._note(question, range(len(question.tasks)), str(error))
        for _ in range(min(question.needed, len(question.unasked))):
            self._ask_one(question, list(range(len(question.tasks))))

    def _ask_one(self, question: _Question, places: list[int]) -> None:
        client = question.unasked.pop(0)
        task = asyncio.get_running_loop().create_task(self._release(client, question, places))
        question.asked[task] = (client, places)

    async def _release(
        self, client: KeyholderClient, question: _Question, places: list[int]
    ) -> tuple[SealedParts | Refusal, ...]:
        holder = await client.describe()
        question.needed = max(question.needed, holder.threshold)
        body = encode_tasks([question.tasks[place] for place in places])
        return await client.release(body, len(places))

    async def _next(self, question: _Question) -> None:
        """Wait for an answer, at most for the time after which another keyholder is asked too."""
        patience = self._hedge if question.unasked else None
        done, _ = await asyncio.wait(
            question.asked, timeout=patience, return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            client, places = question.asked.pop(task)
            await self._take(question, client, places, task)
        if not done:
            for client, _ in question.asked.values():
                client.failed_at = time.monotonic()  # slow: asked last for a while
        if not question.unasked:
            return
        missing = question.short() if done else question.open()
        if missing:
            self._ask_one(question, missing)

    async def _take(
        self,
        question: _Question,
        client: KeyholderClient,
        places: list[int],
        task: _Asked,
    ) -> None:
        try:
            answers = task.result()
            address = (await client.describe()).address
        except KeyholderError as error:
            self._note(question, places, str(error))
            return
        for place, answer in zip(places, answers, strict=True):
            if isinstance(answer, SealedParts):
                question.keys[place].append(HeldKeys(address, answer.sealed))
            else:
                question.refusals[place].append(answer)
                question.reasons[place].append(answer.detail or answer.title)

    @staticmethod
    def _note(question: _Question, places: Sequence[int], reason: str) -> None:
        for place in places:
            question.reasons[place].append(reason)
