"""One database for all repositories: transactions, one error for all its failures, its form at start."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from sqlalchemy import Connection, Executable, Table, insert, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from gateway.errors import SettingsError, StoreDamagedError, StoreUnavailableError
from gateway.store import tables  # noqa: F401  its tables belong to the metadata
from gateway.store.tables import directories, health, metadata, records, tiles, upload_lines
from ledger.index.tables import metadata as index_metadata
from ledger.service.database import (
    MigrationError,
    SqliteConnection,
    newest_revision,
    opener,
    upgrade,
)

T = TypeVar("T")
Values = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None

MAX_PARAMETERS: Final = 500
"""Keys looked up by one statement: keeps statements few and within both databases' limits."""
_READERS: Final = 4
_SQLITE_REASONS: Final = {
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_READONLY: "read-only",
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_IOERR: "damaged",
    sqlite3.SQLITE_CORRUPT: "damaged",
    sqlite3.SQLITE_NOTADB: "damaged",
    sqlite3.SQLITE_CANTOPEN: "gone",
    sqlite3.SQLITE_PERM: "read-only",
    sqlite3.SQLITE_INTERRUPT: "busy",
}
# By the first two characters or the whole of SQLSTATE (PostgreSQL documentation, appendix A).
_POSTGRES_REASONS: Final = {
    "08": "unreachable",
    "57": "unreachable",
    "58": "damaged",
    "XX": "damaged",
    "53": "busy",
    "40": "locked",
    "28": "unreachable",
    "53100": "full",
    "55P03": "locked",
    "57014": "busy",
    "25006": "read-only",
    "3D000": "gone",
}


class Database:
    """The database that a URL names. No connection is made before the first transaction."""

    def __init__(self, url: str, *, timeout: float = 5.0, pool: int = 8) -> None:
        """Take a URL `sqlite+aiosqlite:///path` or `postgresql+asyncpg://...`.

        Args:
            url: See above.
            timeout: Seconds to wait for a lock, for a connection of the pool, and for a statement
                of PostgreSQL.
            pool: Connections to PostgreSQL at most.

        Raises:
            SettingsError: Another kind of URL, or SQLite without a file.
        """
        parsed = _parse(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self._timeout = timeout
        self._identity: tuple[int, int] | None = None
        if self.is_sqlite:
            self._file = Path(parsed.database or "")
            self._writer = self._sqlite(parsed, connections=1, writes=True)
            self._reader = self._sqlite(parsed, connections=_READERS, writes=False)
        else:
            self._writer = self._reader = _postgres(parsed, timeout, pool)

    @property
    def engine(self) -> AsyncEngine:
        return self._writer

    def upsert(self, table: Table) -> sqlite.Insert:
        """Return an INSERT that can say what happens to a row that is there already."""
        if self.is_sqlite:
            return sqlite.insert(table)
        # Not loaded where nobody needs it: 0.07 s of a start.
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415

        return cast("sqlite.Insert", postgresql.insert(table))  # they have the same methods

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """One transaction that may write: durable when this ends, or nothing of it happened.

        On SQLite the write lock is held from the beginning, so that what is read here cannot change
        before it is written. PostgreSQL works at READ COMMITTED: say what must still hold in
        the statement that writes.

        Raises:
            StoreUnavailableError: The database cannot be used now; nothing was written. One case is
                open: a connection lost while committing. So every write must bear repetition.
        """
        async with self._transaction(self._writer) as connection:
            yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """One transaction that only reads; on SQLite all statements see the same state.

        Raises:
            StoreUnavailableError: The database cannot be used now.
        """
        async with self._transaction(self._reader) as connection:
            yield connection

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Do all of `work` in one transaction that may write: durable when this returns, or nothing of it happened.

        Raises as `writing`.
        """
        async with self.writing() as connection:
            return await connection.run_sync(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Do all of `work` in one transaction that only reads; raises as `reading`."""
        async with self.reading() as connection:
            return await connection.run_sync(work)

    async def all(self, statement: Executable, values: Values = None) -> Sequence[Any]:
        """Return all rows of a statement, in a transaction of its own that reads."""
        return await self.read(lambda connection: connection.execute(statement, values).all())

    async def one(self, statement: Executable, values: Values = None) -> Any:
        """Return the only row of a statement, as `all` does; None without one."""
        return await self.read(
            lambda connection: connection.execute(statement, values).one_or_none()
        )

    async def among(self, statement: Executable, keys: Sequence[object]) -> list[Any]:
        """Return the rows for many `keys` (an expanding parameter of that name), a few hundred at a time."""

        def read(connection: Connection) -> list[Any]:
            return [
                row
                for start in range(0, len(keys), MAX_PARAMETERS)
                for row in connection.execute(
                    statement, {"keys": keys[start : start + MAX_PARAMETERS]}
                )
            ]

        return await self.read(read)

    async def run(self, statement: Executable, values: Values = None) -> int:
        """Carry out a statement that writes, durably; return how many rows it changed."""
        return await self.write(lambda connection: connection.execute(statement, values).rowcount)

    async def check(self) -> None:
        """Find out whether the database can be written to now.

        Raises:
            StoreUnavailableError: It cannot.
        """
        await self.run(text("UPDATE health SET checks = checks + 1"))

    def make_folder(self) -> None:
        """Make the folder of SQLite's file.

        Raises:
            SettingsError: It cannot be made.
        """
        try:
            self._file.absolute().parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"the folder of the database cannot be made: {error}") from error

    async def settle(self) -> None:
        """Move SQLite's log into its file, so that what was overwritten is in neither.

        PostgreSQL frees overwritten rows by itself (autovacuum). Copies, backups and the disk's own
        spare blocks are the operator's matter: docs/operations.md.

        Raises:
            StoreUnavailableError: It could not be done now; the data is erased all the same.
        """
        if not self.is_sqlite:
            return
        try:
            async with self._writer.connect() as connection:
                raw = await connection.get_raw_connection()
                await cast("SqliteConnection", raw.driver_connection).checkpoint()
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise translated(error) from error

    async def close(self) -> None:
        await self._writer.dispose()
        await self._reader.dispose()

    @asynccontextmanager
    async def _transaction(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        if self.is_sqlite:
            self._check_file()
        try:
            async with engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, sqlite3.Error, OSError, TimeoutError) as error:
            raise translated(error) from error

    def _check_file(self) -> None:
        """Notice when the file was deleted or replaced: SQLite would go on with the old one."""
        try:
            found = self._file.stat()
        except OSError as error:
            if self._identity is None:
                return
            raise StoreUnavailableError("gone") from error
        identity = (found.st_dev, found.st_ino)
        if self._identity is None:
            self._identity = identity
        elif self._identity != identity:
            raise StoreUnavailableError("gone")

    def _sqlite(self, url: URL, *, connections: int, writes: bool) -> AsyncEngine:
        pragmas = (
            # What is erased is overwritten, so that it is gone from the file too.
            "secure_delete=ON",
            "temp_store=MEMORY",
            f"cache_size=-{32_768 if writes else 8_192}",  # KiB
            "wal_autocheckpoint=4000",  # pages
        )
        return create_async_engine(
            url,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=self._timeout,
            connect_args={
                "async_creator_fn": opener(
                    str(self._file), timeout=self._timeout, writes=writes, pragmas=pragmas
                )
            },
        )


