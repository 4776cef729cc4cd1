"""What a keyholder checks: the honest task passes, and each lie that a gateway could tell is refused."""

import dataclasses
from collections.abc import Callable

import msgspec
import pytest

from ledger.api import KeyedSubmission, Location, ReleaseTask, SignedLink
from ledger.chain.events import PartyAdmitted, PartyWithdrawn
from ledger.crypto import signatures
from ledger.crypto.merkle import RangeProof
from ledger.crypto.publications import OwnerProof
from ledger.crypto.released_parts import make_nonce, nonce_word
from ledger.links import MAX_LINK_AHEAD, MAX_LINK_LIFETIME
from ledger.model import ZERO_WORD, Class, Outcome, Roles
from ledger.release_rules import Reason, ReleaseRefusedError, Times
from ledger.state import ImpossibleEventError
from ledger.typed_data import AccessRequest, Authorization, Domain, digest, struct_hash
from tests.support.releases import (
    ACCESS_LOG,
    BANK,
    IDENTITY,
    INSURER,
    KEY_OF,
    LAG,
    PROVIDER,
    STRANGER,
    WINDOW,
    Account,
    Case,
    World,
    named,
)
from wallet.keyholder.chain_state import KnownAccess, Publication
from wallet.keyholder.rules import VerifiedRelease, verify_publication, verify_task


@pytest.fixture
def case() -> Case:
    return Case()


def verify(world: World, task: ReleaseTask) -> VerifiedRelease:
    return verify_task(task, world.register, world.rules, world.links)


def refused(world: World, task: ReleaseTask) -> Reason:
    with pytest.raises(ReleaseRefusedError) as caught:
        verify(world, task)
    assert str(caught.value) not in ("", "None")
    return caught.value.reason


def signed(request: AccessRequest, signer: Account = BANK) -> KeyedSubmission:
    signature = signatures.sign(digest(request, ACCESS_LOG), signer.private_key)
    return KeyedSubmission(request, signature, KEY_OF[request.nonce])


def test_the_honest_task_is_answered_with_the_fields_asked_for_of_the_persons_records(
    case: Case,
) -> None:
    release = verify(case.world, case.task)

    assert release.access == struct_hash(case.request)
    assert release.digest == digest(case.request, ACCESS_LOG)
    assert release.indices == (0, 1)
    assert [record.number for record in release.records] == [
        record.number for record in case.records if record.owner == case.owner
    ]
    assert {record.owner for record in release.records} == {case.owner}
    assert release.publication == 1
    assert release.recipient.to_bytes() == KEY_OF[case.request.nonce]
    assert (release.consumer, release.fields) == (BANK.address, case.request.fields)
    assert release.signature == case.task.submission.signature
    assert release.recorded.access == release.access
    assert release.schema == case.schema
    assert release.judged_at == case.world.register.block


Lie = Callable[[Case], ReleaseTask]


def another_item_than_was_recorded(case: Case) -> ReleaseTask:
    request = msgspec.structs.replace(case.request, item=case.items(case.owner)[0])
    return case.changed(submission=signed(request))


def no_signature_at_all(case: Case) -> ReleaseTask:
    return case.changed(
        submission=KeyedSubmission(case.request, bytes(65), case.task.submission.key)
    )


def an_access_on_a_basis_that_is_unknown(case: Case) -> ReleaseTask:
    request = case.world.request(named("nothing"))
    location = case.world.record(request)
    return case.changed(submission=signed(request), location=location)


def an_access_on_another_consumers_authorization(case: Case) -> ReleaseTask:
    request = case.world.request(case.authorization, consumer=INSURER)
    location = case.world.record(request)
    return case.changed(submission=signed(request, INSURER), location=location)


def an_access_to_fields_beyond_the_mask(case: Case) -> ReleaseTask:
    request = case.world.request(case.authorization, fields=0b1001)
    location = case.world.record(request)
    return case.changed(submission=signed(request), location=location)


