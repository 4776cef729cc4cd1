"""What evidence is made from: a consumer's receipt, or a line of a gateway's journal."""

from collections.abc import Callable, Sequence
from pathlib import Path

from ledger.crypto.records import EncryptedRecord, OpenedField
from ledger.evidence import Documents, EvidenceRecord, EvidenceRelease, RevealedField
from ledger.hexstr import to_hex
from wallet.client.opening import OpenedRecord, is_named
from wallet.client.receipts import Receipt
from wallet.errors import PartyError
from wallet.regulator.journals import documents_in

Choice = Callable[[OpenedField], bool]
"""Which of the values the holder of a receipt shows."""


def all_fields(_field: OpenedField) -> bool:
    """Show every value."""
    return True


def no_fields(_field: OpenedField) -> bool:
    """Show none: the file proves which records were released, and not what they say."""
    return False


def named(names: Sequence[str]) -> Choice:
    """Show the fields with these names: whole, or their Chinese or English halves."""
    return lambda field: any(is_named(field.name, name) for name in names)


def documents_of(receipt: Receipt, show: Choice = no_fields) -> Documents:
    """Return what evidence of a receipt's access is made from; values go in that the holder chooses to show."""
    basis, release = receipt.basis, receipt.release
    records = zip(release.records, receipt.records, strict=True)
    return Documents(
        submission=receipt.submission,
        transaction=receipt.recorded.transaction,
        sequence=receipt.recorded.sequence,
        statement=None if basis.authorization is None else basis.authorization.statement,
        link=basis.link,
        release=EvidenceRelease(
            publication=release.publication,
            records=tuple(_record(excerpt, opened, show) for excerpt, opened in records),
            proof=release.proof,
        ),
    )


def find_in_journal(path: Path, access: bytes | int) -> Documents:
    """Return what a gateway's journal has of an access: the consumer's signed request.

    Args:
        path: the journal, as `fetch_journal` wrote it.
        access: its id, or its number.

    Raises:
        PartyError: it is not there.
        PartyError: a line is none.
    """
    found = next(documents_in(path, access), None)
    if found is None:
        name = to_hex(access) if isinstance(access, bytes) else f"number {access}"
        raise PartyError("NoSuchEntry", f"{path} has no access {name}")
    return found


def _record(excerpt: EncryptedRecord, opened: OpenedRecord, show: Choice) -> EvidenceRecord:
    shown = tuple(
        RevealedField(field.index, field.value, field.salt)
        for field in opened.fields
        if show(field)
    )
    return EvidenceRecord(excerpt.excerpt(()), shown or None)
