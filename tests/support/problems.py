"""The gateway's errors by the problem that each becomes."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.errors import GatewayError
from gateway.problems import kind_of


def slug(error: object) -> str | None:
    """The slug of an error's problem; None without an error."""
    if error is None:
        return None
    assert isinstance(error, GatewayError), error
    return kind_of(error).slug


@contextmanager
def refused_as(*slugs: str) -> Iterator[pytest.ExceptionInfo[GatewayError]]:
    with pytest.raises(GatewayError) as caught:
        yield caught
    assert slug(caught.value) in slugs
