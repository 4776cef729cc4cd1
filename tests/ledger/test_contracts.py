"""Every call of the contracts, against the ABI of the artifacts and against a general encoder."""

import secrets
from collections.abc import Callable
from typing import Any

import eth_abi.abi
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.artifacts import CONTRACTS, load_artifact
from ledger.chain import contract_calls, contract_reads
from ledger.chain.contract_calls import Approval, ContractCall, RequestGroup
from ledger.chain.events import DatasetTerms, OrderTerms, PurposeTerms, Text
from ledger.chain.events.identifiers import order_id
from ledger.errors import LedgerError, MalformedError
from ledger.hexstr import keccak256
from ledger.model import Change, Class, EventState, Outcome, Roles, VoidGround
from ledger.typed_data import (
    AccessRequest,
    Authorization,
    ConfidentialityAgreement,
    Confirmation,
    Freeze,
    GuardianAppointment,
    RecoveryVeto,
    Revocation,
    SignerRotation,
    SubjectOpening,
    struct_hash,
)
from scripts.scenario import ALL_FIELDS, FIELDS, Chain, Party
from tests.support import more_views

WORD = bytes(range(32))
OTHER = bytes(range(32, 64))
ADDRESS = bytes(range(20))
APPROVAL = Approval(ADDRESS, bytes(65))
DATASET = DatasetTerms("code", "标题", ("a", "b"), Class.CONDITIONAL, Class.NOT_SHARED, 2, True, 9)
ORDER = OrderTerms(WORD, OTHER, Class.UNCONDITIONAL, 3, 10, 20, "flood", WORD)
PURPOSE = PurposeTerms("loan", (Text("zh", "同意"), Text("en", "yes")), 1, 2, 3, 4)
AUTHORIZATION = Authorization(
    WORD, ADDRESS, WORD, OTHER, OTHER, 7, WORD, "I agree.", 1, 2, 3, 4, OTHER, 5
)

CALLS: list[ContractCall] = [
    contract_calls.admit(ADDRESS, Roles.CONSUMER | Roles.PROVIDER, "名"),
    contract_calls.withdraw(ADDRESS),
    contract_calls.set_encryption_key(b"\1" + WORD),
    contract_calls.restrict(ADDRESS, 5, "why"),
    contract_calls.appeal("not me"),
    contract_calls.lift(ADDRESS, "why"),
    contract_calls.announce("Registry", ADDRESS),
    contract_calls.activate(ADDRESS),
    contract_calls.veto_admission(ADDRESS, "why"),
    contract_calls.retract_admission(ADDRESS),
    contract_calls.announce_change(Change.AUTHORITY, ADDRESS),
    contract_calls.make_change(Change.VERIFIER, ADDRESS),
    contract_calls.veto_change(Change.SUCCESSOR, ADDRESS, ADDRESS[::-1], "why"),
    contract_calls.retract_change(Change.SUCCESSOR, ADDRESS, ADDRESS[::-1]),
    contract_calls.name_recorder(ADDRESS),
    contract_calls.dismiss_recorder(ADDRESS),
    contract_calls.register_dataset(DATASET),
    contract_calls.reclassify(WORD, Class.CONDITIONAL, Class.NOT_SHARED, 3, "why"),
    contract_calls.withdraw_dataset(WORD, "why"),
    contract_calls.publish(WORD, OTHER, 5, 1, WORD),
    contract_calls.erase(WORD, OTHER, 1),
    contract_calls.issue_order(ORDER),
    contract_calls.countersign_order(WORD),
    contract_calls.end_order(WORD, "why"),
    contract_calls.review_order(WORD, "fine"),
    contract_calls.register_purpose(PURPOSE),
    contract_calls.bind_fields(WORD, OTHER, 5),
    contract_calls.retire_purpose(WORD),
    contract_calls.apply_for(WORD, OTHER, 5, "why", WORD),
    contract_calls.approve(WORD, 5, 6),
    contract_calls.decline(WORD, "why"),
    contract_calls.sign_confidentiality(
        ConfidentialityAgreement(ADDRESS, WORD, "text", OTHER, 9), bytes(65)
    ),
    contract_calls.withdraw_agreement(WORD, "why"),
    contract_calls.appoint_supervisor(ADDRESS),
    contract_calls.dismiss_supervisor(ADDRESS),
    contract_calls.suspend_agreement(WORD, "why"),
    contract_calls.review_suspension(WORD, 5, "fine"),
    contract_calls.register_subjects([WORD, OTHER], [ADDRESS, ADDRESS + WORD * 2]),
    contract_calls.grant(AUTHORIZATION, APPROVAL),
    contract_calls.revoke(Revocation(WORD, OTHER, 5), APPROVAL),
    contract_calls.confirm(Confirmation(WORD, OTHER, 5), APPROVAL),
    contract_calls.set_frozen(Freeze(WORD, True, OTHER, 5), APPROVAL),
    contract_calls.rotate_signer(SignerRotation(WORD, ADDRESS, OTHER, 5), APPROVAL),
    contract_calls.appoint_guardian(GuardianAppointment(WORD, ADDRESS, 6, OTHER, 5), APPROVAL),
    contract_calls.start_recovery(WORD, ADDRESS),
    contract_calls.veto_recovery(RecoveryVeto(WORD, ADDRESS, OTHER, 5), APPROVAL),
    contract_calls.complete_recovery(WORD),
    contract_calls.close_subject(WORD),
    contract_calls.open_subject(SubjectOpening(WORD, OTHER, 5), APPROVAL),
    contract_calls.end_links(WORD),
    contract_calls.void_access(7, AUTHORIZATION, 6, 5, VoidGround.NEVER_HANDED_OUT, "why"),
    contract_calls.record([RequestGroup(ADDRESS, (bytes(160),))]),
]

