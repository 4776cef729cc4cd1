"""Vectors of a chain and of journals verify."""

import hashlib
import json
import zlib
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from ledger.chain import contract_calls
from ledger.chain.deployment import Deployment, encode_deployment, read_deployment
from ledger.chain.events import Accessed, Event, Granted, OrderTerms, PurposeTerms, Text
from ledger.chain.events.decoder import EventDecoder
from ledger.chain.events.identifiers import (
    access_id,
    agreement_id,
    application_id,
    dataset_id,
    order_id,
)
from ledger.chain.transactions import parse_transaction
from ledger.crypto.signatures import address_of, recover, verify_signature
from ledger.errors import LedgerError
from ledger.evidence.document import (
    Check,
    Evidence,
    EvidenceCheckError,
    decode_evidence,
    encode_evidence,
)
from ledger.evidence.headers import (
    EMPTY_ROOT,
    Consensus,
    ListTrie,
    quorum,
    read_header,
    read_receipt,
    verify_item,
)
from ledger.evidence.verifier import Anchors, trail_hashes, verify_evidence
from ledger.hexstr import from_hex, keccak256, to_hex
from ledger.journal import MARK, Journal, decode_frames, whole_length
from ledger.model import Class, Outcome
from ledger.recorder.journal import JournalState, decode_records, encode_records
from ledger.replay.export import TrailError, TrailReader
from ledger.replay.journal_check import JournalEnd, ReleaseEntry
from ledger.replay.report import Kind, KnownEnd
from ledger.replay.sources import replay_trail
from ledger.typed_data import AccessRequest, Domain, digest, record_from_object, struct_hash
from tests.vectors.chain import changed, proven
from tests.vectors.files import FOLDER, vectors
from wallet.keyholder.errors import JournalError
from wallet.keyholder.journal import read_journal
from wallet.regulator.journals import GatewayJournal, KeyholderJournal

DEPLOYMENT: Final = FOLDER / "deployment.json"
TRAIL: Final = FOLDER / "trail.jsonl"


@pytest.fixture(scope="module")
def deployment() -> Deployment:
    return read_deployment(DEPLOYMENT)


# The deployment and the trail


def test_the_deployment_file_is_written_as_it_was_read(deployment: Deployment) -> None:
    assert encode_deployment(deployment) == DEPLOYMENT.read_bytes()


def test_the_trail_replays_clean_and_ends_where_the_vectors_say(deployment: Deployment) -> None:
    wanted = vectors("access-log.json")
    end = KnownEnd(wanted["end"]["number"], from_hex(wanted["end"]["head"], 32))
    report = replay_trail(TRAIL, deployment, known_end=end)
    assert report.is_clean
    assert report.end_check == "as named"
    assert report.accesses == wanted["sequence"] == len(wanted["steps"])
    assert (report.end.sequence, to_hex(report.end.head)) == (wanted["sequence"], wanted["head"])
    assert str(report.end.known) == wanted["end"]["text"]
    for refused in wanted["end"]["refused"]:
        number, _, head = refused.partition(":")
        other = KnownEnd(int(number), from_hex(head, 32))
        (finding,) = replay_trail(TRAIL, deployment, known_end=other).findings
        assert finding.kind is Kind.OTHER_END


def test_the_running_hashes_of_all_contracts_follow_from_the_formula() -> None:
    """From the formula of docs/spec/access-log.md, not from the library."""
    wanted = vectors("access-log.json")
    slots: dict[str, bytes] = {}
    lines = [json.loads(line) for line in TRAIL.read_bytes().splitlines()]
    for step in wanted["numbered"]:
        log = lines[step["line"] - 1]
        before = slots.get(log["address"], bytes(32))
        topics, data = b"".join(map(from_hex, log["topics"])), from_hex(log["data"])
        count = int.from_bytes(before[24:], "big") + 1
        assert count == step["number"] == int.from_bytes(data[:32], "big")
        head = keccak256(before[:24] + topics + data)[:24]
        assert to_hex(head) == step["head"]
        slots[log["address"]] = head + count.to_bytes(8, "big")
    addresses = lines[0]["contracts"]
    names = ("registry", "catalogue", "agreements", "authorizations")
    preimage = b"".join(slots[addresses[name]] for name in names)
    preimage += wanted["sequence"].to_bytes(32, "big") + from_hex(wanted["head"])
    assert to_hex(preimage) == wanted["end"]["preimage"]
    assert to_hex(keccak256(preimage)) == wanted["end"]["head"]


