"""Vectors of records, keys and journals come out the same every time; `--write-vectors` writes them anew."""

from collections.abc import Callable, Mapping

import pytest

from tests.vectors import cryptography, journals, parties, signed_records
from tests.vectors.files import compare_or_write


@pytest.mark.parametrize("make", [m.make_files for m in (cryptography, signed_records, parties)])
def test_vectors_of_records_and_keys(
    make: Callable[[], Mapping[str, str]], pytestconfig: pytest.Config
) -> None:
    compare_or_write(make(), pytestconfig)


async def test_vectors_of_journals(pytestconfig: pytest.Config) -> None:
    compare_or_write(await journals.make_files(), pytestconfig)
