"""SECURITY.md and docs/threats.md: each power of a contract has its row, each row its tests, and these are there."""

import re
from pathlib import Path
from typing import Final

import pytest

from ledger.artifacts import CONTRACTS, load_artifact

ROOT: Final = Path(__file__).parent.parent
_NAME: Final = re.compile(r"`([\w]+)`")
_FILE: Final = re.compile(r"`(?:tests/)?([\w/]+\.(?:t\.sol|py))`")
_COUNTED_BY_THE_LOG: Final = {"use"}
"""What only another contract may call."""


def rows_of(page: str, heading: str) -> list[list[str]]:
    """The cells of the first table after a heading, without its head."""
    text = (ROOT / page).read_text("utf-8").split(heading, 1)[1]
    lines = text[text.index("\n|") :].strip().split("\n\n", 1)[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


POWERS: Final = rows_of("SECURITY.md", "## Who can do what")
THREATS: Final = rows_of("docs/threats.md", "# Threats")


def powers_of_contracts() -> set[str]:
    return {
        entry.name
        for name in CONTRACTS
        for entry in load_artifact(name).abi
        if entry.type == "function" and entry.state_mutability not in ("view", "pure")
    }


def test_every_function_that_changes_state_has_a_row_that_says_who_stops_it() -> None:
    named = {name for row in POWERS for name in _NAME.findall(" ".join(row[1:3]))}
    assert powers_of_contracts() - named - _COUNTED_BY_THE_LOG == set()


@pytest.mark.parametrize("row", POWERS, ids=lambda row: f"{row[0]}: {row[1]}"[:60])
def test_every_power_has_four_cells_and_tests_that_are_there(row: list[str]) -> None:
    assert len(row) == 4
    files = _FILE.findall(row[3])
    assert files
    assert [file for file in files if not (ROOT / "tests" / file).exists()] == []


@pytest.mark.parametrize("row", THREATS, ids=lambda row: row[0][:60])
def test_every_threat_has_four_cells_and_tests_that_are_there(row: list[str]) -> None:
    assert len(row) == 4
    first = _FILE.findall(row[3])[0]
    assert (ROOT / "tests" / first).exists()
