"""The synthetic city: the same each time, consistent in itself, and wrong only where it is meant to be."""

import csv
import datetime as dt
import json
import tracemalloc
from collections import Counter, defaultdict
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest

from scripts.city import catalogue
from scripts.city.__main__ import main as city_main
from scripts.city.catalogue import (
    DATASETS,
    DEPARTMENTS,
    AccessClass,
    Dataset,
    Field,
    FieldType,
    FileFormat,
    KeyKind,
    dataset_of,
)
from scripts.city.corrupt import Defect, corrupt, corrupt_all
from scripts.city.corrupt import main as corrupt_main
from scripts.city.delta import Amounts, make_delta, read_report, write_report
from scripts.city.delta import main as delta_main
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
from scripts.city.places import DIAGNOSES, DISTRICTS, REFERENCE_DATE
from scripts.city.population import City, Livelihood, make_city
from scripts.city.randomness import cents
from scripts.city.registry import source_of
from scripts.city.rows import Row
from scripts.city.write import Size, as_plain, write_city

SIZE = Size(people=600, enterprises=40, records=6_000)
SEED = 7


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("city")
    write_city(directory, SEED, SIZE)
    return directory


@pytest.fixture(scope="module")
def city() -> City:
    return make_city(SEED, SIZE.people, SIZE.enterprises)


def sound(field: Field, value: str) -> bool:
    """Tell whether a value is written as its field's type says."""
    if not value:
        return field.optional
    try:
        if field.type is FieldType.INTEGER:
            return str(int(value)) == value
        if field.type is FieldType.DECIMAL:
            return f"{Decimal(value):.2f}" == value
        if field.type is FieldType.DATE:
            return dt.date.fromisoformat(value).isoformat() == value
    except (ValueError, InvalidOperation):
        return False
    return value == value.strip() and "\n" not in value


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def records(directory: Path, dataset: Dataset) -> list[Row]:
    return list(read_rows(directory / dataset.file, dataset))


def named(dataset: Dataset, row: Row) -> dict[str, str]:
    return dict(zip((field.name for field in dataset.fields), row.values, strict=True))


def digests(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


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
    assert len(DEPARTMENTS) == len({dataset.department.code for dataset in DATASETS}) == 5
    assert len(catalogue.REAL_ESTATE.fields) == 12
    assert len(catalogue.HOSPITAL_VISITS.fields) >= 12
    assert {dataset.sharing_class for dataset in DATASETS} == set(AccessClass)
    assert {dataset.format for dataset in DATASETS} == set(FileFormat)
    assert {dataset.encoding for dataset in DATASETS} == set(catalogue.Encoding)
    assert {dataset.key_kind for dataset in DATASETS} == set(KeyKind)
    assert all(dataset.key_kind is KeyKind.RESIDENT for dataset in DATASETS if dataset.personal)


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.code)
def test_a_datasets_columns_have_names_of_their_own(dataset: Dataset) -> None:
    assert len(set(dataset.columns)) == len(dataset.columns)
    assert all(name.isidentifier() and name.islower() for name in dataset.columns)
    assert 1 <= dataset.grade <= 4
    assert dataset_of(dataset.code) is dataset