def an_access_to_no_field(case: Case) -> ReleaseTask:
    request = case.world.request(case.authorization, fields=0)
    location = case.world.record(request)
    return case.changed(submission=signed(request), location=location)


def no_statement(case: Case) -> ReleaseTask:
    return case.changed(authorization=None)


def another_statement_than_was_signed(case: Case) -> ReleaseTask:
    record = case.world.records[case.authorization]
    return case.changed(
        authorization=msgspec.structs.replace(record, statement=record.statement + " ")
    )


def retold_for(case: Case, record: Authorization) -> ReleaseTask:
    request = case.world.request(case.world.grant_record(record))
    return case.retold(request, case.world.record(request))


def an_authorization_in_the_words_of_fewer_uses(case: Case) -> ReleaseTask:
    record = case.world.records[case.authorization]
    return retold_for(case, msgspec.structs.replace(record, max_uses=1000))


def an_authorization_that_names_another_consumer(case: Case) -> ReleaseTask:
    case.world.bank_name = INSURER.name
    request = case.world.request(case.world.grant(case.subject, case.schema))
    return case.retold(request, case.world.record(request))


def a_publication_with_number_zero(case: Case) -> ReleaseTask:
    return case.changed(publication=0)


def another_epoch(case: Case) -> ReleaseTask:
    changed = msgspec.structs.replace(case.task.records[0], epoch=7)
    return case.changed(records=(changed, *case.task.records[1:]))


def a_leaf_less(case: Case) -> ReleaseTask:
    first = case.task.records[0]
    changed = msgspec.structs.replace(
        first, leaves=first.leaves[:-1], ciphertexts=first.ciphertexts[:-1]
    )
    return case.changed(records=(changed, *case.task.records[1:]))


def a_proof_with_a_wrong_hash(case: Case) -> ReleaseTask:
    assert isinstance(case.task.proof, OwnerProof)
    hashes = (named("hash"), *case.task.proof.hashes[1:])
    return case.changed(proof=msgspec.structs.replace(case.task.proof, hashes=hashes))


def a_proof_that_the_person_has_nothing(case: Case) -> ReleaseTask:
    return case.changed(proof=OwnerProof(0, 0, (), ()), records=())


def no_link(case: Case) -> ReleaseTask:
    return case.changed(link=None)


def a_link_by_the_provider(case: Case) -> ReleaseTask:
    return case.changed(link=case.world.link(case.subject, case.schema, case.owner, PROVIDER))


def a_link_with_a_broken_signature(case: Case) -> ReleaseTask:
    return case.changed(link=SignedLink(case.link.link, bytes(65)))


def a_link_by_an_authority_that_is_not_pinned(case: Case) -> ReleaseTask:
    case.world.happen(
        PartyAdmitted,
        party=STRANGER.address,
        roles=Roles.IDENTITY_AUTHORITY,
        title="admitted by the bureau, and pinned nowhere",
    )
    return case.changed(link=case.world.link(case.subject, case.schema, case.owner, STRANGER))


def a_link_with_times(case: Case, issued: int, lasting: int) -> ReleaseTask:
    now = case.world.now
    times = {"issued_at": now + issued, "expires_at": now + issued + lasting}
    link = msgspec.structs.replace(case.link.link, **times)
    return case.changed(link=case.world.signed_link(link))


def a_link_that_is_over(case: Case) -> ReleaseTask:
    return a_link_with_times(case, -MAX_LINK_LIFETIME, MAX_LINK_LIFETIME)


def a_link_that_was_given_for_an_hour(case: Case) -> ReleaseTask:
    return a_link_with_times(case, -3600, 3600)


def a_link_for_ten_years(case: Case) -> ReleaseTask:
    return a_link_with_times(case, 0, 10 * 365 * 86_400)


def a_link_for_a_second_more(case: Case) -> ReleaseTask:
    return a_link_with_times(case, 0, MAX_LINK_LIFETIME + 1)


