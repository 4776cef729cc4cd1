"""One table of tamperings: a keyholder, the SDK and evidence's verifier refuse each, with its reason.

A text instead of a reason says why a tampering does not concern a party; that it takes the access all the same is
tested as well.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Final

import msgspec
import pytest

from ledger.chain import contract_calls
from ledger.crypto import signatures
from ledger.crypto.hpke import DecryptionKey
from ledger.crypto.merkle import TreeHead
from ledger.crypto.publications import OwnerProof
from ledger.evidence.document import Check as EvidenceCheck
from ledger.evidence.document import EvidenceCheckError
from ledger.links import make_link
from ledger.model import Change, Outcome, Roles
from ledger.release_rules import Reason, ReleaseRefusedError
from ledger.typed_data import AccessRequest, digest, struct_hash
from scripts.scenario import Chain, Party
from tests.support.answers import Desk, owner_proof
from tests.support.evidence import Counter
from tests.support.tamperings import Claim, Stage
from wallet.client.errors import Check, VerificationError
from wallet.client.transports import Client, Endpoints


@pytest.fixture(scope="module")
def stage(module_chain: Chain) -> Stage:
    return Stage(Counter(module_chain))


@pytest.fixture(scope="module")
def client(module_chain: Chain) -> Iterator[Client]:
    endpoints = Endpoints("http://127.0.0.1:9", node=module_chain.node.url)
    with Client(endpoints, chain_id=module_chain.deployment.chain_id) as client:
        yield client


def asking(stage: Stage, signer: Party | None = None, **members: Any) -> Claim:
    """The honest access, told of another request."""
    claim = stage.claim
    request = msgspec.structs.replace(claim.submission.request, **members)
    signature = stage.chain.sign(request, (signer or stage.desk.bank).private_key)
    submission = msgspec.structs.replace(claim.submission, request=request, signature=signature)
    recorded = msgspec.structs.replace(claim.recorded, access=struct_hash(request))
    return replace(claim, submission=submission, recorded=recorded)


def recorded_as(stage: Stage, **members: Any) -> Claim:
    recorded = msgspec.structs.replace(stage.claim.recorded, **members)
    return replace(stage.claim, recorded=recorded)


def first_record(stage: Stage, **members: Any) -> Claim:
    first, *others = stage.claim.records
    return replace(stage.claim, records=(msgspec.structs.replace(first, **members), *others))


# The access


def a_request_that_was_never_recorded(stage: Stage) -> Claim:
    submission = stage.desk.submission(struct_hash(stage.claim.authorization))
    recorded = msgspec.structs.replace(stage.claim.recorded, access=struct_hash(submission.request))
    return replace(stage.claim, submission=submission, recorded=recorded)


def a_request_for_more_fields(stage: Stage) -> Claim:
    return asking(stage, fields=stage.claim.submission.request.fields | 0b10)


def a_request_of_another_consumer(stage: Stage) -> Claim:
    insurer = stage.chain.parties.insurer
    return asking(stage, insurer, consumer=insurer.address)


def a_request_on_another_basis(stage: Stage) -> Claim:
    return asking(stage, basis=struct_hash(stage.granted(stage.subject)))


def a_denied_access_told_as_allowed(stage: Stage) -> Claim:
    """The basis was revoked at the access's block."""
    granted = stage.granted(stage.subject)
    stage.revoke(stage.subject, granted)
    claim = stage.used(granted, stage.subject)
    assert claim.recorded.outcome is Outcome.REVOKED
    recorded = msgspec.structs.replace(claim.recorded, outcome=Outcome.ALLOWED)
    return replace(claim, recorded=recorded)


def an_authorization_that_was_revoked_since(stage: Stage) -> Claim:
    granted = stage.granted(stage.subject)
    claim = stage.used(granted, stage.subject)
    stage.revoke(stage.subject, granted)
    return claim


def another_place(stage: Stage) -> Claim:
    return recorded_as(stage, log_index=7)


def a_block_that_is_not_final(stage: Stage) -> Claim:
    return recorded_as(stage, block_number=stage.chain.block_number() + 1000)


