"""The keyholders as the gateway sees them: services over HTTP that answer with sealed parts or a refusal.

`Keyholders.ask` hands the same tasks to as many keyholders as it takes, and turns to the others when
one is slow, fails or refuses. Who they are and how many it takes the deployment file's rosters say: what one
keyholder says of itself changes nothing of that. What comes back is opaque here: it is sealed to the consumer.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from gateway.access.keyholder_client import KeyholderClient
from gateway.errors import KeyholderError, ProblemError, UnavailableError
from ledger.api import HeldKeys, Refusal, SealedParts
from ledger.api.keyholder import encode_tasks, with_authorization
from ledger.crypto.secret_sharing import Roster, most_sealed
from ledger.typed_data import Authorization

_MAX_QUESTION: Final = 8 * 1024 * 1024
"""Bytes of tasks with statements in one body; a keyholder takes 32 MiB."""
_REST: Final = 5.0
"""Seconds for which a keyholder that failed is asked last."""
_LOOK_AGAIN: Final = 2.0
"""Seconds for which it stays known who is ready: readiness may be asked for often, and by anybody."""

PROBLEM: Final = "urn:quancheng:problem:"
STATEMENT_WANTED: Final = PROBLEM + "statement-wanted"


class Availability(msgspec.Struct, frozen=True):
    """How many keyholders there are, how many of them can release now, how many it takes: of one roster."""

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


Answer = tuple[HeldKeys, ...] | ProblemError
"""The sealed parts of all keyholders that released, enough of them; or why there are too few."""


class PartsTask(msgspec.Struct, frozen=True):
    """What to ask the keyholders for."""

    encoded: bytes
    """From `ledger.api.encode_task`."""
    epochs: frozenset[int]
    """Of the records; empty where there are none."""
    answered: tuple[bytes, ...] = ()
    """Whose parts were handed out for the access before, those of longest ago first. Who asks again may not have been
    able to open them, so the others are asked first."""
    authorization: bytes | None = None
    """Id of the basis, where that is a person's consent: a keyholder may want to see its statement."""
    records: int = 0
    """How many there are of them."""
    fields: int = 0
    """How many are asked for of each."""

    def answered_at(self, client: KeyholderClient) -> int:
        """Return when a keyholder's parts were handed out, among those of all; below zero for never."""
        address = client.address
        return self.answered.index(address) if address in self.answered else -1


Statements = Callable[[Sequence[bytes]], Awaitable[Mapping[bytes, Authorization]]]
"""Returns the signed records of authorizations; those that are not there are left out."""

_Asked = asyncio.Task[tuple[SealedParts | Refusal, ...]]


_LASTING: Final = ("release-over", "release-stopped")
"""Problems that stay, by their slugs."""


@dataclass(slots=True)
class _Question:
    """Where one task stands. How many it takes is the rosters' word and nobody else's."""

    task: PartsTask
    rosters: tuple[Roster, ...]
    """Of the records' epochs."""
    unasked: list[KeyholderClient]
    keys: dict[bytes, HeldKeys] = field(default_factory=dict)
    coming: set[bytes] = field(default_factory=set)
    """Who was asked and has not answered."""
    reasons: list[str] = field(default_factory=list)
    refusals: dict[bytes, Refusal] = field(default_factory=dict)
    """By keyholder."""

    def is_short(self) -> bool:
        return bool(_short(self.rosters, self.keys.keys()))

    def is_open(self) -> bool:
        """Whether it does not have enough keys now, and still may: who else may answer changes nothing of the rest."""
        possible = self.keys.keys() | self.coming | {client.address for client in self.unasked}
        return self.is_short() and not _short(self.rosters, possible)

    def next(self, *, hurry: bool = False) -> KeyholderClient | None:
        """Return whom to ask now; None when those who were asked are enough, or nobody is left."""
        if not self.is_open():
            return None
        have = self.keys.keys() if hurry else self.keys.keys() | self.coming
        short = _short(self.rosters, have)
        for place, client in enumerate(self.unasked):
            if any(client.address in roster.members for roster in short):
                return self.unasked.pop(place)
        return None

    def answer(self) -> Answer:
        if not self.rosters:
            return _unavailable(0, 1, ["the deployment file has no roster of the records' epoch"])
        return self._problem() if self.is_short() else tuple(self.keys.values())

    def _problem(self) -> ProblemError:
        # Some keyholders may lie. What so many say that the others are too few is how it is.
        for kind in _LASTING:
            said = {
                address: one for address, one in self.refusals.items() if one.type == PROBLEM + kind
            }
            for roster in self.rosters:
                told = [said[member] for member in roster.members if member in said]
                if len(told) > len(roster.members) - roster.threshold:
                    return ProblemError(told[0].detail or told[0].title, kind)
        needed = max(roster.threshold for roster in self.rosters)
        return _unavailable(len(self.keys), needed, self.reasons)


