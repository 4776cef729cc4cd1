"""Where trails come from: a node that the regulator chooses, or a file."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from ledger import queries, views
from ledger.chain import Finality
from ledger.deployment import Deployment
from ledger.errors import LedgerError
from ledger.events import Contracts, Log, with_timestamp
from ledger.hexes import to_hex
from ledger.replay.engine import Replay
from ledger.replay.export import (
    ExportError,
    TrailHeader,
    TrailReader,
    open_trail,
    verify_header,
    write_trail,
)
from ledger.replay.journals import Journal
from ledger.replay.report import End, ReplayReport
from ledger.rpc import AnswerTooLargeError, Rpc

_WANTED: Final = 8_000
"""Logs in one answer, about 6 MB: fewer cost round trips, more cost memory."""
_FIRST_SPAN: Final = 100
"""Blocks in the first question, before it is known how full they are."""
_LARGEST_SPAN: Final = 50_000
"""Blocks in one question at most."""


class ChainMissingError(LedgerError):
    """The node does not have the blocks that it should have."""


class NodeContradictionError(LedgerError):
    """A node's logs are of other blocks than the node has: it lies, or its chain changed meanwhile."""


def replay_node(
    rpc: Rpc,
    deployment: Deployment,
    journals: Sequence[Journal] = (),
    *,
    finality: Finality | None = None,
    other_contracts: bool = False,
) -> ReplayReport:
    """Replay everything up to the newest final block of a node.

    The node is asked for every log, for the hash and time of every block that has one, and for the
    state of the access log at the end; nothing else of what it says is relied upon. Whether it is the
    right chain is for `verify_deployment`.

    Raises:
        RpcError: the node cannot be asked.
        ChainMissingError: it has no final block yet.
        NodeContradictionError: a log is of another block than the node has.
        JournalError: a journal is not in order.
    """
    newest = _newest(rpc, finality or Finality.depth(0))
    end = _end(rpc, deployment.contracts, newest.number)
    replay = _replay(deployment, journals, other_contracts=other_contracts)
    for logs in read_logs(rpc, deployment.contracts, deployment.block_number, newest.number):
        replay.feed(logs)
    return replay.finish(end)


def replay_trail(
    path: Path,
    deployment: Deployment,
    journals: Sequence[Journal] = (),
    *,
    end: End | None = None,
    other_contracts: bool = False,
) -> ReplayReport:
    """Replay an exported trail.

    Events, decisions, running hash and the first line are checked; hashes and times of blocks only for
    whether they fit together. A trail whose blocks were given other hashes replays clean.

    Args:
        path: The file.
        deployment: From a source that is trusted, not from the file's sender.
        journals: To compare with, if any.
        end: Where it must end, from a source that is trusted. None takes what the file's last line
            says, so a trail that was cut off and given another last line looks whole.
        other_contracts: Whether contracts of others write logs on this chain too.

    Raises:
        ExportError: not a trail, another deployment's, or of other blocks than its first line says.
        JournalError: a journal is not in order.
    """
    replay = _replay(deployment, journals, other_contracts=other_contracts)
    with open_trail(path) as file:
        reader = TrailReader(file)
        verify_header(reader.header, deployment)
        for logs in reader.batches():
            replay.feed(logs)
        if reader.end is None:
            raise ExportError("the trail is cut off: its last line is missing")
        return replay.finish(end or reader.end)


def export_trail(
    rpc: Rpc, deployment: Deployment, path: Path, *, finality: Finality | None = None
) -> TrailHeader:
    """Write everything up to the newest final block into a file.

    The hashes of blocks are those that the node has, so what the file says of them is worth what the
    node is worth, to whoever knows that the file is this one.

    Raises:
        RpcError: the node cannot be asked.
        ChainMissingError: it has no final block yet.
        NodeContradictionError: a log is of another block than the node has.
        ExportError: the file cannot be written.
    """
    newest = _newest(rpc, finality or Finality.depth(0))
    header = TrailHeader(
        chain_id=deployment.chain_id,
        contracts=deployment.contracts,
        first_block=deployment.block_number,
        last_block=newest.number,
        last_block_hash=newest.hash,
    )
    end = _end(rpc, deployment.contracts, newest.number)
    logs = read_logs(rpc, deployment.contracts, deployment.block_number, newest.number)
    try:
        with path.open("wb") as file:
            write_trail(file, header, logs, end)
    except OSError as error:
        raise ExportError(f"{path} cannot be written: {error.strerror}") from error
    return header


