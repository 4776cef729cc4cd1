"""A small city's files, as its departments wrote them, and a gateway to publish at."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from scripts.city.write import Size, write_city
from scripts.scenario import Chain
from tests.support.city import City, GatewayProcess, gateway_process, make_city
from tests.support.departments import Department
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


@pytest.fixture(scope="module")
def town(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    with make_city(chain, tmp_path_factory.mktemp("town")) as made:
        yield made


@pytest.fixture(scope="module")
def gateway(town: City) -> Iterator[GatewayProcess]:
    with gateway_process(town, town.home / "gateway-process") as running:
        yield running


class DepartmentAt(Protocol):
    """Makes a department at a gateway; closed with the test."""

    def __call__(self, url: str, *, node: bool = True) -> Department: ...


@pytest.fixture
def department_at(town: City, city: Path, tmp_path: Path) -> Iterator[DepartmentAt]:
    with ExitStack() as stack:

        def make(url: str, *, node: bool = True) -> Department:
            made = Department(town, city, tmp_path / "books", url, node=node)
            stack.callback(made.close)
            return made

        yield make