_Asks = dict[_Asked, tuple[KeyholderClient, list[_Question]]]


def _unavailable(have: int, needed: int, reasons: Sequence[str]) -> UnavailableError:
    told = "; ".join(dict.fromkeys(reasons))
    detail = f"{have} of {needed} keyholders released{': ' if told else ''}{told}"
    return UnavailableError(detail, "keyholders-unavailable")


def _short(rosters: Iterable[Roster], have: Collection[bytes]) -> list[Roster]:
    return [
        roster
        for roster in rosters
        if sum(map(have.__contains__, roster.members)) < roster.threshold
    ]


def _portions(tasks: Sequence[bytes]) -> list[list[bytes]]:
    """Divide tasks by their size: a long statement among them must not make the others' body too large."""
    portions: list[list[bytes]] = []
    room = 0
    for task in tasks:
        room -= len(task)
        if room < 0 or not portions:
            portions.append([])
            room = _MAX_QUESTION - len(task)
        portions[-1].append(task)
    return portions


class Keyholders:
    """All keyholders of the deployment, of which as many are needed as its rosters say."""

    def __init__(
        self,
        clients: Sequence[KeyholderClient],
        rosters: Sequence[Roster],
        statements: Statements,
        *,
        hedge: float,
    ) -> None:
        """`rosters`: the oldest first. `hedge`: seconds after which another one is asked beside those that have not answered."""
        self._clients = tuple(clients)
        self._rosters = {roster.epoch: roster for roster in rosters}
        self._newest = tuple(rosters[-1:])
        """The roster by which it is told who is ready; none before the first ceremony."""
        self._statements = statements
        self._hedge = hedge
        self._turn = 0
        self._looking = asyncio.Lock()
        self._looked_at = float("-inf")
        self._available = self._availability((), self._newest)
        self._confirming: dict[tuple[Roster, ...], asyncio.Task[Availability]] = {}

    async def ask(self, tasks: Sequence[PartsTask]) -> list[Answer]:
        """Ask for the parts of several accesses at once.

        Returns:
            For each task all parts that came, once they are of as many keyholders as it takes; or why
            there are too few.
        """
        clients = self._in_turn()
        questions = [
            _Question(
                task,
                self._rosters_of(task.epochs),
                sorted(clients, key=task.answered_at),
            )
            for task in tasks
        ]
        asked: _Asks = {}
        try:
            self._ask_more(questions, asked)
            while asked and any(question.is_open() for question in questions):
                await self._next(questions, asked)
        finally:
            for task in asked:
                task.cancel()
        return [question.answer() for question in questions]

    async def availability(self) -> Availability:
        """Return how many keyholders can release now, as of at most two seconds ago."""
        async with self._looking:
            if time.monotonic() - self._looked_at > _LOOK_AGAIN:
                found = await asyncio.gather(
                    *(client.confirm() for client in self._clients), return_exceptions=True
                )
                pairs = zip(self._clients, found, strict=True)
                self._available = self._availability(
                    {client.address for client, error in pairs if error is None}, self._newest
                )
                self._looked_at = time.monotonic()
        return self._available

    @property
    def have_changed(self) -> bool:
        """Whether there were others before, who may be needed for older records."""
        return len(self._rosters) > 1

    async def confirm(self, epochs: Collection[int] = ()) -> Availability:
        """Return whether enough keyholders can release records of some epochs at this moment.

        Whoever asks at the same time shares the answer; nobody waits for more than it takes.

        Args:
            epochs: Of the records; none where there are none, or where all keyholders are of one epoch.
        """
        rosters = self._rosters_of(epochs)
        fresh = {client.address for client in self._clients if client.is_fresh()}
        if not _short(rosters, fresh):
            return self._availability(fresh, rosters)
        confirming = self._confirming.get(rosters)
        if confirming is None:
            confirming = asyncio.get_running_loop().create_task(self._confirm(rosters))
            self._confirming[rosters] = confirming
            confirming.add_done_callback(lambda _: self._confirming.pop(rosters))
        return await asyncio.shield(confirming)

    async def _confirm(self, rosters: tuple[Roster, ...]) -> Availability:
        ready: set[bytes] = set()
        waiting = {asyncio.ensure_future(one.confirm()): one for one in self._clients}
        try:
            while waiting and _short(rosters, ready):
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    client = waiting.pop(task)
                    if task.exception() is None:
                        ready.add(client.address)
        finally:
            for task in waiting:
                task.cancel()
        return self._availability(ready, rosters)

    async def close(self) -> None:
        for client in self._clients:
            await client.close()

    def _availability(self, ready: Collection[bytes], rosters: Sequence[Roster]) -> Availability:
        """Return how many can release of a roster that is short of them, if there is one."""
        known = {client.address for client in self._clients}
        for roster in (*_short(rosters, ready), *rosters):
            known.intersection_update(roster.members)
            return Availability(len(known), len(known.intersection(ready)), roster.threshold)
        return Availability(0, 0, 1)

    def _rosters_of(self, epochs: Collection[int]) -> tuple[Roster, ...]:
        """Return whom records of some epochs take: where there is no record, those of now judge it."""
        if not epochs:
            return self._newest
        found = [self._rosters[epoch] for epoch in sorted(epochs) if epoch in self._rosters]
        return tuple(found) if len(found) == len(epochs) else ()

    def _most(self, task: PartsTask) -> int:
        """Return how many bytes sealed parts have at most: so much is taken from nobody who lies."""
        return most_sealed(self._rosters_of(task.epochs), task.records, task.fields)

    def _in_turn(self) -> list[KeyholderClient]:
        """Return all keyholders, each time another one first, and last those that just failed."""
        self._turn += 1
        at = self._turn % max(len(self._clients), 1)
        now = time.monotonic()
        return sorted(
            self._clients[at:] + self._clients[:at], key=lambda one: now - one.failed_at < _REST
        )

    def _ask_more(
        self, questions: Sequence[_Question], asked: _Asks, *, hurry: bool = False
    ) -> None:
        """Ask as many as it takes, each keyholder once for all tasks; in a hurry one more for each task."""
        groups: dict[KeyholderClient, list[_Question]] = {}
        for question in questions:
            while client := question.next(hurry=hurry):
                groups.setdefault(client, []).append(question)
                question.coming.add(client.address)
                if hurry:
                    break
        for client, group in groups.items():
            asking = self._release(client, [one.task for one in group])
            asked[asyncio.get_running_loop().create_task(asking)] = (client, group)

    async def _release(
        self, client: KeyholderClient, tasks: Sequence[PartsTask]
    ) -> tuple[SealedParts | Refusal, ...]:
        answers = await client.release(
            encode_tasks([one.encoded for one in tasks]), [self._most(one) for one in tasks]
        )
        wanted = {
            place: task.authorization
            for place, (task, answer) in enumerate(zip(tasks, answers, strict=True))
            if task.authorization is not None
            and isinstance(answer, Refusal)
            and answer.type == STATEMENT_WANTED
        }
        if not wanted:
            return answers
        # It is shown the statements that it wants to see, and those alone.
        try:
            records = await self._statements(list(dict.fromkeys(wanted.values())))
        except UnavailableError as error:
            raise KeyholderError("the statements that a keyholder wants cannot be read") from error
        told = {place: records[id_] for place, id_ in wanted.items() if id_ in records}
        if not told:
            return answers
        bodies = [with_authorization(tasks[place].encoded, one) for place, one in told.items()]
        most = [self._most(tasks[place]) for place in told]
        second: list[SealedParts | Refusal] = []
        for some in _portions(bodies):
            size = most[len(second) : len(second) + len(some)]
            second += await client.release(encode_tasks(some), size)
        changed = dict(zip(told, second, strict=True))
        return tuple([changed.get(place, answer) for place, answer in enumerate(answers)])

    async def _next(self, questions: Sequence[_Question], asked: _Asks) -> None:
        """Wait for an answer, at most for the time after which another keyholder is asked too."""
        is_other_left = any(question.unasked for question in questions if question.is_open())
        patience = self._hedge if is_other_left else None
        done, _ = await asyncio.wait(asked, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            client, group = asked.pop(task)
            _take(client, group, task)
        if not done:
            for client, _group in asked.values():
                client.failed_at = time.monotonic()  # slow: asked last for a while
        self._ask_more(questions, asked, hurry=not done)


def _take(client: KeyholderClient, group: Sequence[_Question], task: _Asked) -> None:
    for question in group:
        question.coming.discard(client.address)
    try:
        answers = task.result()
    except KeyholderError as error:
        for question in group:
            question.reasons.append(str(error))
        return
    for question, answer in zip(group, answers, strict=True):
        if isinstance(answer, SealedParts):
            question.keys[client.address] = HeldKeys(client.address, answer.sealed, answer.signed)
        else:
            question.refusals[client.address] = answer
            question.reasons.append(answer.detail or answer.title)
