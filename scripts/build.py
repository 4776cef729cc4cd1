"""Compile the contracts into the artifacts that `ledger` ships.

    python -m scripts.build           writes ledger/artifacts/*.json
    python -m scripts.build --check   compiles, compares, and fails where they differ

Each contract is compiled on its own with exactly the sources that it imports. The optimizer's output
depends on everything in a compilation, so this is what makes an artifact a function of its own
sources: an edit of `AccessLog` does not change the bytes of `Registry`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ARTIFACTS = ROOT / "ledger" / "artifacts"
SOLC = ROOT / "scripts" / "solc"

_IMPORT = re.compile(r"""^\s*import\b[^;"']*["']([^"']+)["']""", re.MULTILINE)
_OUTPUTS = [
    "abi",
    "evm.bytecode.object",
    "evm.bytecode.linkReferences",
    "evm.deployedBytecode.object",
    "evm.deployedBytecode.immutableReferences",
    "evm.methodIdentifiers",
]


class BuildError(Exception):
    """A contract cannot be built; the message names it and says why."""


@dataclass(frozen=True)
class Target:
    """A contract to build: its name and the source file that declares it."""

    contract: str
    source: str


SHIPPED = (
    Target("Registry", "contracts/Registry.sol"),
    Target("Catalogue", "contracts/Catalogue.sol"),
    Target("Agreements", "contracts/Agreements.sol"),
    Target("Authorizations", "contracts/Authorizations.sol"),
    Target("AccessLog", "contracts/AccessLog.sol"),
    Target(
        "ERC7913WebAuthnVerifier",
        "@openzeppelin/contracts/utils/cryptography/verifiers/ERC7913WebAuthnVerifier.sol",
    ),
)


def compiler_settings() -> dict[str, Any]:
    """Return contracts/compiler.json, which Hardhat reads too."""
    settings: dict[str, Any] = json.loads(
        (ROOT / "contracts" / "compiler.json").read_text(encoding="utf-8")
    )
    return settings


def sources_of(entry: str, remappings: dict[str, str]) -> dict[str, str]:
    """Return the text of `entry` and of all that it imports, by source unit name, sorted.

    Raises:
        BuildError: a file does not exist.
    """
    found: dict[str, str] = {}
    waiting = [entry]
    while waiting:
        unit = waiting.pop()
        if unit in found:
            continue
        found[unit] = _read(unit, remappings)
        waiting.extend(_imports(unit, found[unit]))
    return dict(sorted(found.items()))


def build(target: Target) -> str:
    """Compile one contract and return the text of its artifact.

    Raises:
        BuildError: the compiler refuses the source or warns about it.
    """
    compiler = compiler_settings()
    sources = sources_of(target.source, compiler["remappings"])
    output = _compile(target, sources, compiler)
    contract = output["contracts"][target.source][target.contract]
    evm = contract["evm"]
    if evm["bytecode"]["linkReferences"]:
        raise BuildError(f"{target.contract}: needs linking; libraries must be internal")
    artifact = {
        "contractName": target.contract,
        "sourceName": target.source,
        "sourceHash": _source_hash(sources),
        "compiler": {"version": compiler["version"], "settings": compiler["settings"]},
        "abi": contract["abi"],
        "bytecode": "0x" + evm["bytecode"]["object"],
        "deployedBytecode": "0x" + evm["deployedBytecode"]["object"],
        "immutableReferences": _without_ast_ids(evm["deployedBytecode"]["immutableReferences"]),
        "methodIdentifiers": evm["methodIdentifiers"],
    }
    return json.dumps(artifact, indent=1, sort_keys=True) + "\n"


def _read(unit: str, remappings: dict[str, str]) -> str:
    path = unit
    for prefix, replacement in remappings.items():
        if unit.startswith(prefix):
            path = replacement + unit.removeprefix(prefix)
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BuildError(f"{path} does not exist") from None


def _imports(unit: str, text: str) -> Iterator[str]:
    for path in _IMPORT.findall(text):
        if path.startswith("."):
            yield os.path.normpath(PurePosixPath(unit).parent / path)
        else:
            yield path


def _compile(target: Target, sources: dict[str, str], compiler: dict[str, Any]) -> dict[str, Any]:
    # Imported late: solcx makes a folder for downloaded compilers, which we never use, at import.
    os.environ["SOLCX_BINARY_PATH"] = str(ROOT / "var" / "cache")
    (ROOT / "var" / "cache").mkdir(parents=True, exist_ok=True)
    import solcx  # noqa: PLC0415

    request = {
        "language": "Solidity",
        "sources": {unit: {"content": text} for unit, text in sources.items()},
        "settings": {
            **compiler["settings"],
            "outputSelection": {target.source: {target.contract: _OUTPUTS}},
        },
    }
    try:
        output: dict[str, Any] = solcx.compile_standard(request, solc_binary=SOLC)
    except solcx.exceptions.SolcError as error:
        raise BuildError(f"{target.contract}: {error.message}") from error
    ours = [
        problem["formattedMessage"]
        for problem in output.get("errors", [])
        if problem.get("sourceLocation", {}).get("file", "contracts/").startswith("contracts/")
    ]
    if ours:
        raise BuildError(f"{target.contract}: warnings are errors\n" + "\n".join(ours))
    return output


def _source_hash(sources: dict[str, str]) -> str:
    """Return the SHA-256, in hex, of all sources with their names."""
    digest = hashlib.sha256()
    for unit, text in sources.items():
        for part in (unit.encode(), text.encode()):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _without_ast_ids(references: dict[str, list[dict[str, int]]]) -> list[dict[str, int]]:
    """Return where immutables stand in the code; whose they are is numbered by the compilation."""
    return sorted((place for places in references.values() for place in places), key=_start)


def _start(place: dict[str, int]) -> int:
    return place["start"]


def _check(built: dict[str, str]) -> list[str]:
    """Return what differs between the artifacts on disk and `built`, a line each."""
    on_disk = {path.name: path.read_text(encoding="utf-8") for path in ARTIFACTS.glob("*.json")}
    differences = [
        f"{name}: {'is missing' if name not in on_disk else 'is not what the sources give'}"
        for name, text in built.items()
        if on_disk.get(name) != text
    ]
    return differences + [f"{name}: nothing builds it" for name in on_disk if name not in built]


def _write(built: dict[str, str]) -> None:
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    for name, text in built.items():
        path = ARTIFACTS / name
        # An untouched file keeps its time, so that nothing that depends on it is made again.
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"build: {path.relative_to(ROOT)}")


def main() -> int:
    """Build or check all artifacts; return the exit status."""
    parser = argparse.ArgumentParser(description="Compile the contracts into ledger/artifacts.")
    parser.add_argument("--check", action="store_true", help="compare only, fail on a difference")
    arguments = parser.parse_args()
    try:
        # The compiler is a process of its own: threads are enough to use every core.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            artifacts = list(pool.map(build, SHIPPED))
    except BuildError as error:
        print(f"build: {error}", file=sys.stderr)
        return 1
    built = {
        f"{target.contract}.json": text for target, text in zip(SHIPPED, artifacts, strict=True)
    }
    if not arguments.check:
        _write(built)
        return 0
    differences = _check(built)
    for line in differences:
        print(f"build: ledger/artifacts/{line}; run: make build", file=sys.stderr)
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
