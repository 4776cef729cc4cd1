"""Strangers keep nobody from enrolling or signing in, and people's ids do not change side by side."""

import asyncio
import secrets
from collections.abc import Sequence
from typing import Any

import pytest

from ledger.api import SignedLink
from ledger.chain.rpc import Call
from ledger.crypto.signatures import address_of, personal_digest, sign
from ledger.hexstr import to_hex
from ledger.links import make_link
from ledger.service.challenges import Asker
from ledger.typed_data import SubjectLink, digest
from tests.support.identity import ZHANG, Identity, Key
from wallet.identity.errors import (
    LINK_NOT_RENEWED,
    NOT_ADMITTED,
    POSSESSION_UNPROVEN,
    IdentityError,
)
from wallet.identity.possession_proofs import Texts
from wallet.identity.recoveries import start_times
from wallet.identity.sessions import Sessions

NOW = 1_800_000_000
KEY = b"\x41" * 32


async def test_others_tries_keep_nobody_from_enrolling(identity: Identity) -> None:
    code = await identity.code_for(ZHANG)
    thief, key = Key(), Key()
    for _ in range(50):
        guess = "-".join(secrets.token_hex(2).upper() for _ in range(4))
        signers = [thief.proven(identity.enrolment_text(guess))]
        body = {**ZHANG, "code": guess, "signers": signers}
        assert (await identity.http.post("/v1/enrolments", json=body)).status_code == 403
    signers = [key.proven(identity.enrolment_text(code))]
    body = {**ZHANG, "code": code, "signers": signers}
    assert (await identity.http.post("/v1/enrolments", json=body)).status_code == 201


async def test_others_challenges_push_out_nobodys(identity: Identity) -> None:
    key = Key()
    await identity.enrol(ZHANG, [key])
    wanted = {"signer": "0x" + key.signer.hex()}
    asked = await identity.http.post("/v1/sessions/challenge", json=wanted)
    text = asked.json()["challenge"]
    services = identity.http._transport.app.state.services  # type: ignore[attr-defined]
    for number in range(20_000):
        services.sessions.challenge(Asker("http", "a", 1, number.to_bytes(20, "big")))
    for _ in range(700):  # in the person's own name
        assert (await identity.http.post("/v1/sessions/challenge", json=wanted)).status_code == 200
    proven = key.proven(text)
    answer = {"challenge": text, "signer": proven["signer"], "signature": proven["signature"]}
    assert (await identity.http.post("/v1/sessions", json=answer)).status_code == 201
    assert (await identity.http.post("/v1/sessions", json=answer)).status_code == 403


async def test_nothing_is_kept_of_a_stranger_who_signs_in(identity: Identity) -> None:
    stranger = Key()
    wanted = {"signer": "0x" + stranger.signer.hex()}
    text = (await identity.http.post("/v1/sessions/challenge", json=wanted)).json()["challenge"]
    proven = stranger.proven(text)
    answer = {"challenge": text, "signer": proven["signer"], "signature": proven["signature"]}
    assert (await identity.http.post("/v1/sessions", json=answer)).status_code == 401
    sessions = identity.http._transport.app.state.services.sessions  # type: ignore[attr-defined]
    assert (sessions._used, sessions._sessions, sessions._signers) == ({}, {}, {})


async def test_nothing_is_remembered_of_strangers_requests_and_nobody_pays_for_them(
    identity: Identity,
) -> None:
    """Whoever draws keys has as many as it likes, and signs with each."""
    services = identity.http._transport.app.state.services  # type: ignore[attr-defined]
    purpose, bank = identity.chain.register_purpose(), identity.chain.parties.bank
    dataset = to_hex(identity.chain.register_dataset())
    asked: list[tuple[str, object]] = [
        ("/v1/codes", ZHANG),
        ("/v1/links", {"dataset": dataset}),
        ("/v1/resolutions", {**ZHANG, "purpose": to_hex(purpose), "case_number": "1"}),
        (f"/v1/owners?dataset={dataset}&kind=resident", []),
    ]
    for path, body in asked:
        answers = [
            (await identity.signed("POST", path, secrets.token_bytes(32), body)).status_code
            for _ in range(5)
        ]
        assert set(answers) <= {401, 403}, path
    memory = services.authenticator._memory
    assert (memory._seen, memory._expiries) == (set(), [])
    await identity.enrol(ZHANG, [Key()])
    assert (await identity.resolve(bank, ZHANG, purpose)).status_code == 200


