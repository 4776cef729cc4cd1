"""A provider's way over HTTP: begin, send lines, resume, seal, publish; and whatever goes wrong on it."""

import asyncio
import json

import httpx
import pytest

from ledger.chain import contract_calls
from ledger.crypto.merkle import TreeHead
from ledger.crypto.records import EncryptedRecord, WithdrawnRecord, encode_line
from ledger.hexstr import to_hex
from tests.gateway.test_authentication import problem
from tests.support.gateway_server import NDJSON, GatewayServer
from tests.support.uploads import changed, head_of, make_record, make_records, ndjson, owner_of

RECORDS = make_records(owners=40)


async def begin(gateway: GatewayServer, dataset: bytes, base: int = 0) -> str:
    provider = gateway.chain.parties.provider
    answer = await gateway.send(
        provider, "POST", f"/v1/datasets/{to_hex(dataset)}/uploads", {"base": base}
    )
    assert answer.status_code == 201, answer.text
    assert answer.json()["received"] == 0
    upload: str = answer.json()["upload"]
    return upload


async def put(gateway: GatewayServer, upload: str, start: int, body: bytes) -> httpx.Response:
    return await gateway.send(
        gateway.chain.parties.provider,
        "PUT",
        f"/v1/uploads/{upload}/lines?from={start}",
        body=body,
        media_type=NDJSON,
    )


async def act(
    gateway: GatewayServer, upload: str, end: str, value: object = None
) -> httpx.Response:
    provider = gateway.chain.parties.provider
    return await gateway.send(provider, "POST", f"/v1/uploads/{upload}/{end}", value)


async def state(gateway: GatewayServer, upload: str) -> dict[str, object]:
    answer = await gateway.send(gateway.chain.parties.provider, "GET", f"/v1/uploads/{upload}")
    found: dict[str, object] = answer.json()
    return found


async def test_a_dataset_is_uploaded_sealed_published_changed_and_erased(
    each_gateway: GatewayServer,
) -> None:
    gateway = each_gateway
    dataset = await gateway.new_dataset()
    upload = await begin(gateway, dataset)
    body = ndjson(RECORDS[:50])
    assert (await put(gateway, upload, 0, body)).json() == {"upload": upload, "received": 50}
    assert (await put(gateway, upload, 50, ndjson(RECORDS[50:]))).json()["received"] == 80
    sealed = await act(gateway, upload, "seal")
    head = head_of(RECORDS)
    assert sealed.json() == {"root": to_hex(head.root), "count": 80}
    await gateway.put_on_chain(dataset, head)
    served = await act(gateway, upload, "publish", {"version": 1})
    assert served.status_code == 200
    assert served.json()["served_from_block"] > gateway.chain.deployment.block_number
    assert (await state(gateway, upload))["state"] == "served"
    shown = (await gateway.send(None, "GET", f"/v1/datasets/{to_hex(dataset)}")).json()
    assert (shown["served"], shown["publication"]["count"]) == (1, 80)

    lines, whole = changed(RECORDS, new=5, edited=6, gone=7)
    delta = await begin(gateway, dataset, base=1)
    assert (await put(gateway, delta, 0, ndjson(lines))).status_code == 200
    sealed = await act(gateway, delta, "seal")
    assert sealed.json() == {"root": to_hex(head_of(whole).root), "count": 78}
    await gateway.put_on_chain(dataset, head_of(whole), base=1)
    assert (await act(gateway, delta, "publish", {"version": 2})).status_code == 200

    victim = RECORDS[7]
    call = contract_calls.erase(dataset, victim.entry().root, 1)
    provider = gateway.chain.parties.provider
    receipt = await asyncio.to_thread(gateway.chain.send, provider, call)
    await gateway.has(receipt.block_number)
    index, other = gateway.services.index, RECORDS[8].entry().root
    assert index.snapshot.erasures[dataset] == 1
    assert await index.erased(dataset, [victim.entry().root, other]) == {victim.entry().root}
    assert await index.erased(bytes(32), [victim.entry().root]) == frozenset()
    wanted = {"number": victim.number, "transaction": to_hex(receipt.transaction_hash)}
    path = f"/v1/datasets/{to_hex(dataset)}/erasures"
    for _ in range(2):
        assert (await gateway.send(provider, "POST", path, wanted)).status_code == 204
    publications = gateway.services.publications
    first = await publications.served(dataset, 1)
    found = await publications.record_at(first, victim.owner, victim.number)
    assert found.record.record is None
    assert found.record.entry == victim.entry()


