"""The resolver: a consumer gets an opaque handle, the person sees every look-up."""

import secrets
from typing import Any

import pytest

from ledger.chain import contract_calls
from ledger.hexstr import from_hex, to_hex
from ledger.identifiers import resident_check_character
from ledger.model import Roles
from scripts.scenario import Party
from tests.support.identity import LI, ZHANG, Identity, Key, running

SLUG = "urn:quancheng:problem:"


@pytest.fixture
def purpose(identity: Identity) -> bytes:
    return identity.chain.register_purpose()


async def test_a_consumer_is_led_to_the_inbox_and_learns_nothing_else(
    identity: Identity, purpose: bytes
) -> None:
    (subject,) = await identity.enrol(ZHANG, [Key()])
    answer = await identity.resolve(identity.chain.parties.bank, ZHANG, purpose)
    assert to_hex(identity.led_to(answer)) == subject["subject"]
    assert sorted(answer.json()) == ["expires_at", "handle"]
    assert subject["subject"][2:] not in answer.text


async def test_every_look_up_is_shown_to_the_person_newest_first(
    identity: Identity, purpose: bytes
) -> None:
    parties, keys = identity.chain.parties, [Key(), Key()]
    await identity.resolve(parties.insurer, ZHANG, purpose, "claim-1")
    await identity.enrol(ZHANG, keys)
    await identity.resolve(parties.bank, ZHANG, purpose, "loan-1")
    await identity.resolve(parties.bank, {**ZHANG, "name": "张四"}, purpose, "loan-2")
    await identity.resolve(parties.bank, LI, purpose, "loan-3")

    for key in keys:  # whichever id the wallet uses
        shown = (await identity.signed("GET", "/v1/lookups", key.private_key)).json()
        seen = [(one["case_number"], one["consumer"], one["outcome"]) for one in shown["lookups"]]
        bank, insurer = to_hex(parties.bank.address), to_hex(parties.insurer.address)
        assert seen == [
            ("loan-2", bank, "no-match"),
            ("loan-1", bank, "handle"),
            ("claim-1", insurer, "not-enrolled"),
        ]
        assert shown["lookups"][0]["purpose"] == to_hex(purpose)
        assert shown["next"] is None
    newest = shown["lookups"][0]["id"]
    older = await identity.signed("GET", f"/v1/lookups?before={newest}", keys[0].private_key)
    assert [one["case_number"] for one in older.json()["lookups"]] == ["loan-1", "claim-1"]


async def test_each_consumer_is_led_to_its_own_id_and_two_never_share_one(
    identity: Identity, purpose: bytes
) -> None:
    parties = identity.chain.parties
    keys = [Key() for _ in range(4)]
    keep = ["any", "one", "one", to_hex(parties.insurer.address)]
    general, first, second, insurers = await identity.enrol(ZHANG, keys, keep)
    third = Party(f"Third {secrets.token_hex(4)}", Roles.CONSUMER)
    late = Party(f"Late {secrets.token_hex(4)}", Roles.CONSUMER)
    for party in (third, late):
        call = contract_calls.admit(party.address, party.roles, party.name)
        identity.chain.send(parties.authority, call)

    led = [
        to_hex(identity.led_to(await identity.resolve(party, ZHANG, purpose)))
        for party in (parties.bank, parties.insurer, third, late, parties.bank, third)
    ]

    own = [one["subject"] for one in (first, insurers, second, general, first, second)]
    assert led == own
    listed = await identity.signed("GET", "/v1/subjects", keys[0].private_key)
    kept = [one["consumer"] for one in listed.json()["subjects"]]
    consumers = (None, parties.bank.address, third.address, parties.insurer.address)
    assert kept == [None if consumer is None else to_hex(consumer) for consumer in consumers]


@pytest.mark.parametrize(
    ("change", "status", "slug"),
    [
        ({"name": "张四"}, 404, "no-match"),
        (LI | {"name": "张三"}, 404, "no-match"),
        ({"id_number": "110105194912310029"}, 422, "malformed"),
        (LI, 409, "not-enrolled"),
        ({"purpose": "0x" + "11" * 32}, 422, "unknown-on-chain"),
        ({"purpose": "0x11"}, 422, "malformed"),
        ({"case_number": ""}, 422, "malformed"),
        ({"case_number": "118）仅作测试（以下作废"}, 422, "malformed"),
        ({"case_number": "118\u3164"}, 422, "malformed"),
        ({"case_number": "\x1b[2J"}, 422, "malformed"),
    ],
    ids=str,
)
async def test_a_look_up_that_cannot_be_answered_says_why(
    identity: Identity, purpose: bytes, change: dict[str, Any], status: int, slug: str
) -> None:
    await identity.enrol(ZHANG, [Key()])
    bank = identity.chain.parties.bank.private_key
    body = {**ZHANG, "purpose": to_hex(purpose), "case_number": "loan-1", **change}
    answer = await identity.signed("POST", "/v1/resolutions", bank, body)
    assert (answer.status_code, answer.json()["type"]) == (status, SLUG + slug), answer.text
    assert "张" not in answer.text


