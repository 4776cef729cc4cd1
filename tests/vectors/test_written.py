"""The files in docs/spec/vectors come out the same every time; `--write-vectors` writes them anew."""

from collections.abc import Callable, Mapping

import pytest

from tests.vectors import chain, cryptography, journals, messages, parties, signed_records
from tests.vectors.files import FOLDER
from tests.vectors.small_chain import SmallChain, make_chain


@pytest.fixture(scope="module")
def small_chain() -> SmallChain:
    return make_chain()


def compare_or_write(files: Mapping[str, str], config: pytest.Config) -> None:
    for name, text in files.items():
        path = FOLDER / name
        if config.getoption("--write-vectors"):
            path.write_text(text, encoding="utf-8")
        assert path.read_text("utf-8") == text, f"{name} is not what the library makes"


@pytest.mark.parametrize("make", [m.make_files for m in (cryptography, signed_records, parties)])
def test_vectors_of_records_and_keys(
    make: Callable[[], Mapping[str, str]], pytestconfig: pytest.Config
) -> None:
    compare_or_write(make(), pytestconfig)


async def test_vectors_of_journals(pytestconfig: pytest.Config) -> None:
    compare_or_write(await journals.make_files(), pytestconfig)


@pytest.mark.parametrize("make", [chain.make_files, messages.make_files])
def test_vectors_of_a_chain(
    make: Callable[[SmallChain], Mapping[str, str]],
    small_chain: SmallChain,
    pytestconfig: pytest.Config,
) -> None:
    compare_or_write(make(small_chain), pytestconfig)
