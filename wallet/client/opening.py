"""Opening what a release hands over: sealed parts, keys, values. Pure.

What does not fit is refused with the name of the check that failed (`VerificationError`); nothing of
it may be used then.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Final

import msgspec

from ledger.custody import HolderParts, RecordKeys, Sharing, combine_parts, unpack
from ledger.custody import Release as KeyParts
from ledger.encoding import Schema
from ledger.errors import CustodyError, LedgerError, MissingSubsetError
from ledger.exchange import HeldKeys, Release
from ledger.hexes import to_hex
from ledger.publications import PublicationEntry
from ledger.records import EncryptedRecord, OpenedField, open_fields, verify_opened_fields
from ledger.sealing import OpeningKey, Purpose
from wallet.client.checks import Check
from wallet.client.errors import UnknownNameError, VerificationError

_MOST_CHOICES: Final = 200


class OpenedRecord(msgspec.Struct, frozen=True):
    """One record, as far as it was granted. Its `repr` shows no value."""

    entry: PublicationEntry
    """Owner, number and root (the `item` of an authorization for just this record)."""
    fields: tuple[OpenedField, ...]

    def value(self, name: str) -> str:
        """Return the value of a field by its name: whole, or its Chinese or English half.

        Raises:
            UnknownNameError: it was not granted, or several have this name.
        """
        found = [field.value for field in self.fields if is_named(field.name, name)]
        if len(found) != 1:
            raise UnknownNameError(f"{len(found)} of the opened fields are called {name!r}")
        return found[0]


def is_named(full: str, name: str) -> bool:
    """Whether a field "中文 / English" is meant by a name."""
    return name in (full, *full.split(" / ", 1))


def field_index(names: Sequence[str], name: str) -> int:
    """Return a field's place by its name (whole or half), or by its number in digits.

    Raises:
        UnknownNameError: no field, or several, are meant.
    """
    if name.isascii() and name.isdigit() and int(name) < len(names):
        return int(name)
    found = [place for place, full in enumerate(names) if is_named(full, name)]
    if len(found) != 1:
        raise UnknownNameError(
            f"{len(found)} fields are called {name!r}; there are: {', '.join(names)}"
        )
    return found[0]


def open_release(
    release: Release, schema: Schema, mask: int, opening: OpeningKey, digest: bytes
) -> tuple[OpenedRecord, ...]:
    """Open all records of a release.

    Args:
        release: from the gateway.
        schema: of its dataset.
        mask: the fields that were asked for.
        opening: the consumer's key.
        digest: of the request; the parts are bound to it.

    Raises:
        VerificationError: of `Check.KEYS` or `Check.VALUES`.
    """
    indices = schema.indices(mask)
    unsealed = tuple(_unsealed(release.keys, opening, digest))
    problem: LedgerError | None = None
    for parts in _choices(unsealed):
        try:
            return tuple(_opened(record, schema, indices, parts) for record in release.records)
        except LedgerError as error:
            problem = problem or error
    if isinstance(problem, MissingSubsetError) or not unsealed:
        raise VerificationError(Check.KEYS, f"{len(unsealed)} keyholders' parts are too few")
    check = Check.KEYS if isinstance(problem, CustodyError) else Check.VALUES
    raise VerificationError(check, str(problem)) from problem


def verify_values(
    release: Release, schema: Schema, mask: int, records: Sequence[OpenedRecord]
) -> tuple[OpenedRecord, ...]:
    """Check values that were opened before against what the release's records commit to.

    Raises:
        VerificationError: of `Check.VALUES`.
    """
    try:
        indices = schema.indices(mask)
        for encrypted, opened in zip(release.records, records, strict=True):
            if tuple(field.index for field in opened.fields) != indices:
                raise VerificationError(Check.VALUES, "other fields than were asked for")
            if verify_opened_fields(schema, encrypted, opened.fields) != opened.entry:
                raise VerificationError(Check.VALUES, "another record")
    except (LedgerError, ValueError) as error:
        raise VerificationError(Check.VALUES, str(error)) from error
    return tuple(records)


def _unsealed(
    keys: Sequence[HeldKeys], opening: OpeningKey, digest: bytes
) -> Iterator[tuple[HolderParts, ...]]:
    """Yield each keyholder's parts; what does not open is passed over, others may suffice."""
    holders: set[int] = set()
    for held in keys:
        try:
            plain = opening.open(held.sealed, Purpose.RELEASE, digest)
            records = unpack(plain, KeyParts).records
        except LedgerError:
            continue
        numbers = {parts.holder for parts in records}
        if len(numbers) > 1 or numbers & holders:
            detail = f"{to_hex(held.holder)} speaks for several keyholders"
            raise VerificationError(Check.KEYS, detail)
        holders |= numbers
        yield records


def _choices(
    unsealed: Sequence[tuple[HolderParts, ...]],
) -> Iterator[Sequence[tuple[HolderParts, ...]]]:
    """Yield everybody's parts, then those of fewer: one wrong keyholder must not spoil the rest.

    Which choice is right shows in the values: they are committed to.
    """
    count = 0
    for size in range(len(unsealed), 0, -1):
        for some in combinations(unsealed, size):
            yield some
            count += 1
            if count == _MOST_CHOICES:
                return
    if not unsealed:
        yield ()


def _opened(
    record: EncryptedRecord,
    schema: Schema,
    indices: tuple[int, ...],
    parts: Sequence[tuple[HolderParts, ...]],
) -> OpenedRecord:
    keys = _keys_of(record, parts)
    if tuple(key.index for key in keys.fields) != indices:
        raise CustodyError("the parts are for other fields than were asked for")
    fields = open_fields(schema, record, keys)
    return OpenedRecord(verify_opened_fields(schema, record, fields), fields)


def _keys_of(record: EncryptedRecord, parts: Sequence[tuple[HolderParts, ...]]) -> RecordKeys:
    mine = [
        one
        for of_holder in parts
        for one in of_holder
        if (one.number, one.salt, one.epoch) == (record.number, record.salt, record.epoch)
    ]
    return combine_parts(_sharing(mine), mine)


def _sharing(parts: Sequence[HolderParts]) -> Sharing:
    """Return how many of how many keyholders it takes, as the parts themselves tell.

    They are not believed: parts that were combined wrongly open nothing.
    """
    subsets = [share.subset for one in parts for share in one.shares]
    if not subsets or not subsets[0]:
        raise CustodyError("a keyholder gave no parts of this record")
    holders = max(max(subset, default=1) for subset in subsets)
    return Sharing(holders - len(subsets[0]) + 1, holders)
