"""A queue in which everybody has a turn: who puts much in waits for itself, not the others for it. Pure."""

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")


class FairQueue(Generic[ItemT]):
    """Items that wait, those of each owner in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, deque[ItemT]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def waiting_of(self, owner: Hashable) -> int:
        """Return how many of an owner's items wait."""
        return len(self._waiting.get(owner, ()))

    def put(self, owner: Hashable, item: ItemT) -> None:
        self._waiting.setdefault(owner, deque()).append(item)
        self._count += 1

    def take(self, most: int) -> list[ItemT]:
        """Take items out, as many as there are up to `most`, an equal share of each owner's."""
        taken: list[ItemT] = []
        while self._waiting and len(taken) < most:
            share = max((most - len(taken)) // len(self._waiting), 1)
            for owner in list(self._waiting):
                if len(taken) < most:
                    taken += self._take_of(owner, min(share, most - len(taken)))
        self._count -= len(taken)
        return taken

    def _take_of(self, owner: Hashable, share: int) -> list[ItemT]:
        mine = self._waiting.pop(owner)
        taken = [mine.popleft() for _ in range(min(share, len(mine)))]
        if mine:
            # To the end of the line: owners take turns from one call to the next, too.
            self._waiting[owner] = mine
        return taken
