"""Sources of trails: a node that the regulator chooses, or a file."""

from collections.abc import Container, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from ledger.chain import contract_reads, eth_methods
from ledger.chain.deployment import Deployment
from ledger.chain.eth_methods import Log
from ledger.chain.events import Block, Contracts
from ledger.chain.finality import Finality
from ledger.chain.follow import final_block
from ledger.chain.log_reader import LogReader, block_number, logs_between
from ledger.chain.rpc import Rpc
from ledger.errors import LedgerError
from ledger.hexstr import to_hex
from ledger.replay.engine import Replay, Witness
from ledger.replay.export import (
    TrailError,
    TrailHeader,
    TrailReader,
    open_trail,
    verify_header,
    write_trail,
)
from ledger.replay.journal_check import Journal
from ledger.replay.report import End, KnownEnd, ReplayReport

_WANTED: Final = 8_000
"""Logs in one answer, about 6 MB."""


def replay_node(
    rpc: Rpc,
    deployment: Deployment,
    journals: Sequence[Journal] = (),
    *,
    finality: Finality | None = None,
    other_contracts: bool = False,
    known_end: KnownEnd | None = None,
    voidable: Container[int] | None = None,
    witness: Witness | None = None,
) -> ReplayReport:
    """Replay everything up to the newest final block of a node.

    The node is asked for every log, for the hash and time of every block that has one, and for what the
    contracts say of themselves at the end; nothing else of what it says is relied upon. A node that tells
    less of all of that consistently is found out by a known end only. Whether it is the
    right chain is for `verify_deployment`.

    `voidable` are numbers of accesses of which to report whether their use may be given back; for the others
    see `Replay`.

    Raises:
        RpcError: the node cannot be asked.
        LedgerError: it has no final block yet.
        TrailError: a log is of another block than the node has.
    """
    newest = newest_final(rpc, finality or Finality.depth(0))
    end = end_at(rpc, deployment.contracts, newest.number)
    replay = Replay(
        deployment,
        journals,
        other_contracts=other_contracts,
        known_end=known_end,
        witness=witness,
    )
    for logs in read_logs(rpc, deployment.contracts, deployment.block_number, newest.number):
        replay.feed(logs)
    return replay.finish(
        end,
        last_block=newest.number,
        blocks=lambda numbers: _blocks(rpc, numbers),
        voidable=voidable,
    )


def replay_trail(
    path: Path,
    deployment: Deployment,
    journals: Sequence[Journal] = (),
    *,
    known_end: KnownEnd | None = None,
    other_contracts: bool = False,
    witness: Witness | None = None,
) -> ReplayReport:
    """Replay an exported trail.

    Events, decisions, running hash and the first line are checked; hashes and times of blocks only for
    whether they fit together. A trail whose blocks were given other hashes replays clean, and without a
    known end one that was cut off and given another last line looks whole. The arguments are those of
    `Replay`; the deployment must not come from the file's sender.

    Raises:
        TrailError: not a trail, another deployment's, or of other blocks than its first line says.
    """
    replay = Replay(
        deployment,
        journals,
        other_contracts=other_contracts,
        known_end=known_end,
        witness=witness,
    )
    with open_trail(path) as file:
        reader = TrailReader(file)
        verify_header(reader.header, deployment)
        for logs in reader.batches():
            replay.feed(logs)
        if reader.end is None:
            raise TrailError("the trail is cut off: its last line is missing")
        return replay.finish(reader.end, last_block=reader.header.last_block)


def export_trail(
    rpc: Rpc, deployment: Deployment, path: Path, *, finality: Finality | None = None
) -> TrailHeader:
    """Write everything up to the newest final block into a file.

    The hashes of blocks are those that the node has, so what the file says of them is worth what the
    node is worth, to whoever knows that the file is this one.

    Raises:
        RpcError: the node cannot be asked.
        LedgerError: it has no final block yet.
        TrailError: a log is of another block than the node has, or the file cannot be written.
    """
    newest = newest_final(rpc, finality or Finality.depth(0))
    header = TrailHeader(
        chain_id=deployment.chain_id,
        contracts=deployment.contracts,
        first_block=deployment.block_number,
        last_block=newest.number,
        last_block_hash=newest.hash,
    )
    end = end_at(rpc, deployment.contracts, newest.number)
    logs = read_logs(rpc, deployment.contracts, deployment.block_number, newest.number)
    try:
        with path.open("wb") as file:
            write_trail(file, header, logs, end)
    except OSError as error:
        raise TrailError(f"{path} cannot be written: {error.strerror}") from error
    return header


def read_logs(rpc: Rpc, contracts: Contracts, first: int, last: int) -> Iterator[tuple[Log, ...]]:
    """Yield all logs of the contracts in a range of blocks, both ends included, in order.

    While an answer is worked on, the next one is on its way. Each log's block is looked up: hash and
    time are the node's own.

    Raises:
        RpcError: the node cannot be asked.
        TrailError: a log is of another block than the node has.
    """
    reader = LogReader(msgspec.structs.astuple(contracts), wanted=_WANTED)
    parts = (_looked_up(rpc, part.logs) for part in logs_between(rpc, reader, first, last))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, parts, None)
        while (logs := waiting.result()) is not None:
            waiting = pool.submit(next, parts, None)
            if logs:
                yield logs


def _looked_up(rpc: Rpc, logs: tuple[Log, ...]) -> tuple[Log, ...]:
    """Return logs, after comparing them with the blocks that the node has."""
    places = {(log.block_number, log.block_hash, log.block_timestamp) for log in logs}
    numbers = {block_number(number) for number, _, _ in places}
    answers = rpc.send_many([eth_methods.block(number) for number in numbers])
    blocks = {hex(block.number): block for block in answers if block is not None}
    for number, hash_, time in places:
        block = blocks.get(number)
        if block is None or (to_hex(block.hash), hex(block.timestamp)) != (hash_, time):
            problem = "the node has a log of another block than it has"
            raise TrailError(f"{problem}: block {number}, {hash_}")
    return logs


def _blocks(rpc: Rpc, numbers: Sequence[int]) -> dict[int, Block]:
    blocks = rpc.send_many([eth_methods.block(number) for number in numbers])
    return {
        block.number: Block(block.number, block.hash, block.timestamp)
        for block in blocks
        if block is not None
    }


def newest_final(rpc: Rpc, finality: Finality) -> eth_methods.Block:
    """Return the newest final block.

    Raises:
        RpcError: the node cannot be asked.
        LedgerError: it has no final block yet.
    """
    newest = rpc.run(final_block, finality)
    if newest is None:
        raise LedgerError("the node has no final block yet")
    return newest


def end_at(rpc: Rpc, contracts: Contracts, block: int) -> End:
    """Ask a node what the five contracts say of themselves after a block.

    Raises:
        RpcError: the node cannot be asked, or does not have the state of this block any more.
    """
    end = _end_at(rpc, contracts, block)
    # A node that makes a block just then may have answered by that one; this one is old by now.
    while (again := _end_at(rpc, contracts, block)) != end:
        end = again
    return end


def _end_at(rpc: Rpc, contracts: Contracts, block: int) -> End:
    log = rpc.send(contract_reads.log_state(contracts, block))
    numbered = (
        contracts.registry,
        contracts.catalogue,
        contracts.agreements,
        contracts.authorizations,
    )
    events = rpc.send_many([contract_reads.event_state(address, block) for address in numbered])
    return End(log.sequence, log.head, *events)
