"""Evidence verifies offline, whatever the access was based on and however it was decided."""

import secrets
from collections.abc import Callable, Iterator, Sequence

import msgspec
import pytest

from ledger.api import Submission
from ledger.chain import contract_calls
from ledger.chain.contract_calls import Approval
from ledger.chain.events import Accessed, OrderTerms
from ledger.chain.events.identifiers import order_id
from ledger.chain.finality import Finality
from ledger.crypto.signatures import personal_digest, sign
from ledger.evidence.builder import NEWEST_USES, Documents, make_evidence
from ledger.evidence.document import (
    Check,
    EvidenceBlock,
    EvidenceCheckError,
    EvidenceRelease,
    NoEvidenceError,
    decode_evidence,
    encode_evidence,
)
from ledger.evidence.verifier import Anchors, VerifiedEvidence, node_hashes, verify_evidence
from ledger.hexstr import keccak256
from ledger.model import Class, Outcome
from ledger.typed_data import AccessRequest, GuardianAppointment, digest, struct_hash
from scripts.scenario import YEAR, Chain, Party, Subject
from tests.support.answers import ASKED, owner_of, owner_proof
from tests.support.evidence import CASE, Case, Counter, case, release, trusting
from wallet.passkey import SoftwarePasskey


@pytest.fixture(scope="module")
def counter(chain: Chain) -> Counter:
    return Counter(chain)


@pytest.fixture(scope="module")
def allowed(counter: Counter) -> Case:
    return case(counter)


def submitted(chain: Chain, consumer: Party, request: AccessRequest) -> Submission:
    return Submission(request, chain.sign(request, consumer.private_key))


def proven(chain: Chain, submission: Submission, event: Accessed) -> VerifiedEvidence:
    documents = Documents(submission, event.transaction, event.sequence)
    made = make_evidence(chain.rpc, chain.deployment, documents)
    evidence = decode_evidence(encode_evidence(made.evidence))
    assert evidence == made.evidence
    anchors = Anchors(hashes=node_hashes(chain.rpc, evidence))
    found = verify_evidence(evidence, chain.deployment, anchors)
    assert found.access.sequence == event.sequence
    assert found.access_id == struct_hash(submission.request)
    assert {Check.RECEIPT, Check.REQUEST, Check.SEQUENCE, Check.DECISION} <= set(found.checked)
    return found


def recorded(chain: Chain, consumer: Party, basis: bytes, **asked: int | bytes) -> VerifiedEvidence:
    """Record one request, and prove what became of it."""
    request = chain.request(consumer, basis, **asked)  # type: ignore[arg-type]
    (event,) = chain.record([request])
    return proven(chain, submitted(chain, consumer, request), event)


def test_everything_about_an_allowed_access_is_proven_from_its_file(allowed: Case) -> None:
    made = allowed.make()
    evidence = decode_evidence(encode_evidence(made.evidence))
    assert evidence == made.evidence
    found = verify_evidence(evidence, allowed.deployment, trusting(allowed, evidence))
    assert set(found.checked) == set(Check)
    assert found.unchecked == ()
    assert found.access.outcome is Outcome.ALLOWED
    assert found.access_id == allowed.recorded.access
    assert found.recorder == allowed.desk.chain.parties.recorder.address
    assert (found.case_number, found.statement) == (CASE, allowed.authorization.statement)
    assert found.owner == owner_of(allowed.subject)
    assert [record.entry.number for record in found.records] == [0, 2]
    values = [[field.value for field in record.fields] for record in found.records]
    assert values == [
        ["value 0.0", "value 0.2", "value 0.11"],
        ["value 2.0", "value 2.2", "value 2.11"],
    ]


def test_evidence_of_one_visit_proves_just_that_visit(counter: Counter) -> None:
    visit = case(counter, item=True)
    found = visit.make().verified
    assert [record.entry.root for record in found.records] == [visit.authorization.item]
    assert found.unchecked == ()