def another_sequence(stage: Stage) -> Claim:
    return recorded_as(stage, sequence=stage.claim.recorded.sequence + 1)


def signed(stage: Stage, signature: bytes) -> Claim:
    submission = msgspec.structs.replace(stage.claim.submission, signature=signature)
    return replace(stage.claim, submission=submission)


def a_signature_of_another_key(stage: Stage) -> Claim:
    request = stage.claim.submission.request
    return signed(stage, stage.chain.sign(request, stage.chain.parties.insurer.private_key))


def a_signature_for_another_chain(stage: Stage) -> Claim:
    domain = stage.chain.deployment.domain_of(AccessRequest)
    elsewhere = msgspec.structs.replace(domain, chain_id=domain.chain_id + 1)
    digest_ = digest(stage.claim.submission.request, elsewhere)
    return signed(stage, signatures.sign(digest_, stage.desk.bank.private_key))


def an_answer_to_another_key(stage: Stage) -> Claim:
    key = DecryptionKey.generate().encryption_key.to_bytes()
    submission = msgspec.structs.replace(stage.claim.submission, key=key)
    return replace(stage.claim, submission=submission)


# The basis


def another_persons_authorization(stage: Stage) -> Claim:
    return replace(stage.claim, authorization=stage.granted(stage.other))


def a_statement_in_other_words(stage: Stage) -> Claim:
    granted = stage.claim.authorization
    statement = granted.statement.replace("2026-118", "2026-119")
    return replace(stage.claim, authorization=msgspec.structs.replace(granted, statement=statement))


def the_name_of_another_dataset(stage: Stage) -> Claim:
    return replace(stage.claim, dataset=stage.chain.register_dataset())


# The publication


def a_version_that_is_not_there(stage: Stage) -> Claim:
    return replace(stage.claim, publication=99)


def an_older_version(stage: Stage) -> Claim:
    return stage.served(stage.older, stage.owner)


def a_version_from_after_the_access(stage: Stage) -> Claim:
    later = stage.desk.publish([stage.desk.encrypt(stage.owner, 9)])
    return stage.served(later, stage.owner)


def another_root(stage: Stage) -> Claim:
    return replace(stage.claim, head=TreeHead(stage.claim.head.size, bytes(32)))


def a_proof_from_another_version(stage: Stage) -> Claim:
    return replace(stage.claim, proof=owner_proof(stage.older, stage.owner))


def a_commitment_of_another_dataset(stage: Stage) -> Claim:
    other = Desk(stage.chain)
    other.publish([other.encrypt(stage.owner, 0)])
    version = other.publish([other.encrypt(stage.owner, number) for number in range(3)])
    return replace(stage.served(version, stage.owner), head=stage.claim.head)


# The records


def a_changed_leaf(stage: Stage) -> Claim:
    return first_record(stage, leaves=(*stage.claim.records[0].leaves[:-1], bytes(32)))


def a_changed_value(stage: Stage) -> Claim:
    first = stage.claim.records[0]
    last = (first.ciphertexts[-1] or b"")[:-1] + b"\0"
    return first_record(stage, ciphertexts=(*first.ciphertexts[:-1], last))


def another_salt(stage: Stage) -> Claim:
    return first_record(stage, salt=bytes(32))


def another_number(stage: Stage) -> Claim:
    return first_record(stage, number=1)


def a_made_up_record(stage: Stage) -> Claim:
    return replace(stage.claim, records=(*stage.claim.records, stage.desk.encrypt(stage.owner, 7)))


def a_forged_record(stage: Stage) -> Claim:
    forged = stage.desk.encrypt(stage.owner, 0, "a lie")
    return replace(stage.claim, records=(forged, *stage.claim.records[1:]))


def another_persons_records(stage: Stage) -> Claim:
    return stage.served(stage.version, stage.stranger)


def another_persons_record_under_this_ones_name(stage: Stage) -> Claim:
    theirs = stage.version.of(stage.stranger)[0]
    renamed = msgspec.structs.replace(theirs, owner=stage.owner)
    return replace(stage.claim, records=(renamed, *stage.claim.records[1:]))


def a_record_left_out(stage: Stage) -> Claim:
    return replace(stage.claim, records=stage.claim.records[1:])


