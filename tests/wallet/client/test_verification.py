"""A consumer takes nothing on trust: each lie of a gateway is refused, and named."""

from collections.abc import Callable, Iterator

import msgspec
import pytest

from ledger.api import AccessResult, HeldKeys, RecordedAccess, Refusal
from ledger.chain import contract_calls, eth_methods
from ledger.crypto.hpke import DecryptionKey, Purpose
from ledger.crypto.merkle import TreeHead
from ledger.crypto.secret_sharing import Release as KeyParts
from ledger.crypto.secret_sharing import derive_parts, derive_subkeys, pack
from ledger.hexstr import keccak256
from ledger.links import LinkBounds
from ledger.model import Outcome
from ledger.typed_data import struct_hash
from scripts.scenario import Chain
from tests.support.answers import (
    ASKED,
    Desk,
    Honest,
    honest_access,
    make_seeds,
    owner_of,
    owner_proof,
)
from tests.support.errors import of_kind
from wallet.client.chain_cache import ChainCache
from wallet.client.errors import (
    Check,
    DeniedError,
    ErrorKind,
    NodeError,
    ProblemError,
    VerificationError,
)
from wallet.client.party import ChainAccess
from wallet.client.receipts import decode_receipt, encode_receipt, make_receipt, verify_receipt
from wallet.client.transports import Client, Endpoints
from wallet.client.verification import Basis, Opened, open_result, verify_denial

EVERYTHING = (
    *(Check.REQUEST, Check.ACCESS, Check.BASIS, Check.PUBLICATION, Check.FRESHNESS, Check.KEYS),
    *(Check.VALUES, Check.RECORDS, Check.COMPLETENESS, Check.SUBJECT),
)


@pytest.fixture
def client(chain: Chain) -> Iterator[Client]:
    endpoints = Endpoints("http://127.0.0.1:9", node=chain.node.url)
    with Client(endpoints, chain_id=chain.deployment.chain_id) as client:
        yield client


@pytest.fixture(scope="module")
def honest(chain: Chain) -> Honest:
    return honest_access(Desk(chain))


def opened(
    client: Client, honest: Honest, result: AccessResult | None = None, basis: Basis | None = None
) -> Opened:
    desk = honest.desk
    return client.run(
        open_result(
            desk.ledger,
            desk.opening_of(honest.submission),
            honest.submission,
            result or honest.result,
            honest.basis if basis is None else basis,
        )
    )


def changed(honest: Honest, **release: object) -> AccessResult:
    altered = msgspec.structs.replace(honest.release, **release)
    return msgspec.structs.replace(honest.result, release=altered)


def test_an_honest_answer_opens_and_everything_is_checked(client: Client, honest: Honest) -> None:
    found = opened(client, honest)
    assert [record.value("field 2") for record in found.records] == ["value 0.2", "value 1.2"]
    assert [field.index for field in found.records[0].fields] == [0, 2, 11]
    assert set(found.checked) == set(EVERYTHING)
    assert found.unchecked == ()


def test_the_repr_of_what_was_opened_shows_no_value(client: Client, honest: Honest) -> None:
    assert "value 0" not in repr(opened(client, honest))


def test_without_a_node_what_stays_open_is_said(client: Client, honest: Honest) -> None:
    ledger = ChainAccess(honest.desk.chain.deployment, own_node=False)
    receipt = make_receipt(
        honest.desk.ledger,
        honest.submission,
        honest.release,
        opened(client, honest),
        honest.desk.schema.names,
        honest.basis,
    )
    with Client(Endpoints("http://127.0.0.1:9")) as offline:
        found = offline.run(verify_receipt(ledger, receipt))
    assert {one.check for one in found.unchecked} == {
        Check.ACCESS,
        Check.PUBLICATION,
        Check.FRESHNESS,
        Check.SUBJECT,
    }
    assert all(one.reason for one in found.unchecked)
    assert Check.VALUES in found.checked


