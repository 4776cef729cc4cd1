"""No party and no dataset gets a name that people would take for another's; and no report takes one for an id."""

import json
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest

from ledger.chain import contract_calls, eth_methods
from ledger.chain.events import DatasetTerms
from ledger.chain.events.identifiers import dataset_id
from ledger.errors import ExitCode
from ledger.hexstr import keccak256, to_hex
from ledger.model import Class, Roles
from scripts.city.catalogue import DATASETS
from scripts.demo import cast
from scripts.scenario import Chain, Party, Terms
from tests.support.errors import of_kind
from tests.wallet.cli.conftest import CommandLine
from wallet.client.errors import ClientError, ErrorKind
from wallet.names import require_distinct

Parties = Callable[[Party], CommandLine]

_numbers: Final = count(1)


def unique() -> str:
    return f"{next(_numbers)} {time.time_ns()}"


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("City Bank", "假银行 / City Bank"),
        ("假银行 / City Bank", "City Bank"),
        ("城市银行 / City Bank", "城市银行 / Another Bank"),
        ("城市银行 / City Bank", "另一银行 / CITY BANK"),
        ("City Bank / 城市银行", "城市银行 / City Bank"),
        ("City Bank", "City Bank"),
    ],
)
def test_a_half_of_a_name_is_another_name(name: str, other: str) -> None:
    with pytest.raises(ClientError, check=of_kind(ErrorKind.AMBIGUOUS_NAME)):
        require_distinct(name, ["某某 / Somebody", other])


@pytest.mark.parametrize("name", ["0x1111111111111111111111111111111111111111", "行 / A (0xAB12…)"])
def test_a_name_is_no_id(name: str) -> None:
    with pytest.raises(ClientError, match="id", check=of_kind(ErrorKind.AMBIGUOUS_NAME)):
        require_distinct(name, [])


def test_a_name_of_its_own_is_taken_as_it_is() -> None:
    name = "城市银行 / City Bank"
    assert require_distinct(name, ["城市银行二 / City Bank Two", "城市 / City"]) == name


def sent(chain: Chain, *parties: Party) -> list[int]:
    return [
        chain.rpc.send(eth_methods.transaction_count(party.address, "pending")) for party in parties
    ]


def test_the_authority_admits_nobody_under_half_of_anothers_name(
    chain: Chain, party: Parties
) -> None:
    authority, number = party(chain.parties.authority), unique()
    first, second = (to_hex(keccak256(f"{n} {number}".encode())[:20]) for n in range(2))
    name, half = f"城市银行{number} / City Bank {number}", f"City Bank {number}"
    authority.json("authority", "admit", first, "consumer", name)
    before = sent(chain, chain.parties.authority)
    for imitation in (half, f"假银行{number} / {half}", f"城市银行{number} / Another {number}"):
        done = authority("authority", "admit", second, "consumer", imitation)
        assert done.code == ExitCode.BAD_INPUT
        assert "already a name" in done.err
    assert sent(chain, chain.parties.authority) == before
    # Its own name is not another's, and who was withdrawn asks for nothing any more.
    authority.json("authority", "admit", first, "consumer,provider", name)
    authority.json("authority", "withdraw", first)
    authority.json("authority", "admit", second, "consumer", f"新城市银行{number} / {half}")


def description(path: Path, title: tuple[str, str], fields: list[dict[str, str]]) -> Path:
    document = {
        "code": f"code-{unique()}",
        "title_zh": title[0],
        "title_en": title[1],
        "key_kind": "resident",
        "key_column": "id",
        "number_column": "number",
        "fields": fields,
        "sharing_class": "Conditional",
        "open_class": "NotShared",
        "grade": 3,
        "personal": True,
    }
    path.write_text(json.dumps(document, ensure_ascii=False), "utf-8")
    return path