async def test_strangers_questions_to_the_node_keep_no_consumer_waiting(
    identity: Identity,
) -> None:
    purpose, bank = identity.chain.register_purpose(), identity.chain.parties.bank
    await identity.enrol(ZHANG, [Key()])
    services = identity.http._transport.app.state.services  # type: ignore[attr-defined]
    sent: list[int] = []
    send_many = services.chain._rpc.send_many

    async def counting(calls: Sequence[Call[Any]]) -> list[Any]:
        sent.append(len(calls))
        return list(await send_many(calls))

    services.chain._rpc.send_many = counting
    strangers = [
        asyncio.create_task(services.chain.verify_consumer(secrets.token_bytes(20)))
        for _ in range(500)
    ]
    assert (await identity.resolve(bank, ZHANG, purpose)).status_code == 200
    done = await asyncio.gather(*strangers, return_exceptions=True)
    assert {getattr(error, "kind", None) for error in done} == {NOT_ADMITTED}
    # Not each its own: those who ask at one time share a question.
    assert len(sent) <= 10


def test_a_challenge_that_the_authority_did_not_make_counts_for_nothing() -> None:
    now = [NOW]
    texts = Texts(1, bytes(20), set())
    sessions = Sessions(texts, bytes(20), lambda: now[0])
    signer = address_of(KEY)
    text = sessions.challenge(Asker("https", "identity.example", 1, signer)).text
    place = text.index("\nnonce ") + len("\nnonce ")

    def verify(changed: str) -> bytes:
        return sessions.verify(changed, signer, sign(personal_digest(changed.encode()), KEY))

    for changed in (
        text[:place] + "f" * 8 + text[place + 8 :],  # ends later
        text[: place + 31] + ("0" if text[place + 31] != "0" else "1") + text[place + 32 :],
        text.replace("identity.example", "identity.examp1e"),
        Sessions(texts, bytes(20), lambda: NOW)
        .challenge(Asker("https", "identity.example", 1, signer))
        .text,
    ):
        with pytest.raises(IdentityError) as refused:
            verify(changed)
        assert refused.value.kind is POSSESSION_UNPROVEN
    assert verify(text) == signer
    now[0] += 301
    with pytest.raises(IdentityError, match="challenge"):
        verify(text)


def test_recoveries_of_one_person_are_spread_and_the_first_begins_at_once() -> None:
    ids = [("recovery", secrets.token_bytes(32)) for _ in range(10)]
    times = start_times(ids, 600)
    assert times == start_times(list(reversed(ids)), 600)
    assert min(times.values()) == 0
    assert len(set(times.values())) == 10
    assert max(times.values()) <= 600
    assert sorted(ids, key=times.__getitem__) != ids
    assert set(start_times(ids, 0).values()) == {0}


async def test_links_signed_by_drawn_keys_share_their_questions_to_the_node(
    identity: Identity,
) -> None:
    services = identity.http._transport.app.state.services  # type: ignore[attr-defined]
    domain = identity.chain.deployment.domain_of(SubjectLink)
    rpc, asked = services.chain._rpc, []
    post = rpc._post

    async def counting(body: bytes) -> bytes:
        asked.append(body)
        return bytes(await post(body))

    rpc._post = counting

    def drawn() -> SignedLink:
        link = make_link(bytes(32), bytes(32), bytes(32), at=NOW, links_from=0)
        return SignedLink(link, sign(digest(link, domain), secrets.token_bytes(32)))

    tries = [services.links.verify(drawn()) for _ in range(500)]
    done = await asyncio.gather(*tries, return_exceptions=True)
    assert {getattr(error, "kind", None) for error in done} == {LINK_NOT_RENEWED}
    assert len([body for body in asked if b"eth_call" in body]) <= 10