def translated(error: Exception) -> StoreUnavailableError | StoreDamagedError:
    """Return the gateway's error for one that came from the database or its driver."""
    if isinstance(error, PoolTimeoutError):
        return StoreUnavailableError("busy")
    original: BaseException | None = error.orig if isinstance(error, DBAPIError) else error
    for found in _chain(original):
        if isinstance(found, sqlite3.Error):
            reason = _SQLITE_REASONS.get(getattr(found, "sqlite_errorcode", 0) & 0xFF)
        else:
            state = str(getattr(found, "sqlstate", None) or "")
            reason = _POSTGRES_REASONS.get(state) or _POSTGRES_REASONS.get(state[:2])
            if reason is None and _is_connection_error(found):
                reason = "unreachable"
        if reason is not None:
            return StoreUnavailableError(reason)
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return StoreUnavailableError("unreachable")
    return StoreDamagedError(f"the database refused a statement: {type(original).__name__}")


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _is_connection_error(error: BaseException) -> bool:
    if isinstance(error, (OSError, TimeoutError, asyncio.TimeoutError, EOFError)):
        return True
    return type(error).__name__ in {
        "ConnectionDoesNotExistError",
        "InterfaceError",
        "CannotConnectNowError",
    }


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise SettingsError("the database's URL cannot be read") from error
    if parsed.drivername not in ("sqlite+aiosqlite", "postgresql+asyncpg"):
        raise SettingsError("the database's URL starts with sqlite+aiosqlite or postgresql+asyncpg")
    if parsed.drivername.startswith("sqlite") and parsed.database in (None, "", ":memory:"):
        raise SettingsError("SQLite needs a file: data in memory would not last")
    return parsed


def _postgres(url: URL, timeout: float, pool: int) -> AsyncEngine:
    milliseconds = str(int(timeout * 1000))
    return create_async_engine(
        url,
        pool_size=pool,
        max_overflow=0,
        pool_timeout=timeout,
        pool_pre_ping=True,  # after a restart of the server old connections are replaced
        connect_args={
            "timeout": timeout,
            "command_timeout": 6 * timeout,
            "server_settings": {
                "lock_timeout": milliseconds,
                "synchronous_commit": "on",
                "idle_in_transaction_session_timeout": str(int(60_000 * timeout)),
            },
        },
    )


SCRIPTS: Final = Path(__file__).parents[1] / "migrations"
_BLOBS: Final = (
    (records, "body"),
    (tiles, "entries"),
    (upload_lines, "entries"),
    (directories, "lines"),
)
_LOCK: Final = 0x5155_414E_4348_454E  # "QUANCHEN": PostgreSQL's advisory locks are numbers


def make_tables(connection: Connection) -> None:
    """Make all tables; an error where there is one of the same name."""
    for one in (metadata, index_metadata):
        one.create_all(connection, checkfirst=False)
    connection.execute(insert(health).values(id=1, checks=0))
    if connection.dialect.name == "postgresql":
        # Ciphertext and hashes do not get smaller: no time is spent on trying.
        for table, column in _BLOBS:
            connection.execute(
                text(f"ALTER TABLE {table.name} ALTER COLUMN {column} SET STORAGE EXTERNAL")
            )


async def migrate(database: Database) -> str:
    """Apply every migration that the database does not have yet, in one transaction.

    Returns:
        The revision that it has now.

    Raises:
        StoreUnavailableError: The database cannot be used, or another gateway held the lock for too long.
        SettingsError: The database was made by a newer gateway, or is something else.
    """
    if database.is_sqlite:
        database.make_folder()
    try:
        # On SQLite the first statement takes the write lock, whatever it is.
        lock = "SELECT 1" if database.is_sqlite else f"SELECT pg_advisory_xact_lock({_LOCK})"
        async with database.engine.begin() as connection:
            await connection.execute(text(lock))
            await connection.run_sync(upgrade, SCRIPTS, make_tables)
    except (SQLAlchemyError, OSError) as error:
        raise translated(error) from error
    except MigrationError as error:
        raise SettingsError(f"the database is not one of this gateway: {error}") from error
    return newest_revision(SCRIPTS)