NOT_SENT = {"use"}
"""What only another contract may call."""


def function_of(call: ContractCall) -> Any:
    functions = load_artifact(call.contract).items("function")
    [found] = [item for item in functions if item.hash[:4] == call.data[:4]]
    return found


@pytest.mark.parametrize("call", CALLS, ids=lambda call: function_of(call).name)
def test_call_data_reads_back_and_encodes_to_the_same(call: ContractCall) -> None:
    types = [parameter.canonical for parameter in function_of(call).inputs]
    values = eth_abi.abi.decode(types, call.data[4:])
    assert eth_abi.abi.encode(types, values) == call.data[4:]


def test_every_function_that_changes_something_has_its_call() -> None:
    made = {function_of(call).name for call in CALLS}
    offered = {
        item.name
        for contract in CONTRACTS[:5]
        for item in load_artifact(contract).items("function")
        if item.state_mutability == "nonpayable"
    }
    assert offered - made == NOT_SENT
    assert made <= offered


def test_selectors_are_those_of_the_compiler() -> None:
    for contract in CONTRACTS:
        artifact = load_artifact(contract)
        found = {item.signature: item.hash[:4].hex() for item in artifact.items("function")}
        assert found == artifact.method_identifiers


def test_missing_artifact_is_named() -> None:
    with pytest.raises(LedgerError, match="Nothing"):
        load_artifact("Nothing")


@pytest.mark.parametrize(
    "make",
    [
        lambda: contract_calls.publish(WORD[:31], WORD + b"x", 1),
        lambda: contract_calls.publish(WORD, WORD, -1),
        lambda: contract_calls.publish(WORD, WORD, 1 << 64),
        lambda: contract_calls.withdraw(WORD),
        lambda: contract_calls.appeal("\ud800"),
    ],
)
def test_argument_that_does_not_fit_is_refused(make: Callable[[], ContractCall]) -> None:
    with pytest.raises(MalformedError):
        make()


# record


uint256 = st.integers(0, 2**256 - 1)
word = st.binary(min_size=32, max_size=32)
requests = st.lists(
    st.lists(
        st.builds(
            AccessRequest,
            consumer=st.just(ADDRESS),
            basis=word,
            item=word,
            fields=uint256,
            nonce=uint256,
            deadline=st.integers(0, 2**64 - 1),
        ),
        max_size=4,
    ),
    max_size=4,
)


