"""A new database is made as the code wants it; an older one gets the changes that it lacks, and no others."""

from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, create_engine, inspect, text

from ledger.service.database import MigrationError, upgrade

ENVIRONMENT = """\
from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
"""
FIRST = """\
revision = "0001"
down_revision = None


def upgrade():
    raise AssertionError("the first tables are made from the code")
"""
SECOND = """\
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.add_column("things", sa.Column("colour", sa.Integer()))
"""
OLD, NEW = MetaData(), MetaData()
Table("things", OLD, Column("id", Integer, primary_key=True))
Table("things", NEW, Column("id", Integer, primary_key=True), Column("colour", Integer))


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    (tmp_path / "versions").mkdir()
    (tmp_path / "env.py").write_text(ENVIRONMENT)
    (tmp_path / "versions" / "0001_base.py").write_text(FIRST)
    return tmp_path


def made(tables: MetaData, database: Path, scripts: Path) -> list[str]:
    """Open a database as a version with these tables does; return the columns that it has then."""

    def make(connection: Connection) -> None:
        tables.create_all(connection, checkfirst=False)

    engine = create_engine(f"sqlite:///{database}")
    with engine.begin() as connection:
        upgrade(connection, scripts, make)
    with engine.begin() as connection:
        return [column["name"] for column in inspect(connection).get_columns("things")]


def test_a_new_database_is_made_from_the_tables_and_then_left_alone(scripts: Path) -> None:
    (scripts / "versions" / "0002_colour.py").write_text(SECOND)
    for _ in range(2):
        assert made(NEW, scripts / "new.db", scripts) == ["id", "colour"]


def test_an_older_database_gets_what_it_lacks(scripts: Path) -> None:
    assert made(OLD, scripts / "old.db", scripts) == ["id"]
    (scripts / "versions" / "0002_colour.py").write_text(SECOND)
    for _ in range(2):
        assert made(NEW, scripts / "old.db", scripts) == ["id", "colour"]


def test_a_newer_database_is_refused(scripts: Path) -> None:
    made(OLD, scripts / "newer.db", scripts)
    engine = create_engine(f"sqlite:///{scripts / 'newer.db'}")
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(MigrationError, match="9999"):
        made(OLD, scripts / "newer.db", scripts)