def test_without_the_link_the_person_stays_open(client: Client, honest: Honest) -> None:
    found = opened(client, honest, basis=Basis(honest.basis.authorization))
    assert [one.check for one in found.unchecked] == [Check.SUBJECT]


def test_without_the_authorization_the_chain_tells_the_basis(
    client: Client, honest: Honest
) -> None:
    found = opened(client, honest, basis=Basis(link=honest.basis.link))
    assert Check.BASIS in found.checked
    assert Check.SUBJECT in found.checked


# The lies


def another_request(honest: Honest) -> AccessResult:
    assert honest.result.request is not None
    other = msgspec.structs.replace(honest.result.request, nonce=1)
    return msgspec.structs.replace(honest.result, request=other)


def another_digest(honest: Honest) -> AccessResult:
    return msgspec.structs.replace(honest.result, digest=bytes(32))


def recorded_as(honest: Honest, **members: object) -> AccessResult:
    altered = msgspec.structs.replace(recorded_of(honest), **members)
    return msgspec.structs.replace(honest.result, recorded=altered)


def another_block_hash(honest: Honest) -> AccessResult:
    return recorded_as(honest, block_hash=bytes(32))


def a_transaction_of_nobody(honest: Honest) -> AccessResult:
    return recorded_as(honest, transaction=bytes(32))


def another_time(honest: Honest) -> AccessResult:
    return recorded_as(honest, timestamp=0)


def another_count(honest: Honest) -> AccessResult:
    head = honest.release.head
    return changed(honest, head=TreeHead(head.size + 1, head.root))


def parts_for_another_request(honest: Honest) -> AccessResult:
    desk = honest.desk
    other = desk.submission(honest.submission.request.basis)
    records = list(honest.release.records)
    return changed(honest, keys=tuple(desk.keys(holder, other, records) for holder in (1, 2)))


def parts_of_one_keyholder_only(honest: Honest) -> AccessResult:
    return changed(honest, keys=honest.release.keys[:1])


def one_keyholder_twice(honest: Honest) -> AccessResult:
    return changed(honest, keys=honest.release.keys[:1] * 2)


def no_parts(honest: Honest) -> AccessResult:
    return changed(honest, keys=())


def parts_of_other_seeds(honest: Honest) -> AccessResult:
    desk = honest.desk
    seeds, desk.seeds = desk.seeds, make_seeds()
    records = list(honest.release.records)
    keys = tuple(desk.keys(holder, honest.submission, records) for holder in (1, 2))
    desk.seeds = seeds
    return changed(honest, keys=keys)


def swapped_values(honest: Honest) -> AccessResult:
    first, second = honest.release.records
    swapped = msgspec.structs.replace(first, ciphertexts=second.ciphertexts)
    return changed(honest, records=(swapped, second))


def a_withheld_field(honest: Honest) -> AccessResult:
    first, second = honest.release.records
    return changed(honest, records=(first.excerpt((0, 2)), second))


def a_changed_leaf_that_was_not_asked_for(honest: Honest) -> AccessResult:
    first, second = honest.release.records
    leaves = (*first.leaves[:1], bytes(32), *first.leaves[2:])
    return changed(honest, records=(msgspec.structs.replace(first, leaves=leaves), second))


def somebody_elses_proof(honest: Honest) -> AccessResult:
    version = honest.desk.versions[-1]
    return changed(honest, proof=owner_proof(version, keccak256(b"other 1")))


def recorded_of(honest: Honest) -> RecordedAccess:
    assert honest.result.recorded is not None
    return honest.result.recorded


LIES: list[tuple[Callable[[Honest], AccessResult], set[Check]]] = [
    (another_request, {Check.REQUEST}),
    (another_digest, {Check.REQUEST}),
    (another_block_hash, {Check.ACCESS}),
    (another_time, {Check.ACCESS}),
    (a_transaction_of_nobody, {Check.ACCESS}),
    (another_count, {Check.PUBLICATION}),
    (parts_for_another_request, {Check.KEYS}),
    (parts_of_one_keyholder_only, {Check.KEYS}),
    (one_keyholder_twice, {Check.KEYS}),
    (no_parts, {Check.KEYS}),
    (parts_of_other_seeds, {Check.VALUES}),
    (swapped_values, {Check.VALUES}),
    (a_withheld_field, {Check.VALUES}),
    (a_changed_leaf_that_was_not_asked_for, {Check.RECORDS}),
    (somebody_elses_proof, {Check.RECORDS}),
]