def test_evidence_shows_no_value_by_itself(allowed: Case) -> None:
    made = allowed.make()
    assert "value 0.0" not in repr(made)
    assert b"value 0.0" in encode_evidence(made.evidence)


# How it was decided


def test_denials_of_an_authorization_are_decided_again(counter: Counter) -> None:
    chain, bank = counter.chain, counter.bank
    used = case(counter, max_uses=2, min_interval=1)
    basis = used.submission.request.basis
    soon = recorded(chain, bank, basis, fields=ASKED)
    while soon.access.outcome is Outcome.ALLOWED:  # a second had passed
        basis = case(counter, max_uses=9, min_interval=3600).submission.request.basis
        soon = recorded(chain, bank, basis, fields=ASKED)
    assert soon.access.outcome is Outcome.TOO_SOON
    cases: list[tuple[Outcome, dict[str, int | bytes]]] = [
        (Outcome.FIELDS_EXCEEDED, {"fields": ASKED | 2}),
        (Outcome.REQUEST_EXPIRED, {"fields": ASKED, "lifetime": -60}),
    ]
    for outcome, asked in cases:
        found = recorded(chain, bank, basis, **asked)
        assert found.access.outcome is outcome
        assert found.facts.outcome is outcome
        assert {one.check for one in found.unchecked} == {Check.STATEMENT, Check.LINK}
    other = recorded(chain, chain.parties.insurer, basis, fields=ASKED)
    assert other.access.outcome is Outcome.CONSUMER_MISMATCH


def test_a_used_up_authorization_is_proven_with_its_uses(counter: Counter) -> None:
    used = case(counter, max_uses=2)
    chain, basis = counter.chain, used.submission.request.basis
    assert recorded(chain, counter.bank, basis, fields=ASKED).access.outcome is Outcome.ALLOWED
    found = recorded(chain, counter.bank, basis, fields=ASKED)
    assert found.access.outcome is Outcome.USES_EXHAUSTED
    assert found.facts.state.authorizations[basis].uses_left == 0


@pytest.fixture(scope="module")
def used_up(counter: Counter) -> tuple[Submission, Accessed]:
    """A denial after more uses than a file has otherwise, each in a call of its own."""
    chain, bank, count = counter.chain, counter.bank, NEWEST_USES + 2
    basis = case(counter, max_uses=count).submission.request.basis
    requests = [chain.request(bank, basis, fields=ASKED) for _ in range(count)]
    calls = [
        contract_calls.record(
            [contract_calls.RequestGroup(bank.address, (contract_calls.encode_request(request),))]
        )
        for request in requests
    ]
    (event,) = chain.accesses(chain.send_all(chain.parties.recorder, calls)[-1])
    return submitted(chain, bank, requests[-1]), event


def test_an_authorization_that_was_used_up_long_ago_is_proven_with_all_its_uses(
    counter: Counter, used_up: tuple[Submission, Accessed]
) -> None:
    chain, (submission, event) = counter.chain, used_up
    found = proven(chain, submission, event)
    assert found.access.outcome is found.facts.outcome is Outcome.USES_EXHAUSTED
    assert found.facts.state.authorizations[event.basis].uses_left == 0
    # Control: with one use fewer the same rules would have allowed it.
    documents = Documents(submission, event.transaction, event.sequence)
    evidence = make_evidence(chain.rpc, chain.deployment, documents).evidence
    fewer = msgspec.structs.replace(evidence, blocks=tuple(without_a_use(evidence.blocks)))
    anchors = Anchors(hashes=node_hashes(chain.rpc, evidence))
    with pytest.raises(EvidenceCheckError, match="recorded as UsesExhausted, decided Allowed"):
        verify_evidence(fewer, chain.deployment, anchors)


def without_a_use(blocks: Sequence[EvidenceBlock]) -> Iterator[EvidenceBlock]:
    """Take out one receipt of the block with the most of them: only uses come many to a block."""
    fullest = max(blocks, key=lambda block: len(block.receipts))
    assert len(fullest.receipts) > 1
    for block in blocks:
        if block is fullest:
            yield msgspec.structs.replace(block, receipts=block.receipts[1:])
        else:
            yield block


