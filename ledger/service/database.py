"""Databases: a transaction is one piece of ordinary code, carried out in a thread; and a database's form."""

import asyncio
import math
import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import Connection, Dialect, Engine, QueuePool, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from ledger.errors import LedgerError

ResultT = TypeVar("ResultT")
Work = Callable[[Connection], ResultT]
"""All of a transaction. It is carried out in a thread, so it touches nothing that others change meanwhile."""

_READERS: Final = 4
_RETRY: Final = 0.05
_DRIVERS: Final = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "sqlite+aiosqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "postgresql+asyncpg": "postgresql+psycopg",
}
"""By the names that a URL can begin with; asyncio's drivers were used before."""
_OF_ASYNCPG: Final = ("prepared_statement_cache_size", "prepared_statement_name_func")


class Database(ABC):
    """The database that a URL names. No connection is made before the first transaction.

    SQLite has one thread that writes and a few that read, PostgreSQL as many as `pool`; each transaction
    has one of them to itself.
    """

    def __init__(self, url: str, *, timeout: float, pool: int) -> None:
        """Take a URL `sqlite:///path` or `postgresql+psycopg://...`.

        Args:
            url: See above.
            timeout: Seconds to wait for a lock or a connection, twice that for a thread; a statement of
                PostgreSQL may take six times as long.
            pool: Connections to PostgreSQL at most.

        Raises:
            ArgumentError: Another kind of URL, or SQLite without a file.
        """
        parsed = parse_url(url)
        self.is_sqlite: Final = parsed.get_backend_name() == "sqlite"
        self.file: Final = Path(parsed.database or "") if self.is_sqlite else None
        """SQLite's."""
        self._file_id: tuple[int, int] | None = None
        self._timeout = timeout
        if self.file is not None:
            engine = _sqlite(self.file, timeout, 1, writes=True)
            self._writer = _Threads(engine, 1, timeout, holds=True)
            engine = _sqlite(self.file, timeout, _READERS, writes=False)
            self._reader = _Threads(engine, _READERS, timeout, holds=True)
        else:
            engine = _postgres(parsed, timeout, pool)
            self._writer = self._reader = _Threads(engine, pool, timeout, holds=False)

    @property
    def dialect(self) -> Dialect:
        return self._writer.engine.dialect

    async def write(self, work: Work[ResultT]) -> ResultT:
        """Do all of `work` in one transaction that may write: durable when this returns, or nothing of it happened.

        On SQLite the write lock is held from the beginning, so that what is read here cannot change
        before it is written. PostgreSQL works at READ COMMITTED: say what must still hold in
        the statement that writes.

        Who is cancelled waits for the end of what began, and does not learn whether it was committed. So it is
        also with a connection lost while committing: every write must bear repetition.

        Raises:
            Exception: As `translated` has it where the database cannot be used; nothing was written then, but
                for the case above.
        """
        return await self._transact(self._writer, work)

    async def read(self, work: Work[ResultT]) -> ResultT:
        """Do all of `work` in one transaction that only reads; on SQLite all of it sees the same state.

        Raises:
            Exception: As `translated` has it where the database cannot be used.
        """
        return await self._transact(self._reader, work)

    @abstractmethod
    def translated(self, error: Exception) -> Exception:
        """Return the caller's error for one of the database, its driver or its file."""

    async def settle(self) -> None:
        """Move SQLite's log into its file, so that what was overwritten is in neither.

        PostgreSQL frees overwritten rows by itself (autovacuum). Copies, backups and the disk's own
        spare blocks are the operator's matter: docs/operations.md.

        Raises:
            Exception: As `translated` has it. It could not be done now; the data is erased all the same.
        """
        if self.is_sqlite:
            await self._visit(self._writer, self._checkpoint)

    async def close(self) -> None:
        """Wait for what is under way, and close all connections."""
        for threads in {self._writer, self._reader}:
            await asyncio.to_thread(threads.close)

    async def _transact(self, threads: "_Threads", work: Work[ResultT]) -> ResultT:
        until = time.monotonic() + self._timeout

        def transact() -> ResultT:
            self._check_file()
            with threads.connection() as connection:
                if self.is_sqlite and threads is self._writer:
                    _wait_for_lock(connection, until)
                with connection.begin():
                    return work(connection)

        return await self._visit(threads, transact)

    async def _visit(self, threads: "_Threads", work: Callable[[], ResultT]) -> ResultT:
        try:
            return await threads.run(work)
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise self.translated(error) from error

    def _checkpoint(self) -> None:
        with self._writer.connection() as connection:
            _wait_for_lock(connection, time.monotonic() + self._timeout)
            # Not through SQLAlchemy, which would begin a transaction.
            connection.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _check_file(self) -> None:
        """Notice when the file was deleted or replaced: SQLite would go on with the old one."""
        if self.file is None:
            return
        try:
            status = self.file.stat()
        except OSError:
            if self._file_id is None:
                return
            raise
        file_id = (status.st_dev, status.st_ino)
        if self._file_id is None:
            self._file_id = file_id
        elif self._file_id != file_id:
            raise FileNotFoundError("the database's file was replaced")