def test_an_unknown_dataset_or_field_is_refused() -> None:
    with pytest.raises(CityError, match="no dataset"):
        dataset_of("unknown")
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
    assert tuple(entry.dataset for entry in manifest.datasets) == DATASETS
    assert manifest.records >= SIZE.records
    for entry in manifest.datasets:
        assert entry.records == len(records(directory, entry.dataset))
    for register in manifest.registers:
        table = read_table(directory / register.register.file)
        assert len(table) == register.records
        assert tuple(table[0]) == register.register.columns


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
@pytest.mark.parametrize("encoding", catalogue.Encoding)
def test_a_dataset_reads_back_as_written_in_every_format(
    directory: Path,
    tmp_path: Path,
    dataset: Dataset,
    format_: FileFormat,
    encoding: catalogue.Encoding,
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
        assert manifest.dataset(dataset.code) == as_plain(dataset)
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

    assert peak(36_000) < 1.2 * peak(12_000)


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
    assert peak(10_000) < 1.2 * peak(1_000)


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


# The people


def test_nobody_in_the_registers_can_be_real_or_twice(directory: Path) -> None:
    residents = read_table(directory / "identity/residents.csv")
    enterprises = read_table(directory / "identity/enterprises.csv")
    divisions = {district.code for district in DISTRICTS}
    numbers = [verify_resident_id(line["resident_id"]) for line in residents]
    codes = [verify_credit_code(line["credit_code"]) for line in enterprises]
    assert len(set(numbers)) == len(numbers)
    assert len(set(codes)) == len(codes)
    assert {number[:6] for number in numbers} <= divisions
    assert {code[2:8] for code in codes} <= divisions
    assert len({line["name"] for line in enterprises}) == len(codes)
    assert {line["legal_representative_id"] for line in enterprises} <= set(numbers)
    for line in residents:
        assert line["birth_date"].replace("-", "") == line["resident_id"][6:14]


def test_lives_are_possible(city: City) -> None:
    adults = 0
    for resident in city.residents:
        assert 0 <= resident.age <= 100
        adults += resident.age >= 18
        employer = city.employer_of(resident)
        assert (employer is not None) is (resident.livelihood is Livelihood.EMPLOYED)
        if employer:
            assert employer.active
            assert employer.established_on <= resident.working_since <= REFERENCE_DATE
    assert sum(city.employees) == sum(r.employer >= 0 for r in city.residents)
    assert 0.6 < adults / len(city.residents) < 0.9


# The datasets, each with the others


def test_names_and_districts_agree_everywhere(directory: Path) -> None:
    residents = read_table(directory / "identity/residents.csv")
    names = {line["resident_id"]: line["name"] for line in residents}
    employers = {
        line["credit_code"]: line["name"]
        for line in read_table(directory / "identity/enterprises.csv")
    }
    districts = {district.name for district in DISTRICTS}
    for dataset in DATASETS:
        for row in records(directory, dataset):
            values = named(dataset, row)
            if dataset.personal:
                assert values[name_column(dataset)] == names[row.key]
            if values.get("employer_name"):
                assert employers[values["employer_credit_code"]] == values["employer_name"]
            assert values.get("district", DISTRICTS[0].name) in districts


def name_column(dataset: Dataset) -> str:
    return next(
        field.name
        for field in dataset.fields
        if field.name in {"owner_name", "insured_name", "holder_name", "patient_name"}
    )


def test_some_own_nothing_some_own_several_some_own_together(directory: Path) -> None:
    rows = records(directory, catalogue.REAL_ESTATE)
    owned = Counter(row.key for row in rows)
    assert 0.2 < len(owned) / SIZE.people < 0.9
    assert max(owned.values()) >= 3
    owners: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        values = named(catalogue.REAL_ESTATE, row)
        owners[values["unit_number"]].append(values["ownership"])
        assert len(values["unit_number"]) == 28
        assert (values["mortgage_status"] == "已抵押") is (cents(values["mortgage_amount"]) > 0)
    for shares in owners.values():
        assert set(shares) == ({"单独所有"} if len(shares) == 1 else {"共同共有"})


def test_contributions_follow_from_base_and_months(directory: Path) -> None:
    short = 0
    years: dict[str, set[str]] = defaultdict(set)
    for row in records(directory, catalogue.SOCIAL_INSURANCE):
        values = named(catalogue.SOCIAL_INSURANCE, row)
        rates = {"企业职工基本养老保险": (8, 16), "灵活就业人员基本养老保险": (20, 0)}
        personal, employer = rates.get(values["insurance_type"], (8, 0))
        paid = cents(values["contribution_base"]) * int(values["months_paid"])
        assert cents(values["personal_paid"]) == paid * personal // 100
        assert cents(values["employer_paid"]) == paid * employer // 100
        assert bool(values["employer_name"]) is (employer > 0)
        short += values["status"] == "中断缴费"
        assert values["year"] not in years[row.key]
        years[row.key].add(values["year"])
    assert short > 0
    assert 0.3 < len(years) / SIZE.people < 0.9


def test_one_account_a_person_in_the_housing_fund(directory: Path) -> None:
    rows = records(directory, catalogue.HOUSING_FUND)
    assert len({row.key for row in rows}) == len(rows)
    for row in rows:
        values = named(catalogue.HOUSING_FUND, row)
        opened, last = values["opened_on"], values["last_deposit_on"]
        assert opened <= last <= REFERENCE_DATE.isoformat()


def test_visits_are_medically_and_financially_possible(directory: Path, city: City) -> None:
    residents = {resident.resident_id: resident for resident in city.residents}
    diagnoses = {diagnosis.code: diagnosis for diagnosis in DIAGNOSES}
    rows = records(directory, catalogue.HOSPITAL_VISITS)
    for row in rows:
        values = named(catalogue.HOSPITAL_VISITS, row)
        resident, diagnosis = residents[row.key], diagnoses[values["diagnosis_code"]]
        total, covered = cents(values["total_amount"]), cents(values["covered_amount"])
        assert total == covered + cents(values["self_paid_amount"])
        assert 0 <= covered < total
        assert covered == 0 or values["insurance_type"] != "自费"
        assert diagnosis.sex in {None, resident.sex}
        dates = [values["admitted_on"], values["discharged_on"], values["settled_on"]]
        assert dates == sorted(dates)
        assert resident.birth_date.isoformat() <= dates[0]
        assert dates[-1] <= REFERENCE_DATE.isoformat()
    assert max(Counter(row.key for row in rows).values()) > 5


def test_the_market_regulators_figures_agree(directory: Path, city: City) -> None:
    registered = records(directory, catalogue.BUSINESS_REGISTRATION)
    assert [row.key for row in registered] == [firm.credit_code for firm in city.enterprises]
    insured = catalogue.BUSINESS_REGISTRATION.field_index("insured_employees")
    assert sum(int(row.values[insured]) for row in registered) == sum(city.employees)
    active = Counter(firm.district.name for firm in city.enterprises if firm.active)
    last = records(directory, catalogue.ENTERPRISE_STATISTICS)[-len(DISTRICTS) :]
    for row in last:
        values = named(catalogue.ENTERPRISE_STATISTICS, row)
        assert int(values["enterprises"]) == active[values["district"]]


def test_no_parking_lot_has_more_free_places_than_places(directory: Path) -> None:
    for row in records(directory, catalogue.PARKING_LOTS):
        values = named(catalogue.PARKING_LOTS, row)
        assert 0 <= int(values["free"]) <= int(values["total"])


# Deltas


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.code)
def test_a_delta_differs_in_exactly_what_it_reports(
    directory: Path, tmp_path: Path, city: City, dataset: Dataset
) -> None:
    amounts = Amounts(changed=12, new=15, withdrawn=4)
    target = tmp_path / dataset.file
    delta = make_delta(
        city, dataset, source=directory / dataset.file, target=target, seed=1, amounts=amounts
    )
    before = {row.number: row for row in records(directory, dataset)}
    after = {row.number: row for row in records(tmp_path, dataset)}
    assert (delta.records_before, delta.records_after) == (len(before), len(after))
    assert list(after) == sorted(after)
    kept = before.keys() & after.keys()
    changed = {number for number in kept if before[number] != after[number]}
    assert changed == {difference.number for difference in delta.changed}
    assert before.keys() - after.keys() == {difference.number for difference in delta.withdrawn}
    assert after.keys() - before.keys() == {difference.number for difference in delta.new}
    assert (len(delta.changed), len(delta.new), len(delta.withdrawn)) == (12, 15, 4)
    for difference in delta.changed:
        old, new = before[difference.number], after[difference.number]
        assert old.key == new.key == difference.key
        differing = {
            field.name
            for field, x, y in zip(dataset.fields, old.values, new.values, strict=True)
            if x != y
        }
        assert differing == set(difference.fields) != set()
    for row in after.values():
        for field, value in zip(dataset.fields, row.values, strict=True):
            assert sound(field, value)


