"""Writes the next version of a dataset's file: some records changed, some new, some withdrawn.

A record keeps its number for life, and a withdrawn number is not given again.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from random import Random

from scripts.city.catalogue import Dataset
from scripts.city.errors import CityError
from scripts.city.files import read_rows, write_rows
from scripts.city.population import City
from scripts.city.randomness import stream
from scripts.city.registry import source_of
from scripts.city.rows import Row, numbered


@dataclass(frozen=True, slots=True)
class Amounts:
    """How many records change, appear and disappear from one version to the next."""

    changed: int = 200
    new: int = 50
    withdrawn: int = 10


@dataclass(frozen=True, slots=True)
class Difference:
    """One record that differs; `fields` names what changed in a changed record."""

    key: str
    number: int
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delta:
    """All that differs between two versions, each part by ascending number."""

    dataset: str
    records_before: int
    records_after: int
    changed: tuple[Difference, ...]
    new: tuple[Difference, ...]
    withdrawn: tuple[Difference, ...]


def make_delta(
    city: City, dataset: Dataset, *, source: Path, target: Path, seed: int, amounts: Amounts
) -> Delta:
    """Write the next version of `source` to `target`, both whole files in the dataset's format.

    The file is read twice and never held; only the differences are. `seed` decides which
    records are taken, so that a third version needs another seed than the second.

    Raises:
        CityError: the file has too few records or other columns, or is the target itself.
    """
    if source.resolve() == target.resolve():
        raise CityError(f"{source} cannot be written over while it is read")
    rng = stream(seed, "delta", dataset.code)
    before, last = 0, 0
    for row in read_rows(source, dataset):
        before, last = before + 1, row.number
    plan = _choose_places(rng, before, amounts)
    new = _new_rows(city, dataset, rng, last, amounts.new)
    outcome = _Outcome([], [])
    kept_rows = _kept(read_rows(source, dataset), dataset, rng, plan, outcome)
    after = write_rows(target, dataset, chain(kept_rows, new))
    return Delta(
        dataset=dataset.code,
        records_before=before,
        records_after=after,
        changed=tuple(outcome.changed),
        new=tuple(Difference(row.key, row.number) for row in new),
        withdrawn=tuple(outcome.withdrawn),
    )


@dataclass(frozen=True, slots=True)
class _Plan:
    """Places in the file, counted from 0."""

    changed: frozenset[int]
    withdrawn: frozenset[int]


@dataclass(slots=True)
class _Outcome:
    """Changes to records so far, while the file is written."""

    changed: list[Difference]
    withdrawn: list[Difference]


def _choose_places(rng: Random, records: int, amounts: Amounts) -> _Plan:
    touched = amounts.changed + amounts.withdrawn
    if min(amounts.changed, amounts.new, amounts.withdrawn) < 0 or touched >= records:
        raise CityError(f"{records} records are too few for {amounts}")
    # The last record stays: its number tells the next version from where to go on.
    places = rng.sample(range(records - 1), touched)
    return _Plan(frozenset(places[: amounts.changed]), frozenset(places[amounts.changed :]))


def _new_rows(city: City, dataset: Dataset, rng: Random, above: int, wanted: int) -> list[Row]:
    additions = source_of(dataset).additions(city, rng)
    return list(numbered(islice(additions, wanted), above, rng))


def _kept(
    rows: Iterable[Row], dataset: Dataset, rng: Random, plan: _Plan, outcome: _Outcome
) -> Iterator[Row]:
    """Yield the rows that stay, changed or not; note in `outcome` what happens to the others."""
    change = source_of(dataset).change
    for place, row in enumerate(rows):
        if place in plan.withdrawn:
            outcome.withdrawn.append(Difference(row.key, row.number))
        elif place in plan.changed:
            values = change(row.values, rng)
            fields = _changed_fields(dataset, row.values, values)
            outcome.changed.append(Difference(row.key, row.number, fields))
            yield Row(row.key, row.number, values)
        else:
            yield row


def _changed_fields(
    dataset: Dataset, before: tuple[str, ...], after: tuple[str, ...]
) -> tuple[str, ...]:
    return tuple(
        field.name
        for field, old, new in zip(dataset.fields, before, after, strict=True)
        if old != new
    )