@given(requests)
def test_record_is_laid_out_as_a_general_encoder_does(batches: list[list[AccessRequest]]) -> None:
    groups = [
        RequestGroup(bytes([n]) * 20, tuple(map(contract_calls.encode_request, batch)))
        for n, batch in enumerate(batches)
    ]
    general = contract_calls.encode_call(
        "AccessLog",
        "record",
        tuple(
            (
                bytes([n]) * 20,
                tuple((r.basis, r.fields, r.nonce, r.deadline, r.item) for r in batch),
            )
            for n, batch in enumerate(batches)
        ),
    )
    data = contract_calls.record(groups).data
    assert data == general
    assert contract_calls.decode_record(data) == tuple(groups)


@given(requests.filter(any))
def test_request_reads_back(batches: list[list[AccessRequest]]) -> None:
    for request in batches[0]:
        encoded = contract_calls.encode_request(request)
        assert contract_calls.decode_request(request.consumer, encoded) == request


@given(st.binary(max_size=300), st.integers(0, 500), st.integers(0, 255))
def test_other_call_data_is_not_taken_for_record(junk: bytes, place: int, value: int) -> None:
    data = bytearray(contract_calls.record([RequestGroup(ADDRESS, (bytes(160),))]).data)
    with pytest.raises(MalformedError):
        contract_calls.decode_record(junk)
    changed = bytes(data[:place]) + bytes([value]) + bytes(data[place + 1 :])
    try:
        groups = contract_calls.decode_record(changed)
    except MalformedError:
        return
    assert contract_calls.record(groups).data == changed


# Views, each against what was done


def test_views_of_parties(chain: Chain) -> None:
    parties, key = chain.parties, b"\1" + secrets.token_bytes(32)
    chain.send(parties.insurer, contract_calls.set_encryption_key(key))
    until = chain.now() + 500
    chain.send(parties.regulator, contract_calls.restrict(parties.insurer.address, until, "test"))
    standing = chain.rpc.send(contract_reads.standing_of(chain.contracts, parties.insurer.address))
    recorder = parties.recorder.address
    assert standing == contract_reads.Standing(Roles.CONSUMER, True, until, recorder)
    chain.send(parties.regulator, contract_calls.lift(parties.insurer.address, "over"))
    assert (
        chain.rpc.send(contract_reads.encryption_key_of(chain.contracts, parties.insurer.address))
        == key
    )
    assert chain.rpc.send(contract_reads.authority(chain.contracts)) == parties.authority.address
    stranger = chain.rpc.send(contract_reads.standing_of(chain.contracts, bytes(20)))
    assert stranger == contract_reads.Standing(Roles(0), False, 0, bytes(20))
    assert chain.rpc.send(
        contract_reads.may_record(chain.contracts, parties.bank.address, recorder)
    )
    other = parties.provider.address
    assert not chain.rpc.send(
        contract_reads.may_record(chain.contracts, parties.bank.address, other)
    )
    assert chain.rpc.send(more_views.party_named(chain.contracts, parties.bank.name)) == (
        parties.bank.address
    )
    assert chain.rpc.send(more_views.party_named(chain.contracts, "nobody")) == bytes(20)
    assert chain.rpc.send(contract_reads.is_trial(chain.contracts)) is True
    assert chain.rpc.send(contract_reads.admission_delay(chain.contracts)) == 0


def test_views_of_what_is_announced(own_chain: Chain) -> None:
    chain, parties = own_chain, own_chain.parties
    at, identity = chain.contracts, parties.identity_authority.address
    other = Party("Second identity authority", Roles.IDENTITY_AUTHORITY)
    chain.admit(other)
    successor = (Change.SUCCESSOR, identity, other.address)
    assert chain.rpc.send(contract_reads.change_due_at(at, *successor)) == 0
    chain.send(parties.authority, contract_calls.announce_change(*successor))
    assert 0 < chain.rpc.send(contract_reads.change_due_at(at, *successor)) <= chain.now()
    chain.send(parties.provider, contract_calls.make_change(*successor))
    assert chain.rpc.send(contract_reads.successor_of(at, identity)) == other.address
    assert chain.rpc.send(contract_reads.successor_of(at, other.address)) == bytes(20)
    verifier = chain.deployment.webauthn_verifier
    assert chain.rpc.send(more_views.is_verifier(at, verifier)) is True
    assert chain.rpc.send(more_views.is_verifier(at, at.registry)) is False
    watch = Party("Second regulator", Roles.REGULATOR)
    chain.admit(watch)
    chain.send(parties.authority, contract_calls.withdraw(watch.address))
    assert 0 < chain.rpc.send(more_views.veto_until(at, watch.address)) <= chain.now()
    assert chain.rpc.send(more_views.veto_until(at, parties.regulator.address)) == 0
    none = contract_reads.Admission(Roles(0), 0, "")
    assert chain.rpc.send(contract_reads.admission_of(at, watch.address)) == none


