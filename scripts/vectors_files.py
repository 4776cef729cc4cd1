"""Writing vector files, for the scripts that make them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.vectors import FOLDER


def text_of(value: Any) -> str:
    """Return a vector as the text of its file."""
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def write(files: Mapping[str, str], folder: Path = FOLDER) -> None:
    """Write the texts of files, by name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
        print(f"wrote {name}")
