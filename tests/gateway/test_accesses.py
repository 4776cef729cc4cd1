"""One access from the signed request to its answer, on a real database."""

import asyncio

import msgspec
import pytest

from gateway.access.content import MAX_RECORDS
from gateway.access.service import Answer
from gateway.errors import (
    BodyError,
    GatewayError,
    StoreUnavailableError,
    ThrottledError,
    UnknownError,
)
from gateway.problems import problem_of
from gateway.store.database import Database
from ledger.api import AccessResult, KeyedSubmission, Refusal, Release, Submission
from ledger.api.access import decode_result, encode_result
from ledger.crypto.hpke import DecryptionKey, Suite
from ledger.crypto.merkle import RangeProof, TreeHead, verify_range
from ledger.crypto.publications import OwnerProof, verify_owner
from ledger.crypto.released_parts import make_nonce, nonce_word
from ledger.crypto.secret_sharing import Roster
from ledger.crypto.signatures import address_of, sign
from ledger.model import Outcome
from ledger.typed_data import Domain, digest
from tests.support.accesses import BANK, BANK_KEY, OPEN, PERSONAL, STRANGER_KEY, AccessDesk
from tests.support.fake_keyholder import DOMAIN, ROSTER
from tests.support.problems import refused_as, slug
from tests.support.uploads import (
    entries_of,
    head_of,
    make_record,
    make_records,
    owner_of,
    tombstone,
)

RECORDS = make_records(owners=20)
OWNER = owner_of(7)
OWN = [record for record in RECORDS if record.owner == OWNER]


@pytest.fixture
async def desk(database: Database) -> AccessDesk:
    desk = AccessDesk(database)
    await desk.publish(PERSONAL, RECORDS)
    await desk.link(OWNER)
    return desk


def received(answer: Answer) -> AccessResult:
    assert answer.verified is not None
    assert answer.recorded is not None
    return decode_result(
        encode_result(
            (answer.verified.submission.request, answer.verified.digest, answer.recorded),
            answer.release,
        )
    )


def released(answer: Answer) -> Release:
    assert answer.problem is None
    release = received(answer).release
    assert release is not None
    return release


async def test_an_allowed_access_gets_all_the_persons_records_and_only_granted_fields(
    desk: AccessDesk,
) -> None:
    release = released(await desk.accesses.answer(desk.submission(desk.chain.authorize())))
    assert release.head == head_of(RECORDS)
    assert isinstance(release.proof, OwnerProof)
    assert verify_owner(release.proof, OWNER, release.head) == tuple(entries_of(OWN))
    assert release.records == tuple(record.excerpt((0, 2)) for record in OWN)
    assert len({held.holder for held in release.keys}) == 2


async def test_keyholders_get_what_they_must_check(desk: AccessDesk) -> None:
    submission = desk.submission(desk.chain.authorize())
    await desk.accesses.answer(submission)
    (task,) = next(holder for holder in desk.holders if holder.tasks).tasks
    assert task["signature"] == "0x" + submission.signature.hex()
    assert (task["block_number"], task["publication"]) == (desk.chain.block, 1)
    assert task["link"]["owner"] == "0x" + OWNER.hex()
    assert all(set(record["fields"]) == {None} for record in task["records"])


async def test_the_journal_tells_request_signature_place_and_what_was_released(
    desk: AccessDesk,
) -> None:
    submission = desk.submission(desk.chain.authorize())
    answer = await desk.accesses.answer(submission)
    (entry,) = [one async for one in desk.journal.read(0)]
    assert entry.submission == Submission(submission.request, submission.signature)
    assert entry.released is not None
    assert entry.released.key == submission.key
    assert entry.recorded == answer.recorded
    assert entry.released is not None
    assert (entry.released.dataset, entry.released.publication) == (PERSONAL, 1)
    assert entry.released.records == tuple(record.number for record in OWN)
    assert entry.released.holders == tuple(held.holder for held in released(answer).keys)


async def test_a_retry_is_not_a_second_use(desk: AccessDesk) -> None:
    submission = desk.submission(desk.chain.authorize())
    desk.chain.delay = 0.01
    at_once = await asyncio.gather(*(desk.accesses.answer(submission) for _ in range(5)))
    later = await desk.accesses.answer(submission)
    after_restart = await desk.restart().answer(submission)
    answers = [*at_once, later, after_restart]
    assert len(desk.chain.recorded) == 1
    assert {released(answer).head for answer in answers} == {head_of(RECORDS)}
    assert {received(answer).recorded for answer in answers} == {at_once[0].recorded}


