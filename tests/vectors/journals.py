"""Vectors of the journals: one access as the recorder, the gateway and a keyholder note it."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.api.regulator import encode_journal_end, encode_journal_line
from gateway.store.releases import JournalEntry, Released
from ledger.api import RecordedAccess, Submission
from ledger.chain.contract_calls import RequestGroup, complete_recovery, encode_request, record
from ledger.chain.transactions import Fee, SignedTransaction, Transaction, sign_transaction
from ledger.crypto.hpke import DecryptionKey
from ledger.crypto.released_parts import make_nonce, nonce_word
from ledger.crypto.signatures import address_of, sign
from ledger.hexstr import to_hex
from ledger.journal import MARK, encode_frame
from ledger.recorder.journal import (
    FORMAT,
    GivenUp,
    Identity,
    JournalRecord,
    Mark,
    Marked,
    Opened,
    Sent,
    Settled,
    encode_records,
)
from ledger.typed_data import AccessRequest, Authorization, Domain, digest, struct_hash
from tests.vectors.files import CHAIN_ID, NOW, named, text_of
from tests.vectors.signed_records import CONSUMER, CONSUMER_KEY, example_records
from wallet.keyholder.journal import Entry, FileJournal, NotedEntry, ReleaseEntry, SubkeysEntry
from wallet.keyholder.journal import Released as ReleasedRecords

ACCESS_LOG: Final = named("AccessLog")[:20]
RECORDER_KEY: Final = named("recorder's key")
DATASET: Final = named("dataset")
SALT: Final = named("salt of the segment")[:8]
SEQUENCE: Final = 7
_NONCE: Final = 41
_GAS: Final = 200_000

KEY: Final = DecryptionKey(b"\x01" + named("opening key 1")).encryption_key.to_bytes()
DOMAIN: Final = Domain(CHAIN_ID, ACCESS_LOG)
REQUEST: Final = AccessRequest(
    consumer=CONSUMER,
    basis=named("basis"),
    item=bytes(32),
    fields=0b101,
    nonce=make_nonce(nonce_word(DOMAIN, CONSUMER, KEY), 7),
    deadline=NOW + 600,
)
SUBMISSION: Final = Submission(REQUEST, sign(digest(REQUEST, DOMAIN), CONSUMER_KEY))
AUTHORIZATION: Final = next(
    record for record in example_records() if isinstance(record, Authorization)
)
STATED_REQUEST: Final = msgspec.structs.replace(REQUEST, basis=struct_hash(AUTHORIZATION))
STATED: Final = Submission(STATED_REQUEST, sign(digest(STATED_REQUEST, DOMAIN), CONSUMER_KEY))
RECORDED: Final = RecordedAccess(
    access=struct_hash(REQUEST),
    sequence=SEQUENCE,
    outcome=0,
    block_number=812,
    block_hash=named("block 812"),
    timestamp=NOW,
    transaction=named("transaction"),
    log_index=3,
)


async def make_files() -> dict[str, str]:
    vectors = {
        "chain_id": CHAIN_ID,
        "access_log": to_hex(ACCESS_LOG),
        "recorder": recorder_vectors(),
        "gateway": gateway_vectors(),
        "keyholder": await keyholder_vectors(),
    }
    return {"journals.json": text_of(vectors)}


# The recorder's


def recorder_vectors() -> dict[str, Any]:
    """One segment with each kind of record, and the same one as a crash may leave it."""
    segment = MARK + SALT
    frames = []
    for records in appends():
        payload = encode_records(records)
        frame = encode_frame(payload, SALT, len(segment))
        frames.append(
            {
                "at": len(segment),
                "records": [_shown(one) for one in records],
                "length": len(payload),
                "checksum": to_hex(frame[8:12]),
            }
        )
        segment += frame
    return {
        "salt": to_hex(SALT),
        "account_key": to_hex(RECORDER_KEY),
        "frames": frames,
        "segment": to_hex(segment),
        "torn": {
            "bytes": len(segment) - 5,
            "whole": frames[-1]["at"],
        },
    }


def appends() -> tuple[tuple[JournalRecord, ...], ...]:
    """Return what a recorder appends: a beginning, a batch and its replacement, what became of it."""
    account, head = address_of(RECORDER_KEY), named("head")
    mark = Mark(811, named("block 811"), SEQUENCE - 1, named("head before"))
    identity = Identity(CHAIN_ID, named("genesis"), ACCESS_LOG, account)
    first, dearer = _transaction(Fee(0, 0)), _transaction(Fee(2, 1))
    accesses = RECORDED.access
    settled = Settled(
        hash=first.hash,
        block_number=RECORDED.block_number,
        block_hash=RECORDED.block_hash,
        timestamp=RECORDED.timestamp,
        index=0,
        succeeded=True,
        first_sequence=SEQUENCE,
        first_log=RECORDED.log_index,
        outcomes=bytes((RECORDED.outcome,)),
        head=head,
    )
    other = _relayed()
    return (
        (Opened(FORMAT, identity, _NONCE, mark, 1),),
        (Sent(account, _NONCE, first.hash, first.raw, accesses, SUBMISSION.signature),),
        (Sent(account, _NONCE, dearer.hash, dearer.raw, accesses),),
        (settled,),
        (Sent(account, _NONCE + 1, other.hash, other.raw),),
        (GivenUp(other.hash, "its nonce was used by another transaction"),),
        (Marked(Mark(RECORDED.block_number, RECORDED.block_hash, SEQUENCE, head)),),
    )


def _transaction(fee: Fee) -> SignedTransaction:
    call = record([RequestGroup(CONSUMER, (encode_request(REQUEST),))])
    content = Transaction(CHAIN_ID, _NONCE, _GAS, fee, ACCESS_LOG, call.data)
    return sign_transaction(content, RECORDER_KEY)


def _relayed() -> SignedTransaction:
    """Return a transaction of the recorder's account that records no access."""
    call, to = complete_recovery(named("subject")), named("Authorizations")[:20]
    content = Transaction(CHAIN_ID, _NONCE + 1, _GAS, Fee(0, 0), to, call.data)
    return sign_transaction(content, RECORDER_KEY)


