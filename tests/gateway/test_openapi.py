"""Schemathesis over the OpenAPI document: whatever is sent, no 5xx but the documented 503, always a problem."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig

from scripts.scenario import Chain
from tests.support.chain import chain
from tests.support.city import City, gateway_process

pytestmark = pytest.mark.slow

__all__ = ["chain"]


@schemathesis.serializer("application/x-ndjson")
def lines(_: Any, value: Any) -> bytes:
    return str(value).encode("utf-8", "replace")


_STREAMS = ("/events", "/v1/feed")


@pytest.fixture(scope="module")
def city(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> City:
    """A city without keyholders: nothing here gets as far as a release."""
    return City(chain, tmp_path_factory.mktemp("city"))


@pytest.fixture(scope="module")
def url(city: City, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("gateway")
    with gateway_process(city, home, lacking={"keyholders"}) as gateway:
        yield gateway.url


@pytest.fixture(scope="module")
def document(url: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{url}/v1/openapi.json").json()
    # Streams have no end to wait for.
    found["paths"] = {
        path: item for path, item in found["paths"].items() if not path.endswith(_STREAMS)
    }
    return found


def test_every_route_documents_its_problems(document: dict[str, Any]) -> None:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert operation["summary"], f"{method} {path}"
            assert "503" in operation["responses"], f"{method} {path}"


def test_no_server_error_but_the_documented_one(url: str, document: dict[str, Any]) -> None:
    schema = schemathesis.openapi.from_dict(document, config=SchemathesisConfig())
    sent = 0
    with httpx.Client(base_url=url, timeout=30) as client:
        for result in schema.get_all_operations():
            operation: Any = result.ok()  # type: ignore[union-attr]  # the document is valid
            sent += _explore(operation, client)
    assert sent > 300


def _explore(operation: Any, client: httpx.Client) -> int:
    """Send what is generated for one operation, valid and not; return how much."""
    count = 0
    strategy = operation.as_strategy() | operation.as_strategy(
        generation_mode=GenerationMode.NEGATIVE
    )

    @given(case=strategy)
    @settings(
        max_examples=14,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def send(case: Any) -> None:
        nonlocal count
        count += 1
        kwargs = case.as_transport_kwargs(base_url=str(client.base_url))
        response = _send(client, kwargs)
        if response is None:
            return
        told = f"{case.method} {case.formatted_path}: {response.status_code} {response.text[:300]}"
        assert response.status_code < 500 or response.status_code == 503, told
        if response.status_code >= 400 and case.formatted_path != "/readyz":
            assert response.headers["content-type"] == "application/problem+json", told
            assert response.json()["type"].startswith("urn:quancheng:problem:"), told

    send()
    return count


def _send(client: httpx.Client, kwargs: dict[str, Any]) -> httpx.Response | None:
    kwargs.pop("cookies", None)
    data = kwargs.pop("data", None)
    if data is not None:
        kwargs["content"] = data
    try:
        return client.request(**kwargs)
    except (httpx.InvalidURL, httpx.LocalProtocolError, UnicodeError, TypeError, ValueError):
        return None  # what no client can send