async def test_what_the_chain_does_not_know_is_not_served(gateway: GatewayServer) -> None:
    dataset = await gateway.new_dataset()
    head = head_of(RECORDS)
    upload = await gateway.upload(dataset, [encode_line(one) for one in RECORDS])
    answer = await act(gateway, upload, "publish", {"version": 1})
    assert problem(answer)[1] in ("publication-unknown", "upload-state")
    await act(gateway, upload, "seal")
    for wrong in (TreeHead(head.size, b"\1" * 32), TreeHead(head.size + 1, head.root)):
        await gateway.put_on_chain(dataset, wrong)
    for version in (1, 2):
        answer = await act(gateway, upload, "publish", {"version": version})
        assert problem(answer) == (409, "root-mismatch")
    await gateway.put_on_chain(dataset, head)
    assert (await act(gateway, upload, "publish", {"version": 3})).status_code == 200
    shown = (await gateway.send(None, "GET", f"/v1/datasets/{to_hex(dataset)}")).json()
    assert shown["served"] == 3


async def test_a_truncated_upload_goes_on_where_it_stands(gateway: GatewayServer) -> None:
    dataset = await gateway.new_dataset()
    upload = await begin(gateway, dataset)
    body = ndjson(RECORDS)
    path = f"/v1/uploads/{upload}/lines?from=0"
    signing = gateway.signing(gateway.chain.parties.provider)
    headers = gateway.signed_headers(signing, "PUT", path, body)
    headers |= {"content-type": NDJSON, "content-length": str(len(body)), "host": gateway.authority}
    head = f"PUT {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items())
    await gateway.raw(head.encode() + b"\r\n" + body[: len(body) // 2], then_wait=False)
    # The connection is gone; nothing of half a chunk was stored.
    assert (await put(gateway, upload, 10**6, body)).json()["expected"] == 0
    again = await put(gateway, upload, 0, body)
    assert again.json()["received"] == len(RECORDS)
    sealed = await act(gateway, upload, "seal")
    assert sealed.json()["root"] == to_hex(head_of(RECORDS).root)


async def test_a_body_cut_off_within_a_line_names_the_line(gateway: GatewayServer) -> None:
    upload = await begin(gateway, await gateway.new_dataset())
    body = ndjson(RECORDS)
    answer = await put(gateway, upload, 0, body[:-100])
    assert problem(answer) == (422, "malformed-line")
    assert answer.json()["line"] == len(RECORDS)
    assert (await state(gateway, upload))["received"] == 0
    assert (await put(gateway, upload, 0, body)).status_code == 200


async def test_a_body_that_is_not_the_signed_one_leaves_no_line(gateway: GatewayServer) -> None:
    upload = await begin(gateway, await gateway.new_dataset())
    assert (await put(gateway, upload, 0, ndjson(RECORDS[:20]))).status_code == 200
    path = f"/v1/uploads/{upload}/lines?from=20"
    signing = gateway.signing(gateway.chain.parties.provider)
    headers = gateway.signed_headers(signing, "PUT", path, ndjson(RECORDS[20:]))
    headers["content-type"] = NDJSON
    other = [make_record(record.owner, record.number, version=5) for record in RECORDS[20:]]
    answer = await gateway.http.put(path, content=ndjson(other), headers=headers)
    assert problem(answer) == (401, "unauthenticated")
    assert (await state(gateway, upload))["received"] == 20
    assert (await put(gateway, upload, 20, ndjson(RECORDS[20:]))).status_code == 200
    sealed = await act(gateway, upload, "seal")
    assert sealed.json()["root"] == to_hex(head_of(RECORDS).root)


WRONG: list[tuple[str, list[EncryptedRecord | WithdrawnRecord] | bytes, int]] = [
    ("wrong order", [RECORDS[1], RECORDS[0]], 2),
    ("the same twice", [RECORDS[0], RECORDS[0]], 2),
    ("too many fields", [make_record(owner_of(1), 0, fields=13)], 1),
    ("withdrawn without base", [WithdrawnRecord(owner_of(1), 0)], 1),
    ("not JSON", b"owner,number\n", 1),
    ("not UTF-8", b'{"v":1,"owner":"\xff"}\n', 1),
    ("wrong hex", ndjson(RECORDS[:1]).replace(b'"salt":"0x', b'"salt":"0X'), 1),
    ("short owner", ndjson(RECORDS[:1]).replace(b'"owner":"0x', b'"owner":"0x00', 1), 1),
    ("null ciphertext", b"", 1),
]


async def test_every_wrong_line_is_named(gateway: GatewayServer) -> None:
    dataset = await gateway.new_dataset()
    for name, lines, line in WRONG:
        body = lines if isinstance(lines, bytes) else ndjson(lines)
        if name == "null ciphertext":
            value = json.loads(ndjson(RECORDS[:1]))
            value["fields"][3] = None
            body = json.dumps(value).encode() + b"\n"
        upload = await begin(gateway, dataset)
        answer = await put(gateway, upload, 0, body)
        assert problem(answer) == (422, "malformed-line"), name
        assert answer.json()["line"] == line, name
        secrets = [one.hex() for one in (RECORDS[0].owner, RECORDS[0].salt)]
        assert not any(secret in answer.text for secret in secrets), name
        assert (await state(gateway, upload))["received"] == 0


async def test_lines_for_another_place_are_told_the_right_one(gateway: GatewayServer) -> None:
    upload = await begin(gateway, await gateway.new_dataset())
    assert (await put(gateway, upload, 0, ndjson(RECORDS[:10]))).json()["received"] == 10
    for start in (0, 9, 11, 80):
        answer = await put(gateway, upload, start, ndjson(RECORDS[10:20]))
        assert problem(answer) == (409, "out-of-step")
        assert answer.json()["expected"] == 10


async def test_of_concurrent_bodies_one_is_stored(gateway: GatewayServer) -> None:
    upload = await begin(gateway, await gateway.new_dataset())
    answers = await asyncio.gather(*(put(gateway, upload, 0, ndjson(RECORDS)) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    sealed = await act(gateway, upload, "seal")
    assert sealed.json() == {"root": to_hex(head_of(RECORDS).root), "count": len(RECORDS)}


async def test_a_delta_needs_a_base_that_is_served_and_fits(gateway: GatewayServer) -> None:
    provider = gateway.chain.parties.provider
    dataset = await gateway.new_dataset()
    path = f"/v1/datasets/{to_hex(dataset)}/uploads"
    answer = await gateway.send(provider, "POST", path, {"base": 1})
    assert problem(answer) == (409, "base-unknown")
    upload = await gateway.upload(dataset, [encode_line(one) for one in RECORDS])
    await act(gateway, upload, "seal")
    await gateway.put_on_chain(dataset, head_of(RECORDS))
    await act(gateway, upload, "publish", {"version": 1})
    delta = await begin(gateway, dataset, base=1)
    await put(gateway, delta, 0, ndjson([WithdrawnRecord(owner_of(9_999), 0)]))
    assert problem(await act(gateway, delta, "seal")) == (409, "delta")
    answer = await gateway.send(provider, "DELETE", f"/v1/uploads/{delta}")
    assert answer.status_code == 204
    assert problem(await act(gateway, delta, "seal")) == (404, "not-found")
    answer = await gateway.send(provider, "DELETE", f"/v1/uploads/{upload}")
    assert problem(answer) == (409, "upload-state")


async def test_erasing_needs_the_tombstone_on_chain(
    gateway: GatewayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.api.uploads._TIMEOUT", 0.2)
    dataset = await gateway.new_dataset()
    path = f"/v1/datasets/{to_hex(dataset)}/erasures"
    wanted = {"number": 1, "transaction": to_hex(b"\7" * 32)}
    answer = await gateway.send(gateway.chain.parties.provider, "POST", path, wanted)
    assert problem(answer) == (404, "not-found")


async def test_other_media_types_and_too_long_bodies_are_refused(gateway: GatewayServer) -> None:
    upload = await begin(gateway, await gateway.new_dataset())
    provider = gateway.chain.parties.provider
    path = f"/v1/uploads/{upload}/lines?from=0"
    answer = await gateway.send(provider, "PUT", path, body=ndjson(RECORDS))
    assert problem(answer) == (415, "media-type")
    gateway.settings.__dict__["lines_limit"] = 5_000  # frozen, but for this
    answer = await put(gateway, upload, 0, ndjson(RECORDS))
    assert problem(answer) == (413, "too-large")
    assert (await state(gateway, upload))["received"] == 0


async def test_the_catalogue_is_dcat(gateway: GatewayServer) -> None:
    dataset = await gateway.new_dataset(personal=False)
    answer = await gateway.send(None, "GET", "/v1/catalogue")
    assert answer.headers["content-type"].startswith("application/ld+json")
    document = answer.json()
    assert "http://www.w3.org/ns/dcat#" in json.dumps(document["@context"])
    entries = document["dcat:dataset"] if "dcat:dataset" in document else document["dataset"]
    assert to_hex(dataset) in json.dumps(entries)


async def test_readiness_names_what_is_missing(gateway: GatewayServer) -> None:
    for _ in range(100):  # until it has caught up with the chain
        answer = await gateway.send(None, "GET", "/readyz")
        if answer.json()["checks"]["chain"] is None:
            break
        await asyncio.sleep(0.05)
    assert answer.status_code == 503
    checks = answer.json()["checks"]
    assert checks["database"] is None
    assert checks["chain"] is None
    assert "recorder" in checks["recorder"]
    assert checks["keyholders"] == "no keyholder is configured"
    metrics = (await gateway.send(None, "GET", "/metrics")).text
    assert 'quancheng_ready{check="recorder"} 0.0' in metrics
    assert 'quancheng_ready{check="database"} 1.0' in metrics
