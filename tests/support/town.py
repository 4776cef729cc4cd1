"""A whole city run by commands: `quancheng up` in a process of its own, and parties with homes of their own."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ledger.crypto.keyfile import MIN_SCRYPT_N
from scripts.city.write import Size, write_city
from wallet.cli import main

PASSWORD = "four words and a number"
RECOVERY_DELAY = 6
"""Seconds."""


@dataclass
class Finished:
    """What a command left."""

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

    def run(self, *arguments: str) -> Finished:
        """Run a command in this process: starting one for each takes a minute in all."""
        return self._run("--json", *arguments)

    def show(self, *arguments: str, width: int = 80) -> Finished:
        """Run a command as a person does who reads what it prints, in a pipe of this width."""
        return self._run(*arguments, COLUMNS=str(width))

    def _run(self, *arguments: str, **environment: str) -> Finished:
        command = [
            *("--home", str(self.home), "--data", str(self.data)),
            *("--password", "env:TEST_PASSWORD", "--scrypt-n", str(MIN_SCRYPT_N)),
            *map(str, arguments),
        ]
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
            for name, value in {"TEST_PASSWORD": PASSWORD, **environment}.items():
                patch.setenv(name, value)
            code = main(command)
        return Finished(code, out.getvalue(), err.getvalue())

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


@contextmanager
def running_town(directory: Path) -> Iterator[Town]:
    """Run a small city until the block ends, then stop it as an operator would."""
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
                "--recovery-delay",
                str(RECOVERY_DELAY),
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
    try:
        lines: list[str] = []
        while (line := process.stdout.readline()) != "}\n":
            assert line, f"the profile ended before it was ready: {''.join(lines)}"
            lines.append(line)
        assert json.loads("".join(lines) + "}")["data"] == str(town.data)
        yield town
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        process.stdout.close()


def person_file(town: Town, resident_id: str, path: Path) -> Path:
    """What a counter, a bank or a person types in about a person."""
    with (town.city / "identity" / "residents.csv").open(encoding="utf-8", newline="") as source:
        found = {row["resident_id"]: row["name"] for row in csv.DictReader(source)}
    known = {"kind": "resident", "id_number": resident_id, "name": found[resident_id]}
    path.write_text(json.dumps(known, ensure_ascii=False), "utf-8")
    return path


def enrolled(town: Town, me: Path, name: str, *options: str) -> Party:
    person, officer = town.party(name), town.party("officer")
    code = officer("identity", "enrol", "--person", str(me), "--identification", "id card")["code"]
    ids = person("wallet", "new", "--enrol", code, "--person", str(me), *options)
    assert ids[0]["subject"].startswith("0x")
    return person
