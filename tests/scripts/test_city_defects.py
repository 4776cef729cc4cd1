"""Copies of a file that are wrong in exactly one known place."""

import csv
from pathlib import Path

import pytest
from msgspec.structs import replace

from scripts.city import catalogue
from scripts.city.catalogue import (
    Dataset,
)
from scripts.city.corrupt import Defect, corrupt, corrupt_all
from scripts.city.errors import CityError
from scripts.city.files import write_rows
from scripts.city.ids import (
    verify_credit_code,
    verify_resident_id,
)
from tests.scripts.city_files import records, sound

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
