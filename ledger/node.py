"""The embedded chain: one anvil process on the loopback, for the `embedded` profile and for tests.

anvil is not durable. It writes its state from time to time and when it is asked to end; a crash loses
what came after the last time, and a crash *while* it writes leaves half a file. So it never writes
over the file that it was started from: what a start found whole is kept until the next start finds
something newer that is whole too. What is missing after a crash, the recorder's journal sends again.

It mines at a fixed interval. With mining on demand, transactions of concurrent senders stay pending
for ever (anvil 1.7.1).
"""

import fcntl
import gzip
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from ledger import queries
from ledger.errors import LedgerError
from ledger.hexes import from_hex
from ledger.rpc import Call, NodeUnreachableError, Rpc, RpcError, RpcSettings

DEFAULT_CHAIN_ID: Final = 18_317
"""Of embedded chains; no public chain has it."""

_HOST: Final = "127.0.0.1"
_POLL: Final = 0.01
_TRIES: Final = 5
_IN_USE: Final = "already in use"
_LAST_BYTES: Final = 2000


class NodeError(LedgerError):
    """The embedded chain cannot run."""


class NodeMissingError(NodeError):
    """There is no anvil."""


class PortInUseError(NodeError):
    """Something else listens on the port."""


class DataInUseError(NodeError):
    """Another node runs on the same data directory."""


class StateDamagedError(NodeError):
    """Neither of the state files can be read."""


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """How to run the embedded chain.

    Attributes:
        data: directory for state, cache and log; made when it is not there. One node at a time.
        port: on the loopback; 0 takes a free one.
        chain_id: kept in the signatures of everybody, so never change it under a deployment.
        block_time: seconds between blocks. Each access waits for its block; each block, empty or
            not, adds 2 kB to the state file.
        state_interval: seconds between writes of the state; what a crash can lose.
        gas_limit: of a block.
        history: number of newest blocks whose state can still be asked for (eth_call). Blocks,
            transactions and events stay readable for ever.
        start_timeout: seconds until the node must answer.
        stop_timeout: seconds until a node that was asked to end is killed.
    """

    data: Path
    port: int = 0
    chain_id: int = DEFAULT_CHAIN_ID
    block_time: float = 0.1
    state_interval: int = 1
    gas_limit: int = 100_000_000
    history: int = 64
    start_timeout: float = 20.0
    stop_timeout: float = 20.0