@pytest.mark.parametrize(("lie", "checks"), LIES, ids=lambda one: getattr(one, "__name__", ""))
def test_a_lie_is_refused_and_named(
    client: Client, honest: Honest, lie: Callable[[Honest], AccessResult], checks: set[Check]
) -> None:
    with pytest.raises(VerificationError) as refused:
        opened(client, honest, lie(honest))
    assert refused.value.check in checks
    assert refused.value.check.failure in str(refused.value)


def test_a_denial_is_told_with_outcome_and_sequence(client: Client, honest: Honest) -> None:
    desk = honest.desk
    submission = desk.submission(honest.submission.request.basis, fields=ASKED | 0b10)
    access = desk.record(submission)
    result = AccessResult(submission.request, desk.digest(submission.request), access, None, None)
    with pytest.raises(DeniedError, match="FieldsExceeded") as denied:
        client.run(open_result(desk.ledger, desk.opening_of(submission), submission, result))
    assert denied.value.recorded.sequence == access.sequence
    checked = client.run(verify_denial(desk.ledger, submission, result))
    assert checked.outcome == "FieldsExceeded"
    other = msgspec.structs.replace(access, outcome=Outcome.REVOKED)
    lie = msgspec.structs.replace(result, recorded=other)
    with pytest.raises(VerificationError):
        client.run(verify_denial(desk.ledger, submission, lie))


def test_what_was_not_released_says_why(client: Client, honest: Honest) -> None:
    problem = Refusal("urn:quancheng:problem:keyholders", "keyholders missing", 503)
    result = msgspec.structs.replace(honest.result, release=None, problem=problem)
    with pytest.raises(ProblemError, check=of_kind(ErrorKind.UNAVAILABLE)):
        opened(client, honest, result)


# Keyholders


def test_one_keyholder_that_lies_does_not_spoil_the_others(client: Client, honest: Honest) -> None:
    desk = honest.desk
    records = list(honest.release.records)
    subkeys = derive_subkeys(make_seeds()[2], desk.dataset)
    indices = desk.schema.indices(ASKED)
    wrong = pack(
        KeyParts(
            tuple(
                derive_parts(subkeys, desk.schema, record.number, record.salt, indices)
                for record in records
            )
        )
    )
    digest = desk.digest(honest.submission.request)
    sealed = desk.opening_of(honest.submission).encryption_key.seal(wrong, Purpose.RELEASE, digest)
    keys = (*honest.release.keys, HeldKeys(b"\x03" * 20, sealed, b""))
    assert len(opened(client, honest, changed(honest, keys=keys)).records) == 2


def test_parts_that_are_no_parts_are_passed_over(client: Client, honest: Honest) -> None:
    keys = (HeldKeys(b"\x09" * 20, b"nonsense", b""), *honest.release.keys)
    assert len(opened(client, honest, changed(honest, keys=keys)).records) == 2


def test_another_consumers_key_opens_nothing(client: Client, honest: Honest) -> None:
    desk = honest.desk
    with pytest.raises(VerificationError) as refused:
        client.run(
            open_result(
                desk.ledger,
                DecryptionKey.generate(),
                honest.submission,
                honest.result,
                honest.basis,
            )
        )
    assert refused.value.check is Check.KEYS


# Other kinds of access


def test_a_person_without_records_is_proved_to_have_none(client: Client, chain: Chain) -> None:
    honest = honest_access(Desk(chain), own=0)
    found = opened(client, honest)
    assert found.records == ()
    assert Check.COMPLETENESS in found.checked
    assert Check.SUBJECT in found.checked


