import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from gateway.access.keyholder_client import KeyholderClient
from gateway.access.keyholders import PROBLEM, Availability, Keyholders, PartsTask
from ledger.api import HeldKeys, Refusal
from ledger.crypto.released_parts import verify_signer
from ledger.crypto.secret_sharing import Roster, most_sealed
from ledger.typed_data import Authorization, Domain
from tests.support.fake_keyholder import DOMAIN, ROSTER, FakeKeyholder, InMemory
from tests.support.problems import slug


async def no_statements(_: Sequence[bytes]) -> dict[bytes, Authorization]:
    return {}


def keyholders(fakes: Sequence[FakeKeyholder], hedge: float = 5.0) -> Keyholders:
    clients = [KeyholderClient(fake.address, InMemory(fake), DOMAIN) for fake in fakes]
    return Keyholders(clients, (ROSTER,), no_statements, hedge=hedge)


@pytest.fixture
def fakes() -> list[FakeKeyholder]:
    return [FakeKeyholder(n) for n in (1, 2, 3)]


def tasks(count: int) -> list[PartsTask]:
    return [PartsTask(str(n).encode(), frozenset({ROSTER.epoch})) for n in range(count)]


async def test_as_many_are_asked_as_it_takes(fakes: list[FakeKeyholder]) -> None:
    asked = keyholders(fakes)
    answers = await asked.ask(tasks(5))
    assert sum(len(fake.asked) for fake in fakes) == 2
    for place, answer in enumerate(answers):
        assert isinstance(answer, tuple)
        assert len({held.holder for held in answer}) == 2
        for held in answer:
            assert held == HeldKeys(held.holder, held.holder + bytes([place]), held.signed)
            verify_signer(held.signed, held.holder, DOMAIN)
    await asked.close()


async def test_work_is_spread_over_all(fakes: list[FakeKeyholder]) -> None:
    asked = keyholders(fakes)
    for _ in range(6):
        await asked.ask(tasks(1))
    assert [len(fake.asked) for fake in fakes] == [4, 4, 4]


@pytest.mark.parametrize("away", range(3))
@pytest.mark.parametrize("fault", ["down", "garbled"])
async def test_another_one_is_asked_when_one_fails(
    fakes: list[FakeKeyholder], away: int, fault: str
) -> None:
    setattr(fakes[away], fault, True)
    asked = keyholders(fakes)
    for _ in range(3):
        answers = await asked.ask(tasks(2))
        assert all(isinstance(answer, tuple) and len(answer) == 2 for answer in answers)


async def test_another_one_is_asked_for_what_one_refuses(fakes: list[FakeKeyholder]) -> None:
    fakes[1].refused = [1]
    asked = keyholders(fakes)
    for _ in range(3):
        answers = await asked.ask(tasks(3))
        assert all(isinstance(answer, tuple) and len(answer) == 2 for answer in answers)
    assert 1 in fakes[0].asked + fakes[2].asked  # only the refused one was asked for again


async def test_another_one_is_asked_when_one_is_slow(fakes: list[FakeKeyholder]) -> None:
    fakes[1].delay = 30
    asked = keyholders(fakes, hedge=0.05)
    for _ in range(3):
        answers = await asyncio.wait_for(asked.ask(tasks(1)), 5)
        assert isinstance(answers[0], tuple)
        assert len(answers[0]) == 2


async def test_fewer_than_it_takes_is_unavailable_with_the_reasons(
    fakes: list[FakeKeyholder],
) -> None:
    fakes[0].down = True
    fakes[1].refused = [1]
    answers = await keyholders(fakes).ask(tasks(2))
    assert isinstance(answers[0], tuple)
    assert slug(answers[1]) == "keyholders-unavailable"
    assert "1 of 2 keyholders released" in str(answers[1])
    assert "the proof is wrong" in str(answers[1])


async def test_nobody_there_is_unavailable(fakes: list[FakeKeyholder]) -> None:
    for fake in fakes:
        fake.down = True
    asked = keyholders(fakes)
    (answer,) = await asked.ask(tasks(1))
    assert slug(answer) == "keyholders-unavailable"
    fakes[0].down = fakes[2].down = False
    (answer,) = await asked.ask(tasks(1))
    assert isinstance(answer, tuple)


