"""Whatever happens while the index is brought back to the chain, following goes on afterwards.

`make faults` found it: the chain had lost blocks, and the database took no writes just when the index was to be made
again. That ended the task which follows the chain, and the gateway answered 503 until it was started anew.
"""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.chain import indexer as module
from gateway.chain.indexer import Following
from gateway.errors import StoreUnavailableError
from gateway.settings import Settings
from ledger.chain.finality import BlocksLostError
from ledger.chain.rpc import AsyncRpc
from ledger.index.rows import Head
from tests.support.trails import CONTRACTS


class Index:
    """An index on a database that takes no writes for a while."""

    def __init__(self, failures: list[Exception]) -> None:
        self.head = Head(7, bytes(32), 0, 0)
        self.failures = failures
        self.cleared = asyncio.Event()

    async def clear(self) -> None:
        if self.failures:
            raise self.failures.pop()
        self.cleared.set()


@pytest.mark.parametrize(
    "failure", [StoreUnavailableError("read-only"), RuntimeError("nobody thought of it")]
)
async def test_an_index_that_cannot_be_made_again_now_is_made_again_later(
    failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RETRY", 0.01)
    index = Index([failure, failure])
    recorder = SimpleNamespace(status=SimpleNamespace(is_ready=True), last_reconciliation=None)
    nothing = cast("Any", SimpleNamespace(contracts=CONTRACTS))
    following = Following(
        nothing, nothing, cast("Any", index), Settings(), cast("Any", recorder), mends=True
    )

    async def changed() -> None:
        raise BlocksLostError("block 7 is another one than it was when final")

    monkeypatch.setattr(following, "_verified", True)
    monkeypatch.setattr(following, "_follow", changed)
    task = asyncio.create_task(following.run())
    async with asyncio.timeout(10):
        await index.cleared.wait()
    assert not task.done()
    assert following.problem is not None
    task.cancel()


async def test_a_node_that_is_gone_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RETRY", 0.01)
    index, deployment = cast("Any", Index([])), cast("Any", SimpleNamespace(contracts=CONTRACTS))
    async with AsyncRpc("http://127.0.0.1:1") as nowhere:
        following = Following(nowhere, deployment, index, Settings(), None, mends=False)
        monkeypatch.setattr(following, "_verified", True)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await following.run()
        assert "cannot be reached" in (following.problem or "")