def read_logs(rpc: Rpc, contracts: Contracts, first: int, last: int) -> Iterator[tuple[Log, ...]]:
    """Yield all logs of the contracts in a range of blocks, both ends included, in order.

    How many blocks are asked for at once follows from how full they are. While an answer is worked
    on, the next one is on its way. Each log's block is looked up: hash and time are the node's own.

    Raises:
        RpcError: the node cannot be asked.
        NodeContradictionError: a log is of another block than the node has.
    """
    addresses = msgspec.structs.astuple(contracts)
    span = _FIRST_SPAN
    with ThreadPoolExecutor(1) as pool:
        waiting: Future[tuple[int, tuple[Log, ...]]] | None = None
        while first <= last or waiting is not None:
            if waiting is None:
                waiting = pool.submit(_ask, rpc, addresses, first, min(first + span - 1, last))
            reached, logs = waiting.result()
            span = _next_span(reached - first + 1, len(logs))
            first, waiting = reached + 1, None
            if first <= last:
                waiting = pool.submit(_ask, rpc, addresses, first, min(first + span - 1, last))
            if logs:
                yield logs


def _ask(
    rpc: Rpc, addresses: Sequence[bytes], first: int, last: int
) -> tuple[int, tuple[Log, ...]]:
    """Ask for logs of blocks, of fewer when there are too many; return how far it got."""
    while True:
        try:
            logs = rpc.send(queries.logs(first, last, addresses))
        except AnswerTooLargeError:
            if first == last:
                raise
            last = first + (last - first) // 2
        else:
            return last, _looked_up(rpc, logs)


def _next_span(blocks: int, logs: int) -> int:
    if not logs:
        return min(blocks * 4, _LARGEST_SPAN)
    return max(1, min(blocks * _WANTED // logs, blocks * 4, _LARGEST_SPAN))


def _looked_up(rpc: Rpc, logs: tuple[Log, ...]) -> tuple[Log, ...]:
    """Compare logs with their blocks; put in the times where the node left them out."""
    places = {(log.block_number, log.block_hash, log.block_timestamp) for log in logs}
    numbers = sorted({int(number, 16) for number, _, _ in places})
    answers = rpc.send_many([queries.block(number) for number in numbers])
    blocks = dict(zip(numbers, answers, strict=True))
    for number, hash_, time in places:
        block = blocks[int(number, 16)]
        same_time = block is not None and time in (None, hex(block.timestamp))
        if block is None or to_hex(block.hash) != hash_ or not same_time:
            problem = "the node has a log of another block than it has"
            raise NodeContradictionError(f"{problem}: block {int(number, 16)}, {hash_}")
    if all(time is not None for _, _, time in places):
        return logs
    times = {number: block.timestamp for number, block in blocks.items() if block is not None}
    return tuple(with_timestamp(log, times[int(log.block_number, 16)]) for log in logs)


def _replay(
    deployment: Deployment, journals: Sequence[Journal], *, other_contracts: bool
) -> Replay:
    return Replay(
        deployment.contracts, deployment.chain_id, journals, other_contracts=other_contracts
    )


def _newest(rpc: Rpc, finality: Finality) -> queries.Block:
    newest = rpc.send(queries.block(finality.tag))
    number = -1 if newest is None else finality.final_number(newest)
    found = rpc.send(queries.block(number)) if number >= 0 else None
    if found is None:
        raise ChainMissingError("the node has no final block yet")
    return found


def _end(rpc: Rpc, contracts: Contracts, block: int) -> End:
    state = rpc.send(views.log_state(contracts, block))
    return End(state.sequence, state.head)
