"""Group work that many callers wait for at once into few pieces, as a database groups commits.

A caller hands in one item and waits for its own result. As soon as a worker is free it takes all
that is waiting, up to a size, and works on it in one go. Nobody waits for a timer: a lone item
starts at once, and while it is on its way the next ones gather. For reads by key there is
`ledger.gathering`. Where items are somebody's, all owners have their turn in each piece of work.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.errors import UnavailableError
from ledger.fair_queue import FairQueue

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

Work = Callable[[Sequence[ItemT]], Awaitable[Sequence[ResultT | Exception]]]
"""Works on several items; returns a result, or the error to raise, for each, in their order."""


@dataclass(slots=True)
class _Waiting(Generic[ItemT, ResultT]):
    item: ItemT
    result: asyncio.Future[ResultT]


class Grouper(Generic[ItemT, ResultT]):
    """Calls `work` with what has gathered.

    A caller that is cancelled does not stop the work that its item is in. If `work` itself raises,
    all its callers get that error.
    """

    def __init__(
        self,
        work: Work[ItemT, ResultT],
        *,
        most: int,
        at_once: int = 1,
        owner: Callable[[ItemT], Hashable] = lambda _: None,
    ) -> None:
        """`most` items are in one piece of `work`, `at_once` pieces under way; `owner`: whose an item is, nobody's by default."""
        self._work = work
        self._most = most
        self._free = at_once
        self._owner = owner
        self._waiting: FairQueue[_Waiting[ItemT, ResultT]] = FairQueue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def __call__(self, item: ItemT) -> ResultT:
        """Hand in one item and wait for its result.

        Raises:
            UnavailableError: The gateway is shutting down.
            Exception: What `work` returned or raised for it.
        """
        if self._closed:
            raise UnavailableError("the gateway is shutting down", "stopping")
        result: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
        self._waiting.put(self._owner(item), _Waiting(item, result))
        if self._free:
            self._start()
        return await result

    async def close(self) -> None:
        """Take nothing more, and wait until everything handed in is done. May be repeated."""
        self._closed = True
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _start(self) -> None:
        self._free -= 1
        task = asyncio.get_running_loop().create_task(self._run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        try:
            while len(self._waiting):
                # Whoever is ready in this turn of the loop comes along.
                await asyncio.sleep(0)
                await self._settle(self._waiting.take(self._most))
        finally:
            self._free += 1

    async def _settle(self, some: Sequence[_Waiting[ItemT, ResultT]]) -> None:
        try:
            results = await self._work([one.item for one in some])
        except Exception as error:  # noqa: BLE001  every caller gets it
            results = [error] * len(some)
        for one, result in zip(some, results, strict=True):
            if one.result.done():
                continue
            if isinstance(result, Exception):
                one.result.set_exception(result)
            else:
                one.result.set_result(result)
