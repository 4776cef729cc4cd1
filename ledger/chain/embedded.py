"""The embedded chain: one anvil process on the loopback for the `embedded` profile, and its state files."""

import fcntl
import gzip
import os
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

import msgspec

from ledger.chain import eth_methods
from ledger.chain.miner import Miner
from ledger.chain.rpc import Call, Rpc, RpcError, RpcSettings
from ledger.errors import ExitCode, LedgerError
from ledger.hexstr import from_hex
from ledger.service.logs import get_logger

_NO_CODE: Final = "0x"


class _Account(msgspec.Struct):
    nonce: int
    code: str


class _Info(msgspec.Struct):
    sender: str = msgspec.field(name="from")


class _Transaction(msgspec.Struct):
    info: _Info


class _Header(msgspec.Struct):
    number: str
    timestamp: str


class _Block(msgspec.Struct):
    header: _Header


class _State(msgspec.Struct):
    best_block_number: str | int
    accounts: dict[str, _Account]
    blocks: list[_Block]
    transactions: list[_Transaction]


class StateFiles:
    """The state files in a node's data directory."""

    def __init__(self, directory: Path) -> None:
        self.written = directory / "state.json"
        """What anvil writes when it ends."""
        self.kept = directory / "state.kept.json"
        """What it starts from: whole, and consistent."""
        self.ended_well = True

    def settle(self) -> Path | None:
        """Choose what to start from, the newer of the files that can be used; None for a new chain.

        `ended_well` tells afterwards whether that is what anvil wrote when it ended.

        If we crash here, the same choice is made again.

        Raises:
            LedgerError: there are files, and none can be used.
            OSError: the disk does not let us.
        """
        there = [path for path in (self.written, self.kept) if path.exists()]
        usable = {path: number for path in there if (number := _block_number(path)) is not None}
        if there and not usable:
            raise LedgerError(
                f"{' and '.join(map(str, there))} cannot be used; remove them to start a new chain"
            )
        if not usable:
            return None
        newest = max(usable, key=lambda path: usable[path])
        self.ended_well = newest == self.written
        self._keep(newest.read_bytes())
        self.written.unlink(missing_ok=True)
        return self.kept

    def keep(self, state: bytes) -> None:
        """Replace the kept file, durably, as a whole.

        If we crash here, the old file is there or the new one.

        Raises:
            LedgerError: the state is not one to start from; the old file stays.
            OSError: the disk does not let us.
        """
        if _consistent_block_number(state) is None:
            raise LedgerError("the state that the node gave is not consistent")
        self._keep(state)

    def _keep(self, state: bytes) -> None:
        write_durably(self.kept, _with_one_genesis(state))


