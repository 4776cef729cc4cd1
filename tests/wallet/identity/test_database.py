"""The authority's database, on SQLite and on PostgreSQL: migrated, of no other version, one write at a time."""

import asyncio
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from ledger.api.identity import PersonKind
from tests.support.identity import RESIDENTS, ZHANG
from wallet.identity.database import Database, metadata, open_database
from wallet.identity.errors import ENROLMENT_REFUSED, SIGNER_IN_USE, IdentityError
from wallet.identity.register import read_register
from wallet.identity.store import Code, KeepFor, Order, Store, WantedSubject

NOW = 1_800_000_000


async def execute(database: Database, statement: str) -> None:
    await database.write(lambda connection: connection.execute(text(statement)))


async def one_person(database: Database, tmp_path: Path) -> int:
    path = tmp_path / "residents.csv"
    await asyncio.to_thread(path.write_text, RESIDENTS, "utf-8")
    assert await Store(database).import_people(read_register(path)) == 2
    person = await Store(database).person(PersonKind.RESIDENT, ZHANG["id_number"])
    assert person is not None
    return person.id


def wanted(number: int, signer: bytes) -> WantedSubject:
    return WantedSubject(bytes([number]) * 32, signer, KeepFor("any"), None)


async def test_migrations_come_to_the_tables_that_the_program_uses(database_url: str) -> None:
    database = await open_database(database_url)

    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    assert await database.write(differences) == []
    await database.close()


async def test_an_open_database_is_opened_again_and_by_many_at_once(database_url: str) -> None:
    opened = await asyncio.gather(*(open_database(database_url) for _ in range(4)))
    for database in opened:
        await execute(database, "SELECT 1")
        await database.close()


async def test_a_database_of_another_version_is_refused_in_one_line(database_url: str) -> None:
    database = await open_database(database_url)
    await execute(database, "UPDATE alembic_version SET version_num = '9999'")
    await database.close()
    with pytest.raises(IdentityError, match=r"not one of this program.s version.*9999") as caught:
        await open_database(database_url)
    assert "\n" not in str(caught.value)


async def test_somebody_elses_database_is_left_alone(database_url: str) -> None:
    database = await open_database(database_url)
    for table in reversed(metadata.sorted_tables):
        await execute(database, f"DROP TABLE {table.name}")
    await execute(database, "DROP TABLE alembic_version")
    await execute(database, "CREATE TABLE people (name TEXT)")
    await database.close()
    with pytest.raises(IdentityError, match="people"):
        await open_database(database_url)


async def test_a_signer_that_two_ask_for_at_once_is_one_persons(
    database_url: str, tmp_path: Path
) -> None:
    database = await open_database(database_url)
    person = await one_person(database, tmp_path)
    stores = [Store(database), Store(await open_database(database_url))]  # as two processes
    answers = await asyncio.gather(
        *(
            stores[n % 2].enrol(person, f"enrolment {n}", [wanted(n, b"s" * 20)], NOW, code=None)
            for n in range(6)
        ),
        return_exceptions=True,
    )
    assert sum(answer is None for answer in answers) == 1
    assert {getattr(answer, "kind", None) for answer in answers} == {None, SIGNER_IN_USE}
    assert len(await stores[0].subjects_of(person)) == 1
    for store in stores:
        await store._database.close()


async def test_a_code_counts_once(database_url: str, tmp_path: Path) -> None:
    database = await open_database(database_url)
    store, person = Store(database), await one_person(database, tmp_path)
    digest = b"d" * 32
    await store.issue_code(person, Code(digest, Order(b"o" * 20, "id card", NOW), NOW + 60))
    assert await store.check_code(person, digest, NOW) is None
    answers = await asyncio.gather(
        *(
            store.enrol(person, f"enrolment {n}", [wanted(n, bytes([n]) * 20)], NOW, code=digest)
            for n in range(4)
        ),
        return_exceptions=True,
    )
    assert sum(answer is None for answer in answers) == 1
    assert {getattr(answer, "kind", None) for answer in answers} == {None, ENROLMENT_REFUSED}
    used = await store.check_code(person, digest, NOW)
    assert used == f"enrolment {answers.index(None)}"
    await database.close()


async def test_errors_of_the_database_show_nobodys_name(database_url: str) -> None:
    database = await open_database(database_url)
    cascade = " CASCADE" if database_url.startswith("postgresql") else ""
    await execute(database, f"DROP TABLE people{cascade}")
    with pytest.raises(IdentityError) as caught:
        await Store(database).person(PersonKind.RESIDENT, ZHANG["id_number"])
    await database.close()
    assert ZHANG["id_number"] not in str(caught.value) + str(caught.value.__cause__)


async def test_the_file_is_its_users_only(tmp_path: Path) -> None:
    path = tmp_path / "identity.db"
    await (await open_database(f"sqlite:///{path}")).close()
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "sqlite:////proc/none/identity.db",
        "postgresql+psycopg://nobody@127.0.0.1:1/none",
    ],
)
async def test_a_database_that_cannot_be_opened_is_said_to_be(url: str) -> None:
    with pytest.raises(IdentityError) as caught:
        await open_database(url)
    assert "\n" not in str(caught.value)


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "identity.db"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(IdentityError):
        await open_database(f"sqlite:///{path}")
