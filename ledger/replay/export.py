"""Trails as files: JSON Lines, one log a line, that anybody can keep and replay years later.

    {"format":"quancheng-trail","version":1,"chainId":18317,"contracts":{"registry":"0x..",...},
     "firstBlock":1,"lastBlock":812,"lastBlockHash":"0x.."}
    {"blockNumber":"0x1","blockHash":"0x..","transactionHash":"0x..","logIndex":"0x0","address":"0x..",
     "topics":["0x.."],"data":"0x..","blockTimestamp":"0x.."}
    ...
    {"logs":40213,"sequence":39874,"head":"0x..","registry":{"count":12,"head":"0x.."},"catalogue":{..},
     "agreements":{..},"authorizations":{..}}

Each of these is one line without spaces, ended by a line feed. A log has the members of `eth_getLogs`,
in this order: all that the decision depends on, the block's time included. The last line says how
much there must be, so a file that was cut off shows.

The hashes of blocks are what the maker's node said: nothing in a trail proves them.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, BinaryIO, Final, Literal

import msgspec

from ledger.chain.deployment import Deployment
from ledger.chain.eth_methods import Log
from ledger.chain.events import Contracts
from ledger.errors import ExitCode, LedgerError
from ledger.hexstr import HexError, from_hex, to_hex
from ledger.jsonio import UNREADABLE
from ledger.model import EventState
from ledger.replay.report import End

FORMAT: Final = "quancheng-trail"
"""What the first line says that the file is."""

_PART: Final = 1 << 20
"""Bytes read at once: about 1,500 logs."""
_MAX_LINE: Final = 1 << 24
"""Bytes that a line may have; the longest that a block has room for is far below."""


class TrailError(LedgerError):
    """Logs, from a file or a node, are no trail of this deployment, or are of other blocks than they say."""

    exit_code = ExitCode.NOT_VERIFIED


_Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class _Contracts(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    registry: str
    catalogue: str
    agreements: str
    authorizations: str
    access_log: str


class _Header(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    format: Literal["quancheng-trail"]
    version: Literal[1]
    chain_id: int
    contracts: _Contracts
    first_block: int
    last_block: int
    last_block_hash: str


class _EventState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    count: _Count
    head: str


class _Footer(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    logs: int
    sequence: _Count
    head: str
    registry: _EventState
    catalogue: _EventState
    agreements: _EventState
    authorizations: _EventState


class _Line(Log, frozen=True, gc=False, rename="camel", forbid_unknown_fields=True):
    """A log, and nothing else."""


_headers = msgspec.json.Decoder(_Header)
_footers = msgspec.json.Decoder(_Footer)
_lines = msgspec.json.Decoder(_Line)
_encoder = msgspec.json.Encoder()


class TrailHeader(msgspec.Struct, frozen=True):
    """What a trail is of."""

    chain_id: int
    contracts: Contracts
    first_block: int
    """That of the deployment: there is nothing before."""
    last_block: int
    """Up to which it has everything, as its maker says."""
    last_block_hash: bytes


def verify_header(header: TrailHeader, deployment: Deployment) -> TrailHeader:
    """Return a trail's header if it is that of a deployment, from its first block on.

    Raises:
        TrailError: it is not.
    """
    if header.chain_id != deployment.chain_id:
        raise TrailError(f"the trail is of chain {header.chain_id}")
    if header.contracts != deployment.contracts:
        raise TrailError("the trail is of other contracts")
    first = deployment.block_number
    if header.first_block != first:
        problem = f"the trail begins with block {header.first_block}, the deployment with {first}"
        raise TrailError(problem)
    return header


def write_trail(
    file: BinaryIO, header: TrailHeader, batches: Iterable[Iterable[Log]], end: End
) -> int:
    """Write a trail: every log of the contracts, in order; return their number."""
    addresses = (to_hex(each) for each in msgspec.structs.astuple(header.contracts))
    first = _Header(
        "quancheng-trail",
        1,
        header.chain_id,
        _Contracts(*addresses),
        header.first_block,
        header.last_block,
        to_hex(header.last_block_hash),
    )
    file.write(_encoder.encode(first) + b"\n")
    logs = 0
    for batch in batches:
        lines = list(batch)
        file.write(_encoder.encode_lines(lines))
        logs += len(lines)
    events = [_EventState(state.count, to_hex(state.head)) for state in end.events]
    file.write(_encoder.encode(_Footer(logs, end.sequence, to_hex(end.head), *events)) + b"\n")
    return logs


class TrailReader:
    """Reads a trail part by part; memory is flat.

    Attributes:
        header: What the file says that it is of.
        end: Where the last line says that it ends; None until it was read, and when it is missing.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Read the first line.

        Raises:
            TrailError: it is not that of a trail, or of no blocks at all.
        """
        self._file = file
        self._line = 1
        self._logs = 0
        self.end: End | None = None
        line = file.readline(_MAX_LINE)
        try:
            first = _headers.decode(line)
            addresses = [from_hex(each, 20) for each in msgspec.structs.astuple(first.contracts)]
            last_block_hash = from_hex(first.last_block_hash, 32)
        except (*UNREADABLE, HexError) as error:
            raise TrailError(f"line 1 is not a trail's header: {error}") from error
        self.header = TrailHeader(
            chain_id=first.chain_id,
            contracts=Contracts(*addresses),
            first_block=first.first_block,
            last_block=first.last_block,
            last_block_hash=last_block_hash,
        )
        if not 0 <= first.first_block <= first.last_block:
            raise TrailError(f"no blocks from {first.first_block} to {first.last_block}")
        self._last_block_hash = to_hex(last_block_hash)

    def batches(self) -> Iterator[list[Log]]:
        """Yield the logs, some at a time.

        Raises:
            TrailError: a line is not a log; the number of logs is not what the last line says;
                something comes after it; or a log is of a block that the first line does not have.
        """
        for part in self._parts():
            if self.end is not None:
                raise TrailError(f"line {self._line + 1}: something comes after the last line")
            lines = part.count(b"\n")
            body, footer = _without_footer(part)
            logs = self._decoded(body)
            self._line += lines
            self._logs += len(logs)
            self._check_blocks(logs)
            yield logs
            if footer:
                self._read_footer(footer)

    def _parts(self) -> Iterator[bytes]:
        """Yield whole lines, about a part at a time."""
        rest = b""
        while data := self._file.read(_PART):
            whole, end, tail = (rest + data).rpartition(b"\n")
            if end:
                yield whole + end
            elif len(tail) > _MAX_LINE:
                raise TrailError(f"line {self._line + 1} is too long")
            rest = tail
        if rest:
            raise TrailError(f"line {self._line + 1} is cut off")

    def _decoded(self, body: bytes) -> list[Log]:
        try:
            return list(_lines.decode_lines(body))
        except UNREADABLE:
            pass
        # Again, line by line, to say which one it is.
        for number, line in enumerate(body.splitlines(), self._line + 1):
            try:
                _lines.decode(line)
            except UNREADABLE as error:
                raise TrailError(f"line {number} is not a log: {error}") from error
        raise TrailError(f"after line {self._line}: not logs")

    def _check_blocks(self, logs: list[Log]) -> None:
        """Compare with the first line. That each block is one block is for the replay."""
        first, last = self.header.first_block, self.header.last_block
        for text, hash_ in {(log.block_number, log.block_hash) for log in logs}:
            try:
                number = int(text, 16)
            except ValueError as error:
                raise TrailError(f"{text[:20]!r} is no block's number") from error
            if not first <= number <= last:
                problem = f"a log of block {number}, and the first line says {first} to {last}"
                raise TrailError(problem)
            if number == last and hash_ != self._last_block_hash:
                problem = f"block {number} has not the hash that the first line says"
                raise TrailError(problem)

    def _read_footer(self, line: bytes) -> None:
        try:
            footer = _footers.decode(line)
            self.end = End(
                footer.sequence,
                from_hex(footer.head, 32),
                _event_state(footer.registry),
                _event_state(footer.catalogue),
                _event_state(footer.agreements),
                _event_state(footer.authorizations),
            )
        except (*UNREADABLE, HexError) as error:
            raise TrailError(f"line {self._line} is not a trail's last: {error}") from error
        if footer.logs != self._logs:
            raise TrailError(f"{self._logs} logs, and the last line says {footer.logs}")


def _event_state(state: _EventState) -> EventState:
    return EventState(state.count, from_hex(state.head, 24))


def _without_footer(part: bytes) -> tuple[bytes, bytes]:
    """Split the last line off if it is not a log."""
    start = part.rfind(b"\n", 0, -1) + 1
    if part.startswith(b'{"logs"', start):
        return part[:start], part[start:]
    return part, b""


def open_trail(path: Path) -> BinaryIO:
    """Open a trail for reading.

    Raises:
        TrailError: it cannot be read.
    """
    try:
        return path.open("rb")
    except OSError as error:
        raise TrailError(f"{path} cannot be read: {error.strerror}") from error
