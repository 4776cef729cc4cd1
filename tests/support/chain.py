"""The chain of `scripts.scenario` as fixtures.

`chain` lives as long as the test session, so tests share it: they make what they need and rely on
nothing else being there. A test that kills its node, or counts what is on it, asks for `own_chain`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from ledger.chain.embedded import Node, NodeSettings
from scripts.scenario import Chain

BLOCK_TIME: Final = 0.05
"""Seconds; shorter than in use, so that tests wait less."""


def node_settings(data: Path, **changes: object) -> NodeSettings:
    """A node for tests: a block comes soon, also when nothing happens."""
    usual = {"block_time": BLOCK_TIME, "idle_block_time": BLOCK_TIME}
    return NodeSettings(data, **{**usual, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """A chain that the whole session shares. Nobody kills it, so its state is not written."""
    with Node(node_settings(tmp_path_factory.mktemp("chain"), state_interval=0)) as node:
        chain = Chain(node)
        yield chain
        chain.close()


@pytest.fixture
def own_chain(tmp_path: Path) -> Iterator[Chain]:
    """A chain for one test, which may kill and restart `own_chain.node`.

    Its state is written at checkpoints only: a kill takes back all blocks since.
    """
    with Node(node_settings(tmp_path / "chain", state_interval=0)) as node:
        chain = Chain(node)
        yield chain
        chain.close()


@pytest.fixture
def make_chain(tmp_path: Path) -> Iterator[Callable[[], Chain]]:
    """Make as many chains as a test wants."""
    chains: list[Chain] = []

    def make() -> Chain:
        node = Node(node_settings(tmp_path / f"chain{len(chains)}"))
        node.start()
        try:
            chains.append(Chain(node))
        except BaseException:
            node.stop()
            raise
        return chains[-1]

    yield make
    for chain in chains:
        chain.close()
        chain.node.stop()
