"""Checking what an access released: the publication, the records in it, the values that are shown."""

import msgspec

from ledger.encoding import Schema
from ledger.errors import LedgerError
from ledger.events import Accessed
from ledger.evidence.document import EvidenceRecord, EvidenceRelease
from ledger.evidence.errors import Check, EvidenceCheckError
from ledger.evidence.facts import Facts
from ledger.hexes import ZERO_WORD
from ledger.merkle import RangeProof, TreeHead, verify_range
from ledger.publications import OwnerProof, PublicationEntry, VerifiedRun, verify_run
from ledger.records import OpenedField, verify_opened_fields


class VerifiedRecord(msgspec.Struct, frozen=True):
    """A record that the access released."""

    entry: PublicationEntry
    fields: tuple[OpenedField, ...]
    """The values that the file shows."""


class VerifiedRelease(msgspec.Struct, frozen=True):
    """What an access released."""

    records: tuple[VerifiedRecord, ...]
    complete: bool
    """Whether it is certain that there is nothing more of what was asked for."""


def verify_release(
    release: EvidenceRelease, facts: Facts, access: Accessed, owner: bytes | None
) -> VerifiedRelease:
    """Check what an allowed access released.

    Args:
        release: From the file.
        facts: What is proven of the chain.
        access: That opened it.
        owner: Whose records they must be; None where the file does not say.

    Raises:
        EvidenceCheckError: of `Check.PUBLICATION`, `Check.RECORDS` or `Check.VALUES`.
    """
    if facts.dataset is None or facts.dataset not in facts.state.datasets:
        raise EvidenceCheckError(Check.PUBLICATION, "the dataset is unknown")
    published = facts.published.get((facts.dataset, release.publication))
    if published is None:
        problem = f"no receipt has version {release.publication} of it, from before the access"
        raise EvidenceCheckError(Check.PUBLICATION, problem)
    head = TreeHead(published.count, published.root)
    try:
        complete = _check_records(release, facts, access, owner, head)
    except EvidenceCheckError:
        raise
    except LedgerError as error:
        raise EvidenceCheckError(Check.RECORDS, str(error)) from error
    schema = Schema(facts.dataset, facts.state.datasets[facts.dataset].fields)
    try:
        records = tuple(_opened(one, schema, access.fields) for one in release.records)
    except LedgerError as error:
        raise EvidenceCheckError(Check.VALUES, str(error)) from error
    return VerifiedRelease(records, complete)


def _check_records(
    release: EvidenceRelease,
    facts: Facts,
    access: Accessed,
    owner: bytes | None,
    head: TreeHead,
) -> bool:
    """Check that the records are in the publication; return whether none can be missing."""
    entries = tuple(one.excerpt.entry() for one in release.records)
    run = _run(release, entries, head)
    if any(entry not in run.entries for entry in entries) or len(set(entries)) != len(entries):
        raise EvidenceCheckError(Check.RECORDS, "a record is not in the proof, or twice")
    if owner is not None and any(entry.owner != owner for entry in entries):
        raise EvidenceCheckError(Check.RECORDS, "a record of somebody else")
    item = _item(facts, access)
    if item != ZERO_WORD:
        if [entry.root for entry in entries] != [item]:
            raise EvidenceCheckError(Check.RECORDS, "it is not just the record asked for")
        return True
    expected, complete = run.entries, len(run.entries) == head.size
    if isinstance(release.proof, OwnerProof) and owner is not None:
        expected, complete = run.of_owner(owner), True
    missing = [one for one in expected if one not in entries and one.root not in facts.erased]
    if missing and complete:
        problem = f"record {missing[0].number} is left out, and was not erased"
        raise EvidenceCheckError(Check.RECORDS, problem)
    return complete


def _run(
    release: EvidenceRelease, entries: tuple[PublicationEntry, ...], head: TreeHead
) -> VerifiedRun:
    """Return the records next to each other that the proof is about, once it is proved."""
    proof = release.proof
    if isinstance(proof, RangeProof):
        verify_range([entry.leaf() for entry in entries], proof, head)
        return VerifiedRun(proof.start, proof.size, entries)
    return verify_run(proof, head)


def _item(facts: Facts, access: Accessed) -> bytes:
    """Return the one record that was asked for; `ZERO_WORD` for all."""
    if access.item != ZERO_WORD or facts.granted is None:
        return access.item
    return facts.granted.terms.item


def _opened(record: EvidenceRecord, schema: Schema, mask: int) -> VerifiedRecord:
    """Check the values that the file shows of a record."""
    asked = schema.indices(mask)
    shown = tuple(
        OpenedField(one.index, schema.names[one.index], one.value, one.salt)
        for one in record.fields or ()
        if one.index in asked
    )
    if len(shown) != len(record.fields or ()):
        raise EvidenceCheckError(Check.VALUES, "a field that was not asked for")
    if not shown:
        return VerifiedRecord(record.excerpt.entry(), ())
    return VerifiedRecord(verify_opened_fields(schema, record.excerpt, shown), shown)
