"""Supervision at work: reads the accesses that come, keeps alerts, and may suspend an agreement."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from gateway.consent.relays import Relay
from gateway.errors import GatewayError, RefusedError, UnavailableError
from gateway.notifications import ALERTS, CHAIN, Topics
from gateway.store.alerts import AlertStore, StoredAlert
from gateway.supervision.rules import (
    Bounds,
    Enforcement,
    Finding,
    ObservedAccess,
    all_rules,
    busy_authorities,
    observe_all,
    stale_datasets,
    suspending_rules,
    unfit_texts,
    unreviewed_orders,
)
from ledger.chain import contract_calls
from ledger.chain.deployment import Deployment
from ledger.chain.reverts import RevertError
from ledger.chain.rpc import AsyncRpc, RpcError
from ledger.chain.sender import draft
from ledger.chain.transactions import FeeRule, sign_transaction
from ledger.crypto.signatures import address_of
from ledger.errors import LedgerError
from ledger.index.rows import EventEntry, Snapshot
from ledger.service.logs import describe, get_logger


class Enforcer:
    """Signs suspensions and relays them. One at a time: its nonces are the account's next ones.

    The contract bounds it: 30 minutes, and not again before a regulator has looked.
    """

    def __init__(
        self,
        deployment: Deployment,
        rpc: AsyncRpc,
        relay: Relay,
        supervisor_key: bytes,
        fee: FeeRule,
    ) -> None:
        """Raise `SigningError` if `supervisor_key` (32 bytes) is no private key."""
        self._deployment = deployment
        self._rpc = rpc
        self._relay = relay
        self._key = supervisor_key
        self._fee = fee
        self.address = address_of(supervisor_key)
        self._turn = asyncio.Lock()

    async def suspend(self, agreement: bytes, reason: str) -> bytes:
        """Suspend an agreement; return the transaction.

        Raises:
            RefusedError: The contract refuses it.
            UnavailableError: It is not on chain now.
        """
        call = contract_calls.suspend_agreement(agreement, reason)
        to = self._deployment.address_of(call.contract)
        async with self._turn:
            try:
                content = await draft(
                    self._rpc,
                    self.address,
                    to,
                    call.data,
                    chain_id=self._deployment.chain_id,
                    fee=self._fee,
                )
            except RevertError as error:
                raise RefusedError(error.revert) from error
            except RpcError as error:
                raise UnavailableError("the node cannot be asked", "chain-unavailable") from error
            except LedgerError as error:
                raise UnavailableError(
                    "the node does not take the suspension", "chain-unavailable"
                ) from error
            try:
                done = await self._relay.relay_raw(sign_transaction(content, self._key))
            except RevertError as error:
                raise RefusedError(error.revert) from error
            return done.transaction


_PAGE: Final = 2000
_LOOK_BACK: Final = 24 * 3600
_TIMEOUT: Final = 2.0
_GATHER: Final = 0.25
"""Seconds between two readings: with each block alone, reading takes the gateway more than judging."""
_LOOK_EVERY: Final = 60.0
SUSPENSION: Final = 1_800
"""Seconds for which the contract suspends."""
_REMEMBERED: Final = 10_000

_log = get_logger()


class Trail(Protocol):
    """The accesses and datasets that the index knows."""

    @property
    def snapshot(self) -> Snapshot:
        """Datasets and orders as they are now."""
        ...

    async def first_since(self, timestamp: int) -> int:
        """Return the sequence number of the first access at or after a time; the next one if none."""
        ...

    async def observed(self, first_sequence: int, limit: int) -> Sequence[ObservedAccess]:
        """Return accesses from a sequence number on, in order."""
        ...

    async def reviewed(self, agreements: Sequence[bytes]) -> Mapping[bytes, int]:
        """Return when a regulator looked last at a suspension of each of these agreements, if one ever did."""
        ...

    async def identity_acts(self, since: int) -> Mapping[bytes, int]:
        """Return how many ids each identity authority closed, or began to recover, since a time."""
        ...

    async def unfit(self, after: int) -> Sequence[EventEntry]:
        """Return events after one, by its key, with a text that is not plain; some of them, in order."""
        ...


class Suspending(Protocol):
    """Suspends agreements on chain (`gateway.supervision.watch`)."""

    async def suspend(self, agreement: bytes, reason: str) -> bytes:
        """Suspend an agreement; return the transaction.

        Raises:
            RefusedError: The contract refuses it.
            GatewayError: It is not suspended now.
        """
        ...


async def raise_alert(finding: Finding, alerts: AlertStore, topics: Topics, now: int) -> bool:
    """Keep what was found as an alert and say so; return False if there is one with its key."""
    alert = StoredAlert(id=0, raised_at=now, **msgspec.structs.asdict(finding))
    if await alerts.put(alert) is None:
        return False
    _log.warning("alert", reason=finding.rule, sequence=finding.last_sequence)
    topics.notify(ALERTS)
    return True


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
        suspending: Suspending | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._trail = trail
        self._alerts = alerts
        self._topics = topics
        self._bounds = bounds
        named = () if enforcement is None else enforcement.rules
        self._rules = (*all_rules(bounds), *suspending_rules(bounds, named))
        self._enforcement = enforcement
        self._suspending = suspending
        self._clock = clock
        self._next: int | None = None
        self._raised: dict[str, None] = {}
        """Keys of alerts that are kept already: what goes on is not written again and again."""
        self._looked_at = float("-inf")
        self._unfit_after = 0

    async def run(self) -> None:
        """Watch until cancelled. What goes wrong once is tried again."""
        while True:
            try:
                await self.step()
            except GatewayError as error:
                _log.warning("supervision behind", error=describe(error))
            await self._topics.wait(_TIMEOUT, CHAIN)
            await asyncio.sleep(_GATHER)  # what comes close together is read together

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
        if time.monotonic() - self._looked_at >= _LOOK_EVERY:
            for finding in await self._looks(now):
                raised += await self._raise(finding, now)
            self._looked_at = time.monotonic()
        await self._enforce(now)
        return raised

    async def _looks(self, now: int) -> list[Finding]:
        """Find what is no access."""
        trail, bounds = self._trail, self._bounds
        found = [*stale_datasets(trail.snapshot.datasets.values(), bounds, now)]
        found += unreviewed_orders(trail.snapshot.orders.values(), bounds, now)
        found += busy_authorities(await trail.identity_acts(now - _LOOK_BACK), bounds, now)
        while texts := await trail.unfit(self._unfit_after):
            found += unfit_texts(texts)
            self._unfit_after = texts[-1].key
        return found

    async def _raise(self, finding: Finding, now: int) -> bool:
        if finding.key in self._raised:
            return False
        is_new = await raise_alert(finding, self._alerts, self._topics, now)
        self._raised[finding.key] = None
        if len(self._raised) > _REMEMBERED:
            del self._raised[next(iter(self._raised))]
        return is_new

    async def _enforce(self, now: int) -> None:
        """Suspend the agreements that alerts of the named rules are about, once for each alert.

        An alert is settled when the contract refuses: tried again, it would suspend as soon as a regulator
        has lifted the suspension before, for what that one looked at.
        """
        enforcement, suspending = self._enforcement, self._suspending
        if enforcement is None or suspending is None:
            return
        recent = await self._alerts.unenforced(enforcement.rules, now - SUSPENSION)
        named = {alert.agreement for alert in recent if alert.agreement is not None}
        reviewed = await self._trail.reviewed(list(named)) if named else {}
        for alert in recent:
            if alert.agreement is None:
                continue
            seen = reviewed.get(alert.agreement)
            if seen and alert.first_sequence < await self._trail.first_since(seen + 1):
                await self._alerts.note_refusal(alert.id, "a regulator has looked at it")
                continue
            reason = f"{alert.rule}: {alert.text}. Appeal: {enforcement.appeal}"
            try:
                transaction = await suspending.suspend(alert.agreement, reason)
            except RefusedError as error:
                _log.warning("suspension refused", error=describe(error))
                await self._alerts.note_refusal(alert.id, str(error.revert))
                continue
            except GatewayError as error:
                _log.warning("suspension failed", error=describe(error))
                continue
            await self._alerts.note_suspension(alert.id, now + SUSPENSION, transaction)
            self._topics.notify(ALERTS)
