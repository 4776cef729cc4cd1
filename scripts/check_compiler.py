"""Compare every place that names the Solidity compiler or its settings with contracts/compiler.json.

    python -m scripts.check_compiler

Hardhat and scripts/build.py read that file. foundry.toml, package.json and the pragmas repeat it, and
a difference there would mean that the coverage and Slither look at other code than what is shipped.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from typing import Any

from scripts.build import ROOT, compiler_settings

_PRAGMA = re.compile(r"^pragma solidity ([^;]+);", re.MULTILINE)


def differences() -> Iterator[str]:
    """Yield one line for each place that disagrees."""
    compiler = compiler_settings()
    yield from _in_foundry(compiler)
    package = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))
    yield from _unequal(
        "package.json", "solc", package["devDependencies"]["solc"], compiler["version"]
    )
    for folder in ("contracts", "tests/contracts"):
        for path in sorted((ROOT / folder).rglob("*.sol")):
            pragmas = _PRAGMA.findall(path.read_text(encoding="utf-8"))
            name = str(path.relative_to(ROOT))
            yield from _unequal(name, "pragma solidity", pragmas, [compiler["version"]])


def _in_foundry(compiler: dict[str, Any]) -> Iterator[str]:
    text = (ROOT / "foundry.toml").read_text(encoding="utf-8")
    profile = tomllib.loads(text)["profile"]["default"]
    settings = compiler["settings"]
    wanted = {
        "solc": "scripts/solc",
        "evm_version": settings["evmVersion"],
        "via_ir": settings["viaIR"],
        "optimizer": settings["optimizer"]["enabled"],
        "optimizer_runs": settings["optimizer"]["runs"],
        "bytecode_hash": settings["metadata"]["bytecodeHash"],
        "remappings": [f"{name}={path}" for name, path in compiler["remappings"].items()],
    }
    for key, value in wanted.items():
        yield from _unequal("foundry.toml", key, profile.get(key), value)
    # A setting added to compiler.json must get its line above, or forge would go without it.
    known = {"evmVersion", "viaIR", "optimizer", "metadata"}
    for key in sorted(settings.keys() - known):
        yield f"foundry.toml: {key} of contracts/compiler.json is not compared; add it to the check"


def _unequal(place: str, key: str, found: object, wanted: object) -> Iterator[str]:
    if found != wanted:
        yield f"{place}: {key} is {found!r}, contracts/compiler.json wants {wanted!r}"


def main() -> int:
    """Print the differences; return the exit status."""
    differing = list(differences())
    for line in differing:
        print(f"check-compiler: {line}", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