def test_a_trail_that_lacks_its_last_access_is_refused(
    deployment: Deployment, tmp_path: Path
) -> None:
    lines = TRAIL.read_bytes().splitlines(keepends=True)
    path = tmp_path / "trail.jsonl"
    path.write_bytes(b"".join(lines[:-1]))
    with pytest.raises(TrailError, match="cut off"):
        replay_trail(path, deployment)
    path.write_bytes(b"".join(lines[:-3] + lines[-1:]))
    with pytest.raises(TrailError, match="logs"):
        replay_trail(path, deployment)


def events(deployment: Deployment) -> list[Event]:
    decoder = EventDecoder(deployment.contracts)
    with TRAIL.open("rb") as file:
        return [event for logs in TrailReader(file).batches() for event in decoder.decode_all(logs)]


def test_the_running_hash_follows_from_the_words_of_each_step(deployment: Deployment) -> None:
    """From the formula of docs/spec/access-log.md, not from the library."""
    head = bytes(32)
    for step in vectors("access-log.json")["steps"]:
        assert to_hex(head) == step["head_before"]
        data = (
            int(step["fields"]).to_bytes(32, "big")
            + int(step["nonce"]).to_bytes(32, "big")
            + from_hex(step["consumer"])
            + step["sequence"].to_bytes(6, "big")
            + step["deadline"].to_bytes(5, "big")
            + step["outcome"].to_bytes(1, "big")
        )
        if step["event"] == "ItemAccessed":
            data += from_hex(step["item"])
        assert to_hex(data) == step["data"]
        head = keccak256(head + from_hex(step["basis"]) + data)
        assert to_hex(head) == step["head"]
    accesses = [event for event in events(deployment) if isinstance(event, Accessed)]
    assert [to_hex(access.data) for access in accesses] == [
        step["data"] for step in vectors("access-log.json")["steps"]
    ]


def test_each_step_is_the_access_of_the_request_that_was_signed(deployment: Deployment) -> None:
    steps = vectors("access-log.json")["steps"]
    outcomes = [Outcome(step["outcome"]) for step in steps]
    assert outcomes == [
        Outcome.UNKNOWN_BASIS,
        Outcome.ALLOWED,
        Outcome.ALLOWED,
        Outcome.DUPLICATE_REQUEST,
    ]
    accesses = [event for event in events(deployment) if isinstance(event, Accessed)]
    for step, event in zip(steps, accesses, strict=True):
        members = ("consumer", "basis", "item", "fields", "nonce", "deadline")
        request = record_from_object(AccessRequest, {name: step[name] for name in members})
        assert to_hex(struct_hash(request)) == step["access"] == to_hex(access_id(event))
        assert step["outcome_name"] == event.outcome.title


def test_the_topics_are_the_hashes_of_the_signatures(deployment: Deployment) -> None:
    listed = vectors("access-log.json")["events"]
    for event in listed:
        assert to_hex(keccak256(event["signature"].encode())) == event["topic"]
    known = {event["topic"] for event in listed}
    assert len(known) == len(listed)
    with TRAIL.open("rb") as file:
        logs = [log for some in TrailReader(file).batches() for log in some]
    counts = {event["topic"]: event["indexed"] for event in listed}
    assert all(len(log.topics) == 1 + counts[log.topics[0]] for log in logs)


# Ids


def test_ids_are_the_hashes_of_what_they_name() -> None:
    found = vectors("ids.json")
    one = found["dataset"]
    assert to_hex(dataset_id(from_hex(one["provider"]), one["code"].encode())) == one["id"]
    one = found["application"]
    consumer, dataset = from_hex(one["consumer"]), from_hex(one["dataset"])
    purpose, nonce = from_hex(one["purpose"]), from_hex(one["nonce"])
    made = application_id(consumer, dataset, purpose, int(one["fields"]), nonce)
    assert to_hex(made) == one["id"]
    one = found["agreement"]
    assert to_hex(agreement_id(consumer, dataset, purpose)) == one["id"]
    one = dict(found["purpose"])
    id_ = one.pop("id")
    one["texts"] = tuple(Text(**text) for text in one["texts"])
    assert to_hex(contract_calls.purpose_id(PurposeTerms(**one))) == id_
    one = dict(found["order"])
    id_ = one.pop("id")
    for name in ("dataset", "purpose", "nonce"):
        one[name] = from_hex(one[name])
    one["sharing"] = Class(one["sharing"])
    assert to_hex(order_id(OrderTerms(**one))) == id_


def test_the_trail_has_the_dataset_of_the_ids(deployment: Deployment) -> None:
    granted = next(event for event in events(deployment) if isinstance(event, Granted))
    assert to_hex(granted.terms.dataset) == vectors("ids.json")["dataset"]["id"]


# Evidence


def evidence() -> Evidence:
    return decode_evidence((FOLDER / "evidence.json").read_bytes())


