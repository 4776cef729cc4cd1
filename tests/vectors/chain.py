"""Vectors from the small chain: files as they are, and step by step how they are made."""

import copy
import io
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import rlp

from ledger.api import RecordedAccess, Release
from ledger.chain import contract_calls
from ledger.chain.deployment import encode_deployment
from ledger.chain.eth_methods import Log
from ledger.chain.events import (
    ACCESSED_SIGNATURE,
    ITEM_ACCESSED_SIGNATURE,
    RECORDED_SIGNATURE,
    SKIPPED_SIGNATURE,
    Accessed,
    NumberedEvent,
    OrderTerms,
)
from ledger.chain.events.decoder import PLANS, EventDecoder
from ledger.chain.events.identifiers import (
    access_id,
    agreement_id,
    application_id,
    dataset_id,
    order_id,
)
from ledger.crypto.merkle import TreeHead
from ledger.crypto.signatures import address_of, sign
from ledger.evidence.document import (
    Check,
    Evidence,
    EvidenceCheckError,
    decode_evidence,
    encode_evidence,
)
from ledger.evidence.headers import (
    Consensus,
    ListTrie,
    quorum,
    read_header,
    read_receipt,
    verify_item,
)
from ledger.evidence.verifier import Anchors, VerifiedEvidence, trail_hashes, verify_evidence
from ledger.hexstr import keccak256, to_hex
from ledger.model import Class
from ledger.replay.export import TrailError, TrailReader
from ledger.replay.report import End, KnownEnd
from tests.vectors.files import NOW, named, text_of
from tests.vectors.small_chain import BANK, DATASET, FIELDS, PROVIDER, PURPOSE, SmallChain
from wallet.client.decryption import OpenedRecord
from wallet.client.receipts import Receipt, encode_receipt
from wallet.client.verification import Basis

ITEMS: Final = (1, 2, 3, 16, 17, 130)
"""Lengths of the lists: around the places where a new kind of node or a longer key comes in."""
VALIDATORS: Final = tuple(named(f"validator {number}") for number in range(4))
ROUND: Final = 1
_EXTRA: Final = 12
_V: Final = 27
_SIGNATURE: Final = 65


def make_files(chain: SmallChain) -> dict[str, str]:
    return {
        "deployment.json": encode_deployment(chain.deployment).decode(),
        "trail.jsonl": chain.trail.decode(),
        "evidence.json": encode_evidence(chain.evidence.evidence).decode(),
        "receipt.json": encode_receipt(receipt_of(chain)).decode(),
        "access-log.json": text_of(access_log_vectors(chain)),
        "ids.json": text_of(id_vectors()),
        "evidence-checks.json": text_of(check_vectors(chain)),
        "blocks.json": text_of(block_vectors(chain)),
        "tries.json": text_of(trie_vectors()),
    }


# The access log


def access_log_vectors(chain: SmallChain) -> dict[str, Any]:
    """Each step of the running hash, and what every event is called."""
    head, steps = bytes(32), []
    for event in chain.accesses:
        before, head = head, keccak256(head + event.basis + event.data)
        steps.append(step_vector(event, before, head))
    return {
        "steps": steps,
        "sequence": chain.accesses[-1].sequence,
        "head": to_hex(head),
        "numbered": list(numbered_vectors(chain)),
        "end": end_vector(chain),
        "events": list(event_vectors()),
    }


def numbered_vectors(chain: SmallChain) -> Iterator[dict[str, Any]]:
    """Each step of the running hashes of the four contracts that number their events."""
    decoder, heads = EventDecoder(chain.deployment.contracts), dict[bytes, bytes]()
    for line, log in enumerate(_trail(chain)[0], 2):
        event = decoder.decode(log)
        if isinstance(event, NumberedEvent):
            before = heads.get(event.contract, bytes(24))
            head = heads[event.contract] = keccak256(before + event.link)[:24]
            yield {
                "event": event.name,
                "line": line,
                "number": event.number,
                "head": to_hex(head),
            }


