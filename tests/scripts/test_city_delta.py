"""The next version of a file differs in exactly what its report says."""

from pathlib import Path

import pytest

from scripts.city import catalogue
from scripts.city.catalogue import (
    DATASETS,
    Dataset,
)
from scripts.city.delta import Amounts, make_delta
from scripts.city.errors import CityError
from scripts.city.population import City
from tests.scripts.city_files import records, sound


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


def test_an_impossible_delta_is_refused(directory: Path, tmp_path: Path, city: City) -> None:
    dataset = catalogue.PARKING_LOTS
    source, target = directory / dataset.file, tmp_path / "file.csv"
    for amounts in (Amounts(changed=300), Amounts(1, -1, 1), Amounts(200, 0, 100)):
        with pytest.raises(CityError, match="too few"):
            make_delta(city, dataset, source=source, target=target, seed=1, amounts=amounts)
    with pytest.raises(CityError, match="written over"):
        make_delta(city, dataset, source=source, target=source, seed=1, amounts=Amounts(1, 1, 1))
    assert not target.exists()
