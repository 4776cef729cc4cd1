"""Receipts: one opened access in a file that verifies without the gateway, and without any key.

A receipt has the signed request, where the access is on chain, the opened values with the salts of
their commitments, the record's leaves, the proof that they are in the publication, and what is known
of the authorization. Whoever has it can read the values: it is as confidential as they are.

Offline it shows that the values are those under the publication's root, for this request. That the
chain has this root and this access shows with a node (`verify_receipt` with one), or from an evidence
file of the same access (`ledger.evidence`), which verifies offline too.
"""

from typing import Final, Literal

import msgspec

from ledger.api import (
    AccessResult,
    RecordedAccess,
    Release,
    SignedLink,
    Submission,
    decode_proof,
    encode_proof,
)
from ledger.crypto.merkle import TreeHead
from ledger.crypto.records import OpenedField, decode_excerpt, encode_line
from ledger.errors import LedgerError, MalformedError
from ledger.hexstr import from_hex, to_hex
from ledger.jsonio import UNREADABLE
from ledger.plain_text import escape_json
from ledger.release_rules import verify_signed
from ledger.typed_data import (
    AccessRequest,
    Authorization,
    JsonScalar,
    SubjectLink,
    record_from_object,
    record_to_object,
    struct_hash,
)
from wallet.client.decryption import OpenedRecord
from wallet.client.errors import Check, ClientError, VerificationError
from wallet.client.party import ChainAccess
from wallet.client.verification import Basis, Opened, verify_opened

FORMAT: Final = 1
MAX_BYTES: Final = 64 * 2**20


class Receipt(msgspec.Struct, frozen=True):
    """One opened access. Its `repr` shows no value."""

    chain_id: int
    access_log: bytes
    submission: Submission
    recorded: RecordedAccess
    release: Release
    """Without ciphertexts and sealed parts."""
    names: tuple[str, ...]
    """Of the dataset's fields."""
    records: tuple[OpenedRecord, ...]
    basis: Basis


def make_receipt(
    ledger: ChainAccess,
    submission: Submission,
    release: Release,
    opened: Opened,
    names: tuple[str, ...],
    basis: Basis,
) -> Receipt:
    """Return the receipt of an access that was opened."""
    bare = tuple(record.excerpt(()) for record in release.records)
    return Receipt(
        chain_id=ledger.deployment.chain_id,
        access_log=ledger.deployment.contracts.access_log,
        submission=submission,
        recorded=opened.recorded,
        release=msgspec.structs.replace(release, records=bare, keys=()),
        names=names,
        records=opened.records,
        basis=basis,
    )


async def verify_receipt(ledger: ChainAccess, receipt: Receipt) -> Opened:
    """Check a receipt: offline, or against the chain when there is a node.

    Raises:
        VerificationError: something is not what it is said to be; `check` says what.
    """
    deployment, request = ledger.deployment, receipt.submission.request
    here = (deployment.chain_id, deployment.contracts.access_log)
    if (receipt.chain_id, receipt.access_log) != here:
        raise VerificationError(Check.ACCESS, "the receipt is of another deployment")
    domain = deployment.domain_of(AccessRequest)
    try:
        signed = verify_signed(request, struct_hash(request), receipt.submission.signature, domain)
    except LedgerError as error:
        raise VerificationError(Check.REQUEST, str(error)) from error
    result = AccessResult(request, signed, receipt.recorded, receipt.release, None)
    return await verify_opened(
        ledger, receipt.submission, result, receipt.basis, receipt.names, receipt.records
    )


# The file


class _Field(msgspec.Struct):
    index: int
    value: str
    salt: str


class _Record(msgspec.Struct):
    excerpt: msgspec.Raw
    fields: list[_Field]


class _Text(msgspec.Struct, forbid_unknown_fields=True):
    v: Literal[1]
    chain_id: int
    access_log: str
    request: dict[str, JsonScalar]
    signature: str
    access: str
    sequence: int
    outcome: int
    block_number: int
    block_hash: str
    timestamp: int
    transaction: str
    log_index: int
    dataset: str
    publication: int
    root: str
    count: int
    names: tuple[str, ...]
    records: list[_Record]
    proof: msgspec.Raw
    authorization: dict[str, JsonScalar] | None
    link: dict[str, JsonScalar] | None
    link_signature: str | None


