"""At the counter: stolen is a closing, at once; a wrong link is ended; only both together open."""

import secrets
from typing import Any

import pytest

from ledger.chain import contract_calls, contract_reads
from ledger.chain.reverts import RevertError
from ledger.hexstr import from_hex, to_hex
from ledger.links import MAX_LINK_LIFETIME
from ledger.typed_data import SubjectLink, SubjectOpening, record_from_object
from scripts.scenario import Subject
from tests.support.identity import LI, OFFICER, ZHANG, Identity, Key
from wallet.identity.store import SubjectRow

SLUG = "urn:quancheng:problem:"


async def at_counter(
    identity: Identity, what: str, person: dict[str, str], key: bytes, **body: Any
) -> tuple[int, dict[str, Any]]:
    whole = {**person, "identification": "identity card", **body}
    answer = await identity.signed("POST", f"/v1/{what}", key, whole)
    return answer.status_code, answer.json()


def state_of(identity: Identity, subject: str) -> contract_reads.SubjectState:
    chain = identity.chain
    return chain.rpc.send(contract_reads.subject_of(chain.deployment.contracts, from_hex(subject)))


def opening(identity: Identity, subject: str, key: Key) -> dict[str, Any]:
    """What the key signs, as the wallet writes it."""
    chain = identity.chain
    terms = SubjectOpening(from_hex(subject), secrets.token_bytes(32), chain.now() + 600)
    approval = chain.approval(terms, Subject(terms.subject, key.private_key))
    return {
        "subject": subject,
        "nonce": to_hex(terms.nonce),
        "deadline": terms.deadline,
        "signer": to_hex(approval.signer),
        "signature": to_hex(approval.signature),
    }


async def test_stolen_ids_are_closed_at_once_and_their_keys_get_nothing_here(
    each_identity: Identity,
) -> None:
    identity, keys = each_identity, [Key(), Key()]
    dataset = identity.chain.register_dataset()
    first, second = [one["subject"] for one in await identity.enrol(ZHANG, keys)]
    officer = OFFICER.private_key

    status, answer = await at_counter(identity, "closings", ZHANG, officer, subjects=[first])
    assert (status, answer) == (200, {"subjects": [first]})
    assert state_of(identity, first).closed
    assert not state_of(identity, second).closed
    for path, body in (("/v1/links", {"dataset": to_hex(dataset)}), ("/v1/subjects", None)):
        method = "POST" if body else "GET"
        stolen = await identity.signed(method, path, keys[0].private_key, body)
        assert stolen.status_code == 401, path
        other = await identity.signed(method, path, keys[1].private_key, body)
        assert other.status_code == 200, path

    status, answer = await at_counter(identity, "closings", ZHANG, officer)
    assert (status, answer) == (200, {"subjects": [second]}), "all that are open"
    assert state_of(identity, second).closed


async def test_a_closed_id_ends_its_recovery_and_no_consumer_is_led_to_it(
    identity: Identity,
) -> None:
    chain, old, new = identity.chain, Key(), Key()
    purpose = chain.register_purpose()
    (subject,) = await identity.enrol(ZHANG, [old])
    proven = new.proven(f"Quancheng recovery\n{identity.lines}\nperson {ZHANG['id_number']}")
    status, begun = await at_counter(
        identity, "recoveries", ZHANG, OFFICER.private_key, signers=[proven]
    )
    assert status == 201
    await at_counter(identity, "closings", ZHANG, OFFICER.private_key)
    path = f"/v1/recoveries/{begun['recovery']}"
    found = (await identity.signed("GET", path, OFFICER.private_key)).json()
    assert [one["state"] for one in found["subjects"]] == ["ended"]
    assert state_of(identity, subject["subject"]).recovery_at == 0
    answer = await identity.resolve(chain.parties.bank, ZHANG, purpose)
    assert (answer.status_code, answer.json()["type"]) == (409, SLUG + "not-enrolled")
    (another,) = await identity.enrol(ZHANG, [Key()])
    answer = await identity.resolve(chain.parties.bank, ZHANG, purpose)
    assert identity.led_to(answer) == from_hex(another["subject"])


async def test_only_the_officer_and_the_current_key_together_open_a_closed_id(
    identity: Identity,
) -> None:
    key, thief, officer = Key(), Key(), OFFICER.private_key
    (subject,) = [one["subject"] for one in await identity.enrol(ZHANG, [key])]
    await at_counter(identity, "closings", ZHANG, officer)

    forged = opening(identity, subject, thief)
    status, answer = await at_counter(identity, "openings", ZHANG, officer, **forged)
    assert (status, answer["type"]) == (409, SLUG + "refused-on-chain")
    agreed = opening(identity, subject, key)
    status, _ = await at_counter(identity, "openings", ZHANG, key.private_key, **agreed)
    assert status == 403, "the key alone is no officer"
    status, _ = await at_counter(identity, "openings", LI, officer, **agreed)
    assert status in (401, 404), "another person's id"
    assert state_of(identity, subject).closed

    status, _ = await at_counter(identity, "openings", ZHANG, officer, **agreed)
    assert status == 200
    assert not state_of(identity, subject).closed
    listed = await identity.signed("GET", "/v1/subjects", key.private_key)
    assert listed.status_code == 200


