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


CALLERS: Final = {
    "data bureau": "admit withdraw retractAdmission announceChange retractChange announce registerPurpose bindFields retirePurpose issueOrder endOrder",
    "regulator": "restrict lift vetoAdmission vetoChange countersignOrder endOrder reviewOrder appointSupervisor"
    " dismissSupervisor reviewSuspension voidAccess",
    "supervisor (machine)": "suspendAgreement",
    "identity authority": "registerSubjects startRecovery closeSubject openSubject endLinks",
    "recorder": "record",
    "consumer": "nameRecorder dismissRecorder setEncryptionKey appeal applyFor signConfidentiality withdrawAgreement",
    "thief of a consumer's signing key": "nameRecorder dismissRecorder setEncryptionKey appeal applyFor"
    " signConfidentiality withdrawAgreement",
    "department": "registerDataset publish approve reclassify withdrawDataset withdrawAgreement decline erase endOrder"
    " setEncryptionKey",
    "person (current key)": "grant confirm revoke setFrozen rotateSigner appointGuardian vetoRecovery openSubject",
    "guardian": "grant confirm revoke setFrozen",
    "anybody": "activate makeChange completeRecovery",
}
"""Who may call which function: whom each contract's guards let through, in the words of the table."""


def powers_of(role: str) -> set[str]:
    """What the rows of a role name as its power."""
    rows = [row for row in POWERS if role in row[0].split(", ")]
    return {name for row in rows for name in _NAME.findall(row[1])}


@pytest.mark.parametrize("role", CALLERS)
def test_each_function_stands_as_a_power_in_a_row_of_each_role_that_may_call_it(role: str) -> None:
    assert set(CALLERS[role].split()) - powers_of(role) == set()
    others = powers_of(role) & powers_of_contracts() - set(CALLERS[role].split())
    assert others == set(), "and no row gives a role what it may not call"


def test_every_function_that_changes_state_has_somebody_who_may_call_it() -> None:
    named = {name for names in CALLERS.values() for name in names.split()}
    assert named == powers_of_contracts() - _COUNTED_BY_THE_LOG


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
