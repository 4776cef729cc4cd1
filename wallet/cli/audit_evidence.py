"""`quancheng audit evidence` and `audit verify FILE`: what they read, and what they say."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from ledger.evidence.builder import Documents
from ledger.evidence.document import FORMAT, MAX_BYTES, Check
from ledger.evidence.verifier import VerifiedEvidence
from ledger.hexstr import to_hex
from ledger.jsonio import UNREADABLE, JsonError, check_depth
from ledger.replay.export import FORMAT as TRAIL_FORMAT
from wallet.cli.output import hash_of, moment_text, read_file
from wallet.cli.session import Session
from wallet.client.receipts import decode_receipt
from wallet.errors import InputError
from wallet.regulator.evidence import all_fields, documents_of, named, no_fields

_BEGINS: Final = re.compile(rb'\s*{\s*"format"\s*:\s*"([a-z-]+)"')
_MAX_BEGINNING: Final = 4096


class _Stated(msgspec.Struct):
    format: str


def is_evidence(file: Path) -> bool:
    """Whether a file says that it is evidence; False if it says that it is a trail.

    Raises:
        InputError: it cannot be read, or says neither.
    """
    try:
        with file.open("rb") as opened:
            beginning = opened.read(_MAX_BEGINNING)
            match = _BEGINS.match(beginning)
            if match is not None:
                stated = match[1].decode("ascii")
            else:  # the members may be in another order
                whole = beginning + opened.read(MAX_BYTES + 1 - len(beginning))
                check_depth(whole)
                stated = msgspec.json.decode(whole, type=_Stated).format
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from error
    except (*UNREADABLE, JsonError):
        stated = ""
    if stated not in (FORMAT, TRAIL_FORMAT):
        raise InputError(f"{file} is neither evidence nor a trail")
    return stated == FORMAT


def access_name(text: str) -> bytes | int:
    """Read which access is meant: its number, or its id."""
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


def show_evidence(session: Session, verified: VerifiedEvidence, file: Path) -> None:
    """Say what evidence proves, check by check."""
    left = {each.check: f"OPEN: {each.reason}" for each in verified.unchecked}
    holds = dict.fromkeys(verified.checked, "holds")
    rows = [
        (check.number, check.value, (holds | left).get(check, "nothing to check"))
        for check in Check
    ]
    session.output.table("Checks", ("", "check", "result"), rows)
    fields = [field for record in verified.records for field in record.fields]
    if fields:
        session.output.table("Values", ("field", "value"), [(f.name, f.value) for f in fields])
    access, facts = verified.access, verified.facts
    consumer = facts.state.parties.get(access.consumer)
    dataset = None if facts.dataset is None else facts.state.datasets.get(facts.dataset)
    session.output.result(
        {
            "file": str(file),
            "access": to_hex(verified.access_id),
            "sequence": access.sequence,
            "outcome": access.outcome.title,
            "block_number": access.block.number,
            "block_hash": to_hex(access.block.hash),
            "timestamp": access.block.timestamp,
            "consumer": to_hex(access.consumer),
            "basis": to_hex(access.basis),
            "fields": str(access.fields),
            "recorder": to_hex(verified.recorder),
            "head": to_hex(verified.end.head),
            "dataset": None if facts.dataset is None else to_hex(facts.dataset),
            "subject": None if facts.granted is None else to_hex(facts.granted.subject),
            "statement": verified.statement,
            "case_number": verified.case_number,
            "owner": None if verified.owner is None else to_hex(verified.owner),
            "publication": verified.publication,
            "records": [
                {
                    "number": record.entry.number,
                    "root": to_hex(record.entry.root),
                    "values": {field.name: field.value for field in record.fields},
                }
                for record in verified.records
            ],
            "checked": [check.value for check in verified.checked],
            "unchecked": [
                {"check": each.check.value, "reason": each.reason} for each in verified.unchecked
            ],
        },
        f"file        {file}",
        f"access      number {access.sequence}, {access.outcome.title}, {to_hex(verified.access_id)}",
        f"when        {moment_text(access.block.timestamp)}, block {access.block.number}",
        f"consumer    {consumer.name if consumer else to_hex(access.consumer)}",
        f"dataset     {dataset.title if dataset else 'unknown'}",
        f"case        {verified.case_number or 'not in the file'}",
        f"statement   {verified.statement or 'not in the file'}",
        f"records     {len(verified.records)}"
        + ("" if verified.publication is None else f" of publication {verified.publication}"),
        f"recorder    {to_hex(verified.recorder)}",
        f"verdict     {'holds' if not verified.unchecked else 'holds, with what is OPEN above'}",
    )
