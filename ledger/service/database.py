"""SQLite for SQLAlchemy's asyncio engines, one visit to its thread a statement; and a database's form."""

import sqlite3
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Self

import aiosqlite
from sqlalchemy import Connection, inspect, text

from ledger.errors import LedgerError

_CHUNK: Final = 64
_RETRY: Final = 0.05


class SqliteCursor:
    """A cursor, as far as SQLAlchemy's aiosqlite dialect needs one."""

    def __init__(self, connection: "SqliteConnection") -> None:
        self._connection = connection
        self._rows: Sequence[Any] = ()
        self.arraysize = 1
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Self:
        """Execute a statement and fetch its rows."""
        await self._connection.visit(lambda db: self._run(db, db.execute, sql, parameters))
        return self

    async def executemany(self, sql: str, parameters: Iterable[Sequence[Any]]) -> Self:
        """Execute a statement with each of several lists of parameters."""
        await self._connection.visit(lambda db: self._run(db, db.executemany, sql, parameters))
        return self

    async def fetchall(self) -> Sequence[Any]:
        return self._rows

    async def close(self) -> None:
        """Nothing is open."""

    def _run(
        self, db: sqlite3.Connection, how: Callable[..., sqlite3.Cursor], sql: str, values: Any
    ) -> None:
        if not db.in_transaction:
            db.execute(self._connection.begin)
        cursor = how(sql, values)
        self.description = cursor.description
        self._rows = cursor.fetchall() if cursor.description else ()
        self.rowcount, self.lastrowid = cursor.rowcount, cursor.lastrowid
        cursor.close()


class SqliteConnection(aiosqlite.Connection):
    """A connection whose transactions begin with their first statement."""

    def __init__(
        self,
        open_file: Callable[[], sqlite3.Connection],
        prepare: Callable[[sqlite3.Connection], None],
        *,
        writes: bool,
    ) -> None:
        super().__init__(open_file, _CHUNK)
        self._thread.daemon = True
        self._prepare = prepare
        self._writes = writes
        self.begin: Final = "BEGIN IMMEDIATE" if writes else "BEGIN"

    def __await__(self) -> Generator[Any, None, Self]:
        return self._open().__await__()

    def cursor(self) -> SqliteCursor:  # type: ignore[override]  # aiosqlite's visits the thread for it
        return SqliteCursor(self)

    async def visit(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        """Do something in the connection's thread."""
        return await self._execute(work, self._conn)  # type: ignore[no-untyped-call]

    async def checkpoint(self) -> None:
        """Move the log into the file, outside of any transaction."""
        await self.visit(lambda db: db.execute("PRAGMA wal_checkpoint(TRUNCATE)").close())

    async def commit(self) -> None:
        """End the transaction, if one was begun; durable when this returns."""
        await self._end(sqlite3.Connection.commit)

    async def rollback(self) -> None:
        """End the transaction, if one was begun, as if it had not been."""
        await self._end(sqlite3.Connection.rollback)

    async def _open(self) -> Self:
        self._thread.start()
        await self._connect()
        try:
            await self.visit(self._prepare)
        except BaseException:
            await self.close()
            raise
        return self

    async def _end(self, how: Callable[[sqlite3.Connection], None]) -> None:
        # Whether there is a transaction is for the thread to see: a cancelled statement may still begin one.
        if self._writes:
            await self.visit(how)
        else:
            db = self._conn
            self._tx.put_nowait((None, lambda: how(db)))


def opener(
    path: str, *, timeout: float, writes: bool, pragmas: Sequence[str] = ()
) -> Callable[..., SqliteConnection]:
    """Return what opens connections to a file, for `async_creator_fn`.

    A transaction of a connection that `writes` takes the write lock when it begins, waiting
    `timeout` seconds for others; otherwise nothing is written. The write-ahead log is on the disk
    at each commit.
    """
    every = ("synchronous=FULL", "foreign_keys=ON", *pragmas, f"query_only={int(not writes)}")

    def open_file() -> sqlite3.Connection:
        return sqlite3.connect(path, timeout=timeout, isolation_level=None)

    def prepare(db: sqlite3.Connection) -> None:
        _use_wal(db, time.monotonic() + timeout)
        for pragma in every:
            db.execute(f"PRAGMA {pragma}").close()

    return lambda *_arguments, **_options: SqliteConnection(open_file, prepare, writes=writes)


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


_NUMBER = 4


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
    _apply(connection, scripts, is_made=revision is None)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(
        text("SELECT version_num FROM alembic_version")
    ).scalar()
    return revision


def _apply(connection: Connection, scripts: Path, *, is_made: bool) -> None:
    from alembic import command  # noqa: PLC0415 - see above
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util.exc import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        (command.stamp if is_made else command.upgrade)(config, "head")
    except CommandError as error:
        raise MigrationError(str(error)) from error
