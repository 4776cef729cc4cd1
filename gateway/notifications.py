"""Wake those who wait for something to change; what changed they read where it is stored.

So nothing is lost when nobody listens, and a gateway that shares the database with others, whose
touches it does not hear, only has to look again now and then.
"""

import asyncio
from collections import defaultdict
from typing import Final

CHAIN: Final = "chain"
"""The index has reached another block."""

ALERTS: Final = "alerts"


def ask_topic(ask: str) -> str:
    return f"ask/{ask}"


def inbox_topic(subject: bytes) -> str:
    return f"inbox/{subject.hex()}"


class Topics:
    """Who waits for what, in one event loop."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)

    def notify(self, topic: str) -> None:
        for waiting in self._waiting.pop(topic, ()):
            if not waiting.done():
                waiting.set_result(None)

    async def wait(self, seconds: float, *topics: str) -> bool:
        """Wait until one of these topics is touched, at most so long; return whether it was."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for topic in topics:
            self._waiting[topic].add(waiting)
        try:
            done, _ = await asyncio.wait((waiting,), timeout=seconds)
            return bool(done)
        finally:
            for topic in topics:
                self._leave(topic, waiting)

    def _leave(self, topic: str, waiting: asyncio.Future[None]) -> None:
        others = self._waiting.get(topic)
        if others is not None:
            others.discard(waiting)
            if not others:
                del self._waiting[topic]