def test_the_evidence_proves_what_the_vectors_say(deployment: Deployment) -> None:
    wanted = vectors("evidence-checks.json")
    anchors = Anchors(hashes=frozenset(from_hex(one, 32) for one in wanted["anchors"]))
    assert anchors.hashes == trail_hashes(TRAIL, deployment)
    found = verify_evidence(evidence(), deployment, anchors)
    assert proven(found) == wanted["proves"]
    assert set(found.checked) == set(Check)
    assert found.unchecked == ()


def test_the_evidence_is_written_as_it_was_read() -> None:
    assert encode_evidence(evidence()) == (FOLDER / "evidence.json").read_bytes()


@pytest.mark.parametrize("change", vectors("evidence-checks.json")["refused"])
def test_changed_evidence_is_refused_by_the_check_that_the_vectors_name(
    change: dict[str, Any], deployment: Deployment
) -> None:
    document = vectors("evidence.json")
    with pytest.raises(EvidenceCheckError) as raised:
        verify_evidence(
            decode_evidence(changed(document, tuple(change["path"]), change["value"])),
            deployment,
            Anchors(hashes=trail_hashes(TRAIL, deployment)),
        )
    assert raised.value.check.value == change["check"]


def test_the_refused_evidence_tries_every_check() -> None:
    refused = {change["check"] for change in vectors("evidence-checks.json")["refused"]}
    assert refused == {check.value for check in Check}


# Blocks and tries


def test_the_header_and_the_receipt_are_what_the_vectors_say() -> None:
    found = vectors("blocks.json")
    wanted, encoded = found["header"], from_hex(found["header"]["encoded"])
    header = read_header(encoded, Consensus.PLAIN)
    assert to_hex(keccak256(encoded)) == wanted["hash"] == to_hex(header.hash)
    assert (header.number, header.timestamp) == (wanted["number"], wanted["timestamp"])
    assert to_hex(header.receipts_root) == wanted["receipts_root"]
    one = found["receipt"]
    proof = tuple(map(from_hex, one["proof"]))
    assert to_hex(verify_item(header.receipts_root, one["place"], proof)) == one["encoded"]
    receipt = read_receipt(from_hex(one["encoded"]))
    assert receipt.succeeded == one["succeeded"]
    assert [to_hex(data) for _, _, data in receipt.logs] == [log["data"] for log in one["logs"]]


def test_validators_seal_the_hash_with_the_round_and_the_blocks_hash_is_without() -> None:
    found = vectors("blocks.json")["qbft"]
    header = read_header(from_hex(found["encoded"]), Consensus.QBFT)
    assert to_hex(header.hash) == found["hash"] == to_hex(keccak256(from_hex(found["hashed"])))
    sealed = keccak256(from_hex(found["sealed"]))
    keys = [from_hex(key) for key in found["validator_keys"]]
    assert [to_hex(address_of(key)) for key in keys] == found["validators"]
    for seal, validator in zip(found["seals"], found["validators"], strict=False):
        signature = from_hex(seal)
        by = recover(sealed, signature[:-1] + bytes((signature[-1] + 27,)))
        assert to_hex(by) == validator
    assert sorted(map(to_hex, header.sealers)) == found["sealers"]
    assert len(header.sealers) == quorum(len(header.validators))


def test_the_quorum_is_what_the_vectors_say() -> None:
    assert [quorum(count) for count in range(1, 11)] == vectors("blocks.json")["quorum"]


@pytest.mark.parametrize("case", vectors("tries.json")["tries"])
def test_the_tries_have_the_roots_and_proofs_of_the_vectors(case: dict[str, Any]) -> None:
    items = [from_hex(item) for item in case["items"]]
    trie, proof = ListTrie(items), tuple(map(from_hex, case["proof"]))
    assert to_hex(trie.root) == case["root"]
    assert trie.prove(case["place"]) == proof
    assert verify_item(trie.root, case["place"], proof) == items[case["place"]]
    with pytest.raises(LedgerError):
        verify_item(keccak256(trie.root), case["place"], proof)


def test_the_empty_trie_has_the_root_of_the_vectors() -> None:
    assert to_hex(EMPTY_ROOT) == vectors("tries.json")["empty"]


# The journals


def recorder_vectors() -> Any:
    return vectors("journals.json")["recorder"]


def test_the_recorders_segment_follows_from_the_formula() -> None:
    """From the formula of docs/spec/journals.md, not from the library."""
    found = recorder_vectors()
    salt, segment = from_hex(found["salt"], 8), from_hex(found["segment"])
    made = b"\xf5QJ1" + salt
    for frame in found["frames"]:
        start = frame["at"] + 12
        payload = segment[start : start + frame["length"]]
        assert len(made) == frame["at"]
        length = len(payload).to_bytes(4, "big")
        checksum = zlib.crc32(salt + len(made).to_bytes(8, "big") + length + payload)
        assert checksum.to_bytes(4, "big") == from_hex(frame["checksum"])
        made += b"\xf5QJ1" + length + checksum.to_bytes(4, "big") + payload
        assert msgspec.msgpack.decode(payload) == [unhexed(one) for one in frame["records"]]
    assert made == segment


