import asyncio
from collections.abc import Sequence

from gateway.access.batching import Grouper
from tests.support.problems import refused_as


class Doubler:
    """Doubles numbers; notes how they came together."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()

    async def work(self, items: Sequence[int]) -> list[int | Exception]:
        self.groups.append(list(items))
        self.begun.set()
        await self.gate.wait()
        if 99 in items:
            raise RuntimeError("the whole group")
        return [ValueError("negative") if item < 0 else item * 2 for item in items]


async def test_what_waits_at_once_is_one_group() -> None:
    doubler = Doubler()
    grouper = Grouper(doubler.work, most=100)
    assert await asyncio.gather(*map(grouper, range(50))) == [2 * n for n in range(50)]
    assert doubler.groups == [list(range(50))]


async def test_the_next_ones_gather_while_one_is_on_its_way() -> None:
    doubler = Doubler()
    doubler.gate.clear()
    grouper = Grouper(doubler.work, most=3)
    first = asyncio.ensure_future(grouper(0))
    await doubler.begun.wait()
    others = asyncio.gather(*map(grouper, range(1, 6)))
    await asyncio.sleep(0)
    doubler.gate.set()
    assert await first == 0
    assert await others == [2, 4, 6, 8, 10]
    assert doubler.groups == [[0], [1, 2, 3], [4, 5]]


async def test_each_gets_its_own_error_and_all_the_groups_error() -> None:
    grouper = Grouper(Doubler().work, most=10)
    results = await asyncio.gather(*map(grouper, (1, -1, 2)), return_exceptions=True)
    assert results[0] == 2
    assert isinstance(results[1], ValueError)
    assert results[2] == 4
    results = await asyncio.gather(*map(grouper, (1, 99)), return_exceptions=True)
    assert all(isinstance(result, RuntimeError) for result in results)


async def test_a_cancelled_caller_stops_nobody() -> None:
    doubler = Doubler()
    doubler.gate.clear()
    grouper = Grouper(doubler.work, most=10)
    gone, stays = asyncio.ensure_future(grouper(1)), asyncio.ensure_future(grouper(2))
    await doubler.begun.wait()
    gone.cancel()
    doubler.gate.set()
    assert await stays == 4


async def test_closing_finishes_what_was_handed_in_and_takes_no_more() -> None:
    doubler = Doubler()
    grouper = Grouper(doubler.work, most=10)
    running = asyncio.ensure_future(grouper(3))
    await asyncio.sleep(0)
    await grouper.close()
    assert await running == 6
    with refused_as("stopping"):
        await grouper(4)