def test_what_takes_more_to_prove_than_a_file_may_have_is_said(
    counter: Counter, used_up: tuple[Submission, Accessed], monkeypatch: pytest.MonkeyPatch
) -> None:
    chain, (submission, event) = counter.chain, used_up
    documents = Documents(submission, event.transaction, event.sequence)
    size = len(encode_evidence(make_evidence(chain.rpc, chain.deployment, documents).evidence))
    for most in (size // 2, size - 1):
        monkeypatch.setattr("ledger.evidence.builder.MAX_BYTES", most)
        with pytest.raises(NoEvidenceError, match="an exported trail proves it"):
            make_evidence(chain.rpc, chain.deployment, documents)
    monkeypatch.setattr("ledger.evidence.builder.MAX_BYTES", size)
    make_evidence(chain.rpc, chain.deployment, documents)


def test_another_visit_is_proven_to_be_denied(counter: Counter) -> None:
    visit = case(counter, item=True)
    basis = visit.submission.request.basis
    found = recorded(counter.chain, counter.bank, basis, fields=ASKED, item=secrets.token_bytes(32))
    assert found.access.outcome is Outcome.ITEM_EXCEEDED


@pytest.mark.parametrize("stopped", ["revoked", "frozen"])
def test_what_the_person_stopped_is_proven_to_be_denied(counter: Counter, stopped: str) -> None:
    used, chain = case(counter), counter.chain
    basis = used.submission.request.basis
    call = chain.freeze_call(used.subject)
    if stopped == "revoked":
        call = chain.revoke_call(used.subject, basis)
    chain.send(chain.parties.recorder, call)
    found = recorded(chain, counter.bank, basis, fields=ASKED)
    assert found.access.outcome.title == stopped.title()


def test_a_restriction_and_its_end_are_proven(counter: Counter) -> None:
    chain, regulator = counter.chain, counter.chain.parties.regulator
    used = case(counter, max_uses=3)
    basis = used.submission.request.basis
    until = chain.now() + 3600
    chain.send(regulator, contract_calls.restrict(counter.bank.address, until, "Too many."))
    try:
        denied = recorded(chain, counter.bank, basis, fields=ASKED)
    finally:
        chain.send(regulator, contract_calls.lift(counter.bank.address, "Settled."))
    assert denied.access.outcome is Outcome.CONSUMER_RESTRICTED
    found = recorded(chain, counter.bank, basis, fields=ASKED)
    assert found.access.outcome is Outcome.ALLOWED


def test_a_request_that_was_recorded_twice_is_two_accesses(counter: Counter) -> None:
    used, chain = case(counter), counter.chain
    (event,) = chain.record([used.submission.request])
    assert event.outcome is Outcome.DUPLICATE_REQUEST
    found = proven(chain, used.submission, event)
    assert found.access.outcome is Outcome.DUPLICATE_REQUEST
    assert used.make().verified.access.outcome is Outcome.ALLOWED


def test_an_unknown_basis_is_proven_to_be_denied(chain: Chain) -> None:
    found = recorded(chain, chain.parties.bank, secrets.token_bytes(32))
    assert found.access.outcome is Outcome.UNKNOWN_BASIS
    assert found.facts.dataset is None


# What it was based on


def test_an_access_under_an_agreement_is_proven(chain: Chain) -> None:
    dataset = chain.register_dataset(personal=False)
    agreement = chain.agree(chain.parties.bank, dataset, chain.register_purpose())
    found = recorded(chain, chain.parties.bank, agreement)
    assert found.access.outcome is Outcome.ALLOWED
    assert found.facts.dataset == dataset


def test_an_access_to_an_open_dataset_is_proven(chain: Chain) -> None:
    dataset = chain.register_dataset(personal=False, sharing=Class.UNCONDITIONAL)
    found = recorded(chain, chain.parties.bank, dataset)
    assert (found.access.outcome, found.facts.dataset) == (Outcome.ALLOWED, dataset)


def test_an_access_under_an_emergency_order_is_proven(chain: Chain) -> None:
    dataset, now = chain.register_dataset(personal=False), chain.now()
    purpose = chain.register_purpose()
    chain.send(chain.parties.authority, contract_calls.bind_fields(purpose, dataset, 1))
    terms = OrderTerms(
        *(dataset, purpose, Class.UNCONDITIONAL, 1),
        *(now - 60, now + 3600, "Flood.", secrets.token_bytes(32)),
    )
    chain.send(chain.parties.authority, contract_calls.issue_order(terms))
    chain.send(chain.parties.regulator, contract_calls.countersign_order(order_id(terms)))
    found = recorded(chain, chain.parties.bank, order_id(terms))
    assert (found.access.outcome, found.facts.dataset) == (Outcome.ALLOWED, dataset)
    chain.send(chain.parties.authority, contract_calls.end_order(order_id(terms), "Dry."))
    found = recorded(chain, chain.parties.bank, order_id(terms))
    assert found.access.outcome is Outcome.DATASET_INACTIVE


# Who consented


def test_a_passkeys_approval_is_checked(counter: Counter) -> None:
    chain = counter.chain
    passkey = SoftwarePasskey.generate("wallet.example")
    signer, subject = passkey.signer(chain.deployment.webauthn_verifier), secrets.token_bytes(32)
    call = contract_calls.register_subjects([subject], [signer])
    chain.send(chain.parties.identity_authority, call)
    record = counter.authorization(Subject(subject, bytes(32)))
    signed = passkey.sign(digest(record, chain.deployment.domain_of(record)))
    chain.send(chain.parties.recorder, contract_calls.grant(record, Approval(signer, signed)))
    found = recorded(chain, counter.bank, struct_hash(record), fields=ASKED)
    assert Check.APPROVAL in found.checked


def test_a_guardians_approval_is_checked(counter: Counter, chain: Chain) -> None:
    ward, guardian = chain.register_subjects(2)
    appointment = GuardianAppointment(
        ward.id, guardian.signer, chain.now() + YEAR, secrets.token_bytes(32), chain.now() + 600
    )
    call = contract_calls.appoint_guardian(appointment, chain.approval(appointment, ward))
    chain.send(chain.parties.recorder, call)
    record = counter.authorization(ward)
    call = contract_calls.grant(record, chain.approval(record, guardian))
    chain.send(chain.parties.recorder, call)
    found = recorded(chain, counter.bank, struct_hash(record), fields=ASKED)
    assert Check.APPROVAL in found.checked
    assert found.facts.granted is not None
    assert found.facts.granted.signer_hash == keccak256(guardian.signer)


# Where it stands


def test_an_access_amid_a_full_call_is_proven(counter: Counter) -> None:
    chain, bank = counter.chain, counter.bank
    used = case(counter, max_uses=500)
    basis = used.submission.request.basis
    requests = [chain.request(bank, basis, fields=ASKED) for _ in range(150)]
    events = chain.record(requests)
    for place in (0, 75, 149):
        found = proven(chain, submitted(chain, bank, requests[place]), events[place])
        assert found.end.sequence == events[-1].sequence
    # Of 151 earlier uses the newest 64 are in the file: the outcome does not hang on the others.
    assert found.access.outcome is Outcome.ALLOWED


def test_blocks_on_top_lead_to_an_anchor(allowed: Case) -> None:
    chain = allowed.desk.chain
    for _ in range(3):
        chain.wait_for_block()
    made = make_evidence(chain.rpc, allowed.deployment, allowed.documents, Finality.depth(3))
    plain = allowed.make()
    assert len(made.evidence.blocks) >= len(plain.evidence.blocks) + 1
    ours = trusting(allowed, plain.evidence).hashes - {plain.verified.access.block.hash}
    top = trusting(allowed, made.evidence).hashes
    assert verify_evidence(made.evidence, allowed.deployment, Anchors(hashes=top)).unchecked == ()
    with pytest.raises(EvidenceCheckError, match="check 3, anchor"):
        verify_evidence(plain.evidence, allowed.deployment, Anchors(hashes=ours))


def test_an_access_that_is_not_final_has_no_evidence_yet(allowed: Case) -> None:
    chain = allowed.desk.chain
    with pytest.raises(NoEvidenceError, match="final"):
        make_evidence(chain.rpc, allowed.deployment, allowed.documents, Finality.depth(10**6))


def test_an_access_that_is_not_there_has_no_evidence(allowed: Case) -> None:
    for changes in ({"transaction": bytes(32)}, {"sequence": 10**6}):
        with pytest.raises(NoEvidenceError):
            allowed.make(**changes)


def test_a_signature_of_somebody_else_makes_no_evidence(allowed: Case) -> None:
    signature = sign(personal_digest(b"something else"), allowed.desk.bank.private_key)
    wrong = msgspec.structs.replace(allowed.submission, signature=signature)
    with pytest.raises(EvidenceCheckError, match="check 6, request"):
        allowed.make(submission=wrong)


# What was released


def test_a_record_that_was_erased_may_be_missing(counter: Counter) -> None:
    chain, used = counter.chain, case(counter, max_uses=3)
    owner, version = owner_of(used.subject), counter.versions[-1]
    gone, kept = version.of(owner)
    call = contract_calls.erase(counter.dataset, gone.entry().root, version.number)
    chain.send(chain.parties.provider, call)
    whole = release(counter, version, owner)
    rest = msgspec.structs.replace(whole, records=whole.records[1:])
    with pytest.raises(EvidenceCheckError, match="check 13, records"):
        used.make(release=rest)  # the access was before the erasure
    submission = counter.submission(used.submission.request.basis)
    after = counter.record(submission)
    changes = {"submission": submission, "transaction": after.transaction, "release": rest}
    found = used.make(sequence=after.sequence, **changes).verified
    assert [record.entry for record in found.records] == [kept.entry()]


def test_that_a_person_has_no_record_is_proven(counter: Counter) -> None:
    chain, subject = counter.chain, counter.chain.register_subject()
    owner, version = owner_of(subject), counter.publish([counter.encrypt(bytes(32), 1)])
    record = counter.authorization(subject)
    chain.grant(subject, record)
    submission = counter.submission(struct_hash(record))
    access = counter.record(submission)
    documents = Documents(
        submission=submission,
        transaction=access.transaction,
        sequence=access.sequence,
        link=counter.link(subject, owner),
        release=EvidenceRelease(version.number, (), owner_proof(version, owner)),
    )
    found = make_evidence(chain.rpc, chain.deployment, documents).verified
    assert found.records == ()
    assert Check.RECORDS in found.checked


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("2026-118", "2026-119", 1),
        lambda text: text.replace("2026-118", "2026-119"),
        lambda text: text.replace("Quancheng Bank", "Another Bank"),
        lambda _: "I let somebody read something.",
    ],
)
def test_a_statement_that_says_something_else_was_not_signed(
    allowed: Case, change: Callable[[str], str]
) -> None:
    with pytest.raises(EvidenceCheckError, match="check 10, statement"):
        allowed.make(statement=change(allowed.authorization.statement))


def test_a_statement_that_was_signed_and_says_something_else_is_found(counter: Counter) -> None:
    chain, subject = counter.chain, counter.chain.register_subject()
    for change in (("2026-118", "2026-119"), ("Quancheng Bank", "Another Bank")):
        record = counter.authorization(subject)
        text = record.statement[::-1].replace(change[0][::-1], change[1][::-1], 1)[::-1]
        record = msgspec.structs.replace(record, statement=text)
        chain.grant(subject, record)
        submission = counter.submission(struct_hash(record))
        access = counter.record(submission)
        documents = Documents(submission, access.transaction, access.sequence, text)
        with pytest.raises(EvidenceCheckError, match="check 10, statement"):
            make_evidence(chain.rpc, chain.deployment, documents)
