"""One process of a service: started with its settings and password, ended by signal, its directory locked."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Final

import httpx
import msgspec

from ledger.jsonio import UNREADABLE
from wallet.passwords import Password
from wallet.supervisor.errors import SupervisorError
from wallet.supervisor.services import Layout, Service, is_free, port_of

_POLL: Final = 0.03
_MAX_TAIL: Final = 8192
_MAX_LINE: Final = 400
_COMMAND_TIMEOUT: Final = 120.0
_PREFIX: Final = "QUANCHENG_"


class Process:
    """A service's process. It is in a session of its own, so a terminal's signals do not reach it.

    Args:
        service: what to start.
        password: opens its keystore.
        held: descriptors that it holds as long as it lives.
    """

    def __init__(self, service: Service, password: Password, held: Sequence[int] = ()) -> None:
        self.service = service
        self._password = password
        self._held = tuple(held)
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """The service's."""
        return self.service.name

    @property
    def pid(self) -> int | None:
        """Its process id; None when it does not run."""
        return self._popen.pid if self._popen is not None and self.is_running else None

    @property
    def is_running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def start(self) -> None:
        """Start it, without waiting until it is ready.

        Raises:
            SupervisorError: its port is taken.
        """
        port = port_of(self.service.url)
        if not is_free(port):
            raise SupervisorError("PortInUse", f"{self.name}: port {port} is in use")
        environment, descriptors = _environment(self.service, self._password)
        try:
            with self.service.log.open("ab") as log:
                self._popen = subprocess.Popen(  # noqa: S603 - our own module, no shell
                    [sys.executable, "-m", self.service.module],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=[*descriptors, *self._held],
                )
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def wait_until_ready(self, timeout: float) -> None:
        """Return when its /readyz says so.

        Raises:
            SupervisorError: it ended, or is not ready in time; the message says why.
        """
        until = time.monotonic() + timeout
        reason = "it does not answer"
        with httpx.Client(timeout=5.0, trust_env=False) as client:
            while self.is_running:
                try:
                    answer = client.get(f"{self.service.url}/readyz")
                except httpx.HTTPError:
                    pass
                else:
                    if answer.status_code == httpx.codes.OK:
                        return
                    reason = _reason_in(answer)
                if time.monotonic() > until:
                    raise SupervisorError("Supervisor", f"{self.name} is not ready: {reason}")
                time.sleep(_POLL)
        raise SupervisorError("ProcessDied", self.why_it_ended())

    def why_it_ended(self) -> str:
        """Say how it ended, with the last line of its log."""
        status = self._popen.poll() if self._popen is not None else None
        if status is not None and status < 0:
            how = f"was ended by {signal.Signals(-status).name}"
        else:
            how = f"ended with status {status}"
        said = last_line(self.service.log)
        return f"{self.name} {how}: {said}" if said else f"{self.name} {how}"

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        if self._popen is not None and self.is_running:
            self._popen.send_signal(signal.SIGTERM)

    def stop(self, timeout: float) -> None:
        """Ask it to end, and kill it when it takes too long."""
        self.ask_to_stop()
        if self._popen is None:
            return
        try:
            self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()