def test_new_records_are_about_people_whom_the_registers_know(
    directory: Path, tmp_path: Path, city: City
) -> None:
    known = {resident.resident_id for resident in city.residents}
    known |= {firm.credit_code for firm in city.enterprises}
    for dataset in (dataset for dataset in DATASETS if dataset.key_column):
        source, target = directory / dataset.file, tmp_path / dataset.file
        amounts = Amounts(changed=0, new=30, withdrawn=0)
        delta = make_delta(city, dataset, source=source, target=target, seed=2, amounts=amounts)
        assert {difference.key for difference in delta.new} <= known


def test_a_number_is_never_given_twice_over_many_versions(
    directory: Path, tmp_path: Path, city: City
) -> None:
    dataset = catalogue.PARKING_LOTS
    source = directory / dataset.file
    used = {row.number for row in records(directory, dataset)}
    for version in range(2, 6):
        target = tmp_path / f"{version}.csv"
        amounts = Amounts(changed=1, new=version % 2, withdrawn=60)
        delta = make_delta(
            city, dataset, source=source, target=target, seed=version, amounts=amounts
        )
        new = {difference.number for difference in delta.new}
        assert not new & used
        used |= new
        source = target


def test_a_delta_is_the_same_each_time_and_its_report_reads_back(
    directory: Path, tmp_path: Path, city: City
) -> None:
    dataset = catalogue.REAL_ESTATE
    source = directory / dataset.file
    first, second = (
        make_delta(city, dataset, source=source, target=target, seed=3, amounts=Amounts(20, 5, 1))
        for target in (tmp_path / "first.csv", tmp_path / "second.csv")
    )
    assert first == second
    assert (tmp_path / "first.csv").read_bytes() == (tmp_path / "second.csv").read_bytes()
    write_report(tmp_path / "delta.json", first)
    assert read_report(tmp_path / "delta.json") == first
    with pytest.raises(CityError):
        read_report(tmp_path / "first.csv")


