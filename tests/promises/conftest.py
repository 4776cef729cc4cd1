"""A city that the promise tests of a module share."""

from collections.abc import Iterator

import pytest

from tests.support.chain import Chain, chain, own_chain
from tests.support.city import City, make_city
from tests.support.database import postgres_server

__all__ = ["chain", "own_chain", "postgres_server"]


@pytest.fixture(scope="module")
def city(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """Node, keyholder processes, a dataset, a bank."""
    with make_city(chain, tmp_path_factory.mktemp("city")) as made:
        yield made