def a_record_left_out_that_was_erased_in_another_dataset(stage: Stage) -> Claim:
    provider = stage.chain.parties.other_provider
    elsewhere = stage.chain.register_dataset(provider)
    stage.chain.publish(elsewhere, stage.claim.head.root, 1, provider)
    item = stage.claim.records[0].entry().root
    erased = stage.chain.send(provider, contract_calls.erase(elsewhere, item, 1))
    claim = stage.used(stage.granted(stage.subject), stage.subject)
    added = frozenset(((erased.block_number, erased.transaction_hash),))
    return replace(claim, records=claim.records[1:], added=added)


def every_record_left_out(stage: Stage) -> Claim:
    return replace(stage.claim, records=())


def a_record_twice(stage: Stage) -> Claim:
    return replace(stage.claim, records=(*stage.claim.records, stage.claim.records[-1]))


def another_record_than_the_one_asked_for(stage: Stage) -> Claim:
    asked_for, other = stage.claim.records
    claim = stage.used(stage.granted(stage.subject), stage.subject, asked_for.entry().root)
    at = stage.version.at(other.entry().root)
    return replace(claim, records=(other,), proof=stage.version.tree.prove_range(at, at + 1))


def more_records_than_the_one_asked_for(stage: Stage) -> Claim:
    item = stage.claim.records[0].entry().root
    return stage.used(stage.granted(stage.subject), stage.subject, item)


def a_range_that_hides_a_record(stage: Stage) -> Claim:
    first = stage.claim.records[0]
    at = stage.version.at(first.entry().root)
    proof = stage.version.tree.prove_range(at, at + 1)
    return replace(stage.claim, records=(first,), proof=proof)


def a_run_that_is_cut_short(stage: Stage) -> Claim:
    whole = stage.claim.proof
    assert isinstance(whole, OwnerProof)
    at = stage.version.at(stage.claim.records[0].entry().root)
    cut = stage.version.tree.prove_range(whole.start, at + 1)
    entries = whole.entries[: at + 1 - whole.start]
    proof = OwnerProof(whole.start, whole.size, entries, cut.hashes)
    return replace(stage.claim, records=stage.claim.records[:1], proof=proof)


# The person


def a_link_to_another_owner(stage: Stage) -> Claim:
    return replace(stage.claim, link=stage.desk.link(stage.subject, stage.stranger))


def a_link_of_another_person(stage: Stage) -> Claim:
    return replace(stage.claim, link=stage.desk.link(stage.other, stage.owner))


def a_link_for_another_dataset(stage: Stage) -> Claim:
    return replace(stage.claim, link=Desk(stage.chain).link(stage.subject, stage.owner))


def a_link_that_the_bank_signed(stage: Stage) -> Claim:
    link = stage.desk.link(stage.subject, stage.owner, stage.desk.bank)
    return replace(stage.claim, link=link)


def a_link_that_was_over(stage: Stage) -> Claim:
    assert stage.claim.link is not None
    link, at = stage.claim.link.link, stage.claim.recorded.timestamp
    over = make_link(link.subject, link.dataset, link.owner, at=at - 7200, links_from=0)
    over = msgspec.structs.replace(over, expires_at=at - 3600)
    authority = stage.chain.parties.identity_authority
    signature = stage.chain.sign(over, authority.private_key)
    return replace(
        stage.claim, link=msgspec.structs.replace(stage.claim.link, link=over, signature=signature)
    )


def no_link(stage: Stage) -> Claim:
    return replace(stage.claim, link=None)


NOT_TOLD: Final = "it is not told this"
ALLOWED_THEN: Final = "the access was allowed, and what was released stays proven"
STAYS_OPEN: Final = "it lists the check of the person as not made"

