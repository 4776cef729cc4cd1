"""Whatever happens, no line of the gateway's log shows a payload, key, signature, token or a person's number."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ledger.api import Submissions
from ledger.api.access import encode_submissions
from ledger.crypto import signatures
from ledger.hexstr import to_hex
from ledger.service.logs import ALLOWED
from tests.promises.test_whole_way import Town, good, problem
from tests.support.city import City, gateway_process

pytestmark = pytest.mark.slow

NUMBER = "370102199001011234"
SECRETS = {
    "hex": re.compile(r"[0-9a-fA-F]{16,}"),
    "base64": re.compile(r"[A-Za-z0-9+/_=-]{40,}"),
    "number": re.compile(r"\d{15,}"),
    "Chinese": re.compile(r"[\u4e00-\u9fff]"),
}
"""Forms that nothing which may be logged has, and everything that may not be logged does."""


def shown(line: str) -> list[str]:
    """Names of the forms that a line shows."""
    return [name for name, form in SECRETS.items() if form.search(line)]


@pytest.fixture(scope="module")
def log(city: City, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The log, at its most talkative, of a gateway that lived through a lot."""
    home = tmp_path_factory.mktemp("gateway")
    settings = {"log_level": "debug", "access_timeout": "2", "keyholder_timeout": "2"}
    city.keyholders.start()
    with gateway_process(city, home, settings=settings) as gateway:
        town = Town(city, gateway, {})
        try:
            _live(town)
        finally:
            town.close()
        gateway.stop()
        yield gateway.log
    city.keyholders.start()


def _live(town: Town) -> None:
    url, city = town.gateway.url, town.city
    person = city.person()
    town.publish()
    basis = town.granted(person)
    good(town.use(basis))
    problem(town.use(basis), 403, "denied")
    good(town.revoke(person, basis))
    body = encode_submissions(Submissions((city.submission(town.granted(person)),), single=True))
    city.keyholders.stop(2)
    problem(town.send(body), 503, "cannot-record")
    _wait_until_not_ready(url)
    problem(town.send(body[:-1] + b',"id_number":"' + NUMBER.encode() + b'"}'), 422, "malformed")
    problem(httpx.post(f"{url}/v1/revocations", json={"revocation": NUMBER}), 422, "malformed")
    problem(httpx.get(f"{url}/v1/datasets/{NUMBER}"), 422, "malformed")
    problem(httpx.get(f"{url}/{NUMBER}?name={NUMBER}"), 404, "not-found")
    wanted = {"signer": to_hex(person.subject.signer)}
    challenge = good(httpx.post(f"{url}/v1/sessions/challenge", json=wanted), 201)["challenge"]
    signed = signatures.sign(
        signatures.personal_digest(challenge.encode()), person.subject.private_key
    )
    answer = {"challenge": challenge, **wanted, "signature": to_hex(signed)}
    token = good(httpx.post(f"{url}/v1/sessions", json=answer), 201)["token"]
    good(httpx.get(f"{url}/v1/inbox", headers={"authorization": f"Bearer {token}"}))
    assert httpx.get(f"{url}/metrics").status_code == 200


def _wait_until_not_ready(url: str) -> None:
    """The gateway looks after its keyholders every two seconds."""
    until = time.monotonic() + 20
    while httpx.get(f"{url}/readyz").status_code != 503:
        assert time.monotonic() < until, (
            "two keyholders stopped, and the gateway calls itself ready"
        )
        time.sleep(0.1)


def test_the_log_is_json_and_has_only_what_may_be_logged(log: Path) -> None:
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {"listening", "started", "request", "not ready", "stopped"} <= {
        line["event"] for line in lines
    }
    for line in lines:
        assert line.keys() <= ALLOWED, line


def test_no_line_shows_a_secret(log: Path) -> None:
    for line in log.read_text().splitlines():
        assert not shown(line), line


def test_the_search_would_find_each_kind() -> None:
    assert shown(f'{{"event": "x", "error": "{NUMBER}"}}')
    assert shown(f'{{"error": "0x{"ab" * 32}"}}')
    assert shown('{"error": "' + "pVt1Zm8yMzQ1Njc4OTBhYmNkZWZnaGlqa2xtbm9wcXJz" + '"}')
    assert shown('{"error": "房产"}')
