"""The synthetic city: the same each time, in every format, described by its manifest."""

import datetime as dt
import json
import tracemalloc
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from ledger.model import CLASSES
from scripts.city import catalogue
from scripts.city.__main__ import main as city_main
from scripts.city.catalogue import (
    DATASETS,
    Dataset,
)
from scripts.city.errors import CityError
from scripts.city.files import read_rows, write_rows
from scripts.city.ids import (
    SEQUENCES_PER_SEX,
    Sex,
    make_credit_code,
    make_resident_id,
    verify_credit_code,
    verify_resident_id,
)
from scripts.city.manifest import MANIFEST_FILE, Manifest, read_manifest
from scripts.city.population import City
from scripts.city.registry import source_of
from scripts.city.rows import Row
from scripts.city.write import Size, as_plain, write_city
from tests.scripts.city_files import SEED, SIZE, digests, read_table, records, sound
from wallet.provider.description import Encoding, FileFormat, KeyKind

# Ids


def test_a_made_resident_id_passes_and_tells_birth_date_and_sex() -> None:
    for ordinal in (0, 1, SEQUENCES_PER_SEX - 1):
        for sex in Sex:
            number = make_resident_id("379901", dt.date(1990, 2, 3), sex, ordinal)
            assert verify_resident_id(number) == number
            assert number.startswith("37990119900203")
            assert int(number[16]) % 2 == sex.value


def test_made_credit_codes_pass_and_differ() -> None:
    codes = [make_credit_code("379901", ordinal) for ordinal in range(1_000)]
    assert [verify_credit_code(code) for code in codes] == codes
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize(("division", "ordinal"), [("3799", 0), ("379901", -1), ("079901", 0)])
def test_an_id_for_nowhere_or_nobody_is_refused(division: str, ordinal: int) -> None:
    with pytest.raises(CityError):
        make_resident_id(division, dt.date(1990, 1, 1), Sex.MALE, ordinal)
    with pytest.raises(CityError):
        make_credit_code(division, ordinal)


# The catalogue


def test_the_catalogue_has_what_the_story_needs() -> None:
    assert len({dataset.department.code for dataset in DATASETS}) == 5
    assert len(catalogue.REAL_ESTATE.fields) == 12
    assert len(catalogue.HOSPITAL_VISITS.fields) >= 12
    assert {dataset.sharing_class for dataset in DATASETS} == set(CLASSES)
    assert {dataset.format for dataset in DATASETS} == set(FileFormat)
    assert {dataset.encoding for dataset in DATASETS} == set(Encoding)
    assert {dataset.key_kind for dataset in DATASETS} == set(KeyKind)
    assert all(dataset.key_kind is KeyKind.RESIDENT for dataset in DATASETS if dataset.personal)


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.code)
def test_a_datasets_columns_have_names_of_their_own(dataset: Dataset) -> None:
    assert len(set(dataset.columns)) == len(dataset.columns)
    assert all(name.isidentifier() and name.islower() for name in dataset.columns)
    assert 1 <= dataset.grade <= 4


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(CityError, match="no field"):
        catalogue.REAL_ESTATE.field_index("unknown")


# The files


def test_the_same_seed_gives_the_same_bytes(directory: Path, tmp_path: Path) -> None:
    write_city(tmp_path, SEED, SIZE)
    assert digests(tmp_path) == digests(directory)


def test_another_seed_gives_another_city(directory: Path, tmp_path: Path) -> None:
    write_city(tmp_path, SEED + 1, SIZE)
    same = digests(tmp_path).items() & digests(directory).items()
    assert not same


def test_the_manifest_counts_what_is_in_the_files(directory: Path) -> None:
    manifest = read_manifest(directory)
    assert (manifest.seed, manifest.people, manifest.enterprises) == (SEED, 600, 40)
    assert tuple(replace(entry, records=None) for entry in manifest.datasets) == DATASETS
    assert manifest.records >= SIZE.records
    for entry in manifest.datasets:
        assert entry.records == len(records(directory, entry))
    for register in manifest.registers:
        table = read_table(directory / register.file)
        assert len(table) == register.records
        assert tuple(table[0]) == register.columns


