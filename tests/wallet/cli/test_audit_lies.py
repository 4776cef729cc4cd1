"""What the audit's commands show comes from the reading that they checked, whatever the node or the file says."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ledger.chain.deployment import write_deployment
from ledger.errors import ExitCode
from ledger.hexstr import to_hex
from tests.support.lies import History, Tamper, changed, history, repeated, without
from tests.support.node_proxy import Lie, honest
from tests.wallet.cli.conftest import CommandLine

__all__ = ["history"]

NOT_CHECKED = "NOT CHECKED: whether this is the end"
ENDINGS = ("jsonl", "csv", "parquet")


@pytest.fixture
def regulator(history: History, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """Asks the node that may lie."""
    history.proxy.lie = honest
    deployment = tmp_path / "deployment.json"
    write_deployment(history.chain.deployment, deployment)
    options = ("--node", history.proxy.url, "--deployment", str(deployment))
    return CommandLine(tmp_path / "home", options, capsys)


def rewritten(trail: Path, tamper: Tamper) -> None:
    """Let a trail file tell something else, and its last line say the right number of logs."""
    first, *lines, last = trail.read_bytes().splitlines()
    logs = tamper([json.loads(line) for line in lines])
    footer = {**json.loads(last), "logs": len(logs)}
    texts = [json.dumps(log, separators=(",", ":")).encode() for log in [*logs, footer]]
    trail.write_bytes(b"\n".join([first, *texts]) + b"\n")


def counted(page: str) -> int:
    """How many accesses a report counts by their outcomes."""
    table = page.partition("Outcomes")[2].partition("</table>")[0]
    return sum(map(int, re.findall(r"<td>(\d+)</td></tr>", table)))


@pytest.mark.parametrize("tamper", [without, repeated, changed])
def test_every_lie_of_a_node_is_in_the_report_for_people_too(
    history: History,
    regulator: CommandLine,
    tmp_path: Path,
    tamper: Callable[[int], Tamper],
) -> None:
    allowed = history.telling(tamper)
    kinds = ("PartyAdmitted", "Granted", "Accessed", "Recorded", "OrderReviewed")
    places = [history.places(kind)[0] for kind in kinds]
    for place in [place for place in places if place in allowed]:
        page = tmp_path / f"{place}.html"
        history.tell(tamper(place))
        done = regulator("audit", "replay", "--html", str(page), "--json")
        assert done.code == ExitCode.NOT_VERIFIED, (history.logs[place], done.err)
        shown = page.read_text("utf-8")
        count = done.document["finding_count"]
        assert not done.document["clean"]
        assert f"Replay found {count} differences." in shown
        for finding in done.document["findings"]:
            assert f"<td>{finding['kind']}</td>" in shown
        assert counted(shown) == done.document["accesses"]


@pytest.mark.parametrize("tamper", [without, repeated, changed])
def test_every_lie_of_a_trail_file_ends_every_command_with_the_verdict(
    history: History,
    regulator: CommandLine,
    tmp_path: Path,
    tamper: Callable[[int], Tamper],
) -> None:
    trail, page, table = (tmp_path / name for name in ("trail.jsonl", "page.html", "table.jsonl"))
    regulator.json("audit", "export", str(trail), "--trail-file")
    whole = trail.read_bytes()
    party = to_hex(history.chain.parties.bank.address)
    for place in history.telling(tamper):
        trail.write_bytes(whole)
        rewritten(trail, tamper(place))
        commands: dict[str, tuple[str, ...]] = {"replay": ("replay", "--html", str(page))}
        if place % 3 == 0:  # the others read as this one does
            commands["export"] = ("export", str(table))
            commands["trace"] = ("trace", "--party", party)
        found = {}
        for name, command in commands.items():
            done = regulator("audit", *command, "--trail", str(trail), "--json")
            assert done.code == ExitCode.NOT_VERIFIED, (name, history.logs[place], done.err)
            document = done.document
            found[name] = document if name == "replay" else {**document["replay"], "trial": True}
        replay = found["replay"]
        assert all(one == replay for one in found.values())
        assert counted(page.read_text("utf-8")) == replay["accesses"]
        if place % 3 == 0:
            assert len(table.read_bytes().splitlines()) == replay["accesses"]


def hiding_accesses_from_the_second_reading(history: History) -> Lie:
    """Be honest to whoever reads first, and drop all accesses from what anybody reads then."""
    newest = int(history.logs[-1]["blockNumber"], 16)
    log = to_hex(history.chain.contracts.access_log)
    readings = 0

    def lie(method: str, params: list[Any], result: Any) -> Any:
        nonlocal readings
        if method != "eth_getLogs":
            return result
        told = result if not readings else [one for one in result if one["address"] != log]
        readings += int(params[0]["toBlock"], 16) >= newest
        return told

    return lie


def test_a_node_that_lies_from_the_second_reading_on_has_lied_to_nobody(
    history: History, regulator: CommandLine, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    history.proxy.lie = hiding_accesses_from_the_second_reading(history)
    report = regulator.json("audit", "replay", "--html", str(page))
    assert report["accesses"] == len(history.places("Accessed"))
    assert counted(page.read_text("utf-8")) == report["accesses"]
    # It was asked for everything once: whoever asks now gets the lie.
    assert regulator("audit", "replay").code == ExitCode.NOT_VERIFIED


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_table_of_a_trail_that_is_cut_is_made_and_said_to_be_wrong(
    history: History, regulator: CommandLine, tmp_path: Path, ending: str
) -> None:
    table = tmp_path / f"accesses.{ending}"
    last = history.places("Accessed")[-1]
    history.tell(lambda logs: logs[:last])
    done = regulator("audit", "export", str(table), "--json")
    assert done.code == ExitCode.NOT_VERIFIED
    assert {one["kind"] for one in done.document["replay"]["findings"]} >= {"other end"}
    assert done.document["accesses"] == len(history.places("Accessed")) - 1
    assert table.exists()


def test_what_is_not_checked_is_said_and_a_known_end_checks_it(
    history: History, regulator: CommandLine, tmp_path: Path
) -> None:
    end = str(history.end.known)
    table, party = tmp_path / "accesses.csv", to_hex(history.chain.parties.bank.address)
    for command in (("export", str(table)), ("trace", "--party", party)):
        shown = regulator("audit", *command)
        assert NOT_CHECKED in shown.out
        assert "none: no signature was checked" in shown.out
        document = regulator.json("audit", *command, "--end", end)["replay"]
        assert (document["clean"], document["end_check"]) == (True, "as named")
        other = end[:-1] + ("0" if end[-1] != "0" else "1")
        assert regulator("audit", *command, "--end", other).code == ExitCode.NOT_VERIFIED
    raw = regulator("audit", "export", str(tmp_path / "trail.jsonl"), "--trail-file")
    assert "NOT CHECKED" in raw.out


@pytest.mark.parametrize("member", ["blockTimestamp", "blockNumber", "logIndex"])
@pytest.mark.parametrize("value", [hex(2**40), hex(2**62), hex(2**64), hex(2**300), "-0x1"])
def test_a_place_or_a_time_that_cannot_be_is_a_difference_and_no_crash(
    history: History, regulator: CommandLine, tmp_path: Path, member: str, value: str
) -> None:
    trail = tmp_path / "trail.jsonl"
    regulator.json("audit", "export", str(trail), "--trail-file")
    place = history.places("Accessed")[0]

    def tamper(logs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        logs[place][member] = value
        return logs

    rewritten(trail, tamper)
    party = to_hex(history.chain.parties.bank.address)
    for command in (
        ("replay", "--html", str(tmp_path / "page.html")),
        *(("export", str(tmp_path / f"table.{ending}")) for ending in ENDINGS),
        ("trace", "--party", party),
    ):
        done = regulator("audit", *command, "--trail", str(trail))
        assert done.code == ExitCode.NOT_VERIFIED, (command, done.err)


def test_a_reading_that_breaks_off_leaves_no_table_that_looks_whole(
    history: History, regulator: CommandLine, tmp_path: Path
) -> None:
    trail, table = tmp_path / "trail.jsonl", tmp_path / "accesses.csv"
    regulator.json("audit", "export", str(trail), "--trail-file")
    lines = trail.read_bytes().splitlines(keepends=True)
    trail.write_bytes(b"".join(lines[:-3]))
    done = regulator("audit", "export", str(table), "--trail", str(trail))
    assert done.code == ExitCode.NOT_VERIFIED
    assert "cut off" in done.err
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith("accesses")] == []


def test_the_verdict_counts_more_than_a_page_that_cannot_be_written(
    history: History, regulator: CommandLine, tmp_path: Path
) -> None:
    nowhere = str(tmp_path / "nowhere" / "page.html")
    assert regulator("audit", "replay", "--html", nowhere).code == ExitCode.BAD_INPUT
    history.tell(without(history.places("Granted")[0]))
    done = regulator("audit", "replay", "--html", nowhere)
    assert done.code == ExitCode.NOT_VERIFIED
    assert "Differences (4)" in done.out
    assert "nowhere" in done.err


def test_the_rows_of_a_table_are_those_of_the_chain(
    history: History, regulator: CommandLine, tmp_path: Path
) -> None:
    table = tmp_path / "accesses.csv"
    regulator.json("audit", "export", str(table))
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["sequence"]) for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) == len(history.places("Accessed"))
