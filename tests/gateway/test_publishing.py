"""Uploads are stored line by line or not at all, and only what the chain knows is served."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
from sqlalchemy import text

from gateway.errors import (
    BodyError,
    ConflictError,
    DeltaError,
    StoreUnavailableError,
    UnknownError,
)
from gateway.publishing import service as publishing_module
from gateway.publishing.ingest import UploadRules
from gateway.publishing.publications import Publications
from gateway.publishing.service import Limits, Publishing
from gateway.publishing.tiles import Tile
from gateway.store.database import Database
from gateway.store.publications import PublicationStore, ServedPublication
from gateway.store.uploads import Upload, UploadStore
from ledger.crypto.merkle import TreeHead, verify_range
from ledger.crypto.publications import verify_owner, verify_published
from ledger.crypto.records import EncryptedRecord, WithdrawnRecord, encode_line
from tests.support.problems import refused_as, slug
from tests.support.uploads import (
    EPOCHS,
    FIELDS,
    changed,
    entries_of,
    head_of,
    in_pieces,
    make_record,
    make_records,
    ndjson,
    owner_of,
    tombstone,
)

DATASET = b"d" * 32
PROVIDER = b"p" * 20
WHOLE = UploadRules(FIELDS, personal=True, is_delta=False, epochs=EPOCHS)
DELTA = UploadRules(FIELDS, personal=True, is_delta=True, epochs=EPOCHS)
OPEN_DATA = UploadRules(FIELDS, personal=False, is_delta=False, epochs=EPOCHS)
RECORDS = make_records(owners=60)


class Desk:
    """A gateway's publishing side on one database."""

    def __init__(self, database: Database, chunk: int = 25) -> None:
        self.database = database
        self.uploads = UploadStore(database)
        self.store = PublicationStore(database)
        self.publications = Publications(self.store, tile_memory=100_000)
        seconds = itertools.count(1_800_000_000)
        self.publishing = Publishing(
            self.uploads,
            self.store,
            self.publications,
            limits=Limits(chunk_records=chunk, chunk_bytes=1 << 20, line_bytes=1 << 16),
            clock=lambda: next(seconds),
        )

    async def upload(
        self,
        lines: list[EncryptedRecord] | list[EncryptedRecord | WithdrawnRecord],
        base: int = 0,
        rules: UploadRules | None = None,
    ) -> Upload:
        upload = await self.publishing.open(DATASET, PROVIDER, base)
        rules = rules or (DELTA if base else WHOLE)
        return await self.publishing.receive(upload, rules, 0, in_pieces(ndjson(lines)))

    async def serve(
        self,
        version: int,
        lines: list[EncryptedRecord] | list[EncryptedRecord | WithdrawnRecord],
        base: int = 0,
        *,
        block: int = 0,
        rules: UploadRules | None = None,
    ) -> ServedPublication:
        upload = await self.publishing.seal(await self.upload(lines, base, rules))
        assert upload.head is not None
        return await self.publishing.publish(upload, version, upload.head, block)


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


async def stored_records(database: Database) -> int:
    row = await database.one(text("SELECT count(*) FROM records"))
    return int(row[0])


async def test_an_upload_is_sealed_to_the_root_that_everybody_computes(desk: Desk) -> None:
    upload = await desk.upload(RECORDS)
    assert (upload.received, upload.records, upload.state) == (120, 120, "open")
    sealed = await desk.publishing.seal(upload)
    assert sealed.head == head_of(RECORDS)
    assert sealed == await desk.publishing.seal(upload), "sealing twice gives the same"


async def test_a_version_is_sealed_part_by_part_and_anew_after_a_failure(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing_module, "_TILES_WRITTEN", 1)
    records = make_records(owners=200)
    upload = await desk.upload(records)
    put, stored = desk.uploads.put_tiles, list[int]()

    async def put_some(upload: Upload, made: Sequence[Tile]) -> None:
        if len(stored) == 3:
            raise StoreUnavailableError("full")
        stored.append(len(made))
        await put(upload, made)

    monkeypatch.setattr(desk.uploads, "put_tiles", put_some)
    with pytest.raises(StoreUnavailableError):
        await desk.publishing.seal(upload)
    assert stored == [1, 1, 1]
    monkeypatch.setattr(desk.uploads, "put_tiles", put)
    sealed = await desk.publishing.seal(upload)
    assert sealed.head == head_of(records)
    served = await desk.publishing.publish(sealed, 1, head_of(records), 0)
    answer = await desk.publications.all_records(served, len(records))
    assert [record.record for record in answer.records] == records


