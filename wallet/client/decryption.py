"""Opening what a release hands over: sealed parts, keys, values. Pure.

What does not fit is refused with the name of the check that failed (`VerificationError`); nothing of
it may be used then.

A gateway hands the parts out, and may lie about whose they are; and keyholders that are wrong may agree about it. So
only that keyholder is named which signed just these parts and disagrees with more others than may lie: the same
shows it to everybody else. The rest is listed apart, and counts for nothing.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from itertools import combinations

import msgspec

from ledger.api import HeldKeys, Release
from ledger.crypto.hpke import DecryptionKey, Purpose
from ledger.crypto.publications import PublicationEntry
from ledger.crypto.records import EncryptedRecord, OpenedField, open_fields, verify_opened_fields
from ledger.crypto.released_parts import (
    SignedStatement,
    StatedRequest,
    WrongParts,
    state_parts,
    verify_signer,
    verify_statement,
    verify_wrong_parts,
)
from ledger.crypto.secret_sharing import (
    HolderParts,
    Roster,
    Subset,
    combine_parts,
    most_sealed,
    unpack,
)
from ledger.crypto.secret_sharing import Release as KeyParts
from ledger.encoding import Schema
from ledger.errors import CustodyError, LedgerError
from ledger.typed_data import AccessRequest, Domain, digest
from wallet.client.errors import Check, ClientError, ErrorKind, VerificationError


class OpenedRecord(msgspec.Struct, frozen=True):
    """One record, as far as it was granted. Its `repr` shows no value."""

    entry: PublicationEntry
    """Owner, number and root (the `item` of an authorization for just this record)."""
    fields: tuple[OpenedField, ...]

    def value(self, name: str) -> str:
        """Return the value of a field by its name: whole, or its Chinese or English half.

        Raises:
            ClientError (UNKNOWN_NAME): it was not granted, or several have this name.
        """
        found = [field.value for field in self.fields if is_named(field.name, name)]
        if len(found) != 1:
            raise ClientError(
                f"{len(found)} of the opened fields are called {name!r}", ErrorKind.UNKNOWN_NAME
            )
        return found[0]


def is_named(full: str, name: str) -> bool:
    """Whether a field "中文 / English" is meant by a name."""
    return name in (full, *full.split(" / ", 1))


def field_index(names: Sequence[str], name: str) -> int:
    """Return a field's place by its name (whole or half), or by its number in digits.

    Raises:
        ClientError (UNKNOWN_NAME): no field, or several, are meant.
    """
    if name.isascii() and name.isdigit() and int(name) < len(names):
        return int(name)
    found = [place for place, full in enumerate(names) if is_named(full, name)]
    if len(found) != 1:
        raise ClientError(
            f"{len(found)} fields are called {name!r}; there are: {', '.join(names)}",
            ErrorKind.UNKNOWN_NAME,
        )
    return found[0]


def choose_fields(names: Sequence[str], chosen: Sequence[str]) -> int:
    """Return the bitmap of some fields, each by its name or number; see `field_index`."""
    return sum(1 << index for index in {field_index(names, name) for name in chosen})


RecordName = tuple[int, bytes, int]
"""Number, salt and epoch."""


class Faults(msgspec.Struct, frozen=True):
    """What was wrong with parts. What each list has is by the keyholders' addresses."""

    proofs: tuple[WrongParts, ...] = ()
    """Of keyholders that were wrong: each shows it to others as well."""
    unsigned: tuple[bytes, ...] = ()
    """In whose name came what it did not sign, or what does not open: its doing, or the gateway's."""
    disputed: tuple[bytes, ...] = ()
    """Whose signed parts are others than some others', or not of the records: it cannot be said who is wrong."""

    @property
    def wrong(self) -> tuple[bytes, ...]:
        """Return who was wrong."""
        return tuple(proof.holder for proof in self.proofs)


def _find_faults(
    request: AccessRequest,
    handed: Mapping[bytes, KeyParts | None],
    keys: Mapping[bytes, HeldKeys],
    fitting: Mapping[bytes, Mapping[RecordName, HolderParts]],
    suspects: Collection[bytes],
    rosters: Sequence[Roster],
    domain: Domain,
) -> Faults:
    """Find out which keyholders were wrong.

    Args:
        request: as it was signed.
        handed: parts by keyholder; None for what did not open.
        keys: the same as they came.
        fitting: parts by keyholder and record, where they have the records' form.
        suspects: those whose parts did not fit, or were others than those that opened.
        rosters: of the deployment.
        domain: of access requests.
    """
    if not suspects:  # who signed just what matters only where something does not fit
        unsigned = {holder for holder in handed if not _has_signed(holder, keys[holder], domain)}
        return Faults(unsigned=tuple(sorted(unsigned)))
    signed = _signed(request, handed, keys, rosters, domain)
    unsigned = handed.keys() - signed.keys()
    proofs = _proofs(request, signed, rosters, domain)
    rest = signed.keys() - {proof.holder for proof in proofs}
    disputed = (rest - fitting.keys()) | _disputed(
        {holder: parts for holder, parts in fitting.items() if holder in rest}
    )
    return Faults(proofs, tuple(sorted(unsigned)), tuple(sorted(disputed)))


def _has_signed(holder: bytes, held: HeldKeys, domain: Domain) -> bool:
    try:
        verify_signer(held.signed, holder, domain)
    except LedgerError:
        return False
    return True


