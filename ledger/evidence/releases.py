"""Checks of a release: the publication, the records in it, the values that are shown."""

import msgspec

from ledger.chain.events import Accessed
from ledger.crypto.merkle import TreeHead
from ledger.crypto.publications import PublicationEntry
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
from ledger.model import ZERO_WORD
from ledger.release_rules import (
    PUBLICATION_LAG,
    Times,
    item_covered,
    verify_covered,
    verify_fresh,
    verify_records,
)


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
    basis = facts.basis
    if basis is None or basis.dataset not in facts.state.datasets:
        raise EvidenceCheckError(Check.PUBLICATION, "the dataset is unknown")
    with failing(Check.PUBLICATION):
        head = _publication(release.publication, basis.dataset, facts, access)
    entries = tuple(record.excerpt.entry() for record in release.records)
    with failing(Check.RECORDS):
        item = item_covered(access, basis)
        may_be_none = basis.subject is None and item == ZERO_WORD
        run = verify_records(entries, release.proof, head, may_be_none=may_be_none)
        coverage = verify_covered(entries, run, item, owner)
        coverage.verify_erased({item for dataset, item in facts.erased if dataset == basis.dataset})
    schema = Schema(basis.dataset, facts.state.datasets[basis.dataset].fields)
    with failing(Check.VALUES):
        records = tuple(_opened(record, schema, access.fields) for record in release.records)
    return VerifiedRelease(records, coverage.complete)


def _publication(version: int, dataset: bytes, facts: Facts, access: Accessed) -> TreeHead:
    """Return count and root of a version that, as far as the file shows, was the newest at the access."""
    published = facts.published.get((dataset, version))
    if published is None:
        problem = f"no receipt has version {version} of it, from before the access"
        raise EvidenceCheckError(Check.PUBLICATION, problem)
    following = facts.published.get((dataset, version + 1))
    times = Times(
        (published.block.number, published.log_index),
        None if following is None else following.block.timestamp,
    )
    place = (access.block.number, access.log_index)
    verify_fresh(version, times, place, access.block.timestamp, PUBLICATION_LAG)
    return TreeHead(published.count, published.root)


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
