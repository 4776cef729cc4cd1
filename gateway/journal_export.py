"""The journal of releases as the regulator gets it: NDJSON, one access a line, by sequence number.

    {"access", "sequence", "outcome", "request": {...}, "signature", "block_number", "block_hash",
     "timestamp", "transaction", "log_index",
     "released": {"dataset", "publication", "records": [numbers], "holders": [addresses], "key", "at"} | null}

`key` is the public one to which parts were sealed. Never a payload, a secret key or an owner: who reads it learns what was handed out, not what it says.
"""

import msgspec

from gateway.store.releases import JournalEntry
from ledger.hexes import to_hex
from ledger.typed_data import JsonScalar, record_to_object


class _Released(msgspec.Struct):
    dataset: str
    publication: int
    records: tuple[int, ...]
    holders: list[str]
    key: str
    at: int


class _Line(msgspec.Struct):
    access: str
    sequence: int
    outcome: int
    request: dict[str, JsonScalar]
    signature: str
    block_number: int
    block_hash: str
    timestamp: int
    transaction: str
    log_index: int
    released: _Released | None


_encoder = msgspec.json.Encoder()


def encode_journal_line(entry: JournalEntry) -> bytes:
    """Write one entry, line feed included."""
    recorded, released = entry.recorded, entry.released
    shown = None
    if released is not None:
        shown = _Released(
            dataset=to_hex(released.dataset),
            publication=released.publication,
            records=released.records,
            holders=[to_hex(holder) for holder in released.holders],
            key=to_hex(released.key),
            at=released.released_at,
        )
    line = _Line(
        access=to_hex(recorded.access),
        sequence=recorded.sequence,
        outcome=recorded.outcome,
        request=record_to_object(entry.submission.request),
        signature=to_hex(entry.submission.signature),
        block_number=recorded.block_number,
        block_hash=to_hex(recorded.block_hash),
        timestamp=recorded.timestamp,
        transaction=to_hex(recorded.transaction),
        log_index=recorded.log_index,
        released=shown,
    )
    return _encoder.encode(line) + b"\n"
