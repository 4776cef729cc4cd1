"""What the gateway sends for others: only what they signed, only for whom it is somebody's, and nobody at another's cost."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from gateway.consent.relays import Grant
from gateway.errors import ForbiddenError, GatewayError, ThrottledError
from gateway.services import Services
from gateway.store.authorizations import StoredAuthorization
from ledger.chain import contract_calls, contract_reads, eth_methods
from ledger.chain.contract_calls import Approval
from ledger.chain.events import DatasetTerms
from ledger.chain.transactions import Fee, SignedTransaction, Transaction, sign_transaction
from ledger.crypto import signatures
from ledger.hexstr import to_hex
from ledger.model import Class
from ledger.recorder import recorder as recorder_module
from ledger.typed_data import Revocation, struct_hash
from scripts.scenario import Chain, Party, Person
from tests.support.city import City, gateway_process, recording_parts
from tests.support.problems import refused_as

STRANGERS = 10_000


@pytest.fixture(scope="module")
def city(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> City:
    return City(chain, tmp_path_factory.mktemp("city"))


@pytest.fixture
async def services(city: City, tmp_path: Path) -> AsyncIterator[Services]:
    url = f"sqlite:///{tmp_path}/gateway.db"
    settings = {"journal": tmp_path / "journal", "transactions_burst": 5, "transactions_rate": 0.01}
    async with recording_parts(city, url, **settings) as parts:
        yield parts


def grant_of(city: City, person: Person, **terms: Any) -> Grant:
    return city.grant_of(person, city.authorization(person, **terms))


def drawn() -> tuple[bytes, bytes]:
    """Somebody's key, and account."""
    key = secrets.token_bytes(32)
    return key, signatures.address_of(key)


# Nothing unverified is stored


async def test_an_authorization_that_nobody_signed_leaves_nothing_behind(
    city: City, services: Services
) -> None:
    person = await asyncio.to_thread(city.person)
    grant = grant_of(city, person)
    key, stranger = drawn()
    record = grant.authorization
    forged = (
        Approval(grant.approval.signer, b"\x22" * 65),
        Approval(stranger, grant.approval.signature),
        Approval(stranger, city.chain.sign(record, key)),
        Approval(b"\x04" * 40, b"anything"),
    )
    for approval in forged:
        with refused_as("signature-refused"):
            await services.relays.authorize(msgspec.structs.replace(grant, approval=approval))
    dear = grant_of(city, person, max_uses=2**31)
    with refused_as("out-of-bounds"):
        await services.relays.authorize(dear)
    for one in (grant, dear):
        assert await services.authorizations.get(struct_hash(one.authorization)) is None
    tie = (person.subject.id, city.terms.dataset)
    assert not await services.links.find([tie])
    await services.relays.authorize(grant)
    kept = await services.authorizations.get(struct_hash(record))
    assert kept is not None
    assert kept.approval == grant.approval


