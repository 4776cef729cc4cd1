"""Where a deployment is a trial, no party's power is bounded: every command and report says so."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import typer
from typer.core import TyperGroup

from ledger.chain.deployment import Deployment, read_deployment, write_deployment
from ledger.replay.sources import replay_node
from scripts.scenario import Chain
from tests.wallet.cli.conftest import CommandLine
from wallet.cli.output import Output
from wallet.cli.run import app
from wallet.regulator.report import Summary, make_report

UNBOUNDED = "trial       YES: its delays can be shorter than 3 days, no party's power is bounded"


def commands(group: object, *path: str) -> Iterator[tuple[str, ...]]:
    """Every command there is, as it is called."""
    if isinstance(group, TyperGroup):
        for name, command in group.commands.items():
            yield from commands(command, *path, name)
    else:
        yield path


EVERY = sorted(commands(typer.main.get_command(app)))


def deployed(chain: Chain, directory: Path, *, trial: bool) -> Path:
    path = directory / f"{trial}.json"
    write_deployment(msgspec.structs.replace(chain.deployment, trial=trial), path)
    return path


@pytest.mark.parametrize("command", EVERY, ids=" ".join)
def test_every_command_says_that_the_deployment_is_a_trial(
    chain: Chain, quancheng: CommandLine, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """Whatever becomes of it: here most lack an argument."""
    file = deployed(chain, tmp_path, trial=True)
    assert UNBOUNDED in quancheng("--deployment", str(file), *command, "--no-such-option").err
    file = deployed(chain, tmp_path, trial=False)
    serious = quancheng("--deployment", str(file), *command, "--no-such-option")
    assert "trial" not in serious.err


def test_there_are_commands_of_all_kinds() -> None:
    groups = {path[0] for path in EVERY if len(path) > 1}
    expected = {"audit", "authority", "chain", "consumer", "gateway", "identity"}
    assert groups == expected | {"keyholder", "provider", "wallet"}


@pytest.mark.parametrize(
    "command",
    [
        ("audit", "head"),
        ("audit", "replay"),
        ("audit", "trace", "--party", "0x" + "11" * 20),
        ("chain", "status"),
        ("audit", "export", "trail.ndjson", "--trail-file"),
    ],
    ids=lambda command: command[1],
)
def test_machines_are_told_in_the_document(
    chain: Chain,
    quancheng: CommandLine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    file = deployed(chain, tmp_path, trial=True)
    done = quancheng("--node", chain.node.url, "--deployment", str(file), *command, "--json")
    assert done.document["trial"] is True


def test_a_list_is_printed_as_it_is_and_machines_people_are_told(
    chain: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for trial, told in ((True, "trial\n"), (False, "")):
        output = Output(machine=True)
        output.tell_trial(read_deployment(deployed(chain, tmp_path, trial=trial)))
        output.result([1, 2])
        seen = capsys.readouterr()
        assert (json.loads(seen.out), seen.err) == ([1, 2], told)


def test_the_report_for_people_says_it_first(chain: Chain, tmp_path: Path) -> None:
    def page_of(deployment: Deployment) -> str:
        return make_report(deployment, report, Summary())

    report = replay_node(chain.rpc, chain.deployment, [])
    trial = page_of(read_deployment(deployed(chain, tmp_path, trial=True)))
    serious = page_of(read_deployment(deployed(chain, tmp_path, trial=False)))
    assert trial.index("This deployment is a trial") < trial.index("Replay found")
    assert "no party&#x27;s power is bounded" in trial.split("What was replayed")[1]
    assert "This deployment is a trial" not in serious
    assert "<td>trial</td><td>no:" in serious