async def test_who_can_release_now_is_looked_up_again_after_a_while(
    fakes: list[FakeKeyholder], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = keyholders(fakes)
    assert await asked.availability() == Availability(known=3, ready=3, needed=2)
    fakes[0].down = fakes[1].down = True
    assert (await asked.availability()).ready == 3
    monkeypatch.setattr("gateway.access.keyholders._LOOK_AGAIN", 0)
    found = await asked.availability()
    assert found.problem == "1 of 3 keyholders are ready, 2 are needed"
    fakes[0].down = False
    assert (await asked.availability()).problem is None
    assert (await keyholders([]).availability()).problem == "no keyholder is configured"


async def test_none_configured_is_unavailable() -> None:
    (answer,) = await keyholders([]).ask(tasks(1))
    assert slug(answer) == "keyholders-unavailable"


# One that lies about itself


async def test_what_one_says_of_threshold_and_epoch_changes_nothing_for_the_others(
    fakes: list[FakeKeyholder],
) -> None:
    fakes[0].threshold, fakes[0].epoch = 99, 7
    asked = keyholders(fakes)
    assert (await asked.confirm()).problem is None
    assert await asked.availability() == Availability(known=3, ready=3, needed=2)
    for _ in range(3):
        answers = await asked.ask(tasks(2))
        assert all(isinstance(answer, tuple) and len(answer) == 2 for answer in answers)


async def test_one_that_answers_at_anothers_url_is_not_counted(fakes: list[FakeKeyholder]) -> None:
    # It says the other's address, as it may; it does not have its key.
    fakes[0].signs_with = fakes[1].account
    found = await keyholders(fakes).availability()
    assert found == Availability(known=3, ready=2, needed=2)


async def test_parts_that_somebody_else_signed_are_turned_away_and_the_next_is_asked(
    fakes: list[FakeKeyholder],
) -> None:
    fakes[0].signs_with = fakes[1].account
    asked = keyholders(fakes)
    for _ in range(3):
        (answer,) = await asked.ask(tasks(1))
        assert isinstance(answer, tuple)
        assert {held.holder for held in answer} == {fakes[1].address, fakes[2].address}
    fakes[2].signs_with = fakes[1].account
    (answer,) = await asked.ask(tasks(1))
    assert slug(answer) == "keyholders-unavailable"
    assert "did not sign" in str(answer)


async def test_parts_of_another_access_log_are_turned_away(fakes: list[FakeKeyholder]) -> None:
    elsewhere = Domain(DOMAIN.chain_id, bytes(20))
    clients = [
        KeyholderClient(fake.address, InMemory(fake), DOMAIN if place else elsewhere)
        for place, fake in enumerate(fakes)
    ]
    asked = Keyholders(clients, (ROSTER,), no_statements, hedge=5.0)
    assert await asked.availability() == Availability(known=3, ready=2, needed=2)
    (answer,) = await asked.ask(tasks(1))
    assert isinstance(answer, tuple)
    assert {held.holder for held in answer} == {fakes[1].address, fakes[2].address}


async def test_parts_that_are_too_long_are_turned_away_and_the_next_is_asked(
    fakes: list[FakeKeyholder],
) -> None:
    for records, fields in ((1, 2), (30, 12)):
        task = msgspec.structs.replace(*tasks(1), records=records, fields=fields)
        most = most_sealed([ROSTER], records, fields) - 20 - 1
        for size in (most + 1, 10 * most, 20_000_000):
            fakes[0].seals = bytes(size)
            (answer,) = await keyholders(fakes).ask([task])
            assert isinstance(answer, tuple)
            assert {held.holder for held in answer} == {fakes[1].address, fakes[2].address}
        fakes[0].seals = bytes(most)
        asked = keyholders(fakes)
        held = [one for _ in range(3) for one in (await asked.ask([task]))[0]]  # type: ignore[union-attr]
        assert len({one.holder for one in held}) == 3


async def test_what_one_refuses_with_is_cut(fakes: list[FakeKeyholder]) -> None:
    for fake in fakes:
        fake.refusal = Refusal("urn:x", "t" * 10_000, 422, "d" * 10_000)
    (answer,) = await keyholders(fakes).ask(tasks(1))
    assert slug(answer) == "keyholders-unavailable"
    assert len(str(answer)) < 1_000


async def test_all_parts_that_came_are_handed_out(fakes: list[FakeKeyholder]) -> None:
    gate = asyncio.Barrier(3)  # too slow at first, so all are asked; then they answer together
    for fake in fakes:
        fake.gate = gate
    (answer,) = await keyholders(fakes, hedge=0.05).ask(tasks(1))
    assert isinstance(answer, tuple)
    assert len(answer) == 3


async def test_nobody_waits_for_more_than_it_takes(fakes: list[FakeKeyholder]) -> None:
    fakes[2].silent = True
    (answer,) = await asyncio.wait_for(keyholders(fakes, hedge=0.05).ask(tasks(1)), 2)
    assert isinstance(answer, tuple)
    assert len(answer) == 2


async def test_each_epoch_takes_as_many_of_its_own_members_as_its_roster_says() -> None:
    fakes = [FakeKeyholder(n) for n in (1, 2, 3, 4)]
    addresses = [fake.address for fake in fakes]
    rosters = (Roster(1, 2, tuple(addresses[:3])), Roster(2, 3, tuple(addresses)))
    clients = [KeyholderClient(fake.address, InMemory(fake), DOMAIN) for fake in fakes]
    asked = Keyholders(clients, rosters, no_statements, hedge=5)
    for epochs, needed in [({1}, 2), ({2}, 3), ({1, 2}, 3), (set(), 3)]:
        for _ in range(4):
            (answer,) = await asked.ask([PartsTask(b"0", frozenset(epochs))])
            assert isinstance(answer, tuple)
            for roster in rosters:
                if roster.epoch in epochs:
                    held = {one.holder for one in answer} & set(roster.members)
                    assert len(held) >= roster.threshold
            assert len(answer) == needed or len(answer) == needed + 1 == 4
    fakes[1].down = fakes[2].down = True
    await asyncio.sleep(0.1)  # what was ready a moment ago still counts
    assert (await asked.confirm()).problem == "2 of 4 keyholders are ready, 3 are needed"
    assert (await asked.confirm({1, 2})).problem == "1 of 3 keyholders are ready, 2 are needed"
    fakes[1].down, fakes[3].down = False, True
    assert (await asked.confirm({1})).problem is None
    assert (await asked.confirm({1, 2})).problem == "2 of 4 keyholders are ready, 3 are needed"
    assert (await asked.confirm({1, 9})).problem is not None
    (answer,) = await asked.ask([PartsTask(b"0", frozenset({9}))])
    assert slug(answer) == "keyholders-unavailable"
    assert "no roster" in str(answer)


async def test_nobody_is_waited_for_whose_answer_changes_nothing(
    fakes: list[FakeKeyholder],
) -> None:
    fakes[2].silent = True
    fakes[0].refused = fakes[1].refused = [1]
    asked = keyholders(fakes, hedge=0.05)
    for _ in range(3):
        granted, refused = await asyncio.wait_for(asked.ask(tasks(2)), 2)
        assert isinstance(granted, tuple)
        assert slug(refused) == "keyholders-unavailable"


async def test_refusals_of_one_liar_in_each_roster_are_no_final_word() -> None:
    fakes = [FakeKeyholder(n) for n in (1, 2, 3, 4)]
    first, second, third, fourth = (fake.address for fake in fakes)
    rosters = (Roster(1, 2, (first, second, third)), Roster(2, 2, (first, second, fourth)))
    clients = [KeyholderClient(fake.address, InMemory(fake), DOMAIN) for fake in fakes]
    fakes[2].refusal = fakes[3].refusal = Refusal(PROBLEM + "release-over", "Over", 410, "")
    fakes[0].down = True
    asked = Keyholders(clients, rosters, no_statements, hedge=5)
    (answer,) = await asked.ask([PartsTask(b"0", frozenset({1, 2}))])
    assert slug(answer) == "keyholders-unavailable"
    fakes[1].refusal = fakes[3].refusal
    (answer,) = await asked.ask([PartsTask(b"0", frozenset({1, 2}))])
    assert slug(answer) == "release-over"