def end_vector(chain: SmallChain) -> dict[str, Any]:
    """The end of the trail in one number and one hash, and ends that it does not have."""
    _, end = _trail(chain)
    known = end.known
    changed = bytes([known.head[0] ^ 1]) + known.head[1:]
    others = (
        KnownEnd(known.number + 1, known.head),
        KnownEnd(known.number - 1, known.head),
        KnownEnd(known.number, changed),
    )
    return {
        "number": known.number,
        "head": to_hex(known.head),
        "text": str(known),
        "preimage": to_hex(end.preimage),
        "refused": list(map(str, others)),
    }


def _trail(chain: SmallChain) -> tuple[tuple[Log, ...], End]:
    trail = TrailReader(io.BytesIO(chain.trail))
    logs = tuple(log for batch in trail.batches() for log in batch)
    if trail.end is None:
        raise TrailError("the trail has no last line")
    return logs, trail.end


def step_vector(event: Accessed, before: bytes, head: bytes) -> dict[str, Any]:
    return {
        "event": event.name,
        "basis": to_hex(event.basis),
        "fields": str(event.fields),
        "nonce": str(event.nonce),
        "consumer": to_hex(event.consumer),
        "sequence": event.sequence,
        "deadline": event.deadline,
        "outcome": event.outcome.value,
        "outcome_name": event.outcome.title,
        "item": to_hex(event.item),
        "access": to_hex(access_id(event)),
        "data": to_hex(event.data),
        "head_before": to_hex(before),
        "head": to_hex(head),
    }


def event_vectors() -> Iterator[dict[str, Any]]:
    """Yield contract, signature and topic of every event that a trail may have."""
    for contract, plans in PLANS.items():
        for plan in plans:
            yield {
                "contract": contract,
                "signature": plan.signature,
                "indexed": sum(part.indexed for part in plan.parts),
                "topic": to_hex(plan.topic),
            }
    for signature, indexed in (
        (ACCESSED_SIGNATURE, 1),
        (ITEM_ACCESSED_SIGNATURE, 1),
        (RECORDED_SIGNATURE, 1),
        (SKIPPED_SIGNATURE, 2),
    ):
        yield {
            "contract": "access_log",
            "signature": signature,
            "indexed": indexed,
            "topic": to_hex(keccak256(signature.encode("ascii"))),
        }


# Ids


def id_vectors() -> dict[str, Any]:
    """One id of each kind that is a hash of what it names, but is not signed."""
    dataset, purpose = dataset_id(PROVIDER.address, DATASET.code.encode()), named("purpose")
    order = OrderTerms(
        dataset=dataset,
        purpose=purpose,
        sharing=Class.UNCONDITIONAL,
        fields=0b11,
        starts_at=NOW,
        ends_at=NOW + 3 * 86_400,
        reason="地震救援 / earthquake relief",
        nonce=named("nonce of the order"),
    )
    nonce = named("nonce of the application")
    pair = {"consumer": to_hex(BANK.address), "dataset": to_hex(dataset)}
    return {
        "dataset": {
            "provider": to_hex(PROVIDER.address),
            "code": DATASET.code,
            "id": to_hex(dataset),
        },
        "purpose": {
            **_terms(PURPOSE),
            "id": to_hex(contract_calls.purpose_id(PURPOSE)),
        },
        "application": {
            **pair,
            "purpose": to_hex(purpose),
            "fields": "7",
            "nonce": to_hex(nonce),
            "id": to_hex(application_id(BANK.address, dataset, purpose, 7, nonce)),
        },
        "agreement": {
            **pair,
            "purpose": to_hex(purpose),
            "id": to_hex(agreement_id(BANK.address, dataset, purpose)),
        },
        "order": {**_terms(order), "id": to_hex(order_id(order))},
    }


def _terms(terms: msgspec.Struct) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(terms, builtin_types=(bytes,))
    return {name: to_hex(one) if isinstance(one, bytes) else one for name, one in shown.items()}


# Receipt and evidence


