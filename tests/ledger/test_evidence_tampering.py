"""Each member of evidence that is changed fails a check, by its name; nothing in the file is idle."""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final

import pytest

from ledger.chain.embedded import Node
from ledger.evidence.document import Check, EvidenceCheckError, decode_evidence, encode_evidence
from ledger.evidence.headers import read_header
from ledger.evidence.verifier import Anchors, verify_evidence
from scripts.scenario import Chain
from tests.support.chain import node_settings
from tests.support.evidence import Case, Counter, case, trusting

Path = tuple[str | int, ...]

# Every member of the file, with the check that refuses another value. "#" is any place in a list.
MEMBERS: Final = {
    "format": Check.FORM,
    "version": Check.FORM,
    "chain_id": Check.DEPLOYMENT,
    "contracts.registry": Check.DEPLOYMENT,
    "contracts.catalogue": Check.DEPLOYMENT,
    "contracts.agreements": Check.DEPLOYMENT,
    "contracts.authorizations": Check.DEPLOYMENT,
    "contracts.access_log": Check.DEPLOYMENT,
    "consensus": Check.ANCHOR,
    "genesis": Check.ANCHOR,
    "blocks.#.header": Check.ANCHOR,
    "blocks.#.receipts.#.index": Check.RECEIPT,
    "blocks.#.receipts.#.proof.#": Check.RECEIPT,
    "request.consumer": Check.ACCESS,
    "request.basis": Check.ACCESS,
    "request.item": Check.ACCESS,
    "request.fields": Check.ACCESS,
    "request.nonce": Check.ACCESS,
    "request.deadline": Check.ACCESS,
    "sequence": Check.ACCESS,
    "signature": Check.REQUEST,
    "head_before": Check.SEQUENCE,
    "approval.signer": Check.APPROVAL,
    "approval.signature": Check.APPROVAL,
    "statement": Check.STATEMENT,
    "link.link.subject": Check.LINK,
    "link.link.dataset": Check.LINK,
    "link.link.owner": Check.LINK,
    "link.link.issuedAt": Check.LINK,
    "link.link.expiresAt": Check.LINK,
    "link.signature": Check.LINK,
    "release.publication": Check.PUBLICATION,
    "release.records.#.record.v": Check.FORM,
    "release.records.#.record.owner": Check.RECORDS,
    "release.records.#.record.number": Check.RECORDS,
    "release.records.#.record.epoch": Check.RECORDS,
    "release.records.#.record.salt": Check.RECORDS,
    "release.records.#.record.leaves.#": Check.RECORDS,
    "release.records.#.record.fields.#": Check.FORM,
    "release.records.#.fields.#.index": Check.VALUES,
    "release.records.#.fields.#.value": Check.VALUES,
    "release.records.#.fields.#.salt": Check.VALUES,
    "release.proof.kind": Check.FORM,
    "release.proof.start": Check.RECORDS,
    "release.proof.size": Check.RECORDS,
    "release.proof.entries.#.owner": Check.RECORDS,
    "release.proof.entries.#.number": Check.RECORDS,
    "release.proof.entries.#.root": Check.RECORDS,
    "release.proof.hashes.#": Check.RECORDS,
}

OPTIONAL: Final = {
    "approval": {Check.APPROVAL},
    "statement": {Check.STATEMENT},
    "link": {Check.LINK, Check.RECORDS},
    "release": {Check.PUBLICATION, Check.RECORDS, Check.VALUES},
    "release.records.0.fields": {Check.VALUES},
}


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """A chain without a past: on one where a party was admitted anew, its first receipt decides nothing."""
    with Node(node_settings(tmp_path_factory.mktemp("chain"), state_interval=0)) as node:
        chain = Chain(node)
        yield chain
        chain.close()


@pytest.fixture(scope="module")
def used(chain: Chain) -> Case:
    return case(Counter(chain))


@pytest.fixture(scope="module")
def file(used: Case) -> Any:
    """The file as JSON, to be changed."""
    return json.loads(encode_evidence(used.make().evidence))


@pytest.fixture(scope="module")
def anchors(used: Case) -> Anchors:
    return trusting(used, used.make().evidence)


def verify(used: Case, anchors: Anchors, text: Any) -> set[Check]:
    """Verify a file; return what stayed open."""
    data = json.dumps(text, ensure_ascii=False, separators=(",", ":")).encode()
    found = verify_evidence(decode_evidence(data), used.deployment, anchors)
    return {one.check for one in found.unchecked}


