"""The pages of docs/spec: each file of vectors is named, each link leads somewhere, each page is whole."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
SPEC: Final = ROOT / "docs" / "spec"
INDEX: Final = SPEC / "README.md"
PAGES: Final = sorted(page for page in SPEC.glob("*.md") if page != INDEX)
MAX_BYTES: Final = 320_000
"""Of all vectors: small enough to be read, and to travel with every checkout."""

_LINK: Final = re.compile(r"\]\(([^)#]+?)(?:#[^)]*)?\)")
_CODE: Final = re.compile(r"`((?:ledger|gateway|wallet|contracts|scripts)/[\w./]+)`")
_SCRIPT: Final = re.compile(r"python\s+-m\s+(scripts\.\w+)")


def links_in(page: Path) -> Iterator[str]:
    yield from _LINK.findall(page.read_text("utf-8"))


def vectors_named_in(page: Path) -> set[str]:
    return {link for link in links_in(page) if link.startswith("vectors/")}


@pytest.mark.parametrize("page", [INDEX, *PAGES], ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    local = [link for link in links_in(page) if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", [INDEX, *PAGES], ids=lambda page: page.name)
def test_the_code_and_the_scripts_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text("utf-8")
    assert [path for path in _CODE.findall(text) if not (ROOT / path).exists()] == []
    scripts = [name.replace(".", "/") + ".py" for name in _SCRIPT.findall(text)]
    assert [path for path in scripts if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_has_example_reasons_limits_and_vectors(page: Path) -> None:
    text = page.read_text("utf-8")
    assert text.index("Code: ") < text.index("## Example") < text.index("## Reasons")
    assert text.index("## Reasons") < text.index("## Vectors")
    assert vectors_named_in(page)


def test_every_file_of_vectors_is_named_by_a_page_and_by_the_index() -> None:
    files = {f"vectors/{path.name}" for path in (SPEC / "vectors").iterdir()}
    assert files == set().union(*map(vectors_named_in, PAGES))
    assert files == vectors_named_in(INDEX)


def test_the_index_lists_every_page() -> None:
    listed = {link for link in links_in(INDEX) if re.fullmatch(r"[\w-]+\.md", link)}
    assert listed == {page.name for page in PAGES}


def test_every_page_that_the_code_names_is_there() -> None:
    sources = [
        path
        for folder in ("ledger", "gateway", "wallet", "contracts")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".sol", ".ts"}
    ]
    assert sources
    named = {
        (path.relative_to(ROOT).as_posix(), found)
        for path in sources
        for found in re.findall(r"docs/spec/[\w-]+\.md", path.read_text("utf-8"))
    }
    assert named
    assert [one for one in sorted(named) if not (ROOT / one[1]).exists()] == []


def test_the_vectors_are_small() -> None:
    assert sum(path.stat().st_size for path in (SPEC / "vectors").iterdir()) < MAX_BYTES
