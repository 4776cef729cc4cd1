"""Which keyholders were wrong, as far as it can be said: pure.

A gateway hands the parts out, and may lie about whose they are; and keyholders that are wrong may agree about it. So
only that keyholder is named which signed just these parts and disagrees with more others than may lie: the same
shows it to everybody else. The rest is listed apart, and counts for nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

import msgspec

from ledger.custody import HolderParts, Release, Subset
from ledger.errors import LedgerError
from ledger.exchange import HeldKeys
from ledger.parts_statements import (
    SignedStatement,
    StatedRequest,
    WrongParts,
    state_parts,
    verify_signer,
    verify_statement,
    verify_wrong_parts,
)
from ledger.rosters import Roster
from ledger.typed_data import AccessRequest, Domain, digest

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
        return tuple(one.holder for one in self.proofs)


def find_faults(
    request: AccessRequest,
    handed: Mapping[bytes, Release | None],
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
    rest = signed.keys() - {one.holder for one in proofs}
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
    handed: Mapping[bytes, Release | None],
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
