"""No use is spent on what the person did not see, and keyholders are shown what they want to see."""

import json
from collections.abc import Mapping, Sequence

import msgspec
import pytest

from gateway.access import keyholders
from gateway.access.keyholder_client import KeyholderClient
from gateway.access.keyholders import Keyholders, PartsTask
from gateway.errors import LinkRefusedError
from gateway.store.authorizations import StoredAuthorization
from gateway.store.database import Database
from ledger.api import Consent, KeyedSubmission
from ledger.hexstr import to_hex
from ledger.index.rows import BasisEntry
from ledger.links import MAX_LINK_LIFETIME, make_link
from ledger.typed_data import Authorization, record_to_object, struct_hash
from scripts.statements import CASE_NUMBER
from tests.gateway.test_accesses import OWNER, RECORDS, released
from tests.gateway.test_linking import Phoneless
from tests.support.accesses import (
    NOW,
    PERSONAL,
    SUBJECT,
    AccessDesk,
    authorization_of,
    statements_of,
)
from tests.support.fake_keyholder import DOMAIN, ROSTER, FakeKeyholder, InMemory
from tests.support.problems import refused_as, slug


@pytest.fixture
async def desk(database: Database) -> AccessDesk:
    desk = AccessDesk(database)
    await desk.publish(PERSONAL, RECORDS)
    await desk.link(OWNER)
    return desk


def granted(desk: AccessDesk, record: Authorization) -> bytes:
    """Put an authorization on chain; this gateway does not hear what it says."""
    basis = struct_hash(record)
    entry = BasisEntry(basis, "authorization", PERSONAL, record.subject, record.item, True)
    desk.chain.known[basis] = entry
    return basis


def bringing(desk: AccessDesk, basis: bytes, consent: Consent) -> KeyedSubmission:
    return msgspec.structs.replace(desk.submission(basis), consent=consent)


RECORD = authorization_of(SUBJECT, bytes(32), number=900)
UNSEEN = msgspec.structs.replace(RECORD, max_uses=1_000_000)
OTHER = authorization_of(SUBJECT, bytes(32), number=901)


async def test_without_a_statement_nothing_is_recorded_until_the_consumer_brings_it(
    desk: AccessDesk,
) -> None:
    basis = granted(desk, RECORD)
    submission = desk.submission(basis)
    answer = await desk.accesses.answer(submission)
    assert slug(answer.problem) == "statement-missing"
    assert desk.chain.recorded == {}
    again = msgspec.structs.replace(submission, consent=Consent(RECORD))
    released(await desk.accesses.answer(again))
    desk.restart()
    released(await desk.accesses.answer(desk.submission(basis)))  # it is kept


async def test_what_is_recorded_already_is_handed_out_when_the_statement_comes(
    desk: AccessDesk,
) -> None:
    basis = granted(desk, RECORD)
    entry = desk.chain.known.pop(basis)  # on chain, and not in the index yet
    submission = desk.submission(basis)
    first = await desk.accesses.answer(submission)
    assert first.recorded is not None
    desk.chain.known[basis] = entry
    answer = await desk.accesses.answer(submission)
    assert slug(answer.problem) == "statement-missing"
    assert answer.recorded == first.recorded
    again = msgspec.structs.replace(submission, consent=Consent(RECORD))
    answer = await desk.accesses.answer(again)
    released(answer)
    assert answer.recorded == first.recorded


async def test_a_basis_that_is_not_in_the_index_yet_is_waited_for_before_the_record(
    desk: AccessDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    basis = granted(desk, RECORD)
    entry = desk.chain.known.pop(basis)

    async def catch_up() -> bool:
        desk.chain.known[basis] = entry
        return True

    monkeypatch.setattr(desk.chain, "catch_up", catch_up)
    desk.restart()
    answer = await desk.accesses.answer(desk.submission(basis))
    assert slug(answer.problem) == "statement-missing"
    assert desk.chain.recorded == {}


@pytest.mark.parametrize("brought", [UNSEEN, OTHER], ids=["unseen", "of another authorization"])
async def test_a_wrong_statement_is_neither_taken_nor_kept_and_bars_no_right_one(
    desk: AccessDesk, brought: Authorization
) -> None:
    basis = granted(desk, RECORD)
    answer = await desk.accesses.answer(bringing(desk, basis, Consent(brought)))
    assert slug(answer.problem) == "statement-missing"
    assert CASE_NUMBER not in str(answer.problem)
    assert (desk.chain.recorded, desk.chain.records) == ({}, {})
    released(await desk.accesses.answer(bringing(desk, basis, Consent(RECORD))))


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "brought"])
async def test_what_the_person_did_not_see_is_not_recorded(desk: AccessDesk, *, kept: bool) -> None:
    basis = granted(desk, UNSEEN)
    if kept:
        desk.chain.records[basis] = StoredAuthorization(basis, UNSEEN, None, None, NOW)
    for _ in range(2):
        answer = await desk.accesses.answer(bringing(desk, basis, Consent(UNSEEN)))
        assert slug(answer.problem) == "statement-missing"
    assert desk.chain.recorded == {}


