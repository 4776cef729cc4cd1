"""How many files of the product one access walks through, from the signed request to opened values."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

import pytest

from gateway.services import Services
from scripts.scenario import Person
from tests.promises.test_one_access import gateway, person, received
from tests.support.city import City, granted

__all__ = ["gateway", "person"]

ROOT: Final = Path(__file__).parents[2]
PRODUCT: Final = tuple(str(ROOT / name) + "/" for name in ("ledger", "gateway", "wallet"))
MAX_FILES: Final = 78
"""Gateway with its recorder, and the consumer; the keyholders are processes of their own. The goal
is 50 for all of them."""


@contextmanager
def files_run() -> Iterator[set[str]]:
    """The product's files in which a function begins meanwhile, in this thread and in new ones."""
    files: set[str] = set()

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PRODUCT):
            files.add(frame.f_code.co_filename)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield files
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


async def test_one_access_walks_through_few_files(
    city: City, gateway: Services, person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    basis = await granted(city, gateway, person)
    with files_run() as files:
        answer = await gateway.accesses.answer(city.submission(basis))
        assert city.open(received(answer))
    with capsys.disabled():
        sys.stdout.write(f"\nfiles on one access: {len(files)}\n")
    assert 20 < len(files) <= MAX_FILES, "\n".join(sorted(files))
