"""Bring the database to the form that this version of the gateway works with, at start.

Several gateways may start at once on one database: one migrates, under a lock, the others wait and
find nothing to do. If we crash in the middle, nothing was changed: both databases roll back tables
as well as rows.
"""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, insert, text
from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import SettingsError
from gateway.store import access_tables  # noqa: F401  its tables belong to the metadata
from gateway.store.database import Database, translated
from gateway.store.tables import directories, health, metadata, records, tiles, upload_lines
from ledger.index.tables import metadata as index_metadata
from ledger.service.database import MigrationError, newest_revision, upgrade

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
