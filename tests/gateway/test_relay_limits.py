"""What is relayed for whom is counted where nobody else can use it up: neither memory, nor stops, nor the node."""

import asyncio
import secrets
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.consent.relays import Act
from gateway.errors import BodyError, ForbiddenError, RefusedError, ThrottledError
from gateway.services import Services
from ledger.chain import contract_calls, eth_methods
from ledger.chain.contract_calls import Approval
from ledger.chain.transactions import Fee, Transaction, sign_transaction
from ledger.crypto import signatures
from ledger.hexstr import keccak256, to_hex
from ledger.typed_data import Freeze, GuardianAppointment, Revocation, SignerRotation
from scripts.scenario import Chain, Person, Subject
from tests.support.city import City, recording_parts
from tests.support.repeated_texts import registration

MAX_RAW = 256 * 1024


@pytest.fixture(scope="module")
def city(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> City:
    return City(chain, tmp_path_factory.mktemp("city"))


@pytest.fixture
async def services(city: City, tmp_path: Path) -> AsyncIterator[Services]:
    url = f"sqlite:///{tmp_path}/gateway.db"
    async with recording_parts(city, url, journal=tmp_path / "journal") as parts:
        yield parts


def now() -> int:
    return int(time.time())


def somebody(person: Person, key: bytes | None = None) -> Subject:
    """Another key in the person's name."""
    return Subject(person.subject.id, key or secrets.token_bytes(32))


async def act(city: City, services: Services, record: Act, by: Subject) -> None:
    done = await services.relays.act(record, city.chain.approval(record, by))
    await services.index.wait_for(done.block_number)


def freeze(person: Person, *, frozen: bool) -> Freeze:
    return Freeze(person.subject.id, frozen, secrets.token_bytes(32), now() + 600)


def use_up(services: Services, by: Subject, *, stops: bool) -> None:
    """Count acts until no more are taken."""
    with suppress(ThrottledError):
        for _ in range(1_000):
            services.relays._limits.count_act(by.id, by.signer, stops=stops)


@pytest.mark.parametrize("admitted", [False, True], ids=["drawn key", "party"])
async def test_call_data_that_stands_for_more_than_it_is_long_costs_no_memory(
    city: City, services: Services, admitted: bool
) -> None:
    chain = city.chain
    party = chain.parties.provider
    key = party.private_key if admitted else secrets.token_bytes(32)
    sender = await asyncio.to_thread(chain.sender, chain.parties.bank)
    count = eth_methods.transaction_count(signatures.address_of(key), "pending")
    nonce = await asyncio.to_thread(sender.rpc.send, count)
    data = registration(MAX_RAW - 1024).data
    to = chain.deployment.address_of("Catalogue")
    content = Transaction(chain.deployment.chain_id, nonce, 16_000_000, Fee(0), to, data)
    raw = sign_transaction(content, key).raw
    tracemalloc.start()
    with pytest.raises(BodyError if admitted else ForbiddenError):
        await services.relays.transact(raw)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (
        peak < 16 * MAX_RAW
    )  # the largest honest call takes half of it; this one stands for 0.5 GB


async def test_thief_of_the_key_does_not_use_up_the_guardians_stops(
    city: City, services: Services
) -> None:
    person = await asyncio.to_thread(city.person)
    guardian, thief = somebody(person), person.subject
    record = GuardianAppointment(
        person.subject.id, guardian.signer, now() + 3600, secrets.token_bytes(32), now() + 600
    )
    await act(city, services, record, person.subject)
    use_up(
        services, thief, stops=True
    )  # with ids that it makes up: their revocation always passes the trial
    made_up = Revocation(person.subject.id, secrets.token_bytes(32), now() + 600)
    with pytest.raises(ThrottledError):
        await act(city, services, made_up, thief)
    await act(city, services, freeze(person, frozen=True), guardian)
    with pytest.raises(ThrottledError):
        await act(city, services, freeze(person, frozen=True), thief)


async def test_lift_of_a_freeze_is_no_stop(city: City, services: Services) -> None:
    person = await asyncio.to_thread(city.person)
    use_up(services, person.subject, stops=False)
    await act(city, services, freeze(person, frozen=True), person.subject)
    with pytest.raises(ThrottledError):
        await act(city, services, freeze(person, frozen=False), person.subject)


async def test_signers_of_a_subject_are_those_whom_events_name_as_such(
    city: City, services: Services
) -> None:
    person = await asyncio.to_thread(city.person)
    first, guardian, second = person.subject, somebody(person), somebody(person)
    subject = person.subject.id
    appointment = GuardianAppointment(
        subject, guardian.signer, now() + 3600, secrets.token_bytes(32), now() + 600
    )
    await act(city, services, appointment, first)
    rotation = SignerRotation(subject, second.signer, secrets.token_bytes(32), now() + 600)
    await act(city, services, rotation, first)
    for signer in (first, guardian, second):
        assert await services.callers.signs_for(signer.signer, subject)
    # Ids that the key revokes are strings in events, and no signers.
    stranger = somebody(person)
    revoked = keccak256(stranger.signer)
    await act(city, services, Revocation(subject, revoked, now() + 600), second)
    assert to_hex(revoked) in {
        event.body[event.body.find(to_hex(revoked)) :][:66]
        for event in await services.index.events_after(0, 1_000)
    }
    assert not await services.callers.signs_for(stranger.signer, subject)


async def test_many_events_do_not_make_signers_forgotten(city: City, services: Services) -> None:
    chain, person = city.chain, await asyncio.to_thread(city.person)
    first, second, subject = person.subject, somebody(person), person.subject.id
    rotation = SignerRotation(subject, second.signer, secrets.token_bytes(32), now() + 600)
    await act(city, services, rotation, first)
    made_up = [Revocation(subject, secrets.token_bytes(32), now() + 600) for _ in range(1_100)]
    calls = [contract_calls.revoke(record, chain.approval(record, second)) for record in made_up]
    await asyncio.to_thread(chain.send_all, chain.parties.bank, calls)
    await services.index.wait_for(await asyncio.to_thread(chain.block_number))
    assert await services.callers.signs_for(first.signer, subject)


async def test_signature_that_only_the_contract_can_check_is_counted(
    city: City, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await asyncio.to_thread(city.person)
    asked = 0
    relay = services.relays._relay.relay

    async def counting(*arguments: object) -> object:
        nonlocal asked
        asked += 1
        return await relay(*arguments)  # type: ignore[arg-type]

    async def known(*_: object) -> bool:
        return True

    monkeypatch.setattr(services.relays._relay, "relay", counting)
    # As if a person had such a signer, which everybody can name.
    monkeypatch.setattr(services.callers, "signs_for", known)
    signer = city.chain.deployment.address_of("Registry") + bytes(64)  # no verifier of ours
    throttled = 0
    for number in range(200):
        record = Revocation(person.subject.id, number.to_bytes(32, "big"), now() + 600)
        try:
            await services.relays.act(record, Approval(signer, b"anything"))
        except ThrottledError:
            throttled += 1
        except RefusedError:
            pass
    assert throttled > 0
    assert asked < 200
    own = Revocation(person.subject.id, bytes(32), now() + 600)
    await act(city, services, own, person.subject)


async def test_unsigned_questions_of_strangers_share_few_to_the_node(
    city: City, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [0]
    post = services.rpc._post

    async def counting(body: bytes) -> bytes:
        asked[0] += 1
        return await post(body)

    monkeypatch.setattr(services.rpc, "_post", counting)
    nothing = [services.freshness.find(lambda: None) for _ in range(500)]
    assert await asyncio.gather(*nothing) == [None] * 500
    drawn = [services.relays.outlook(secrets.token_bytes(20)) for _ in range(500)]
    told = await asyncio.gather(*drawn, return_exceptions=True)
    assert sum(isinstance(one, ThrottledError) for one in told) > 400
    party = city.chain.parties.bank.address
    outlook, *others = await asyncio.gather(*(services.relays.outlook(party) for _ in range(500)))
    assert set(others) == {outlook}
    # The recorder's follower asks too, a few times a second.
    assert asked[0] < 50
    sender = await asyncio.to_thread(city.chain.sender, city.chain.parties.bank)
    count = eth_methods.transaction_count(party, "pending")
    assert outlook.nonce == await asyncio.to_thread(sender.rpc.send, count)
