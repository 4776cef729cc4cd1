"""`make gas`, and that what the Makefile starts is there."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from scripts import gas


def cost_of(printed: str, size: int) -> int:
    """Gas of an access in a batch, whose keys answer 256 requests each."""
    found = re.search(rf"{size} accesses in one transaction +│ +[\d,]+ +│ +([\d,]+)", printed)
    assert found is not None
    return int(found[1].replace(",", ""))


def test_publishing_costs_the_same_and_an_access_keeps_to_the_goal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert gas.main() == 0
    printed = capsys.readouterr().out
    costs = [int(cost.replace(",", "")) for cost in re.findall(r"│ publish .*?│ ([\d,]+)", printed)]
    assert len(costs) == len(gas.RECORDS)
    assert max(costs) - min(costs) < 100  # the count's own bytes
    assert printed.count("authorize") == 2
    each, ten = (
        int(cost.replace(",", ""))
        for cost in re.findall(r"for each key of answers +│ +[\d,]+ +│ +([\d,]+)", printed)
    )
    assert 17_000 < each - cost_of(printed, 100) < 23_000, "a storage slot for each request"
    assert each > ten > cost_of(printed, 100)
    assert printed.rstrip().endswith("met")


def test_a_missed_goal_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gas, "GOAL", 12_000)
    assert gas.main() == 1


@pytest.mark.parametrize(
    "module",
    sorted(set(re.findall(r"\$\(python\) -m (scripts(?:\.\w+)+)", Path("Makefile").read_text()))),
)
def test_what_the_makefile_starts_is_there(module: str) -> None:
    assert find_spec(module) is not None