def encode_receipt(receipt: Receipt) -> bytes:
    """Return a receipt as JSON."""
    recorded, release, basis = receipt.recorded, receipt.release, receipt.basis
    granted, link = basis.authorization, basis.link
    text = _Text(
        v=1,
        chain_id=receipt.chain_id,
        access_log=to_hex(receipt.access_log),
        request=dict(record_to_object(receipt.submission.request)),
        signature=to_hex(receipt.submission.signature),
        access=to_hex(recorded.access),
        sequence=recorded.sequence,
        outcome=recorded.outcome,
        block_number=recorded.block_number,
        block_hash=to_hex(recorded.block_hash),
        timestamp=recorded.timestamp,
        transaction=to_hex(recorded.transaction),
        log_index=recorded.log_index,
        dataset=to_hex(release.dataset),
        publication=release.publication,
        root=to_hex(release.head.root),
        count=release.head.size,
        names=receipt.names,
        records=[
            _Record(
                msgspec.Raw(encode_line(excerpt).rstrip()),
                [_Field(field.index, field.value, to_hex(field.salt)) for field in opened.fields],
            )
            for excerpt, opened in zip(release.records, receipt.records, strict=True)
        ],
        proof=msgspec.Raw(encode_proof(release.proof)),
        authorization=None if granted is None else dict(record_to_object(granted)),
        link=None if link is None else dict(record_to_object(link.link)),
        link_signature=None if link is None else to_hex(link.signature),
    )
    return escape_json(msgspec.json.encode(text).decode()).encode() + b"\n"


def decode_receipt(data: bytes) -> Receipt:
    """Return the receipt in a JSON text. Nothing is checked but its form.

    Raises:
        ClientError: it is none.
    """
    try:
        if len(data) > MAX_BYTES:
            raise MalformedError(f"more than {MAX_BYTES} bytes")
        return _receipt(msgspec.json.decode(data, type=_Text))
    except (*UNREADABLE, LedgerError, IndexError) as error:
        raise ClientError(f"not a receipt: {error}") from error


def _receipt(text: _Text) -> Receipt:
    request = record_from_object(AccessRequest, text.request)
    excerpts = tuple(decode_excerpt(bytes(one.excerpt)) for one in text.records)
    link = None
    if text.link is not None and text.link_signature is not None:
        signed = from_hex(text.link_signature, 65)
        link = SignedLink(record_from_object(SubjectLink, text.link), signed)
    granted = text.authorization
    return Receipt(
        chain_id=text.chain_id,
        access_log=from_hex(text.access_log, 20),
        submission=Submission(request, from_hex(text.signature, 65)),
        recorded=RecordedAccess(
            access=from_hex(text.access, 32),
            sequence=text.sequence,
            outcome=text.outcome,
            block_number=text.block_number,
            block_hash=from_hex(text.block_hash, 32),
            timestamp=text.timestamp,
            transaction=from_hex(text.transaction, 32),
            log_index=text.log_index,
        ),
        release=Release(
            dataset=from_hex(text.dataset, 32),
            publication=text.publication,
            head=TreeHead(text.count, from_hex(text.root, 32)),
            records=excerpts,
            proof=decode_proof(bytes(text.proof)),
            keys=(),
        ),
        names=text.names,
        records=tuple(
            OpenedRecord(
                excerpt.entry(),
                tuple(
                    OpenedField(
                        field.index, text.names[field.index], field.value, from_hex(field.salt, 32)
                    )
                    for field in record.fields
                ),
            )
            for excerpt, record in zip(excerpts, text.records, strict=True)
        ),
        basis=Basis(None if granted is None else record_from_object(Authorization, granted), link),
    )


def access_of(receipt: Receipt) -> bytes:
    """Return the id of the access, computed from the request."""
    return struct_hash(receipt.submission.request)
