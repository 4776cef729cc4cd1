"""Errors by their kind, for `pytest.raises(..., check=of_kind(...))`."""

from collections.abc import Callable

from wallet.client.errors import ClientError
from wallet.errors import KeystoreError


def of_kind(kind: str) -> Callable[[ClientError | KeystoreError], bool]:
    return lambda error: error.kind == kind
