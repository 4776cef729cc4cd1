"""`quancheng up`, and the whole way once with nothing but commands."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ledger.hexes import to_hex
from ledger.signing import address_of
from scripts.city.delta import Amounts, make_delta
from scripts.city.manifest import read_manifest
from scripts.city.population import make_city
from scripts.city.write import Size, write_city
from wallet.cli.exit_codes import ExitCode
from wallet.envelope import LEAST_SCRYPT_N

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PASSWORD = "four words and a number"


@dataclass
class Done:
    """What a command in a process of its own left."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        return json.loads(self.err.splitlines()[-1])["error"]


@dataclass
class Party:
    """A party that runs `quancheng` on its own machine."""

    home: Path
    data: Path

    def run(self, *arguments: str) -> Done:
        command = [
            *(sys.executable, "-m", "wallet.cli", "--json", "--home", str(self.home)),
            *("--data", str(self.data), "--password", "env:TEST_PASSWORD"),
            *("--scrypt-n", str(LEAST_SCRYPT_N), *map(str, arguments)),
        ]
        environment = os.environ | {"TEST_PASSWORD": PASSWORD}
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, env=environment, timeout=120
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def __call__(self, *arguments: str) -> Any:
        done = self.run(*arguments)
        assert done.code == 0, (arguments, done.err, done.out)
        return done.document


@dataclass
class Town:
    """A running profile, a city's files, and its parties."""

    data: Path
    city: Path
    homes: Path

    def party(self, name: str) -> Party:
        supervised = self.data / name
        home = supervised if (supervised / "keystore").exists() else self.homes / name
        return Party(home, self.data)

    @property
    def description(self) -> tuple[str, ...]:
        return ("-d", str(self.city / "datasets.json"), "--code", "real-estate")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    directory = tmp_path_factory.mktemp("town")
    write_city(directory / "city", 5, Size(people=60, enterprises=10, records=100), plain=True)
    town = Town(directory / "data", directory / "city", directory / "parties")
    registers = [
        str(town.city / "identity" / name) for name in ("residents.csv", "enterprises.csv")
    ]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "wallet.cli", "--json", "--password", "env:TEST_PASSWORD"),
            *(
                "up",
                "--demo",
                str(town.data),
                "--register",
                registers[0],
                "--register",
                registers[1],
            ),
        ],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TEST_PASSWORD": PASSWORD},
    )
    assert process.stdout is not None
    lines = list(iter(process.stdout.readline, "}\n"))
    assert json.loads("".join(lines) + "}")["data"] == str(town.data)
    yield town
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    process.stdout.close()


def test_the_whole_way_with_commands(town: Town, tmp_path: Path) -> None:
    authority, officer = town.party("authority"), town.party("officer")
    provider, bank, person = town.party("housing"), town.party("bank"), town.party("person")
    regulator = town.party("regulator")

    # Parties
    names = {"provider": provider, "consumer": bank, "regulator": regulator}
    for role, party in names.items():
        address = party("consumer", "key")["address"]
        authority("authority", "admit", address, role, f"{role} 一 / {role.title()} One")
    for party in (provider, bank):
        party("consumer", "key", "--register")

    # Terms
    purpose_file = tmp_path / "purpose.json"
    purpose_file.write_text(
        json.dumps(
            {
                "code": "loan",
                "texts": {
                    "zh": "我同意{consumer}为{case}查询{dataset}中的{fields}，{uses}，至{until}，{retention}。",
                    "en": "I let {consumer} read {fields} of {dataset} for {case}, {uses}, until {until}, {retention}.",
                },
                "max_validity": 864_000,
                "max_uses": 5,
                "retention": 86_400,
            }
        ),
        "utf-8",
    )
    purpose = authority("authority", "purpose", str(purpose_file))["purpose"]
    dataset = provider("provider", "dataset", *town.description)["dataset"]
    authority("authority", "bind", purpose, dataset, "all")
    terms = tmp_path / "terms.txt"
    terms.write_text("We keep it to ourselves.")
    application = bank(
        *("consumer", "apply", dataset, purpose, "--justification", "loans"),
        *("--confidentiality", str(terms)),
    )["application"]
    assert application in [one["application"] for one in provider("provider", "applications")]
    provider("provider", "approve", application, "--dataset", dataset)

    # Data
    file = town.city / "housing" / "real-estate.csv"
    with file.open(encoding="utf-8", newline="") as source:
        rows = list(csv.DictReader(source))
    published = provider("provider", "publish", str(file), *town.description)
    assert (published["version"], published["count"]) == (1, len(rows))

    # A person
    owner = rows[0]["resident_id"]
    with (town.city / "identity" / "residents.csv").open(encoding="utf-8", newline="") as source:
        name = next(row["name"] for row in csv.DictReader(source) if row["resident_id"] == owner)
    me = tmp_path / "me.json"
    me.write_text(json.dumps({"kind": "resident", "id_number": owner, "name": name}), "utf-8")
    code = officer("identity", "enrol", "--person", str(me), "--identification", "id card")["code"]
    ids = person("wallet", "new", "--enrol", code, "--person", str(me))
    assert ids[0]["subject"].startswith("0x")

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
    assert person.run("wallet", "grant", request).code == ExitCode.FAILED  # nobody to ask
    granted = person("wallet", "grant", request, "--yes")
    answered = bank("consumer", "wait", request)
    assert answered["authorization"] == granted["authorization"]

    # Use
    receipt = tmp_path / "receipt.json"
    used = bank("consumer", "access", granted["authorization"], "--receipt", str(receipt))
    own = [row for row in rows if row["resident_id"] == owner]
    found = {record["number"]: record["values"] for record in used["records"]}
    assert set(found) == {int(row["registration_number"]) for row in own}
    assert found[int(own[0]["registration_number"])]["坐落 / Address"] == own[0]["address"]
    assert used["unchecked"] == []
    again = bank.run("consumer", "access", granted["authorization"])
    assert (again.code, again.error["outcome"]) == (ExitCode.DENIED, "UsesExhausted")
    assert bank("consumer", "open", str(used["number"]))["records"] == used["records"]
    assert bank("consumer", "verify", str(receipt))["unchecked"] == []
    forged = tmp_path / "forged.json"
    forged.write_text(receipt.read_text("utf-8").replace(own[0]["address"], "Elsewhere"), "utf-8")
    lie = bank.run("consumer", "verify", str(forged))
    assert (lie.code, lie.error["check"]) == (ExitCode.NOT_VERIFIED, "values")

    # Look back
    history = person("wallet", "history")
    assert {"access", "Granted"} <= {one["kind"] for one in history}
    accesses = [one for one in history if one["kind"] == "access"]
    assert [one["outcome"] for one in accesses] == ["UsesExhausted", "Allowed"]
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
    assert traced
    evidence = tmp_path / "evidence.json"
    regulator("audit", "evidence", used["access"], str(evidence))
    assert regulator("audit", "verify", str(evidence))
    bank_address = to_hex(address_of(b"\x01" * 32))
    assert (
        regulator.run("authority", "restrict", bank_address, "--reason", "x").code
        == ExitCode.REFUSED
    )
