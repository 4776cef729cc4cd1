"""A small city's files, as its departments wrote them."""

from pathlib import Path

import pytest

from scripts.city.write import Size, write_city
from wallet.provider.description import Description, read_description


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("city")
    write_city(directory, 11, Size(people=300, enterprises=30, records=2_000))
    return directory


@pytest.fixture
def parking(city: Path) -> Description:
    return read_description(city / "datasets.json", "parking-lots")


@pytest.fixture
def real_estate(city: Path) -> Description:
    return read_description(city / "datasets.json", "real-estate")
