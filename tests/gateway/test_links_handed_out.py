"""A consumer is told the link of what it was granted while there is something that it needs it for."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import pytest

from gateway.store.authorizations import StoredAuthorization
from gateway.store.inbox import StoredAsk
from gateway.store.links import KeptLink
from ledger.api import SignedLink
from ledger.chain import contract_calls
from ledger.hexstr import to_hex
from ledger.links import make_link
from ledger.model import Roles
from scripts.scenario import Chain, Party, Subject, Terms
from tests.support.gateway_server import GatewayServer

OWNER = b"\x0a" * 32


@dataclass
class Granted:
    chain: Chain
    terms: Terms
    subject: Subject
    authorization: bytes

    def revoke(self) -> None:
        self._relay(self.chain.revoke_call(self.subject, self.authorization))

    def freeze(self) -> None:
        self._relay(self.chain.freeze_call(self.subject))

    def use(self) -> None:
        (access,) = self.chain.record([self.chain.request(self.terms.consumer, self.authorization)])
        assert access.outcome == 0

    def withdraw_consumer(self) -> None:
        call = contract_calls.withdraw(self.terms.consumer.address)
        self.chain.send(self.chain.parties.authority, call)

    def _relay(self, call: contract_calls.ContractCall) -> None:
        self.chain.send(self.chain.parties.recorder, call)


def make_grant(chain: Chain) -> Granted:
    bank = Party(f"Bank {secrets.token_hex(4)}", Roles.CONSUMER)
    chain.admit(bank)
    terms, subject = chain.personal_terms(bank), chain.register_subject()
    record = chain.authorization(subject, terms, max_uses=1)
    return Granted(chain, terms, subject, chain.grant(subject, record))


async def answered(gateway: GatewayServer, grant: Granted) -> str:
    """Store what a relay of the grant would have; return the path of the answered ask."""
    services, now = gateway.services, gateway.services.index.head.timestamp
    record = gateway.chain.records[grant.authorization]
    await services.authorizations.put(
        StoredAuthorization(grant.authorization, record, None, None, now)
    )
    link = make_link(record.subject, record.dataset, OWNER, at=now, links_from=0)
    await services.links.put(KeptLink(SignedLink(link, bytes(65)), bytes(20)), now)
    ask = StoredAsk(
        id=secrets.token_hex(16),
        consumer=record.consumer,
        reference=secrets.token_hex(8),
        subject=record.subject,
        state="pending",
        body=msgspec.json.encode({}),
        reason="",
        authorization=None,
        created_at=now,
        expires_at=now + 3600,
    )
    await services.inbox_store.put(ask)
    await services.inbox_store.grant(ask.id, grant.authorization)
    return f"/v1/requests/{ask.id}"


@pytest.mark.parametrize(
    "act",
    [Granted.revoke, Granted.freeze, Granted.use, Granted.withdraw_consumer],
    ids=lambda act: act.__name__,
)
async def test_no_link_is_told_of_what_cannot_be_used(
    gateway: GatewayServer, act: Callable[[Granted], None]
) -> None:
    grant = await asyncio.to_thread(make_grant, gateway.chain)
    await gateway.has(await asyncio.to_thread(gateway.chain.wait_for_block))
    path, bank = await answered(gateway, grant), grant.terms.consumer
    shown = (await gateway.send(bank, "GET", path)).json()
    assert shown["link"]["owner"] == to_hex(OWNER)
    await asyncio.to_thread(act, grant)
    await gateway.has(await asyncio.to_thread(gateway.chain.wait_for_block))
    shown = (await gateway.send(bank, "GET", path)).json()
    assert shown["authorization_id"] == to_hex(grant.authorization)
    assert (shown["link"], shown["link_signature"]) == (None, None)
