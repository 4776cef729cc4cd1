"""Mutation testing of the modules that decide: mutmut changes one small thing, and a test must fail.

    python -m scripts.mutants [PATTERN...]

Patterns choose mutants (`"ledger.crypto.merkle.*"`); all by default. What to change and which tests must notice stands
in pyproject.toml, `[tool.mutmut]`. Prints each change that lives and a line for each module, and ends with 1 when
fewer than 98 % of a module's changes were killed. Why mutmut: docs/decisions/mutation-testing.md.
"""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from difflib import unified_diff
from pathlib import Path
from textwrap import indent
from typing import Final

ROOT: Final = Path(__file__).parents[1]
WORK: Final = ROOT / "var" / "mutmut"
"""mutmut works in `mutants/` of the directory in which it starts; here it does not get in the way of other tools."""

MIN_PERCENT: Final = 98
# A mutant that hangs is stopped by a test's time limit, or by mutmut.
KILLED: Final = frozenset(("killed", "timeout", "segfault"))


def main() -> int:
    """Run mutmut, then judge what it found."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        config = tomllib.load(file)["tool"]["mutmut"]
    prepare([*config["source_paths"], *config["also_copy"], "tests", "pyproject.toml"])
    os.nice(10)
    log = ROOT / "var" / "mutmut.log"
    with log.open("wb") as file:
        # With a pattern mutmut first runs the tests by their names, and stops if one is not found by
        # its name. Without, every mutant that such a test reaches would count as killed.
        command = ["mutmut", "run", *(sys.argv[1:] or ["*"])]
        status = subprocess.call(command, cwd=WORK, stdout=file, stderr=file)
    if status != 0:
        print(f"mutmut ended with {status}; see {log}", file=sys.stderr)
        return 1
    statuses = read_statuses()
    good = [judge(Path(path), statuses) for path in config["only_mutate"]]
    return 0 if all(good) else 1


def prepare(names: list[str]) -> None:
    """Make the working directory anew: mutmut keeps verdicts of earlier tests otherwise."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    for name in names:
        (WORK / name).symlink_to(ROOT / name)


def read_statuses() -> dict[str, str]:
    """Return what became of each mutant that was tried, by its name."""
    results = subprocess.run(
        ["mutmut", "results", "--all", "true"],
        cwd=WORK,
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    pairs = (line.strip().rpartition(": ")[::2] for line in results.stdout.splitlines())
    return {name: status for name, status in pairs if name and status != "not checked"}


def judge(path: Path, statuses: dict[str, str]) -> bool:
    """Print what lives of a module's mutants, and how many; whether they are few enough."""
    module = ".".join(path.with_suffix("").parts)
    chosen = {name: status for name, status in statuses.items() if name.startswith(f"{module}.x")}
    if not chosen:
        print(f"{path}: nothing was changed")
        return len(sys.argv) > 1  # somebody wanted other modules
    source = (WORK / "mutants" / path).read_text("utf-8")
    functions = {
        node.name: node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)
    }
    equivalent = read_equivalents(path)
    count, alive = 0, 0
    for name, status in chosen.items():
        mutant = functions[name.rpartition(".")[2]]
        original = functions[mutant.name.rpartition("_")[0] + "_orig"]
        if without_messages(mutant) == without_messages(original):
            continue
        change = difference(original, mutant)
        if change in equivalent and status == "survived":
            equivalent.remove(change)
            continue
        count += 1
        if status not in KILLED:
            alive += 1
            print(f"{status}: {name}\n{indent(change, '    ')}")
    percent = 100 * (count - alive) / count
    print(f"{path}: {count - alive} killed, {alive} alive, {percent:.1f} %", flush=True)
    for change in equivalent if len(sys.argv) == 1 else ():
        print(f"listed as equivalent, and did not survive:\n{indent(change, '    ')}")
    return percent >= MIN_PERCENT


def read_equivalents(path: Path) -> list[str]:
    """Return the changes of a module that are listed as giving the same results, as differences."""
    with (ROOT / "scripts" / "mutants_equivalent.toml").open("rb") as file:
        listed = tomllib.load(file)["equivalent"]
    return [f"-{entry['is']}\n+{entry['mutant']}" for entry in listed if entry["in"] == str(path)]


class _Messages(ast.NodeTransformer):
    """Empties the texts of errors: what they say is for people, and no promise."""

    def visit_Raise(self, node: ast.Raise) -> ast.Raise:
        for part in ast.walk(node):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                part.value = ""
        return node


def without_messages(function: ast.FunctionDef) -> str:
    """Return the body of a function such that two are equal which differ in texts of errors only."""
    body = ast.parse("\n".join(map(ast.unparse, function.body)))
    return ast.dump(_Messages().visit(body))


def difference(original: ast.FunctionDef, mutant: ast.FunctionDef) -> str:
    """Return the lines that a mutant changes, without their indentation."""
    before, after = (
        [line.strip() for part in function.body for line in ast.unparse(part).splitlines()]
        for function in (original, mutant)
    )
    changed = list(unified_diff(before, after, n=0, lineterm=""))[2:]
    return "\n".join(line for line in changed if not line.startswith("@@"))


if __name__ == "__main__":
    sys.exit(main())
