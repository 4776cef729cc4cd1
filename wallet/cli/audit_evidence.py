"""`quancheng audit evidence` and `audit verify FILE`: what they read, and what they say."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from ledger.decode_errors import UNREADABLE
from ledger.evidence import (
    FORMAT,
    MOST_BYTES,
    Check,
    Documents,
    Evidence,
    VerifiedEvidence,
    decode_evidence,
)
from ledger.hexes import to_hex
from ledger.replay.export import FORMAT as TRAIL_FORMAT
from ledger.strict_json import JsonError, check_depth
from wallet.cli.errors import InputError
from wallet.cli.session import Session
from wallet.cli.values import hash_of, moment_text, read_file
from wallet.client.receipts import decode_receipt
from wallet.regulator.evidence import all_fields, documents_of, named, no_fields

_BEGINS: Final = re.compile(rb'\s*{\s*"format"\s*:\s*"([a-z-]+)"')
_MOST_BEGINNING: Final = 4096


class _Stated(msgspec.Struct):
    format: str


def is_evidence(file: Path) -> bool:
    """Whether a file says that it is evidence; False if it says that it is a trail.

    Raises:
        InputError: it cannot be read, or says neither.
    """
    try:
        with file.open("rb") as opened:
            beginning = opened.read(_MOST_BEGINNING)
            stated = _stated_at_the_beginning(beginning)
            if stated is None:  # the members may be in another order
                whole = beginning + opened.read(MOST_BYTES + 1 - len(beginning))
                stated = _stated_anywhere(whole)
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from error
    if stated not in (FORMAT, TRAIL_FORMAT):
        raise InputError(f"{file} is neither evidence nor a trail")
    return stated == FORMAT


def _stated_at_the_beginning(beginning: bytes) -> str | None:
    found = _BEGINS.match(beginning)
    return None if found is None else found[1].decode("ascii")


def _stated_anywhere(whole: bytes) -> str | None:
    try:
        check_depth(whole)
        return msgspec.json.decode(whole, type=_Stated).format
    except (*UNREADABLE, JsonError):
        return None


def read_evidence(file: Path) -> Evidence:
    """Read an evidence file.

    Raises:
        InputError: it cannot be read.
        EvidenceCheckError: it is none.
    """
    return decode_evidence(read_file(file, MOST_BYTES))


def access_name(text: str) -> bytes | int:
    """Read which access is meant: its number, or its id.

    Raises:
        InputError: neither.
    """
    if text.isascii() and text.isdigit():
        return int(text)
    if not text:
        raise InputError("which access? name its id or its number: --access")
    return hash_of(text, "access")


def receipt_documents(file: Path, *, values: bool, fields: Sequence[str]) -> Documents:
    """Read what evidence takes from a receipt; no value, unless the holder shows it.

    Raises:
        InputError: it cannot be read, or has no field of such a name.
        ClientError: it is none.
    """
    receipt = decode_receipt(read_file(file))
    if values:
        return documents_of(receipt, all_fields)
    opened = [field for record in receipt.records for field in record.fields]
    for name in fields:
        if not any(named([name])(field) for field in opened):
            raise InputError(f"the receipt has no field {name!r}")
    return documents_of(receipt, named(fields) if fields else no_fields)


def show_evidence(session: Session, found: VerifiedEvidence, file: Path) -> None:
    """Say what evidence proves, check by check."""
    opened = {one.check: one.reason for one in found.unchecked}
    rows = [(check.number, check.value, _state(check, found, opened)) for check in Check]
    session.output.table("Checks", ("", "check", "result"), rows)
    fields = [field for record in found.records for field in record.fields]
    if fields:
        session.output.table("Values", ("field", "value"), [(f.name, f.value) for f in fields])
    session.output.result(_document(found, file), *_lines(found, file))


def _state(check: Check, found: VerifiedEvidence, opened: dict[Check, str]) -> str:
    if check in opened:
        return f"OPEN: {opened[check]}"
    return "holds" if check in found.checked else "nothing to check"


def _lines(found: VerifiedEvidence, file: Path) -> tuple[str, ...]:
    access, state = found.access, found.facts.state
    consumer = state.parties.get(access.consumer)
    dataset = None if found.facts.dataset is None else state.datasets.get(found.facts.dataset)
    return (
        f"file        {file}",
        f"access      number {access.sequence}, {access.outcome.title}, {to_hex(found.access_id)}",
        f"when        {moment_text(access.block.timestamp)}, block {access.block.number}",
        f"consumer    {consumer.name if consumer else to_hex(access.consumer)}",
        f"dataset     {dataset.title if dataset else 'unknown'}",
        f"case        {found.case_number or 'not in the file'}",
        f"statement   {found.statement or 'not in the file'}",
        f"records     {len(found.records)}"
        + ("" if found.publication is None else f" of publication {found.publication}"),
        f"recorder    {to_hex(found.recorder)}",
        f"verdict     {'holds' if not found.unchecked else 'holds, with what is OPEN above'}",
    )


def _document(found: VerifiedEvidence, file: Path) -> dict[str, object]:
    access, facts = found.access, found.facts
    return {
        "file": str(file),
        "access": to_hex(found.access_id),
        "sequence": access.sequence,
        "outcome": access.outcome.title,
        "block_number": access.block.number,
        "block_hash": to_hex(access.block.hash),
        "timestamp": access.block.timestamp,
        "consumer": to_hex(access.consumer),
        "basis": to_hex(access.basis),
        "fields": str(access.fields),
        "recorder": to_hex(found.recorder),
        "head": to_hex(found.end.head),
        "dataset": None if facts.dataset is None else to_hex(facts.dataset),
        "subject": None if facts.granted is None else to_hex(facts.granted.subject),
        "statement": found.statement,
        "case_number": found.case_number,
        "owner": None if found.owner is None else to_hex(found.owner),
        "publication": found.publication,
        "records": [
            {
                "number": record.entry.number,
                "root": to_hex(record.entry.root),
                "values": {field.name: field.value for field in record.fields},
            }
            for record in found.records
        ],
        "checked": [check.value for check in found.checked],
        "unchecked": [{"check": one.check.value, "reason": one.reason} for one in found.unchecked],
    }