async def test_a_retry_is_answered_from_the_same_publication(desk: AccessDesk) -> None:
    submission = desk.submission(desk.chain.authorize())
    first = released(await desk.accesses.answer(submission))
    newer = [make_record(record.owner, record.number, version=2) for record in RECORDS]
    await desk.publish(PERSONAL, newer, version=2)
    assert released(await desk.restart().answer(submission)).records == first.records
    fresh = released(await desk.accesses.answer(desk.submission(desk.chain.authorize())))
    assert (first.publication, fresh.publication) == (1, 2)
    assert fresh.head == head_of(newer)


async def test_an_access_is_answered_from_what_was_served_when_it_was_recorded(
    desk: AccessDesk,
) -> None:
    for holder in desk.holders:
        holder.mute = True
    submission = desk.submission(desk.chain.authorize())
    assert (await desk.accesses.answer(submission)).release is None
    await desk.publish(PERSONAL, make_records(owners=20, version=2), version=2)
    for holder in desk.holders:
        holder.mute = False
    assert released(await desk.accesses.answer(submission)).publication == 1


async def test_a_denied_access_is_recorded_and_journaled_and_opens_nothing(
    desk: AccessDesk,
) -> None:
    basis = desk.chain.authorize()
    desk.chain.outcomes[basis] = Outcome.USES_EXHAUSTED
    answer = await desk.accesses.answer(desk.submission(basis))
    assert answer.recorded is not None
    assert (answer.recorded.outcome, answer.release) == (Outcome.USES_EXHAUSTED, None)
    assert not any(holder.tasks for holder in desk.holders)
    (entry,) = [one async for one in desk.journal.read(0)]
    assert (entry.recorded, entry.released) == (answer.recorded, None)


async def test_all_that_were_handed_out_are_journaled_and_those_of_longest_ago_are_asked_first(
    desk: AccessDesk,
) -> None:
    submission = desk.submission(desk.chain.authorize())
    everybody = {holder.address for holder in desk.holders}
    handed: list[bytes] = []
    for _ in range(5):
        # A consumer that crashed meanwhile has nothing but what comes now.
        answer = await desk.restart().answer(submission)
        now = [held.holder for held in released(answer).keys]
        if handed:
            assert set(now) == set([*(everybody - set(handed)), *handed][:2])
        handed = [*(one for one in handed if one not in now), *now]
        (entry,) = [one async for one in desk.journal.read(0)]
        assert entry.released is not None
        assert entry.released.holders == tuple(handed)


async def test_without_enough_keyholders_the_access_is_kept_and_a_retry_releases(
    desk: AccessDesk,
) -> None:
    desk.holders[0].mute = desk.holders[1].mute = True
    submission = desk.submission(desk.chain.authorize())
    answer = await desk.accesses.answer(submission)
    assert slug(answer.problem) == "keyholders-unavailable"
    assert answer.recorded is not None
    (entry,) = [one async for one in desk.journal.read(0)]
    assert entry.released is None
    desk.holders[1].mute = False
    again = await desk.restart().answer(submission)
    assert len(released(again).keys) == 2
    assert again.recorded == answer.recorded
    assert len(desk.chain.recorded) == 1


async def test_what_cannot_be_recorded_does_not_happen(desk: AccessDesk) -> None:
    desk.chain.down = True
    submission = desk.submission(desk.chain.authorize())
    answer = await desk.accesses.answer(submission)
    assert isinstance(answer.problem, StoreUnavailableError)
    assert (answer.recorded, answer.release) == (None, None)
    assert not any(holder.tasks for holder in desk.holders)
    desk.chain.down = False
    released(await desk.accesses.answer(submission))


