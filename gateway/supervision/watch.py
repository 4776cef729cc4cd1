"""Supervision at work: reads the accesses that come, keeps alerts, and may restrict a consumer.

Accesses are read from the index, so nothing depends on which gateway recorded them. After a restart
the last day is read again; keys keep alerts from being raised twice.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from gateway.errors import GatewayError
from gateway.store.alerts import AlertStore, StoredAlert
from gateway.supervision.rules import (
    Bounds,
    DatasetDue,
    Finding,
    ObservedAccess,
    all_rules,
    observe_all,
    stale_datasets,
)
from gateway.topics import ALERTS, CHAIN, Topics
from ledger.logs import describe, get_logger

_PAGE: Final = 2000
_LOOK_BACK: Final = 24 * 3600
_PATIENCE: Final = 2.0
_STALE_EVERY: Final = 60.0
_REMEMBERED: Final = 10_000

_log = get_logger()


class Trail(Protocol):
    """The accesses and datasets that the index knows."""

    async def first_since(self, timestamp: int) -> int:
        """Return the sequence number of the first access at or after a time; the next one if none."""
        ...

    async def observed(self, first_sequence: int, limit: int) -> Sequence[ObservedAccess]:
        """Return accesses from a sequence number on, in order."""
        ...

    async def due(self) -> Sequence[DatasetDue]:
        """Return all active datasets that have an update cycle."""
        ...


class Restricting(Protocol):
    """Restricts consumers on chain (`gateway.supervision.enforcement`)."""

    async def restrict(self, consumer: bytes, until: int, reason: str) -> bytes:
        """Restrict a consumer; return the transaction.

        Raises:
            GatewayError: It is not restricted.
        """
        ...


class Enforcement(msgspec.Struct, frozen=True):
    """Which alerts restrict, and for how long."""

    rules: tuple[str, ...]
    seconds: int
    appeal: str
    """Where to appeal, for the reason; the contract's `appeal` works besides."""


class Watch:
    """Reads, finds, keeps and acts; one at a time in a process."""

    def __init__(
        self,
        trail: Trail,
        alerts: AlertStore,
        topics: Topics,
        *,
        bounds: Bounds,
        enforcement: Enforcement | None = None,
        restricting: Restricting | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the parts.

        Args:
            trail: What happens.
            alerts: Where alerts are kept.
            topics: Told of new alerts; tells of new blocks.
            bounds: From when on something is worth an alert.
            enforcement: What restricts by itself; None for nothing.
            restricting: Does it, with a regulator's key.
            clock: Seconds since 1970.
        """
        self._trail = trail
        self._alerts = alerts
        self._topics = topics
        self._bounds = bounds
        self._rules = all_rules(bounds)
        self._enforcement = enforcement
        self._restricting = restricting
        self._clock = clock
        self._next: int | None = None
        self._raised: dict[str, None] = {}
        """Keys of alerts that are kept already: what goes on is not written again and again."""
        self._stale_at = float("-inf")

    async def run(self) -> None:
        """Watch until cancelled. What goes wrong once is tried again."""
        while True:
            try:
                await self.step()
            except GatewayError as error:
                _log.warning("supervision behind", error=describe(error))
            await self._topics.wait(_PATIENCE, CHAIN)
            await asyncio.sleep(0.05)  # what comes close together is read together

    async def step(self) -> int:
        """Read what is new; return how many alerts were raised.

        Raises:
            UnavailableError: The index or the database cannot be used now.
        """
        now = int(self._clock())
        if self._next is None:
            self._next = await self._trail.first_since(now - _LOOK_BACK)
        raised = 0
        while page := await self._trail.observed(self._next, _PAGE):
            for finding in observe_all(self._rules, page):
                raised += await self._raise(finding, now)
            self._next = page[-1].sequence + 1
        if time.monotonic() - self._stale_at >= _STALE_EVERY:
            for finding in stale_datasets(await self._trail.due(), self._bounds, now):
                raised += await self._raise(finding, now)
            self._stale_at = time.monotonic()
        await self._enforce(now)
        return raised

    async def _raise(self, finding: Finding, now: int) -> bool:
        if finding.key in self._raised:
            return False
        alert = StoredAlert(id=0, raised_at=now, **msgspec.structs.asdict(finding))
        kept = await self._alerts.put(alert)
        self._raised[finding.key] = None
        if len(self._raised) > _REMEMBERED:
            del self._raised[next(iter(self._raised))]
        if kept is None:
            return False
        _log.warning("alert", reason=kept.rule, sequence=kept.last_sequence)
        self._topics.touch(ALERTS)
        return True

    async def _enforce(self, now: int) -> None:
        """Restrict those whom alerts of some rules are about, once for each alert."""
        enforcement, restricting = self._enforcement, self._restricting
        if enforcement is None or restricting is None:
            return
        recent = await self._alerts.unenforced(enforcement.rules, now - enforcement.seconds)
        for alert in recent:
            if alert.consumer is None:
                continue
            until = now + enforcement.seconds
            reason = f"{alert.rule}: {alert.text}. Appeal: {enforcement.appeal}"
            try:
                transaction = await restricting.restrict(alert.consumer, until, reason)
            except GatewayError as error:
                _log.warning("restriction failed", error=describe(error))
                continue
            await self._alerts.note_restriction(alert.id, until, transaction)
            self._topics.touch(ALERTS)