async def test_a_wrong_link_is_corrected_and_whoever_kept_it_gets_no_other(
    each_identity: Identity,
) -> None:
    identity, key, officer = each_identity, Key(), OFFICER.private_key
    dataset = identity.chain.register_dataset()
    (subject,) = [one["subject"] for one in await identity.enrol(ZHANG, [key])]
    body = {"dataset": to_hex(dataset)}
    wrong = (await identity.signed("POST", "/v1/links", key.private_key, body)).json()

    status, _ = await at_counter(identity, "corrections", LI, officer, subject=subject)
    assert status == 200
    ended = state_of(identity, subject).links_from
    assert ended >= record_from_object(SubjectLink, wrong["link"]).issued_at

    answer = await identity.http.post("/v1/links/renewals", json=wrong)
    assert (answer.status_code, answer.json()["type"]) == (409, SLUG + "link-not-renewed")
    right = (await identity.signed("POST", "/v1/links", key.private_key, body)).json()
    link = record_from_object(SubjectLink, right["link"])
    assert link.issued_at > ended
    assert link.expires_at == link.issued_at + MAX_LINK_LIFETIME
    assert link.owner != record_from_object(SubjectLink, wrong["link"]).owner


@pytest.mark.parametrize("path", ["links", "links/renewals"])
async def test_a_link_that_is_signed_while_the_id_is_corrected_is_ended_with_the_others(
    identity: Identity, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """The correction comes just after the authority has read whose the id is."""
    key, store = Key(), identity.services.store
    dataset = identity.chain.register_dataset()
    (subject,) = [one["subject"] for one in await identity.enrol(ZHANG, [key])]
    body = {"dataset": to_hex(dataset)}
    old = (await identity.signed("POST", "/v1/links", key.private_key, body)).json()
    read = store.subject

    async def corrected_after(wanted: bytes) -> SubjectRow | None:
        row = await read(wanted)
        monkeypatch.setattr(store, "subject", read)
        status, _ = await at_counter(
            identity, "corrections", LI, OFFICER.private_key, subject=subject
        )
        assert status == 200
        return row

    monkeypatch.setattr(store, "subject", corrected_after)
    if path == "links":
        answer = await identity.signed("POST", "/v1/links", key.private_key, body)
    else:
        answer = await identity.http.post("/v1/links/renewals", json=old)
    assert answer.status_code == 200
    new = record_from_object(SubjectLink, answer.json()["link"])
    assert new.owner == record_from_object(SubjectLink, old["link"]).owner, "it is the wrong one"
    assert new.issued_at <= state_of(identity, subject).links_from


async def test_ending_links_without_a_mistake_gives_new_ones_that_count(
    identity: Identity,
) -> None:
    key, officer = Key(), OFFICER.private_key
    dataset = identity.chain.register_dataset()
    (subject,) = [one["subject"] for one in await identity.enrol(ZHANG, [key])]
    body = {"dataset": to_hex(dataset)}
    before = (await identity.signed("POST", "/v1/links", key.private_key, body)).json()
    await at_counter(identity, "corrections", ZHANG, officer, subject=subject)
    renewed = await identity.http.post("/v1/links/renewals", json=before)
    assert renewed.status_code == 409
    after = (await identity.signed("POST", "/v1/links", key.private_key, body)).json()
    first, second = (record_from_object(SubjectLink, one["link"]) for one in (before, after))
    assert first.owner == second.owner
    assert second.issued_at > state_of(identity, subject).links_from


async def test_nobody_but_an_officer_closes_opens_or_corrects(identity: Identity) -> None:
    key = Key()
    (subject,) = [one["subject"] for one in await identity.enrol(ZHANG, [key])]
    for other in (key.private_key, identity.chain.parties.bank.private_key):
        for what, body in (
            ("closings", {}),
            ("openings", opening(identity, subject, key)),
            ("corrections", {"subject": subject}),
        ):
            status, _ = await at_counter(identity, what, ZHANG, other, **body)
            assert status == 403, what
    assert not state_of(identity, subject).closed


async def test_a_stranger_authority_neither_closes_nor_ends_links(identity: Identity) -> None:
    chain = identity.chain
    (subject,) = [one["subject"] for one in await identity.enrol(ZHANG, [Key()])]
    other = chain.parties.identity_authority
    for call in (
        contract_calls.close_subject(from_hex(subject)),
        contract_calls.end_links(from_hex(subject)),
        contract_calls.start_recovery(from_hex(subject), secrets.token_bytes(20)),
    ):
        with pytest.raises(RevertError, match="NotRegistrar"):
            chain.send(other, call)