TABLE: Final[
    list[tuple[Callable[[Stage], Claim], Reason | str, Check | str, EvidenceCheck | str]]
] = [
    (a_request_that_was_never_recorded, Reason.ACCESS_DIFFERS, Check.ACCESS, EvidenceCheck.ACCESS),
    (a_request_for_more_fields, Reason.ACCESS_DIFFERS, Check.ACCESS, EvidenceCheck.ACCESS),
    (a_request_of_another_consumer, Reason.ACCESS_DIFFERS, Check.REQUEST, EvidenceCheck.ACCESS),
    (a_request_on_another_basis, Reason.ACCESS_DIFFERS, Check.ACCESS, EvidenceCheck.ACCESS),
    (
        a_denied_access_told_as_allowed,
        Reason.ACCESS_DENIED,
        Check.ACCESS,
        EvidenceCheck.PUBLICATION,
    ),
    (an_authorization_that_was_revoked_since, Reason.RELEASE_STOPPED, ALLOWED_THEN, ALLOWED_THEN),
    (another_place, Reason.ACCESS_UNKNOWN, Check.ACCESS, NOT_TOLD),
    (a_block_that_is_not_final, Reason.ACCESS_NOT_FINAL, Check.ACCESS, NOT_TOLD),
    (another_sequence, NOT_TOLD, Check.ACCESS, EvidenceCheck.ACCESS),
    (a_signature_of_another_key, Reason.SIGNATURE_INVALID, Check.REQUEST, EvidenceCheck.REQUEST),
    (a_signature_for_another_chain, Reason.SIGNATURE_INVALID, Check.REQUEST, EvidenceCheck.REQUEST),
    (an_answer_to_another_key, Reason.KEY_MISMATCH, Check.KEYS, NOT_TOLD),
    (another_persons_authorization, Reason.STATEMENT_WRONG, Check.BASIS, EvidenceCheck.STATEMENT),
    (a_statement_in_other_words, Reason.STATEMENT_WRONG, Check.BASIS, EvidenceCheck.STATEMENT),
    (the_name_of_another_dataset, Reason.DATASET_MISMATCH, Check.BASIS, NOT_TOLD),
    (
        a_version_that_is_not_there,
        Reason.PUBLICATION_UNKNOWN,
        Check.PUBLICATION,
        EvidenceCheck.PUBLICATION,
    ),
    (an_older_version, Reason.PUBLICATION_SUPERSEDED, Check.FRESHNESS, EvidenceCheck.PUBLICATION),
    (
        a_version_from_after_the_access,
        Reason.PUBLICATION_LATER,
        Check.FRESHNESS,
        EvidenceCheck.PUBLICATION,
    ),
    (another_root, NOT_TOLD, Check.PUBLICATION, NOT_TOLD),
    (a_proof_from_another_version, Reason.PROOF_INVALID, Check.RECORDS, EvidenceCheck.RECORDS),
    (a_commitment_of_another_dataset, Reason.PROOF_INVALID, Check.VALUES, EvidenceCheck.RECORDS),
    (a_changed_leaf, Reason.RECORD_UNPROVEN, Check.VALUES, EvidenceCheck.RECORDS),
    (a_changed_value, NOT_TOLD, Check.VALUES, EvidenceCheck.VALUES),
    (another_salt, Reason.RECORD_UNPROVEN, Check.VALUES, EvidenceCheck.RECORDS),
    (another_number, Reason.RECORD_UNPROVEN, Check.VALUES, EvidenceCheck.RECORDS),
    (a_made_up_record, Reason.RECORD_UNPROVEN, Check.RECORDS, EvidenceCheck.RECORDS),
    (a_forged_record, Reason.RECORD_UNPROVEN, Check.RECORDS, EvidenceCheck.RECORDS),
    (another_persons_records, Reason.OWNER_MISMATCH, Check.COMPLETENESS, EvidenceCheck.RECORDS),
    (
        another_persons_record_under_this_ones_name,
        Reason.RECORD_UNPROVEN,
        Check.RECORDS,
        EvidenceCheck.RECORDS,
    ),
    (a_record_left_out, Reason.RECORDS_MISSING, Check.ERASURE, EvidenceCheck.RECORDS),
    (
        a_record_left_out_that_was_erased_in_another_dataset,
        Reason.RECORDS_MISSING,
        Check.ERASURE,
        EvidenceCheck.RECORDS,
    ),
    (every_record_left_out, Reason.RECORDS_MISSING, Check.ERASURE, EvidenceCheck.RECORDS),
    (a_record_twice, Reason.RECORD_UNPROVEN, Check.RECORDS, EvidenceCheck.RECORDS),
    (
        another_record_than_the_one_asked_for,
        Reason.ITEM_MISMATCH,
        Check.COMPLETENESS,
        EvidenceCheck.RECORDS,
    ),
    (
        more_records_than_the_one_asked_for,
        Reason.ITEM_MISMATCH,
        Check.COMPLETENESS,
        EvidenceCheck.RECORDS,
    ),
    (a_range_that_hides_a_record, Reason.PROOF_INVALID, Check.COMPLETENESS, EvidenceCheck.RECORDS),
    (a_run_that_is_cut_short, Reason.PROOF_INVALID, Check.COMPLETENESS, EvidenceCheck.RECORDS),
    (a_link_to_another_owner, Reason.OWNER_MISMATCH, Check.COMPLETENESS, EvidenceCheck.RECORDS),
    (a_link_of_another_person, Reason.LINK_MISMATCH, Check.SUBJECT, EvidenceCheck.LINK),
    (a_link_for_another_dataset, Reason.LINK_MISMATCH, Check.SUBJECT, EvidenceCheck.LINK),
    (a_link_that_the_bank_signed, Reason.LINK_INVALID, Check.SUBJECT, EvidenceCheck.LINK),
    (a_link_that_was_over, Reason.LINK_OVER, STAYS_OPEN, EvidenceCheck.LINK),
    (no_link, Reason.LINK_MISSING, STAYS_OPEN, STAYS_OPEN),
]


