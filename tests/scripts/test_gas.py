"""`make gas`, and that what the Makefile starts is there."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from scripts import gas


def test_publishing_costs_the_same_and_an_access_keeps_to_the_goal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert gas.main() == 0
    printed = capsys.readouterr().out
    costs = [int(cost.replace(",", "")) for cost in re.findall(r"│ publish .*?│ ([\d,]+)", printed)]
    assert len(costs) == len(gas.RECORDS)
    assert max(costs) - min(costs) < 100  # the count's own bytes
    assert printed.count("authorize") == 2
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
