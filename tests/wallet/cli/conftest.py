"""`quancheng` in this process, with a home of its own and a real chain."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ledger.chain.deployment import write_deployment
from ledger.crypto.keyfile import MIN_SCRYPT_N
from scripts.scenario import Chain, Party
from tests.support.town import PASSWORD, Finished
from wallet.cli import main
from wallet.keystore import Keystore, Kind
from wallet.passwords import Password


@dataclass
class CommandLine:
    """Runs commands of one party."""

    home: Path
    options: tuple[str, ...]
    capture: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> Finished:
        self.capture.readouterr()
        code = main(["--home", str(self.home), *self.options, *map(str, arguments)])
        seen = self.capture.readouterr()
        return Finished(code, seen.out, seen.err)

    def json(self, *arguments: str) -> Any:
        """Run a command that must succeed; return its document."""
        done = self(*arguments, "--json")
        assert done.code == 0, done.err
        return done.document

    def of(self, party: Party, node: str, deployment: Path) -> "CommandLine":
        """The same command line for a party of a test chain, with its key in a home beside this one."""
        home = self.home.with_name(party.name.replace(" ", "-").lower())
        if not home.exists():
            keystore = Keystore(home / "keystore", scrypt_n=MIN_SCRYPT_N)
            keystore.store("account", Kind.ETHEREUM_KEY, party.private_key, Password(PASSWORD))
        options = (*self.options, "--node", node, "--deployment", str(deployment))
        return CommandLine(home, options, self.capture)


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_PASSWORD", PASSWORD)
    for name in ("HOME", "DATA", "DEPLOYMENT", "GATEWAY", "IDENTITY", "NODE", "KEYHOLDERS", "FEE"):
        monkeypatch.delenv(f"QUANCHENG_{name}", raising=False)


@pytest.fixture
def quancheng(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """A party that knows no service."""
    options = ("--password", "env:TEST_PASSWORD", "--scrypt-n", str(MIN_SCRYPT_N))
    return CommandLine(tmp_path / "home", options, capsys)


@pytest.fixture
def party(tmp_path: Path, chain: Chain, quancheng: CommandLine) -> Callable[[Party], CommandLine]:
    """A party of the test chain, with a node and no gateway."""
    deployment = tmp_path / "deployment.json"
    write_deployment(chain.deployment, deployment)

    return lambda who: quancheng.of(who, chain.node.url, deployment)
