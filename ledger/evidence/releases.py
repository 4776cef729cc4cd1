"""Checks of a release: the publication, the records in it, the values that are shown."""

import msgspec

from ledger.chain.events import Accessed
from ledger.crypto.merkle import TreeHead
from ledger.crypto.publications import PublicationEntry, verify_proof
from ledger.crypto.records import OpenedField, verify_opened_fields
from ledger.encoding import Schema
from ledger.evidence.document import (
    Check,
    EvidenceCheckError,
    EvidenceRecord,
    EvidenceRelease,
    failing,
)
from ledger.evidence.facts import Facts
from ledger.hexstr import ZERO_WORD
from ledger.release_rules import expected_records, item_asked


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

    `owner` is whose records they must be; None where the file does not say.

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
    with failing(Check.RECORDS):
        complete = _check_records(release, facts, access, owner, head)
    schema = Schema(facts.dataset, facts.state.datasets[facts.dataset].fields)
    with failing(Check.VALUES):
        records = tuple(_opened(record, schema, access.fields) for record in release.records)
    return VerifiedRelease(records, complete)


def _check_records(
    release: EvidenceRelease,
    facts: Facts,
    access: Accessed,
    owner: bytes | None,
    head: TreeHead,
) -> bool:
    """Check that the records are in the publication; return whether none can be missing."""
    entries = tuple(record.excerpt.entry() for record in release.records)
    run = verify_proof(release.proof, entries, head)
    if any(entry not in run.entries for entry in entries) or len(set(entries)) != len(entries):
        raise EvidenceCheckError(Check.RECORDS, "a record is not in the proof, or twice")
    if owner is not None and any(entry.owner != owner for entry in entries):
        raise EvidenceCheckError(Check.RECORDS, "a record of somebody else")
    item = item_asked(access.item, facts.granted.terms.item if facts.granted else ZERO_WORD)
    if item != ZERO_WORD:
        if [entry.root for entry in entries] != [item]:
            raise EvidenceCheckError(Check.RECORDS, "it is not just the record asked for")
        return True
    expected, complete = expected_records(release.proof, run, owner)
    missing = [each for each in expected if each not in entries and each.root not in facts.erased]
    if missing and complete:
        problem = f"record {missing[0].number} is left out, and was not erased"
        raise EvidenceCheckError(Check.RECORDS, problem)
    return complete


def _opened(record: EvidenceRecord, schema: Schema, mask: int) -> VerifiedRecord:
    """Check the values that the file shows of a record."""
    asked = schema.indices(mask)
    shown = tuple(
        OpenedField(field.index, schema.names[field.index], field.value, field.salt)
        for field in record.fields or ()
        if field.index in asked
    )
    if len(shown) != len(record.fields or ()):
        raise EvidenceCheckError(Check.VALUES, "a field that was not asked for")
    if not shown:
        return VerifiedRecord(record.excerpt.entry(), ())
    return VerifiedRecord(verify_opened_fields(schema, record.excerpt, shown), shown)
