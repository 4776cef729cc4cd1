"""Keeping the index at the chain's last final block, and saying why it is not."""

import asyncio
from typing import Final

from gateway.errors import GatewayError
from gateway.logs import describe, get_logger
from gateway.settings import Settings
from ledger.deployment import Deployment, verify_deployment_async
from ledger.errors import LedgerError
from ledger.index.follower import ChainChangedError, Follower, FollowerSettings
from ledger.index.index import Index
from ledger.recorder.recorder import Recorder
from ledger.rpc import AsyncRpc

_RETRY: Final = 0.5
_MOST_LAG: Final = 50
"""Blocks behind which the gateway does not call itself ready."""

_log = get_logger()


class Following:
    """Checks the node once, then follows it; begins again after every failure."""

    def __init__(
        self,
        rpc: AsyncRpc,
        deployment: Deployment,
        index: Index,
        settings: Settings,
        mending: Recorder | None,
    ) -> None:
        """Take the parts.

        Args:
            rpc: The node.
            deployment: What must be on it.
            index: Written to.
            settings: Finality and pace.
            mending: On the embedded chain the recorder, which brings back what the chain lost: when
                it has, the index is made again. None elsewhere: a person must look first.
        """
        self._rpc = rpc
        self._deployment = deployment
        self._index = index
        self._mending = mending
        self._follower = Follower(
            rpc,
            deployment.contracts,
            settings.finality_rule,
            index,
            FollowerSettings(poll_interval=settings.poll_interval),
        )
        self._verified = False
        self._problem: str | None = "the node was not reached yet"

    @property
    def problem(self) -> str | None:
        """Why the index cannot be relied on; None while all is well."""
        if self._problem is not None:
            return self._problem
        if self._follower.problem is not None:
            return str(self._follower.problem)
        lag = self._follower.lag
        return f"the index is {lag} blocks behind" if lag > _MOST_LAG else None

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self._verify()
                await self._follow()
            except (LedgerError, GatewayError) as error:
                if self._problem is None:
                    _log.warning("not following the chain", error=describe(error))
                self._problem = str(error)
            await asyncio.sleep(_RETRY)

    async def _verify(self) -> None:
        if not self._verified:
            await verify_deployment_async(self._rpc, self._deployment)
            self._verified = True
            self._problem = None

    async def _follow(self) -> None:
        following = asyncio.get_running_loop().create_task(self._follower.run())
        try:
            while not following.done():
                await asyncio.wait((following,), timeout=_RETRY)
                if isinstance(self._follower.problem, ChainChangedError):
                    await self._begin_anew()
                self._problem = None
            following.result()
        finally:
            following.cancel()

    async def _begin_anew(self) -> None:
        if self._mending is None or not self._mending.status.is_ready:
            return
        _log.warning("the chain is another one since: the index is made again")
        await self._index.clear()