def test_one_record_that_was_asked_for_is_just_that_one(client: Client, chain: Chain) -> None:
    desk = Desk(chain)
    subject, authorization, link = desk.person()
    owner = owner_of(subject)
    version = desk.publish([desk.encrypt(owner, number) for number in range(3)])
    items = [record.entry().root for record in version.records]
    submission = desk.submission(struct_hash(authorization), item=items[1])
    access = desk.record(submission)
    proof = version.tree.prove_range(1, 2)
    result = desk.answer(submission, access, [version.records[1]], proof)
    known = Basis(authorization, link)
    found = client.run(
        open_result(desk.ledger, desk.opening_of(submission), submission, result, known)
    )
    assert [record.entry.root for record in found.records] == [items[1]]
    other = desk.answer(submission, access, [version.records[2]], version.tree.prove_range(2, 3))
    with pytest.raises(VerificationError) as refused:
        client.run(open_result(desk.ledger, desk.opening_of(submission), submission, other, known))
    assert refused.value.check is Check.COMPLETENESS


def test_an_open_dataset_is_complete_when_all_of_it_is_there(client: Client, chain: Chain) -> None:
    desk = Desk(chain, personal=False)
    version = desk.publish([desk.encrypt(bytes(32), number) for number in range(5)])
    submission = desk.submission(desk.dataset, fields=1)
    access = desk.record(submission)
    assert access.outcome == Outcome.ALLOWED
    whole = desk.answer(submission, access, version.records, version.tree.prove_range(0, 5))
    found = client.run(open_result(desk.ledger, desk.opening_of(submission), submission, whole))
    assert Check.COMPLETENESS in found.checked
    part = desk.answer(submission, access, version.records[1:3], version.tree.prove_range(1, 3))
    found = client.run(open_result(desk.ledger, desk.opening_of(submission), submission, part))
    assert Check.COMPLETENESS in {one.check for one in found.unchecked}


def test_an_erased_record_may_be_missing(client: Client, chain: Chain) -> None:
    desk = Desk(chain)
    honest = honest_access(desk, own=3)
    first, *others = honest.release.records
    erased = changed(honest, records=tuple(others))
    with pytest.raises(VerificationError) as refused:
        opened(client, honest, erased)
    assert refused.value.check is Check.ERASURE
    chain.send(chain.parties.provider, contract_calls.erase(desk.dataset, first.entry().root, 1))
    found = opened(client, honest, erased)
    assert Check.ERASURE in found.checked
    assert len(found.records) == 2


