"""Enrolment: only who was identified, only with signers that are theirs, and many ids for one person."""

import asyncio
import secrets
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ledger.chain import contract_reads
from ledger.crypto.signatures import personal_digest
from ledger.hexstr import from_hex, to_hex
from scripts.scenario import Chain
from tests.support.fees import fund, newest_offer
from tests.support.identity import (
    FIRM,
    LI,
    OFFICER,
    ZHANG,
    Identity,
    Key,
    SoftwarePasskey,
    admitted_keys,
    handles_gateway,
    running,
)
from tests.wallet.identity.conftest import import_registers
from wallet.identity.enrolment import ENROLMENT_SHOWN
from wallet.identity.keys import AuthorityKeys

pytestmark = pytest.mark.slow

SLUG = "urn:quancheng:problem:"


def signers_for(identity: Identity, code: str, *keys: Key) -> list[dict[str, str]]:
    return [key.proven(identity.enrolment_text(code)) for key in keys]


async def test_an_enrolled_person_has_a_random_subject_id_with_its_signer_on_chain(
    each_identity: Identity,
) -> None:
    key = Key()
    (subject,) = await each_identity.enrol(ZHANG, [key])

    at = each_identity.chain.contracts
    state = each_identity.chain.rpc.send(
        contract_reads.subject_of(at, from_hex(subject["subject"]))
    )
    assert (state.signer, state.number > 0, state.frozen) == (key.signer, True, False)
    assert subject["state"] == "registered"


async def test_one_person_has_as_many_ids_as_signers_and_nothing_ties_them(
    each_identity: Identity,
) -> None:
    keys = [Key() for _ in range(4)]
    found = await each_identity.enrol(ZHANG, keys)
    assert [one["signer"] for one in found] == [to_hex(key.signer) for key in keys]
    assert len({one["subject"] for one in found}) == 4

    more = Key()
    text = f"Quancheng subjects\n{each_identity.lines}\nsubject {found[1]['subject']}"
    body = {"signers": [more.proven(text)]}
    answer = await each_identity.signed("POST", "/v1/subjects", keys[1].private_key, body)
    assert answer.status_code == 201, answer.text
    listed = await each_identity.signed("GET", "/v1/subjects", more.private_key)
    assert [one["signer"] for one in listed.json()["subjects"]] == [
        to_hex(key.signer) for key in (*keys, more)
    ]


async def test_an_enterprise_enrols_by_its_credit_code(identity: Identity) -> None:
    assert len(await identity.enrol(FIRM, [Key()])) == 1


async def test_a_passkey_enrols_and_opens_a_session(identity: Identity) -> None:
    passkey = SoftwarePasskey.generate("quancheng.example")
    signer = identity.chain.deployment.webauthn_verifier + passkey.public_key
    code = await identity.code_for(ZHANG)

    def prove(text: str) -> dict[str, str]:
        signature = passkey.sign(personal_digest(text.encode()))
        return {"signer": to_hex(signer), "signature": to_hex(signature)}

    body = {**ZHANG, "code": code, "signers": [prove(identity.enrolment_text(code))]}
    enrolled = await identity.http.post("/v1/enrolments", json=body)
    assert enrolled.status_code == 201, enrolled.text
    asked = await identity.http.post("/v1/sessions/challenge", json={"signer": to_hex(signer)})
    challenge = asked.json()["challenge"]
    answer = {"challenge": challenge, **prove(challenge)}
    session = await identity.http.post("/v1/sessions", json=answer)
    assert session.status_code == 201, session.text
    bearer = {"Authorization": f"Bearer {session.json()['token']}"}
    listed = await identity.http.get("/v1/subjects", headers=bearer)
    assert [one["signer"] for one in listed.json()["subjects"]] == [to_hex(signer)]

    again = await identity.http.post("/v1/sessions", json=answer)
    assert again.json()["type"] == SLUG + "possession-unproven"
    wrong = await identity.http.get("/v1/subjects", headers={"Authorization": "Bearer x"})
    assert wrong.status_code == 401