def _signed(
    request: AccessRequest,
    handed: Mapping[bytes, KeyParts | None],
    keys: Mapping[bytes, HeldKeys],
    rosters: Sequence[Roster],
    domain: Domain,
) -> dict[bytes, SignedStatement]:
    """Return what the keyholders signed of the parts that they gave, as far as it is about these parts."""
    found = {}
    asked = digest(request, domain)
    for holder, parts in handed.items():
        if parts is None:
            continue
        with suppress(LedgerError):
            statement = state_parts(asked, parts, rosters)
            one = SignedStatement(holder, statement, keys[holder].signed)
            verify_statement(one, domain)
            found[holder] = one
    return found


def _proofs(
    request: AccessRequest,
    signed: Mapping[bytes, SignedStatement],
    rosters: Sequence[Roster],
    domain: Domain,
) -> tuple[WrongParts, ...]:
    stated, proofs = StatedRequest.of(request), []
    for holder in sorted(signed):
        proof = WrongParts(holder, stated, tuple(signed.values()))
        with suppress(LedgerError):
            verify_wrong_parts(proof, rosters, domain)
            proofs.append(proof)
    return tuple(proofs)


def _disputed(fitting: Mapping[bytes, Mapping[RecordName, HolderParts]]) -> set[bytes]:
    """Return those of whose parts some are others than another one's of the same seed."""
    told: dict[tuple[RecordName, Subset], dict[bytes, list[bytes]]] = {}
    for holder, records in fitting.items():
        for name, parts in records.items():
            for share in parts.shares:
                told.setdefault((name, share.subset), {}).setdefault(share.secret, []).append(
                    holder
                )
    return {
        holder
        for secrets in told.values()
        if len(secrets) > 1
        for holders in secrets.values()
        for holder in holders
    }


class Unlocked(msgspec.Struct, frozen=True):
    """What a release opened."""

    records: tuple[OpenedRecord, ...]
    faults: Faults = Faults()


def open_release(
    release: Release,
    schema: Schema,
    request: AccessRequest,
    opening: DecryptionKey,
    rosters: Sequence[Roster],
    domain: Domain,
) -> Unlocked:
    """Open all records of a release with the parts of any keyholders that fit.

    Args:
        release: from the gateway.
        schema: of its dataset.
        request: as it was signed; the parts are bound to it.
        opening: the consumer's key.
        rosters: of the deployment.
        domain: of access requests, of the deployment.

    Raises:
        VerificationError: of `Check.KEYS` or `Check.VALUES`.
    """
    indices = schema.indices(request.fields)
    asked = digest(request, domain)
    members = {member for roster in rosters for member in roster.members}
    keys = {held.holder: held for held in release.keys if held.holder in members}
    most = most_sealed(rosters, len(release.records), len(indices))
    handed = {
        holder: _unsealed(held.sealed, opening, asked) if len(held.sealed) <= most else None
        for holder, held in keys.items()
    }
    fitting = {
        holder: fits
        for holder, parts in handed.items()
        if parts is not None
        and (fits := _fitting(holder, parts.records, release.records, indices, rosters)) is not None
    }
    suspects = set(handed) - set(fitting)
    opened = []
    for record in release.records:
        roster = _roster_of(record, rosters)
        own = {
            holder: parts[_name(record)]
            for holder, parts in fitting.items()
            if holder in roster.members
        }
        found, used = _open_record(record, schema, roster, own, suspects)
        opened.append(found)
        suspects |= _disagreeing(roster, used, own)
    faults = _find_faults(request, handed, keys, fitting, suspects, rosters, domain)
    return Unlocked(tuple(opened), faults)


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


def _name(record: EncryptedRecord | HolderParts) -> RecordName:
    return record.number, record.salt, record.epoch


def _unsealed(sealed: bytes, opening: DecryptionKey, asked: bytes) -> KeyParts | None:
    """Return a keyholder's parts; None for what does not open, as others may suffice."""
    try:
        return unpack(opening.open(sealed, Purpose.RELEASE, asked), KeyParts)
    except LedgerError:
        return None


def _roster_of(record: EncryptedRecord, rosters: Sequence[Roster]) -> Roster:
    for roster in rosters:
        if roster.epoch == record.epoch:
            return roster
    raise VerificationError(
        Check.KEYS, f"the deployment file has no keyholders of epoch {record.epoch}"
    )


def _fitting(
    holder: bytes,
    parts: Sequence[HolderParts],
    records: Sequence[EncryptedRecord],
    indices: tuple[int, ...],
    rosters: Sequence[Roster],
) -> Mapping[RecordName, HolderParts] | None:
    """Return a keyholder's parts by record; None unless they have the form of the records of its epochs.

    Those of further records are left: where a gateway leaves records out, that is not the keyholder's doing.
    """
    numbers = {
        roster.epoch: roster.number_of(holder) for roster in rosters if holder in roster.members
    }
    found = {_name(part): part for part in parts}
    wanted = [_name(record) for record in records if record.epoch in numbers]
    if len(found) != len(parts) or not found.keys() >= set(wanted):
        return None
    fitting = {name: found[name] for name in wanted}
    for one in fitting.values():
        if one.indices != indices or one.holder != numbers[one.epoch]:
            return None
    return fitting


def _open_record(
    record: EncryptedRecord, schema: Schema, roster: Roster, fitting: _Parts, suspects: Set[bytes]
) -> tuple[OpenedRecord, _Parts]:
    """Open a record; return it with the parts that did."""
    problem: LedgerError | None = None
    for some in _choices(fitting, roster.threshold, suspects):
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


def _choices(fitting: _Parts, threshold: int, suspects: Set[bytes]) -> Iterator[_Parts]:
    """Yield the parts of all who were right so far, then of just as many as it takes.

    Which choice is right shows in the values: they are committed to.
    """
    right = {holder: parts for holder, parts in fitting.items() if holder not in suspects}
    if len(right) >= threshold:
        yield right
    for some in combinations(sorted(fitting, key=suspects.__contains__), threshold):
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
