import os

import eth_account  # raises the recursion limit, as in the real processes
import pytest

from ledger.api import (
    MAX_ACCESSES,
    AccessResult,
    HeldKeys,
    KeyedSubmission,
    Location,
    RecordedAccess,
    Refusal,
    Release,
    ReleaseTask,
    SealedParts,
    SignedLink,
    Submissions,
    TooManyAccessesError,
    encode_excerpts,
    encode_proof,
)
from ledger.api.access import (
    decode_result,
    decode_results,
    decode_submissions,
    encode_release,
    encode_result,
    encode_results,
    encode_submissions,
)
from ledger.api.keyholder import (
    decode_answers,
    decode_tasks,
    encode_answers,
    encode_bare_records,
    encode_task,
    encode_tasks,
)
from ledger.crypto.merkle import MerkleTree, RangeProof, TreeHead
from ledger.crypto.publications import PublicationProof
from ledger.crypto.records import EncryptedRecord
from ledger.errors import MalformedError
from ledger.typed_data import AccessRequest, SubjectLink
from tests.support.provider import prove_owner

assert eth_account.Account is not None

REQUEST = AccessRequest(
    consumer=bytes(range(20)),
    basis=b"\x01" * 32,
    item=bytes(32),
    fields=2**200 + 5,
    nonce=2**55 + 3,
    deadline=1_800_000_000,
)
SIGNATURE = bytes(range(65))
KEY = b"\x01" + bytes(range(32))
SUBMISSION = KeyedSubmission(REQUEST, SIGNATURE, KEY)
OTHER = KeyedSubmission(REQUEST, SIGNATURE, b"\x02" + bytes(1216))
RECORD = EncryptedRecord(
    owner=b"\x02" * 32,
    number=7,
    epoch=1,
    salt=b"\x03" * 32,
    ciphertexts=(bytes(92), None, bytes(range(92))),
    leaves=(b"\x04" * 32, b"\x05" * 32, b"\x06" * 32),
)
RANGE = RangeProof(3, 4, 9, (b"\x07" * 32,))
RECORDED = RecordedAccess(
    access=b"\x08" * 32,
    sequence=12,
    outcome=0,
    block_number=5,
    block_hash=b"\x09" * 32,
    timestamp=1_700_000_000,
    transaction=b"\x0a" * 32,
    log_index=2,
)
REFUSAL = Refusal("urn:quancheng:problem:not-final", "Not final", 425, "wait")


def owner_proof() -> PublicationProof:
    entries = [RECORD.entry()]
    return prove_owner(MerkleTree.of(entry.leaf() for entry in entries), entries, RECORD.owner)


@pytest.mark.parametrize("single", [True, False])
def test_submissions_come_back(single: bool) -> None:
    sent = Submissions((SUBMISSION,), single=single)
    assert decode_submissions(encode_submissions(sent)) == sent


def test_spaces_do_not_matter() -> None:
    sent = Submissions((SUBMISSION, OTHER, SUBMISSION), single=False)
    spaced = encode_submissions(sent).replace(b":", b" : ").replace(b",", b" ,\n")
    assert decode_submissions(spaced) == sent


def test_at_most_so_many_at_once() -> None:
    most = Submissions((SUBMISSION,) * MAX_ACCESSES, single=False)
    assert len(decode_submissions(encode_submissions(most)).submissions) == MAX_ACCESSES
    with pytest.raises(TooManyAccessesError):
        decode_submissions(encode_submissions(Submissions((SUBMISSION,) * 1001, single=False)))


def test_a_key_stands_once_in_a_body() -> None:
    body = encode_submissions(Submissions((SUBMISSION, OTHER, SUBMISSION), single=False))
    assert body.count(KEY.hex().encode()) == 1


