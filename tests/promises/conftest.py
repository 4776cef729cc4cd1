"""A city that the promise tests of a module share."""

from collections.abc import Iterator

import pytest

from ledger.chain.embedded import Node, NodeSettings
from scripts.scenario import Chain
from tests.support.chain import BLOCK_TIME, chain, own_chain
from tests.support.city import City, make_city
from tests.support.database import postgres_server

__all__ = ["chain", "own_chain", "postgres_server"]


@pytest.fixture(scope="module")
def city(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """Node, keyholder processes, a dataset, a bank."""
    with make_city(chain, tmp_path_factory.mktemp("city")) as made:
        yield made


@pytest.fixture(scope="module")
def module_chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """A chain for one module, on which nothing else happens."""
    settings = NodeSettings(tmp_path_factory.mktemp("chain"), block_time=BLOCK_TIME)
    with Node(settings) as node:
        made = Chain(node)
        yield made
        made.close()
