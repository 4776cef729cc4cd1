"""The identity authority's tables and their database: the only place where real identities meet subject ids."""

import os
from pathlib import Path
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.exc import ArgumentError

from ledger.service import database
from ledger.service.database import MigrationError, ResultT, Work, upgrade
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

_TIMEOUT: Final = 10
"""Seconds to wait for another process's write."""
_POOL: Final = 4
_LOCK: Final = 0x5155_414E_4944_454E  # "QUANIDEN": PostgreSQL's advisory locks are numbers
_SCRIPTS: Final = Path(__file__).parent / "migrations"


class Database(database.Database):
    """An open database. Every method raises `IdentityError` for all that the database raises."""

    async def write(self, work: Work[ResultT]) -> ResultT:
        """As in `ledger.service.database`; on PostgreSQL too one writes at a time, of all processes."""

        def alone(connection: Connection) -> ResultT:
            if not self.is_sqlite:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            return work(connection)

        return await super().write(alone)

    def translated(self, error: Exception) -> Exception:
        cause = str(getattr(error, "orig", None) or error).partition("\n")[0]
        return IdentityError(DATABASE_UNAVAILABLE, f"the database failed: {cause}")


async def open_database(url: str) -> Database:
    """Open a database, and apply the migrations that it does not have yet.

    If we crash amid them, nothing was changed.

    Args:
        url: `sqlite:///path` or `postgresql+psycopg://...`.

    Raises:
        IdentityError: It cannot be opened, or was made by a newer program.
    """
    try:
        opened = Database(url, timeout=_TIMEOUT, pool=_POOL)
    except ArgumentError as error:
        raise IdentityError(DATABASE_UNAVAILABLE, "the database's URL is malformed") from error
    try:
        if opened.file is not None:
            _make_file(opened.file)
        await opened.write(lambda connection: upgrade(connection, _SCRIPTS, _make_tables))
    except MigrationError as error:
        await opened.close()
        detail = f"the database is not one of this program's version: {error}"
        raise IdentityError(DATABASE_UNAVAILABLE, detail) from error
    except OSError as error:
        raise opened.translated(error) from error
    except BaseException:
        await opened.close()
        raise
    return opened


def _make_tables(connection: Connection) -> None:
    metadata.create_all(connection, checkfirst=False)


def _make_file(path: Path) -> None:
    """Make a file that is its user's only."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
