"""Recovery: frozen at once, the new key counts after the delay, the old one may veto."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ledger.chain import contract_calls, contract_reads
from ledger.chain.embedded import Node, NodeSettings
from ledger.hexstr import from_hex
from ledger.typed_data import RecoveryVeto
from scripts.scenario import Chain, Subject
from tests.support.chain import BLOCK_TIME
from tests.support.identity import (
    OFFICER,
    ZHANG,
    Identity,
    Key,
    admitted_keys,
    handles_gateway,
    running,
    settings_for,
)
from tests.wallet.identity.conftest import import_registers
from wallet.identity.recoveries import Recoveries

SLUG = "urn:quancheng:problem:"
DELAY = 2


@pytest.fixture
async def hasty(tmp_path: Path) -> AsyncIterator[Identity]:
    """An authority on a chain where a recovery takes effect after two seconds."""
    settings = NodeSettings(tmp_path / "chain", block_time=BLOCK_TIME)
    with Node(settings) as node:
        chain = Chain(node, recovery_delay=DELAY)
        keys = admitted_keys(chain)
        with handles_gateway(chain, keys.address) as gateway:
            home = settings_for(chain, tmp_path / "identity", gateway.url)
            await import_registers(home.home, home.database_url)
            async with running(chain, home.home, keys, gateway) as service:
                yield service
        chain.close()


def recovery_text(identity: Identity) -> str:
    return f"Quancheng recovery\n{identity.lines}\nperson {ZHANG['id_number']}"


async def recover(identity: Identity, keys: list[Key], **changes: Any) -> Any:
    text = recovery_text(identity)
    signers = [key.proven(text) for key in keys]
    body = {**ZHANG, "identification": "passport", "signers": signers, **changes}
    return await identity.signed("POST", "/v1/recoveries", OFFICER.private_key, body)


async def until(identity: Identity, recovery: str, state: str) -> dict[str, Any]:
    while True:
        path = f"/v1/recoveries/{recovery}"
        answer = (await identity.signed("GET", path, OFFICER.private_key)).json()
        if {one["state"] for one in answer["subjects"]} == {state}:
            found: dict[str, Any] = answer
            return found
        await asyncio.sleep(0.05)


async def test_a_lost_key_is_replaced_after_the_delay_and_everything_stays_the_persons(
    hasty: Identity,
) -> None:
    chain, purpose = hasty.chain, hasty.chain.register_purpose()
    old, new = [Key(), Key()], [Key(), Key()]
    subjects = await hasty.enrol(ZHANG, old)
    await hasty.resolve(chain.parties.bank, ZHANG, purpose)

    answer = await recover(hasty, new)

    assert answer.status_code == 201, answer.text
    begun = answer.json()
    assert [one["subject"] for one in begun["subjects"]] == [one["subject"] for one in subjects]
    assert {one["state"] for one in begun["subjects"]} == {"pending"}
    assert all(one["effective_at"] and one["transaction"] for one in begun["subjects"])
    state = chain.rpc.send(
        contract_reads.subject_of(chain.contracts, from_hex(subjects[0]["subject"]))
    )
    assert state.recovery_at == begun["subjects"][0]["effective_at"]
    during = await hasty.resolve(chain.parties.bank, ZHANG, purpose)
    assert during.json()["type"] == SLUG + "recovery-pending"

    await until(hasty, begun["recovery"], "completed")
    for key, subject in zip(new, subjects, strict=True):
        state = chain.rpc.send(
            contract_reads.subject_of(chain.contracts, from_hex(subject["subject"]))
        )
        assert (state.signer, state.epoch, state.recovery_at) == (key.signer, 1, 0)
    assert (await hasty.signed("GET", "/v1/subjects", old[0].private_key)).status_code == 401
    shown = await hasty.signed("GET", "/v1/lookups", new[0].private_key)
    assert [one["outcome"] for one in shown.json()["lookups"]] == ["recovery-pending", "handle"]
    assert (await hasty.resolve(chain.parties.bank, ZHANG, purpose)).status_code == 200


async def test_the_old_key_vetoes_a_recovery_that_its_owner_did_not_ask_for(
    identity: Identity,
) -> None:
    chain, old, new = identity.chain, Key(), Key()
    (subject,) = await identity.enrol(ZHANG, [old])
    recovery = (await recover(identity, [new])).json()["recovery"]
    veto = RecoveryVeto(
        from_hex(subject["subject"]), new.signer, secrets.token_bytes(32), chain.now() + 600
    )
    approval = chain.approval(veto, Subject(veto.subject, old.private_key))
    chain.send(chain.parties.bank, contract_calls.veto_recovery(veto, approval))

    await until(identity, recovery, "vetoed")

    assert (await identity.signed("GET", "/v1/subjects", old.private_key)).status_code == 200
    assert (await identity.signed("GET", "/v1/subjects", new.private_key)).status_code == 401
    again = await recover(identity, [Key()])  # the officer may start another one
    assert again.status_code == 201, again.text


async def test_a_recovery_needs_an_officer_the_persons_identity_and_proven_signers(
    identity: Identity,
) -> None:
    old, new = [Key(), Key()], [Key(), Key()]
    await identity.enrol(ZHANG, old)
    text = recovery_text(identity)
    signers = [key.proven(text) for key in new]
    body = {**ZHANG, "identification": "passport", "signers": signers}
    stranger = await identity.signed("POST", "/v1/recoveries", old[0].private_key, body)
    assert stranger.status_code == 403
    wrong = Key().proven("something else")
    cases: list[tuple[dict[str, Any], int, str]] = [
        ({"name": "王五"}, 404, "no-match"),
        ({"signers": signers[:1]}, 409, "signers-missing"),
        ({"signers": [signers[0], wrong]}, 403, "possession-unproven"),
        ({"signers": [old[1].proven(text), signers[0]]}, 409, "signer-in-use"),
        ({"signers": [signers[0], signers[0]]}, 409, "signer-in-use"),
        ({"identification": ""}, 422, "malformed"),
        ({"identification": "passport\u202e"}, 422, "malformed"),
    ]
    for change, status, slug in cases:
        answer = await recover(identity, new, **change)
        assert (answer.status_code, answer.json()["type"]) == (status, SLUG + slug), answer.text
    assert (await recover(identity, new)).status_code == 201
    twice = await recover(identity, [Key(), Key()])
    assert (twice.status_code, twice.json()["type"]) == (409, SLUG + "recovery-pending")
    unknown = await identity.signed("GET", "/v1/recoveries/x", OFFICER.private_key)
    assert unknown.status_code == 404


async def test_a_recovery_that_was_noted_before_a_crash_goes_on_after_it(
    hasty: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    (subject,) = await hasty.enrol(ZHANG, [Key()])
    new = Key()
    stuck = {"enrolment_timeout": 0}
    with monkeypatch.context() as falling:
        falling.setattr(Recoveries, "step", never)
        async with running(hasty.chain, hasty.home, hasty.keys, hasty.gateway, **stuck) as slow:
            answer = await recover(slow, [new])
    assert (answer.status_code, answer.json()["subjects"][0]["state"]) == (202, "waiting")
    await until(hasty, answer.json()["recovery"], "completed")
    at = hasty.chain.contracts
    state = hasty.chain.rpc.send(contract_reads.subject_of(at, from_hex(subject["subject"])))
    assert state.signer == new.signer


async def never(_: Recoveries) -> None:
    """What a process does that fell."""
