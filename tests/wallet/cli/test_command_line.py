"""The command line itself: its commands, its exit codes, its secrets, its one JSON document."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from ledger.api import RecordedAccess, Refusal
from ledger.chain import embedded
from ledger.chain.deployment import WrongNodeError
from ledger.chain.rpc import RpcError
from ledger.errors import ExitCode, LedgerError, MalformedError
from scripts.city.corrupt import Defect, corrupt
from scripts.city.manifest import read_manifest
from scripts.city.write import Size, write_city
from tests.support.errors import of_kind
from tests.wallet.cli.conftest import CommandLine
from wallet.cli.output import mask_of, span_of, time_of
from wallet.cli.run import app, described
from wallet.client.errors import (
    Check,
    ClientError,
    DeniedError,
    ErrorKind,
    NodeError,
    ProblemError,
    RefusedError,
    UnreachableError,
    VerificationError,
)
from wallet.errors import InputError, KeystoreError, KeystoreErrorKind, PartyError, WalletError
from wallet.provider.errors import ProviderError
from wallet.supervisor import SupervisorError

COMMANDS = {
    "up": set(),
    "chain": {"start", "deploy", "roster", "status"},
    "gateway": {"serve"},
    "keyholder": {"serve", "rotate"},
    "identity": {"serve", "enrol", "recover", "owners"},
    "authority": {"admit", "purpose", "order", "restrict"},
    "provider": {"dataset", "publish", "approve"},
    "wallet": {"new", "inbox", "grant", "refuse", "revoke", "freeze", "history", "receipt"},
    "consumer": {"apply", "request", "wait", "access", "open", "verify"},
    "audit": {"replay", "trace", "evidence", "verify", "export"},
}


def commands_of(command: Any) -> dict[str, Any]:
    """The commands of a group; none of a command."""
    found: dict[str, Any] = getattr(command, "commands", {})
    return found


def test_every_command_of_the_list_is_there_with_help() -> None:
    groups = commands_of(typer.main.get_command(app))
    assert set(groups) == set(COMMANDS)
    for name, wanted in COMMANDS.items():
        found = commands_of(groups[name])
        assert wanted <= set(found), name
        for text in [[name], *([name, each] for each in found)]:
            shown = CliRunner().invoke(app, [*text, "--help"])
            assert shown.exit_code == 0, text


def test_no_option_takes_a_secret() -> None:
    groups = commands_of(typer.main.get_command(app))
    commands = [each for group in groups.values() for each in commands_of(group).values()]
    options = {
        option
        for command in (*commands, groups["up"])
        for parameter in command.params
        for option in parameter.opts
    }
    assert {"--person", "--yes"} <= options
    for word in ("password", "secret", "private", "id-number"):
        assert not [option for option in options if word in option], word


ACCESS = RecordedAccess(bytes(32), 7, 16, 1, bytes(32), 1, bytes(32), 0)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DeniedError(ACCESS, "UsesExhausted"), ExitCode.DENIED),
        (VerificationError(Check.VALUES, "x"), ExitCode.NOT_VERIFIED),
        (ProviderError("RootMismatch", "x"), ExitCode.NOT_VERIFIED),
        (PartyError("Differences", "x"), ExitCode.NOT_VERIFIED),
        (RefusedError("RoleMissing"), ExitCode.REFUSED),
        *(
            (ProblemError(Refusal("t", "x", status)), code)
            for status, code in (
                (400, ExitCode.BAD_INPUT),
                (401, ExitCode.REFUSED),
                (403, ExitCode.REFUSED),
                (404, ExitCode.NOT_FOUND),
                (409, ExitCode.REFUSED),
                (410, ExitCode.NOT_FOUND),
                (412, ExitCode.REFUSED),
                (413, ExitCode.BAD_INPUT),
                (422, ExitCode.BAD_INPUT),
                (429, ExitCode.TRY_AGAIN),
                (500, ExitCode.FAILED),
                (503, ExitCode.TRY_AGAIN),
            )
        ),
        (ClientError("x", ErrorKind.UNKNOWN_NAME), ExitCode.NOT_FOUND),
        (UnreachableError("x"), ExitCode.TRY_AGAIN),
        (NodeError("x"), ExitCode.TRY_AGAIN),
        (RpcError("x"), ExitCode.TRY_AGAIN),
        (ClientError("x", ErrorKind.NO_KEY), ExitCode.NO_KEY),
        (KeystoreError("x", KeystoreErrorKind.WRONG_PASSWORD), ExitCode.NO_KEY),
        (KeystoreError("x", KeystoreErrorKind.PASSWORD), ExitCode.NO_KEY),
        (ClientError("x", ErrorKind.NOT_ANSWERED), ExitCode.NO_ANSWER),
        (ProviderError("NothingToPublish", "x"), ExitCode.NO_ANSWER),
        (SupervisorError("PortInUse", "x"), ExitCode.IN_USE),
        (ProviderError("Source", "x"), ExitCode.BAD_INPUT),
        (InputError("x"), ExitCode.BAD_INPUT),
        (PartyError("Cancelled", "x"), ExitCode.FAILED),
        (MalformedError("x"), ExitCode.FAILED),
    ],
)
def test_each_error_has_its_exit_code(error: WalletError | LedgerError, code: ExitCode) -> None:
    assert error.exit_code is code


def test_the_exit_codes_are_those_of_the_documentation() -> None:
    text = Path("docs/cli.md").read_text("utf-8")
    for code in ExitCode:
        assert f"| {int(code)} |" in text, code


def test_an_unknown_command_is_a_usage_error(quancheng: CommandLine) -> None:
    assert quancheng("consumer", "steal").code == ExitCode.USAGE
    assert quancheng("provider", "publish").code == ExitCode.USAGE


# JSON


def test_json_may_stand_anywhere(quancheng: CommandLine) -> None:
    first = quancheng("--json", "consumer", "key").document
    assert quancheng("consumer", "--json", "key").document == first
    assert quancheng("consumer", "key", "--json").document == first


def test_an_error_is_one_json_document_too(quancheng: CommandLine) -> None:
    done = quancheng("consumer", "access", "0x12", "--json")
    assert done.code == ExitCode.BAD_INPUT
    assert done.out == ""
    assert done.error["kind"] == "Input"
    assert done.error["exit_code"] == ExitCode.BAD_INPUT


def test_people_get_one_line(quancheng: CommandLine) -> None:
    done = quancheng("consumer", "access", "0x12")
    assert done.err.splitlines() == ["error: basis: needs 32 bytes, has 1"]


# Keys and passwords


def test_keys_are_drawn_once(quancheng: CommandLine) -> None:
    first = quancheng.json("provider", "key")
    assert quancheng.json("provider", "key") == first
    assert len(first["address"]) == 42
    modes = {path.stat().st_mode & 0o077 for path in (quancheng.home / "keystore").iterdir()}
    assert modes == {0}


def test_a_wrong_password_opens_nothing(
    quancheng: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    quancheng.json("consumer", "key")
    monkeypatch.setenv("TEST_PASSWORD", "another one")
    done = quancheng("consumer", "key")
    assert done.code == ExitCode.NO_KEY
    assert "wrong password" in done.err


def test_without_a_terminal_the_password_must_come_from_somewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "wallet.cli", "--home", str(tmp_path), "consumer", "key"]
    done = subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
    )
    assert done.returncode == ExitCode.NO_KEY
    assert "fd:NUMBER or env:NAME" in done.stderr


def test_a_password_comes_through_a_file_descriptor(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"from a pipe\n")
    os.close(writing)
    command = [
        *(sys.executable, "-m", "wallet.cli", "--home", str(tmp_path)),
        *("--password", f"fd:{reading}", "--scrypt-n", "4096", "--json", "consumer", "key"),
    ]
    done = subprocess.run(command, check=False, pass_fds=[reading], capture_output=True, text=True)
    os.close(reading)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["address"].startswith("0x")


@pytest.mark.parametrize("damage", ["cut", "changed", "open", "gone"])
def test_a_damaged_keystore_is_told(quancheng: CommandLine, damage: str) -> None:
    quancheng.json("consumer", "key")
    file = quancheng.home / "keystore" / "account.json"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:50])
    elif damage == "changed":
        text = json.loads(file.read_text())
        text["crypto"]["ciphertext"] = "00" * 32
        file.write_text(json.dumps(text))
    elif damage == "open":
        file.chmod(0o644)
    else:
        (quancheng.home / "keystore").chmod(0o755)
    done = quancheng("consumer", "key")
    assert done.code == ExitCode.NO_KEY
    assert len(done.err.splitlines()) == 1


def test_without_contracts_nothing_is_sent(quancheng: CommandLine) -> None:
    quancheng.json("consumer", "key")
    done = quancheng("consumer", "appeal", "please")
    assert done.code == ExitCode.BAD_INPUT
    assert "--deployment" in done.err


# Files


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("city")
    write_city(directory, 3, Size(people=100, enterprises=10, records=300))
    return directory


def check(quancheng: CommandLine, city: Path, file: Path, code: str, *more: str) -> object:
    description = ("-d", str(city / "datasets.json"), "--code", code)
    return quancheng("provider", "check", str(file), *description, *more)


def test_a_sound_file_passes(quancheng: CommandLine, city: Path) -> None:
    done = quancheng(
        *("provider", "check", str(city / "housing/real-estate.csv"), "--json"),
        *("-d", str(city / "datasets.json"), "--code", "real-estate"),
    )
    assert done.code == 0
    assert done.document["records"] == done.document["sound"] > 0
    assert done.document["defects"] == []


@pytest.mark.parametrize(
    "defect", [defect for defect in Defect if defect is not Defect.WRONG_HEADER]
)
def test_a_defective_file_is_listed_line_by_line(
    quancheng: CommandLine, city: Path, tmp_path: Path, defect: Defect
) -> None:
    dataset = read_manifest(city).dataset("real-estate")
    damage = corrupt(city / dataset.file, dataset, defect, tmp_path / "bad.csv")
    arguments = ("provider", "check", str(damage.path), "-d", str(city / "datasets.json"))
    done = quancheng(*arguments, "--code", "real-estate", "--json")
    assert done.code == ExitCode.BAD_INPUT
    assert damage.line in [one["line"] for one in done.document["defects"]]
    shown = quancheng(*arguments, "--code", "real-estate")
    assert str(damage.line) in shown.out


def test_a_wrong_header_is_one_clear_line(
    quancheng: CommandLine, city: Path, tmp_path: Path
) -> None:
    dataset = read_manifest(city).dataset("real-estate")
    damage = corrupt(city / dataset.file, dataset, Defect.WRONG_HEADER, tmp_path / "bad.csv")
    arguments = ("provider", "check", str(damage.path), "-d", str(city / "datasets.json"))
    done = quancheng(*arguments, "--code", "real-estate")
    assert done.code == ExitCode.BAD_INPUT
    assert damage.column in done.err
    assert len(done.err.splitlines()) == 1


def test_another_encoding_is_taken_when_said_so(
    quancheng: CommandLine, city: Path, tmp_path: Path
) -> None:
    dataset = read_manifest(city).dataset("real-estate")
    damage = corrupt(city / dataset.file, dataset, Defect.WRONG_ENCODING, tmp_path / "bad.csv")
    arguments = ("provider", "check", str(damage.path), "-d", str(city / "datasets.json"))
    done = quancheng(*arguments, "--code", "real-estate", "--encoding", "gb18030", "--json")
    assert done.code == 0


@pytest.mark.parametrize("missing", ["no-such.csv", "no-such.json"])
def test_a_missing_file_is_told(quancheng: CommandLine, city: Path, missing: str) -> None:
    file = missing if missing.endswith("csv") else str(city / "housing/real-estate.csv")
    description = missing if missing.endswith("json") else str(city / "datasets.json")
    done = quancheng("provider", "check", file, "-d", description, "--code", "real-estate")
    assert done.code == ExitCode.BAD_INPUT
    assert "No such file" in done.err


# Ports


def test_a_port_in_use_is_told(quancheng: CommandLine, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = quancheng("chain", "start", str(tmp_path / "chain"), "--port", port)
    assert done.code == ExitCode.IN_USE
    assert port in done.err


# Values


def test_spans_times_and_fields_are_read() -> None:
    assert [span_of(text) for text in ("30", "90s", "15m", "12h", "7d", "2w")] == [
        *(30, 90, 900, 43_200, 604_800, 1_209_600)
    ]
    assert time_of("+1h", now=1000) == 4600
    assert time_of("1790000000") == 1_790_000_000
    assert time_of("2026-12-01T18:00+08:00") == 1_796_119_200
    names = ("姓名 / Name", "面积 / Floor area", "地址 / Address")
    assert mask_of(names, "Name,面积") == 0b011
    assert mask_of(names, "2, 0") == 0b101
    assert mask_of(names, "all") == 0b111
    for wrong in ("tomorrow", "5y", "+x"):
        with pytest.raises(InputError):
            time_of(wrong)
    with pytest.raises(ClientError, check=of_kind(ErrorKind.UNKNOWN_NAME)):
        mask_of(names, "Salary")
    with pytest.raises(InputError):
        mask_of(names, " , ")


@pytest.mark.parametrize("command", ["freeze", "rotate", "veto", "guardian"])
def test_what_is_done_to_several_ids_can_be_spread_in_time(command: str) -> None:
    """Ids that change side by side show everybody that they are one person's."""
    wallet = typer.main.get_command(app).commands["wallet"]  # type: ignore[attr-defined]
    options = {option for param in wallet.commands[command].params for option in param.opts}
    assert {"--subject", "--over"} <= options


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RpcError("x", "timeout"), "NodeTimeout"),
        (RpcError("x", "unreachable"), "NodeUnreachable"),
        (WrongNodeError("x").labelled("OtherGenesis"), "OtherGenesis"),
        (embedded.NodeError("x", "data in use"), "DataInUse"),
        (embedded.NodeError("x"), "Node"),
        (MalformedError("x"), "Malformed"),
    ],
)
def test_a_failed_command_says_what_kind_of_error_it_is(error: LedgerError, kind: str) -> None:
    assert described(error)["kind"] == kind