def write_durably(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all, so that it is there after a crash."""
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _block_number(path: Path) -> int | None:
    return _consistent_block_number(path.read_bytes())


def _consistent_block_number(state: bytes) -> int | None:
    """Return the newest block's number; None when the state is not whole or not consistent."""
    try:
        decoded = msgspec.json.decode(state, type=_State)
        number = decoded.best_block_number
        newest = int(number, 16) if isinstance(number, str) else int(number)
    except (msgspec.DecodeError, ValueError, TypeError):
        return None
    return newest if _is_consistent(decoded) else None


def _is_consistent(state: _State) -> bool:
    """Whether every account has sent as many transactions as its nonce says."""
    sent = Counter(transaction.info.sender.lower() for transaction in state.transactions)
    nonces = {
        address.lower(): account.nonce
        for address, account in state.accounts.items()
        if account.code == _NO_CODE and account.nonce
    }
    return sent == Counter(nonces)


def _with_one_genesis(state: bytes) -> bytes:
    """Return a state without the first blocks that anvil adds to it.

    Every start makes a first block of its own, which is then written beside the loaded one; the next
    start takes whichever it reads last, and the chain seems to have another genesis. The true one
    is the oldest.
    """
    members: dict[str, msgspec.Raw] = msgspec.json.decode(state, type=dict[str, msgspec.Raw])
    blocks = msgspec.json.decode(members["blocks"], type=list[msgspec.Raw])
    headers = [msgspec.json.decode(block, type=_Block).header for block in blocks]
    first = [place for place, header in enumerate(headers) if int(header.number, 16) == 0]
    return msgspec.json.encode({**members, "blocks": _without(blocks, _newer(first, headers))})


def _newer(first: Sequence[int], headers: Sequence[_Header]) -> set[int]:
    oldest = min(first, key=lambda place: int(headers[place].timestamp, 16), default=None)
    return set(first) - {oldest}


def _without(blocks: Sequence[msgspec.Raw], places: set[int]) -> list[msgspec.Raw]:
    return [block for place, block in enumerate(blocks) if place not in places]


DEFAULT_CHAIN_ID: Final = 18_317
"""Of embedded chains; no public chain has it."""

_HOST: Final = "127.0.0.1"
_POLL: Final = 0.01
_TRIES: Final = 5
_IN_USE: Final = "already in use"
_LAST_BYTES: Final = 2000
_SELDOM: Final = 10**6
"""Seconds between anvil's own writings of its state: never, as ours fit together and its do not."""

_log = get_logger()


class NodeError(LedgerError):
    """The embedded chain cannot run."""

    def __init__(self, message: str, kind: Literal["port in use", "data in use", ""] = "") -> None:
        """Take a kind: something else listens on the port, or another node runs on the directory."""
        super().__init__(message)
        self.kind = kind
        if kind:
            self.exit_code = ExitCode.IN_USE
            self.label = "PortInUse" if kind == "port in use" else "DataInUse"


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """How to run the embedded chain.

    Attributes:
        data: directory for state, cache and log; made when it is not there. One node at a time.
        port: on the loopback; 0 takes a free one.
        chain_id: kept in the signatures of everybody, so never change it under a deployment.
        block_time: seconds between blocks when there are transactions. Each access waits for its
            block.
        idle_block_time: seconds between blocks when there are none, so that the chain's clock goes
            on. Each adds 2 kB to the state.
        state_interval: seconds between writings of the state, at least; what a crash loses then, a
            journal has to bring back. A writing takes at most a sixtieth of the time. Zero: none.
        state_pause: seconds for which a writing may keep the node from mining. A state that has
            grown so that it took longer is not written any more until the node ends.
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
    idle_block_time: float = 1.0
    state_interval: float = 1.0
    state_pause: float = 1.0
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
        self._miner: Miner | None = None
        self._lock: int | None = None
        self._files = StateFiles(settings.data)

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
            NodeError: it cannot.
        """
        if self.is_running:
            raise NodeError("the node runs already")
        if self.settings.block_time <= 0:
            raise NodeError("the time between blocks has to be more than zero seconds")
        binary = find_anvil()
        self._make_directory()
        self._take_lock()
        try:
            state = self._settle_state()
            self._launch(binary, state)
            self._keep_time()
            self._mine()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Ask it to write its state and end; kill it when it takes too long."""
        self.stop_mining()
        if self._process is not None and self.is_running:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(self.settings.stop_timeout)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._forget()

    def kill(self) -> None:
        """End it at once, as a crash would: what was not written is lost."""
        if self._process is not None and self.is_running:
            self._process.kill()
        self.stop_mining()
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
        """Write the state now, durably.

        To be called when something is on the chain that no journal could send again: after the
        deployment. If we crash here, the files that were there before still count.

        Raises:
            NodeError: it cannot be written, or the node gave none that it could be started from.
            RpcError: the node cannot be asked.
        """
        with self._miner.paused() if self._miner is not None else nullcontext():
            self._keep_state()

    def _keep_state(self) -> None:
        with Rpc(self.url, RpcSettings(timeout=self.settings.start_timeout)) as rpc:
            dumped: Call[str] = Call("anvil_dumpState", (), _text)
            state = gzip.decompress(from_hex(rpc.send(dumped)))
        try:
            self._files.keep(state)
        except LedgerError as error:
            raise NodeError(str(error)).labelled("StateDamaged") from error
        except OSError as error:
            raise NodeError(f"{self._files.kept} cannot be written: {error.strerror}") from error

    def _keep_time(self) -> None:
        """Let no block be older than the newest one, also when the machine's clock was put back.

        anvil begins with the machine's time, whatever the state says (1.7.1).
        """
        with Rpc(self.url, RpcSettings(timeout=self.settings.start_timeout)) as rpc:
            newest = rpc.send(eth_methods.block("latest"))
            if newest is not None and newest.timestamp > time.time():
                rpc.send(Call("evm_setTime", (newest.timestamp,), bytes))
                _log.warning("newest block ahead of the clock", block=newest.number)

    def _mine(self) -> None:
        settings = self.settings
        self._miner = Miner(
            self.url,
            block_time=settings.block_time,
            idle_block_time=settings.idle_block_time,
            keep_interval=settings.state_interval,
            keep_pause=settings.state_pause,
            keep=self._keep_state,
            crashed=not self._files.ended_well,
        )
        self._miner.start()

    def stop_mining(self) -> None:
        """Mine nothing any more until the next start, but on request (`evm_mine`)."""
        if self._miner is not None:
            self._miner.stop(self.settings.stop_timeout)
            self._miner = None

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
            raise NodeError(f"another node runs on {self.settings.data}", "data in use") from error

    def _settle_state(self) -> Path | None:
        try:
            return self._files.settle()
        except LedgerError as error:
            raise NodeError(str(error)).labelled("StateDamaged") from error
        except OSError as error:
            raise NodeError(f"{self.settings.data}: {error.strerror}") from error

    def _launch(self, binary: Path, state: Path | None) -> None:
        for attempt in range(_TRIES):
            # Somebody else may take a free port before anvil does; then another one is tried.
            self.port = self.port or _free_port()
            try:
                self._launch_once(binary, state)
            except NodeError as error:
                if error.kind != "port in use" or self.settings.port or attempt == _TRIES - 1:
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
            "--gas-limit": settings.gas_limit,
            "--block-base-fee-per-gas": 0,
            "--gas-price": 0,
            "--accounts": 0,
            "--order": "fifo",
            "--dump-state": self._files.written,
            "--state-interval": _SELDOM,
            "--prune-history": settings.history,
            "--cache-path": cache,
        }
        if state is not None:
            options["--load-state"] = state
        flags = (
            "--no-mining",
            "--quiet",
            "--disable-min-priority-fee",
            "--disable-default-create2-deployer",
        )
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
            return NodeError(f"port {self.port} is in use", "port in use")
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
        NodeError: it is in neither place.
    """
    root = Path(__file__).resolve().parents[2]
    for path in sorted(root.glob("node_modules/@foundry-rs/anvil-*/bin/anvil")):
        if os.access(path, os.X_OK):
            return path
    on_path = shutil.which("anvil")
    if on_path is None:
        raise NodeError("anvil is not installed: run make setup, or put it on the PATH").labelled(
            "NodeMissing"
        )
    return Path(on_path)


def _chain_id_or_none(rpc: Rpc) -> int | None:
    try:
        return rpc.send(eth_methods.chain_id())
    except RpcError as error:
        if error.is_unreached:
            return None
        raise NodeError(f"something else than anvil answers: {error}") from error


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((_HOST, 0))
        port: int = free.getsockname()[1]
        return port


def _text(raw: msgspec.Raw) -> str:
    return msgspec.json.decode(raw, type=str)
