import asyncio
from collections.abc import Sequence

import pytest

from gateway.keyholders import (
    Availability,
    KeyholderClient,
    Keyholders,
    KeyholdersUnavailableError,
)
from ledger.exchange import HeldKeys
from tests.support.fake_keyholder import FakeKeyholder, InMemory


def keyholders(fakes: Sequence[FakeKeyholder], hedge: float = 5.0) -> Keyholders:
    return Keyholders([KeyholderClient(InMemory(fake)) for fake in fakes], hedge=hedge)


@pytest.fixture
def fakes() -> list[FakeKeyholder]:
    return [FakeKeyholder(n) for n in (1, 2, 3)]


def tasks(count: int) -> list[bytes]:
    return [str(n).encode() for n in range(count)]


async def test_as_many_are_asked_as_it_takes(fakes: list[FakeKeyholder]) -> None:
    asked = keyholders(fakes)
    answers = await asked.ask(tasks(5))
    assert sum(len(fake.asked) for fake in fakes) == 2
    for place, answer in enumerate(answers):
        assert isinstance(answer, tuple)
        assert len({held.holder for held in answer}) == 2
        assert all(held == HeldKeys(held.holder, held.holder + bytes([place])) for held in answer)
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
    assert isinstance(answers[1], KeyholdersUnavailableError)
    assert (answers[1].have, answers[1].needed) == (1, 2)
    assert "the proof is wrong" in str(answers[1])


async def test_nobody_there_is_unavailable(fakes: list[FakeKeyholder]) -> None:
    for fake in fakes:
        fake.down = True
    asked = keyholders(fakes)
    (answer,) = await asked.ask(tasks(1))
    assert isinstance(answer, KeyholdersUnavailableError)
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
    monkeypatch.setattr("gateway.keyholders._LOOK_AGAIN", 0)
    found = await asked.availability()
    assert found.problem == "1 of 3 keyholders are ready, 2 are needed"
    fakes[0].down = False
    assert (await asked.availability()).problem is None
    assert (await keyholders([]).availability()).problem == "no keyholder is configured"


async def test_none_configured_is_unavailable() -> None:
    (answer,) = await keyholders([]).ask(tasks(1))
    assert isinstance(answer, KeyholdersUnavailableError)
