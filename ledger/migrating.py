"""Bringing a database to the form of this version: a new one from the tables, an older one with Alembic.

Alembic is loaded only when there is something to do: it is a tenth of a service's start.
"""

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from ledger.errors import LedgerError

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
