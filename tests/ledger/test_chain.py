"""Finality, following, and finding out that a chain is not the one it was."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from ledger.chain import eth_methods
from ledger.chain.eth_methods import Block
from ledger.chain.finality import BlockRef, BlocksLostError, ChainError, Finality
from ledger.chain.follow import Follower, final_block, final_block_after, verify_descends
from ledger.chain.rpc import AsyncRpc, RpcSettings
from ledger.errors import SettingError
from scripts.scenario import Chain
from tests.support.chain import BLOCK_TIME
from tests.support.recording import until


def block(number: int, hash_: bytes = b"", parent: bytes = b"") -> Block:
    return Block(number, hash_, parent, 0, 0, 0)


# The rule


@pytest.mark.parametrize(
    ("setting", "tag", "final"),
    [("depth:0", "latest", 20), ("depth:12", "latest", 8), ("finalized", "finalized", 20)],
)
def test_finality_rule_is_read_and_written(setting: str, tag: str, final: int) -> None:
    rule = Finality.parse(setting)
    assert str(rule) == setting
    assert rule.tag == tag
    assert rule.final_number(20) == final
    assert rule.covers(final, 20)
    assert not rule.covers(final + 1, 20)


@pytest.mark.parametrize(
    "setting", ["", "depth", "depth:", "depth:-1", "depth:1.5", "finalized:2", "safe", "depth:²"]
)
def test_what_is_no_rule_is_refused(setting: str) -> None:
    with pytest.raises(SettingError, match="depth:N or finalized"):
        Finality.parse(setting)


async def test_final_block_lies_as_deep_as_the_rule_says(chain: Chain) -> None:
    while chain.wait_for_block() < 10:
        pass
    async with AsyncRpc(chain.node.url) as rpc:
        newest = await final_block(rpc, Finality.depth(0))
        deep = await final_block(rpc, Finality.depth(5))
        finalized = await final_block(rpc, Finality.finalized())
        assert await final_block(rpc, Finality.depth(10**9)) is None
    assert newest is not None
    assert deep is not None
    assert finalized is not None
    assert 3 <= newest.number - deep.number <= 5
    assert finalized.number < newest.number


# Standing on what was final


async def block_at(rpc: AsyncRpc, number: int) -> Block:
    async with asyncio.timeout(100 * BLOCK_TIME):
        while (found := await rpc.send(eth_methods.block(number))) is None:  # noqa: ASYNC110
            await asyncio.sleep(BLOCK_TIME)
    return found


async def test_newer_block_stands_on_the_known_one(chain: Chain) -> None:
    async with AsyncRpc(chain.node.url) as rpc:
        known = await rpc.send(eth_methods.block("latest"))
        assert known is not None
        for ahead in (0, 1, 3):
            newest = await block_at(rpc, known.number + ahead)
            ref = BlockRef(known.number, known.hash)
            assert await verify_descends(rpc, ref, newest) is newest
            with pytest.raises(BlocksLostError, match="now it is"):
                await verify_descends(rpc, BlockRef(known.number, bytes(32)), newest)
        with pytest.raises(BlocksLostError, match="was final, now the newest"):
            await verify_descends(rpc, BlockRef(known.number + 1, known.hash), known)


@pytest.mark.parametrize("depth", [0, 2])
async def test_final_block_after_stands_on_the_known_one(chain: Chain, depth: int) -> None:
    rule = Finality.depth(depth)
    while chain.wait_for_block() < 10:
        pass
    async with AsyncRpc(chain.node.url) as rpc:
        first = await final_block_after(rpc, rule, None)
        assert first is not None
        known = BlockRef(first.number, first.hash)
        await block_at(rpc, first.number + depth + 3)
        after = await final_block_after(rpc, rule, known)
        assert after is not None
        assert after.number >= first.number + 3
        assert after == await rpc.send(eth_methods.block(after.number))
        with pytest.raises(BlocksLostError, match="now it is"):
            await final_block_after(rpc, rule, BlockRef(known.number, bytes(32)))
        with pytest.raises(BlocksLostError, match="was final, now the newest"):
            await final_block_after(rpc, rule, BlockRef(10**9, known.hash))


async def test_there_is_no_final_block_after_the_newest(chain: Chain) -> None:
    rule = Finality.depth(1)
    async with AsyncRpc(chain.node.url) as rpc:
        for _ in range(10):  # the next block may come in between, not ten times
            newest = await final_block_after(rpc, rule, None)
            assert newest is not None
            known = BlockRef(newest.number, newest.hash)
            after = await final_block_after(rpc, rule, known)
            if after is None:
                return
            assert after.number > known.number
    pytest.fail("there was always another one")


# Following


@asynccontextmanager
async def following(chain: Chain, **options: object) -> AsyncIterator[Follower]:
    async with AsyncRpc(chain.node.url, RpcSettings(timeout=1.0)) as rpc:
        genesis = options.pop("genesis_hash", chain.deployment.genesis_hash)
        follower = Follower(rpc, Finality.depth(0), genesis_hash=genesis, **options)  # type: ignore[arg-type]
        task = asyncio.create_task(follower.run())
        try:
            yield follower
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_hurried_follower_sees_every_block_soon(chain: Chain) -> None:
    async with following(chain) as follower:
        follower.hurry(wanted=True)
        first = last = await follower.after(-1)
        late: list[float] = []
        for _ in range(10):
            last = await follower.after(last.number)
            newest = chain.rpc.send(eth_methods.block_number())
            late.append(newest - last.number)
    assert last.number - first.number >= 10
    assert sum(late) <= 3


async def test_idle_follower_asks_seldom_and_wakes_when_hurried(chain: Chain) -> None:
    async with following(chain) as follower:
        await follower.after(-1)
        begun = time.monotonic()
        follower.hurry(wanted=True)
        await follower.after(follower.last.number if follower.last else -1)
    assert time.monotonic() - begun < 0.2


async def test_many_wait_for_the_same_block(chain: Chain) -> None:
    async with following(chain) as follower:
        seen = await asyncio.gather(*[follower.after(-1) for _ in range(5)])
    assert len({one.hash for one in seen}) == 1


async def test_other_genesis_is_another_chain(chain: Chain) -> None:
    async with following(chain, genesis_hash=bytes(32)) as follower:
        with pytest.raises(ChainError):
            await follower.after(-1)
        assert isinstance(follower.problem, ChainError)


async def test_known_block_that_is_not_there_stops_the_following(chain: Chain) -> None:
    async with following(chain, known=BlockRef(3, bytes(32))) as follower:
        with pytest.raises(BlocksLostError, match="now it is"):
            await follower.after(-1)


async def test_unreachable_node_is_asked_until_it_answers(own_chain: Chain) -> None:
    async with following(own_chain) as follower:
        last = await follower.after(-1)
        await asyncio.to_thread(own_chain.node.stop)
        await until(lambda: follower.problem is not None)
        assert not isinstance(follower.problem, ChainError)
        await asyncio.to_thread(own_chain.node.start)
        assert (await follower.after(last.number)).number > last.number
        assert follower.problem is None


async def test_node_that_lost_blocks_is_found_out(own_chain: Chain) -> None:
    own_chain.node.checkpoint()
    async with following(own_chain) as follower:
        first = await follower.after(-1)
        await follower.after(first.number + 10)
        own_chain.node.kill()
        (own_chain.node.settings.data / "state.json").unlink(missing_ok=True)
        await asyncio.to_thread(own_chain.node.start)
        with pytest.raises(BlocksLostError):
            await follower.after(1 << 60)
        follower.restart(None)
        await follower.step()
        assert follower.last is not None