class _Threads:
    """Threads for an engine's transactions, one connection each.

    `holds` keeps the connections between transactions: half of a small one's cost is SQLAlchemy's for lending and
    taking back. Not for a server, where the pool sees to it that they are alive.
    """

    def __init__(self, engine: Engine, count: int, timeout: float, *, holds: bool) -> None:
        self.engine: Final = engine
        self._executor: Final = ThreadPoolExecutor(count, "database")
        self._timeout: Final = timeout
        self._holds: Final = holds
        self._idle: Final[list[Connection]] = []

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend a connection to a thread; after an error the pool rolls back what is open, or replaces it."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self.engine.connect()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if self._holds:
            self._idle.append(connection)
        else:
            connection.close()

    async def run(self, work: Callable[[], ResultT]) -> ResultT:
        """Do something in a thread. When this ends, cancelled or not, it has ended or never begins.

        Raises:
            PoolTimeoutError: All threads were busy for too long.
        """
        loop = asyncio.get_running_loop()
        job = self._executor.submit(work)
        is_late = False

        def give_up() -> None:
            nonlocal is_late
            is_late = job.cancel()  # unless it began

        # Twice: who waits behind others that wait for a lock is to learn of the lock.
        late = loop.call_later(2 * self._timeout, give_up)
        try:
            return await asyncio.wrap_future(job)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if is_late and not (task and task.cancelling()):
                raise PoolTimeoutError("all threads of the database are busy") from None
            await _ended(job)
            raise
        finally:
            late.cancel()

    def close(self) -> None:
        self._executor.shutdown()
        for connection in self._idle:
            connection.close()
        self.engine.dispose()


async def _ended(job: Future[ResultT]) -> None:
    """Wait until a job has ended, and is not stopped by being cancelled again."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    job.add_done_callback(lambda _: loop.call_soon_threadsafe(ended.set))
    while not ended.is_set():
        with suppress(asyncio.CancelledError):
            await ended.wait()


def parse_url(url: str) -> URL:
    """Return a database's URL with the driver that is used.

    Raises:
        ArgumentError: Another kind of URL, or SQLite without a file; the message does not repeat it.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ArgumentError("the database's URL cannot be read") from None
    driver = _DRIVERS.get(parsed.drivername)
    if driver is None:
        raise ArgumentError("the database's URL starts with sqlite or postgresql+psycopg")
    if driver == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ArgumentError("SQLite needs a file: data in memory would not last")
    if parsed.drivername == "postgresql+asyncpg":
        options = {
            "sslmode" if name == "ssl" else name: parsed.query[name] for name in parsed.query
        }
        parsed = parsed.set(query=options).difference_update_query(_OF_ASYNCPG)
    return parsed.set(drivername=driver)