async def test_only_what_its_consumer_signed_for_this_deployment_is_recorded(
    desk: AccessDesk,
) -> None:
    basis = desk.chain.authorize()
    good = desk.submission(basis)
    other = msgspec.structs.replace(good.request, fields=0b111)
    forged = [
        desk.submission(basis, key=STRANGER_KEY),
        msgspec.structs.replace(good, request=other),
        msgspec.structs.replace(good, signature=bytes(65)),
        msgspec.structs.replace(good, signature=good.signature[:-1]),
    ]
    for submission in forged:
        answer = await desk.accesses.answer(submission)
        assert slug(answer.problem) == "wrong-signature"
        assert answer.recorded is None
    late = msgspec.structs.replace(good.request, deadline=2**40)
    answer = await desk.accesses.answer(msgspec.structs.replace(good, request=late))
    assert isinstance(answer.problem, BodyError)
    assert desk.chain.recorded == {}


async def test_who_did_not_name_the_recorder_is_turned_away_before_the_record(
    desk: AccessDesk,
) -> None:
    desk.chain.unnamed.add(BANK)
    signed = desk.submission(desk.chain.authorize())
    answer = await desk.accesses.answer(signed)
    assert slug(answer.problem) == "recorder-not-named"
    assert desk.chain.recorded == {}
    desk.chain.unnamed.clear()
    assert (await desk.accesses.answer(signed)).release is not None


async def test_who_was_never_admitted_is_turned_away(desk: AccessDesk) -> None:
    signed = desk.submission(
        desk.chain.authorize(), key=STRANGER_KEY, consumer=address_of(STRANGER_KEY)
    )
    answer = await desk.accesses.answer(signed)
    assert slug(answer.problem) == "unknown-party"
    assert desk.chain.recorded == {}


async def test_one_item_is_proved_by_itself(desk: AccessDesk) -> None:
    item = OWN[1].entry().root
    for submission in (
        desk.submission(desk.chain.authorize(), item=item),
        desk.submission(desk.chain.authorize(item=item)),
    ):
        release = released(await desk.accesses.answer(submission))
        assert release.records == (OWN[1].excerpt((0, 2)),)
        assert isinstance(release.proof, RangeProof)
        assert verify_range([OWN[1].entry().leaf()], release.proof, release.head)


async def test_an_item_that_was_changed_since_is_found_in_its_version(desk: AccessDesk) -> None:
    item = OWN[1].entry().root
    await desk.publish(PERSONAL, make_records(owners=20, version=2), version=2)
    submission = desk.submission(desk.chain.authorize(item=item))
    assert released(await desk.accesses.answer(submission)).publication == 1


async def test_another_persons_item_is_not_handed_out(desk: AccessDesk) -> None:
    foreign = next(record for record in RECORDS if record.owner != OWNER)
    submission = desk.submission(desk.chain.authorize(), item=foreign.entry().root)
    answer = await desk.accesses.answer(submission)
    assert isinstance(answer.problem, UnknownError)
    assert answer.release is None
    assert desk.chain.recorded == {}


async def test_an_allowed_access_whose_basis_is_not_in_the_index_yet_is_answered_later(
    desk: AccessDesk,
) -> None:
    """After the chain lost blocks the index is one of before, for a while: that is no lasting 404."""
    basis = desk.chain.authorize()
    entry = desk.chain.known.pop(basis)
    submission = desk.submission(basis)
    answer = await desk.accesses.answer(submission)
    assert answer.recorded is not None
    assert slug(answer.problem) == "index-behind"
    desk.chain.known[basis] = entry
    again = await desk.accesses.answer(submission)
    assert again.recorded == answer.recorded
    assert len(released(again).records) == len(OWN)


async def test_somebody_without_records_gets_the_proof_that_there_is_none(
    desk: AccessDesk,
) -> None:
    nobody = owner_of(4711)
    await desk.link(nobody, subject=b"\x09" * 32)
    submission = desk.submission(desk.chain.authorize(subject=b"\x09" * 32))
    release = released(await desk.accesses.answer(submission))
    assert (release.records, len(release.keys)) == ((), 2)  # keyholders judged this one too
    assert isinstance(release.proof, OwnerProof)
    assert verify_owner(release.proof, nobody, release.head) == ()


# Nobody's use is spent for nothing