async def test_the_same_enrolment_again_is_the_same_answer(each_identity: Identity) -> None:
    key, other = Key(), Key()
    code = await each_identity.code_for(ZHANG)
    body = {**ZHANG, "code": code, "signers": signers_for(each_identity, code, key)}
    first = await each_identity.http.post("/v1/enrolments", json=body)
    again = await each_identity.http.post("/v1/enrolments", json=body)
    assert (first.status_code, first.json()) == (201, again.json())
    state = await each_identity.http.get(f"/v1/enrolments/{first.json()['enrolment']}")
    assert state.json() == first.json()

    body = {**ZHANG, "code": code, "signers": signers_for(each_identity, code, other)}
    second_use = await each_identity.http.post("/v1/enrolments", json=body)
    assert second_use.json()["type"] == SLUG + "enrolment-refused"


def _later(seconds: int) -> float:
    return time.time() + seconds


async def test_an_enrolments_id_tells_nothing_an_hour_after_it_was_registered(
    each_identity: Identity,
) -> None:
    """Whoever has it from a log would watch all ids and keys of a person for ever."""
    key = Key()
    code = await each_identity.code_for(ZHANG)
    body = {**ZHANG, "code": code, "signers": signers_for(each_identity, code, key)}
    first = (await each_identity.http.post("/v1/enrolments", json=body)).json()
    path = f"/v1/enrolments/{first['enrolment']}"
    enrolments = each_identity.services.enrolments
    for later, status in ((ENROLMENT_SHOWN - 60, 200), (ENROLMENT_SHOWN + 60, 404)):
        enrolments._clock = partial(_later, later)
        answer = await each_identity.http.get(path)
        assert answer.status_code == status
    assert first["subjects"][0]["subject"] not in answer.text
    again = await each_identity.http.post("/v1/enrolments", json=body)
    assert (again.status_code, again.json()["type"]) == (403, SLUG + "enrolment-refused")
    assert "over an hour ago" in again.json()["detail"]
    listed = await each_identity.signed("GET", "/v1/subjects", key.private_key)
    assert [one["subject"] for one in listed.json()["subjects"]] == [
        one["subject"] for one in first["subjects"]
    ]


@pytest.mark.parametrize(
    ("change", "status", "slug"),
    [
        ({"code": "0000-0000-0000-0000"}, 403, "enrolment-refused"),
        ({"name": "张四"}, 403, "enrolment-refused"),
        ({"id_number": LI["id_number"]}, 403, "enrolment-refused"),
        ({"id_number": LI["id_number"], "name": LI["name"]}, 403, "enrolment-refused"),
        ({"id_number": "110105194912310021"}, 422, "malformed"),
        ({"kind": "enterprise"}, 422, "malformed"),
        ({"kind": "alien"}, 422, "malformed"),
        ({"signers": []}, 422, "malformed"),
        ({"surprise": 1}, 422, "malformed"),
    ],
    ids=str,
)
async def test_what_does_not_belong_together_is_refused(
    identity: Identity, change: dict[str, Any], status: int, slug: str
) -> None:
    code = await identity.code_for(ZHANG)
    body = {**ZHANG, "code": code, "signers": signers_for(identity, code, Key()), **change}
    answer = await identity.http.post("/v1/enrolments", json=body)
    assert (answer.status_code, answer.json()["type"]) == (status, SLUG + slug)
    for personal in (*ZHANG.values(), *LI.values(), "110105194912310021", code):
        assert personal == "resident" or personal not in answer.text


async def test_a_new_code_replaces_the_one_before(identity: Identity) -> None:
    first, second = await identity.code_for(ZHANG), await identity.code_for(ZHANG)
    key = Key()
    for code, status in ((first, 403), (second, 201)):
        body = {**ZHANG, "code": code, "signers": signers_for(identity, code, key)}
        assert (await identity.http.post("/v1/enrolments", json=body)).status_code == status


async def test_a_signer_that_does_not_prove_itself_is_refused(identity: Identity) -> None:
    code = await identity.code_for(ZHANG)
    proven = Key().proven(identity.enrolment_text(code))
    others = Key().proven(identity.enrolment_text(code))
    for signer in (
        {**proven, "signer": others["signer"]},
        {**proven, "signature": others["signature"]},
        Key().proven(identity.enrolment_text("another code")),
        {**proven, "signer": "0x" + "07" * 84},
    ):
        body = {**ZHANG, "code": code, "signers": [signer]}
        answer = await identity.http.post("/v1/enrolments", json=body)
        assert (answer.status_code, answer.json()["type"]) == (403, SLUG + "possession-unproven")


