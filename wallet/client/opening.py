"""Opening what a release hands over: sealed parts, keys, values. Pure.

What does not fit is refused with the name of the check that failed (`VerificationError`); nothing of
it may be used then.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from itertools import combinations

import msgspec

from ledger.custody import HolderParts, combine_parts, unpack
from ledger.custody import Release as KeyParts
from ledger.encoding import Schema
from ledger.errors import CustodyError, LedgerError
from ledger.exchange import HeldKeys, Release
from ledger.parts_statements import (
    SignedStatement,
    WrongParts,
    state_parts,
    verify_statement,
    verify_wrong_parts,
)
from ledger.publications import PublicationEntry
from ledger.records import EncryptedRecord, OpenedField, open_fields, verify_opened_fields
from ledger.rosters import Roster
from ledger.sealing import OpeningKey, Purpose
from wallet.client.checks import Check
from wallet.client.errors import UnknownNameError, VerificationError


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


class Unlocked(msgspec.Struct, frozen=True):
    """What a release opened."""

    records: tuple[OpenedRecord, ...]
    wrong: tuple[bytes, ...] = ()
    """Addresses of the keyholders whose parts were not those that open, or were not signed."""
    proofs: tuple[WrongParts, ...] = ()
    """Of those among them of whom it can be shown to others."""


def open_release(
    release: Release,
    schema: Schema,
    mask: int,
    opening: OpeningKey,
    digest: bytes,
    rosters: Sequence[Roster],
) -> Unlocked:
    """Open all records of a release with the parts of any keyholders that fit.

    Args:
        release: from the gateway.
        schema: of its dataset.
        mask: the fields that were asked for.
        opening: the consumer's key.
        digest: of the request; the parts are bound to it.
        rosters: of the deployment.

    Raises:
        VerificationError: of `Check.KEYS` or `Check.VALUES`.
    """
    indices = schema.indices(mask)
    handed = {held.holder: _unsealed(held, opening, digest) for held in release.keys}
    wrong = {holder for holder, parts in handed.items() if parts is None}
    opened = []
    for record in release.records:
        roster = _roster_of(record, rosters)
        fitting = _fitting(record, roster, indices, handed)
        found, used = _open_record(record, schema, roster, fitting, wrong)
        opened.append(found)
        wrong |= _disagreeing(roster, used, fitting) | (handed.keys() - fitting.keys())
    signed = _signed(release.keys, handed, digest)
    unsigned = handed.keys() - {one.holder for one in signed}
    proofs = _proofs(sorted(wrong), signed, rosters) if wrong else ()
    return Unlocked(tuple(opened), tuple(sorted(wrong | unsigned)), proofs)


def verify_values(
    release: Release, schema: Schema, mask: int, records: Sequence[OpenedRecord]
) -> Unlocked:
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
    return Unlocked(tuple(records))


_Parts = dict[bytes, HolderParts]
"""Of one record, by the keyholders' addresses."""


def _unsealed(held: HeldKeys, opening: OpeningKey, digest: bytes) -> tuple[HolderParts, ...] | None:
    """Return a keyholder's parts; None for what does not open, as others may suffice."""
    try:
        return unpack(opening.open(held.sealed, Purpose.RELEASE, digest), KeyParts).records
    except LedgerError:
        return None


def _signed(
    keys: Sequence[HeldKeys],
    handed: Mapping[bytes, tuple[HolderParts, ...] | None],
    digest: bytes,
) -> list[SignedStatement]:
    """Return what the keyholders signed of the parts that they gave, as far as it is about these parts."""
    found = []
    for held in {one.holder: one for one in keys}.values():
        parts = handed[held.holder]
        if parts is None:
            continue
        with suppress(LedgerError):
            statement = state_parts(digest, KeyParts(parts))
            one = SignedStatement(held.holder, statement, held.signed)
            verify_statement(one)
            found.append(one)
    return found


def _proofs(
    wrong: Sequence[bytes], signed: Sequence[SignedStatement], rosters: Sequence[Roster]
) -> tuple[WrongParts, ...]:
    """Return what shows to others that parts were wrong, without showing a part."""
    proofs = []
    for one in signed:
        if one.holder in wrong:
            same = [each for each in signed if each.statement.about == one.statement.about]
            proof = WrongParts(one.holder, tuple(same))
            with suppress(LedgerError):
                verify_wrong_parts(proof, rosters)
                proofs.append(proof)
    return tuple(proofs)


def _roster_of(record: EncryptedRecord, rosters: Sequence[Roster]) -> Roster:
    for roster in rosters:
        if roster.epoch == record.epoch:
            return roster
    raise VerificationError(
        Check.KEYS, f"the deployment file has no keyholders of epoch {record.epoch}"
    )


def _fitting(
    record: EncryptedRecord,
    roster: Roster,
    indices: tuple[int, ...],
    handed: Mapping[bytes, tuple[HolderParts, ...] | None],
) -> _Parts:
    """Return the parts that have the form of this record's, each from the keyholder whose number it says."""
    wanted = (record.number, record.salt, record.epoch, indices)
    return {
        holder: one
        for holder, parts in handed.items()
        if holder in roster.members
        for one in parts or ()
        if (one.number, one.salt, one.epoch, one.indices) == wanted
        and one.holder == roster.number_of(holder)
    }


def _open_record(
    record: EncryptedRecord, schema: Schema, roster: Roster, fitting: _Parts, wrong: Set[bytes]
) -> tuple[OpenedRecord, _Parts]:
    """Open a record; return it with the parts that did."""
    problem: LedgerError | None = None
    for some in _choices(fitting, roster.threshold, wrong):
        try:
            keys = combine_parts(roster.sharing, list(some.values()))
            fields = open_fields(schema, record, keys)
            entry = verify_opened_fields(schema, record, fields)
        except LedgerError as error:
            problem = problem or error
        else:
            return OpenedRecord(entry, fields), some
    if problem is None:
        raise VerificationError(
            Check.KEYS,
            f"{len(fitting)} keyholders' parts are too few, {roster.threshold} are needed",
        )
    check = Check.KEYS if isinstance(problem, CustodyError) else Check.VALUES
    raise VerificationError(check, str(problem)) from problem


def _choices(fitting: _Parts, threshold: int, wrong: Set[bytes]) -> Iterator[_Parts]:
    """Yield the parts of all who were right so far, then of just as many as it takes.

    Which choice is right shows in the values: they are committed to.
    """
    right = {holder: parts for holder, parts in fitting.items() if holder not in wrong}
    if len(right) >= threshold:
        yield right
    for some in combinations(sorted(fitting, key=wrong.__contains__), threshold):
        if len(some) != len(right) or right.keys() != set(some):
            yield {holder: fitting[holder] for holder in some}


def _disagreeing(roster: Roster, used: _Parts, fitting: _Parts) -> set[bytes]:
    """Return whose parts are not those that opened the record, which tell the parts of every seed."""
    known = {share.subset: share for parts in used.values() for share in parts.shares}
    return {
        holder
        for holder, parts in fitting.items()
        if parts.shares
        != tuple([known[subset] for subset in roster.sharing.subsets_of(parts.holder)])
    }
