"""Writes a whole city to a directory."""

from collections.abc import Iterator
from itertools import chain, count, islice
from pathlib import Path
from typing import Final

import msgspec

from scripts.city.catalogue import (
    DATASETS,
    ENTERPRISES,
    HOSPITAL_VISITS,
    REAL_ESTATE,
    RESIDENTS,
    Dataset,
    Register,
)
from scripts.city.errors import CityError
from scripts.city.files import write_rows, write_table
from scripts.city.manifest import Manifest, write_manifest
from scripts.city.population import City, make_city
from scripts.city.randomness import stream
from scripts.city.registry import source_of
from scripts.city.rows import Row, first_number, numbered
from wallet.provider.description import Encoding, FileFormat

NATURAL: Final = 0
"""As many records as the people of the city have by themselves."""


class Size(msgspec.Struct, frozen=True):
    """How big a city is.

    Attributes:
        people: residents; they are held in memory while the files are written.
        enterprises: enterprises; as well.
        records: the fewest that all datasets have together; hospital visits make up the number, and
            there is at least one visit for two residents.
        real_estate_records: exactly so many, or `NATURAL`. They are streamed.
    """

    people: int = 10_000
    enterprises: int = 1_000
    records: int = 50_000
    real_estate_records: int = NATURAL


def write_city(directory: Path, seed: int, size: Size, *, plain: bool = False) -> Manifest:
    """Write registers, datasets and manifest; the same arguments give the same bytes.

    Args:
        directory: made if it does not exist; files of the same names are written over.
        seed: decides everything that is random.
        size: how big the city is.
        plain: write every dataset as CSV in UTF-8, whatever its department's habit is.

    Raises:
        CityError: the size is no city's.
    """
    if size.real_estate_records < 0 or size.records < 0:
        raise CityError("a number of records is 0 or more")
    city = make_city(seed, size.people, size.enterprises)
    registers = _write_registers(directory, city)
    datasets = tuple(as_plain(dataset) if plain else dataset for dataset in DATASETS)
    entries: dict[str, Dataset] = {}
    others = [dataset for dataset in datasets if dataset.code != HOSPITAL_VISITS.code]
    visits = [dataset for dataset in datasets if dataset.code == HOSPITAL_VISITS.code]
    for dataset in (*others, *visits):
        written = sum(entry.records or 0 for entry in entries.values())
        rows = _rows(city, dataset, _wanted(dataset, size, written))
        records = write_rows(directory / dataset.file, dataset, rows)
        entries[dataset.code] = msgspec.structs.replace(dataset, records=records)
    manifest = Manifest(
        seed,
        size.people,
        size.enterprises,
        registers,
        tuple(entries[dataset.code] for dataset in datasets),
    )
    write_manifest(directory, manifest)
    return manifest


def as_plain(dataset: Dataset) -> Dataset:
    """Return the dataset as a CSV file in UTF-8."""
    file = str(Path(dataset.file).with_suffix(".csv").as_posix())
    return msgspec.structs.replace(
        dataset, file=file, format=FileFormat.CSV, encoding=Encoding.UTF_8
    )


def _wanted(dataset: Dataset, size: Size, written: int) -> int:
    """Return how many records a dataset is to have, or `NATURAL`."""
    if dataset.code == REAL_ESTATE.code:
        return size.real_estate_records
    if dataset.code == HOSPITAL_VISITS.code:
        return max(size.people // 2, size.records - written)
    return NATURAL


def _rows(city: City, dataset: Dataset, wanted: int) -> Iterator[Row]:
    rng = stream(city.seed, dataset.code)
    source = source_of(dataset)
    if wanted == NATURAL:
        contents = source.contents(city, rng)
    else:
        passes = (source.contents(city, rng) for _ in count())
        contents = islice(chain.from_iterable(passes), wanted)
    return numbered(contents, first_number(dataset), stream(city.seed, dataset.code, "numbers"))


def _write_registers(directory: Path, city: City) -> tuple[Register, ...]:
    residents = write_table(
        directory / RESIDENTS.file,
        RESIDENTS.columns,
        (
            (
                resident.name,
                resident.resident_id,
                resident.phone,
                resident.birth_date.isoformat(),
                resident.address,
            )
            for resident in city.residents
        ),
    )
    enterprises = write_table(
        directory / ENTERPRISES.file,
        ENTERPRISES.columns,
        (
            (firm.name, firm.credit_code, firm.legal_representative.resident_id)
            for firm in city.enterprises
        ),
    )
    return (
        msgspec.structs.replace(RESIDENTS, records=residents),
        msgspec.structs.replace(ENTERPRISES, records=enterprises),
    )
