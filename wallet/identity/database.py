"""Opening the database: SQLite unless another URL is set, always in the form that this program needs.

Transactions take turns, on PostgreSQL as on SQLite: what was looked up is still so when it is relied on
(no signer of two people, no code used twice), also with two processes on one database.
"""

import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import event, text
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ledger.service.database import MigrationError, opener, upgrade
from wallet.identity.errors import DATABASE_UNAVAILABLE, IdentityError
from wallet.identity.tables import metadata

_LOCK_WAIT: Final = 10
"""Seconds to wait for another process's write."""
_LOCK: Final = 0x5155_414E_4944_454E  # "QUANIDEN": PostgreSQL's advisory locks are numbers
_SCRIPTS: Final = Path(__file__).parent / "migrations"


class Database:
    """An open database. Every method raises `IdentityError` for all that the database raises."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction: all of it is there after a crash, or nothing."""
        with _errors():
            async with self._engine.begin() as connection:
                yield connection

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.dispose()


async def open_database(url: str) -> Database:
    """Open a database, and apply the migrations that it does not have yet.

    If we crash amid them, nothing was changed.

    Args:
        url: SQLAlchemy's, with an asyncio driver.

    Raises:
        IdentityError: It cannot be opened, or was made by a newer program.
    """
    with _errors():
        engine = _engine(url)
        try:
            async with engine.begin() as connection:
                await connection.execute(text("SELECT 1"))  # one migrates, the others wait here
                await connection.run_sync(upgrade, _SCRIPTS, _make_tables)
        except BaseException:
            await engine.dispose()
            raise
    return Database(engine)


def _make_tables(connection: Connection) -> None:
    metadata.create_all(connection, checkfirst=False)


def _engine(url: str) -> AsyncEngine:
    # Parameters are hidden: they are names and numbers of people, and errors end up in logs.
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        engine = create_async_engine(url, hide_parameters=True)
        event.listen(engine.sync_engine, "begin", _begin_postgresql)
        return engine
    path = parsed.database
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    # Every transaction may write: one that read before it writes could otherwise find that another one
    # wrote in between, and fail.
    opened = opener(path or ":memory:", timeout=_LOCK_WAIT, writes=True)
    return create_async_engine(url, hide_parameters=True, connect_args={"async_creator_fn": opened})


def _begin_postgresql(connection: Connection) -> None:
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}s'")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except MigrationError as error:
        detail = f"the database is not one of this program's version: {error}"
        raise IdentityError(DATABASE_UNAVAILABLE, detail) from error
    except ArgumentError as error:
        raise IdentityError(DATABASE_UNAVAILABLE, "the database's URL is malformed") from error
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        cause = str(getattr(error, "orig", None) or error).partition("\n")[0]
        raise IdentityError(DATABASE_UNAVAILABLE, f"the database failed: {cause}") from error
