"""Vectors of a chain come out the same every time; `--write-vectors` writes them anew."""

from collections.abc import Callable, Mapping

import pytest

from tests.vectors import chain, messages
from tests.vectors.files import compare_or_write
from tests.vectors.small_chain import SmallChain, make_chain


@pytest.fixture(scope="module")
def small_chain() -> SmallChain:
    return make_chain()


@pytest.mark.parametrize("make", [chain.make_files, messages.make_files])
def test_vectors_of_a_chain(
    make: Callable[[SmallChain], Mapping[str, str]],
    small_chain: SmallChain,
    pytestconfig: pytest.Config,
) -> None:
    compare_or_write(make(small_chain), pytestconfig)
