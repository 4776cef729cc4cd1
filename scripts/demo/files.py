"""The departments' files: written to disk first, then published from there.

What they say is read here a second time, only to compare it with what comes out at the other end.
"""

import csv
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from scripts.city.catalogue import RESIDENTS, Dataset
from scripts.city.delta import Amounts, Delta, make_delta
from scripts.city.files import read_rows
from scripts.city.manifest import MANIFEST_FILE, Manifest
from scripts.city.population import City, make_city
from scripts.city.rows import Row
from scripts.city.write import Size, write_city
from scripts.demo.stage import DemoError

SEED: Final = 20261123


@dataclass(frozen=True, slots=True)
class Resident:
    """A person as the register of residents has it."""

    name: str
    resident_id: str


class CityFiles:
    def __init__(self, directory: Path, size: Size) -> None:
        self.directory = directory
        self.manifest: Manifest = write_city(directory, SEED, size)
        self._rows: dict[str, dict[str, list[Row]]] = {}

    @property
    def description(self) -> Path:
        """The file that describes all datasets."""
        return self.directory / MANIFEST_FILE

    def path(self, code: str) -> Path:
        """Return a dataset's file."""
        return self.directory / self.dataset(code).file

    def dataset(self, code: str) -> Dataset:
        return self.manifest.dataset(code)

    def rows_of(self, code: str, key: str = "") -> list[Row]:
        """Return what a dataset's file says about somebody (without a key: about nobody)."""
        if code not in self._rows:
            found: dict[str, list[Row]] = defaultdict(list)
            for row in read_rows(self.path(code), self.dataset(code)):
                found[row.key].append(row)
            self._rows[code] = found
        return self._rows[code].get(key, [])

    def values_of(
        self, code: str, names: tuple[str, ...], key: str = "", path: Path | None = None
    ) -> dict[int, tuple[str, ...]]:
        """Return some fields of what a dataset's file says about somebody, by record number.

        Args:
            code: of the dataset.
            names: of the fields.
            key: resident id or credit code; empty for records about nobody.
            path: of another version of the file.
        """
        dataset = self.dataset(code)
        places = [dataset.field_index(name) for name in names]
        rows = self.rows_of(code, key)
        if path is not None:
            rows = [row for row in read_rows(path, dataset) if row.key == key]
        return {row.number: tuple(row.values[place] for place in places) for row in rows}

    @cached_property
    def residents(self) -> tuple[Resident, ...]:
        """All residents, in the order of the register."""
        path = self.directory / RESIDENTS.file
        with path.open(encoding="utf-8", newline="") as file:
            return tuple(
                Resident(line["name"], line[RESIDENTS.key_column]) for line in csv.DictReader(file)
            )

    def resident_with(self, code: str, least: int, *, place: int = 0) -> Resident:
        """Return the `place`-th person about whom a dataset has at least so many records.

        Raises:
            DemoError: the city is too small for that.
        """
        fitting = [
            resident
            for resident in self.residents
            if len(self.rows_of(code, resident.resident_id)) >= least
        ]
        if place >= len(fitting):
            raise DemoError(f"too few people with {least} records in {code}: take a larger city")
        return fitting[place]

    def resident(self, resident_id: str) -> Resident:
        return next(resident for resident in self.residents if resident.resident_id == resident_id)

    def write_next_version(self, code: str, target: Path, amounts: Amounts) -> Delta:
        """Write the next version of a dataset's file; return what differs."""
        return make_delta(
            self._city,
            self.dataset(code),
            source=self.path(code),
            target=target,
            seed=SEED + 1,
            amounts=amounts,
        )

    @cached_property
    def _city(self) -> City:
        return make_city(SEED, self.manifest.people, self.manifest.enterprises)