def a_link_of_the_future(case: Case) -> ReleaseTask:
    return a_link_with_times(case, MAX_LINK_AHEAD + 1, 86_400)


def a_link_of_which_the_times_were_changed(case: Case) -> ReleaseTask:
    times = {"issued_at": case.link.link.issued_at + 1}
    link = msgspec.structs.replace(case.link.link, **times)
    return case.changed(link=SignedLink(link, case.link.signature))


def a_link_by_an_authority_that_was_withdrawn(case: Case) -> ReleaseTask:
    verify(case.world, case.task)  # so that its signer is remembered
    case.world.happen(PartyWithdrawn, party=IDENTITY.address)
    return case.task


def a_link_by_an_authority_that_has_other_roles_now(case: Case) -> ReleaseTask:
    case.world.happen(PartyAdmitted, party=IDENTITY.address, roles=Roles.CONSUMER, title="x")
    return case.task


def an_erased_record(case: Case) -> ReleaseTask:
    case.world.erase(case.schema, case.task.records[0].entry().root)
    return case.task


def with_key(case: Case, key: bytes) -> ReleaseTask:
    return case.changed(submission=msgspec.structs.replace(case.task.submission, key=key))


def the_key_that_the_registry_has_of_the_consumer(case: Case) -> ReleaseTask:
    return with_key(case, case.world.keys[BANK].encryption_key.to_bytes())


def no_key(case: Case) -> ReleaseTask:
    return with_key(case, b"")


def recorded_for(case: Case, key: bytes, domain: Domain = ACCESS_LOG) -> ReleaseTask:
    """An access whose nonce commits to these bytes."""
    word = nonce_word(domain, BANK.address, key)
    request = msgspec.structs.replace(case.request, nonce=make_nonce(word, 3))
    KEY_OF[request.nonce] = key
    location = case.world.record(request)
    return case.world.task(
        *(request, location, case.schema, case.version), owner=case.owner, link=case.link
    )


def a_nonce_for_another_chain(case: Case) -> ReleaseTask:
    other = msgspec.structs.replace(ACCESS_LOG, chain_id=1)
    return recorded_for(case, case.task.submission.key, other)


def a_key_that_is_no_key(case: Case) -> ReleaseTask:
    return recorded_for(case, b"\x01junk")


def a_key_of_an_unknown_suite(case: Case) -> ReleaseTask:
    return recorded_for(case, b"\x03" + bytes(32))


def a_key_that_gives_no_secret(case: Case) -> ReleaseTask:
    return recorded_for(case, b"\x01" + bytes(32))


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        (another_item_than_was_recorded, Reason.ACCESS_DIFFERS),
        (no_signature_at_all, Reason.SIGNATURE_INVALID),
        (an_access_on_a_basis_that_is_unknown, Reason.BASIS_UNKNOWN),
        (an_access_on_another_consumers_authorization, Reason.BASIS_UNKNOWN),
        (no_statement, Reason.STATEMENT_WANTED),
        (another_statement_than_was_signed, Reason.STATEMENT_WRONG),
        (an_authorization_in_the_words_of_fewer_uses, Reason.STATEMENT_WRONG),
        (an_authorization_that_names_another_consumer, Reason.STATEMENT_WRONG),
        (an_access_to_fields_beyond_the_mask, Reason.FIELDS_OUTSIDE),
        (an_access_to_no_field, Reason.FIELDS_OUTSIDE),
        (a_publication_with_number_zero, Reason.PUBLICATION_UNKNOWN),
        (another_epoch, Reason.RECORD_UNPROVEN),
        (a_leaf_less, Reason.RECORD_UNPROVEN),
        (a_proof_with_a_wrong_hash, Reason.PROOF_INVALID),
        (a_proof_that_the_person_has_nothing, Reason.PROOF_INVALID),
        (no_link, Reason.LINK_MISSING),
        (a_link_by_the_provider, Reason.LINK_INVALID),
        (a_link_with_a_broken_signature, Reason.LINK_INVALID),
        (a_link_by_an_authority_that_is_not_pinned, Reason.LINK_INVALID),
        (a_link_that_is_over, Reason.LINK_OVER),
        (a_link_that_was_given_for_an_hour, Reason.LINK_OVER),
        (a_link_for_ten_years, Reason.LINK_INVALID),
        (a_link_for_a_second_more, Reason.LINK_INVALID),
        (a_link_of_the_future, Reason.LINK_INVALID),
        (a_link_of_which_the_times_were_changed, Reason.LINK_INVALID),
        (a_link_by_an_authority_that_was_withdrawn, Reason.LINK_INVALID),
        (a_link_by_an_authority_that_has_other_roles_now, Reason.LINK_INVALID),
        (an_erased_record, Reason.RECORD_ERASED),
        (the_key_that_the_registry_has_of_the_consumer, Reason.KEY_MISMATCH),
        (no_key, Reason.KEY_MISMATCH),
        (a_nonce_for_another_chain, Reason.KEY_MISMATCH),
        (a_key_that_is_no_key, Reason.KEY_UNUSABLE),
        (a_key_of_an_unknown_suite, Reason.KEY_UNUSABLE),
        (a_key_that_gives_no_secret, Reason.KEY_UNUSABLE),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_lie_of_the_gateway_is_refused(case: Case, lie: Lie, reason: Reason) -> None:
    assert refused(case.world, lie(case)) is reason


