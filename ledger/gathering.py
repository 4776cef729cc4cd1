"""Group reads: what many ask for at the same time is read together.

A read costs half a millisecond whatever its size (a thread and a transaction), so requests that wait at the
same moment share one. Nobody waits for others to come: a read begins as soon as the one before has
ended, with what has gathered until then.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class _Batch(Generic[_Key, _Value]):
    """Keys that are read together, and what becomes of them."""

    def __init__(self) -> None:
        self.keys: dict[_Key, None] = {}
        self.result: asyncio.Future[Mapping[_Key, _Value]] = (
            asyncio.get_running_loop().create_future()
        )
        # If everybody who waited has gone, an error is nobody's.
        self.result.add_done_callback(lambda done: done.cancelled() or done.exception())


class Gatherer(Generic[_Key, _Value]):
    """Reads by key, for many at once. For use in one event loop."""

    def __init__(self, read: Callable[[Sequence[_Key]], Awaitable[Mapping[_Key, _Value]]]) -> None:
        """Take the function that reads many keys; unknown ones it leaves out."""
        self._read = read
        self._waiting: _Batch[_Key, _Value] | None = None
        self._reader: asyncio.Task[None] | None = None

    async def get(self, keys: Iterable[_Key]) -> Mapping[_Key, _Value]:
        """Return what was found under the keys, and perhaps under others.

        Raises:
            Exception: Whatever `read` raised.
        """
        batch = self._waiting
        if batch is None:
            batch = self._waiting = _Batch()
        batch.keys.update(dict.fromkeys(keys))
        if self._reader is None:
            self._reader = asyncio.create_task(self._run())
        # One who stops waiting does not stop the others.
        return await asyncio.shield(batch.result)

    async def _run(self) -> None:
        while (batch := self._waiting) is not None:
            self._waiting = None
            try:
                batch.result.set_result(await self._read(tuple(batch.keys)))
            except asyncio.CancelledError:
                batch.result.cancel()
                raise
            except Exception as error:  # noqa: BLE001 - it is theirs who wait
                batch.result.set_exception(error)
        self._reader = None
