"""Owners cannot be joined between datasets; links are signed for the subject itself and nobody else."""

import secrets
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from ledger.api.identity import PersonKind
from ledger.chain import contract_calls
from ledger.crypto.signatures import sign, verify_signature
from ledger.hexstr import from_hex, keccak256, to_hex
from ledger.links import MAX_LINK_LIFETIME
from ledger.typed_data import (
    SignerRotation,
    SubjectLink,
    digest,
    record_from_object,
    record_to_object,
)
from scripts.scenario import Party, Subject
from tests.support.identity import FIRM, LI, ZHANG, Identity, Key
from wallet.identity.keys import OwnerKey

SLUG = "urn:quancheng:problem:"
NUMBERS = [ZHANG["id_number"], LI["id_number"]]


def lines_of(numbers: Sequence[object]) -> bytes:
    return b"\n".join(msgspec.json.encode(number) for number in numbers)


async def owners(
    identity: Identity,
    dataset: bytes,
    numbers: Sequence[object] = NUMBERS,
    kind: str = "resident",
    party: Party | None = None,
) -> list[bytes | None]:
    provider = party or identity.chain.parties.provider
    path = f"/v1/owners?dataset={to_hex(dataset)}&kind={kind}"
    answer = await identity.signed("POST", path, provider.private_key, raw=lines_of(numbers))
    assert answer.status_code == 200, answer.text
    texts = [msgspec.json.decode(line, type=str | None) for line in answer.content.splitlines()]
    return [None if text is None else from_hex(text, 32) for text in texts]


async def test_owners_differ_between_datasets_and_stay_the_same_in_one(identity: Identity) -> None:
    first, second = identity.chain.register_dataset(), identity.chain.register_dataset()
    in_first, in_second = await owners(identity, first), await owners(identity, second)
    assert in_first == await owners(identity, first)
    assert len({*in_first, *in_second}) == 4
    # Nothing but the authority's secret leads from a number to an owner.
    guessed = OwnerKey(keccak256(b"another secret"))
    assert guessed.owner(first, PersonKind.RESIDENT, NUMBERS[0]) not in in_first
    assert keccak256(NUMBERS[0].encode()) not in in_first


async def test_owners_come_in_order_and_null_stands_for_what_is_no_number(
    identity: Identity,
) -> None:
    dataset = identity.chain.register_dataset()
    known = await owners(identity, dataset)
    numbers = [NUMBERS[1], "", "110105194912310021", f" {NUMBERS[0].lower()} ", NUMBERS[1]]
    found = await owners(identity, dataset, numbers)
    assert found == [known[1], None, None, known[0], known[1]]
    firm = await owners(identity, dataset, [FIRM["id_number"], NUMBERS[0]], "enterprise")
    assert (firm[0] is not None, firm[1]) == (True, None)


async def test_owners_are_for_the_datasets_provider_alone(identity: Identity) -> None:
    dataset = identity.chain.register_dataset()
    parties = identity.chain.parties
    for party in (parties.other_provider, parties.bank, parties.identity_authority):
        path = f"/v1/owners?dataset={to_hex(dataset)}&kind=resident"
        answer = await identity.signed("POST", path, party.private_key, raw=lines_of(NUMBERS))
        assert (answer.status_code, answer.json()["type"]) == (403, SLUG + "forbidden")
    unknown = f"/v1/owners?dataset=0x{'12' * 32}&kind=resident"
    answer = await identity.signed("POST", unknown, parties.provider.private_key, raw=b'"1"')
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "body", [b"12", b'"1"\n\n"2"', b"[", b"\xff", b'{"id":"1"}', b'"1"\n' * 100_001]
)
async def test_a_malformed_list_is_refused_whole(identity: Identity, body: bytes) -> None:
    dataset = identity.chain.register_dataset()
    path = f"/v1/owners?dataset={to_hex(dataset)}&kind=resident"
    provider = identity.chain.parties.provider.private_key
    answer = await identity.signed("POST", path, provider, raw=body)
    assert (answer.status_code, answer.json()["type"]) == (422, SLUG + "malformed")


async def test_a_large_list_is_answered_in_full(identity: Identity) -> None:
    dataset = identity.chain.register_dataset()
    found = await owners(identity, dataset, NUMBERS * 5_000)
    assert (len(found), len(set(found))) == (10_000, 2)


# Links


async def link(
    identity: Identity, key: bytes, dataset: bytes, subject: str | None = None
) -> tuple[int, dict[str, str]]:
    body = {"dataset": to_hex(dataset)} | ({"subject": subject} if subject else {})
    answer = await identity.signed("POST", "/v1/links", key, body)
    return answer.status_code, answer.json()


async def test_a_link_ties_the_subject_to_the_owner_that_the_provider_got(
    each_identity: Identity,
) -> None:
    dataset = each_identity.chain.register_dataset()
    keys = [Key(), Key()]
    first, second = await each_identity.enrol(ZHANG, keys)
    (owner,) = await owners(each_identity, dataset, NUMBERS[:1])

    for key, named, subject in (
        (keys[0], None, first),
        (keys[1], None, second),
        (keys[0], second["subject"], second),
    ):
        status, answer = await link(each_identity, key.private_key, dataset, named)
        assert status == 200, answer
        found = record_from_object(SubjectLink, answer["link"])
        assert (found.subject, found.dataset) == (from_hex(subject["subject"]), dataset)
        assert found.owner == owner
        assert found.expires_at - found.issued_at == MAX_LINK_LIFETIME
        assert abs(found.issued_at - each_identity.chain.now()) < 60
        signed = digest(found, each_identity.chain.deployment.domain_of(found))
        verify_signature(signed, from_hex(answer["link_signature"]), each_identity.keys.address)


