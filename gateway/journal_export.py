"""The journal of releases as the regulator gets it: NDJSON, one access a line, by sequence number.

    {"access", "sequence", "outcome", "request": {...}, "signature", "block_number", "block_hash",
     "timestamp", "transaction", "log_index",
     "released": {"dataset", "publication", "records": [numbers], "holders": [addresses], "key", "at"} | null,
     "authorization": {...}}
    {"kind": "end", "recorder", "block", "block_hash"}

The last line of the last answer says up to which block the accesses of which recorder are there: of a later
one the journal says nothing. It names the block by its hash, which nobody knew before it was made.
`authorization` is the record that the person signed, with its statement: once in an answer for each one that
accesses in it rest on, so that it can be checked that the person saw what was enforced.
`key` is the public one to which parts were sealed. Never a payload, a secret key or an owner: who reads it learns what was handed out, not what it says.
"""

from collections.abc import Sequence

import msgspec

from gateway.store.authorizations import AuthorizationStore
from gateway.store.releases import JournalEntry
from ledger.hexstr import to_hex
from ledger.typed_data import Authorization, JsonScalar, record_to_object


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
    authorization: dict[str, JsonScalar] | msgspec.UnsetType = msgspec.UNSET


class _End(msgspec.Struct, tag_field="kind", tag="end"):
    recorder: str
    block: int
    block_hash: str


_encoder = msgspec.json.Encoder()


class JournalLines:
    def __init__(self, authorizations: AuthorizationStore) -> None:
        self._authorizations = authorizations
        self._told: set[bytes] = set()

    async def encode(self, entries: Sequence[JournalEntry]) -> bytes:
        """Return the lines of some entries.

        Raises:
            StoreUnavailableError: The database cannot be read.
        """
        new = {one.submission.request.basis for one in entries} - self._told
        found = dict(await self._authorizations.find(list(new)))
        self._told |= new
        lines = []
        for entry in entries:
            kept = found.pop(entry.submission.request.basis, None)
            lines.append(encode_journal_line(entry, None if kept is None else kept.record))
        return b"".join(lines)


def encode_journal_end(recorder: bytes, number: int, block_hash: bytes) -> bytes:
    """Write the last line, line feed included."""
    end = _End(to_hex(recorder), number, to_hex(block_hash))
    return _encoder.encode(end) + b"\n"


def encode_journal_line(entry: JournalEntry, authorization: Authorization | None = None) -> bytes:
    """Write one entry, line feed included, and with it the record that a person signed."""
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
        authorization=msgspec.UNSET if authorization is None else record_to_object(authorization),
    )
    return _encoder.encode(line) + b"\n"
