"""`quancheng up`, and the whole way once with nothing but commands."""

import csv
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ledger.crypto.signatures import address_of
from ledger.errors import ExitCode
from ledger.hexstr import to_hex
from scripts.city.delta import Amounts, make_delta
from scripts.city.manifest import read_manifest
from scripts.city.population import make_city
from tests.support.town import Party, Town, enrolled, person_file, running_town

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PURPOSE = {
    "code": "loan",
    "texts": {
        "zh": "我同意{consumer}为{case}查询{dataset}中的{fields}，{uses}，至{until}，{retention}。",
        "en": "I let {consumer} read {fields} of {dataset} for {case}, {uses}, until {until}, {retention}.",
    },
    "max_validity": 864_000,
    "max_uses": 5,
    "retention": 86_400,
}


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with running_town(tmp_path_factory.mktemp("town")) as running:
        yield running


@dataclass
class Terms:
    """A published dataset that a bank has an agreement for."""

    dataset: str
    purpose: str
    rows: list[dict[str, str]]
    file: Path


@pytest.fixture(scope="module")
def terms(town: Town, tmp_path_factory: pytest.TempPathFactory) -> Terms:
    """Parties admitted, a purpose set, a dataset published, an agreement made."""
    directory = tmp_path_factory.mktemp("terms")
    authority, provider, bank = (town.party(name) for name in ("authority", "housing", "bank"))
    parties = {"provider": provider, "consumer": bank, "regulator": town.party("regulator")}
    for role, party in parties.items():
        address = party("consumer", "key")["address"]
        authority("authority", "admit", address, role, f"{role} 一 / {role.title()} One")
    for party in (provider, bank):
        party("consumer", "key", "--register")
    bank("consumer", "recorder", "name")
    purpose_file = directory / "purpose.json"
    purpose_file.write_text(json.dumps(PURPOSE, ensure_ascii=False), "utf-8")
    purpose = authority("authority", "purpose", str(purpose_file))["purpose"]
    dataset = provider("provider", "dataset", *town.description)["dataset"]
    authority("authority", "bind", purpose, dataset, "all")
    text = directory / "terms.txt"
    text.write_text("We keep it to ourselves.")
    application = bank(
        *("consumer", "apply", dataset, purpose, "--justification", "loans"),
        *("--confidentiality", str(text)),
    )["application"]
    assert application in [one["application"] for one in provider("provider", "applications")]
    provider("provider", "approve", application, "--dataset", dataset)
    file = town.city / "housing" / "real-estate.csv"
    with file.open(encoding="utf-8", newline="") as source:
        rows = list(csv.DictReader(source))
    published = provider("provider", "publish", str(file), *town.description)
    assert (published["version"], published["count"]) == (1, len(rows))
    return Terms(dataset, purpose, rows, file)


def owners_of(rows: list[dict[str, str]]) -> list[str]:
    """The people in a file, each once."""
    return list(dict.fromkeys(row["resident_id"] for row in rows))


