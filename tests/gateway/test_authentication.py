"""A request counts only if its sender signed exactly it, for this gateway, not long ago, once."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from ledger.crypto.signatures import personal_digest, sign
from ledger.hexstr import checksum_address, to_hex
from scripts.scenario import Chain
from tests.support.gateway_server import GatewayServer, Signing, serve_gateway

NOW = int(time.time())


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    document = answer.json()
    assert document["status"] == answer.status_code
    return answer.status_code, document["type"].removeprefix("urn:quancheng:problem:")


def changed(name: str, value: str) -> Callable[[Signing], Signing]:
    return lambda signing: replace(signing, change={name: value})


WRONG: list[tuple[str, Callable[[Signing], Signing], str, str]] = [
    ("other host", changed("authority", "127.0.0.1:1"), "unauthenticated", ""),
    ("other method", changed("method", "PUT"), "unauthenticated", ""),
    ("other path", changed("path", "/v1/uploads"), "unauthenticated", ""),
    ("other query", changed("query", "a=1"), "unauthenticated", ""),
    (
        "other chain",
        lambda signing: replace(signing, chain_id=1),
        "unauthenticated",
        "signed for chain 1",
    ),
    (
        "expired",
        lambda signing: replace(signing, created=int(time.time()) - 61),
        "unauthenticated",
        "expired",
    ),
    (
        "a day ahead",
        lambda signing: replace(signing, created=int(time.time()) + 86_400),
        "unauthenticated",
        "set the clocks",
    ),
    (
        "a day behind",
        lambda signing: replace(signing, created=int(time.time()) - 86_400),
        "unauthenticated",
        "expired",
    ),
    (
        "signed for too long",
        lambda signing: replace(signing, lifetime=301),
        "unauthenticated",
        "1 to 300 seconds",
    ),
    ("no input", changed("signature-input", ""), "unauthenticated", ""),
    ("no signature", changed("signature", ""), "unauthenticated", ""),
    ("garbage", changed("signature", "eth=:AAAA:"), "unauthenticated", ""),
    ("garbled input", changed("signature-input", "eth=();x=1"), "unauthenticated", ""),
    (
        "digest of another body",
        changed("content-digest", "sha-256=:" + "A" * 43 + "=:"),
        "unauthenticated",
        "",
    ),
]


@pytest.mark.parametrize(("name", "bend", "slug", "told"), WRONG, ids=[one[0] for one in WRONG])
async def test_what_is_not_signed_exactly_so_is_refused(
    gateway: GatewayServer, name: str, bend: Callable[[Signing], Signing], slug: str, told: str
) -> None:
    dataset = await gateway.new_dataset()
    path = f"/v1/datasets/{to_hex(dataset)}/uploads"
    signing = bend(gateway.signing(gateway.chain.parties.provider))
    answer = await gateway.send(signing, "POST", path, {"base": 0})
    assert problem(answer) == (401, slug), name
    assert told in answer.json()["detail"]
    right = await gateway.send(gateway.chain.parties.provider, "POST", path, {"base": 0})
    assert right.status_code == 201


async def test_an_unsigned_request_is_refused_everywhere_but_on_public_routes(
    gateway: GatewayServer,
) -> None:
    dataset = to_hex(await gateway.new_dataset())
    for method, path, value in (
        ("POST", f"/v1/datasets/{dataset}/uploads", {"base": 0}),
        ("GET", f"/v1/uploads/{'0' * 32}", None),
        ("POST", f"/v1/uploads/{'0' * 32}/seal", None),
        ("DELETE", f"/v1/uploads/{'0' * 32}", None),
        ("POST", f"/v1/datasets/{dataset}/erasures", {"number": 1, "transaction": dataset}),
        ("GET", "/v1/inbox", None),
        ("GET", "/v1/history", None),
        ("GET", "/v1/applications", None),
    ):
        answer = await gateway.send(None, method, path, value)
        assert problem(answer) == (401, "unauthenticated"), path
    for path in ("/v1/catalogue", "/v1/purposes", "/v1/deployment", "/v1/stats", "/healthz"):
        assert (await gateway.send(None, "GET", path)).status_code == 200, path


async def test_a_request_counts_once_also_after_a_restart(chain: Chain, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/gateway.db"
    async with serve_gateway(chain, tmp_path, url) as first:
        dataset = await first.new_dataset()
        path = f"/v1/datasets/{to_hex(dataset)}/uploads"
        body = json.dumps({"base": 0}).encode()
        signing = first.signing(chain.parties.provider)
        headers = first.signed_headers(signing, "POST", path, body)
        headers["content-type"] = "application/json"
        answers = [await first.http.post(path, content=body, headers=headers) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [201, 401, 401]
        assert problem(answers[1]) == (401, "replayed")
        port, authority = first.settings.port, first.authority
    async with serve_gateway(chain, tmp_path, url, authorities=(authority,)) as second:
        headers["host"] = f"127.0.0.1:{port}"
        again = await second.http.post(path, content=body, headers=headers)
        assert problem(again) == (401, "replayed")


async def test_a_request_for_another_host_is_refused_though_rightly_signed(
    gateway: GatewayServer,
) -> None:
    dataset = await gateway.new_dataset()
    path = f"/v1/datasets/{to_hex(dataset)}/uploads"
    body = b'{"base":0}'
    signing = replace(
        gateway.signing(gateway.chain.parties.provider), authority="gateway.example:8700"
    )
    headers = gateway.signed_headers(signing, "POST", path, body)
    headers |= {"content-type": "application/json", "host": "gateway.example:8700"}
    answer = await gateway.http.post(path, content=body, headers=headers)
    assert problem(answer) == (401, "wrong-authority")


async def test_a_body_changed_on_the_way_is_refused(gateway: GatewayServer) -> None:
    dataset = await gateway.new_dataset()
    path = f"/v1/datasets/{to_hex(dataset)}/uploads"
    headers = gateway.signed_headers(
        gateway.signing(gateway.chain.parties.provider), "POST", path, b'{"base":0}'
    )
    headers["content-type"] = "application/json"
    answer = await gateway.http.post(path, content=b'{"base":1}', headers=headers)
    assert problem(answer) == (401, "unauthenticated")


async def test_a_signature_by_another_key_than_keyid_names_is_refused(
    gateway: GatewayServer,
) -> None:
    parties = gateway.chain.parties
    dataset = await gateway.new_dataset()
    path = f"/v1/datasets/{to_hex(dataset)}/uploads"
    headers = gateway.signed_headers(gateway.signing(parties.bank), "POST", path, b'{"base":0}')
    headers["signature-input"] = headers["signature-input"].replace(
        to_hex(parties.bank.address), to_hex(parties.provider.address)
    )
    headers["content-type"] = "application/json"
    answer = await gateway.http.post(path, content=b'{"base":0}', headers=headers)
    assert problem(answer) == (401, "unauthenticated")


async def test_only_the_datasets_own_provider_uploads(gateway: GatewayServer) -> None:
    parties = gateway.chain.parties
    dataset = await gateway.new_dataset()
    path = f"/v1/datasets/{to_hex(dataset)}/uploads"
    for other in (parties.other_provider, parties.bank, parties.authority):
        answer = await gateway.send(other, "POST", path, {"base": 0})
        assert problem(answer) == (403, "not-the-provider")
    upload = (await gateway.send(parties.provider, "POST", path, {"base": 0})).json()["upload"]
    for method, end in (("GET", ""), ("POST", "/seal"), ("DELETE", "")):
        answer = await gateway.send(parties.other_provider, method, f"/v1/uploads/{upload}{end}")
        assert problem(answer) == (403, "not-the-provider")


# Sessions


async def challenge(gateway: GatewayServer, signer: bytes) -> str:
    answer = await gateway.send(None, "POST", "/v1/sessions/challenge", {"signer": to_hex(signer)})
    assert answer.status_code == 201
    text: str = answer.json()["challenge"]
    return text


async def answer_challenge(
    gateway: GatewayServer, text: str, signer: bytes, key: bytes
) -> httpx.Response:
    signature = sign(personal_digest(text.encode()), key)
    return await gateway.send(
        None,
        "POST",
        "/v1/sessions",
        {"challenge": text, "signer": to_hex(signer), "signature": to_hex(signature)},
    )


async def test_a_session_stands_for_its_signer_until_it_is_over(
    chain: Chain, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/gateway.db"
    subject = chain.register_subject()
    async with serve_gateway(chain, tmp_path, url, session_lifetime=2) as gateway:
        await gateway.has(chain.wait_for_block())
        text = await challenge(gateway, subject.signer)
        assert checksum_address(subject.signer) in text
        assert f"Chain ID: {chain.deployment.chain_id}" in text
        begun = await answer_challenge(gateway, text, subject.signer, subject.private_key)
        assert begun.status_code == 201
        bearer = {"authorization": f"Bearer {begun.json()['token']}"}
        answer = await gateway.http.get("/v1/inbox", headers=bearer)
        assert answer.status_code == 200
        assert problem(
            await answer_challenge(gateway, text, subject.signer, subject.private_key)
        ) == (401, "challenge"), "each challenge counts once"
        gateway.services.authenticator._clock = lambda: time.time() + 3
        answer = await gateway.http.get("/v1/inbox", headers=bearer)
        assert problem(answer) == (401, "session")


async def test_a_challenge_answered_wrongly_gives_no_session(gateway: GatewayServer) -> None:
    bank, insurer = gateway.chain.parties.bank, gateway.chain.parties.insurer
    text = await challenge(gateway, bank.address)
    answer = await answer_challenge(gateway, text, bank.address, insurer.private_key)
    assert problem(answer) == (401, "challenge")
    text = await challenge(gateway, bank.address)
    answer = await answer_challenge(gateway, text, insurer.address, insurer.private_key)
    assert problem(answer) == (401, "challenge")
    text = await challenge(gateway, bank.address)
    bent = text.replace("Sign in", "Log in")
    answer = await answer_challenge(gateway, bent, bank.address, bank.private_key)
    assert problem(answer) == (401, "challenge")
    for token in ("x", "A" * 43):
        headers = {"authorization": f"Bearer {token}"}
        answer = await gateway.http.get("/v1/inbox", headers=headers)
        assert answer.status_code == 401


async def test_the_database_holds_no_token(gateway: GatewayServer) -> None:
    bank = gateway.chain.parties.bank
    text = await challenge(gateway, bank.address)
    begun = await answer_challenge(gateway, text, bank.address, bank.private_key)
    token = begun.json()["token"].encode()
    folder = Path(gateway.settings.database_url.partition("///")[2]).parent
    for file in folder.glob("gateway.db*"):
        assert token not in file.read_bytes()