def _sqlite(path: Path, timeout: float, connections: int, *, writes: bool) -> Engine:
    pragmas = (
        "synchronous=FULL",  # the write-ahead log is on the disk at each commit
        "foreign_keys=ON",
        # What is erased is overwritten, so that it is gone from the file too.
        "secure_delete=ON",
        "temp_store=MEMORY",
        f"cache_size=-{32_768 if writes else 8_192}",  # KiB
        "wal_autocheckpoint=4000",  # pages
        f"query_only={int(not writes)}",
    )
    begin = "BEGIN IMMEDIATE" if writes else "BEGIN"

    def open_file() -> sqlite3.Connection:
        # Transactions begin where SQLAlchemy begins them, not where the driver sees fit.
        db = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
        try:
            _use_wal(db, time.monotonic() + timeout)
            for pragma in pragmas:
                db.execute(f"PRAGMA {pragma}").close()
        except BaseException:
            db.close()
            raise
        return db

    engine = create_engine(
        "sqlite://",
        creator=open_file,
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        hide_parameters=True,  # they are people's, and errors end up in logs
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.connection.cursor().execute(begin)

    return engine


def _wait_for_lock(connection: Connection, until: float) -> None:
    """Let SQLite wait for its lock until then only: who waited for the thread does not wait as long once more."""
    milliseconds = max(int((until - time.monotonic()) * 1000), 0)
    connection.connection.cursor().execute(f"PRAGMA busy_timeout={milliseconds}")


def _use_wal(db: sqlite3.Connection, until: float) -> None:
    """Let the file have a log from now on. SQLite does not wait by itself when several do this at once."""
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL").close()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_RETRY)
        else:
            return


def _postgres(url: URL, timeout: float, pool: int) -> Engine:
    import psycopg  # noqa: PLC0415 - not loaded where nobody needs it

    milliseconds = int(timeout * 1000)
    settings = {
        "lock_timeout": milliseconds,
        "statement_timeout": 6 * milliseconds,
        "idle_in_transaction_session_timeout": 60 * milliseconds,
        "synchronous_commit": "on",
    }
    given = url.query.get("options", "")
    options = (given if isinstance(given, str) else " ".join(given)).split()
    for name, value in settings.items():
        options += ["-c", f"{name}={value}"]
    return create_engine(
        url,
        module=psycopg,
        # Statements that are compiled once and run with plain rows: "?" is SQLite's, "%s" psycopg's.
        paramstyle="format",
        pool_size=pool,
        max_overflow=0,
        pool_pre_ping=True,  # after a restart of the server old connections are replaced
        # How many rows an INSERT made counts here (no nonce twice); psycopg forgets it when the cursor closes.
        execution_options={"preserve_rowcount": True},
        hide_parameters=True,
        connect_args={
            "connect_timeout": math.ceil(timeout),
            "options": " ".join(options),
            # A server that fell silent, or a network that did, is given up as a statement is.
            "tcp_user_timeout": 6 * milliseconds,
            "keepalives_idle": math.ceil(timeout),
            "keepalives_interval": math.ceil(timeout),
            "keepalives_count": 5,
        },
    )


_NUMBER: Final = 4
_ALEMBIC: Final = threading.Lock()
"""Alembic has one context for a whole process."""


class MigrationError(LedgerError):
    """The database was made by a newer version, or is something else."""


def newest_revision(scripts: Path) -> str:
    """Return the last migration in a folder of Alembic's; their files' names begin with their numbers."""
    return max(file.name[:_NUMBER] for file in (scripts / "versions").glob("[0-9]*.py"))


def upgrade(connection: Connection, scripts: Path, make: Callable[[Connection], None]) -> None:
    """Make a new database, or apply the migrations that one lacks, in the transaction that is open.

    `make` makes all tables as they are now, where there is none; `scripts` is Alembic's folder.
    Raises `MigrationError` where there are no migrations from where it is.
    """
    revision = _revision(connection)
    if revision == newest_revision(scripts):
        return
    if revision is None:
        make(connection)
    with _ALEMBIC:
        _apply(connection, scripts, is_made=revision is None)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(
        text("SELECT version_num FROM alembic_version")
    ).scalar()
    return revision


def _apply(connection: Connection, scripts: Path, *, is_made: bool) -> None:
    # Not loaded where nothing is to be done.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util.exc import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        (command.stamp if is_made else command.upgrade)(config, "head")
    except CommandError as error:
        raise MigrationError(str(error)) from error
