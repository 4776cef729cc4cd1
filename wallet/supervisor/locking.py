"""The lock of a data directory: the supervisor and its processes hold it, with their ids in it.

The lock is gone when the last of them is, however it ended. So nothing starts twice on the same data,
also not beside processes that a killed supervisor left behind.
"""

import fcntl
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from wallet.supervisor.errors import SupervisorError
from wallet.supervisor.layout import Layout

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