@pytest.mark.parametrize("down", [2, 3])
async def test_while_too_few_keyholders_are_ready_nothing_is_recorded(
    desk: AccessDesk, down: int
) -> None:
    released(await desk.accesses.answer(desk.submission(desk.chain.authorize())))
    for holder in desk.holders[:down]:
        holder.down = True
    await asyncio.sleep(0.1)
    submissions = [desk.submission(desk.chain.authorize()) for _ in range(50)]
    answers = await asyncio.gather(
        *(desk.accesses.answer(submission) for submission in submissions)
    )
    assert {slug(answer.problem) for answer in answers} == {"cannot-record"}
    assert f"{3 - down} of 3 keyholders are ready" in str(answers[0].problem)
    assert len(desk.chain.recorded) == 1
    for holder in desk.holders:
        holder.down = False
    again = await asyncio.gather(*(desk.accesses.answer(submission) for submission in submissions))
    assert all(released(one).records for one in again)
    assert len(desk.chain.recorded) == 51


async def test_ready_are_those_that_the_records_need(desk: AccessDesk) -> None:
    members = ROSTER.members
    away = tuple(bytes([number]) * 20 for number in (7, 8, 9))
    desk.restart(rosters=(Roster(1, 2, members), Roster(2, 2, away)))
    released(await desk.accesses.answer(desk.submission(desk.chain.authorize())))
    assert len(desk.chain.recorded) == 1
    desk.restart(rosters=(Roster(1, 2, away), Roster(2, 2, members)))
    answer = await desk.accesses.answer(desk.submission(desk.chain.authorize()))
    assert slug(answer.problem) == "cannot-record"
    assert len(desk.chain.recorded) == 1


async def test_one_keyholder_that_is_away_or_silent_keeps_nobody_waiting(desk: AccessDesk) -> None:
    desk.holders[0].silent = True
    async with asyncio.timeout(1):
        released(await desk.accesses.answer(desk.submission(desk.chain.authorize())))


async def test_nothing_is_recorded_or_released_while_the_chain_has_what_cannot_be(
    desk: AccessDesk,
) -> None:
    before = desk.submission(desk.chain.authorize())
    released(await desk.accesses.answer(before))
    desk.chain.problem = "2 events on chain cannot be"
    for submission in (before, desk.submission(desk.chain.authorize())):
        answer = await desk.accesses.answer(submission)
        assert slug(answer.problem) == "chain-unavailable"
        assert answer.release is None
    assert len(desk.chain.recorded) == 1


# The release window


OVER = Refusal("urn:quancheng:problem:release-over", "Over", 410, "the window is over")
STOPPED = Refusal("urn:quancheng:problem:release-stopped", "Stopped", 403, "it was revoked")


@pytest.mark.parametrize("refusal", [OVER, STOPPED])
async def test_what_so_many_keyholders_refuse_for_good_is_told_with_the_record(
    desk: AccessDesk, refusal: Refusal
) -> None:
    submission = desk.submission(desk.chain.authorize())
    first = await desk.accesses.answer(submission)
    for holder in desk.holders[:2]:
        holder.refusal = refusal
    again = await desk.accesses.answer(submission)
    assert isinstance(again.problem, GatewayError)
    assert str(again.problem) == refusal.detail
    assert again.recorded == first.recorded
    problem = problem_of(again.problem)
    assert (problem.type, problem.kind.status) == (refusal.type, refusal.status)


async def test_one_keyholder_alone_ends_no_access(desk: AccessDesk) -> None:
    submission = desk.submission(desk.chain.authorize())
    desk.holders[0].refusal = OVER
    assert len(released(await desk.accesses.answer(submission)).keys) == 2
    desk.holders[1].mute = True
    again = await desk.restart().answer(submission)
    assert slug(again.problem) == "keyholders-unavailable"


async def test_after_the_window_no_keyholder_is_asked(desk: AccessDesk) -> None:
    submission = desk.submission(desk.chain.authorize())
    first = await desk.accesses.answer(submission)
    desk.chain.time += 3600
    asked = sum(len(holder.asked) for holder in desk.holders)
    released(await desk.accesses.answer(submission))
    desk.chain.time += 1
    again = await desk.accesses.answer(submission)
    assert slug(again.problem) == "release-over"
    assert again.recorded == first.recorded
    assert sum(len(holder.asked) for holder in desk.holders) == asked + 2


async def test_without_a_link_nothing_is_handed_out(desk: AccessDesk) -> None:
    submission = desk.submission(desk.chain.authorize(subject=b"\x08" * 32))
    answer = await desk.accesses.answer(submission)
    assert slug(answer.problem) == "link-missing"
    assert desk.chain.recorded == {}  # the use is not lost
    await desk.link(OWNER, subject=b"\x08" * 32)
    released(await desk.accesses.answer(submission))