async def test_a_wrong_name_and_an_unknown_number_are_answered_alike(
    identity: Identity, purpose: bytes
) -> None:
    await identity.enrol(ZHANG, [Key()])
    bank = identity.chain.parties.bank
    known = await identity.resolve(bank, {**ZHANG, "name": "王五"}, purpose)
    unknown = {**ZHANG, "id_number": "37010219900101123X", "name": "王五"}
    body = unknown["id_number"][:17]
    unknown["id_number"] = body + resident_check_character(body)
    other = await identity.resolve(bank, unknown, purpose)
    assert (known.status_code, known.json()) == (other.status_code, other.json())


@pytest.mark.parametrize("party", ["provider", "recorder", "authority"])
async def test_only_an_active_consumer_looks_people_up(
    identity: Identity, purpose: bytes, party: str
) -> None:
    await identity.enrol(ZHANG, [Key()])
    answer = await identity.resolve(getattr(identity.chain.parties, party), ZHANG, purpose)
    assert (answer.status_code, answer.json()["type"]) == (403, SLUG + "forbidden")


async def test_a_withdrawn_or_restricted_consumer_looks_nobody_up(
    identity: Identity, purpose: bytes
) -> None:
    chain, parties = identity.chain, identity.chain.parties
    await identity.enrol(ZHANG, [Key()])
    shady = Party(f"Shady {secrets.token_hex(4)}", Roles.CONSUMER)
    chain.send(parties.authority, contract_calls.admit(shady.address, shady.roles, shady.name))
    assert (await identity.resolve(shady, ZHANG, purpose)).status_code == 200
    chain.send(parties.regulator, contract_calls.restrict(shady.address, chain.now() + 600, "odd"))
    assert (await identity.resolve(shady, ZHANG, purpose)).status_code == 403
    chain.send(parties.regulator, contract_calls.lift(shady.address, "explained"))
    assert (await identity.resolve(shady, ZHANG, purpose)).status_code == 200
    chain.send(parties.authority, contract_calls.withdraw(shady.address))
    assert (await identity.resolve(shady, ZHANG, purpose)).status_code == 403


async def test_a_look_up_is_noted_even_when_the_gateway_gives_no_handle(
    identity: Identity, purpose: bytes
) -> None:
    key = Key()
    await identity.enrol(ZHANG, [key])
    identity.gateway.broken = True
    answer = await identity.resolve(identity.chain.parties.bank, ZHANG, purpose)
    assert (answer.status_code, answer.json()["type"]) == (503, SLUG + "gateway-unavailable")
    shown = (await identity.signed("GET", "/v1/lookups", key.private_key)).json()
    assert [one["outcome"] for one in shown["lookups"]] == ["unavailable"]


async def test_names_and_numbers_cannot_be_tried_out(identity: Identity, purpose: bytes) -> None:
    few = {"misses_per_hour": 2}
    bank = identity.chain.parties.bank
    async with running(
        identity.chain, identity.home, identity.keys, identity.gateway, **few
    ) as strict:
        wrong = {**ZHANG, "name": "王五"}
        statuses = [(await strict.resolve(bank, wrong, purpose)).status_code for _ in range(3)]
        assert statuses == [404, 404, 429]
        right = await strict.resolve(bank, ZHANG, purpose)
        assert (right.status_code, right.json()["type"]) == (429, SLUG + "throttled")


async def test_a_look_up_is_answered_once(identity: Identity, purpose: bytes) -> None:
    await identity.enrol(ZHANG, [Key()])
    first = await identity.resolve(identity.chain.parties.bank, ZHANG, purpose)
    replayed = await identity.http.post(
        "/v1/resolutions", content=first.request.content, headers=first.request.headers
    )
    assert (replayed.status_code, replayed.json()["type"]) == (401, SLUG + "replayed")
    assert from_hex(first.json()["handle"], 32)
