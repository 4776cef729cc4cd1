"""The whole way over HTTP: ask, grant, use, look back, trace; and what each may not do."""

import json
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from ledger.api import Submissions
from ledger.api.access import decode_result, decode_results, encode_submissions
from ledger.chain.events import Revoked
from ledger.crypto.records import encode_line
from ledger.crypto.statement import case_reference, new_reference
from ledger.hexstr import to_hex
from ledger.typed_data import Authorization, Revocation, record_to_object, struct_hash
from scripts.scenario import Party, Person, Subject
from tests.support.city import City, GatewayProcess, gateway_process
from tests.support.signed_http import SignedClient
from tests.support.uploads import head_of
from wallet.client.feeds import CheckedEndings
from wallet.client.transports import Client, Endpoints

pytestmark = pytest.mark.slow


@dataclass
class Town:
    city: City
    gateway: GatewayProcess
    clients: dict[bytes, SignedClient]

    def as_party(self, party: Party) -> SignedClient:
        return self._client(party.private_key)

    def as_subject(self, subject: Subject) -> SignedClient:
        return self._client(subject.private_key)

    def _client(self, key: bytes) -> SignedClient:
        if key not in self.clients:
            chain_id = self.city.chain.deployment.chain_id
            self.clients[key] = SignedClient(self.gateway.url, chain_id, key)
        return self.clients[key]

    def close(self) -> None:
        """Close the clients' connections."""
        for client in self.clients.values():
            client.close()
        self.clients.clear()

    @property
    def bank(self) -> SignedClient:
        return self.as_party(self.city.terms.consumer)

    def publish(self) -> int:
        """Upload everything, publish it on chain, have it served."""
        city = self.city
        provider = self.as_party(city.chain.parties.provider)
        city.records.sort(key=lambda record: (record.owner, record.number))
        dataset = to_hex(city.terms.dataset)
        begun = good(provider.post(f"/v1/datasets/{dataset}/uploads", {"base": 0}), 201)
        upload = begun["upload"]
        lines = b"".join(map(encode_line, city.records))
        answer = provider.request(
            "PUT", f"/v1/uploads/{upload}/lines?from=0", lines, content_type="application/x-ndjson"
        )
        assert good(answer)["received"] == len(city.records)
        sealed = good(provider.post(f"/v1/uploads/{upload}/seal"))
        head = head_of(city.records)
        assert (sealed["root"], sealed["count"]) == (to_hex(head.root), head.size)
        city.chain.publish(city.terms.dataset, head.root, head.size)
        version = self._version_of(sealed["root"])
        served = good(provider.post(f"/v1/uploads/{upload}/publish", {"version": version}))
        assert served["version"] == version
        city.chain.wait_for_block()
        return version

    def _version_of(self, root: str) -> int:
        """Wait until the gateway knows the publication on chain; return its version."""
        url = f"{self.gateway.url}/v1/datasets/{to_hex(self.city.terms.dataset)}"
        while True:
            found = good(httpx.get(url))["publication"]
            if found is not None and found["root"] == root:
                return int(found["version"])
            self.city.chain.wait_for_block()

    def ask(self, person: Person, **changes: Any) -> dict[str, Any]:
        salt, now = secrets.token_bytes(32), int(time.time())
        asked = {
            "consumer": to_hex(self.city.terms.consumer.address),
            "dataset": to_hex(self.city.terms.dataset),
            "item": to_hex(bytes(32)),
            "purpose": to_hex(self.city.terms.purpose),
            "fields": "7",
            "case_number": "2026-118",
            "case_salt": to_hex(salt),
            "case_reference": to_hex(case_reference("2026-118", salt)),
            "reference": new_reference(),
            "not_before": now - 100,
            "expires_at": now + 86_400,
            "max_uses": 1,
            "min_interval": 0,
            "deadline": now + 3600,
            "message": "贷款 / loan",
        }
        return {**asked, **changes}

    def handle(self, person: Person) -> str:
        """A handle from the identity authority."""
        identity = self.as_party(self.city.chain.parties.identity_authority)
        given = good(identity.post("/v1/handles", {"subject": to_hex(person.subject.id)}), 201)
        return str(given["handle"])

    def grant(self, person: Person, ask: dict[str, Any], request: str | None) -> httpx.Response:
        record = Authorization(
            subject=person.subject.id,
            consumer=self.city.terms.consumer.address,
            dataset=self.city.terms.dataset,
            item=bytes.fromhex(ask["item"][2:]),
            purpose=self.city.terms.purpose,
            fields=int(ask["fields"]),
            case_reference=bytes.fromhex(ask["case_reference"][2:]),
            statement="",
            not_before=ask["not_before"],
            expires_at=ask["expires_at"],
            max_uses=ask["max_uses"],
            min_interval=ask["min_interval"],
            nonce=secrets.token_bytes(32),
            deadline=ask["deadline"],
        )
        bank = self.city.terms.consumer
        stated = self.city.chain.stated(record, bank.name, ask["case_number"], ask["reference"])
        return self.relay(person, stated, request)

    def relay(
        self, person: Person, record: Authorization, request: str | None = None
    ) -> httpx.Response:
        """Relay an authorization as anybody may: it is signed in itself."""
        approval = self.city.chain.approval(record, person.subject)
        body = {
            "authorization": record_to_object(record),
            "approval": {
                "signer": to_hex(approval.signer),
                "signature": to_hex(approval.signature),
            },
            "link": record_to_object(person.link.link),
            "link_signature": to_hex(person.link.signature),
            "request": request,
        }
        return httpx.post(f"{self.gateway.url}/v1/authorizations", json=body, timeout=30)

    def revoke(self, person: Person, authorization: bytes) -> httpx.Response:
        """Relay a revocation."""
        record = Revocation(person.subject.id, authorization, int(time.time()) + 600)
        approval = self.city.chain.approval(record, person.subject)
        body = {
            "revocation": record_to_object(record),
            "approval": {
                "signer": to_hex(approval.signer),
                "signature": to_hex(approval.signature),
            },
        }
        return httpx.post(f"{self.gateway.url}/v1/revocations", json=body, timeout=30)

    def granted(self, person: Person, **terms: Any) -> bytes:
        """Grant without an ask; return the authorization's id."""
        record = self.city.authorization(person, **terms)
        good(self.relay(person, record))
        return struct_hash(record)

    def use(self, basis: bytes, **terms: Any) -> httpx.Response:
        """Use a basis once."""
        submission = self.city.submission(basis, **terms)
        body = encode_submissions(Submissions((submission,), single=True))
        return self.send(body)

    def send(self, body: bytes) -> httpx.Response:
        headers = {"content-type": "application/json"}
        return httpx.post(
            f"{self.gateway.url}/v1/accesses", content=body, headers=headers, timeout=30
        )