async def test_every_owner_gets_all_records_with_a_proof(desk: Desk) -> None:
    publication = await desk.serve(1, RECORDS)
    owners = sorted({record.owner for record in RECORDS})
    strangers = [owner_of(number) for number in range(1000, 1010)]
    found = await desk.publications.records_of_owners(publication, [*owners, *strangers])
    for owner, answer in zip([*owners, *strangers], found, strict=True):
        own = [record for record in RECORDS if record.owner == owner]
        assert verify_owner(answer.proof, owner, head_of(RECORDS)) == tuple(entries_of(own))
        assert [one.record for one in answer.records] == own
    (alone,) = [await desk.publications.records_of_owner(publication, owners[0])]
    assert alone == found[0]


async def test_many_readers_at_once_get_what_one_alone_gets(desk: Desk) -> None:
    publication = await desk.serve(1, RECORDS)
    owners = sorted({record.owner for record in RECORDS})
    together = await asyncio.gather(
        *(desk.publications.records_of_owner(publication, owner) for owner in owners)
    )
    assert list(together) == list(await desk.publications.records_of_owners(publication, owners))


async def test_a_delta_leaves_the_old_version_provable_and_the_new_one_whole(desk: Desk) -> None:
    first = await desk.serve(1, RECORDS, block=10)
    before = await stored_records(desk.database)
    lines, whole = changed(RECORDS, new=9, edited=20, gone=7)
    second = await desk.serve(2, lines, base=1, block=20)
    assert second.head == head_of(whole)
    assert await stored_records(desk.database) == before + 29, "what did not change is not copied"
    for publication, records in ((first, RECORDS), (second, whole)):
        answer = await desk.publications.all_records(publication, 1000)
        assert [record.record for record in answer.records] == records
        assert answer.proof is not None
        leaves = [record.entry.leaf() for record in answer.records]
        verify_range(leaves, answer.proof, publication.head)


async def test_a_delta_on_a_delta_on_an_empty_version(desk: Desk) -> None:
    empty = await desk.serve(1, [])
    assert empty.head == head_of([])
    lines: list[EncryptedRecord | WithdrawnRecord] = list(RECORDS)
    second = await desk.serve(2, lines, base=1)
    assert second.head == head_of(RECORDS)
    gone: list[EncryptedRecord | WithdrawnRecord] = [
        WithdrawnRecord(record.owner, record.number) for record in RECORDS
    ]
    third = await desk.serve(3, gone, base=2)
    assert third.head == head_of([])
    answer = await desk.publications.records_of_owner(third, RECORDS[0].owner)
    assert verify_owner(answer.proof, RECORDS[0].owner, third.head) == ()
    everything = await desk.publications.all_records(third, 10)
    assert (everything.records, everything.proof) == ((), None)


async def test_an_access_is_answered_from_the_version_served_when_it_was_recorded(
    desk: Desk,
) -> None:
    first = await desk.serve(1, RECORDS, block=10)
    second = await desk.serve(2, RECORDS[:50], block=20)
    with refused_as("nothing-served"):
        await desk.publications.newest_served(DATASET, 10)
    assert await desk.publications.newest_served(DATASET, 11) == first
    assert await desk.publications.newest_served(DATASET, 20) == first
    assert await desk.publications.newest_served(DATASET, 21) == second
    assert await desk.publications.served(DATASET, 1) == first
    with pytest.raises(UnknownError):
        await desk.publications.served(DATASET, 3)