def test_no_dataset_is_registered_under_half_of_anothers_title(
    chain: Chain, party: Parties, tmp_path: Path
) -> None:
    provider, number = party(chain.parties.provider), unique()
    other = Party(f"Another department {number}", Roles.PROVIDER)
    chain.admit(other)
    fields = [{"name": "a", "title_zh": "甲", "title_en": "A"}]

    def register(who: CommandLine, zh: str, en: str) -> Any:
        file = description(tmp_path / f"{next(_numbers)}.json", (zh, en), fields)
        return who("provider", "dataset", "-d", str(file), "--json")

    first = register(provider, f"不动产{number}", f"Estates {number}")
    assert first.code == 0, first.err
    before = sent(chain, chain.parties.provider, other)
    for who in (provider, party(other)):
        for imitation in (
            (f"别的{number}", f"Estates {number}"),
            (f"不动产{number}", f"X {number}"),
        ):
            done = register(who, *imitation)
            assert done.code == ExitCode.BAD_INPUT
            assert "already a name" in done.error["message"]
    assert sent(chain, chain.parties.provider, other) == before
    withdraw = ("provider", "withdraw", first.document["dataset"], "--dataset", "--reason", "Anew")
    provider.json(*withdraw)
    assert register(provider, f"不动产{number}", f"Estates {number}").code == 0


def test_no_dataset_has_two_fields_that_a_person_could_not_tell_apart(
    chain: Chain, party: Parties, tmp_path: Path
) -> None:
    number = unique()
    fields = [
        {"name": "a", "title_zh": "甲", "title_en": "Area"},
        {"name": "b", "title_zh": "乙", "title_en": "area"},
    ]
    file = description(tmp_path / "two.json", (f"甲乙{number}", f"Two {number}"), fields)
    done = party(chain.parties.provider)("provider", "dataset", "-d", str(file))
    assert done.code == ExitCode.BAD_INPUT
    assert "two fields" in done.err


def test_all_names_of_the_city_are_names_of_their_own() -> None:
    for names in (
        [var.name for var in vars(cast).values() if isinstance(var, cast.Role)],
        [f"{one.title_zh} / {one.title_en}" for one in DATASETS],
        *([f"{f.title_zh} / {f.title_en}" for f in one.fields] for one in DATASETS),
    ):
        for place, name in enumerate(names):
            require_distinct(name, names[:place])


# What was put on chain past the tools


@pytest.fixture
def impostors(chain: Chain) -> tuple[Terms, Terms]:
    """A consumer that is called like an address, and two datasets with one title."""
    number = unique()
    bank = chain.personal_terms()
    impostor = Party(to_hex(keccak256(number.encode())[:20]), Roles.CONSUMER)
    chain.send(
        chain.parties.authority,
        contract_calls.admit(impostor.address, impostor.roles, impostor.name),
    )
    chain.send(impostor, contract_calls.name_recorder(chain.parties.recorder.address))
    datasets = []
    for place in range(2):
        code = f"code {place} {number}"
        terms = DatasetTerms(
            code, f"同名 / One title {number}", ("a",), Class.CONDITIONAL, Class.NOT_SHARED, 2,
            personal=True, update_cycle=0,
        )  # fmt: skip
        chain.send(chain.parties.provider, contract_calls.register_dataset(terms))
        datasets.append(dataset_id(chain.parties.provider.address, code.encode()))
    purpose = chain.register_purpose()
    made = []
    for dataset, consumer in zip(datasets, (bank.consumer, impostor), strict=True):
        agreement = chain.agree(consumer, dataset, purpose, fields=1)
        made.append(Terms(dataset, purpose, agreement, consumer))
    return made[0], made[1]


def test_a_report_counts_by_ids_and_shows_only_ids_as_ids(
    chain: Chain, party: Parties, impostors: tuple[Terms, Terms], tmp_path: Path
) -> None:
    for terms, uses in zip(impostors, (2, 3), strict=True):
        subject = chain.register_subject()
        record = chain.authorization(subject, terms, fields=1, max_uses=9)
        authorization = chain.grant(subject, record)
        chain.record([chain.request(terms.consumer, authorization) for _ in range(uses)])
    page, regulator = tmp_path / "page.html", party(chain.parties.regulator)
    regulator.json("audit", "replay", "--html", str(page))
    shown = page.read_text("utf-8")
    datasets = shown.partition("Datasets")[2].partition("</table>")[0]
    for terms, uses in zip(impostors, (2, 3), strict=True):
        assert f"<code>{to_hex(terms.dataset)}</code></td><td>{uses}</td>" in datasets
    impostor = impostors[1].consumer
    assert f"<code>{impostor.name}" not in shown
    assert f"{impostor.name} <code>{to_hex(impostor.address)}</code>" in shown
    lives = regulator.json("audit", "trace", "--dataset", to_hex(impostors[1].dataset))
    assert lives["entries"]
    told = regulator("audit", "trace", "--dataset", to_hex(impostors[1].dataset)).out
    beside = to_hex(impostor.address)[:12]
    assert beside in told.replace("\n", "")
