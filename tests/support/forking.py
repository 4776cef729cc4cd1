"""Services in processes of their own that start at once: forked from one that has read their modules already.

A gateway takes seconds of processor time to import what it needs, and the tests start a hundred. The
process that is forked has no threads and nothing open but its pipes; the fork runs the module as
`python -m` does. That this is how the services really start is tested where `quancheng up`, the demo and the
services' own commands are.
"""

import atexit
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

_POLL: Final = 0.01
_PRELOADED: Final = (
    *("gateway.app", "ledger.service.server", "uvicorn.lifespan.on"),
    *("uvicorn.loops.auto", "uvicorn.protocols.http.auto", "psycopg"),
    *("sqlalchemy.dialects.sqlite.pysqlite", "wallet.keyholder.commands"),
)


class Forked:
    """A process, as far as `subprocess.Popen` is used for one."""

    def __init__(self, server: "_Server", pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._server = server

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal; None while it runs."""
        if self.returncode is None:
            self.returncode = self._server.ask({"ended": self.pid})
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Wait until it ends; return its exit status."""
        until = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            time.sleep(_POLL)
        return status

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


class _Server:
    """The process that is forked; one for each test process, started when first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def ask(self, question: Mapping[str, Any]) -> Any:
        with self._lock:
            if self._process is None:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", __name__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                atexit.register(self._stop, self._process)
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    @staticmethod
    def _stop(process: subprocess.Popen[str]) -> None:
        process.communicate(timeout=30)  # it ends at the end of its input


_SERVER: Final = _Server()


def start(
    module: Sequence[str], environment: Mapping[str, str], *, out: Path, errors: Path | None = None
) -> Forked:
    """Run `python -m MODULE ARGUMENTS...`.

    Args:
        module: its name, and arguments.
        environment: all of it.
        out: what it writes is added to this file.
        errors: a file of its own for standard error.
    """
    question = {
        "module": list(module),
        "environment": dict(environment),
        "out": str(out),
        "errors": str(errors or out),
        "directory": str(Path.cwd()),
    }
    return Forked(_SERVER, _SERVER.ask(question))


def _serve() -> None:
    for name in _PRELOADED:
        importlib.import_module(name)
    running: set[int] = set()
    for line in sys.stdin:
        question = json.loads(line)
        answer: int | None
        if "ended" in question:
            pid, status = os.waitpid(question["ended"], os.WNOHANG)
            running.discard(pid)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer = os.fork()
            if not answer:
                _become(question)
            running.add(answer)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for pid in running:
        os.kill(pid, signal.SIGKILL)


def _become(question: Mapping[str, Any]) -> None:
    """Run the module in the fork; does not return."""
    status = 1
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(question["out"], flags, 0o600), 1)
        os.dup2(os.open(question["errors"], flags, 0o600), 2)
        os.chdir(question["directory"])
        os.environ.clear()
        os.environ.update(question["environment"])
        time.tzset()
        sys.argv = list(question["module"])
        runpy.run_module(question["module"][0], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter does at the top
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve()
