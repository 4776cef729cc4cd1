"""Noting in the release journal how far the chain is, for as long as the keyholder serves.

A use may be given back only as far as keyholders' journals are silent about it, and a journal is silent only
about what was over when it was written. A keyholder that is asked for nothing would never write.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from ledger.hexstr import to_hex
from ledger.service.logs import get_logger
from wallet.keyholder.errors import JournalError, NotFollowingError
from wallet.keyholder.follower import Follower
from wallet.keyholder.journal import FileJournal, NotedEntry

_log = get_logger()


@dataclass(slots=True)
class BlockNotes:
    """Notes the newest final block, at the start and then once in each interval of block times.

    Attributes:
        follower: Knows the chain.
        journal: Where releases are noted.
        interval: Seconds, of the blocks.
        poll: Seconds between two looks.
        clock: The present, seconds since 1970.
    """

    follower: Follower
    journal: FileJournal
    interval: int
    poll: float
    clock: Callable[[], float]
    _due: int = 0

    async def run(self) -> None:
        """Note until cancelled. What cannot be noted now is tried again at the next look."""
        while True:
            try:
                await self.step()
            except JournalError as error:
                _log.warning("block_not_noted", problem=str(error))
            except NotFollowingError:
                pass  # the follower says so
            await asyncio.sleep(self.poll)

    async def step(self) -> None:
        """Note the newest final block, if it is time.

        Raises:
            NotFollowingError: The chain is not known as it is now.
            JournalError: Nothing can be noted.
        """
        block = self.follower.require().block
        if block.timestamp < self._due:
            return
        entry = NotedEntry(1, int(self.clock()), block.number, to_hex(block.hash))
        await self.journal.note([entry])
        self._due = block.timestamp + self.interval