def test_the_whole_way_with_commands(town: Town, terms: Terms, tmp_path: Path) -> None:
    provider, bank, regulator = (town.party(name) for name in ("housing", "bank", "regulator"))
    dataset, purpose, rows, file = terms.dataset, terms.purpose, terms.rows, terms.file
    owner = owners_of(rows)[0]
    me = person_file(town, owner, tmp_path / "me.json")
    person = enrolled(town, me, "person")

    # Ask and grant
    request = bank(
        *(
            "consumer",
            "request",
            dataset,
            purpose,
            "--fields",
            "Address,Floor area (square metres),2",
        ),
        *("--case", "2026-118", "--until", "+5d", "--person", str(me)),
    )["request"]
    waiting = person("wallet", "inbox")
    assert [one["request"] for one in waiting] == [request]
    assert "2026-118" in waiting[0]["statement_zh"]
    assert waiting[0]["consumer_name"] == "consumer 一 / Consumer One"
    for command in (("wallet", "inbox"), ("wallet", "grant", request)):
        for width in (20, 80, 200):
            # Every word that would be signed is there, though a grant then finds nobody to ask.
            shown = "".join(person.show(*command, width=width).out.splitlines())
            assert waiting[0]["statement_zh"] + waiting[0]["statement_en"] in shown
            assert waiting[0]["statement"].rpartition(" ")[2] in shown
    assert person.run("wallet", "grant", request).code == ExitCode.FAILED  # nobody to ask
    granted = person("wallet", "grant", request, "--yes")
    answered = bank("consumer", "wait", request)
    assert answered["authorization"] == granted["authorization"]

    # Use
    receipt = tmp_path / "receipt.json"
    used = bank("consumer", "access", granted["authorization"])
    own = [row for row in rows if row["resident_id"] == owner]
    found = {record["number"]: record["values"] for record in used["records"]}
    assert set(found) == {int(row["registration_number"]) for row in own}
    assert found[int(own[0]["registration_number"])]["坐落 / Address"] == own[0]["address"]
    assert used["unchecked"] == []
    again = bank.run("consumer", "access", granted["authorization"])
    assert (again.code, again.error["outcome"]) == (ExitCode.DENIED, "UsesExhausted")
    again = bank("consumer", "open", str(used["number"]), "--receipt", str(receipt))
    assert again["records"] == used["records"]
    # Stored is stored: the key that opens the answer is gone from then on.
    gone = bank.run("consumer", "open", str(used["number"]))
    assert gone.code == ExitCode.FAILED
    assert bank("consumer", "verify", str(receipt))["unchecked"] == []
    forged = tmp_path / "forged.json"
    forged.write_text(receipt.read_text("utf-8").replace(own[0]["address"], "Elsewhere"), "utf-8")
    lie = bank.run("consumer", "verify", str(forged))
    assert (lie.code, lie.error["check"]) == (ExitCode.NOT_VERIFIED, "values")

    # Look back
    history = person("wallet", "history")
    assert {"access", "Granted"} <= {one["kind"] for one in history}
    accesses = [one for one in history if one["kind"] == "access"]
    assert [access["outcome"] for access in accesses] == ["UsesExhausted", "Allowed"]
    assert person("wallet", "receipt", used["access"])
    assert len(person("wallet", "history", "--lookups")) == 1
    assert len(provider("provider", "accesses", dataset)["accesses"]) == 2

    # Changes
    manifest = read_manifest(town.city)
    people = make_city(manifest.seed, manifest.people, manifest.enterprises)
    after = tmp_path / "after.csv"
    make_delta(
        people,
        manifest.dataset("real-estate"),
        source=file,
        target=after,
        seed=2,
        amounts=Amounts(5, 3, 2),
    )
    delta = provider("provider", "publish", str(after), *town.description)
    assert (delta["version"], delta["base"], delta["sent"]) == (2, 1, 10)
    assert (
        provider.run("provider", "publish", str(after), *town.description).code
        == ExitCode.NO_ANSWER
    )
    assert bank("consumer", "verify", str(receipt))["publication"] == 1

    # Revoke, freeze
    second = bank(
        *("consumer", "request", dataset, purpose, "--fields", "0", "--case", "2026-119"),
        *("--until", "+5d", "--uses", "5", "--person", str(me)),
    )["request"]
    authorization = person("wallet", "grant", second, "--uses", "3", "--yes")["authorization"]
    bank("consumer", "wait", second)
    assert bank("consumer", "access", authorization)["publication"] == 2
    person("wallet", "freeze")
    frozen = bank.run("consumer", "access", authorization)
    assert (frozen.code, frozen.error["outcome"]) == (ExitCode.DENIED, "Frozen")
    person("wallet", "freeze", "--end")
    person("wallet", "revoke", authorization, "--yes")
    revoked = bank.run("consumer", "access", authorization)
    assert (revoked.code, revoked.error["outcome"]) == (ExitCode.DENIED, "Revoked")

    # The regulator
    report = regulator("audit", "replay", "--from-gateway")
    assert (report["clean"], report["accesses"], report["signatures"]) == (True, 5, 5)
    traced = regulator("audit", "trace", "--authorization", granted["authorization"])
    life = [one["event"] for one in traced["entries"]]
    assert life[-4:] == ["Accessed", "Accessed", "SubjectFrozen", "SubjectUnfrozen"]
    trail = tmp_path / "trail.jsonl"
    regulator("audit", "export", str(trail), "--trail-file")
    assert regulator("audit", "verify", str(trail))["clean"]
    bank_address = to_hex(address_of(b"\x01" * 32))
    assert (
        regulator.run("authority", "restrict", bank_address, "--reason", "x").code
        == ExitCode.REFUSED
    )


def test_a_lost_key_is_replaced_and_a_false_recovery_vetoed(
    town: Town, terms: Terms, tmp_path: Path
) -> None:
    bank, officer = town.party("bank"), town.party("officer")
    me = person_file(town, owners_of(terms.rows)[1], tmp_path / "me.json")
    person = enrolled(town, me, "careless", "--passkey")
    request = bank(
        *("consumer", "request", terms.dataset, terms.purpose, "--fields", "0", "--case", "7"),
        *("--until", "+5d", "--uses", "5", "--person", str(me)),
    )["request"]
    authorization = person("wallet", "grant", request, "--yes")["authorization"]
    bank("consumer", "wait", request)
    bank("consumer", "access", authorization)

    # The phone is lost: new keys, taken to the counter
    signers = tmp_path / "signers.json"
    again = town.party("careless-again")
    again("wallet", "new", "--recovery", str(signers), "--person", str(me))
    proofs = ("--signers", str(signers), "--identification", "id card, in person")
    recovery = officer("identity", "recover", "--person", str(me), *proofs)
    halted = bank.run("consumer", "access", authorization)
    assert (halted.code, halted.error["outcome"]) == (ExitCode.DENIED, "Frozen")
    wait_for(lambda: state_of(officer, recovery["recovery"]) == "completed")
    ids = again("wallet", "new")
    assert [one["subject"] for one in ids] == [recovery["subjects"][0]["subject"]]
    assert again("wallet", "history", "--granted")[0]["halted"]
    assert bank.run("consumer", "access", authorization).code == ExitCode.DENIED
    again("wallet", "confirm", authorization, "--yes")
    bank("consumer", "access", authorization)

    # Somebody who has the old phone can stop for a year, and decide nothing any more
    assert person.run("wallet", "confirm", authorization, "--yes").code == ExitCode.REFUSED
    assert person.run("wallet", "rotate", "--yes").code == ExitCode.REFUSED

    # A recovery that nobody asked for
    again("wallet", "rotate", "--yes")
    thief = town.party("thief")
    thief("wallet", "new", "--recovery", str(signers), "--person", str(me))
    false = officer("identity", "recover", "--person", str(me), *proofs)
    again("wallet", "veto", false["subjects"][0]["new_signer"])
    wait_for(lambda: state_of(officer, false["recovery"]) == "vetoed")
    bank("consumer", "access", authorization)


def state_of(officer: Party, recovery: str) -> str:
    state: str = officer("identity", "recover", "--state", recovery)["subjects"][0]["state"]
    return state


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.5)