def test_events_are_counted(own_chain: Chain) -> None:
    chain, at = own_chain, own_chain.contracts
    before = chain.rpc.send(contract_reads.event_state(at.registry))
    chain.send(chain.parties.bank, contract_calls.set_encryption_key(b"\1" + WORD))
    after = chain.rpc.send(contract_reads.event_state(at.registry))
    assert (after.count, len(after.head)) == (before.count + 1, 24)
    assert after.head != before.head
    for contract in (at.catalogue, at.agreements, at.authorizations):
        assert chain.rpc.send(contract_reads.event_state(contract)) == EventState(0, bytes(24))


def test_views_of_datasets_and_orders(chain: Chain) -> None:
    dataset, purpose = chain.register_dataset(), chain.register_purpose()
    chain.publish(dataset, WORD, 7)
    state = chain.rpc.send(contract_reads.dataset_of(chain.contracts, dataset))
    assert state == contract_reads.DatasetState(
        provider=chain.parties.provider.address,
        active=True,
        shared=True,
        personal=True,
        field_count=len(FIELDS),
        sharing=Class.CONDITIONAL,
        open=Class.NOT_SHARED,
        grade=2,
        publications=1,
    )
    publication = chain.rpc.send(contract_reads.publication_of(chain.contracts, dataset, 1))
    assert (publication.root, publication.count, publication.base) == (WORD, 7, 0)
    now = chain.now()
    terms = OrderTerms(dataset, purpose, Class.CONDITIONAL, 3, now - 10, now + 500, "flood", OTHER)
    chain.send(chain.parties.authority, contract_calls.issue_order(terms))
    none = more_views.LastOrders(bytes(32), bytes(32), 0)
    assert chain.rpc.send(more_views.last_orders_of(chain.contracts, dataset)) == none
    order = order_id(terms)
    issued = contract_reads.OrderState(
        dataset, purpose, 3, Class.CONDITIONAL, now - 10, now + 500, False, False, False
    )
    assert chain.rpc.send(contract_reads.order_of(chain.contracts, order)) == issued
    chain.send(chain.parties.regulator, contract_calls.countersign_order(order))
    in_force = msgspec.structs.replace(issued, countersigned=True, in_force=True)
    assert chain.rpc.send(contract_reads.order_of(chain.contracts, order)) == in_force
    opened = more_views.LastOrders(order, bytes(32), 0)
    assert chain.rpc.send(more_views.last_orders_of(chain.contracts, dataset)) == opened
    assert chain.rpc.send(more_views.closed_by_order(chain.contracts, dataset)) is False
    closing = msgspec.structs.replace(terms, sharing=Class.NOT_SHARED)
    chain.send(chain.parties.authority, contract_calls.issue_order(closing))
    assert chain.rpc.send(more_views.closed_by_order(chain.contracts, dataset)) is True
    both = more_views.LastOrders(order, order_id(closing), 1)
    assert chain.rpc.send(more_views.last_orders_of(chain.contracts, dataset)) == both


