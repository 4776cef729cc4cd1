"""Taking over the registers of residents and enterprises; a bad line is named."""

from pathlib import Path

import pytest

from ledger.api.identity import PersonKind
from tests.support.identity import RESIDENTS, ZHANG
from wallet.identity.database import open_database
from wallet.identity.errors import IdentityError
from wallet.identity.register import read_register
from wallet.identity.store import Store


async def imported(tmp_path: Path, text: str, encoding: str = "utf-8") -> int:
    path = tmp_path / "register.csv"
    path.write_text(text, encoding)
    database = await open_database(f"sqlite:///{tmp_path / 'identity.db'}")
    try:
        return await Store(database).import_people(read_register(path))
    finally:
        await database.close()


async def test_a_register_is_taken_over_again_and_names_change(tmp_path: Path) -> None:
    assert await imported(tmp_path, RESIDENTS) == 2
    assert await imported(tmp_path, "\ufeff" + RESIDENTS.replace("张三", "张三丰")) == 2
    database = await open_database(f"sqlite:///{tmp_path / 'identity.db'}")
    person = await Store(database).person(PersonKind.RESIDENT, ZHANG["id_number"])
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
    with pytest.raises(IdentityError, match=says) as caught:
        await imported(tmp_path, text)
    assert "110105" not in str(caught.value)


async def test_a_register_in_another_encoding_or_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match="UTF-8"):
        await imported(tmp_path, RESIDENTS, "gb18030")
    with pytest.raises(IdentityError, match="cannot be read"):
        list(read_register(tmp_path / "nowhere.csv"))