SINGLE = encode_submissions(Submissions((SUBMISSION,), single=True))
LIST = encode_submissions(Submissions((SUBMISSION, OTHER), single=False))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"requests":[]}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"request":' + b"[" * 100_000,
        b'{"request":{"a":' + b"[" * 100_000,
        SINGLE[:-1],
        SINGLE.replace(b',"key":"0x01', b',"other":"0x01'),
        SINGLE.replace(b'"key":"0x01', b'"key":"0x01","key":"0x01'),
        SINGLE.replace(b'"key":"0x01', b'"key":"0x1'),
        SINGLE.replace(b'"key":"', b'"key":0,"keys":["') + b"]",
        LIST.replace(b',"key":0', b""),
        LIST.replace(b',"key":1', b',"key":2'),
        LIST.replace(b',"key":1', b',"key":-1'),
        LIST.replace(b',"key":1', b',"key":"1"'),
        LIST.replace(b'"keys":[', b'"keys":["0x00","0x01",'),
        LIST.replace(b'"keys":[', b'"keys":[],"other":['),
        SINGLE + b"x",
        SINGLE.replace(b'"signature":', b'"signature":"0x00","signature":'),
        SINGLE.replace(b'"item":', b'"item":"0x00","item":'),
        SINGLE.replace(b'"item":', b'"other":"0x00","item":'),
        SINGLE.replace(b'"deadline":1800000000', b'"deadline":true'),
        SINGLE.replace(b'"deadline":1800000000', b'"deadline":-1'),
        SINGLE.replace(b'"deadline":1800000000', b'"deadline":1e9'),
        SINGLE.replace(b'"deadline":1800000000', b'"deadline":null'),
        SINGLE.replace(b'"deadline":1800000000', b'"deadline":18446744073709551616'),
        SINGLE.replace(b"0x0101", b"0x01"),
        SINGLE.replace(b"0x0101", b"0x01zz"),
        SINGLE[:-1] + b',"requests":[]}',
        SINGLE.replace(b'"0x0001020304', b'"0x00010203'),
    ],
)
def test_other_bodies_are_refused(body: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_submissions(body)


@pytest.mark.parametrize("proof", [RANGE, owner_proof()])
@pytest.mark.parametrize("linked", [True, False])
def test_tasks_come_back(proof: PublicationProof, linked: bool) -> None:
    link = SubjectLink(b"\x0b" * 32, b"\x0c" * 32, RECORD.owner, 5, 2**63)
    bare = RECORD.excerpt(())
    task = ReleaseTask(
        submission=SUBMISSION,
        location=Location(5, b"\x0a" * 32, 2),
        dataset=b"\x0c" * 32,
        publication=3,
        records=(bare, bare),
        proof=proof,
        link=SignedLink(link, SIGNATURE) if linked else None,
    )
    written = encode_task(
        SUBMISSION,
        task.location,
        dataset=task.dataset,
        publication=3,
        records=encode_bare_records([RECORD, RECORD]),
        proof=encode_proof(proof),
        link=task.link,
    )
    assert decode_tasks(encode_tasks([written, written])) == (task, task)


def test_malformed_tasks_are_refused() -> None:
    deep = b'{"accesses":[{"records":' + b"[" * 100_000
    for body in (b"", b"{}", b'{"accesses":[{}]}', b"[" * 100_000, deep):
        with pytest.raises(MalformedError):
            decode_tasks(body)


def test_answers_come_back() -> None:
    answers = (SealedParts(os.urandom(90), os.urandom(105)), REFUSAL)
    assert decode_answers(encode_answers(answers), 2) == answers
    with pytest.raises(MalformedError):
        decode_answers(encode_answers(answers), 3)
    for body in (b'{"results":[{}]}', b'{"results":[{"sealed":"","problem":null}]}'):
        if body.endswith(b"[{}]}"):
            with pytest.raises(MalformedError):
                decode_answers(body, 1)


def test_results_come_back() -> None:
    head = TreeHead(9, b"\x0d" * 32)
    keys = (HeldKeys(bytes(20), b"sealed", b"signed"),)
    release = Release(b"\x0c" * 32, 3, head, (RECORD,), RANGE, keys)
    written = encode_release(
        release.dataset,
        release.publication,
        head,
        records=encode_excerpts(release.records),
        proof=encode_proof(RANGE),
        keys=keys,
    )
    digest = b"\x0e" * 32
    allowed = encode_result((REQUEST, digest, RECORDED), written)
    kept = encode_result((REQUEST, digest, RECORDED), None, REFUSAL)
    nothing = encode_result(None, None, REFUSAL)
    expected = (
        AccessResult(REQUEST, digest, RECORDED, release, None),
        AccessResult(REQUEST, digest, RECORDED, None, REFUSAL),
        AccessResult(None, None, None, None, REFUSAL),
    )
    assert decode_results(encode_results([allowed, kept, nothing])) == expected
    assert decode_result(allowed) == expected[0]
    with pytest.raises(MalformedError):
        decode_result(b"{}")