def test_views_of_agreements(chain: Chain) -> None:
    terms = chain.personal_terms()
    agreement = chain.rpc.send(contract_reads.agreement_of(chain.contracts, terms.agreement))
    assert (agreement.id, agreement.active) == (terms.agreement, True)
    assert (agreement.consumer, agreement.fields) == (terms.consumer.address, ALL_FIELDS)
    again = chain.rpc.send(more_views.agreement_by_number(chain.contracts, agreement.number))
    assert again == agreement
    application = chain.rpc.send(
        contract_reads.application_of(chain.contracts, agreement.application)
    )
    assert application == contract_reads.Application(
        terms.consumer.address, terms.dataset, terms.purpose, ALL_FIELDS, True, True
    )
    regulator = chain.parties.regulator
    machine = Party("Supervision", Roles(0))
    chain.send(regulator, contract_calls.appoint_supervisor(machine.address))
    appointed = more_views.supervisor_of(chain.contracts, machine.address)
    assert chain.rpc.send(appointed) == regulator.address
    chain.send(machine, contract_calls.suspend_agreement(terms.agreement, "odd"))
    suspended = chain.rpc.send(contract_reads.agreement_of(chain.contracts, terms.agreement))
    assert (suspended.active, suspended.suspension_unseen) == (False, True)
    assert suspended.suspended_until > chain.now()
    chain.send(regulator, contract_calls.review_suspension(terms.agreement, 0, "nothing"))
    seen = chain.rpc.send(contract_reads.agreement_of(chain.contracts, terms.agreement))
    assert (seen.active, seen.suspension_unseen, seen.round) == (True, False, 0)
    bounds = chain.rpc.send(contract_reads.bounds_of(chain.contracts, terms.purpose))
    assert (bounds.active, bounds.max_uses) == (True, 1_000_000)
    bound = chain.rpc.send(more_views.fields_bound(chain.contracts, terms.purpose, terms.dataset))
    assert bound == ALL_FIELDS


def test_views_of_subjects_and_authorizations(chain: Chain) -> None:
    terms, subject = chain.personal_terms(), chain.register_subject()
    wanted = msgspec.structs.replace(
        chain.authorization(subject, terms, max_uses=3, min_interval=0), item=OTHER
    )
    authorization = chain.grant(subject, wanted)
    assert authorization == struct_hash(wanted)
    request = chain.request(terms.consumer, authorization, item=OTHER)
    assert chain.record([request])[0].outcome == Outcome.ALLOWED
    chain.send(chain.parties.bank, chain.freeze_call(subject))

    state = chain.rpc.send(contract_reads.subject_of(chain.contracts, subject.id))
    assert (state.frozen, state.epoch, state.signer) == (True, 0, subject.signer)
    assert state.registrar == chain.parties.identity_authority.address
    assert (state.closed, state.links_from) == (False, 0)
    assert state.frozen_by == keccak256(subject.signer)
    assert state.liftable_at > chain.now()
    grant = chain.rpc.send(contract_reads.grant_of(chain.contracts, authorization))
    assert (grant.subject, grant.uses_left) == (state.number, 2)
    assert (grant.revoked, grant.item_bound, grant.halted) == (False, True, True)
    assert (grant.not_before, grant.expires_at) == (wanted.not_before, wanted.expires_at)
    shared = chain.rpc.send(more_views.terms_of(chain.contracts, grant.terms))
    assert (shared.fields, shared.round) == (wanted.fields, 0)
    assert chain.rpc.send(more_views.item_of(chain.contracts, authorization)) == OTHER
    nobody = more_views.rights_of(chain.contracts, subject.id, ADDRESS)
    assert chain.rpc.send(nobody) == more_views.Rights(0, 0)
    owner = more_views.rights_of(chain.contracts, subject.id, subject.signer)
    assert chain.rpc.send(owner) == more_views.Rights(2**64 - 1, 2**64 - 1)
    sequence = chain.rpc.send(contract_reads.log_state(chain.contracts)).sequence
    assert chain.rpc.send(more_views.is_voided(chain.contracts, authorization, sequence)) is False
    void = contract_calls.void_access(
        sequence, wanted, grant.last_use, 0, VoidGround.UNSIGNED, "nobody signed it"
    )
    chain.send(chain.parties.regulator, void)
    assert chain.rpc.send(more_views.is_voided(chain.contracts, authorization, sequence)) is True
    assert chain.rpc.send(contract_reads.grant_of(chain.contracts, authorization)).uses_left == 3
    used = more_views.nonce_used(chain.contracts, request.consumer, request.nonce)
    assert chain.rpc.send(used) is True
    assert chain.rpc.send(contract_reads.log_state(chain.contracts)).sequence >= 1


def test_purpose_id_is_the_contracts(chain: Chain) -> None:
    chain.send(chain.parties.authority, contract_calls.register_purpose(PURPOSE))
    bounds = chain.rpc.send(
        contract_reads.bounds_of(chain.contracts, contract_calls.purpose_id(PURPOSE))
    )
    assert (bounds.active, bounds.max_uses) == (True, 2)