# Statements


def test_a_statement_is_wanted_until_a_right_one_was_shown_and_then_no_more(case: Case) -> None:
    for lie in (no_statement, another_statement_than_was_signed, no_statement):
        refused(case.world, lie(case))
    verify(case.world, case.task)
    verify(case.world, no_statement(case))


def test_the_consumers_name_counts_as_of_the_grant(case: Case) -> None:
    world = case.world
    world.happen(PartyAdmitted, party=BANK.address, roles=Roles.CONSUMER, title="New name")
    verify(world, case.task)
    request = world.request(world.grant(case.subject, case.schema))
    old = case.retold(request, world.record(request))
    assert refused(world, old) is Reason.STATEMENT_WRONG
    world.bank_name = "New name"
    request = world.request(world.grant(case.subject, case.schema))
    verify(world, case.retold(request, world.record(request)))


# One record


def item_case(case: Case, item: bytes, *, bound: bool) -> tuple[AccessRequest, Location]:
    basis = case.world.grant(case.subject, case.schema, item=item if bound else ZERO_WORD)
    request = case.world.request(basis, item=ZERO_WORD if bound else item)
    return request, case.world.record(request)


@pytest.mark.parametrize("bound", [True, False], ids=["authorization", "request"])
def test_an_access_to_one_record_is_answered_with_that_record_alone(
    case: Case, *, bound: bool
) -> None:
    item = case.items(case.owner)[1]
    request, location = item_case(case, item, bound=bound)
    task = case.world.task(request, location, case.schema, case.version, item=item, link=case.link)
    release = verify(case.world, task)
    assert [record.entry().root for record in release.records] == [item]

    other = case.items(case.owner)[0]
    lie = case.world.task(request, location, case.schema, case.version, item=other, link=case.link)
    assert refused(case.world, lie) is Reason.ITEM_MISMATCH
    everything = case.changed(submission=signed(request), location=location)
    assert refused(case.world, everything) is Reason.ITEM_MISMATCH


def test_an_access_to_one_record_does_not_open_somebody_elses(case: Case) -> None:
    item = case.items(case.stranger)[0]
    request, location = item_case(case, item, bound=True)
    task = case.world.task(request, location, case.schema, case.version, item=item, link=case.link)
    assert refused(case.world, task) is Reason.OWNER_MISMATCH