class Node:
    """A running anvil. Ends with the `with` block, or by `stop`."""

    def __init__(self, settings: NodeSettings) -> None:
        self.settings = settings
        self.port = settings.port
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None

    @property
    def url(self) -> str:
        """Where it answers JSON-RPC."""
        return f"http://{_HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        """Its process id; None when it does not run."""
        return self._process.pid if self._process is not None and self.is_running else None

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def log_path(self) -> Path:
        """What the process says; little, unless something is wrong."""
        return self.settings.data / "anvil.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and return when it answers. After a stop or a kill it starts on the same port.

        Raises:
            NodeMissingError, DataInUseError, StateDamagedError, PortInUseError, NodeError: as named.
        """
        if self.is_running:
            raise NodeError("the node runs already")
        binary = find_anvil()
        self._make_directory()
        self._take_lock()
        try:
            state = self._settle_state()
            self._launch(binary, state)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Ask it to write its state and end; kill it when it takes too long."""
        if self._process is not None and self.is_running:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(self.settings.stop_timeout)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._forget()

    def kill(self) -> None:
        """End it at once, as a crash would: what it did not write is lost."""
        if self._process is not None and self.is_running:
            self._process.kill()
        self._forget()

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait until the process ends; return its exit status, None when the time is over."""
        if self._process is None:
            return None
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def checkpoint(self) -> None:
        """Write the state now, durably, so that even a crash amid anvil's own writing keeps it.

        To be called when something is on the chain that no journal could send again: after the
        deployment. If we crash here, the files that were there before still count.

        Raises:
            NodeError: it cannot be written.
            RpcError: the node cannot be asked.
        """
        with Rpc(self.url, RpcSettings(timeout=self.settings.start_timeout)) as rpc:
            dumped: Call[str] = Call("anvil_dumpState", (), _text)
            state = gzip.decompress(from_hex(rpc.send(dumped)))
        try:
            _write_durably(self._kept, state)
        except OSError as error:
            raise NodeError(f"{self._kept} cannot be written: {error.strerror}") from error

    @property
    def _kept(self) -> Path:
        """The state that was whole at the last start, or at the last checkpoint."""
        return self.settings.data / "state.kept.json"

    @property
    def _written(self) -> Path:
        """The state that the running anvil writes; may be half written."""
        return self.settings.data / "state.json"

    def _make_directory(self) -> None:
        try:
            self.settings.data.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise NodeError(f"{self.settings.data} cannot be made: {error.strerror}") from error

    def _take_lock(self) -> None:
        path = self.settings.data / "lock"
        self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._forget()
            raise DataInUseError(f"another node runs on {self.settings.data}") from error

    def _settle_state(self) -> Path | None:
        """Choose what to start from: the newer of the two files that is whole."""
        there = [path for path in (self._written, self._kept) if path.exists()]
        whole = [path for path in there if _is_whole(path)]
        if there and not whole:
            raise StateDamagedError(
                f"{' and '.join(map(str, there))} cannot be read; remove them to start a new chain"
            )
        if not whole:
            return None
        newest = max(whole, key=_block_number)
        # If we crash here or on the next line, both files are there or one: the same one is chosen.
        _write_durably(self._kept, _with_one_genesis(newest.read_bytes()))
        self._written.unlink(missing_ok=True)
        return self._kept

    def _launch(self, binary: Path, state: Path | None) -> None:
        for attempt in range(_TRIES):
            # Somebody else may take a free port before anvil does; then another one is tried.
            self.port = self.port or _free_port()
            try:
                self._launch_once(binary, state)
            except PortInUseError:
                if self.settings.port or attempt == _TRIES - 1:
                    raise
                self.port = 0
            else:
                return

    def _launch_once(self, binary: Path, state: Path | None) -> None:
        cache = self.settings.data / "cache"
        shutil.rmtree(cache, ignore_errors=True)
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own tool with our own arguments
                [binary, *self._arguments(cache, state)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A signal from the terminal reaches only us; we end it when we have ended.
                start_new_session=True,
                # It holds the lock too: when we crash and it lives on, no other one can start.
                pass_fds=[] if self._lock is None else [self._lock],
            )
        self._wait_until_ready()

    def _arguments(self, cache: Path, state: Path | None) -> list[str]:
        settings = self.settings
        options: dict[str, object] = {
            "--host": _HOST,
            "--port": self.port,
            "--chain-id": settings.chain_id,
            "--hardfork": "cancun",
            "--block-time": settings.block_time,
            "--gas-limit": settings.gas_limit,
            "--block-base-fee-per-gas": 0,
            "--gas-price": 0,
            "--accounts": 0,
            "--order": "fifo",
            "--dump-state": self._written,
            "--state-interval": settings.state_interval,
            "--prune-history": settings.history,
            "--cache-path": cache,
        }
        if state is not None:
            options["--load-state"] = state
        flags = ("--quiet", "--disable-min-priority-fee", "--disable-default-create2-deployer")
        pairs = [part for name, value in options.items() for part in (name, str(value))]
        return [*pairs, *flags, "--no-cors"]

    def _wait_until_ready(self) -> None:
        until = time.monotonic() + self.settings.start_timeout
        with Rpc(self.url, RpcSettings(timeout=1.0)) as rpc:
            while self.is_running:
                if _chain_id_or_none(rpc) == self.settings.chain_id and self.is_running:
                    return
                if time.monotonic() > until:
                    raise NodeError(f"anvil does not answer; see {self.log_path}")
                time.sleep(_POLL)
        raise self._why_it_ended()

    def _why_it_ended(self) -> NodeError:
        said = self.log_path.read_bytes()[-_LAST_BYTES:].decode(errors="replace").strip()
        if _IN_USE in said:
            return PortInUseError(f"port {self.port} is in use")
        first_line = (said.splitlines() or ["without a word"])[0]
        return NodeError(f"anvil ended: {first_line}")

    def _forget(self) -> None:
        if self._process is not None:
            self._process.wait()
            self._process = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def find_anvil() -> Path:
    """Return the path of anvil: of the project's own set-up, or on the PATH.

    Raises:
        NodeMissingError: it is in neither place.
    """
    root = Path(__file__).resolve().parent.parent
    for found in sorted(root.glob("node_modules/@foundry-rs/anvil-*/bin/anvil")):
        if os.access(found, os.X_OK):
            return found
    on_path = shutil.which("anvil")
    if on_path is None:
        raise NodeMissingError("anvil is not installed: run make setup, or put it on the PATH")
    return Path(on_path)


def _chain_id_or_none(rpc: Rpc) -> int | None:
    try:
        return rpc.send(queries.chain_id())
    except NodeUnreachableError:
        return None
    except RpcError as error:
        raise NodeError(f"something else than anvil answers: {error}") from error


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((_HOST, 0))
        port: int = free.getsockname()[1]
        return port


class _State(msgspec.Struct):
    """What is read of anvil's state file."""

    best_block_number: Any
    blocks: list[msgspec.Raw]


class _Header(msgspec.Struct):
    number: str
    timestamp: str


class _Block(msgspec.Struct):
    header: _Header


def _with_one_genesis(state: bytes) -> bytes:
    """Return a state without the first blocks that anvil adds to it.

    Every start makes a first block of its own, which is then written beside the loaded one; the next
    start takes whichever it reads last, and the chain seems to have another genesis (anvil 1.7.1).
    The true one is the oldest.
    """
    members: dict[str, msgspec.Raw] = msgspec.json.decode(state, type=dict[str, msgspec.Raw])
    blocks = msgspec.json.decode(members["blocks"], type=list[msgspec.Raw])
    headers = [msgspec.json.decode(block, type=_Block).header for block in blocks]
    first = [place for place, header in enumerate(headers) if int(header.number, 16) == 0]
    oldest = min(first, key=lambda place: int(headers[place].timestamp, 16), default=None)
    kept = [block for place, block in enumerate(blocks) if place == oldest or place not in first]
    return msgspec.json.encode({**members, "blocks": kept})


def _is_whole(path: Path) -> bool:
    try:
        _read_state(path)
    except (OSError, msgspec.DecodeError):
        return False
    return True


def _block_number(path: Path) -> int:
    number = _read_state(path).best_block_number
    return int(number, 16) if isinstance(number, str) else int(number or 0)


def _read_state(path: Path) -> _State:
    return msgspec.json.decode(path.read_bytes(), type=_State)


def _text(raw: msgspec.Raw) -> str:
    return msgspec.json.decode(raw, type=str)


def _write_durably(path: Path, data: bytes) -> None:
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
