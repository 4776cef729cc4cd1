"""Fixtures for all tests."""

from pathlib import Path

import pytest

pytest_plugins = ("tests.support.chain",)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what `make vectors` says."""
    parser.addoption(
        "--write-vectors", action="store_true", help="write docs/spec/vectors instead of comparing"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no worker is left with one at the end."""
    long = {item.path for item in items if item.get_closest_marker("slow")}

    def place(item: pytest.Item) -> tuple[bool, Path]:
        return item.path not in long, item.path

    items.sort(key=place)