def run_command(
    service: Service, arguments: Sequence[str], password: Password, *, step: str
) -> None:
    """Run one command of a service's module to its end.

    Raises:
        SupervisorError: it failed; the message names the step and has the last line of what it said.
    """
    environment, descriptors = _environment(service, password)
    try:
        done = subprocess.run(  # noqa: S603 - our own module, no shell
            [sys.executable, "-m", service.module, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            start_new_session=True,
            pass_fds=descriptors,
            timeout=_COMMAND_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SupervisorError(
            "Supervisor", f"{step}: no end after {_COMMAND_TIMEOUT:.0f} s"
        ) from error
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    if done.returncode:
        said = _last(done.stderr) or _last(done.stdout)
        raise SupervisorError(
            "Supervisor", f"{step}: {said or f'ended with status {done.returncode}'}"
        )


def last_line(log: Path) -> str:
    """Return the last line of a log that is not empty."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _MAX_TAIL))
            return _last(file.read())
    except OSError:
        return ""


def _last(said: bytes) -> str:
    lines = [line.strip() for line in said.decode("utf-8", "replace").splitlines()]
    return next((line[:_MAX_LINE] for line in reversed(lines) if line), "")


def _environment(service: Service, password: Password) -> tuple[dict[str, str], list[int]]:
    """Return the environment of a service, and open descriptors from which it reads the password."""
    # What the user set for this very service stays, other services' settings and passwords do not.
    own = f"{_PREFIX}{service.name.partition('-')[0].upper()}_"
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_PREFIX) or name.startswith(own)
    }
    environment.update(service.settings)
    descriptors = []
    for name in service.password_settings:
        descriptors.append(_pipe_with(password.reveal()))
        environment[name] = f"fd:{descriptors[-1]}"
    return environment, descriptors


def _pipe_with(content: bytes) -> int:
    """Return the reading end of a pipe that holds some bytes; fewer than a pipe takes."""
    reading, writing = os.pipe()
    try:
        os.write(writing, content)
    finally:
        os.close(writing)
    return reading


class _Problem(msgspec.Struct):
    title: str = ""
    detail: str = ""


def _reason_in(answer: httpx.Response) -> str:
    try:
        problem = msgspec.json.decode(answer.content, type=_Problem)
    except UNREADABLE:
        problem = _Problem()
    return problem.detail or problem.title or f"HTTP status {answer.status_code}"


_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class _Interruption:
    """The signals of this process; only the main thread gets them."""

    def __init__(self) -> None:
        self.arrived = False
        self.held = 0
        self._waits = False

    def arrive(self, _number: int, _frame: FrameType | None) -> None:
        self.arrived = True
        if not self.held:
            raise KeyboardInterrupt
        self._waits = True

    def release(self) -> None:
        self.held -= 1
        if self._waits and not self.held:
            self._waits = False
            raise KeyboardInterrupt


_current: _Interruption | None = None


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Raise `KeyboardInterrupt` in the main thread at SIGINT or SIGTERM; never end as if none had come."""
    global _current  # noqa: PLW0603 - so are signal handlers
    interruption = _Interruption()
    before = {each: signal.signal(each, interruption.arrive) for each in _SIGNALS}
    _current = interruption
    try:
        yield
    except Exception as error:
        # It may come in the middle of taking a lock, and turn into another error there.
        if interruption.arrived:
            raise KeyboardInterrupt from error
        raise
    finally:
        _current = None
        for each, handler in before.items():
            signal.signal(each, handler)
    if interruption.arrived:
        raise KeyboardInterrupt


@contextmanager
def signals_held() -> Iterator[None]:
    """Let a signal wait until the end of the block, in which processes are started and noted, or stopped.

    If it came in between, nobody would know of a process.
    """
    interruption = _current
    if interruption is None:
        yield
        return
    interruption.held += 1
    try:
        yield
    finally:
        interruption.release()


_MODE: Final = 0o600
_MOST: Final = 4096
_LOCK_POLL: Final = 0.05
_LAST: Final = "node"
_FIRST: Final = "gateway"
_PROCESSES: Final = Path("/proc")
_COMMANDS: Final = ("-m gateway", "-m wallet.", "anvil")
"""In the commands of the processes that may be ended; an id may have gone to somebody else's."""


def take_lock(path: Path) -> int:
    """Take the lock; return the descriptor that holds it.

    Raises:
        SupervisorError: it is held.
        SupervisorError: the file cannot be opened.
    """
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
    except OSError as error:
        raise SupervisorError("Supervisor", f"{path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        running = os.read(lock, _MOST).decode("utf-8", "replace").strip()
        os.close(lock)
        raise SupervisorError(
            "DataInUse",
            f"processes of another run use {path.parent}: {running or 'they are starting'}",
        ) from error
    return lock


def write_pids(lock: int, pids: Mapping[str, int]) -> None:
    """Write who runs into the lock, for whoever finds it held."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, " ".join(f"{name}={pid}" for name, pid in pids.items()).encode(), 0)


def stop_left_behind(data: Path, timeout: float = 60.0) -> tuple[str, ...]:
    """End what runs on a data directory without a supervisor, in order; return the names.

    Raises:
        SupervisorError: something did not end in time.
    """
    pids = _read_pids(Layout(data).lock)
    others = [name for name in pids if name not in (_FIRST, _LAST)]
    ended = []
    for group in ([_FIRST], others, [_LAST]):
        there = [name for name in group if name in pids and _is_ours(pids[name])]
        for name in there:
            with suppress(ProcessLookupError):
                os.kill(pids[name], signal.SIGTERM)
        until = time.monotonic() + timeout
        for name in there:
            while _is_ours(pids[name]):
                if time.monotonic() > until:
                    raise SupervisorError(
                        "Supervisor", f"{name} (process {pids[name]}) does not end"
                    )
                time.sleep(_LOCK_POLL)
        ended += there
    return tuple(ended)


def _read_pids(path: Path) -> dict[str, int]:
    try:
        words = path.read_text(encoding="utf-8", errors="replace").split()
    except OSError as error:
        raise SupervisorError("Supervisor", f"{path} cannot be read: {error.strerror}") from error
    pairs = [word.partition("=") for word in words]
    return {name: int(pid) for name, _, pid in pairs if pid.isascii() and pid.isdigit()}


def _is_ours(pid: int) -> bool:
    """Tell whether a process is there and, where the system says so, is one of the profile's."""
    if _PROCESSES.is_dir():
        try:
            command = (_PROCESSES / str(pid) / "cmdline").read_bytes()
        except OSError:
            return False
        # One that has ended and was not waited for has no command.
        return any(
            ours in command.replace(b"\0", b" ").decode("utf-8", "replace") for ours in _COMMANDS
        )
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