def test_an_impossible_delta_is_refused(directory: Path, tmp_path: Path, city: City) -> None:
    dataset = catalogue.PARKING_LOTS
    source, target = directory / dataset.file, tmp_path / "file.csv"
    for amounts in (Amounts(changed=300), Amounts(1, -1, 1), Amounts(200, 0, 100)):
        with pytest.raises(CityError, match="too few"):
            make_delta(city, dataset, source=source, target=target, seed=1, amounts=amounts)
    with pytest.raises(CityError, match="written over"):
        make_delta(city, dataset, source=source, target=source, seed=1, amounts=Amounts(1, 1, 1))
    assert not target.exists()


def test_the_delta_command_writes_200_50_10(directory: Path, tmp_path: Path) -> None:
    report, out = tmp_path / "delta.json", tmp_path / "visits.jsonl"
    where = ["--city", str(directory), "--out", str(out), "--report", str(report)]
    assert delta_main([*where, "--dataset", "hospital-visits"]) == 0
    delta = read_report(report)
    assert (len(delta.changed), len(delta.new), len(delta.withdrawn)) == (200, 50, 10)
    assert len(list(read_rows(out, catalogue.HOSPITAL_VISITS))) == delta.records_before + 40
    assert delta_main([*where, "--dataset", "unknown"]) == 1


# Defects


KEYED = {Defect.MISSING_KEY, Defect.WRONG_CHECK_CHARACTER}


def faults(path: Path, dataset: Dataset) -> list[tuple[int, str]]:
    """Read a file as strictly as a publisher must; return line and column of whatever is wrong."""
    try:
        text = path.read_bytes().decode(dataset.encoding)
    except UnicodeDecodeError as error:
        return [(error.object.count(b"\n", 0, error.start) + 1, "")]
    found: list[tuple[int, str]] = []
    seen: set[str] = set()
    for line, content in enumerate(text.split("\n"), start=1):
        if line == text.count("\n") + 1 and not content:
            break
        try:
            cells = next(csv.reader([content], strict=True))
        except csv.Error:
            found.append((line, dataset.fields[0].name))
            continue
        if line == 1:
            found += [
                (1, right)
                for right, is_ in zip(dataset.columns, cells, strict=True)
                if right != is_
            ]
        elif len(cells) != len(dataset.columns):
            found.append((line, ""))
        else:
            found += [(line, column) for column in faulty_columns(dataset, cells, seen)]
    return found


