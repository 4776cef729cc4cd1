"""A row of a department's file, as text, and the numbers that the department gives to its records."""

from collections.abc import Iterable, Iterator
from random import Random
from typing import Final, NamedTuple

from scripts.city.catalogue import DATASETS, Dataset

_CITY_NUMBER: Final = 3799
_NUMBERS_PER_DATASET: Final = 10**10


class Content(NamedTuple):
    """A record before it has a number.

    `key` is empty in a dataset about nobody. `values` are in schema order, as `FieldType` writes them;
    an empty text is a missing value.
    """

    key: str
    values: tuple[str, ...]


class Row(NamedTuple):
    """A record as it stands in the file."""

    key: str
    number: int
    values: tuple[str, ...]


def first_number(dataset: Dataset) -> int:
    """Return the number below all record numbers of a dataset: the city, the dataset, a serial."""
    places = [other.code for other in DATASETS]
    return (_CITY_NUMBER * 100 + places.index(dataset.code) + 1) * _NUMBERS_PER_DATASET


def numbered(contents: Iterable[Content], above: int, rng: Random) -> Iterator[Row]:
    """Yield the contents with ascending numbers above one; some are skipped, as offices do."""
    number = above
    for content in contents:
        number += 1 + (rng.random() < 0.1)
        yield Row(content.key, number, content.values)
