"""What the gateway's transactions offer is a setting."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from gateway.settings import AccessSettings
from gateway.supervision.watch import Enforcer
from ledger.chain import contract_calls
from ledger.chain.rpc import AsyncRpc
from ledger.chain.transactions import FeeRule
from scripts.scenario import Chain
from tests.gateway.test_suspension import MACHINE, DirectRelay
from tests.support.city import City, recording_parts
from tests.support.fees import fund, newest_offer
from wallet.identity.settings import IdentitySettings
from wallet.keyholder.settings import KeyholderSettings


@pytest.mark.parametrize(("fee", "offered"), [("7", (7, 7)), ("9:2", (9, 2)), ("node", None)])
async def test_the_recorder_offers_the_fee_of_the_setting(
    chain: Chain, tmp_path: Path, fee: str, offered: tuple[int, int] | None
) -> None:
    city = await asyncio.to_thread(City, chain, tmp_path / "city")
    recorder = chain.parties.recorder.address
    await asyncio.to_thread(fund, chain, recorder)
    url = f"sqlite:///{tmp_path}/gateway.db"
    parts = recording_parts(city, url, journal=tmp_path / "journal", fee=fee)
    async with parts as services:
        person = await asyncio.to_thread(city.person)
        await services.relays.authorize(city.grant_of(person, city.authorization(person)))
    found = await asyncio.to_thread(newest_offer, chain, recorder)
    assert found == (offered or await asyncio.to_thread(suggested, chain))


@pytest.mark.parametrize("kind", [AccessSettings, IdentitySettings, KeyholderSettings])
def test_a_service_with_a_fee_that_is_none_does_not_start(
    kind: type[BaseSettings], tmp_path: Path
) -> None:
    usual: dict[str, Any] = {"home": tmp_path, "deployment": tmp_path, "journal": tmp_path}
    given = {name: value for name, value in usual.items() if name in kind.model_fields}
    kind(**given, fee="9:2")
    with pytest.raises(ValidationError, match="a fee is node, PRICE or MOST:PRIORITY"):
        kind(**given, fee="much")


def suggested(chain: Chain) -> tuple[int, int]:
    fee = chain.sender(chain.parties.bank).current_fee()
    return fee.most, fee.priority


async def test_a_supervisors_machine_offers_it_too(chain: Chain) -> None:
    terms = await asyncio.to_thread(chain.personal_terms)
    call = contract_calls.appoint_supervisor(MACHINE.address)
    await asyncio.to_thread(chain.send, chain.parties.regulator, call)
    await asyncio.to_thread(fund, chain, MACHINE.address)
    async with AsyncRpc(chain.node.url) as rpc:
        rule = FeeRule.parse("11:3")
        machine = Enforcer(chain.deployment, rpc, DirectRelay(chain), MACHINE.private_key, rule)
        await machine.suspend(terms.agreement, "rate")
    assert await asyncio.to_thread(newest_offer, chain, MACHINE.address) == (11, 3)