def good(response: httpx.Response, status: int = 200) -> dict[str, Any]:
    """Return the JSON of an answer that is as it should be."""
    assert response.status_code == status, response.text
    found: dict[str, Any] = response.json()
    return found


def problem(response: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = response.json()
    assert found["type"] == f"urn:quancheng:problem:{slug}", found
    assert found["status"] == status
    return found


@pytest.fixture(scope="module")
def town(city: City, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    home = tmp_path_factory.mktemp("gateway")
    settings = {"poll_interval": "0.02", "supervision_bounds": '{"denials": 1}'}
    with gateway_process(city, home, settings=settings) as gateway:
        town = Town(city, gateway, {})
        yield town
        town.close()


@pytest.fixture(scope="module")
def person(town: Town) -> Person:
    person = town.city.person()
    town.city.person()
    town.publish()
    return person


def test_ask_grant_use_and_look_back(town: Town, person: Person) -> None:
    ask = town.ask(person)
    created = good(town.bank.post("/v1/requests", {"handle": town.handle(person), "ask": ask}), 201)
    request = created["request"]
    assert good(town.bank.get(f"/v1/requests/{request}"))["state"] == "pending"

    citizen = town.as_subject(person.subject)
    (waiting,) = good(citizen.get("/v1/inbox"))["requests"]
    assert (waiting["request"], waiting["ask"]) == (request, ask)
    assert waiting["consumer_name"] == town.city.terms.consumer.name

    relayed = good(town.grant(person, ask, request))
    state = good(town.bank.get(f"/v1/requests/{request}"))
    assert (state["state"], state["authorization_id"]) == ("granted", relayed["id"])
    assert state["link"]["owner"] == to_hex(person.owner)
    assert good(citizen.get("/v1/inbox"))["requests"] == []

    basis = bytes.fromhex(relayed["id"][2:])
    answer = town.use(basis)
    result = decode_result(answer.content)
    own = [record for record in town.city.records if record.owner == person.owner]
    expected = [[f"field {at} of {record.number}" for at in (0, 2)] for record in own]
    assert town.city.open(result) == expected

    again = problem(town.use(basis), 403, "denied")
    assert (again["outcome"], again["sequence"]) == ("UsesExhausted", result.recorded.sequence + 1)  # type: ignore[union-attr]

    assert result.recorded is not None
    access = to_hex(result.recorded.access)
    shown = good(citizen.get("/v1/authorizations"))["authorizations"]
    assert [one["id"] for one in shown] == [relayed["id"]]
    history = good(citizen.get("/v1/history"))
    kinds = [(one["kind"], one["outcome"]) for one in history["entries"]]
    assert kinds[:3] == [("access", "UsesExhausted"), ("access", "Allowed"), ("Granted", "")]
    receipt = good(citizen.get(f"/v1/receipts/{access}"))
    assert receipt["record"]["schema_version"] == "ISO/IEC TS 27560:2023"
    pii = receipt["pii_processing"]["purposes"][0]["pii_information"]
    assert [one["pii_attribute_id"] for one in pii] == [0, 2]
    assert ask["reference"] in receipt["pii_processing"]["privacy_notice"]["notice"]


def test_a_refusal_reaches_the_consumer_at_once(town: Town, person: Person) -> None:
    ask = town.ask(person)
    body = {"handle": town.handle(person), "ask": ask}
    request = good(town.bank.post("/v1/requests", body), 201)["request"]
    assert good(town.bank.post("/v1/requests", body), 201)["request"] == request
    events: list[str] = []
    listening = threading.Event()

    def listen() -> None:
        chain_id = town.city.chain.deployment.chain_id
        key = town.city.terms.consumer.private_key
        client = SignedClient(town.gateway.url, chain_id, key)
        path = f"/v1/requests/{request}/events"
        lines = client.get(path).text.splitlines()
        events.extend(json.loads(line[6:])["state"] for line in lines if line[:6] == "data: ")
        client.close()
        listening.set()

    listener = threading.Thread(target=listen)
    listener.start()
    citizen = town.as_subject(person.subject)
    for text in ("\x1b[2J", "a\u202eb", "a\x00b", "a\u3164b", "x" * 501):
        hostile = citizen.post(f"/v1/inbox/{request}/refusal", {"reason": text})
        problem(hostile, 422, "malformed")
    refused = good(citizen.post(f"/v1/inbox/{request}/refusal", {"reason": "no"}))
    assert (refused["state"], refused["reason"]) == ("refused", "no")
    assert listening.wait(10)
    listener.join()
    assert events[-1] == "refused"
    problem(town.grant(person, ask, request), 409, "request-state")


def test_revoked_authorization_is_denied_from_the_next_block_on(town: Town, person: Person) -> None:
    basis = town.granted(person, max_uses=5)
    assert town.use(basis).status_code == 200
    done = good(town.revoke(person, basis))
    denied = problem(town.use(basis), 403, "denied")
    assert denied["outcome"] == "Revoked"
    assert denied["block_number"] > done["block_number"]
    assert good(town.revoke(person, basis)) == done  # again is the same
    feed = good(httpx.get(f"{town.gateway.url}/v1/revocations"))["revocations"]
    assert to_hex(basis) in {one["authorization"] for one in feed if one["name"] == "Revoked"}
    # The same from what the contract itself numbered, which leaves no room for leaving one out.
    deployment = town.city.chain.deployment
    node = town.city.chain.node.url
    with Client(Endpoints(town.gateway.url, node=node)) as client:
        endings, seen = CheckedEndings(deployment), set[bytes]()
        while endings.last_block < done["block_number"]:
            seen |= {e.authorization for e in client.run(endings.more()) if isinstance(e, Revoked)}
        client.run(endings.verify_with_node())
    assert basis in seen


def test_a_list_is_answered_one_by_one(town: Town, person: Person) -> None:
    basis = town.granted(person, max_uses=3)
    submissions = tuple(town.city.submission(basis) for _ in range(4))
    body = encode_submissions(Submissions(submissions, single=False))
    results = decode_results(town.send(body).content)
    outcomes = [result.recorded.outcome for result in results if result.recorded is not None]
    assert sorted(outcomes) == [0, 0, 0, 16]
    for result in results:
        assert (result.release is None) == (result.problem is not None)
        if result.release is not None:
            assert len(town.city.open(result)) == 2
    assert decode_results(town.send(body).content)[0].recorded == results[0].recorded


def test_the_consumer_and_nobody_else_is_shown_its_access(town: Town, person: Person) -> None:
    result = decode_result(town.use(town.granted(person)).content)
    assert result.recorded is not None
    path = f"/v1/accesses/{to_hex(result.recorded.access)}"
    again = decode_result(town.bank.get(path).content)
    assert again.recorded == result.recorded
    assert town.city.open(again) == town.city.open(result)
    insurer = town.as_party(town.city.chain.parties.insurer)
    problem(insurer.get(path), 403, "forbidden")
    problem(httpx.get(town.gateway.url + path), 401, "unauthenticated")
    problem(town.bank.get(f"/v1/accesses/{to_hex(bytes(32))}"), 404, "not-found")


def test_the_regulator_traces_and_reads_the_journal(town: Town, person: Person) -> None:
    basis = town.granted(person)
    result = decode_result(town.use(basis).content)
    assert result.recorded is not None
    regulator = town.as_party(town.city.chain.parties.regulator)
    traced = good(regulator.get(f"/v1/trace?authorization={to_hex(basis)}"))
    assert [one["sequence"] for one in traced["accesses"]] == [result.recorded.sequence]
    assert [one["name"] for one in traced["events"]] == ["Granted"]
    assert traced["authorizations"][0]["authorization"]["statement"]
    subject = to_hex(person.subject.id)
    everything = good(regulator.get(f"/v1/trace?subject={subject}"))
    assert len(everything["accesses"]) >= len(traced["accesses"])
    *lines, end = regulator.get("/v1/journal?from=1").text.splitlines()
    assert json.loads(end)["kind"] == "end"
    assert json.loads(end)["block"] >= result.recorded.block_number
    entries = {entry["access"]: entry for entry in map(json.loads, lines)}
    entry = entries[to_hex(result.recorded.access)]
    assert entry["released"]["records"] == [
        record.number for record in town.city.records if record.owner == person.owner
    ]
    assert len(entry["released"]["holders"]) == 2
    sequences = [json.loads(line)["sequence"] for line in lines]
    assert sequences == sorted(sequences)
    problem(town.bank.get("/v1/journal"), 403, "role-missing")
    problem(town.bank.get(f"/v1/trace?subject={subject}"), 403, "role-missing")
    problem(regulator.get("/v1/trace"), 422, "malformed")
    until = time.monotonic() + 10
    while not good(regulator.get("/v1/alerts"))["alerts"]:  # one denial is enough in this town
        assert time.monotonic() < until, "no alert"
        time.sleep(0.05)


def test_the_provider_sees_who_used_its_data(town: Town, person: Person) -> None:
    town.use(town.granted(person))
    dataset = to_hex(town.city.terms.dataset)
    provider = town.as_party(town.city.chain.parties.provider)
    seen = good(provider.get(f"/v1/datasets/{dataset}/accesses"))["accesses"]
    assert seen[0]["outcome"] == "Allowed"
    other = town.as_party(town.city.chain.parties.other_provider)
    problem(other.get(f"/v1/datasets/{dataset}/accesses"), 403, "not-the-provider")
    applications = good(provider.get("/v1/applications"))["applications"]
    assert applications[0]["state"] == "approved"