def test_an_old_version_counts_only_for_a_while(
    client: Client, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(chain)
    subject, authorization, link = desk.person()
    owner = owner_of(subject)
    old = desk.publish([desk.encrypt(owner, 1)])
    desk.publish([desk.encrypt(owner, 2)])
    submission = desk.submission(struct_hash(authorization))
    access = desk.record(submission)
    result = desk.answer(submission, access, old.records, owner_proof(old, owner), version=old)
    known = Basis(authorization, link)

    async def steps() -> Opened:
        return await open_result(
            desk.ledger, desk.opening_of(submission), submission, result, known
        )

    assert Check.FRESHNESS in client.run(steps()).checked
    monkeypatch.setattr("wallet.client.verification.PUBLICATION_LAG", -1)
    with pytest.raises(VerificationError) as refused:
        client.run(steps())
    assert refused.value.check is Check.FRESHNESS


def test_what_the_node_said_is_asked_once_for_many(
    chain: Chain, honest: Honest, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, memory = honest.desk, ChainCache()
    asked: list[object] = []
    assert client._node is not None
    real = client._node._post

    async def noting(body: bytes) -> bytes:
        asked.append(body)
        return await real(body)

    monkeypatch.setattr(client._node, "_post", noting)

    def once() -> Opened:
        steps = open_result(
            desk.ledger,
            desk.opening_of(honest.submission),
            honest.submission,
            honest.result,
            honest.basis,
            memory,
        )
        return client.run(steps)

    first = once()
    before = len(asked)
    assert once() == first
    assert asked[before:] == []


def test_what_is_remembered_of_people_ends_with_an_event(own_chain: Chain) -> None:
    chain, desk, memory = own_chain, Desk(own_chain), ChainCache()
    client = Client(Endpoints("http://127.0.0.1:9", node=chain.node.url))
    honest = honest_access(desk)
    recorded, subject = recorded_of(honest), honest.subject.id

    def bounds() -> LinkBounds:
        newest = chain.rpc.send(eth_methods.block_number())
        at = msgspec.structs.replace(recorded, block_number=newest, timestamp=2**40)
        return client.run(memory.link_bounds(desk.ledger, subject, at))

    identity = chain.parties.identity_authority
    assert bounds() == LinkBounds([identity.address], 0)
    chain.send(identity, contract_calls.end_links(subject))
    ended = bounds()
    assert ended.links_from > 0
    chain.send(chain.parties.authority, contract_calls.withdraw(identity.address))
    assert bounds() == LinkBounds([], ended.links_from)
    chain.wait_for_block()
    assert bounds() == LinkBounds([], ended.links_from)
    client.close()


def test_what_is_remembered_of_publications_grows(client: Client, chain: Chain) -> None:
    desk, memory = Desk(chain), ChainCache()
    honest = honest_access(desk)

    def versions() -> list[int]:
        newest = chain.rpc.send(eth_methods.block_number())
        found = client.run(memory.publications(desk.ledger, desk.dataset, newest))
        return [one.version for one in found]

    before = versions()
    desk.publish([desk.encrypt(owner_of(honest.subject), 9)])
    assert before
    assert versions() == [*before, before[-1] + 1]


# Receipts


def receipt_of(client: Client, honest: Honest) -> bytes:
    return encode_receipt(
        make_receipt(
            honest.desk.ledger,
            honest.submission,
            honest.release,
            opened(client, honest),
            honest.desk.schema.names,
            honest.basis,
        )
    )


def test_a_receipt_verifies_from_its_file_against_the_chain(client: Client, honest: Honest) -> None:
    receipt = decode_receipt(receipt_of(client, honest))
    found = client.run(verify_receipt(honest.desk.ledger, receipt))
    assert set(found.checked) == set(EVERYTHING) - {Check.KEYS}
    assert found.records[0].value("field 0") == "value 0.0"


def test_a_receipt_holds_no_key_and_no_field_that_was_not_granted(
    client: Client, honest: Honest
) -> None:
    text = receipt_of(client, honest)
    assert b"value 0.2" in text
    assert b"value 0.1" not in text.replace(b"value 0.11", b"")
    decoded = decode_receipt(text)
    assert decoded.release.keys == ()
    assert {
        ciphertext for record in decoded.release.records for ciphertext in record.ciphertexts
    } == {None}


@pytest.mark.parametrize(
    ("old", "new", "check"),
    [
        (b'"value":"value 0.2"', b'"value":"value 0.3"', Check.VALUES),
        (b'"fields":"2053"', b'"fields":"2049"', None),
        (b'"count":8', b'"count":9', Check.PUBLICATION),
        (b'"sequence":', b'"sequence":1', Check.ACCESS),
        (b'"chain_id":', b'"chain_id":1', Check.ACCESS),
    ],
)
def test_a_changed_receipt_is_refused(
    client: Client, honest: Honest, old: bytes, new: bytes, check: Check | None
) -> None:
    text = receipt_of(client, honest)
    changed_text = text.replace(old, new, 1)
    if changed_text == text:
        changed_text = text.replace(b'"fields":2053', b'"fields":2049', 1)
    with pytest.raises(VerificationError) as refused:
        client.run(verify_receipt(honest.desk.ledger, decode_receipt(changed_text)))
    assert check is None or refused.value.check is check


def test_a_node_that_is_gone_is_not_a_lie(honest: Honest) -> None:
    nowhere = Endpoints("http://127.0.0.1:9", node="http://127.0.0.1:9")
    with Client(nowhere) as client, pytest.raises(NodeError):
        opened(client, honest)