async def test_an_erased_record_is_gone_and_the_others_are_not(desk: AccessDesk) -> None:
    gone, stays = OWN
    await desk.publishing.erase(tombstone(PERSONAL, 1, gone))
    release = released(await desk.accesses.answer(desk.submission(desk.chain.authorize())))
    assert release.records == (stays.excerpt((0, 2)),)
    assert isinstance(release.proof, OwnerProof)
    assert verify_owner(release.proof, OWNER, release.head) == tuple(entries_of(OWN))
    item = desk.submission(desk.chain.authorize(item=gone.entry().root))
    assert slug((await desk.accesses.answer(item)).problem) == "erased"
    assert len(desk.chain.recorded) == 1  # the use is not lost


async def test_a_whole_open_dataset(desk: AccessDesk) -> None:
    records = [make_record(bytes(32), number) for number in range(30)]
    basis = desk.chain.open_dataset()
    early = await desk.accesses.answer(desk.submission(basis))
    assert slug(early.problem) == "nothing-served"
    await desk.publish(OPEN, records)
    release = released(await desk.accesses.answer(desk.submission(basis, fields=1)))
    assert release.records == tuple(record.excerpt((0,)) for record in records)
    assert isinstance(release.proof, RangeProof)
    assert verify_range(
        [entry.leaf() for entry in entries_of(records)], release.proof, head_of(records)
    )
    item = released(
        await desk.accesses.answer(desk.submission(basis, item=records[4].entry().root))
    )
    assert item.records == (records[4].excerpt((0, 2)),)


async def test_a_dataset_that_is_too_large_is_turned_away_before_it_is_recorded(
    desk: AccessDesk,
) -> None:
    records = [make_record(bytes(32), number) for number in range(MAX_RECORDS + 1)]
    await desk.publish(OPEN, records)
    basis = desk.chain.open_dataset()
    answer = await desk.accesses.answer(desk.submission(basis))
    assert slug(answer.problem) == "too-many-records"
    assert desk.chain.recorded == {}
    released(await desk.accesses.answer(desk.submission(basis, item=records[-1].entry().root)))


async def test_many_at_once_are_answered_in_order_each_for_itself(desk: AccessDesk) -> None:
    good, denied = desk.chain.authorize(), desk.chain.authorize()
    desk.chain.outcomes[denied] = Outcome.REVOKED
    submissions = [desk.submission(denied if n % 3 == 0 else good) for n in range(300)]
    submissions[5] = desk.submission(good, key=STRANGER_KEY)
    answers = await desk.accesses.answer_all(submissions)
    for place, (submission, answer) in enumerate(zip(submissions, answers, strict=True)):
        if place == 5:
            assert slug(answer.problem) == "wrong-signature"
            continue
        assert answer.verified is not None
        assert answer.verified.submission == submission
        assert (answer.release is None) == (place % 3 == 0)
    assert sum(len(holder.asked) for holder in desk.holders) <= 30  # in groups
    assert len([one async for one in desk.journal.read(0)]) == 299


async def test_a_flood_is_turned_away(desk: AccessDesk) -> None:
    accesses = desk.restart()
    accesses._most_waiting = 10
    desk.chain.delay = 0.05
    basis = desk.chain.authorize()
    with refused_as("throttled"):
        await accesses.answer_all([desk.submission(basis) for _ in range(11)])
    assert desk.chain.recorded == {}
    answers = await accesses.answer_all([desk.submission(basis) for _ in range(10)])
    assert all(answer.release for answer in answers)


async def test_a_consumer_that_asks_for_too_many_is_turned_away_and_nobody_else_is(
    desk: AccessDesk,
) -> None:
    basis = desk.chain.authorize()
    flood = [desk.submission(basis) for _ in range(1_001)]  # a desk allows 1,000 at once
    forged = [msgspec.structs.replace(one, signature=bytes(65)) for one in flood]
    answers = await desk.accesses.answer_all(forged)
    assert all(slug(one.problem) == "wrong-signature" for one in answers), "nobody paid"
    with pytest.raises(ThrottledError) as caught:
        await desk.accesses.answer_all(flood)
    assert caught.value.retry_after == 1
    assert desk.chain.recorded == {}
    answers = await desk.accesses.answer_all(flood[:10])
    assert all(answer.release for answer in answers)


