"""The functions by which each dataset is written and kept up to date."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from scripts.city.population import City
from scripts.city.rows import Content


@dataclass(frozen=True, slots=True)
class Source:
    """How one dataset comes about.

    Attributes:
        contents: yields what the department holds on the reference date. Called again with the same
            generator, it yields more of the same kind, so that a dataset can have any size.
        additions: yields, without end, what is registered after the reference date.
        change: returns the values of a record after something happened to it; never the same values.
    """

    contents: Callable[[City, Random], Iterator[Content]]
    additions: Callable[[City, Random], Iterator[Content]]
    change: Callable[[tuple[str, ...], Random], tuple[str, ...]]
