"""Records without meaning, as a provider would upload them: the gateway cannot tell the difference."""

import hashlib
import random
from collections.abc import AsyncIterator, Iterable, Sequence

from ledger.crypto.merkle import TreeHead
from ledger.crypto.publications import PublicationEntry, PublicationRoot
from ledger.crypto.records import EncryptedRecord, WithdrawnRecord, encode_line
from ledger.index.rows import ErasureEntry, Place

FIELDS = 12
_PADDED_CIPHERTEXT = 12 + 32 + 16

EPOCH = 1
EPOCHS = frozenset({EPOCH})


def owner_of(number: int) -> bytes:
    """Return an owner; different ones are in the order of their numbers only by chance."""
    return hashlib.sha256(f"owner {number}".encode()).digest()


def make_record(
    owner: bytes, number: int, version: int = 1, fields: int = FIELDS
) -> EncryptedRecord:
    """Return a record with random bytes where ciphertext and leaves would be."""
    source = random.Random(f"{owner.hex()} {number} {version}")
    return EncryptedRecord(
        owner=owner,
        number=number,
        epoch=EPOCH,
        salt=source.randbytes(32),
        ciphertexts=tuple(source.randbytes(_PADDED_CIPHERTEXT) for _ in range(fields)),
        leaves=tuple(source.randbytes(32) for _ in range(fields)),
    )


def make_records(owners: int, each: int = 2, version: int = 1) -> list[EncryptedRecord]:
    return [
        make_record(owner, number, version)
        for owner in sorted(map(owner_of, range(owners)))
        for number in range(each)
    ]


def head_of(records: Iterable[EncryptedRecord]) -> TreeHead:
    root = PublicationRoot()
    for record in records:
        root.add(record.entry())
    return root.head()


def entries_of(records: Iterable[EncryptedRecord]) -> list[PublicationEntry]:
    return [record.entry() for record in records]


def ndjson(lines: Iterable[EncryptedRecord | WithdrawnRecord]) -> bytes:
    return b"".join(map(encode_line, lines))


async def in_pieces(body: bytes, size: int = 10_000) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


def changed(
    records: Sequence[EncryptedRecord], *, new: int, edited: int, gone: int
) -> tuple[list[EncryptedRecord | WithdrawnRecord], list[EncryptedRecord]]:
    """Return the lines of a delta, and the whole version after it."""
    source = random.Random(1)
    touched = source.sample(list(records), edited + gone)
    lines: list[EncryptedRecord | WithdrawnRecord] = [
        make_record(record.owner, record.number, version=2) for record in touched[:edited]
    ]
    lines += [WithdrawnRecord(record.owner, record.number) for record in touched[edited:]]
    lines += [make_record(owner_of(10_000 + at), 0, version=2) for at in range(new)]
    lines.sort(key=lambda line: (line.owner, line.number))
    whole = {(record.owner, record.number): record for record in records}
    for line in lines:
        if isinstance(line, WithdrawnRecord):
            del whole[line.owner, line.number]
        else:
            whole[line.owner, line.number] = line
    return lines, [whole[place] for place in sorted(whole)]


def tombstone(dataset: bytes, version: int, record: EncryptedRecord) -> ErasureEntry:
    place = Place(9, bytes(32), 1_800_000_000, b"t" * 32)
    return ErasureEntry(dataset, record.entry().root, version, place)