async def test_the_consumers_name_counts_as_of_the_grant(desk: AccessDesk) -> None:
    basis = desk.chain.authorize()
    desk.chain.names[basis] = "Bank of Another Name"
    answer = await desk.accesses.answer(desk.submission(basis))
    assert slug(answer.problem) == "statement-missing"
    desk.chain.names[basis] = "City Bank"
    released(await desk.accesses.answer(desk.submission(basis)))


async def test_a_keyholder_is_shown_each_statement_once_and_only_if_it_wants_it(
    desk: AccessDesk,
) -> None:
    wanting, *_ = desk.holders
    wanting.wants_statements = True
    bases = [desk.chain.authorize() for _ in range(3)]
    for _ in range(2):
        for answer in await desk.accesses.answer_all([desk.submission(basis) for basis in bases]):
            released(answer)
        desk.holders[1].down = True  # now the first is always asked
        for answer in await desk.accesses.answer_all([desk.submission(basis) for basis in bases]):
            released(answer)
    records = {basis: desk.chain.records[basis].record for basis in bases}
    assert wanting.seen == {to_hex(basis): record_to_object(records[basis]) for basis in bases}
    for holder in desk.holders[1:]:
        assert holder.tasks
        assert not [task for task in holder.tasks if "authorization" in task]


async def test_long_statements_come_in_several_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyholders, "_MAX_QUESTION", 1)
    records = {
        struct_hash(one): one
        for one in (authorization_of(SUBJECT, bytes(32), number=place) for place in range(3))
    }

    async def statements(wanted: Sequence[bytes]) -> Mapping[bytes, Authorization]:
        return {one: records[one] for one in wanted if one in records}

    fakes = [FakeKeyholder(number) for number in (1, 2, 3)]
    for fake in fakes:
        fake.wants_statements = True
    clients = [KeyholderClient(fake.address, InMemory(fake), DOMAIN) for fake in fakes]
    asked = Keyholders(clients, (ROSTER,), statements, hedge=5)
    unknown = b"\x09" * 32
    tasks = [
        PartsTask(
            json.dumps({"request": {"basis": to_hex(basis)}}).encode(),
            frozenset({ROSTER.epoch}),
            authorization=basis,
        )
        for basis in (*records, unknown)
    ]
    *answers, lost = await asked.ask(tasks)
    assert all(isinstance(answer, tuple) and len(answer) == 2 for answer in answers)
    assert not isinstance(lost, tuple)
    # The third may be asked for the unknown one, or two refusals are enough.
    assert sorted(fake.asked for fake in fakes)[1:] == [[4, 1, 1, 1], [4, 1, 1, 1]]
    await asked.close()


async def test_a_link_is_brought_and_an_old_one_does_not_keep_ours_from_being_renewed(
    database: Database,
) -> None:
    phoneless = Phoneless(database)
    desk, signed = phoneless.desk, phoneless.authority.signed
    await desk.publish(PERSONAL, RECORDS)
    phoneless.answering()
    basis = granted(desk, RECORD)

    def link(at: int) -> Consent:
        made = signed(make_link(SUBJECT, PERSONAL, OWNER, at=at, links_from=0))
        return Consent(RECORD, made)

    async def problem(consent: Consent) -> object:
        return (await desk.accesses.answer(bringing(desk, basis, consent))).problem

    old = link(NOW - MAX_LINK_LIFETIME)
    assert slug(await problem(Consent(RECORD))) == "link-missing"
    assert isinstance(await problem(old), LinkRefusedError)
    assert desk.chain.recorded == {}
    assert await problem(link(NOW)) is None
    desk.chain.time = NOW + MAX_LINK_LIFETIME
    assert await problem(link(NOW)) is None
    assert phoneless.authority.asked == 1
    await desk.accesses.close()


@pytest.mark.parametrize("lacking", ["parties", "datasets", "purposes"])
async def test_what_is_not_on_chain_has_no_right_statement_once_the_index_has_all(
    desk: AccessDesk, lacking: str
) -> None:
    desk.chain.snapshot = msgspec.structs.replace(desk.chain.snapshot, **{lacking: {}})
    statements = statements_of(desk.chain)
    relayed = authorization_of(SUBJECT, bytes(32), number=9)
    desk.chain.behind = True
    with refused_as("index-behind"):
        await statements.verify(relayed)
    desk.chain.behind = False
    with refused_as("statement-mismatch"):
        await statements.verify(relayed)


@pytest.mark.parametrize("lacking", ["datasets", "purposes"])
async def test_an_authorization_on_chain_is_waited_for_until_the_index_knows_what_it_names(
    desk: AccessDesk, lacking: str
) -> None:
    basis = desk.chain.authorize()
    brought = desk.chain.records[basis].record
    desk.chain.snapshot = msgspec.structs.replace(desk.chain.snapshot, **{lacking: {}})
    statements = statements_of(desk.chain)
    with refused_as("index-behind"):
        await statements.require(basis, None)
    desk.chain.records.clear()
    with refused_as("index-behind"):
        await statements.require(basis, brought)
    with refused_as("statement-missing"):
        await statements.require(basis, authorization_of(SUBJECT, bytes(32), number=9))
