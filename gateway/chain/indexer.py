"""Keeping the index at the chain's last final block, and saying why it is not."""

import asyncio
import time
from contextlib import suppress
from typing import Final

from gateway.errors import GatewayError
from gateway.settings import Settings
from ledger.chain.deploy import verify_deployment
from ledger.chain.deployment import Deployment
from ledger.chain.finality import BlocksLostError, ChainError
from ledger.chain.rpc import AsyncRpc
from ledger.errors import LedgerError
from ledger.index.follower import Follower
from ledger.index.index import Index
from ledger.recorder.recorder import Recorder
from ledger.recorder.settings import Reconciliation
from ledger.service.logs import describe, get_logger

_RETRY: Final = 0.5
_MAX_LAG: Final = 50
"""Blocks behind which the gateway does not call itself ready."""
_LOOK_AGAIN: Final = 1.0
_CALM: Final = 0.25
"""Seconds between two looks while nothing happens: on a chain of empty blocks each would cost a write."""
_PACE: Final = 0.1
"""Seconds between two writes of the index, unless somebody waits for one: each costs as much as ten accesses,
and a busy chain of short blocks would ask for fifty a second."""
_BUSY: Final = 1.0
"""Seconds after something happened for which every block is looked at."""

_log = get_logger()


class Following:
    """Checks the node once, then follows it; begins again after every failure.

    With a recorder in the process, the recorder's eyes are enough: it notices each final block.
    """

    def __init__(
        self,
        rpc: AsyncRpc,
        deployment: Deployment,
        index: Index,
        settings: Settings,
        recorder: Recorder | None,
        *,
        mends: bool,
    ) -> None:
        """Begin nothing yet.

        `mends`: whether the recorder brings back, without being asked, what the chain lost (on the embedded
        chain); then the index is made again. Elsewhere a person must look first.
        """
        self._rpc = rpc
        self._deployment = deployment
        self._index = index
        self._recorder = recorder
        self._mends = mends
        self._poll = settings.poll_interval
        self._follower = Follower(
            rpc,
            deployment.contracts,
            settings.finality_rule,
            index,
        )
        self._verified = False
        self._problem: str | None = "the node was not reached yet"
        self._active_at = time.monotonic()
        self._told: Reconciliation | None = None
        self._stepped_at = float("-inf")

    @property
    def final_block(self) -> int:
        """Number of the newest final block that the node told of; -1 before the first."""
        return self._follower.final_block

    @property
    def problem(self) -> str | None:
        """Why the index cannot be relied on; None while all is well."""
        if self._problem is not None:
            return self._problem
        if self._index.head.problem is not None:
            return self._index.head.problem
        lag = self._follower.lag
        return f"the index is {lag} blocks behind" if lag > _MAX_LAG else None

    async def run(self) -> None:
        while True:
            try:
                if not self._verified:
                    await verify_deployment(self._rpc, self._deployment)
                    self._verified = True
                try:
                    await self._follow()
                except BlocksLostError as error:
                    self._note(error)
                    await self._begin_anew()
            except (LedgerError, GatewayError) as error:
                self._note(error)
            except Exception as error:  # noqa: BLE001 - whatever it is, it must go on and say so
                _log.error("following failed", error=describe(error))
                self._problem = f"unexpected: {type(error).__name__}"
            await asyncio.sleep(_RETRY)

    def _note(self, error: Exception) -> None:
        if self._problem is None:
            _log.warning("not following the chain", error=describe(error))
        self._problem = str(error)

    async def _follow(self) -> None:
        while True:
            before = self._index.head.sequence
            await self._follower.catch_up()
            self._stepped_at = time.monotonic()
            self._problem = None
            self._tell_reconciliation()
            if self._index.head.sequence != before:
                self._active_at = time.monotonic()
            await self._wait()

    def _tell_reconciliation(self) -> None:
        """Log what came of bringing back what the chain had lost, once."""
        done = self._recorder.last_reconciliation if self._recorder is not None else None
        if done is None or done is self._told:
            return
        self._told = done
        told = _log.info if done.is_whole else _log.error
        told("brought back what the chain lost", records=done.accesses, count=done.resent)

    async def _wait(self) -> None:
        """Wait until there may be another final block."""
        recorder = self._recorder
        if recorder is None:
            await asyncio.sleep(self._poll)
            return
        if recorder.status.in_flight or recorder.status.queued:
            self._active_at = time.monotonic()
        if time.monotonic() - self._active_at > _BUSY:
            await self._index.wait_for_want(_CALM)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_AGAIN):
                    await recorder.follower.after(self._index.head.number)
            if (early := self._stepped_at + _PACE - time.monotonic()) > 0:
                await self._index.wait_for_want(early)
        except ChainError:
            await asyncio.sleep(_RETRY)  # what is wrong with the chain shows in the next step

    async def _begin_anew(self) -> None:
        if not self._mends or self._recorder is None or not self._recorder.status.is_ready:
            return
        _log.warning("the chain lost blocks: the index is made again")
        await self._index.clear()