def faulty_columns(dataset: Dataset, cells: list[str], seen: set[str]) -> list[str]:
    values = dict(zip(dataset.columns, cells, strict=True))
    faulty = []
    if dataset.key_column:
        verify = verify_resident_id if dataset.personal else verify_credit_code
        try:
            verify(values[dataset.key_column])
        except ValueError:
            faulty.append(dataset.key_column)
    if values[dataset.number_column] in seen:
        faulty.append(dataset.number_column)
    seen.add(values[dataset.number_column])
    wrong = [field.name for field in dataset.fields if not sound(field, values[field.name])]
    return faulty + wrong


@pytest.mark.parametrize(
    "dataset",
    [
        catalogue.REAL_ESTATE,
        catalogue.SOCIAL_INSURANCE,
        catalogue.BUSINESS_REGISTRATION,
        catalogue.PARKING_LOTS,
    ],
    ids=lambda dataset: dataset.code,
)
def test_a_copy_has_its_defect_where_the_result_says_and_no_other(
    directory: Path, tmp_path: Path, dataset: Dataset
) -> None:
    source = directory / dataset.file
    assert faults(source, dataset) == []
    for seed in range(5):
        copies = corrupt_all(source, dataset, tmp_path / str(seed), seed)
        expected = set(Defect) if dataset.key_column else set(Defect) - KEYED
        assert {copy.defect for copy in copies} == expected
        for copy in copies:
            assert faults(copy.path, dataset) == [(copy.line, copy.column)], copy.defect


def test_a_duplicate_names_the_line_that_it_repeats(directory: Path, tmp_path: Path) -> None:
    dataset = catalogue.REAL_ESTATE
    target = tmp_path / "copy.csv"
    copy = corrupt(directory / dataset.file, dataset, Defect.DUPLICATE_NUMBER, target)
    rows = records(tmp_path, replace(dataset, file="copy.csv"))
    first, second = rows[copy.first_line - 2], rows[copy.line - 2]
    assert copy.first_line < copy.line
    assert (first.key, first.number) == (second.key, second.number)
    assert first.values != second.values


def test_a_defect_that_cannot_be_is_refused(directory: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.csv"
    parking, fund = catalogue.PARKING_LOTS, catalogue.HOUSING_FUND
    for defect in KEYED:
        with pytest.raises(CityError, match="no key"):
            corrupt(directory / parking.file, parking, defect, target)
    with pytest.raises(CityError, match="cannot be copied"):
        corrupt(directory / fund.file, fund, Defect.TRUNCATED, target)
    with pytest.raises(CityError, match="cannot be copied"):
        corrupt(directory / parking.file, parking, Defect.TRUNCATED, directory / parking.file)
    write_rows(tmp_path / "short.csv", parking, records(directory, parking)[:2])
    with pytest.raises(CityError, match="too few"):
        corrupt(tmp_path / "short.csv", parking, Defect.TRUNCATED, target)
    assert not target.exists()


def test_the_corrupt_command_prints_the_lines(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--city", str(directory), "--out", str(tmp_path), "--dataset"]
    assert corrupt_main([*where, "real-estate"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(Defect)
    assert corrupt_main([*where, "real-estate", "--defect", "truncated"]) == 0
    assert "truncated.csv:" in capsys.readouterr().out
    assert corrupt_main([*where, "housing-fund"]) == 1


def test_a_manifest_without_the_dataset_says_so(directory: Path) -> None:
    manifest: Manifest = replace(read_manifest(directory), datasets=())
    with pytest.raises(CityError, match="no dataset"):
        manifest.dataset("real-estate")
