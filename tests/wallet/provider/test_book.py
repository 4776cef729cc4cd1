"""The provider's book: what it keeps, and that asking it does not get dearer with what is kept."""

import sqlite3
from pathlib import Path

from wallet.provider import published_state as book_module
from wallet.provider.published_state import PublishedState

DATASET = b"d" * 32


def plan_of(path: Path, query: str) -> list[str]:
    database = sqlite3.connect(path)
    found = database.execute(f"EXPLAIN QUERY PLAN {query}", {"delta": True}).fetchall()
    database.close()
    return [detail for *_, detail in found]


def test_the_next_version_is_read_without_a_search_for_each_record(tmp_path: Path) -> None:
    path = tmp_path / "a.book"
    PublishedState(path, DATASET).close()
    query = book_module._NEXT_VERSION
    assert not [step for step in plan_of(path, query) if "CORRELATED" in step]
    searching = query.replace(
        "known.number NOT IN (SELECT number FROM sent)",
        "NOT EXISTS (SELECT 1 FROM sent WHERE sent.number = known.number)",
    )
    assert [step for step in plan_of(path, searching) if "CORRELATED" in step], "the control"
