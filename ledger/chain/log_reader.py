"""Reading events of many blocks: the only place that asks a node for logs.

Nodes bound what one question may ask for: Besu 5,000 blocks, others 50, or so many events, and each says
so in its own way. So no refusal is interpreted: after any, fewer blocks are asked for, down to one; what
is refused then is an error. How many blocks are asked for grows again with the answers.

`LogReader` decides and does not travel; `logs_between` and its sisters do.

Source: Ethereum's execution API specification, `eth_getLogs`.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

import msgspec

from ledger.chain import eth_methods
from ledger.chain.eth_methods import Log, with_timestamp
from ledger.chain.rpc import AsyncRpc, Call, Rpc, RpcError

_FIRST_SPAN: Final = 64
"""Blocks in the first question, before it is known how full they are."""
_LONGEST_SPAN: Final = 50_000
"""Blocks in one question at most."""
_WANTED: Final = 5_000
"""Logs in one answer, about 4 MB: fewer cost round trips, more cost memory."""
_FORGET: Final = 32
"""Answers after which a refusal is forgotten: it may have been of how full those blocks were."""


class LogPart(msgspec.Struct, frozen=True):
    """All logs of a range of blocks, both ends included, in order, each with its block's time."""

    first: int
    last: int
    logs: tuple[Log, ...]


class LogReader:
    """Chooses how many blocks to ask for. Keep it as long as the same node is read."""

    def __init__(
        self,
        addresses: Sequence[bytes],
        topics: Sequence[Sequence[bytes] | None] = (),
        *,
        wanted: int = _WANTED,
        longest: int = _LONGEST_SPAN,
    ) -> None:
        """Take what to ask for.

        Args:
            addresses: Of the contracts.
            topics: For each position the values that are wanted, or None for any.
            wanted: Logs in one answer, about.
            longest: Blocks in one question at most.
        """
        self._addresses = addresses
        self._topics = topics
        self._wanted = wanted
        self._longest = longest
        self._span = min(_FIRST_SPAN, longest)
        self._good = 1
        """The most blocks that were answered since one more question was refused."""
        self._bound = longest
        """More blocks were refused."""
        self._answers = 0
        """Since the last refusal."""

    def ask(self, first: int, last: int) -> Call[tuple[Log, ...]]:
        """Return the next question about some of these blocks, the first of them on."""
        return eth_methods.logs(first, self.reach(first, last), self._addresses, self._topics)

    def reach(self, first: int, last: int) -> int:
        """Return the last block of the next question."""
        return min(first + self._span - 1, last)

    def take(self, blocks: int, logs: int) -> None:
        """Learn from an answer: how many blocks it was about, and how many logs it has."""
        self._answers += 1
        if self._answers == _FORGET:
            self._bound = self._longest
        self._good = max(self._good, blocks)
        if blocks < self._span:
            return  # the last question of a range; it says nothing about longer ones
        more = self._span * 4
        if more > self._bound:
            more = (self._span + self._bound + 1) // 2
        self._span = max(min(more, blocks * self._wanted // max(logs, 1), self._bound), 1)

    def narrow(self, blocks: int) -> bool:
        """Learn from a refusal of so many blocks; return whether it is worth asking for fewer."""
        if blocks <= 1:
            return False
        self._bound, self._answers = blocks - 1, 0
        self._span = self._good if self._good < blocks else max(blocks // 4, 1)
        self._good = 1
        return True


def logs_between(rpc: Rpc, reader: LogReader, first: int, last: int) -> Iterator[LogPart]:
    """Yield the logs of a range of blocks, both ends included, part by part.

    Every part is yielded, also those without logs.

    Raises:
        RpcError: the node cannot be asked, or not even for one block.
    """
    while first <= last:
        part = rpc.run(next_part, reader, first, last)
        yield part
        first = part.last + 1


async def logs_between_async(
    rpc: AsyncRpc, reader: LogReader, first: int, last: int
) -> AsyncIterator[LogPart]:
    """Do as `logs_between`, from asyncio."""
    while first <= last:
        part = await next_part(rpc, reader, first, last)
        yield part
        first = part.last + 1


async def next_part(rpc: AsyncRpc, reader: LogReader, first: int, last: int) -> LogPart:
    """Return the first part of a range of blocks, as long as the node allows.

    Raises:
        RpcError: the node cannot be asked, or not even for one block.
    """
    while True:
        end = reader.reach(first, last)
        try:
            logs = await rpc.send(reader.ask(first, last))
        except RpcError as error:
            if not (error.less_may_do and reader.narrow(end - first + 1)):
                raise
            continue
        reader.take(end - first + 1, len(logs))
        return LogPart(first, end, await timed(rpc, logs))


async def timed(rpc: AsyncRpc, logs: tuple[Log, ...]) -> tuple[Log, ...]:
    """Return logs with the times of their blocks, which some nodes leave out.

    Raises:
        RpcError: the node has logs of a block that it does not have.
    """
    lacking = {log.block_number for log in logs if log.block_timestamp is None}
    if not lacking:
        return logs
    blocks = await rpc.send_many(
        [eth_methods.block(number) for number in sorted(map(block_number, lacking))]
    )
    times = {block.number: block.timestamp for block in blocks if block is not None}
    return tuple([_timed(log, times) for log in logs])


def _timed(log: Log, times: dict[int, int]) -> Log:
    if log.block_timestamp is not None:
        return log
    number = block_number(log.block_number)
    if number not in times:
        raise RpcError(f"the node has logs of block {number}, and not the block")
    return with_timestamp(log, times[number])


def block_number(text: str) -> int:
    """Return the number of a log's block.

    Raises:
        RpcError: it is none.
    """
    try:
        return int(text, 16)
    except ValueError as error:
        raise RpcError(f"{text[:20]!r} is no block's number") from error
