"""What the pages point to is there: files, folders and modules by name, and each decision in its list."""

import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
ROOTS: Final = (ROOT, ROOT / "tests")
"""Pages on tests name them from `tests/` on."""
PAGES: Final = sorted({*ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md")} - {ROOT / "CHANGELOG.md"})
"""The change log names what was there then."""
DECISIONS: Final = sorted(
    page for page in ROOT.glob("docs/decisions/*.md") if page.name != "README.md"
)

_PATH: Final = re.compile(
    r"(?<![\w/.])((?:ledger|gateway|wallet|scripts|tests|contracts)/[\w/.-]*\w)"
)
_OF_A_CITY: Final = {"gateway/gateway.db", "gateway/journal"}
"""What the embedded profile writes."""
_MODULE: Final = re.compile(r"`((?:ledger|gateway|wallet|scripts)(?:\.[a-z_0-9]+)+)")
_LINK: Final = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


def is_module(dotted: str) -> bool:
    """Whether a module has this name, or a module holds the rest of it."""
    parts = dotted.split(".")
    for length in range(len(parts), 1, -1):
        path = ROOT.joinpath(*parts[:length])
        if path.is_dir() or path.with_suffix(".py").is_file():
            return len(parts) - length <= 2
    return hasattr(__import__(parts[0]), parts[1])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    missing = {
        path
        for path in set(_PATH.findall(text)) - _OF_A_CITY
        if not any((root / path).exists() for root in ROOTS)
    }
    missing |= {name for name in _MODULE.findall(text) if not is_module(name)}
    missing |= {link for link in _LINK.findall(text) if not (page.parent / link).exists()}
    assert missing == set()


def test_every_decision_is_listed_with_its_date_and_status() -> None:
    listed = (ROOT / "docs/decisions/README.md").read_text("utf-8")
    for page in DECISIONS:
        assert f"({page.name})" in listed
        assert re.match(
            r"# .+\n\nDate: \d{4}-\d\d-\d\d\. Status: (in force|replaced by .+)\.\n",
            page.read_text("utf-8"),
        ), page.name