def unhexed(value: Any) -> Any:
    if isinstance(value, list):
        return [unhexed(one) for one in value]
    return from_hex(value) if isinstance(value, str) and value.startswith("0x") else value


def test_the_recorders_segment_is_read_as_the_vectors_say(tmp_path: Path) -> None:
    found = recorder_vectors()
    segment = from_hex(found["segment"])
    payloads = [payload for payload, _end in decode_frames(segment)]
    assert [len(payload) for payload in payloads] == [one["length"] for one in found["frames"]]
    assert all(encode_records(decode_records(payload)) == payload for payload in payloads)
    (tmp_path / "0000000001.journal").write_bytes(segment)
    journal = Journal.open(tmp_path)
    state = JournalState()
    state.read(journal.frames())
    journal.close()
    account = address_of(from_hex(found["account_key"]))
    assert state.identity is not None
    assert state.identity.account == account
    assert (state.next_nonce, state.open_transactions()) == (43, [])
    first = state.transactions[account, 41]
    assert first.settled is not None
    assert first.carried_out.hash == first.settled.hash
    assert state.mark is not None
    assert state.mark.sequence == first.settled.first_sequence


def test_the_recorders_transactions_are_those_that_they_are_said_to_be() -> None:
    found = recorder_vectors()
    account = to_hex(address_of(from_hex(found["account_key"])))
    sent = [one for frame in found["frames"] for one in frame["records"] if one[0] == "sent"]
    for _, sender, nonce, hash_, raw, *_ in sent:
        parsed = parse_transaction(from_hex(raw))
        assert (to_hex(parsed.sender), parsed.content.nonce) == (sender, nonce)
        assert to_hex(parsed.hash) == hash_
        assert sender == account


def test_a_torn_segment_ends_at_the_last_whole_frame() -> None:
    found = recorder_vectors()
    torn = from_hex(found["segment"])[: found["torn"]["bytes"]]
    assert torn.startswith(MARK)
    assert whole_length(torn) == found["torn"]["whole"]


def test_the_gateways_lines_hold_what_the_consumer_signed(tmp_path: Path) -> None:
    found = vectors("journals.json")
    domain = Domain(found["chain_id"], from_hex(found["access_log"]))
    for name, text in found["gateway"].items():
        path = tmp_path / f"{name}.ndjson"
        path.write_text(text + "\n", encoding="utf-8")
        (entry,) = GatewayJournal(path).entries()
        if name == "end":
            end = json.loads(text)
            recorder, hash_ = from_hex(end["recorder"]), from_hex(end["block_hash"])
            assert entry == JournalEnd(end["block"], hash_, recorder)
            continue
        assert isinstance(entry, ReleaseEntry)
        line = json.loads(text)
        request = record_from_object(AccessRequest, line["request"])
        assert struct_hash(request) == entry.access
        assert entry.signature is not None
        verify_signature(digest(request, domain), entry.signature, request.consumer)
        assert entry.released == (name == "released")
        assert (entry.authorization is not None) == (name == "with_authorization")
        if entry.authorization is not None:
            assert struct_hash(entry.authorization) == request.basis


def test_the_keyholders_lines_follow_each_other(tmp_path: Path) -> None:
    found = vectors("journals.json")["keyholder"]
    path = tmp_path / "releases.ndjson"
    path.write_text("".join(line + "\n" for line in found["lines"]), encoding="utf-8")
    assert [msgspec.json.encode(entry).decode() for entry in read_journal(path)] == found["bodies"]
    end, entry = KeyholderJournal(path, "keyholder").entries()
    noted = json.loads(found["lines"][2])
    assert end == JournalEnd(noted["block"], from_hex(noted["block_hash"]))
    assert isinstance(entry, ReleaseEntry)
    assert entry.epochs == (1,)
    assert to_hex(entry.access) == json.loads(found["lines"][1])["access"]
    path.write_text(found["lines"][1] + "\n", encoding="utf-8")
    with pytest.raises(JournalError):
        list(read_journal(path))


def test_the_keyholders_heads_follow_from_the_formula() -> None:
    """From the formula of docs/spec/journals.md, not from the library."""
    found, head = vectors("journals.json")["keyholder"], bytes(32)
    for body, line in zip(found["bodies"], found["lines"], strict=True):
        head = hashlib.sha256(head + body.encode()).digest()
        assert line == body[:-1] + f',"head":"0x{head.hex()}"}}'
