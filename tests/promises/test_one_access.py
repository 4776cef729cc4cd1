"""Promises 1, 3, 8 and 10 on a real chain, with keyholder processes and a real database."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.access.service import Answer
from gateway.services import Services
from ledger.api import AccessResult
from ledger.api.access import decode_result, encode_result
from ledger.crypto.publications import OwnerProof, verify_owner
from ledger.model import Outcome
from scripts.scenario import Person
from tests.support.city import City, gateway_parts, granted, publish
from tests.support.uploads import head_of


@pytest.fixture
async def gateway(city: City, tmp_path: Path) -> AsyncIterator[Services]:
    database = f"sqlite:///{tmp_path}/gateway.db"
    async with gateway_parts(city, database, journal=city.home / "journal") as services:
        yield services


@pytest.fixture
async def person(city: City, gateway: Services) -> Person:
    person = await asyncio.to_thread(city.person)
    await publish(city, gateway)
    return person


def received(answer: Answer) -> AccessResult:
    assert answer.verified is not None
    assert answer.recorded is not None
    request = answer.verified.submission.request
    return decode_result(
        encode_result((request, answer.verified.digest, answer.recorded), answer.release)
    )


async def test_an_authorized_access_opens_exactly_the_granted_fields(
    city: City, gateway: Services, person: Person
) -> None:
    basis = await granted(city, gateway, person)
    answer = await gateway.accesses.answer(city.submission(basis))
    assert answer.problem is None
    result = received(answer)
    assert result.release is not None
    own = [record for record in city.records if record.owner == person.owner]
    expected = [[f"field {at} of {record.number}" for at in (0, 2)] for record in own]
    assert city.open(result) == expected
    assert isinstance(result.release.proof, OwnerProof)
    entries = verify_owner(result.release.proof, person.owner, head_of(city.records))
    assert len(entries) == len(own)


async def test_denied_access_is_recorded_with_its_reason_and_opens_nothing(
    city: City, gateway: Services, person: Person
) -> None:
    basis = await granted(city, gateway, person)
    await gateway.accesses.answer(city.submission(basis))
    for submission, outcome in (
        (city.submission(basis), Outcome.USES_EXHAUSTED),
        (city.submission(basis, fields=0b1000), Outcome.FIELDS_EXCEEDED),
        (city.submission(b"\x01" * 32), Outcome.UNKNOWN_BASIS),
    ):
        answer = await gateway.accesses.answer(submission)
        assert answer.recorded is not None
        assert (answer.recorded.outcome, answer.release) == (outcome, None)


async def test_retry_is_not_a_second_use(city: City, gateway: Services, person: Person) -> None:
    basis = await granted(city, gateway, person)
    submission = city.submission(basis)
    answers = await asyncio.gather(*(gateway.accesses.answer(submission) for _ in range(3)))
    answers.append(await gateway.accesses.answer(submission))
    assert len({answer.recorded for answer in answers}) == 1
    opened = [city.open(received(answer)) for answer in answers]
    assert all(one == opened[0] for one in opened)