async def test_a_statement_is_stored_before_its_grant_is_on_chain(
    city: City, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await asyncio.to_thread(city.person)
    grant = grant_of(city, person)
    put, on_chain = services.authorizations.put, []

    async def noting(authorization: StoredAuthorization) -> None:
        contracts_of = services.deployment.contracts
        found = await services.rpc.send(contract_reads.grant_of(contracts_of, authorization.id))
        on_chain.append(found.subject != 0)
        await put(authorization)

    monkeypatch.setattr(services.authorizations, "put", noting)
    await services.relays.authorize(grant)
    assert on_chain[0] is False


async def test_what_another_gateway_brought_on_chain_is_kept_with_its_own_signer_only(
    city: City, services: Services
) -> None:
    person = await asyncio.to_thread(city.person)
    grant = grant_of(city, person)
    await asyncio.to_thread(city.chain.grant, person.subject, grant.authorization)
    await services.index.wait_for(await asyncio.to_thread(city.chain.block_number))
    key, stranger = drawn()
    own = Approval(stranger, city.chain.sign(grant.authorization, key))
    with suppress(GatewayError):
        await services.relays.authorize(msgspec.structs.replace(grant, approval=own))
    assert await services.authorizations.get(struct_hash(grant.authorization)) is None
    await services.relays.authorize(grant)
    assert await services.authorizations.get(struct_hash(grant.authorization)) is not None


# Nobody at another's cost


async def test_ten_thousand_strangers_do_not_keep_one_revocation_out(
    city: City, services: Services
) -> None:
    person = await asyncio.to_thread(city.person)
    grant = grant_of(city, person)
    await services.relays.authorize(grant)
    authorization = struct_hash(grant.authorization)
    revocation = Revocation(person.subject.id, authorization, int(time.time()) + 600)
    garbage = [Approval(person.subject.signer, b"\x01" * 65)]
    for _ in range(500):
        key, stranger = drawn()
        garbage.append(Approval(stranger, city.chain.sign(revocation, key)))

    async def attack(number: int) -> None:
        with suppress(GatewayError):  # that it is revoked already is told to anybody
            await services.relays.act(revocation, garbage[number % len(garbage)])

    attacking = [asyncio.ensure_future(attack(number)) for number in range(STRANGERS)]
    await asyncio.sleep(0)
    began = time.monotonic()
    approval = city.chain.approval(revocation, person.subject)
    await services.relays.act(revocation, approval)
    assert time.monotonic() - began < 30
    await asyncio.gather(*attacking)


async def test_what_a_person_granted_does_not_use_up_its_revocations(
    city: City, services: Services
) -> None:
    person = await asyncio.to_thread(city.person)
    grant = grant_of(city, person)
    await services.relays.authorize(grant)
    await services.index.wait_for(await asyncio.to_thread(city.chain.block_number))
    for _ in range(10):  # the same message again, by whoever has it, counts for nothing
        await services.relays.authorize(grant)
    limits = services.relays._limits
    with suppress(ThrottledError):
        for _ in range(1_000):
            limits.count_act(person.subject.id, person.subject.signer, stops=False)
    with pytest.raises(ThrottledError):
        await services.relays.authorize(grant_of(city, person))
    other = await asyncio.to_thread(city.person)
    await services.relays.authorize(grant_of(city, other))
    authorization = struct_hash(grant.authorization)
    revocation = Revocation(person.subject.id, authorization, int(time.time()) + 600)
    await services.relays.act(revocation, city.chain.approval(revocation, person.subject))


async def test_what_people_sign_gets_no_more_gas_than_is_set_aside(
    city: City, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert recorder_module.RELAY_GAS == 1_000_000
    person = await asyncio.to_thread(city.person)
    grant = grant_of(city, person)
    before = await asyncio.to_thread(_spent_by_the_gateway, city)
    monkeypatch.setattr(recorder_module, "RELAY_GAS", 60_000)
    with refused_as("transaction-refused", "refused"):
        await services.relays.authorize(grant)
    assert await asyncio.to_thread(_spent_by_the_gateway, city) == before
    assert await services.authorizations.get(struct_hash(grant.authorization)) is None


def _spent_by_the_gateway(city: City) -> int:
    sender = city.chain.sender(city.chain.parties.recorder)
    return sender.rpc.send(eth_methods.transaction_count(sender.address, "pending"))


# Parties' own transactions


def signed(city: City, key: bytes, to: bytes, data: bytes, nonce: int) -> SignedTransaction:
    chain_id = city.chain.deployment.chain_id
    return sign_transaction(Transaction(chain_id, nonce, 2_000_000, Fee(0, 0), to, data), key)


def next_nonce(city: City, address: bytes) -> int:
    sender = city.chain.sender(city.chain.parties.bank)
    return sender.rpc.send(eth_methods.transaction_count(address, "pending"))


async def test_only_parties_have_their_transactions_relayed(city: City, services: Services) -> None:
    deployment = city.chain.deployment
    key, _ = drawn()
    appeal = contract_calls.appeal("I was wronged")
    registry = deployment.address_of("Registry")
    view = contract_calls.encode_call("Registry", "standingOf", bytes(20)) + bytes(10_000)
    for data in (appeal.data, view, b"", b"\x00"):
        with pytest.raises(ForbiddenError):
            await services.relays.transact(signed(city, key, registry, data, 0).raw)
    bank = city.chain.parties.bank
    nonce = await asyncio.to_thread(next_nonce, city, bank.address)
    for to, data in (
        (registry, view),
        (registry, b""),
        (registry, appeal.data[:3]),
        (deployment.address_of("Catalogue"), appeal.data),
        (deployment.webauthn_verifier, appeal.data),
        (b"\x11" * 20, appeal.data),
    ):
        with pytest.raises(ForbiddenError):
            await services.relays.transact(signed(city, bank.private_key, to, data, nonce).raw)
    assert await asyncio.to_thread(next_nonce, city, bank.address) == nonce


async def test_the_authority_is_relayed_though_it_is_no_party(
    city: City, services: Services
) -> None:
    authority = city.chain.parties.authority
    call = contract_calls.announce("relay", city.chain.deployment.address_of("Registry"))
    nonce = await asyncio.to_thread(next_nonce, city, authority.address)
    to = city.chain.deployment.address_of(call.contract)
    await services.relays.transact(signed(city, authority.private_key, to, call.data, nonce).raw)


def key_call(city: City, party: Party, nonce: int) -> SignedTransaction:
    call = contract_calls.set_encryption_key(secrets.token_bytes(32))
    to = city.chain.deployment.address_of(call.contract)
    return signed(city, party.private_key, to, call.data, nonce)


async def test_a_party_is_throttled_by_what_it_sends_and_not_by_what_others_send_again(
    city: City, services: Services
) -> None:
    bank, insurer = city.chain.parties.bank, city.chain.parties.insurer
    nonce = await asyncio.to_thread(next_nonce, city, bank.address)
    first = key_call(city, bank, nonce)
    await services.relays.transact(first.raw)
    for _ in range(20):  # anybody has it: it is on chain
        await services.relays.transact(first.raw)
    for number in range(1, 5):
        await services.relays.transact(key_call(city, bank, nonce + number).raw)
    with pytest.raises(ThrottledError):
        await services.relays.transact(key_call(city, bank, nonce + 5).raw)
    nonce = await asyncio.to_thread(next_nonce, city, insurer.address)
    await services.relays.transact(key_call(city, insurer, nonce).raw)


@pytest.fixture
def gateway_url(city: City, tmp_path: Path) -> Iterator[str]:
    with gateway_process(city, tmp_path, lacking=("keyholders",)) as serving:
        yield serving.url


@pytest.mark.slow
def test_the_largest_dataset_that_contracts_take_is_relayed(city: City, gateway_url: str) -> None:
    provider = city.chain.parties.provider
    fields = tuple(f"{name:03}".ljust(200, "字") for name in range(256))
    code = f"largest-{secrets.token_hex(4)}"
    terms = DatasetTerms(code, "Title", fields, Class.CONDITIONAL, Class.NOT_SHARED, 2, True, 0)
    call = contract_calls.register_dataset(terms)
    to = city.chain.deployment.address_of(call.contract)
    nonce = next_nonce(city, provider.address)
    chain_id = city.chain.deployment.chain_id
    content = Transaction(chain_id, nonce, 16_000_000, Fee(0, 0), to, call.data)
    raw = sign_transaction(content, provider.private_key).raw
    assert len(raw) > 150_000
    answer = httpx.post(
        f"{gateway_url}/v1/transactions", json={"raw": to_hex(raw)}, timeout=60, trust_env=False
    )
    assert answer.status_code == httpx.codes.OK, answer.text
