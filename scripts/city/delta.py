"""Writes the next version of a dataset's file: some records changed, some new, some withdrawn.

    python -m scripts.city.delta --city DIR --dataset real-estate --out FILE --report FILE

A record keeps its number for life, and a withdrawn number is not given again.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from random import Random

import msgspec

from scripts.city.catalogue import Dataset
from scripts.city.errors import CityError
from scripts.city.files import read_rows, write_rows
from scripts.city.manifest import read_manifest
from scripts.city.population import City, make_city
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


def write_report(path: Path, delta: Delta) -> None:
    """Write a delta as JSON, readable by people."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(delta), indent=2) + b"\n")


def read_report(path: Path) -> Delta:
    """Return the delta that `write_report` wrote.

    Raises:
        CityError: the file is missing or is not one.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Delta)
    except (OSError, msgspec.MsgspecError) as error:
        raise CityError(f"{path} is no delta report: {error}") from error


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


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.city.delta", description=__doc__)
    parser.add_argument("--city", type=Path, required=True, help="directory of datasets.json")
    parser.add_argument("--dataset", required=True, help="code of a dataset")
    parser.add_argument("--source", type=Path, help="version before (default: the city's file)")
    parser.add_argument("--out", type=Path, required=True, help="file of the version after")
    parser.add_argument("--report", type=Path, required=True, help="JSON of what differs")
    parser.add_argument("--seed", type=int, default=1, help="which records are taken")
    parser.add_argument("--changed", type=int, default=Amounts().changed)
    parser.add_argument("--new", type=int, default=Amounts().new)
    parser.add_argument("--withdrawn", type=int, default=Amounts().withdrawn)
    options = parser.parse_args(arguments)
    amounts = Amounts(options.changed, options.new, options.withdrawn)
    try:
        manifest = read_manifest(options.city)
        dataset = manifest.dataset(options.dataset)
        city = make_city(manifest.seed, manifest.people, manifest.enterprises)
        source = options.source or options.city / dataset.file
        delta = make_delta(
            city, dataset, source=source, target=options.out, seed=options.seed, amounts=amounts
        )
        write_report(options.report, delta)
    except (CityError, OSError) as error:
        print(f"delta: {error}", file=sys.stderr)
        return 1
    print(f"{options.out}: {delta.records_before:,} records before, {delta.records_after:,} after")
    return 0


if __name__ == "__main__":
    sys.exit(main())
