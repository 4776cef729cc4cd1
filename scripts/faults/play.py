"""The driver: citizens and consumers, many at once, in a process of its own.

`python -m scripts.faults.play PLAN REPORT` plays until its standard input ends, then sees to it that every
request has its answer, and writes the report. Everything that has no answer is sent again, the same bytes.
"""

import asyncio
import random
import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from scripts.faults.citizens import play_citizen
from scripts.faults.consumers import ConsumerRole, play_consumer
from scripts.faults.desk import Desk
from scripts.faults.told import PlayPlan, PlayReport


async def play(plan: PlayPlan) -> PlayReport:
    """Play until the standard input ends, and finish."""
    async with Desk(plan) as desk:
        players = [asyncio.create_task(player) for player in _players(desk)]
        end = asyncio.create_task(_end_of_input())
        # A player that ends before the play does has failed: gathering it shows why.
        await asyncio.wait([end, *players], return_when=asyncio.FIRST_COMPLETED)
        desk.close_play()
        await asyncio.gather(*players)
        end.cancel()
        return desk.report()


def _players(desk: Desk) -> Iterator[Coroutine[Any, Any, None]]:
    plan = desk.plan
    for number, citizen in enumerate(plan.citizens):
        yield play_citizen(desk, citizen, _stream(plan.seed, f"citizen {number}"))
    for number, consumer in enumerate(plan.consumers):
        role = ConsumerRole(desk, consumer)
        for worker in range(plan.workers):
            yield play_consumer(role, _stream(plan.seed, f"consumer {number}.{worker}"))


def _stream(seed: int, name: str) -> random.Random:
    return random.Random(f"{seed} {name}")  # noqa: S311 - to be repeated, not to be secret


async def _end_of_input() -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()


def main(arguments: list[str]) -> int:
    """Read a plan, play, write the report."""
    plan_file, report_file = map(Path, arguments)
    plan = msgspec.msgpack.decode(plan_file.read_bytes(), type=PlayPlan)
    report = uvloop.run(play(plan))
    report_file.write_bytes(msgspec.msgpack.encode(report))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
