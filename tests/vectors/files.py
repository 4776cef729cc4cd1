"""Where vectors are, and the names from which everything random in them is made."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

FOLDER: Final = Path(__file__).parents[2] / "docs" / "spec" / "vectors"
CHAIN_ID: Final = 31337
NOW: Final = 1_796_000_000


def named(name: str) -> bytes:
    """32 bytes in the place of a random value: SHA-256 of a name."""
    return hashlib.sha256(f"quancheng test vectors: {name}".encode()).digest()


def stream(name: str) -> Callable[[int], bytes]:
    """A source of random bytes, SHAKE256 of a name: to be read once."""
    return lambda count: hashlib.shake_256(f"quancheng test vectors: {name}".encode()).digest(count)


def vectors(name: str) -> Any:
    return json.loads((FOLDER / name).read_text("utf-8"))


def text_of(value: Any, indent: int = 1, *, ascii_only: bool = False) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=ascii_only) + "\n"


def compare_or_write(files: Mapping[str, str], config: pytest.Config) -> None:
    for name, text in files.items():
        path = FOLDER / name
        if config.getoption("--write-vectors"):
            path.write_text(text, encoding="utf-8")
        assert path.read_text("utf-8") == text, f"{name} is not what the library makes"