def receipt_of(chain: SmallChain) -> Receipt:
    documents, event = chain.documents, chain.accesses[1]
    release, facts = documents.release, chain.evidence.verified.facts
    if release is None or facts.dataset is None:
        raise ValueError("the second access released nothing")
    published = facts.published[facts.dataset, release.publication]
    excerpts = tuple(record.excerpt for record in release.records)
    return Receipt(
        chain_id=chain.deployment.chain_id,
        access_log=chain.deployment.contracts.access_log,
        submission=documents.submission,
        recorded=RecordedAccess(
            access=access_id(event),
            sequence=event.sequence,
            outcome=event.outcome,
            block_number=event.block.number,
            block_hash=event.block.hash,
            timestamp=event.block.timestamp,
            transaction=event.transaction,
            log_index=event.log_index,
        ),
        release=Release(
            dataset=facts.dataset,
            publication=release.publication,
            head=TreeHead(published.count, published.root),
            records=excerpts,
            proof=release.proof,
            keys=(),
        ),
        names=FIELDS,
        records=tuple(
            OpenedRecord(excerpt.entry(), fields)
            for excerpt, fields in zip(excerpts, chain.opened, strict=True)
        ),
        basis=Basis(chain.authorization, documents.link),
    )


@dataclass(frozen=True)
class Change:
    """Something that is changed in an evidence file, and the check that then fails."""

    check: Check
    path: tuple[str | int, ...]
    to: Callable[[Any], Any]


def _with_other_end(text: str) -> str:
    """Return a 0x string whose last byte is another one."""
    return text[:-2] + f"{int(text[-2:], 16) ^ 1:02x}"


def _always(value: Any) -> Callable[[Any], Any]:
    return lambda _old: value


CHANGES: Final = (
    Change(Check.FORM, ("format",), _always("other-evidence")),
    Change(Check.FORM, ("head_before",), _always("0x00")),
    Change(Check.DEPLOYMENT, ("chain_id",), _always(1)),
    Change(Check.DEPLOYMENT, ("contracts", "access_log"), _with_other_end),
    Change(Check.ANCHOR, ("blocks", 0, "header"), _with_other_end),
    Change(Check.RECEIPT, ("blocks", 0, "receipts", 0, "index"), _always(9)),
    Change(Check.ACCESS, ("sequence",), _always(3)),
    Change(Check.REQUEST, ("signature",), lambda old: "0x" + old[4:6] + old[2:4] + old[6:]),
    Change(Check.SEQUENCE, ("head_before",), _always(to_hex(bytes(32)))),
    Change(Check.DECISION, ("blocks", 1, "receipts"), _always([])),
    Change(
        Check.APPROVAL, ("approval", "signature"), lambda old: "0x" + old[4:6] + old[2:4] + old[6:]
    ),
    Change(Check.STATEMENT, ("statement",), lambda old: old.replace("2026-118", "2026-119")),
    Change(Check.LINK, ("link", "link", "owner"), _with_other_end),
    Change(Check.PUBLICATION, ("release", "publication"), _always(2)),
    Change(Check.RECORDS, ("release", "records"), lambda old: old[:1]),
    Change(Check.VALUES, ("release", "records", 0, "fields", 1, "value"), _always("有 / yes")),
)


def check_vectors(chain: SmallChain) -> dict[str, Any]:
    """What the evidence proves, and what is refused once something in it is changed."""
    evidence = chain.evidence.evidence
    anchors = Anchors(hashes=_hashes_in(chain))
    found = verify_evidence(evidence, chain.deployment, anchors)
    document = json.loads(encode_evidence(evidence))
    return {
        "anchors": sorted(map(to_hex, anchors.hashes)),
        "proves": proven(found),
        "refused": [
            _refused(change, document, lambda data: _verify(data, chain, anchors))
            for change in CHANGES
        ],
    }


def proven(found: VerifiedEvidence) -> dict[str, Any]:
    return {
        "access": to_hex(found.access_id),
        "sequence": found.access.sequence,
        "outcome": found.access.outcome.title,
        "block": found.access.block.number,
        "timestamp": found.access.block.timestamp,
        "recorder": to_hex(found.recorder),
        "head": to_hex(found.end.head),
        "statement": found.statement,
        "case_number": found.case_number,
        "owner": None if found.owner is None else to_hex(found.owner),
        "publication": found.publication,
        "records": [
            {
                "number": record.entry.number,
                "root": to_hex(record.entry.root),
                "values": {field.name: field.value for field in record.fields},
            }
            for record in found.records
        ],
        "checked": [check.value for check in found.checked],
    }


def changed(document: Any, path: tuple[str | int, ...], value: Any) -> bytes:
    """Return a document as text, with another value at a place."""
    *above, last = path
    document = place = copy.deepcopy(document)
    for step in above:
        place = place[step]
    place[last] = value
    return json.dumps(document, ensure_ascii=False).encode()


