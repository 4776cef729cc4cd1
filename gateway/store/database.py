"""One database for all repositories: one error for all its failures, its form at start."""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from sqlalchemy import Connection, Executable, Table, insert, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from gateway.errors import SettingsError, StoreDamagedError, StoreUnavailableError
from gateway.store import tables  # noqa: F401  its tables belong to the metadata
from gateway.store.tables import directories, health, metadata, records, tiles, upload_lines
from ledger.index.tables import metadata as index_metadata
from ledger.service import database
from ledger.service.database import MigrationError, newest_revision, upgrade

Values = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None

MAX_PARAMETERS: Final = 500
"""Keys looked up by one statement: keeps statements few and within both databases' limits."""
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
# Of a connection that PostgreSQL refuses, psycopg gives no SQLSTATE, only the server's words.
_POSTGRES_REFUSALS: Final = (
    ("does not exist", "gone"),
    ("too many", "busy"),
    ("remaining connection slots", "busy"),
)


class Database(database.Database):
    """The gateway's database. Each method is one transaction.

    Raises `StoreUnavailableError` where the database cannot be used now, `StoreDamagedError` where it refuses
    a statement.
    """

    def __init__(self, url: str, *, timeout: float = 5.0, pool: int = 8) -> None:
        """Take a URL, see `ledger.service.database`.

        Raises:
            SettingsError: Another kind of URL, or SQLite without a file.
        """
        try:
            super().__init__(url, timeout=timeout, pool=pool)
        except ArgumentError as error:
            raise SettingsError(str(error)) from error

    def upsert(self, table: Table) -> sqlite.Insert:
        """Return an INSERT that can say what happens to a row that is there already."""
        if self.is_sqlite:
            return sqlite.insert(table)
        # Not loaded where nobody needs it: 0.07 s of a start.
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415

        return cast("sqlite.Insert", postgresql.insert(table))  # they have the same methods

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

    def translated(self, error: Exception) -> Exception:
        """Return the gateway's error for one that came from the database or its driver."""
        if isinstance(error, PoolTimeoutError):
            return StoreUnavailableError("busy")
        original = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(original, sqlite3.Error):
            reason = _SQLITE_REASONS.get(getattr(original, "sqlite_errorcode", 0) & 0xFF)
        elif isinstance(original, OSError):
            reason = "gone" if isinstance(original, FileNotFoundError) else "unreachable"
        else:
            reason = _postgres_reason(error, str(getattr(original, "sqlstate", None) or ""))
        if reason is None:
            return StoreDamagedError(f"the database refused a statement: {type(original).__name__}")
        return StoreUnavailableError(reason)


def _postgres_reason(error: Exception, state: str) -> str | None:
    if state:
        return _POSTGRES_REASONS.get(state) or _POSTGRES_REASONS.get(state[:2])
    if not isinstance(error, (OperationalError, InterfaceError)):
        return None
    words = str(error.orig)
    return next((reason for part, reason in _POSTGRES_REFUSALS if part in words), "unreachable")


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
    if database.file is not None:
        try:
            database.file.absolute().parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"the folder of the database cannot be made: {error}") from error
    try:
        await database.write(_upgrade)
    except MigrationError as error:
        raise SettingsError(f"the database is not one of this gateway: {error}") from error
    return newest_revision(SCRIPTS)


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":  # SQLite's write lock is held anyway
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    upgrade(connection, SCRIPTS, make_tables)
