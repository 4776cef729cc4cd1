"""Bad input over HTTP, each with a clear problem, and nothing recorded, stored or lost by it."""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import msgspec
import pytest

from ledger.api import KeyedSubmission, Submissions
from ledger.api.access import encode_submissions
from ledger.chain import contract_calls
from ledger.chain.transactions import Fee, Transaction, sign_transaction
from ledger.crypto import signatures
from ledger.crypto.hpke import DecryptionKey
from ledger.crypto.released_parts import make_nonce, nonce_word
from ledger.hexstr import keccak256, to_hex
from ledger.typed_data import AccessRequest, Domain, digest, record_to_object
from scripts.answer_keys import DrawnKeys
from scripts.scenario import Person
from tests.promises.test_whole_way import Town, good, problem
from tests.support.city import City, gateway_process
from tests.support.hostile import HOSTILE
from tests.support.signed_http import SignedClient

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def town(city: City, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    home = tmp_path_factory.mktemp("gateway")
    with gateway_process(city, home, settings={"poll_interval": "0.02"}) as gateway:
        town = Town(city, gateway, {})
        yield town
        town.close()


@pytest.fixture(scope="module")
def person(town: Town) -> Person:
    person = town.city.person()
    town.publish()
    return person


@pytest.fixture(scope="module")
def basis(town: Town, person: Person) -> bytes:
    return town.granted(person, max_uses=1000)


@pytest.fixture
def unchanged(town: Town) -> Iterator[None]:
    """The number of accesses is the same before and after."""

    def accesses() -> int:
        return int(good(httpx.get(f"{town.gateway.url}/v1/stats"))["accesses"])

    before = accesses()
    yield
    town.city.chain.wait_for_block()
    assert accesses() == before


def one(submission: KeyedSubmission) -> bytes:
    return encode_submissions(Submissions((submission,), single=True))


def changed(submission: KeyedSubmission, **values: Any) -> KeyedSubmission:
    """The same signature over another request."""
    request = msgspec.structs.replace(submission.request, **values)
    return msgspec.structs.replace(submission, request=request)


# Bodies of accesses


def _unsigned(good: bytes) -> bytes:
    return json.dumps({"request": json.loads(good)["request"]}).encode()


def _without_key(good: bytes) -> bytes:
    body = json.loads(good)
    del body["key"]
    return json.dumps(body).encode()


def _of_another_key(good: bytes) -> bytes:
    key = DecryptionKey.generate().encryption_key.to_bytes()
    return json.dumps(json.loads(good) | {"key": to_hex(key)}).encode()


def _listed(good: bytes, count: int, **others: Any) -> bytes:
    body = json.loads(good)
    keys = [body.pop("key")]
    listed = {"keys": keys, "requests": [body | {"key": 0} | others] * count}
    return json.dumps(listed).encode()


def _nested(_: bytes) -> bytes:
    return b'{"requests":' + b"[" * 100_000


ACCESS_BODIES: dict[str, tuple[Callable[[bytes], bytes], int, str]] = {
    "empty": (lambda _: b"", 422, "malformed"),
    "not JSON": (lambda body: body[:-1], 422, "malformed"),
    "text after it": (lambda body: body + b"!", 422, "malformed"),
    "not UTF-8": (lambda body: body.replace(b'"request"', b'"\xff"'), 422, "malformed"),
    "a list": (lambda body: b"[" + body + b"]", 422, "malformed"),
    "null": (lambda _: b"null", 422, "malformed"),
    "nested deep": (_nested, 422, "malformed"),
    "unsigned": (_unsigned, 422, "malformed"),
    "a key twice": (
        lambda body: body.replace(b'"signature"', b'"signature":"0x","signature"'),
        422,
        "malformed",
    ),
    "an unknown key": (lambda body: body[:-1] + b',"more":1}', 422, "malformed"),
    "a short id": (lambda body: body.replace(b'"item":"0x00', b'"item":"0x'), 422, "malformed"),
    "a number too large": (
        lambda body: body.replace(b'"deadline":', b'"deadline":9999'),
        422,
        "malformed",
    ),
    "a float": (lambda body: body.replace(b'"deadline":', b'"deadline":0.'), 422, "malformed"),
    "true for a number": (
        lambda body: body.replace(b'"fields":5', b'"fields":true'),
        422,
        "malformed",
    ),
    "a negative number": (
        lambda body: body.replace(b'"fields":5', b'"fields":-5'),
        422,
        "malformed",
    ),
    "more fields than signed for": (
        lambda body: body.replace(b'"fields":5', b'"fields":7'),
        401,
        "wrong-signature",
    ),
    "no item at all": (lambda _: b'{"requests":[]}', 422, "malformed"),
    "1,001 items": (
        lambda body: _listed(body, 1001),
        413,
        "too-many",
    ),
    "too large": (lambda body: body + b" " * 5_000_000, 413, "too-large"),
    "without a key": (_without_key, 422, "malformed"),
    "a key that is none": (lambda body: body.replace(b'"key":"0x', b'"key":"'), 422, "malformed"),
    "half a key": (lambda body: body[:-4] + b'"}', 422, "answer-key"),
    "another key": (_of_another_key, 422, "answer-key"),
    "a list without its keys": (
        lambda body: b'{"requests":[' + body + b"]}",
        422,
        "malformed",
    ),
    "a key that is not in the list": (lambda body: _listed(body, 2, key=1), 422, "malformed"),
}


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("name", ACCESS_BODIES)
def test_bodies_of_accesses(town: Town, basis: bytes, name: str) -> None:
    spoil, status, slug = ACCESS_BODIES[name]
    found = problem(town.send(spoil(one(town.city.submission(basis)))), status, slug)
    assert found["detail"]


# Signatures of accesses


def _other_chain(town: Town, found: KeyedSubmission) -> KeyedSubmission:
    deployment = town.city.chain.deployment
    domain = Domain(deployment.chain_id + 1, deployment.contracts.access_log)
    key = town.city.terms.consumer.private_key
    return msgspec.structs.replace(
        found, signature=signatures.sign(digest(found.request, domain), key)
    )


def _other_contract(town: Town, found: KeyedSubmission) -> KeyedSubmission:
    deployment = town.city.chain.deployment
    domain = Domain(deployment.chain_id, deployment.contracts.registry)
    key = town.city.terms.consumer.private_key
    return msgspec.structs.replace(
        found, signature=signatures.sign(digest(found.request, domain), key)
    )


def _stranger(town: Town, found: KeyedSubmission) -> KeyedSubmission:
    key = keccak256(b"a stranger's key")
    keys = DrawnKeys(
        town.city.chain.deployment.domain_of(AccessRequest), signatures.address_of(key)
    )
    asked = found.request
    return keys.submission(key, asked.basis, fields=asked.fields, deadline=asked.deadline)


def _malleable(_: Town, found: KeyedSubmission) -> KeyedSubmission:
    """The other signature of the same key over the same digest: s in the upper half."""
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    r, s, v = (
        found.signature[:32],
        int.from_bytes(found.signature[32:64], "big"),
        found.signature[64],
    )
    other = r + (order - s).to_bytes(32, "big") + bytes([55 - v])
    return msgspec.structs.replace(found, signature=other)


SIGNATURES: dict[str, tuple[Callable[[Town, KeyedSubmission], KeyedSubmission], str]] = {
    "of another chain": (_other_chain, "wrong-signature"),
    "for another contract": (_other_contract, "wrong-signature"),
    "zero": (lambda _, s: msgspec.structs.replace(s, signature=bytes(65)), "wrong-signature"),
    "of another consumer": (
        lambda town, s: changed(s, consumer=town.city.chain.parties.insurer.address),
        "wrong-signature",
    ),
    "over another basis": (lambda _, s: changed(s, basis=bytes(32)), "wrong-signature"),
    "over another item": (lambda _, s: changed(s, item=b"\x01" * 32), "wrong-signature"),
    "over another nonce": (lambda _, s: changed(s, nonce=7), "wrong-signature"),
    "over another deadline": (lambda _, s: changed(s, deadline=2**39), "wrong-signature"),
    "in its other form": (_malleable, "wrong-signature"),
    "of somebody never admitted": (_stranger, "unknown-party"),
}


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures_of_accesses(town: Town, basis: bytes, name: str) -> None:
    spoil, slug = SIGNATURES[name]
    problem(town.send(one(spoil(town, town.city.submission(basis)))), 401, slug)


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("key", [b"", b"\x01" + bytes(32), b"\x02" + bytes(9), b"\x03" + bytes(32)])
def test_a_key_that_nothing_can_be_sealed_to_spends_nobodys_use(
    town: Town, basis: bytes, key: bytes
) -> None:
    city = town.city
    domain, bank = city.chain.deployment.domain_of(AccessRequest), city.terms.consumer
    nonce = make_nonce(nonce_word(domain, bank.address, key), 0)
    request = msgspec.structs.replace(city.submission(basis).request, nonce=nonce)
    signed = KeyedSubmission(request, city.chain.sign(request, bank.private_key), key)
    problem(town.send(one(signed)), 422, "answer-key")


def test_denials_are_recorded(town: Town, basis: bytes, person: Person) -> None:
    ended = town.granted(person)
    good(town.revoke(person, ended))
    city, insurer = town.city, town.city.chain.parties.insurer
    asked = city.submission(basis).request
    keys = DrawnKeys(city.chain.deployment.domain_of(AccessRequest), insurer.address)
    foreign = keys.submission(
        insurer.private_key, basis, fields=asked.fields, deadline=asked.deadline
    )
    for submission, outcome in (
        (city.submission(b"\x07" * 32), "UnknownBasis"),
        (city.submission(ended), "Revoked"),
        (foreign, "ConsumerMismatch"),
        (city.submission(basis, fields=1 << 11), "FieldsExceeded"),
        (city.submission(basis, lifetime=-60), "RequestExpired"),
    ):
        denied = problem(town.send(one(submission)), 403, "denied")
        assert denied["outcome"] == outcome
        again = problem(town.send(one(submission)), 403, "denied")
        assert again["sequence"] == denied["sequence"]


def test_a_bad_one_in_a_list_does_not_spoil_the_others(town: Town, basis: bytes) -> None:
    submissions = [town.city.submission(basis) for _ in range(3)]
    submissions[1] = changed(submissions[1], fields=1)
    answer = town.send(encode_submissions(Submissions(tuple(submissions), single=False)))
    first, second, third = good(answer)["results"]
    assert first["release"]
    assert third["release"]
    assert second["problem"]["type"] == "urn:quancheng:problem:wrong-signature"
    assert second["access"] is None


# Signed requests


def _signed_wrongly(town: Town) -> dict[str, tuple[Callable[[], httpx.Response], str]]:
    bank, path = town.bank, "/v1/applications"
    now = int(time.time())
    key = town.city.terms.consumer.private_key
    other = town.clients.get(b"other chain") or SignedClient(town.gateway.url, 1, key)
    town.clients[b"other chain"] = other
    elsewhere = "http://elsewhere.example:80/v1/applications"

    def twice() -> httpx.Response:
        request = bank.request("GET", path).request
        with httpx.Client() as client:
            return client.send(request)

    return {
        "unsigned": (lambda: httpx.get(town.gateway.url + path), "unauthenticated"),
        "for another chain": (lambda: other.get(path), "unauthenticated"),
        "long ago": (
            lambda: bank.request("GET", path, created=now - 1000),
            "unauthenticated",
        ),
        "by a clock a day ahead": (
            lambda: bank.request("GET", path, created=now + 86_400),
            "unauthenticated",
        ),
        "for another path": (
            lambda: bank.request("GET", path, url=town.gateway.url + "/v1/inbox"),
            "unauthenticated",
        ),
        "for another host": (
            lambda: bank.request("GET", path, url=elsewhere),
            "unauthenticated",
        ),
        "twice": (twice, "replayed"),
        "with another body": (
            lambda: bank.request("POST", "/v1/handles", b'{"a":1}', digest_of=b"{}"),
            "unauthenticated",
        ),
        "with a session that never was": (
            lambda: httpx.get(town.gateway.url + path, headers={"authorization": "Bearer nothing"}),
            "session",
        ),
    }


@pytest.mark.parametrize(
    "name",
    [
        "unsigned",
        "for another chain",
        "long ago",
        "by a clock a day ahead",
        "for another path",
        "for another host",
        "twice",
        "with another body",
        "with a session that never was",
    ],
)
def test_requests_that_are_not_rightly_signed(town: Town, name: str) -> None:
    send, slug = _signed_wrongly(town)[name]
    problem(send(), 401, slug)


# Relays


def _grant_body(town: Town, person: Person, **changes: Any) -> dict[str, Any]:
    record = msgspec.structs.replace(town.city.authorization(person), **changes)
    if record.purpose == town.city.terms.purpose:  # another one has no sentence
        record = town.city.chain.stated(record, town.city.terms.consumer.name)
    approval = town.city.chain.approval(record, person.subject)
    return {
        "authorization": record_to_object(record),
        "approval": {"signer": to_hex(approval.signer), "signature": to_hex(approval.signature)},
        "link": record_to_object(person.link.link),
        "link_signature": to_hex(person.link.signature),
    }


RELAYS: dict[str, tuple[Callable[[Town, Person], dict[str, Any]], int, str, str]] = {
    "more uses than the purpose allows": (
        lambda town, person: _grant_body(town, person, max_uses=2**31),
        412,
        "out-of-bounds",
        "UsesOutOfBounds",
    ),
    "longer than the purpose allows": (
        lambda town, person: _grant_body(town, person, expires_at=2**32 - 1),
        412,
        "out-of-bounds",
        "ValidityOutOfBounds",
    ),
    "a field that has no name": (
        lambda town, person: _grant_body(town, person, fields=1 << 200),
        409,
        "statement-mismatch",
        "",
    ),
    "a purpose that nobody registered": (
        lambda town, person: _grant_body(town, person, purpose=b"\x01" * 32),
        409,
        "statement-mismatch",
        "",
    ),
    "relayed too late": (
        lambda town, person: _grant_body(town, person, deadline=1),
        412,
        "out-of-bounds",
        "DeadlinePassed",
    ),
    "signed by somebody else": (
        lambda town, person: {
            **_grant_body(town, person),
            "approval": {"signer": "0x" + "11" * 20, "signature": "0x" + "22" * 65},
        },
        401,
        "signature-refused",
        "InvalidSignature",
    ),
    "a link of another person": (
        lambda town, person: {
            **_grant_body(town, person),
            "link": {**record_to_object(person.link.link), "subject": to_hex(b"\x05" * 32)},
        },
        422,
        "link-mismatch",
        "",
    ),
    "a link that the identity authority did not sign": (
        lambda town, person: {**_grant_body(town, person), "link_signature": "0x" + "11" * 65},
        409,
        "link-refused",
        "",
    ),
    "an ask that never was": (
        lambda town, person: {**_grant_body(town, person), "request": "0" * 32},
        404,
        "not-found",
        "",
    ),
    "a member too many": (
        lambda town, person: {**_grant_body(town, person), "more": 1},
        422,
        "malformed",
        "",
    ),
    "a record without a member": (
        lambda town, person: {**_grant_body(town, person), "authorization": {"subject": "0x"}},
        422,
        "malformed",
        "",
    ),
}


@pytest.mark.parametrize("name", RELAYS)
def test_relays(town: Town, person: Person, name: str) -> None:
    make, status, slug, error = RELAYS[name]
    url = f"{town.gateway.url}/v1/authorizations"
    found = problem(httpx.post(url, json=make(town, person), timeout=30), status, slug)
    if error:
        assert found["error"] == error


def test_a_revocation_of_somebody_elses_authorization(town: Town, person: Person) -> None:
    other = town.city.person(0)
    basis = town.granted(person)
    problem(town.revoke(other, basis), 409, "refused")
    assert town.use(basis).status_code == 200


def test_a_transaction_with_a_text_that_is_not_plain_is_not_relayed(town: Town) -> None:
    chain, consumer = town.city.chain, town.city.chain.parties.bank
    to, now = chain.deployment.contracts.registry, chain.block_number()
    for text in ("\x1b[2J", "a\u202eb", "a\x00b", "a\u3164b"):
        data = contract_calls.appeal(text).data
        content = Transaction(chain.deployment.chain_id, 10**6 + now, 100_000, Fee(1, 1), to, data)
        raw = to_hex(sign_transaction(content, consumer.private_key).raw)
        answer = httpx.post(f"{town.gateway.url}/v1/transactions", json={"raw": raw})
        assert "statement has U+" in problem(answer, 422, "malformed")["detail"]


def test_raw_transactions_only_to_the_five_contracts(town: Town) -> None:
    url, sender = (
        f"{town.gateway.url}/v1/transactions",
        town.city.chain.sender(town.city.chain.parties.bank),
    )
    elsewhere = sender.sign(b"\x11" * 20, b"", nonce=10**6)
    for raw, status, slug in (
        ("0x", 422, "malformed"),
        ("0x00", 422, "malformed"),
        ("0x" + "ff" * 50, 422, "malformed"),
        (to_hex(elsewhere.raw), 403, "forbidden"),
        ("zz", 422, "malformed"),
    ):
        problem(httpx.post(url, json={"raw": raw}), status, slug)


# Asks


@pytest.mark.parametrize(
    ("change", "status", "slug"),
    [
        ({"fields": "0"}, 422, "malformed"),
        ({"fields": "-1"}, 422, "malformed"),
        ({"fields": "9" * 100}, 422, "malformed"),
        ({"max_uses": 0}, 422, "malformed"),
        ({"expires_at": 1}, 422, "malformed"),
        ({"deadline": 1}, 422, "malformed"),
        ({"deadline": 2**40}, 422, "malformed"),
        ({"not_before": 2**32 - 2, "expires_at": 2**32 - 1}, 422, "malformed"),
        ({"case_number": "another case"}, 422, "malformed"),
        ({"case_reference": to_hex(bytes(32))}, 422, "malformed"),
        ({"reference": "guessable"}, 422, "malformed"),
        ({"message": "x" * 501}, 422, "malformed"),
        *(({"message": text}, 422, "malformed") for text in HOSTILE),
        ({"case_number": "118）仅作测试……（以下作废"}, 422, "malformed"),
        ({"case_number": "118\u3164\u3164"}, 422, "malformed"),
        ({"case_number": "118\u05d0"}, 422, "malformed"),
        ({"consumer": "0x" + "11" * 20}, 403, "forbidden"),
        ({"consumer": 7}, 422, "malformed"),
        ({"more": "?"}, 422, "malformed"),
        ({"max_uses": 2**31}, 412, "out-of-bounds"),
        ({"purpose": to_hex(b"\x01" * 32)}, 412, "out-of-bounds"),
    ],
)
def test_asks(town: Town, person: Person, change: dict[str, Any], status: int, slug: str) -> None:
    handle = town.handle(person)
    asked = {"handle": handle, "ask": town.ask(person, **change)}
    problem(town.bank.post("/v1/requests", asked), status, slug)
    # A handle is not used up by what was refused.
    fine = {"handle": handle, "ask": town.ask(person)}
    good(town.bank.post("/v1/requests", fine), 201)


def test_a_handle_leads_one_consumer_to_one_person(town: Town, person: Person) -> None:
    handle = town.handle(person)
    good(town.bank.post("/v1/requests", {"handle": handle, "ask": town.ask(person)}), 201)
    insurer = town.as_party(town.city.chain.parties.insurer)
    address = to_hex(town.city.chain.parties.insurer.address)
    theirs = {"handle": handle, "ask": town.ask(person, consumer=address)}
    assert insurer.post("/v1/requests", theirs).status_code in (409, 412)
    unknown = {"handle": to_hex(secrets.token_bytes(32)), "ask": town.ask(person)}
    problem(town.bank.post("/v1/requests", unknown), 404, "not-found")
    citizen = town.as_subject(person.subject)
    problem(citizen.post("/v1/requests", unknown), 403, "role-missing")
    problem(town.bank.post("/v1/handles", {"subject": to_hex(person.subject.id)}), 403, "forbidden")
    problem(town.bank.get("/v1/inbox"), 403, "not-a-subject")


# Uploads


def test_uploads(town: Town, person: Person) -> None:
    provider = town.as_party(town.city.chain.parties.provider)
    other = town.as_party(town.city.chain.parties.other_provider)
    dataset = to_hex(town.city.terms.dataset)
    problem(other.post(f"/v1/datasets/{dataset}/uploads", {"base": 0}), 403, "not-the-provider")
    problem(
        provider.post(f"/v1/datasets/{to_hex(bytes(32))}/uploads", {"base": 0}), 404, "not-found"
    )
    problem(provider.post(f"/v1/datasets/{dataset}/uploads", {"base": 99}), 409, "base-unknown")
    upload = good(provider.post(f"/v1/datasets/{dataset}/uploads", {"base": 0}), 201)["upload"]
    lines, ndjson = f"/v1/uploads/{upload}/lines", "application/x-ndjson"
    put = provider.request
    problem(put("PUT", f"{lines}?from=0", b"{}\n", content_type=ndjson), 422, "malformed-line")
    problem(put("PUT", f"{lines}?from=5", b"{}\n", content_type=ndjson), 409, "out-of-step")
    problem(put("PUT", f"{lines}?from=0", b"{}\n"), 415, "media-type")
    problem(
        put("PUT", f"{lines}?from=0", b"x\n", content_type=ndjson, digest_of=b"y\n"),
        422,
        "malformed-line",
    )
    problem(other.get(f"/v1/uploads/{upload}"), 403, "not-the-provider")
    sealed = good(provider.post(f"/v1/uploads/{upload}/seal"))
    assert sealed["count"] == 0
    problem(provider.post(f"/v1/uploads/{upload}/publish", {"version": 1}), 409, "root-mismatch")
    problem(
        provider.post(f"/v1/uploads/{upload}/publish", {"version": 10**6}),
        409,
        "publication-unknown",
    )
    assert provider.request("DELETE", f"/v1/uploads/{upload}").status_code == 204
    problem(provider.get(f"/v1/uploads/{upload}"), 404, "not-found")


# Everything else


@pytest.mark.parametrize(
    ("method", "path", "status", "slug"),
    [
        ("GET", "/", 404, "not-found"),
        ("GET", "/v1/nothing", 404, "not-found"),
        ("DELETE", "/v1/accesses", 405, "method-not-allowed"),
        ("PUT", "/v1/accesses", 405, "method-not-allowed"),
        ("POST", "/v1/catalogue", 405, "method-not-allowed"),
        ("GET", "/v1/datasets/0x12", 422, "malformed"),
        ("GET", "/v1/datasets/0x" + "00" * 32, 404, "not-found"),
        ("GET", "/v1/parties/0x" + "00" * 20, 404, "not-found"),
        ("GET", "/v1/revocations?since=-1", 422, "malformed"),
        ("GET", "/v1/revocations?since=x", 422, "malformed"),
        ("POST", "/v1/authorizations", 415, "media-type"),
    ],
)
def test_paths(town: Town, method: str, path: str, status: int, slug: str) -> None:
    problem(httpx.request(method, town.gateway.url + path), status, slug)


@pytest.mark.parametrize("path", ["/v1/authorizations", "/v1/revocations", "/v1/sessions"])
@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        (b"", 422, "body-missing"),
        (b"{", 422, "malformed"),
        (b"[]", 422, "malformed"),
        (b'"\xff"', 422, "malformed"),
        (b'{"a":1,"a":2}', 422, "malformed"),
        (b"[" * 100_000, 422, "malformed"),
        (b'{"a":NaN}', 422, "malformed"),
        (b'"' + b"x" * 2_000_000 + b'"', 413, "too-large"),
    ],
)
def test_json_bodies(town: Town, path: str, body: bytes, status: int, slug: str) -> None:
    headers = {"content-type": "application/json"}
    answer = httpx.post(town.gateway.url + path, content=body, headers=headers)
    problem(answer, status, slug)


def test_sessions(town: Town, person: Person) -> None:
    url, subject = town.gateway.url, person.subject
    wanted = {"signer": to_hex(subject.signer)}
    challenge = good(httpx.post(f"{url}/v1/sessions/challenge", json=wanted), 201)["challenge"]
    signed = signatures.sign(signatures.personal_digest(challenge.encode()), subject.private_key)
    answer = {"challenge": challenge, "signer": wanted["signer"], "signature": to_hex(signed)}
    forged = {**answer, "challenge": challenge.replace("Nonce: ", "Nonce: 0")}
    problem(httpx.post(f"{url}/v1/sessions", json=forged), 401, "challenge")
    token = good(httpx.post(f"{url}/v1/sessions", json=answer), 201)["token"]
    problem(httpx.post(f"{url}/v1/sessions", json=answer), 401, "challenge")  # once
    headers = {"authorization": f"Bearer {token}"}
    good(httpx.get(f"{url}/v1/inbox", headers=headers))
    for bad in ("0x", "0x12", "0x" + "11" * 500):
        found = httpx.post(f"{url}/v1/sessions/challenge", json={"signer": bad})
        problem(found, 401, "challenge")