async def test_one_record_is_found_by_owner_and_number_and_when_not_personal_by_item(
    desk: Desk,
) -> None:
    publication = await desk.serve(1, RECORDS, rules=OPEN_DATA)
    record = RECORDS[33]
    by_place = await desk.publications.record_at(publication, record.owner, record.number)
    by_item = await desk.publications.record_by_item(publication, record.entry().root)
    assert by_place == by_item
    assert by_item.record.record == record
    verify_published(record.entry(), by_item.proof, publication.head)
    with pytest.raises(UnknownError):
        await desk.publications.record_by_item(publication, bytes(32))
    with pytest.raises(UnknownError):
        await desk.publications.record_at(publication, record.owner, 77)


async def test_too_many_records_are_refused_and_can_be_read_in_runs(desk: Desk) -> None:
    publication = await desk.serve(1, RECORDS)
    with refused_as("too-many-records"):
        await desk.publications.all_records(publication, len(RECORDS) - 1)
    run = await desk.publications.records_between(publication, 100, 1000)
    assert [record.record for record in run.records] == RECORDS[100:]


WRONG_LINES: list[tuple[str, Callable[[list[bytes]], list[bytes]], str]] = [
    (
        "swapped",
        lambda lines: [*lines[:40], lines[41], lines[40], *lines[42:]],
        "line 42: not after",
    ),
    ("twice", lambda lines: [*lines[:40], lines[40], lines[40]], "line 42: not after"),
    ("cut off", lambda lines: [*lines[:40], lines[40][:-20]], "line 41: "),
    ("empty line", lambda lines: [*lines[:3], b"\n", *lines[3:]], "line 4: "),
    (
        "wrong hex",
        lambda lines: [lines[0].replace(b'"salt":"0x', b'"salt":"0X')],
        "line 1: salt is not 0x",
    ),
    (
        "short id",
        lambda lines: [
            lines[0]
            .replace(b'"owner":"0x00', b'"owner":"0x')
            .replace(b'"owner":"0x', b'"owner":"0x0', 1)
        ],
        "line 1: owner is not 0x",
    ),
    ("not JSON", lambda lines: [b"owner,number\n"], "line 1: "),
    ("an array", lambda lines: [b"[]\n"], "line 1: "),
    ("another version", lambda lines: [lines[0].replace(b'"v":1', b'"v":2')], "line 1: "),
    ("unknown member", lambda lines: [lines[0].replace(b'"v":1', b'"v":1,"x":1')], "line 1: "),
    (
        "too few fields",
        lambda _: [encode_line(make_record(owner_of(1), 0, fields=11))],
        "11 fields",
    ),
    (
        "an epoch without keyholders",
        lambda lines: [lines[0].replace(b'"epoch":1', b'"epoch":2')],
        "line 1: the deployment file has no keyholders of epoch 2",
    ),
    (
        "withdrawal without base",
        lambda _: [encode_line(WithdrawnRecord(owner_of(1), 0))],
        "withdraw",
    ),
    ("not UTF-8", lambda lines: [lines[0].replace(b'"v":1', b'"v\xff":1')], "line 1: "),
]


@pytest.mark.parametrize(
    ("name", "spoil", "problem"), WRONG_LINES, ids=[one[0] for one in WRONG_LINES]
)
async def test_a_wrong_line_is_named_and_the_lines_of_chunks_before_it_stay(
    desk: Desk, name: str, spoil: Callable[[list[bytes]], list[bytes]], problem: str
) -> None:
    lines = [encode_line(record) for record in RECORDS]
    upload = await desk.publishing.open(DATASET, PROVIDER, 0)
    with refused_as("malformed-line") as caught:
        await desk.publishing.receive(upload, WHOLE, 0, in_pieces(b"".join(spoil(lines))))
    assert problem in str(caught.value)
    found = await desk.publishing.get(upload.id)
    assert found.received in (0, 25)
    whole = await desk.publishing.receive(
        found, WHOLE, found.received, in_pieces(ndjson(RECORDS[found.received :]))
    )
    assert (await desk.publishing.seal(whole)).head == head_of(RECORDS)


async def test_a_line_without_end_is_cut_off(desk: Desk) -> None:
    upload = await desk.publishing.open(DATASET, PROVIDER, 0)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 10_000

    with pytest.raises(BodyError, match="a line has more than"):
        await desk.publishing.receive(upload, WHOLE, 0, endless())