def _refused(
    change: Change, document: Any, verify: Callable[[bytes], VerifiedEvidence]
) -> dict[str, Any]:
    old = document
    for step in change.path:
        old = old[step]
    value = change.to(old)
    try:
        verify(changed(document, change.path, value))
    except EvidenceCheckError as error:
        if error.check is not change.check:
            raise
        return {"path": list(change.path), "value": value, "check": change.check.value}
    raise ValueError(f"nothing refuses {change.path}")


def _verify(data: bytes, chain: SmallChain, anchors: Anchors) -> VerifiedEvidence:
    return verify_evidence(decode_evidence(data), chain.deployment, anchors)


def _hashes_in(chain: SmallChain) -> frozenset[bytes]:
    with tempfile.TemporaryDirectory(prefix="quancheng-") as directory:
        path = Path(directory) / "trail.jsonl"
        path.write_bytes(chain.trail)
        return trail_hashes(path, chain.deployment)


# Blocks and tries


def block_vectors(chain: SmallChain) -> dict[str, Any]:
    """A header and a receipt of the chain; the same header as validators seal it."""
    evidence = chain.evidence.evidence
    block = evidence.blocks[-1]
    proven_ = block.receipts[0]
    header = read_header(block.header, Consensus.PLAIN)
    encoded = verify_item(header.receipts_root, proven_.place, proven_.proof)
    receipt = read_receipt(encoded)
    return {
        "header": {
            "encoded": to_hex(block.header),
            "number": header.number,
            "hash": to_hex(header.hash),
            "parent": to_hex(header.parent),
            "timestamp": header.timestamp,
            "receipts_root": to_hex(header.receipts_root),
        },
        "receipt": {
            "encoded": to_hex(encoded),
            "place": proven_.place,
            "proof": [to_hex(node) for node in proven_.proof],
            "succeeded": receipt.succeeded,
            "logs": [
                {
                    "address": to_hex(address),
                    "topics": [to_hex(topic) for topic in topics],
                    "data": to_hex(data),
                }
                for address, topics, data in receipt.logs
            ],
        },
        "qbft": qbft_vectors(evidence),
        "quorum": [quorum(validators) for validators in range(1, 11)],
    }


def qbft_vectors(evidence: Evidence) -> dict[str, Any]:
    """The same header on a QBFT chain, with three of four validators' seals."""
    members = rlp.decode(evidence.blocks[-1].header)
    listed = [address_of(key) for key in VALIDATORS]

    def header(*round_and_seals: Any) -> bytes:
        extra = rlp.encode([bytes(32), listed, [], *round_and_seals])
        return bytes(rlp.encode([*members[:_EXTRA], extra, *members[_EXTRA + 1 :]]))

    sealed = keccak256(header(ROUND, []))
    signatures = [sign(sealed, key) for key in VALIDATORS[:3]]
    seals = [signature[: _SIGNATURE - 1] + bytes((signature[-1] - _V,)) for signature in signatures]
    encoded = header(ROUND, seals)
    found = read_header(encoded, Consensus.QBFT)
    return {
        "validators": [to_hex(validator) for validator in found.validators],
        "validator_keys": [to_hex(key) for key in VALIDATORS],
        "round": ROUND,
        "encoded": to_hex(encoded),
        "hashed": to_hex(header(b"", [])),
        "hash": to_hex(found.hash),
        "sealed": to_hex(header(ROUND, [])),
        "seals": [to_hex(seal) for seal in seals],
        "sealers": sorted(map(to_hex, found.sealers)),
    }


def trie_vectors() -> dict[str, Any]:
    """Roots and proofs of lists whose items are short, so that some nodes stand inside others."""
    tries = []
    for count in ITEMS:
        items = [named(f"item {place}")[: 1 + place % 32] for place in range(count)]
        trie, place = ListTrie(items), count // 2
        tries.append(
            {
                "items": [to_hex(item) for item in items],
                "root": to_hex(trie.root),
                "place": place,
                "proof": [to_hex(node) for node in trie.prove(place)],
            }
        )
    return {"empty": to_hex(ListTrie(()).root), "tries": tries}