async def test_closing_finishes_what_is_under_way(desk: AccessDesk) -> None:
    desk.chain.delay = 0.05
    running = asyncio.ensure_future(desk.accesses.answer(desk.submission(desk.chain.authorize())))
    await asyncio.sleep(0.01)
    await desk.accesses.close()
    released(await running)


async def test_a_client_that_is_gone_stops_nothing(desk: AccessDesk) -> None:
    desk.chain.delay = 0.05
    submission = desk.submission(desk.chain.authorize())
    running = asyncio.ensure_future(desk.accesses.answer(submission))
    await asyncio.sleep(0.01)
    running.cancel()
    await desk.accesses.close()
    (entry,) = [one async for one in desk.journal.read(0)]
    assert entry.released is not None


def test_heads_are_told_apart() -> None:
    assert head_of(RECORDS) != TreeHead(len(RECORDS), bytes(32))
    assert bytes(20) != BANK


# The key of the answer


def committed(desk: AccessDesk, key: bytes, domain: Domain = DOMAIN) -> KeyedSubmission:
    """A request of the bank whose nonce commits to these bytes."""
    made = desk.submission(desk.chain.authorize())
    nonce = make_nonce(nonce_word(domain, BANK, key), 0)
    request = msgspec.structs.replace(made.request, nonce=nonce)
    return KeyedSubmission(request, sign(digest(request, DOMAIN), BANK_KEY), key)


X25519 = b"\x01" + bytes(range(32))
KEYS = {
    "of an unknown suite": b"\x03" + bytes(32),
    "too short": X25519[:-1],
    "too long": X25519 + b"\x00",
    "empty": b"",
    "zero, which gives no secret": b"\x01" + bytes(32),
    "of low order": b"\x01\x01" + bytes(31),
    "hybrid with another length": b"\x02" + bytes(100),
    "hybrid out of range": b"\x02" + b"\xff" * 1216,
}


@pytest.mark.parametrize("name", KEYS)
async def test_a_key_that_cannot_be_sealed_to_is_refused_before_anything_is_recorded(
    desk: AccessDesk, name: str
) -> None:
    answer = await desk.accesses.answer(committed(desk, KEYS[name]))
    assert slug(answer.problem) == "answer-key"
    assert desk.chain.recorded == {}
    assert [one async for one in desk.journal.read(0)] == []


@pytest.mark.parametrize(
    "domain",
    [Domain(DOMAIN.chain_id + 1, DOMAIN.verifying_contract), Domain(DOMAIN.chain_id, bytes(20))],
)
async def test_a_nonce_that_commits_elsewhere_is_refused_before_anything_is_recorded(
    desk: AccessDesk, domain: Domain
) -> None:
    key = DecryptionKey.generate().encryption_key.to_bytes()
    answer = await desk.accesses.answer(committed(desk, key, domain))
    assert slug(answer.problem) == "answer-key"
    assert desk.chain.recorded == {}


@pytest.mark.parametrize("suite", list(Suite))
async def test_a_thief_of_the_signing_key_gets_no_recorded_access_answered_to_a_key_of_its_own(
    desk: AccessDesk, suite: Suite
) -> None:
    """It re-signs the request that is on chain, as it can, and names a key of its own."""
    submission = desk.submission(desk.chain.authorize())
    released(await desk.accesses.answer(submission))
    asked = [len(holder.tasks) for holder in desk.holders]
    own = DecryptionKey.generate(suite).encryption_key.to_bytes()
    signature = sign(digest(submission.request, DOMAIN), BANK_KEY)
    for accesses in (desk.accesses, desk.restart()):
        answer = await accesses.answer(KeyedSubmission(submission.request, signature, own))
        assert slug(answer.problem) == "answer-key"
        assert answer.release is None
    assert [len(holder.tasks) for holder in desk.holders] == asked
    assert len(desk.chain.recorded) == 1


async def test_a_key_that_does_not_fit_spoils_no_other_request_of_its_list(
    desk: AccessDesk,
) -> None:
    good, bad = desk.submission(desk.chain.authorize()), desk.submission(desk.chain.authorize())
    bad = msgspec.structs.replace(bad, key=DecryptionKey.generate().encryption_key.to_bytes())
    first, second = await desk.accesses.answer_all([good, bad])
    released(first)
    assert slug(second.problem) == "answer-key"
    assert len(desk.chain.recorded) == 1