async def test_a_broken_upload_goes_on_where_it_stands(desk: Desk) -> None:
    class BrokenError(Exception):
        """The connection."""

    async def breaking(body: bytes) -> AsyncIterator[bytes]:
        yield body
        raise BrokenError

    body = ndjson(RECORDS)
    upload = await desk.publishing.open(DATASET, PROVIDER, 0)
    with pytest.raises(BrokenError):
        await desk.publishing.receive(upload, WHOLE, 0, breaking(body[: len(body) * 2 // 3]))
    upload = await desk.publishing.get(upload.id)
    assert upload.received == 75, "80 lines came, in chunks of 25"
    with refused_as("out-of-step") as caught:
        await desk.publishing.receive(upload, WHOLE, 80, in_pieces(body))
    assert caught.value.members == {"expected": 75}
    upload = await desk.publishing.receive(upload, WHOLE, 75, in_pieces(ndjson(RECORDS[75:])))
    assert (await desk.publishing.seal(upload)).head == head_of(RECORDS)


async def test_of_two_bodies_for_the_same_place_one_is_stored(desk: Desk) -> None:
    upload = await desk.publishing.open(DATASET, PROVIDER, 0)
    other = [make_record(record.owner, record.number, version=9) for record in RECORDS]
    results = await asyncio.gather(
        desk.publishing.receive(upload, WHOLE, 0, in_pieces(ndjson(RECORDS))),
        desk.publishing.receive(upload, WHOLE, 0, in_pieces(ndjson(other))),
        return_exceptions=True,
    )
    failed = [result for result in results if isinstance(result, BaseException)]
    assert [slug(one) for one in failed] == ["out-of-step"]
    sealed = await desk.publishing.seal(upload)
    assert sealed.head in (head_of(RECORDS), head_of(other))


async def test_uploads_of_one_dataset_do_not_disturb_each_other(desk: Desk) -> None:
    uploads = await asyncio.gather(*(desk.upload(RECORDS[at:]) for at in range(4)))
    for at, upload in enumerate(uploads):
        assert (await desk.publishing.seal(upload)).head == head_of(RECORDS[at:])


async def test_lines_that_were_not_signed_are_taken_back(desk: Desk) -> None:
    upload = await desk.upload(RECORDS[:60])
    before = await stored_records(desk.database)
    more = await desk.publishing.receive(upload, WHOLE, 60, in_pieces(ndjson(RECORDS[60:])))
    back = await desk.publishing.take_back(more, 60)
    assert (back.received, back.records, back.last_place) == (60, 60, upload.last_place)
    assert await stored_records(desk.database) == before
    again = await desk.publishing.receive(back, WHOLE, 60, in_pieces(ndjson(RECORDS[60:])))
    assert (await desk.publishing.seal(again)).head == head_of(RECORDS)


async def test_only_the_chains_root_and_count_are_served(desk: Desk) -> None:
    upload = await desk.publishing.seal(await desk.upload(RECORDS))
    assert upload.root is not None
    for head in (TreeHead(120, bytes(32)), TreeHead(119, upload.root), head_of(RECORDS[1:])):
        with refused_as("root-mismatch"):
            await desk.publishing.publish(upload, 1, head, 0)
    assert await desk.store.served(DATASET) == ()
    served = await desk.publishing.publish(upload, 1, head_of(RECORDS), 5)
    assert await desk.publishing.publish(upload, 1, head_of(RECORDS), 9) == served, "idempotent"
    with pytest.raises(ConflictError):
        await desk.publishing.publish(upload, 2, head_of(RECORDS), 5)


async def test_each_state_allows_only_what_it_should(desk: Desk) -> None:
    opened = await desk.upload(RECORDS)
    with refused_as("upload-state"):
        await desk.publishing.publish(opened, 1, head_of(RECORDS), 0)
    sealed = await desk.publishing.seal(opened)
    with refused_as("upload-state"):
        await desk.publishing.receive(sealed, WHOLE, 120, in_pieces(b""))
    last = make_record(b"\xff" * 32, 0)
    with refused_as("upload-state"):
        await desk.publishing.receive(opened, WHOLE, 120, in_pieces(ndjson([last])))
    await desk.publishing.publish(sealed, 1, head_of(RECORDS), 0)
    with refused_as("upload-state"):
        await desk.publishing.delete(sealed)
    assert (await desk.publishing.seal(opened)).state == "served"


async def test_a_deleted_upload_is_gone_at_once_and_its_space_later(desk: Desk) -> None:
    kept = await desk.serve(1, RECORDS[:30])
    upload = await desk.publishing.seal(await desk.upload(RECORDS))
    await desk.publishing.delete(upload)
    with pytest.raises(UnknownError):
        await desk.publishing.get(upload.id)
    assert await stored_records(desk.database) == 150
    assert await desk.uploads.clear(2_000_000_000, oldest=0) == 1
    assert await stored_records(desk.database) == 30
    assert len((await desk.publications.all_records(kept, 99)).records) == 30
    with pytest.raises(UnknownError):
        await desk.publishing.seal(upload)


async def test_an_abandoned_upload_is_cleared_and_a_served_one_never(desk: Desk) -> None:
    await desk.serve(1, RECORDS[:30])
    abandoned = await desk.upload(RECORDS)
    assert await desk.uploads.clear(2_000_000_000, oldest=1_999_999_999) == 1
    with pytest.raises(UnknownError):
        await desk.publishing.get(abandoned.id)
    assert await stored_records(desk.database) == 30


async def test_a_seal_that_was_interrupted_starts_over(database: Database) -> None:
    desk = Desk(database)
    upload = await desk.upload(RECORDS)

    class CrashError(Exception):
        """The process."""

    class Crashing(UploadStore):
        async def finish_seal(self, *_: object) -> Upload:
            raise CrashError

    good = desk.publishing._uploads
    desk.publishing._uploads = Crashing(database)
    with pytest.raises(CrashError):
        await desk.publishing.seal(upload)
    desk.publishing._uploads = good
    found = await desk.publishing.get(upload.id)
    assert found.state == "sealing"
    with refused_as("upload-state"):
        await desk.publishing.receive(found, WHOLE, 120, in_pieces(b""))
    other = Desk(database)  # the process after the crash
    assert (await other.publishing.seal(found)).head == head_of(RECORDS)


async def test_a_delta_that_does_not_fit_its_base_is_refused_and_stays_open(desk: Desk) -> None:
    await desk.serve(1, RECORDS)
    stranger: list[EncryptedRecord | WithdrawnRecord] = [WithdrawnRecord(owner_of(999), 0)]
    upload = await desk.upload(stranger, base=1)
    with pytest.raises(DeltaError):
        await desk.publishing.seal(upload)
    assert (await desk.publishing.get(upload.id)).state == "open"
    with refused_as("base-unknown"):
        await desk.publishing.open(DATASET, PROVIDER, 2)


async def test_an_erased_record_is_gone_from_every_version_and_its_neighbours_stay(
    desk: Desk,
) -> None:
    victim = RECORDS[41]
    first = await desk.serve(1, RECORDS)
    edited: list[EncryptedRecord | WithdrawnRecord] = [
        make_record(victim.owner, victim.number, version=2)
    ]
    second = await desk.serve(2, edited, base=1)
    with pytest.raises(UnknownError):
        await desk.publishing.erase(tombstone(DATASET, 2, victim))
    for _ in range(2):
        await desk.publishing.erase(tombstone(DATASET, 1, victim))
    for publication in (first, second):
        answer = await desk.publications.records_of_owner(publication, victim.owner)
        by_number = {record.entry.number: record.record for record in answer.records}
        assert by_number[victim.number] is None
        assert by_number[1 - victim.number] is not None
        assert len(verify_owner(answer.proof, victim.owner, publication.head)) == 2
    if desk.database.file is not None:
        for file in desk.database.file.parent.iterdir():
            data = file.read_bytes()
            assert victim.salt not in data, file.name
            assert not any(ciphertext in data for ciphertext in victim.ciphertexts if ciphertext), (
                file.name
            )
