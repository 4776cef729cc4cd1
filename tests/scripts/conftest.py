"""A small city, written once for all tests of it. They leave it as it is."""

from pathlib import Path

import pytest

from scripts.city.population import City, make_city
from scripts.city.write import write_city
from tests.scripts.city_files import SEED, SIZE


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("city")
    write_city(directory, SEED, SIZE)
    return directory


@pytest.fixture(scope="session")
def city() -> City:
    return make_city(SEED, SIZE.people, SIZE.enterprises)