async def test_two_ids_never_share_a_signer(each_identity: Identity) -> None:
    key = Key()
    await each_identity.enrol(ZHANG, [key])
    for person, keys in ((ZHANG, [key]), (LI, [key]), (LI, [other := Key(), other])):
        code = await each_identity.code_for(person)
        body = {**person, "code": code, "signers": signers_for(each_identity, code, *keys)}
        answer = await each_identity.http.post("/v1/enrolments", json=body)
        assert (answer.status_code, answer.json()["type"]) == (409, SLUG + "signer-in-use")


async def test_only_an_officer_issues_codes_and_only_for_people_in_the_register(
    identity: Identity,
) -> None:
    body = {**ZHANG, "identification": "identity card"}
    stranger = await identity.signed("POST", "/v1/codes", secrets.token_bytes(32), body)
    assert (stranger.status_code, stranger.json()["type"]) == (403, SLUG + "forbidden")
    unsigned = await identity.http.post("/v1/codes", json=body)
    assert unsigned.status_code == 401
    for wrong in ({**body, "name": "王五"}, {**body, **LI, "name": "张三"}):
        answer = await identity.signed("POST", "/v1/codes", OFFICER.private_key, wrong)
        assert (answer.status_code, answer.json()["type"]) == (404, SLUG + "no-match")
    for text in ("a\x00", "\x1b[2J", "card\u202e"):
        wrong = {**body, "identification": text}
        answer = await identity.signed("POST", "/v1/codes", OFFICER.private_key, wrong)
        assert (answer.status_code, answer.json()["type"]) == (422, SLUG + "malformed")


async def test_names_are_compared_in_their_one_form(identity: Identity) -> None:
    assert len(await identity.enrol({**ZHANG, "name": " 张　三 "}, [Key()])) == 1


async def test_what_was_noted_before_a_crash_is_registered_after_it(
    each_identity: Identity, tmp_path: Path
) -> None:
    # The service falls after it noted the enrolment and before anything was sent.
    code, key = await each_identity.code_for(ZHANG), Key()
    body = {**ZHANG, "code": code, "signers": signers_for(each_identity, code, key)}
    stuck = {"batch_seconds": 3600, "enrolment_timeout": 0}
    home, keys = each_identity.home, each_identity.keys
    async with running(
        each_identity.chain,
        home,
        keys,
        each_identity.gateway,
        database=each_identity.settings.database,
        **stuck,
    ) as slow:
        answer = await slow.http.post("/v1/enrolments", json=body)
        assert answer.status_code == 202
        assert answer.json()["subjects"][0]["state"] == "waiting"
    async with running(
        each_identity.chain,
        home,
        keys,
        each_identity.gateway,
        database=each_identity.settings.database,
    ) as again:
        repeated = await again.http.post("/v1/enrolments", json=body)
        assert repeated.status_code == 201
        assert repeated.json()["subjects"][0]["subject"] == answer.json()["subjects"][0]["subject"]


async def test_an_authority_that_was_not_admitted_says_so(
    identity: Identity, tmp_path: Path
) -> None:
    outsider = AuthorityKeys(secrets.token_bytes(32), identity.keys.owners)
    code, key = await identity.code_for(ZHANG), Key()
    async with running(
        identity.chain,
        identity.home,
        outsider,
        identity.gateway,
        database=identity.settings.database,
        enrolment_timeout=0.5,
    ) as service:
        text = f"Quancheng enrolment\n{service.lines}\ncode {code}"
        body = {**ZHANG, "code": code, "signers": [key.proven(text)]}
        answer = await service.http.post("/v1/enrolments", json=body)
        assert answer.status_code == 202
        ready = await service.http.get("/readyz")
        assert ready.status_code == 503
        assert "PartyUnknown" in ready.json()["detail"]


async def test_the_authority_offers_the_fee_of_its_setting(chain: Chain, tmp_path: Path) -> None:
    keys, database = admitted_keys(chain), f"sqlite:///{tmp_path}/identity.db"
    await asyncio.to_thread(fund, chain, keys.address)
    with handles_gateway(chain, keys.address) as gateway:
        await import_registers(tmp_path, database)
        async with running(chain, tmp_path, keys, gateway, database=database, fee="13:5") as served:
            await served.enrol(ZHANG, [Key()])
    assert await asyncio.to_thread(newest_offer, chain, keys.address) == (13, 5)
