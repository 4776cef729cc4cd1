"""Run Slither over the contracts and fail for every finding that slither.toml does not explain.

    python -m scripts.check_slither

An explanation that no finding needs any more fails too, so that the list stays true.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from scripts.build import ROOT

REPORT = ROOT / "var" / "cache" / "slither.json"


class SlitherError(Exception):
    """Slither did not run, or slither.toml cannot be used."""


@dataclass(frozen=True)
class Accepted:
    """Findings that are right as they are: whose, where (a pattern), and why."""

    detector: str
    where: str
    reason: str


@dataclass(frozen=True)
class Finding:
    """One finding: the detector, the element that it is about, and Slither's own words."""

    detector: str
    where: str
    description: str

    def is_explained_by(self, accepted: Accepted) -> bool:
        """Tell whether this is one of the findings that `accepted` speaks of."""
        return self.detector == accepted.detector and fnmatchcase(self.where, accepted.where)


def read_accepted() -> list[Accepted]:
    """Return the explanations of slither.toml.

    Raises:
        SlitherError: one lacks its detector, its place or its reason.
    """
    entries = tomllib.loads((ROOT / "slither.toml").read_text(encoding="utf-8")).get("accepted", [])
    try:
        return [Accepted(**entry) for entry in entries]
    except TypeError as error:
        raise SlitherError(f"slither.toml: {error}") from error


def run() -> list[Finding]:
    """Return what Slither finds in our own contracts.

    Raises:
        SlitherError: the contracts do not compile, or Slither fails.
    """
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.unlink(missing_ok=True)  # Slither refuses to overwrite it
    command = [
        *("slither", ".", "--compile-force-framework", "foundry"),
        *("--filter-paths", "node_modules|/tests/contracts/", "--json", str(REPORT)),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if not REPORT.exists():
        # Slither keeps the compiler's words to itself, so ask forge why there is nothing to read.
        build = subprocess.run(
            ["forge", "build"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        raise SlitherError(build.stdout + build.stderr if build.returncode else done.stderr)
    report: dict[str, Any] = json.loads(REPORT.read_text(encoding="utf-8"))
    if not report["success"]:
        raise SlitherError(f"{report['error']}\n{done.stderr}")
    return [_finding(each) for each in report["results"].get("detectors", [])]


def _finding(raw: dict[str, Any]) -> Finding:
    return Finding(raw["check"], _place(raw["elements"]), raw["description"].rstrip())


def _place(elements: list[dict[str, Any]]) -> str:
    """Return what the first element belongs to and is, as "Contract.function.variable"."""
    names: list[str] = []
    element = elements[0] if elements else {}
    while element and element["type"] != "file":
        if element["type"] != "node":  # a statement has no name, only the function that it is in
            names.append(element["name"])
        element = element.get("type_specific_fields", {}).get("parent", {})
    return ".".join(reversed(names))


def _problems(findings: list[Finding], accepted: list[Accepted]) -> Iterator[str]:
    for finding in findings:
        if not any(finding.is_explained_by(each) for each in accepted):
            yield f"[{finding.detector}] {finding.where}\n{finding.description}\n"
    for each in accepted:
        if not any(finding.is_explained_by(each) for finding in findings):
            yield f"slither.toml: nothing needs the explanation of {each.detector} in {each.where}"


def main() -> int:
    """Print what is not explained; return the exit status."""
    try:
        accepted = read_accepted()
        findings = run()
    except SlitherError as error:
        print(f"check-slither: {error}", file=sys.stderr)
        return 1
    problems = list(_problems(findings, accepted))
    for problem in problems:
        print(f"check-slither: {problem}", file=sys.stderr)
    print(f"check-slither: {len(findings)} findings, {len(problems)} to look at")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
