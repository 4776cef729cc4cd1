"""A consumer: uses authorizations, also revoked ones, singly and in batches; repeats what was not answered."""

import asyncio
import random
import time
from typing import Any, Final

import httpx
import msgspec

from ledger.api import AccessResult, KeyedSubmission, Submissions
from ledger.api.access import decode_result, decode_results, encode_submissions
from ledger.errors import LedgerError
from ledger.hexstr import from_hex
from ledger.model import Outcome
from ledger.typed_data import AccessRequest, struct_hash
from scripts.answer_keys import DrawnKeys
from scripts.bench.bare_chain import ASKED_FIELDS
from scripts.faults.desk import Desk, Grant, is_lasting, kind_of
from scripts.faults.told import ToldAccess
from scripts.scenario import DAY, Party
from wallet.client.decryption import open_release
from wallet.client.errors import RELEASE_STOPPED, VerificationError

_PATH: Final = "/v1/accesses"
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 0.6
_NEWEST: Final = 40
"""Authorizations among which a consumer chooses: the newest, of which some are revoked by now."""
_LARGEST: Final = 6
_BATCHES: Final = 0.3
_TWICE: Final = 0.05
_STANDING: Final = 0.85


class _Pending(msgspec.Struct):
    """A request without its final answer."""

    id: bytes
    submission: KeyedSubmission
    first_sent: float


class ConsumerRole:
    """One consumer, whose workers share account and encryption key."""

    def __init__(self, desk: Desk, consumer: Party) -> None:
        self.desk = desk
        self.address = consumer.address
        self._key = consumer.private_key
        self._domain = desk.deployment.domain_of(AccessRequest)
        self._answer_keys = DrawnKeys(self._domain, self.address)

    def sign(self, authorization: bytes) -> KeyedSubmission:
        return self._answer_keys.submission(
            *(self._key, authorization), fields=ASKED_FIELDS, deadline=int(time.time()) + DAY
        )

    def opens(self, result: AccessResult) -> bool:
        """Whether a release is there and opens; if it is there and does not, that is noted."""
        if result.release is None or result.request is None:
            return False
        try:
            opening = self._answer_keys.opening(result.request.nonce)
            rosters = self.desk.deployment.rosters
            open_release(
                *(result.release, self.desk.schema, result.request),
                *(opening, rosters, self._domain),
            )
        except (VerificationError, LedgerError) as error:
            self.desk.unopened.append(str(error))
            return False
        return True


async def play_consumer(role: ConsumerRole, source: random.Random) -> None:
    """Let one worker of a consumer use authorizations until the play is over."""
    desk = role.desk
    while not desk.is_over:
        granted = desk.grants.get(role.address, [])[-_NEWEST:]
        if granted:
            count = source.randint(2, _LARGEST) if source.random() < _BATCHES else 1
            chosen = [_choose(granted, source).authorization for _ in range(count)]
            await _use(role, [role.sign(one) for one in chosen], source)
        await asyncio.sleep(source.uniform(0, desk.plan.pause))


def _choose(granted: list[Grant], source: random.Random) -> Grant:
    """Choose one that stands, as far as its citizen was told; now and then any."""
    standing = [one for one in granted if not one.revoked]
    return source.choice(standing if standing and source.random() < _STANDING else granted)


async def _use(
    role: ConsumerRole, submissions: list[KeyedSubmission], source: random.Random
) -> None:
    """Send requests until each has its final answer."""
    desk, now, pause = role.desk, time.monotonic(), _FIRST_PAUSE
    pending = [_Pending(_id_of(submission), submission, now) for submission in submissions]
    waiting = {one.id: one for one in pending}
    desk.asked += waiting
    alone = len(waiting) == 1 and source.random() < 0.5
    while waiting and not desk.is_hopeless:
        times = 2 if source.random() < _TWICE else 1
        sending = list(waiting.values())
        done = await asyncio.gather(*(_send(role, sending, alone=alone) for _ in range(times)))
        for id_ in set().union(*done):
            del waiting[id_]
        if waiting:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
    desk.unanswered += len(waiting)


async def _send(role: ConsumerRole, sending: list[_Pending], *, alone: bool) -> set[bytes]:
    """Send some requests once; return those whose answer is final."""
    desk = role.desk
    desk.attempts += len(sending)
    single = alone and len(sending) == 1
    body = encode_submissions(Submissions(tuple(one.submission for one in sending), single=single))
    response = await desk.post(_PATH, body)
    if response is None:
        return set()
    if response.status_code == httpx.codes.OK:
        results = (
            decode_results(response.content) if not single else [decode_result(response.content)]
        )
        pairs = zip(sending, results, strict=True)
        return {one.id for one, result in pairs if _note_result(role, one, result)}
    if single and _note_denial(desk, sending[0], response):
        return {sending[0].id}
    _note_failure(desk, f"access: {kind_of(response)}", response.status_code)
    return set()


def _note_result(role: ConsumerRole, one: _Pending, result: AccessResult) -> bool:
    """Keep what was told; return whether it is final."""
    recorded, desk = result.recorded, role.desk
    released, problem = role.opens(result), result.problem
    stopped = problem is not None and problem.type == RELEASE_STOPPED
    if recorded is None and not released:
        kind = f"{problem.status} {problem.type.rpartition(':')[2]}" if problem else "nothing"
        _note_failure(desk, f"access in a list: {kind}", problem.status if problem else 0)
        return False
    answer = ToldAccess(
        access=one.id,
        basis=one.submission.request.basis,
        sequence=recorded.sequence if recorded else 0,
        outcome=recorded.outcome if recorded else Outcome.ALLOWED,
        transaction=recorded.transaction if recorded else b"",
        released=released,
        first_sent=one.first_sent,
        answered=time.monotonic(),
        stopped=stopped,
    )
    desk.note_access(answer)
    if released or stopped or answer.outcome != Outcome.ALLOWED:
        return True
    kind = f"{problem.status} {problem.type.rpartition(':')[2]}" if problem else "unopened"
    _note_failure(desk, f"recorded, not released: {kind}", problem.status if problem else 0)
    return False


def _note_failure(desk: Desk, kind: str, status: int) -> None:
    desk.note_failure(kind)
    if is_lasting(status):
        desk.misled.append(kind)


def _note_denial(desk: Desk, one: _Pending, response: httpx.Response) -> bool:
    """Keep what was told by a problem; return whether it is final."""
    problem: dict[str, Any] = msgspec.json.decode(response.content, type=dict[str, Any])
    if "sequence" not in problem:
        return False
    answer = ToldAccess(
        access=from_hex(problem["access"]),
        basis=one.submission.request.basis,
        sequence=problem["sequence"],
        outcome=problem["outcome_number"],
        transaction=from_hex(problem["transaction"]),
        released=False,
        first_sent=one.first_sent,
        answered=time.monotonic(),
        stopped=problem["type"] == RELEASE_STOPPED,
    )
    desk.note_access(answer)
    return answer.stopped or answer.outcome != Outcome.ALLOWED


def _id_of(submission: KeyedSubmission) -> bytes:
    return struct_hash(submission.request)