@pytest.mark.parametrize("other", [False, True])
def test_a_request_may_name_the_record_of_its_authorization_and_no_other(
    case: Case, *, other: bool
) -> None:
    item, another = case.items(case.owner)[:2]
    request = case.world.request(
        case.world.grant(case.subject, case.schema, item=item), item=another if other else item
    )
    location = case.world.record(request)
    task = case.world.task(
        *(request, location, case.schema, case.version), item=request.item, link=case.link
    )
    if other:
        assert refused(case.world, task) is Reason.ITEM_MISMATCH
    else:
        assert [record.entry().root for record in verify(case.world, task).records] == [item]


def test_a_record_of_the_run_shows_with_an_owners_proof_as_well(case: Case) -> None:
    item = case.items(case.owner)[1]
    request, location = item_case(case, item, bound=False)
    only = tuple(record for record in case.task.records if record.entry().root == item)
    task = case.changed(submission=signed(request), location=location, records=only)
    assert verify(case.world, task).records == only


# Bases without a person


@pytest.mark.parametrize("kind", ["agreement", "order", "dataset"])
def test_data_about_nobody_is_answered_whole_page_by_page_or_by_record(
    case: Case, kind: str
) -> None:
    world, schema, version = case.world, case.schema, case.version
    if kind == "dataset":
        schema = world.register_dataset("weather", personal=False, sharing=Class.UNCONDITIONAL)
        version = world.publish(schema, [world.encrypt(schema, bytes(32), n) for n in range(13)])
    if kind == "agreement":
        basis = world.agree(schema)
    else:
        basis = (
            world.order(schema, sharing=Class.CONDITIONAL) if kind == "order" else schema.dataset
        )
    request = world.request(basis, fields=0b0001)
    location = world.record(request)

    whole = world.task(request, location, schema, version)
    assert len(verify(world, whole).records) == len(version.records)
    page = msgspec.structs.replace(
        whole, records=whole.records[3:5], proof=version.tree.prove_range(3, 5)
    )
    assert len(verify(world, page).records) == 2
    shifted = msgspec.structs.replace(page, proof=version.tree.prove_range(4, 6))
    assert refused(world, shifted) is Reason.PROOF_INVALID
    beyond = world.request(basis, fields=0b11111)
    task = world.task(beyond, world.record(beyond), schema, version)
    # Of an agreement it is not known whether it ever covered them: approving anew changes its fields.
    narrowed = kind in ("agreement", "order")
    assert refused(world, task) is (Reason.RELEASE_STOPPED if narrowed else Reason.FIELDS_OUTSIDE)


def test_a_page_around_an_erased_record_is_answered_without_it(case: Case) -> None:
    world, schema, version = case.world, case.schema, case.version
    request = world.request(world.agree(schema), fields=0b0001)
    location = world.record(request)
    whole = world.task(request, location, schema, version)
    world.erase(schema, version.records[2].entry().root)
    assert refused(world, whole) is Reason.RECORD_ERASED
    entries = tuple(record.entry() for record in version.records)
    run = OwnerProof(0, version.tree.size, entries, ())
    left = (*whole.records[:2], *whole.records[3:])
    task = msgspec.structs.replace(whole, records=left, proof=run)
    assert verify(world, task).records == left


def test_an_empty_publication_is_answered_with_nothing(case: Case) -> None:
    schema = case.world.register_dataset("empty", personal=False, sharing=Class.UNCONDITIONAL)
    version = case.world.publish(schema, [])
    request = case.world.request(schema.dataset, fields=1)
    location = case.world.record(request)
    task = ReleaseTask(
        signed(request), location, schema.dataset, 1, (), RangeProof(0, 0, 0, ()), None
    )
    assert version.tree.size == 0
    assert verify(case.world, task).records == ()


# The person has no record, or erased ones


def test_a_person_without_records_is_answered_with_nothing(case: Case) -> None:
    owner = named("nobody's owner")
    link = case.world.link(case.subject, case.schema, owner)
    task = case.world.task(
        case.request, case.location, case.schema, case.version, owner=owner, link=link
    )
    assert verify(case.world, task).records == ()


