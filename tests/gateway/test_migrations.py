"""The migrations make exactly the tables that the code works with, on both databases."""

from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, MetaData, Table, Text, inspect

import gateway.store.tables  # noqa: F401  its tables belong to the metadata
import wallet.identity.database
from gateway.store.database import SCRIPTS, Database
from gateway.store.tables import metadata
from ledger.index.tables import metadata as index_metadata
from ledger.service.database import newest_revision

_OWN = ("alembic_version",)


def differences(connection: Connection, expected: list[MetaData]) -> list[Any]:
    context = MigrationContext.configure(
        connection,
        opts={
            "compare_type": True,
            "compare_server_default": True,
            "target_metadata": expected,
            "include_name": lambda name, kind, _: kind != "table" or name not in _OWN,
        },
    )
    return list(compare_metadata(context, expected))  # type: ignore[arg-type]


def _nullable(connection: Connection) -> dict[tuple[str, str], bool]:
    tables = [*metadata.tables.values(), *index_metadata.tables.values()]
    return {
        (table.name, found["name"]): found["nullable"]
        for table in tables
        for found in inspect(connection).get_columns(table.name)
    }


async def test_the_migrations_make_the_tables_of_the_code(database: Database) -> None:
    expected = [metadata, index_metadata]
    assert await database.write(lambda connection: differences(connection, expected)) == []
    nullable = await database.write(_nullable)
    for table in (*metadata.tables.values(), *index_metadata.tables.values()):
        for column in table.columns:
            assert nullable[table.name, column.name] == column.nullable, column


async def test_the_comparison_sees_a_table_and_a_column_too_many(database: Database) -> None:
    other = MetaData()
    for table in metadata.tables.values():
        table.to_metadata(other)
    Table("forgotten", other, Column("key", Text, primary_key=True))
    other.tables["uploads"].append_column(Column("forgotten", Text))
    changes = await database.write(
        lambda connection: differences(connection, [other, index_metadata])
    )
    assert sorted(change[0] for change in changes) == ["add_column", "add_table"]


@pytest.mark.parametrize("scripts", [SCRIPTS, wallet.identity.database._SCRIPTS])
def test_the_newest_migration_is_the_one_that_alembic_finds(scripts: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(scripts))
    assert newest_revision(scripts) == ScriptDirectory.from_config(config).get_current_head()