def test_the_honest_access_is_taken_by_all_three(stage: Stage, client: Client) -> None:
    assert len(stage.keyholder(stage.claim).records) == 2
    assert stage.sdk(stage.claim, client).unchecked == ()
    assert stage.evidence(stage.claim).unchecked == ()


@pytest.mark.parametrize(
    ("tamper", "reason", "check", "evidence_check"),
    TABLE,
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_tampering_is_refused_by_all_three(
    stage: Stage,
    client: Client,
    tamper: Callable[[Stage], Claim],
    reason: Reason | str,
    check: Check | str,
    evidence_check: EvidenceCheck | str,
) -> None:
    claim = tamper(stage)
    outcomes = (
        refusal(lambda: stage.keyholder(claim)),
        refusal(lambda: stage.sdk(claim, client)),
        refusal(lambda: stage.evidence(claim)),
    )
    expected = (reason, check, evidence_check)
    takes = (NOT_TOLD, ALLOWED_THEN, STAYS_OPEN)
    assert outcomes == tuple(None if each in takes else each for each in expected)


def test_a_link_of_the_identity_authoritys_successor_is_taken_by_all_three(
    stage: Stage, client: Client
) -> None:
    chain, parties = stage.chain, stage.chain.parties
    successor = Party("Second identity authority", Roles.IDENTITY_AUTHORITY)
    chain.admit(successor)
    claim = stage.used(stage.granted(stage.subject), stage.subject)
    by_successor = replace(claim, link=stage.desk.link(stage.subject, stage.owner, successor))
    stage.pinned.add(successor.address)
    looks = (stage.keyholder, lambda told: stage.sdk(told, client), stage.evidence)
    refused = [refusal(partial(look, by_successor)) for look in looks]
    assert refused == [Reason.LINK_INVALID, Check.SUBJECT, EvidenceCheck.LINK]
    change = (Change.SUCCESSOR, parties.identity_authority.address, successor.address)
    chain.send(parties.authority, contract_calls.announce_change(*change))
    chain.send(parties.authority, contract_calls.make_change(*change))
    claim = stage.used(stage.granted(stage.subject), stage.subject)
    by_successor = replace(claim, link=stage.desk.link(stage.subject, stage.owner, successor))
    assert [refusal(partial(look, by_successor)) for look in looks] == [None, None, None]


def refusal(look: Callable[[], Any]) -> Reason | Check | EvidenceCheck | None:
    """Why a party refuses; None when it takes the access."""
    try:
        look()
    except ReleaseRefusedError as error:
        return error.reason
    except (VerificationError, EvidenceCheckError) as error:
        return error.check
    return None
