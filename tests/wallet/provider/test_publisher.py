"""Publishing: what travels, in which order, and that an interruption anywhere loses and doubles nothing."""

import csv
import multiprocessing
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ledger.api import Refusal
from ledger.crypto.merkle import TreeHead
from ledger.crypto.records import EncryptedRecord, open_fields
from ledger.encoding import Schema
from scripts.city.delta import Amounts, make_delta
from scripts.city.manifest import read_manifest
from scripts.city.population import make_city
from tests.support.provider import provider_keys
from tests.support.provider_services import Crash, FakeServices, Records, keys_of, owner_of
from wallet.client.errors import ProblemError, UnreachableError
from wallet.provider import publisher as publisher_module
from wallet.provider.description import Description, read_description
from wallet.provider.errors import ProviderError
from wallet.provider.published_state import PublishedState
from wallet.provider.publisher import Options, Publication, Publisher, Stage, encrypt_batches
from wallet.provider.quality import QualityError
from wallet.provider.staging import NOBODY, PlannedRecord

DATASET = sha256(b"a dataset").digest()


@pytest.fixture(autouse=True)
def small_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many bodies for few records."""
    monkeypatch.setattr(publisher_module, "_RECORDS_IN_A_BATCH", 10)
    monkeypatch.setattr(publisher_module, "_MAX_LINES", 40)


class Department:
    """A provider with one dataset, its files, and services to publish to."""

    def __init__(self, city: Path, workspace: Path, code: str = "real-estate") -> None:
        self.city, self.workspace = city, workspace
        self.described = read_manifest(city).dataset(code)
        self.description = read_description(city / "datasets.json", code)
        self.file = city / self.description.file
        self.services = FakeServices(self.description.terms())
        self.stages: list[tuple[Stage, int, int | None]] = []

    def publish(self, path: Path | None = None, **options: Any) -> Publication:
        publisher = Publisher(
            self.description, DATASET, self.services, self.workspace, self._progress
        )
        return publisher.publish(path or self.file, Options(**options, processes=1))

    def _progress(self, stage: Stage, done: int, of: int | None) -> None:
        self.stages.append((stage, done, of))

    def next_file(self, amounts: Amounts, seed: int = 1, source: Path | None = None) -> Path:
        manifest = read_manifest(self.city)
        city = make_city(manifest.seed, manifest.people, manifest.enterprises)
        target = self.workspace / f"next-{seed}.csv"
        target.parent.mkdir(exist_ok=True)
        make_delta(
            city,
            self.described,
            source=source or self.file,
            target=target,
            seed=seed,
            amounts=amounts,
        )
        return target

    def rows(self, path: Path | None = None) -> dict[int, tuple[str, tuple[str, ...]]]:
        """What a file says: key and values by number."""
        with (path or self.file).open(encoding="utf-8", newline="") as file:
            lines = list(csv.reader(file))[1:]
        return {int(line[1]): (line[0], tuple(line[2:])) for line in lines}

    def opened(self, records: Records) -> dict[int, tuple[bytes, tuple[str, ...]]]:
        """What served records say: owner and values by number."""
        schema = Schema(DATASET, self.description.field_titles)
        return {
            record.number: (record.owner, values(schema, record)) for record in records.values()
        }

    def assert_serves(self, version: int, path: Path | None = None) -> None:
        said = {
            number: (owner_of(DATASET, key), row) for number, (key, row) in self.rows(path).items()
        }
        assert self.opened(self.services.served[version]) == said


def values(schema: Schema, record: EncryptedRecord) -> tuple[str, ...]:
    indices = tuple(range(len(schema.names)))
    keys = provider_keys(keys_of(DATASET), schema, record.number, record.salt, indices)
    return tuple(field.value for field in open_fields(schema, record, keys))


@pytest.fixture
def department(city: Path, tmp_path: Path) -> Department:
    return Department(city, tmp_path / "work")


def test_a_published_file_is_served_as_it_is_and_in_order(department: Department) -> None:
    done = department.publish()
    assert (done.version, done.base, done.sent) == (1, 0, done.report.records)
    assert done.changes.new == done.sent
    department.assert_serves(1)
    (upload,) = department.services.uploads.values()
    places = [(line.owner, line.number) for line in upload.lines]
    assert places == sorted(places)
    assert department.services.published == [done.head]
    assert done.head.size == done.sent


def test_progress_is_told_up_to_the_last_record(department: Department) -> None:
    done = department.publish()
    stages = list(dict.fromkeys(stage for stage, _, _ in department.stages))
    assert stages == list(Stage)
    assert (Stage.UPLOADING, done.sent, done.sent) in department.stages
    assert (Stage.READING, done.sent, done.sent) in department.stages


def test_data_about_nobody_needs_no_owners(city: Path, tmp_path: Path) -> None:
    lots = Department(city, tmp_path / "work", "parking-lots")
    lots.publish()
    assert {owner for owner, _ in lots.services.served[1]} == {NOBODY}
    assert "owners" not in lots.services.calls


def test_of_a_next_file_only_changes_travel(department: Department) -> None:
    department.publish()
    amounts = Amounts(changed=20, new=5, withdrawn=3)
    after = department.next_file(amounts)
    done = department.publish(after)
    assert (done.version, done.base, done.sent) == (2, 1, 28)
    changes = done.changes
    assert (changes.changed, changes.new, changes.withdrawn) == (20, 5, 3)
    assert changes.unchanged == len(department.rows(after)) - 25
    department.assert_serves(2, after)
    kept = department.services.served[1].keys() & department.services.served[2].keys()
    same = [
        place
        for place in kept
        if department.services.served[1][place] == department.services.served[2][place]
    ]
    assert len(same) == changes.unchanged


def test_a_third_version_builds_on_the_second(department: Department) -> None:
    department.publish()
    second = department.next_file(Amounts(5, 2, 1))
    department.publish(second)
    third = department.next_file(Amounts(4, 3, 2), seed=2, source=second)
    assert department.publish(third).sent == 9
    department.assert_serves(3, third)


def test_a_record_that_changes_hands_moves_to_its_new_owner(
    department: Department, tmp_path: Path
) -> None:
    department.publish()
    rows = department.rows()
    (first, (_, kept)), (_, (buyer, _)) = list(rows.items())[:2]
    after = tmp_path / "sold.csv"
    text = department.file.read_text("utf-8").splitlines()
    text[1] = ",".join([buyer, *text[1].split(",")[1:]])
    after.write_text("\n".join(text) + "\n", "utf-8")
    done = department.publish(after)
    assert (done.sent, done.changes.changed, done.changes.withdrawn) == (2, 1, 0)
    department.assert_serves(2, after)
    assert department.opened(department.services.served[2])[first] == (
        owner_of(DATASET, buyer),
        kept,
    )


def test_an_unchanged_file_is_not_published_unless_that_is_meant(department: Department) -> None:
    first = department.publish()
    with pytest.raises(ProviderError, match="says the same already"):
        department.publish()
    again = department.publish(even_if_unchanged=True)
    assert (again.version, again.sent, again.head) == (2, 0, first.head)


def test_everything_is_encrypted_anew_when_that_is_meant(department: Department) -> None:
    first = department.publish()
    second = department.publish(whole=True)
    assert (second.base, second.sent) == (0, first.sent)
    assert second.head != first.head
    department.assert_serves(2)


def test_a_version_from_another_machine_makes_the_next_one_whole(department: Department) -> None:
    department.publish()
    department.services.published.append(TreeHead(1, bytes(32)))
    assert department.publish().base == 0


def test_a_file_with_defects_is_not_published(department: Department, tmp_path: Path) -> None:
    department.publish()
    damaged = tmp_path / "damaged.csv"
    lines = department.file.read_text("utf-8").splitlines()
    damaged.write_text("\n".join([*lines[:5], "broken", *lines[6:]]) + "\n", "utf-8")
    with pytest.raises(QualityError) as refused:
        department.publish(damaged)
    assert refused.value.report.defects[0].line == 6
    assert len(department.services.uploads) == 1
    done = department.publish(damaged, leave_out_defective=True)
    assert (done.base, done.sent) == (0, len(lines) - 2)


def test_a_gateway_that_computes_another_root_is_not_followed(
    department: Department, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(department.services, "seal", lambda _: TreeHead(1, bytes(32)))
    with pytest.raises(ProviderError, match="under another root"):
        department.publish()
    assert department.services.published == []
    monkeypatch.undo()
    department.publish()
    department.assert_serves(1)


def test_the_gateway_seals_while_the_provider_computes_its_own_head(
    department: Department, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealing, computed = threading.Event(), threading.Event()
    seal, next_head = department.services.seal, PublishedState.next_head

    def sealed(upload: str) -> TreeHead:
        sealing.set()
        assert computed.wait(30), "both wait for each other, so neither comes first"
        return seal(upload)

    def head(book: PublishedState) -> TreeHead:
        assert sealing.wait(30)
        computed.set()
        return next_head(book)

    monkeypatch.setattr(department.services, "seal", sealed)
    monkeypatch.setattr(PublishedState, "next_head", head)
    department.publish()
    department.assert_serves(1)


def test_a_dataset_registered_with_other_fields_is_refused(department: Department) -> None:
    department.services.registered = msgspec.structs.replace(
        department.services.registered, fields=("something else",)
    )
    with pytest.raises(ProviderError, match="registered with other fields") as refused:
        department.publish()
    assert refused.value.kind == "TermsMismatch"


# Interruptions


def test_a_broken_connection_costs_only_what_had_not_arrived(department: Department) -> None:
    department.services.cut = 17
    department.publish()
    assert department.services.bodies[:2] == [40, 23]
    department.assert_serves(1)


def test_a_gateway_that_lost_lines_it_had_is_found_out(department: Department) -> None:
    class Forgetful(FakeServices):
        def send(self, upload: str, start: int, lines: bytes) -> None:
            super().send(upload, start, lines)
            if start == 40:
                del self.uploads[upload].lines[20:]
                raise UnreachableError("gone")

    department.services = Forgetful(department.description.terms())
    with pytest.raises(ProviderError, match="stands at line 20"):
        department.publish()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("call", "number"),
    [
        *(("begin", 1), ("keys", 1), ("state", 1), ("send", 1), ("send", 3), ("seal", 1)),
        *(("publish", 1), ("serve", 1)),
    ],
)
@pytest.mark.parametrize("delta", [False, True], ids=["whole", "delta"])
def test_a_killed_publication_goes_on_where_it_stopped(
    department: Department, call: str, number: int, *, after: bool, delta: bool
) -> None:
    path, versions = None, 1
    if delta:
        department.publish()
        path, versions = department.next_file(Amounts(90, 50, 10)), 2
        department.services.calls.clear()
    department.services.fail = (call, number, after, Crash)
    with pytest.raises(Crash):
        department.publish(path)
    department.services.fail = None
    finished = call in ("publish", "serve")
    if finished:
        # What is on its way to the chain is finished first; then the file says nothing new.
        with pytest.raises(ProviderError, match="says the same already"):
            department.publish(path)
    else:
        department.publish(path)
    assert len(department.services.published) == versions
    assert len(department.services.transactions) == versions
    department.assert_serves(versions, path)
    lines = sum(len(upload.lines) for upload in department.services.uploads.values())
    if call != "begin" or not after:
        assert lines == len(department.rows()) + (150 if delta else 0)
    assert not list(department.workspace.glob("spool-*"))


def test_another_file_after_an_interruption_starts_over(department: Department) -> None:
    department.services.fail = ("send", 3, True, Crash)
    with pytest.raises(Crash):
        department.publish()
    after = department.next_file(Amounts(5, 5, 5))
    department.publish(after)
    assert department.services.calls["drop"] == 1
    department.assert_serves(1, after)


def test_a_gateway_that_forgot_the_upload_gets_it_anew(department: Department) -> None:
    department.services.fail = ("send", 3, True, Crash)
    with pytest.raises(Crash):
        department.publish()
    department.services.uploads.clear()
    department.publish()
    department.assert_serves(1)


def test_a_busy_gateway_gets_the_lines_a_little_later(department: Department) -> None:
    class Busy(FakeServices):
        def send(self, upload: str, start: int, lines: bytes) -> None:
            if self.calls.get("send") == 1 and not self.calls.get("busy"):
                self.calls["busy"] = 1
                raise ProblemError(Refusal("urn:quancheng:problem:busy", "busy", 503))
            super().send(upload, start, lines)

    department.services = Busy(department.description.terms())
    department.publish()
    assert department.services.calls["busy"] == 1
    department.assert_serves(1)


# The book


def test_one_process_at_a_time_uses_a_book(tmp_path: Path) -> None:
    path = tmp_path / "a.book"
    with PublishedState(path, DATASET), pytest.raises(ProviderError, match="another process"):
        PublishedState(path, DATASET)
    PublishedState(path, DATASET).close()


def test_a_book_of_another_dataset_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.book"
    PublishedState(path, DATASET).close()
    with pytest.raises(ProviderError, match="another dataset"):
        PublishedState(path, bytes(32))


def test_a_damaged_book_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.book"
    path.write_bytes(b"no database" * 100)
    with pytest.raises(ProviderError):
        PublishedState(path, DATASET)


def test_books_and_working_files_are_for_their_user_only(department: Department) -> None:
    department.publish()
    modes = {path.stat().st_mode & 0o077 for path in department.workspace.iterdir()}
    assert modes == {0}
    assert department.workspace.stat().st_mode & 0o077 == 0


# Processes


def planned(count: int) -> Iterator[tuple[PlannedRecord, ...]]:
    for start in range(0, count, 50):
        yield tuple(
            PlannedRecord(NOBODY, number, bytes(32), ("a", "b"))
            for number in range(start, start + 50)
        )


def test_several_processes_keep_the_order() -> None:
    schema = Schema(DATASET, ("one", "two"))
    batches = encrypt_batches(schema, keys_of(DATASET), planned(2_500), expected=2_500, processes=2)
    numbers = [record.number for batch in batches for record in batch.records]
    assert numbers == list(range(2_500))


def test_a_process_that_dies_is_told() -> None:
    schema = Schema(DATASET, ("one", "two"))
    batches = encrypt_batches(schema, keys_of(DATASET), planned(5_000), expected=5_000, processes=2)
    next(batches)
    for child in multiprocessing.active_children():
        child.kill()
    with pytest.raises(ProviderError):
        list(batches)


def test_a_description_in_yaml_says_the_same(real_estate: Description, tmp_path: Path) -> None:
    path = tmp_path / "dataset.yaml"
    path.write_bytes(msgspec.yaml.encode(msgspec.to_builtins(real_estate)))
    assert read_description(path) == real_estate
