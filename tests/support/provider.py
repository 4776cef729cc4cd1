"""What a provider and a gateway compute of a publication, with all of it in memory."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from ledger.crypto.merkle import MerkleTree
from ledger.crypto.publications import OwnerProof, PublicationEntry
from ledger.crypto.secret_sharing import DatasetKeys, FieldKey, RecordKeys, field_key
from ledger.encoding import Schema, part_message, record_context
from ledger.errors import MalformedError


def provider_keys(
    keys: DatasetKeys, schema: Schema, number: int, salt: bytes, indices: tuple[int, ...]
) -> RecordKeys:
    """The keys of a record's fields as its provider can derive them, without the keyholders."""
    record = record_context(number, salt)
    fields = [
        FieldKey(index, *field_key(keys, part_message(record, schema.encoded[index])))
        for index in schema.checked(indices)
    ]
    return RecordKeys(keys.epoch, number, salt, tuple(fields))


def prove_owner(tree: MerkleTree, entries: Sequence[PublicationEntry], owner: bytes) -> OwnerProof:
    """Prove which records an owner has in a publication.

    Only O(log n) of the entries and the owner's are looked at, so they may be a view of a database.
    `MalformedError` unless tree and entries are of one size.
    """
    if tree.size != len(entries):
        raise MalformedError(f"{len(entries)} entries for a tree of {tree.size}")
    if not tree.size:
        return OwnerProof(0, 0, (), ())
    start = max(bisect_left(entries, owner, key=lambda entry: entry.owner) - 1, 0)
    end = min(bisect_right(entries, owner, key=lambda entry: entry.owner) + 1, tree.size)
    run = tuple(entries[at] for at in range(start, end))
    return OwnerProof(start, tree.size, run, tree.prove_range(start, end).hashes)
