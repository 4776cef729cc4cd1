"""Keyholder and identity authority as their operators start them: `python -m ...`, settings, passwords."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from ledger.chain import contract_calls
from ledger.chain.deployment import write_deployment
from ledger.hexstr import from_hex, to_hex
from ledger.model import Roles
from scripts.processes import free_port
from scripts.scenario import Chain
from tests.support.identity import ENTERPRISES, RESIDENTS

PASSWORD = "correct horse"


@dataclass(frozen=True)
class Service:
    module: str
    prefix: str
    home: Path
    chain: Chain
    port: int = 0

    @property
    def environment(self) -> dict[str, str]:
        deployment = self.home.parent / "deployment.json"
        write_deployment(self.chain.deployment, deployment)
        own = {
            "HOME": str(self.home),
            "DEPLOYMENT": str(deployment),
            "NODE": self.chain.node.url,
            "PASSWORD": "env:TEST_PASSWORD",
            "PORT": str(self.port),
            "SCRYPT_N": "4096",
        }
        settings = {f"{self.prefix}_{name}": value for name, value in own.items()}
        return {**os.environ, **settings, "TEST_PASSWORD": PASSWORD}

    def run(
        self, *arguments: str, changes: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", self.module, *arguments],
            env={**self.environment, **(changes or {})},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @contextmanager
    def serving(self) -> Iterator[subprocess.Popen[str]]:
        """Serve until the block ends, then stop in order."""
        with (self.home.parent / f"{self.home.name}.log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", self.module], env=self.environment, stderr=log, text=True
            )
            try:
                self._wait(process)
                yield process
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(20)

    @property
    def log(self) -> str:
        return (self.home.parent / f"{self.home.name}.log").read_text("utf-8")

    def _wait(self, process: subprocess.Popen[str]) -> None:
        until = time.monotonic() + 120
        while time.monotonic() < until and process.poll() is None:
            try:
                if httpx.get(f"http://127.0.0.1:{self.port}/readyz").status_code == httpx.codes.OK:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"not ready: {self.log}")


def keyholder(chain: Chain, tmp_path: Path, number: int = 1) -> Service:
    home = tmp_path / f"keyholder{number}"
    return Service("wallet.keyholder", "QUANCHENG_KEYHOLDER", home, chain, free_port())


def identity(chain: Chain, tmp_path: Path) -> Service:
    home = tmp_path / "identity"
    return Service("wallet.identity", "QUANCHENG_IDENTITY", home, chain, free_port())


def done(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.slow
def test_keyholders_hold_the_ceremony_and_serve(chain: Chain, tmp_path: Path) -> None:
    holders = [keyholder(chain, tmp_path, number) for number in (1, 2)]
    members = [done(holder.run("init")).split()[1] for holder in holders]
    before = holders[0].run("draw", "--epoch", "2", "--threshold", "1", *out(members, tmp_path))
    assert (before.returncode, "not an active keyholder" in before.stderr) == (1, True)
    for member in members:
        call = contract_calls.admit(from_hex(member), Roles.KEYHOLDER, f"Keyholder {member}")
        chain.send(chain.parties.authority, call)
    for holder in holders:
        assert "registered in block" in done(holder.run("register"))

    drawing = ("draw", "--epoch", "2", "--threshold", "1", *out(members, tmp_path))
    done(holders[0].run(*drawing))
    assert "missing: from keyholder 1" in done(holders[1].run(*drawing))
    packets = sorted(map(str, (tmp_path / "packets").glob("*.json")))
    assert len(packets) == 1
    done(holders[1].run("import", *packets))
    reports = [done(holder.run("check")) for holder in holders]
    lines = [line.strip() for report in reports for line in report.splitlines() if "seed" in line]
    assert len(lines) == 2
    assert len(set(lines)) == 1  # both members see the same fingerprint

    with holders[1].serving() as process:
        told = httpx.get(f"http://127.0.0.1:{holders[1].port}/v1/holder").json()
        assert [one["epoch"] for one in told["epochs"] if one["complete"]] == [2]
        busy = holders[1].run("serve")
        assert busy.returncode == 1
        last = busy.stderr.splitlines()[-1]
        assert last.startswith("keyholder: ")
        assert "in use" in last
        assert "Traceback" not in busy.stderr
    assert process.returncode == 0
    assert "1 entries" in done(holders[1].run("journal"))  # the block that it noted when it began


def out(members: list[str], tmp_path: Path) -> tuple[str, ...]:
    return ("--members", ",".join(members), "--out", str(tmp_path / "packets"))


def test_what_is_wrong_is_said_in_one_line(chain: Chain, tmp_path: Path) -> None:
    holder = keyholder(chain, tmp_path)
    done(holder.run("init"))
    cases = [
        (("init",), {}, "is there already"),
        (("check",), {}, ""),
        (("serve",), {"TEST_PASSWORD": "wrong"}, "wrong password"),
        (("serve",), {"QUANCHENG_KEYHOLDER_DEPLOYMENT": "/nowhere.json"}, "cannot be read"),
        (("serve",), {"QUANCHENG_KEYHOLDER_PORT": "seven"}, "QUANCHENG_KEYHOLDER_PORT"),
        (("serve",), {"QUANCHENG_KEYHOLDER_LOG_LEVEL": "loud"}, "QUANCHENG_KEYHOLDER_LOG_LEVEL"),
        (("serve",), {"QUANCHENG_KEYHOLDER_FINALITY": "soon"}, "no finality rule"),
        (("register",), {"QUANCHENG_KEYHOLDER_NODE": "http://127.0.0.1:1"}, "cannot be reached"),
        (("import", str(tmp_path / "deployment.json")), {}, "not a seed packet"),
    ]
    for arguments, changes, says in cases:
        result = holder.run(*arguments, changes=changes)
        assert result.returncode == 1, arguments
        assert says in result.stderr, result.stderr
        assert "Traceback" not in result.stderr
        assert PASSWORD not in result.stderr + result.stdout


def test_a_port_in_use_is_the_last_line(chain: Chain, tmp_path: Path) -> None:
    holder = keyholder(chain, tmp_path)
    done(holder.run("init"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", holder.port))
        taken.listen()
        result = holder.run("serve")
    assert result.returncode == 1
    *before, last = result.stderr.splitlines()
    assert last.startswith("keyholder: ")
    assert "Address already in use" in last
    assert str(holder.port) in last
    assert before == []


def test_the_identity_authority_imports_serves_and_logs_nobodys_data(
    chain: Chain, tmp_path: Path
) -> None:
    service = identity(chain, tmp_path)
    address = done(service.run("init")).split()[1]
    call = contract_calls.admit(from_hex(address), Roles.IDENTITY_AUTHORITY, f"Identity {address}")
    chain.send(chain.parties.authority, call)
    for name, text in (("residents.csv", RESIDENTS), ("enterprises.csv", ENTERPRISES)):
        (tmp_path / name).write_text(text, "utf-8")
    files = (str(tmp_path / "residents.csv"), str(tmp_path / "enterprises.csv"))
    assert "2  " in done(service.run("import", *files))
    bad = tmp_path / "bad.csv"
    bad.write_text("name,resident_id\n张三,12\n", "utf-8")
    refused = service.run("import", str(bad))
    assert (refused.returncode, "line 2" in refused.stderr) == (1, True)

    url = f"http://127.0.0.1:{service.port}"
    with service.serving() as process:
        assert httpx.get(f"{url}/v1/authority").json()["address"] == address
        body = {
            "kind": "resident",
            "id_number": "11010519491231002X",
            "name": "张三",
            "code": "SECRETCODE",
            "signers": [{"signer": "0x" + "07" * 20, "signature": "0x" + "08" * 65}],
        }
        assert httpx.post(f"{url}/v1/enrolments", json=body).status_code == 403
        assert httpx.post(f"{url}/v1/enrolments", json={**body, "x": 1}).status_code == 422
    assert process.returncode == 0
    for personal in ("11010519491231002X", "张三", "SECRETCODE", PASSWORD):
        assert personal not in service.log
    assert to_hex(from_hex(address)) == address


@pytest.mark.parametrize("module", ["wallet.keyholder", "wallet.identity"])
def test_a_missing_setting_is_named(module: str) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("QUANCHENG_")}
    result = subprocess.run(
        [sys.executable, "-m", module], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "_HOME: Field required" in result.stderr
