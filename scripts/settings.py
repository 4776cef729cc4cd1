"""Writes `docs/settings.md` from the settings' own declarations, so that the page cannot be wrong.

`python -m scripts.settings` writes it; with `--check` it only says whether it is current.
"""

import argparse
import inspect
import sys
from pathlib import Path
from typing import Final

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from gateway.settings import AccessSettings, Settings
from wallet.identity.settings import IdentitySettings
from wallet.keyholder.settings import KeyholderSettings

_PAGE: Final = Path(__file__).parent.parent / "docs" / "settings.md"
_SERVICES: Final[tuple[tuple[str, tuple[type[BaseSettings], ...]], ...]] = (
    ("Gateway", (Settings, AccessSettings)),
    ("Keyholder", (KeyholderSettings,)),
    ("Identity authority", (IdentitySettings,)),
)
_INTRODUCTION: Final = """\
# Settings

Each service reads its settings once, at start, from the environment; lists and objects are JSON where nothing else is
said. This page is made from the code by `python -m scripts.settings`; `make check` fails when it is old.
"""


def make_page() -> str:
    """Return the page."""
    return "\n".join([_INTRODUCTION, *(_chapter(name, kinds) for name, kinds in _SERVICES)])


def _chapter(name: str, kinds: tuple[type[BaseSettings], ...]) -> str:
    rows = [
        f"| `{kind.model_config['env_prefix']}{field.upper()}` | {_default(info)} | {_text(info)} |"
        for kind in kinds
        for field, info in kind.model_fields.items()
    ]
    return "\n".join([f"## {name}\n", "| variable | default | what |", "|---|---|---|", *rows, ""])


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "needed"
    return "" if info.default in (None, "", (), {}) else f"`{_plain(info.default)}`"


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _text(info: FieldInfo) -> str:
    return " ".join(inspect.cleandoc(info.description or "").split()).replace("|", "\\|")


def main() -> int:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether it is current")
    page = make_page()
    if not parser.parse_args().check:
        _PAGE.write_text(page, encoding="utf-8")
        return 0
    if _PAGE.read_text(encoding="utf-8") == page:
        return 0
    sys.stderr.write("docs/settings.md is old: run python -m scripts.settings\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