def test_only_erased_records_may_be_left_out(case: Case) -> None:
    case.world.erase(case.schema, case.task.records[0].entry().root)
    left = case.task.records[1:]
    assert verify(case.world, case.changed(records=left)).records == left
    assert refused(case.world, case.changed(records=left[1:])) is Reason.RECORDS_MISSING


# Time


def test_a_publication_may_have_been_superseded_a_moment_before_the_access(case: Case) -> None:
    newer = case.world.publish(case.schema, case.records)
    request = case.world.request(case.authorization)
    location = case.world.record(request)
    for version in (case.version, newer):
        task = case.changed(
            submission=signed(request), location=location, publication=version.number
        )
        assert verify(case.world, task).publication == version.number


@pytest.mark.parametrize("late", [0, 1])
def test_the_publications_lag_is_counted_to_its_last_second(case: Case, late: int) -> None:
    case.world.publish(case.schema, case.records)
    case.world.now += LAG - 1 + late
    request = case.world.request(case.authorization)
    location = case.world.record(request)
    task = case.changed(submission=signed(request), location=location)
    if late:
        assert refused(case.world, task) is Reason.PUBLICATION_SUPERSEDED
    else:
        assert verify(case.world, task).publication == 1


def test_the_window_is_the_rules_own_and_not_what_the_register_keeps(case: Case) -> None:
    case.world.rules = dataclasses.replace(case.world.rules, release_window=5)
    case.world.pass_time(5)
    assert verify(case.world, case.task).publication == 1
    case.world.pass_time(1)
    assert refused(case.world, case.task) is Reason.RELEASE_OVER


def test_accesses_are_released_from_the_first_known_block_on(case: Case) -> None:
    case.world.register._first_block = case.location.block_number
    assert verify(case.world, case.task).publication == 1
    case.world.register._first_block += 1
    assert refused(case.world, case.task) is Reason.RELEASE_OVER


def test_the_newest_publication_has_no_lag(case: Case) -> None:
    case.world.rules = dataclasses.replace(case.world.rules, publication_lag=0)
    assert verify(case.world, case.task).publication == 1
    case.world.publish(case.schema, case.records)
    assert verify(case.world, case.task).publication == 1  # it was the newest at the access


@pytest.mark.parametrize(("published", "recorded"), [(0, 1), (1, 0), (1, 1)])
def test_a_publication_must_stand_before_the_access_also_within_its_block(
    case: Case, published: int, recorded: int
) -> None:
    place = (case.location.block_number, published)
    found = Publication(1, case.version.tree.head(), Times(place, None))
    case.world.register.publication = lambda *_: found  # type: ignore[method-assign]
    chain = case.world.register
    known = KnownAccess(bytes(32), 1, Outcome.ALLOWED, place[0], case.world.now, recorded)
    if published < recorded:
        assert verify_publication(case.task, known, chain, case.world.rules) is found
    else:
        with pytest.raises(ReleaseRefusedError) as caught:
            verify_publication(case.task, known, chain, case.world.rules)
        assert caught.value.reason is Reason.PUBLICATION_LATER


def test_a_duplicate_of_the_request_does_not_hide_the_access(case: Case) -> None:
    case.world.record(case.request, Outcome.DUPLICATE_REQUEST)
    verify(case.world, case.task)


# The register


def test_accesses_are_known_for_the_window_and_those_of_before_are_over(case: Case) -> None:
    world = case.world
    later = world.request(case.authorization)
    world.pass_time(WINDOW - 1)
    location = world.record(later)
    world.pass_time(1)
    assert refused(world, case.task) is Reason.RELEASE_OVER
    assert world.register.access(case.location.block_number, 0) is None
    verify(world, case.changed(submission=signed(later), location=location))


def test_an_access_that_does_not_follow_the_last_one_is_impossible(case: Case) -> None:
    request = case.world.request(case.authorization)
    with pytest.raises(ImpossibleEventError, match="after access 1, not 2"):
        case.world.record(request, sequence=3)
