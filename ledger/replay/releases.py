"""Releases judged again: each at the block that its keyholder noted, by the rules of keyholders.

A line says when it was written and which final block was known then. Replay has the state after that
block when it comes past it, so it asks the same question of it. Blocks without events are not in a
trail; where the noted block is one of them its time lies between those of its neighbours, and only
what holds at both ends is a finding.

Source: PROMISES 1; docs/spec/journals.md "Judging releases again".
"""

import heapq
import itertools
from collections.abc import Iterator

import msgspec

from ledger.chain.events import Accessed, Block
from ledger.hexstr import to_hex
from ledger.model import State
from ledger.release_rules import find_stop
from ledger.replay.report import Finding, Kind, finding_at


class Judged(msgspec.Struct, frozen=True, gc=False):
    """When a keyholder released, and by which state of the chain."""

    at: int
    """The keyholder's clock, seconds since 1970."""
    block: int
    """Number of the newest final block that it knew."""
    block_hash: bytes


class ReleaseJudge:
    """Goes along with a replay, block by block."""

    def __init__(self, state: State, release_window: int, head_age: int) -> None:
        """Take the state, always that after the events so far, and the deployment's bounds in seconds."""
        self._state = state
        self._window = release_window
        self._head_age = head_age
        self._waiting: list[tuple[int, int, Accessed, Judged, str]] = []
        self._order = itertools.count()

    def note(self, event: Accessed, judged: Judged, source: str) -> Iterator[Finding]:
        """Take a release of an allowed access; it is judged when its block is past."""
        recorded_at = event.block.timestamp
        if judged.block < event.block.number:
            problem = f"judged at block {judged.block}, in which the access was not recorded yet"
            yield _finding(event, Kind.STALE_RELEASE, problem, source)
        elif judged.at > recorded_at + self._window + self._head_age:
            problem = f"released {judged.at - recorded_at} s after the access"
            yield _finding(event, Kind.LATE_RELEASE, problem, source)
        else:
            entry = (judged.block, next(self._order), event, judged, source)
            heapq.heappush(self._waiting, entry)

    def pass_block(self, block: Block, following: Block) -> Iterator[Finding]:
        """Judge releases that noted a block before `following`; `block` is the last with events before it."""
        while self._waiting and self._waiting[0][0] < following.number:
            _, _, event, judged, source = heapq.heappop(self._waiting)
            yield from self._judge(event, judged, source, block, following.timestamp)

    def finish(self, block: Block) -> Iterator[Finding]:
        """Judge the rest; `block` is the last with events."""
        while self._waiting:
            _, _, event, judged, source = heapq.heappop(self._waiting)
            yield from self._judge(event, judged, source, block, None)

    def _judge(
        self, event: Accessed, judged: Judged, source: str, block: Block, following: int | None
    ) -> Iterator[Finding]:
        if judged.block == block.number and judged.block_hash != block.hash:
            problem = f"block {judged.block} is not {to_hex(judged.block_hash)}"
            yield _finding(event, Kind.OTHER_BLOCK, problem, source)
        earliest = block.timestamp
        latest = judged.at + self._head_age
        if judged.block == block.number:
            latest = earliest
        elif following is not None:
            latest = min(latest, following)
        if judged.at > latest + self._head_age or judged.at < earliest - self._head_age:
            problem = f"at {judged.at} block {judged.block} was not of then"
            yield _finding(event, Kind.STALE_RELEASE, problem, source)
        if earliest > event.block.timestamp + self._window:
            problem = f"judged {earliest - event.block.timestamp} s after the access, or later"
            yield _finding(event, Kind.LATE_RELEASE, problem, source)
        stop = find_stop(self._state, event, event.sequence, earliest)
        if stop is not None and find_stop(self._state, event, event.sequence, latest) is not None:
            problem = f"in block {judged.block}, at which it was judged, {stop}"
            yield _finding(event, Kind.STOPPED_RELEASE, problem, source)


def _finding(event: Accessed, kind: Kind, problem: str, source: str) -> Finding:
    return finding_at(event, kind, problem, sequence=event.sequence, source=source)
