"""Who may import whom: the shape on which the gateway's blindness and the parties' apartness rest."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
ROOMS: Final = (
    "authority",
    "citizen",
    "consumer",
    "identity",
    "keyholder",
    "provider",
    "regulator",
)
FORBIDDEN: Final = {
    "ledger": ("gateway", "wallet", "scripts", "tests"),
    "gateway": ("wallet", "scripts", "tests"),
    "wallet": ("gateway", "scripts", "tests"),
    "scripts": ("tests",),
    **{
        f"wallet/{room}": tuple(f"wallet.{other}" for other in ROOMS if other != room)
        for room in ROOMS
    },
}


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def breaches(folder: str, forbidden: tuple[str, ...]) -> list[str]:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files, f"there is no {folder}"
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files
        for name in imports_of(path)
        if any(name == one or name.startswith(one + ".") for one in forbidden)
    ]


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_imports_run_one_way(folder: str) -> None:
    assert breaches(folder, FORBIDDEN[folder]) == []


def test_a_breach_would_be_seen() -> None:
    """Control: the tests import everything."""
    assert breaches("tests/promises", ("gateway", "wallet", "ledger"))
