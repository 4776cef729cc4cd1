"""State shared by all players: the connection to the gateway, grants, answers."""

import sys
import time
from collections import Counter
from typing import Any, Final, Self

import httpx
import msgspec

from ledger.chain.deployment import decode_deployment
from ledger.encoding import Schema
from scripts.faults.told import PlayPlan, PlayReport, Sign, ToldAccess, ToldAct
from scripts.scenario import FIELDS

_TIMEOUT: Final = 15.0
"""Seconds for one request: more than the gateway's own patience."""
_CONNECTIONS: Final = 200
_PASSING: Final = frozenset((408, 425, 429))


class Grant(msgspec.Struct):
    """An authorization that is on chain, as far as its citizen was told."""

    authorization: bytes
    consumer: bytes
    revoked: bool = False


class Desk:
    """Sends, and keeps what comes back. Belongs to one event loop."""

    def __init__(self, plan: PlayPlan) -> None:
        self.plan = plan
        self.deployment = decode_deployment(plan.deployment)
        self.schema = Schema(plan.dataset, FIELDS)
        self.grants: dict[bytes, list[Grant]] = {}
        """By consumer, the oldest first."""
        self.is_over = False
        self.asked: list[bytes] = []
        self.attempts = 0
        self.accesses: list[ToldAccess] = []
        self.acts: list[ToldAct] = []
        self.unanswered = 0
        self.unopened: list[str] = []
        self.misled: list[str] = []
        self._failures: Counter[str] = Counter()
        self._until = float("inf")
        self._http = httpx.AsyncClient(
            base_url=plan.gateway,
            timeout=_TIMEOUT,
            trust_env=False,
            limits=httpx.Limits(max_connections=_CONNECTIONS),
            headers={"content-type": "application/json", "accept-encoding": "identity"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    def close_play(self) -> None:
        """Let nothing new begin; what has no answer yet has some time left."""
        self.is_over = True
        self._until = time.monotonic() + self.plan.patience

    @property
    def is_hopeless(self) -> bool:
        """Whether to give up what has no answer yet."""
        return time.monotonic() > self._until

    async def post(self, path: str, body: bytes) -> httpx.Response | None:
        """Post once; None when there was no answer, which is noted."""
        try:
            return await self._http.post(path, content=body)
        except httpx.HTTPError as error:
            self.note_failure(f"no answer: {type(error).__name__}")
            return None

    def note_failure(self, kind: str) -> None:
        """Keep what was no answer, and tell of it."""
        self._failures[kind] += 1
        _tell(Sign(failed=kind))

    def note_access(self, told: ToldAccess) -> None:
        """Keep what was told of an access; tell of it when it was served."""
        self.accesses.append(told)
        if told.released:
            _tell(Sign(sent=told.first_sent, answered=told.answered))

    def report(self) -> PlayReport:
        return PlayReport(
            asked=tuple(self.asked),
            attempts=self.attempts,
            accesses=tuple(self.accesses),
            acts=tuple(self.acts),
            failures=dict(self._failures),
            unanswered=self.unanswered,
            unopened=tuple(self.unopened),
            misled=tuple(self.misled),
        )


def is_lasting(status: int) -> bool:
    """Whether a status tells a caller that sending the same again is of no use."""
    return status < httpx.codes.INTERNAL_SERVER_ERROR and status not in _PASSING


def kind_of(response: httpx.Response) -> str:
    """Return in one line what kind of problem an answer is."""
    try:
        problem: dict[str, Any] = msgspec.json.decode(response.content, type=dict[str, Any])
    except msgspec.MsgspecError:
        problem = {}
    return f"{response.status_code} {str(problem.get('type', '')).rpartition(':')[2]}"


def _tell(sign: Sign) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(sign) + b"\n")
    sys.stdout.buffer.flush()