def test_the_manifest_says_all_that_a_publisher_needs(directory: Path) -> None:
    document = json.loads((directory / MANIFEST_FILE).read_text(encoding="utf-8"))
    first, parking = document["datasets"][0], document["datasets"][6]
    assert first["department"] == {
        "code": "housing",
        "title_zh": "泉城市住房和城乡建设局",
        "title_en": "Quancheng Housing Bureau",
    }
    assert (first["format"], first["encoding"], first["file"]) == (
        "csv",
        "utf-8",
        "housing/real-estate.csv",
    )
    assert (first["key_column"], first["key_kind"]) == ("resident_id", "resident")
    assert first["fields"][6] == {
        "name": "floor_area",
        "title_zh": "建筑面积（平方米）",
        "title_en": "Floor area (square metres)",
        "type": "decimal",
        "optional": False,
    }
    assert (parking["key_column"], parking["sharing_class"]) == (None, "Unconditional")


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.code)
def test_records_are_sound(directory: Path, dataset: Dataset) -> None:
    rows = records(directory, dataset)
    numbers = [row.number for row in rows]
    assert numbers == sorted(set(numbers))
    assert 0 < numbers[0] < numbers[-1] < 2**63
    residents = {line["resident_id"] for line in read_table(directory / "identity/residents.csv")}
    firms = {line["credit_code"] for line in read_table(directory / "identity/enterprises.csv")}
    known = {KeyKind.RESIDENT: residents, KeyKind.ENTERPRISE: firms, KeyKind.NONE: {""}}
    for row in rows:
        assert row.key in known[dataset.key_kind]
        for field, value in zip(dataset.fields, row.values, strict=True):
            assert sound(field, value)


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.code)
@pytest.mark.parametrize("format_", FileFormat)
@pytest.mark.parametrize("encoding", Encoding)
def test_a_dataset_reads_back_as_written_in_every_format(
    directory: Path,
    tmp_path: Path,
    dataset: Dataset,
    format_: FileFormat,
    encoding: Encoding,
) -> None:
    rows = records(directory, dataset)[:200]
    other = replace(dataset, format=format_, encoding=encoding)
    assert write_rows(tmp_path / "file", other, rows) == len(rows)
    assert list(read_rows(tmp_path / "file", other)) == rows


@pytest.mark.parametrize("format_", FileFormat)
def test_a_file_of_another_dataset_is_refused(
    directory: Path, tmp_path: Path, format_: FileFormat
) -> None:
    parking = replace(catalogue.PARKING_LOTS, format=format_)
    write_rows(tmp_path / "file", parking, records(directory, catalogue.PARKING_LOTS))
    with pytest.raises(CityError, match="columns"):
        list(read_rows(tmp_path / "file", replace(catalogue.EPIDEMIC_CASES, format=format_)))


def test_plain_writes_the_same_records_as_utf_8_csv(directory: Path, tmp_path: Path) -> None:
    manifest = write_city(tmp_path, SEED, SIZE, plain=True)
    assert read_manifest(tmp_path) == manifest
    for dataset in DATASETS:
        assert replace(manifest.dataset(dataset.code), records=None) == as_plain(dataset)
        assert records(tmp_path, as_plain(dataset)) == records(directory, dataset)


def test_real_estate_can_have_any_size(tmp_path: Path) -> None:
    for wanted in (100, 5_000):
        manifest = write_city(tmp_path, 1, replace(SIZE, real_estate_records=wanted))
        assert manifest.datasets[0].records == wanted
        assert manifest.records >= SIZE.records


@pytest.mark.parametrize(
    "dataset", [catalogue.REAL_ESTATE, catalogue.HOUSING_FUND], ids=lambda dataset: dataset.code
)
def test_memory_does_not_grow_with_the_file(tmp_path: Path, city: City, dataset: Dataset) -> None:
    values = next(source_of(dataset).contents(city, Random(1))).values

    def peak(count: int) -> int:
        rows = (Row("", number, values) for number in range(count))
        tracemalloc.start()
        try:
            write_rows(tmp_path / "file", dataset, rows)
            assert sum(1 for _ in read_rows(tmp_path / "file", dataset)) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # Again if need be: something else in this process may take memory in between.
    assert any(peak(36_000) < 1.2 * peak(12_000) for _ in range(3))


def test_a_city_of_many_records_takes_no_more_memory_than_one_of_few(tmp_path: Path) -> None:
    def peak(real_estate_records: int) -> int:
        size = Size(50, 5, 0, real_estate_records)
        tracemalloc.start()
        try:
            write_city(tmp_path, 1, size)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1)  # whatever is loaded once
    assert any(peak(10_000) < 1.2 * peak(1_000) for _ in range(3))


def test_a_city_needs_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CityError):
        write_city(tmp_path, 1, replace(SIZE, people=1))
    with pytest.raises(CityError):
        write_city(tmp_path, 1, replace(SIZE, records=-1))
    assert city_main(["--out", str(tmp_path), "--seed", "1", "--people", "1"]) == 1
    assert "at least" in capsys.readouterr().err


def test_the_command_line_writes_a_city(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ["--people", "600", "--enterprises", "40", "--records", "6000"]
    assert city_main(["--out", str(tmp_path), "--seed", str(SEED), *sizes]) == 0
    assert "health/hospital-visits.jsonl" in capsys.readouterr().out
    assert digests(tmp_path) == digests(directory)


def test_a_directory_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CityError):
        read_manifest(tmp_path)
    (tmp_path / MANIFEST_FILE).write_text("{}")
    with pytest.raises(CityError):
        read_manifest(tmp_path)


def test_a_manifest_without_the_dataset_says_so(directory: Path) -> None:
    manifest: Manifest = replace(read_manifest(directory), datasets=())
    with pytest.raises(CityError, match="no dataset"):
        manifest.dataset("real-estate")
