"""What evidence is made from, and giving a use back on it."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from ledger.chain import contract_calls, events
from ledger.crypto.records import EncryptedRecord, OpenedField
from ledger.evidence.builder import Documents
from ledger.evidence.document import EvidenceRecord, EvidenceRelease, RevealedField
from ledger.hexstr import to_hex
from ledger.replay.report import Voidable
from wallet.client import chain
from wallet.client.decryption import OpenedRecord, is_named
from wallet.client.errors import RefusedError
from wallet.client.party import ChainAccess, PartyKey
from wallet.client.receipts import Receipt
from wallet.client.transactions import Mined, transact
from wallet.errors import NotVoidableError, PartyError
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


EVERY_ACCESS: Final = range(1, 1 << 48)
"""For `Replay.finish`: whatever may be given back."""

_OVERTAKEN: Final = frozenset(("UsedSince", "AlreadyRevoked", "AlreadyVoided", "NothingToVoid", ""))
"""Refusals of what was right when it was replayed; without a name when it was overtaken in its own block."""


def choose(found: Iterable[Voidable], wanted: Sequence[int]) -> tuple[Voidable, ...]:
    """Return what replay found of the accesses that are wanted, in the order in which it goes.

    Raises:
        NotVoidableError: one of them may not be given back, as far as the journals show.
    """
    chosen = tuple(found)
    missing = set(wanted) - {use.sequence for use in chosen}
    if missing:
        numbers = ", ".join(map(str, sorted(missing)))
        raise NotVoidableError(
            f"access {numbers}: no use that can be given back, as far as these journals show"
        )
    return chosen


async def give_back(ledger: ChainAccess, key: PartyKey, use: Voidable, reason: str) -> Mined:
    """Give one use back.

    Raises:
        NotVoidableError: the authorization was used or revoked since the replay, or another regulator was
            first; others may still be given back.
    """
    # The contract hashes what the person signed to the authorization's id.
    granted = await chain.events(ledger, events.Granted, (use.authorization,))
    if not granted:
        raise NotVoidableError(f"{to_hex(use.authorization)} is not in a final block")
    terms = granted[0].terms
    call = contract_calls.void_access(
        use.sequence, terms, use.before, use.last_use, use.ground, reason
    )
    try:
        return await transact(ledger, key, call)
    except RefusedError as error:
        if error.error not in _OVERTAKEN:
            raise
        raise NotVoidableError(f"access {use.sequence}: {error}") from error
