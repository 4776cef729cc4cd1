"""The authority's transactions: each once, whatever falls; and a database that fails is said to fail."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ledger import contracts, queries, views
from ledger.chain import Finality
from ledger.hexes import from_hex
from ledger.node import Node
from ledger.reverts import RevertError
from ledger.rpc import AsyncRpc
from tests.support.chain import Chain
from tests.support.identity import (
    RESIDENTS,
    ZHANG,
    Key,
    admitted_keys,
    handles_gateway,
    running,
    settings_for,
)
from tests.wallet.identity.conftest import import_registers
from wallet.identity.database import open_database
from wallet.identity.errors import DatabaseError, ImportFileError
from wallet.identity.importing import read_register
from wallet.identity.outbox import Outbox
from wallet.identity.people import Kind
from wallet.identity.store import Store


async def nothing(*_: object) -> None:
    """Note nothing."""


async def test_subjects_that_a_fallen_node_forgot_are_registered_again_as_they_were(
    own_chain: Chain, tmp_path: Path
) -> None:
    keys, home = admitted_keys(own_chain), tmp_path / "identity"
    with handles_gateway(own_chain, keys.address) as gateway:
        settings = settings_for(own_chain, home, gateway.url)
        await import_registers(home, settings.database_url)
        node = own_chain.node
        node.checkpoint()
        async with running(own_chain, home, keys, gateway) as service:
            (subject,) = await service.enrol(ZHANG, [Key()])
            assert own_chain.rpc.send(queries.transaction_count(keys.address)) == 1
            forget(node)
            assert own_chain.rpc.send(queries.transaction_count(keys.address)) == 0
            await until_registered(own_chain, subject)
        forget(node)
        async with running(own_chain, home, keys, gateway):
            await until_registered(own_chain, subject)


def forget(node: Node) -> None:
    """Kill the node and bring it back as it was at the checkpoint."""
    node.kill()
    for path in node.settings.data.glob("state.json*"):
        path.unlink()
    node.start()


async def until_registered(chain: Chain, subject: dict[str, str]) -> None:
    call = views.subject_of(chain.contracts, from_hex(subject["subject"]))
    while True:
        found = chain.rpc.send(call)
        if found.number:
            break
        await asyncio.sleep(0.05)
    assert found.signer == from_hex(subject["signer"])


async def test_a_call_that_the_contract_refuses_is_not_sent(chain: Chain, tmp_path: Path) -> None:
    keys = admitted_keys(chain)
    database = await open_database(f"sqlite+aiosqlite:///{tmp_path / 'identity.db'}")
    async with AsyncRpc(chain.node.url) as rpc:
        outbox = Outbox(
            database, rpc, chain.deployment, finality=Finality.depth(0), private_key=keys.account
        )
        with pytest.raises(RevertError, match="SubjectUnknown"):
            await outbox.carry_out(contracts.complete_recovery(bytes(32)), nothing)
    await database.close()
    assert chain.rpc.send(queries.transaction_count(keys.address)) == 0


async def test_a_call_whose_note_fails_is_not_sent(chain: Chain, tmp_path: Path) -> None:
    keys = admitted_keys(chain)
    database = await open_database(f"sqlite+aiosqlite:///{tmp_path / 'identity.db'}")

    async def fail(*_: object) -> None:
        raise DatabaseError("the disk is full")

    async with AsyncRpc(chain.node.url) as rpc:
        outbox = Outbox(
            database, rpc, chain.deployment, finality=Finality.depth(0), private_key=keys.account
        )
        call = contracts.register_subjects([b"\x01" * 32], [b"\x02" * 20])
        with pytest.raises(DatabaseError):
            await outbox.carry_out(call, fail)
        await outbox.settle()
    await database.close()
    assert chain.rpc.send(queries.transaction_count(keys.address)) == 0


# The database


async def test_a_database_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "identity.db"
    url = f"sqlite+aiosqlite:///{path}"
    await (await open_database(url)).close()
    assert path.stat().st_mode & 0o077 == 0
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE schema_version SET version = 99")
        connection.commit()
    with pytest.raises(DatabaseError, match="version 99"):
        await open_database(url)


@pytest.mark.parametrize("url", ["", "nonsense", "sqlite+aiosqlite:////proc/none/identity.db"])
async def test_a_database_that_cannot_be_opened_is_said_to_be(url: str) -> None:
    with pytest.raises(DatabaseError):
        await open_database(url)


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "identity.db"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(DatabaseError):
        await open_database(f"sqlite+aiosqlite:///{path}")


async def test_errors_of_the_database_show_nobodys_name(tmp_path: Path) -> None:
    database = await open_database(f"sqlite+aiosqlite:///{tmp_path / 'identity.db'}")
    with closing(sqlite3.connect(tmp_path / "identity.db")) as connection:
        connection.execute("DROP TABLE people")
    with pytest.raises(DatabaseError) as caught:
        await Store(database).person(Kind.RESIDENT, ZHANG["id_number"])
    await database.close()
    shown = str(caught.value) + str(caught.value.__cause__)
    assert ZHANG["id_number"] not in shown


# The registers


async def imported(tmp_path: Path, text: str, encoding: str = "utf-8") -> int:
    path = tmp_path / "register.csv"
    path.write_text(text, encoding)
    database = await open_database(f"sqlite+aiosqlite:///{tmp_path / 'identity.db'}")
    try:
        return await Store(database).import_people(read_register(path))
    finally:
        await database.close()


async def test_a_register_is_taken_over_again_and_names_change(tmp_path: Path) -> None:
    assert await imported(tmp_path, RESIDENTS) == 2
    assert await imported(tmp_path, "\ufeff" + RESIDENTS.replace("张三", "张三丰")) == 2
    database = await open_database(f"sqlite+aiosqlite:///{tmp_path / 'identity.db'}")
    person = await Store(database).person(Kind.RESIDENT, ZHANG["id_number"])
    await database.close()
    assert person is not None
    assert person.identity.name == "张三丰"
    assert "张三丰" not in repr(person)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "header"),
        ("a,b\n1,2\n", "header"),
        ("name,resident_id\n张三,11010519491231002X\n李四,12\n", "line 3"),
        ("name,resident_id\n张三,110105194912310021\n", "line 2"),
        ("name,resident_id\n,11010519491231002X\n", "line 2"),
        ("name,resident_id\n张三\n", "line 2"),
        ("name,resident_id\n张三,11010519491231002X,1\n", "line 2"),
        ("name,credit_code,legal_representative_id\n公司,91350100M000100Y43,7\n", "line 2"),
    ],
)
async def test_a_register_with_a_bad_line_is_refused_naming_the_line(
    tmp_path: Path, text: str, says: str
) -> None:
    with pytest.raises(ImportFileError, match=says) as caught:
        await imported(tmp_path, text)
    assert "110105" not in str(caught.value)


async def test_a_register_in_another_encoding_or_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match="UTF-8"):
        await imported(tmp_path, RESIDENTS, "gb18030")
    with pytest.raises(ImportFileError, match="cannot be read"):
        list(read_register(tmp_path / "nowhere.csv"))
