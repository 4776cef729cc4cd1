"""A publication of any size passes through the same memory."""

import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.publishing import service
from gateway.publishing.ingest import UploadRules
from gateway.store.database import Database, migrate
from ledger.crypto.publications import PublicationRoot
from ledger.crypto.records import EncryptedRecord, encode_line
from tests.gateway.test_publishing import DATASET, PROVIDER, Desk
from tests.support.uploads import EPOCHS, make_record

pytestmark = pytest.mark.slow

FEW_FIELDS = 2
SMALL, LARGE = 4_000, 40_000
_MEBIBYTE = 1 << 20


def records(count: int) -> Iterator[EncryptedRecord]:
    """Records in the order of a publication, one at a time."""
    for number in range(count):
        owner = (number // 2 + 1).to_bytes(32, "big")
        yield make_record(owner, number, fields=FEW_FIELDS)


async def body(count: int) -> AsyncIterator[bytes]:
    """Their lines, as a network would bring them."""
    gathered = bytearray()
    for record in records(count):
        gathered += encode_line(record)
        if len(gathered) > 1 << 16:
            yield bytes(gathered)
            gathered.clear()
    yield bytes(gathered)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    database = Database(f"sqlite:///{tmp_path}/gateway.db", timeout=5)
    await migrate(database)
    yield Desk(database, chunk=500)
    await database.close()


async def peak_of(desk: Desk, count: int, version: int) -> tuple[int, int]:
    """Upload, seal and serve so many records; return the peaks of receiving and of the rest, in bytes."""
    rules = UploadRules(FEW_FIELDS, personal=True, is_delta=False, epochs=EPOCHS)
    upload = await desk.publishing.open(DATASET, PROVIDER, 0)
    tracemalloc.start()
    try:
        upload = await desk.publishing.receive(upload, rules, 0, body(count))
        _, receiving = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        sealed = await desk.publishing.seal(upload)
        assert sealed.head is not None
        publication = await desk.publishing.publish(sealed, version, sealed.head, version)
        _, sealing = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    root = PublicationRoot()
    for record in records(count):
        root.add(record.entry())
    assert publication.head == root.head()
    return receiving, sealing


async def test_ten_times_the_records_take_no_more_memory(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Usually 5 MB: more than all tiles here, so that growing would not be told from filling it.
    monkeypatch.setattr(service, "_TILES_WRITTEN", 16)
    await peak_of(desk, 500, 1)  # caches and compiled statements
    small = await peak_of(desk, SMALL, 2)
    large = await peak_of(desk, LARGE, 3)
    size = len(encode_line(next(records(1)))) * LARGE
    assert size > 15 * _MEBIBYTE, "the whole would show"
    for few, many in zip(small, large, strict=True):
        assert many < few + _MEBIBYTE, (small, large)
