"""The identity authority's tables and their database: the only place where real identities meet subject ids."""

import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
    text,
)
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ledger.service.database import MigrationError, opener, upgrade
from wallet.identity.errors import DATABASE_UNAVAILABLE, IdentityError

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""Migrations must come to these (`wallet/identity/migrations`); a test compares."""

# BigInteger primary keys do not count up by themselves in SQLite.
_ID: Final = BigInteger().with_variant(Integer, "sqlite")

people: Final = Table(
    "people",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("kind", String(10), nullable=False),
    Column("number", String(18), nullable=False),
    Column("name", Text, nullable=False),
    Column("representative", String(18)),  # an enterprise's legal representative, by resident id
    UniqueConstraint("kind", "number"),
)

codes: Final = Table(
    "codes",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("person", _ID, ForeignKey("people.id"), nullable=False, index=True),
    Column("officer", LargeBinary(20), nullable=False),
    Column("identification", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("enrolment", String(43)),  # what it was used for
)

enrolments: Final = Table(
    "enrolments",
    metadata,
    Column("id", String(43), primary_key=True),
    Column("person", _ID, ForeignKey("people.id"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

transactions: Final = Table(
    "transactions",
    metadata,
    Column("nonce", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("block_number", BigInteger),  # null until it is final
    Column("created_at", BigInteger, nullable=False),
)

subjects: Final = Table(
    "subjects",
    metadata,
    Column("place", _ID, primary_key=True),
    Column("subject", LargeBinary(32), nullable=False, unique=True),
    Column("person", _ID, ForeignKey("people.id"), nullable=False, index=True),
    Column("enrolment", String(43), ForeignKey("enrolments.id"), nullable=False, index=True),
    Column("signer", LargeBinary, nullable=False, index=True),
    Column("signer_since", BigInteger, nullable=False),  # block; 0 from the start
    Column("keep_for", String(8), nullable=False),
    Column("consumer", LargeBinary(20)),
    Column("state", String(10), nullable=False, index=True),
    Column("closed", Boolean, nullable=False),
    Column("transaction", BigInteger, ForeignKey("transactions.nonce"), index=True),
)

lookups: Final = Table(
    "lookups",
    metadata,
    Column("id", _ID, primary_key=True),
    Column(
        "person", _ID, ForeignKey("people.id")
    ),  # null: nobody has the number that was asked for
    Column("at", BigInteger, nullable=False),
    Column("consumer", LargeBinary(20), nullable=False),
    Column("purpose", LargeBinary(32), nullable=False),
    Column("case_number", Text, nullable=False),
    Column("outcome", String(20), nullable=False),
    Index("lookups_of_a_person", "person", "id"),
)

owner_lists: Final = Table(
    "owner_lists",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("provider", LargeBinary(20), nullable=False),
    Column("dataset", LargeBinary(32), nullable=False),
    Column("kind", String(10), nullable=False),
    Column("count", Integer, nullable=False),
)

recoveries: Final = Table(
    "recoveries",
    metadata,
    Column("id", String(43), primary_key=True),
    Column("person", _ID, ForeignKey("people.id"), nullable=False),
    Column("officer", LargeBinary(20), nullable=False),
    Column("identification", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

recovered: Final = Table(
    "recovered",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("recovery", String(43), ForeignKey("recoveries.id"), nullable=False, index=True),
    Column("subject", LargeBinary(32), ForeignKey("subjects.subject"), nullable=False, index=True),
    Column("new_signer", LargeBinary, nullable=False, index=True),
    Column("state", String(10), nullable=False, index=True),
    Column("effective_at", BigInteger),
    Column("transaction", BigInteger, ForeignKey("transactions.nonce")),
)

counter_acts: Final = Table(
    "counter_acts",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("kind", String(10), nullable=False),
    Column("subject", LargeBinary(32), ForeignKey("subjects.subject"), nullable=False, index=True),
    Column("person", _ID, ForeignKey("people.id"), nullable=False),
    Column("officer", LargeBinary(20), nullable=False),
    Column("identification", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("transaction", BigInteger, ForeignKey("transactions.nonce"), nullable=False),
)

watched: Final = Table(
    "watched",
    metadata,
    Column("one", Integer, primary_key=True),
    Column("block_number", BigInteger, nullable=False),  # up to here signers are as on chain
    Column("block_hash", LargeBinary(32), nullable=False),
    Column("events", BigInteger, nullable=False),  # of Authorizations, up to there
)

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