def _shown(one: JournalRecord) -> list[Any]:
    """Return a record as an array, its bytes as 0x strings."""
    shown: list[Any] = msgspec.to_builtins(one, builtin_types=(bytes,))
    return _with_hexes(shown)


def _with_hexes(values: list[Any]) -> list[Any]:
    return [
        to_hex(value)
        if isinstance(value, bytes)
        else _with_hexes(value)
        if isinstance(value, list)
        else value
        for value in values
    ]


# The release journals


def gateway_vectors() -> dict[str, str]:
    """An access that was released, also with the statement it rests on, and one that was not."""
    released = Released(DATASET, 1, (1, 2), (named("keyholder 1")[:20],), KEY, NOW)
    lines = {
        "released": JournalEntry(SUBMISSION, RECORDED, released),
        "not_released": JournalEntry(SUBMISSION, RECORDED, None),
    }
    found = {name: encode_journal_line(one) for name, one in lines.items()}
    found["with_authorization"] = encode_journal_line(
        JournalEntry(
            STATED, msgspec.structs.replace(RECORDED, access=struct_hash(STATED.request)), None
        ),
        AUTHORIZATION,
    )
    found["end"] = encode_journal_end(address_of(RECORDER_KEY), 4_500, named("block 4,500"))
    return {name: line.decode().rstrip("\n") for name, line in found.items()}


async def keyholder_vectors() -> dict[str, Any]:
    """Lines of a keyholder's journal: subkeys for a provider, a release to a consumer, a block."""
    release = ReleaseEntry(
        v=1,
        at=NOW,
        access=to_hex(RECORDED.access),
        sequence=SEQUENCE,
        consumer=to_hex(CONSUMER),
        signature=to_hex(SUBMISSION.signature),
        dataset=to_hex(DATASET),
        publication=1,
        fields=str(REQUEST.fields),
        key=to_hex(KEY),
        records=(ReleasedRecords(to_hex(named("owner")), (1, 2)),),
        block=812,
        block_hash=to_hex(named("block 812")),
        epochs=(1,),
    )
    provider = to_hex(named("provider")[:20])
    subkeys = SubkeysEntry(1, NOW - 86_400, provider, to_hex(DATASET), 1)
    noted = NotedEntry(1, NOW + 3_600, 4_412, to_hex(named("block 4,412")))
    entries = (subkeys, release, noted)
    return {
        "bodies": [msgspec.json.encode(entry).decode() for entry in entries],
        "lines": await _noted(entries),
    }


async def _noted(entries: Sequence[Entry]) -> list[str]:
    """Return the lines that a keyholder's journal has after these entries."""
    with tempfile.TemporaryDirectory(prefix="quancheng-") as directory:
        path = Path(directory) / "releases.ndjson"
        journal = FileJournal(path)
        await journal.note(entries)
        await journal.close()
        return path.read_text("utf-8").splitlines()