async def test_nobody_gets_a_link_for_somebody_else(identity: Identity) -> None:
    dataset = identity.chain.register_dataset()
    key, other = Key(), Key()
    (subject,) = await identity.enrol(ZHANG, [key])
    await identity.enrol(LI, [other])
    status, answer = await link(identity, other.private_key, dataset, subject["subject"])
    assert (status, answer["type"]) == (401, SLUG + "not-a-subject")
    status, answer = await link(identity, secrets.token_bytes(32), dataset)
    assert (status, answer["type"]) == (401, SLUG + "not-a-subject")
    status, answer = await link(identity, key.private_key, bytes(32))
    assert (status, answer["type"]) == (422, SLUG + "unknown-on-chain")


async def test_a_rotated_key_is_the_subjects_and_the_old_one_is_nobodys(
    each_identity: Identity,
) -> None:
    chain, old, new = each_identity.chain, Key(), Key()
    dataset = chain.register_dataset()
    (subject,) = await each_identity.enrol(ZHANG, [old])
    rotation = SignerRotation(
        from_hex(subject["subject"]), new.signer, secrets.token_bytes(32), chain.now() + 600
    )
    approval = chain.approval(rotation, Subject(rotation.subject, old.private_key))
    chain.send(chain.parties.bank, contract_calls.rotate_signer(rotation, approval))
    status, _ = await link(each_identity, old.private_key, dataset)
    assert status == 401
    while (await link(each_identity, new.private_key, dataset))[0] != 200:
        await each_identity.http.get("/healthz")


# Renewals


async def renewed(identity: Identity, shown: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """What anybody is answered who shows a link; nothing says who asks."""
    answer = await identity.http.post("/v1/links/renewals", json=shown)
    return answer.status_code, answer.json()


def signed_by(identity: Identity, key: bytes, link_: SubjectLink) -> dict[str, Any]:
    domain = identity.chain.deployment.domain_of(link_)
    return {
        "link": record_to_object(link_),
        "link_signature": to_hex(sign(digest(link_, domain), key)),
    }


async def own_link(identity: Identity) -> SubjectLink:
    dataset, key = identity.chain.register_dataset(), Key()
    await identity.enrol(ZHANG, [key])
    status, answer = await link(identity, key.private_key, dataset)
    assert status == 200
    return record_from_object(SubjectLink, answer["link"])


async def test_whoever_shows_a_link_gets_a_newer_one_that_says_the_same_also_when_it_is_over(
    each_identity: Identity,
) -> None:
    first = await own_link(each_identity)
    for age in (0, 86_400, 365 * 86_400):
        times = {"issued_at": first.issued_at - age, "expires_at": first.expires_at - age}
        shown = msgspec.structs.replace(first, **times)
        body = signed_by(each_identity, each_identity.keys.account, shown)
        status, answer = await renewed(each_identity, body)
        assert status == 200, answer
        found = record_from_object(SubjectLink, answer["link"])
        assert (found.subject, found.dataset, found.owner) == (
            first.subject,
            first.dataset,
            first.owner,
        )
        assert found.issued_at >= first.issued_at
        assert found.expires_at - found.issued_at == MAX_LINK_LIFETIME
        signed = digest(found, each_identity.chain.deployment.domain_of(found))
        verify_signature(signed, from_hex(answer["link_signature"]), each_identity.keys.address)


async def test_nothing_is_renewed_that_is_not_right_or_not_this_authoritys(
    identity: Identity,
) -> None:
    own = await own_link(identity)
    other = await own_link_of(identity, LI)
    account = identity.keys.account
    for wrong, key in (
        (own, secrets.token_bytes(32)),
        (msgspec.structs.replace(own, owner=other.owner), account),
        (msgspec.structs.replace(own, owner=secrets.token_bytes(32)), account),
        (msgspec.structs.replace(own, dataset=secrets.token_bytes(32)), account),
        (msgspec.structs.replace(own, subject=other.subject), account),
        (msgspec.structs.replace(own, subject=secrets.token_bytes(32)), account),
    ):
        status, answer = await renewed(identity, signed_by(identity, key, wrong))
        assert (status, answer["type"]) == (409, SLUG + "link-not-renewed")
    unsigned = signed_by(identity, account, own) | {"link_signature": "0x" + "00" * 65}
    assert (await renewed(identity, unsigned))[0] == 409
    for broken in ({}, {"link": {}, "link_signature": "0x" + "00" * 65}, {"link": 5}):
        assert (await renewed(identity, broken))[0] == 422


async def own_link_of(identity: Identity, person: dict[str, str]) -> SubjectLink:
    dataset, key = identity.chain.register_dataset(), Key()
    await identity.enrol(person, [key])
    _, answer = await link(identity, key.private_key, dataset)
    return record_from_object(SubjectLink, answer["link"])


async def test_renewals_are_throttled_for_each_subject_and_strangers_take_none_of_them(
    identity: Identity,
) -> None:
    own, other = await own_link(identity), await own_link_of(identity, LI)
    forged = signed_by(identity, secrets.token_bytes(32), own)
    for _ in range(identity.settings.renewals_per_hour + 5):
        assert (await renewed(identity, forged))[0] == 409
    shown = signed_by(identity, identity.keys.account, own)
    for _ in range(identity.settings.renewals_per_hour):
        assert (await renewed(identity, shown))[0] == 200
    assert (await renewed(identity, shown))[0] == 429
    assert (await renewed(identity, signed_by(identity, identity.keys.account, other)))[0] == 200