def failing(used: Case, anchors: Anchors, text: Any) -> Check:
    with pytest.raises(EvidenceCheckError) as raised:
        verify(used, anchors, text)
    assert str(raised.value).startswith(f"check {raised.value.check.number}, ")
    return raised.value.check


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every value in a file that is neither an object nor a list."""
    if isinstance(value, dict | list) and value:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for name, inner in pairs:
            yield from leaves(inner, (*path, name))
    else:
        yield path


def name_of(path: Path) -> str:
    return ".".join("#" if isinstance(part, int) else part for part in path)


def at(text: Any, path: Path) -> Any:
    for part in path:
        text = text[part]
    return text


def put(text: Any, path: Path, value: Any) -> Any:
    changed = deepcopy(text)
    at(changed, path[:-1])[path[-1]] = value
    return changed


def others(value: Any) -> Iterator[Any]:
    if value is None:
        yield "0x00"
    elif isinstance(value, int):
        yield value + 1
        yield max(value - 1, 0) if value else 2
    elif re.fullmatch("0x([0-9a-f]{2})+", value):
        data = bytes.fromhex(value[2:])
        for place in {0, len(data) // 2, len(data) - 1}:
            yield "0x" + (data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]).hex()
    elif value.isdigit():
        yield str(int(value) + 1)
    else:
        yield {"plain": "qbft", "owner": "range"}.get(value, value + " ")
        if len(value) > 20:
            yield value.replace("2026", "2027", 1)


def test_the_table_has_every_member(file: Any) -> None:
    assert {name_of(path) for path in leaves(file)} == set(MEMBERS)


def test_what_is_not_changed_verifies(used: Case, anchors: Anchors, file: Any) -> None:
    assert verify(used, anchors, file) == set()


@pytest.mark.parametrize(("member", "check"), MEMBERS.items())
def test_a_changed_member_fails_its_check(
    used: Case, anchors: Anchors, file: Any, member: str, check: Check
) -> None:
    tried = 0
    for path in leaves(file):
        if name_of(path) == member:
            for value in others(at(file, path)):
                assert failing(used, anchors, put(file, path, value)) is check, (path, value)
                tried += 1
    assert tried


@pytest.mark.parametrize("member", sorted({name.split(".")[0] for name in MEMBERS}))
def test_a_member_that_is_not_there_fails_the_form(
    used: Case, anchors: Anchors, file: Any, member: str
) -> None:
    without = {name: value for name, value in file.items() if name != member}
    assert failing(used, anchors, without) is Check.FORM


def test_a_member_too_many_or_twice_fails_the_form(used: Case, anchors: Anchors, file: Any) -> None:
    assert failing(used, anchors, file | {"note": "true"}) is Check.FORM
    data = json.dumps(file).encode()
    with pytest.raises(EvidenceCheckError, match="check 1, form"):
        decode_evidence(data.replace(b'{"format"', b'{"sequence": 1, "format"', 1))
    with pytest.raises(EvidenceCheckError, match="check 1, form"):
        decode_evidence(data[:-1])
    with pytest.raises(EvidenceCheckError, match="check 1, form"):
        decode_evidence(b"\xff" + data)
    with pytest.raises(EvidenceCheckError, match="nested deeper"):
        decode_evidence(b'{"request": ' + b'{"a":' * 100_000)


@pytest.mark.parametrize(("member", "checks"), OPTIONAL.items())
def test_what_is_left_out_stays_open_and_is_said(
    used: Case, anchors: Anchors, file: Any, member: str, checks: set[Check]
) -> None:
    path = tuple(int(part) if part.isdigit() else part for part in member.split("."))
    assert verify(used, anchors, put(file, path, None)) == checks


def test_no_receipt_can_be_taken_out(used: Case, anchors: Anchors, file: Any) -> None:
    seen = set()
    for number, block in enumerate(file["blocks"]):
        for place in range(len(block["receipts"])):
            changed = deepcopy(file)
            del changed["blocks"][number]["receipts"][place]
            seen.add(failing(used, anchors, changed))
    assert seen == {Check.ACCESS, Check.DECISION, Check.LINK, Check.PUBLICATION}


def test_no_record_can_be_left_out_or_told_twice(used: Case, anchors: Anchors, file: Any) -> None:
    records = file["release"]["records"]
    for changed in (records[:1], [], [*records, records[0]]):
        text = put(file, ("release", "records"), changed)
        assert failing(used, anchors, text) is Check.RECORDS


def test_a_block_that_nobody_vouches_for_fails(used: Case, file: Any) -> None:
    assert failing(used, Anchors(), file) is Check.ANCHOR
    evidence = used.make().evidence
    headers = [read_header(block.header, evidence.consensus) for block in evidence.blocks]
    linked = {header.parent for header in headers}
    known = frozenset(header.hash for header in headers)
    for header in headers:
        if header.hash not in linked:  # the parent of a trusted block is trusted too
            without = Anchors(hashes=known - {header.hash})
            assert failing(used, without, file) is Check.ANCHOR
    assert headers[-1].hash not in linked


def test_what_belongs_to_another_access_fails(used: Case, anchors: Anchors, file: Any) -> None:
    other = json.loads(encode_evidence(case(used.desk).make().evidence))
    expected = {
        "signature": Check.REQUEST,
        "approval": Check.APPROVAL,
        "statement": Check.STATEMENT,
        "link": Check.LINK,
        "release": Check.PUBLICATION,
        "request": Check.ACCESS,
        "blocks": Check.ANCHOR,
    }
    for member, check in expected.items():
        assert failing(used, anchors, file | {member: other[member]}) is check
