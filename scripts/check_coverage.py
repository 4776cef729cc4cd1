"""Print the branch coverage of the contracts from an lcov file, and fail below the goal.

    python -m scripts.check_coverage var/forge/coverage/lcov.info

`make coverage` lets forge write that file first.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

GOAL = 95.0  # per cent of all branches of all contracts


@dataclass
class Branches:
    """Branches of one source file: how many there are, how many were taken, lines of the others."""

    found: int
    hit: int
    missed_lines: list[int]

    @property
    def percent(self) -> float:
        """Share of the branches that was taken."""
        return 100.0 * self.hit / self.found if self.found else 100.0


def read(lcov: str) -> dict[str, Branches]:
    """Return the branches by source file of an lcov report."""
    files: dict[str, Branches] = {}
    current = Branches(0, 0, [])
    for line in lcov.splitlines():
        key, _, value = line.partition(":")
        if key == "SF":
            current = files.setdefault(value, Branches(0, 0, []))
        elif key == "BRDA":
            number, _, _, taken = value.split(",")
            current.found += 1
            if taken in {"-", "0"}:
                current.missed_lines.append(int(number))
            else:
                current.hit += 1
    return files


def main(arguments: list[str]) -> int:
    """Print the table; return the exit status."""
    files = read(Path(arguments[0]).read_text(encoding="utf-8"))
    total = Branches(
        sum(each.found for each in files.values()), sum(each.hit for each in files.values()), []
    )
    for name, each in sorted(files.items()):
        missed = ", ".join(str(line) for line in sorted(set(each.missed_lines)))
        print(f"{name:44} {_figures(each)}{'  lines ' + missed if missed else ''}")
    print(f"{'branch coverage of the contracts':44} {_figures(total)}")
    if not total.found:
        print("coverage: no branch was measured", file=sys.stderr)
        return 1
    if total.percent < GOAL:
        print(f"coverage: {total.percent:.2f} % is less than {GOAL} %", file=sys.stderr)
        return 1
    return 0


def _figures(each: Branches) -> str:
    return f"{each.percent:6.2f} %  {each.hit:4} of {each.found:4}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
