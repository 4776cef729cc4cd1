"""Evidence as a file: one JSON document, `quancheng-evidence`. docs/spec/evidence.md.

Bytes are 0x strings, large numbers decimal strings, times seconds since 1970. What a document holds is
not checked here but for its form: that is for `ledger.evidence.verify_evidence`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final, Literal

import msgspec

from ledger.api import SignedLink, decode_proof, encode_proof
from ledger.chain.contract_calls import Approval
from ledger.crypto.publications import PublicationProof
from ledger.crypto.records import EncryptedRecord, decode_excerpt, encode_line
from ledger.crypto.signatures import SIGNATURE_LENGTH
from ledger.errors import ExitCode, LedgerError
from ledger.evidence.headers import Consensus
from ledger.hexstr import from_hex, to_hex
from ledger.jsonio import UNREADABLE, parse_json
from ledger.plain_text import escape_json
from ledger.typed_data import (
    AccessRequest,
    JsonScalar,
    SubjectLink,
    record_from_object,
    record_to_object,
)

FORMAT: Final = "quancheng-evidence"
MAX_BYTES: Final = 256 * 2**20
_HASH: Final = 32
_ADDRESS: Final = 20


class Check(StrEnum):
    """The checks, in the order in which they are made. A result lists those that were made."""

    FORM = "form"
    """The file has the form of evidence, and nothing beside it."""
    DEPLOYMENT = "deployment"
    """It is of the chain and the contracts that the verifier means."""
    ANCHOR = "anchor"
    """Each block is one that the verifier trusts, or leads to one."""
    RECEIPT = "receipt"
    """Each receipt is in its block, by the receipts root in the block's header."""
    ACCESS = "access"
    """One of the receipts has the access that answers just this request."""
    REQUEST = "request"
    """The consumer signed the request."""
    SEQUENCE = "sequence"
    """The running hash leads from the access before to the end of the recorder's call."""
    DECISION = "decision"
    """What is in the file leads to the recorded outcome, by the rules."""
    APPROVAL = "approval"
    """The person's signer signed the authorization."""
    STATEMENT = "statement"
    """What the person read says what was authorized, in both languages, in the purpose's words."""
    LINK = "link"
    """The identity authority says that the owner of the records is the authorizing person."""
    PUBLICATION = "publication"
    """Root and count of the publication are those on chain, from before the access, and not superseded long since."""
    RECORDS = "records"
    """Each record is in the publication, and none of what was asked for is left out."""
    VALUES = "values"
    """The values are what the department published, of just the fields asked for."""

    @property
    def number(self) -> int:
        """Its place in the order, from 1."""
        return _ORDER.index(self) + 1


_ORDER: Final = tuple(Check)


class EvidenceCheckError(LedgerError):
    """A check failed: the evidence proves nothing."""

    exit_code = ExitCode.NOT_VERIFIED

    def __init__(self, check: Check, problem: str) -> None:
        super().__init__(f"check {check.number}, {check.value}: {problem}")
        self.check = check
        self.problem = problem

    def __reduce__(self) -> tuple[type["EvidenceCheckError"], tuple[Check, str]]:
        return type(self), (self.check, self.problem)


class NoEvidenceError(LedgerError):
    """No evidence can be made: the node does not have what it takes; the message says what."""

    exit_code = ExitCode.NOT_FOUND


@contextmanager
def failing(check: Check) -> Iterator[None]:
    """Let an error within fail a check, unless it failed one already.

    Raises:
        EvidenceCheckError: of that check.
    """
    try:
        yield
    except EvidenceCheckError:
        raise
    except LedgerError as error:
        raise EvidenceCheckError(check, str(error)) from error


class ProvenReceipt(msgspec.Struct, frozen=True):
    """A receipt, and the way to it from its block's receipts root."""

    place: int
    """Of the transaction in its block."""
    proof: tuple[bytes, ...]
    """Nodes of the trie; the receipt is in the last one."""


class EvidenceBlock(msgspec.Struct, frozen=True):
    """A block's header, and the receipts that evidence takes from it; none where it only links."""

    header: bytes
    receipts: tuple[ProvenReceipt, ...]


class RevealedField(msgspec.Struct, frozen=True):
    """A value that the holder chose to show. Its `repr` shows neither it nor its salt."""

    index: int
    value: str
    salt: bytes

    def __repr__(self) -> str:
        return f"RevealedField(index={self.index})"


class EvidenceRecord(msgspec.Struct, frozen=True):
    """A released record: its leaves, and the values if they are shown."""

    excerpt: EncryptedRecord
    """Without ciphertexts."""
    fields: tuple[RevealedField, ...] | None
    """None: the values are not in the file."""


class EvidenceRelease(msgspec.Struct, frozen=True):
    """What the access opened."""

    publication: int
    records: tuple[EvidenceRecord, ...]
    proof: PublicationProof


class Evidence(msgspec.Struct, frozen=True):
    """One access, with all that proves it."""

    chain_id: int
    contracts: tuple[bytes, ...]
    """Addresses: registry, catalogue, agreements, authorizations, access log."""
    consensus: Consensus
    genesis: bytes | None
    """QBFT: header of the first block, which names the first validators."""
    blocks: tuple[EvidenceBlock, ...]
    """By rising number."""
    request: AccessRequest
    signature: bytes
    """The consumer's."""
    sequence: int
    """Number of the access: a request that was recorded twice is two accesses."""
    head_before: bytes
    """Running hash before the recorder's call."""
    approval: Approval | None
    """Who signed the authorization, and the signature; None where the basis is none."""
    statement: str | None
    """What the person signed; None where whoever made the file does not have it."""
    link: SignedLink | None
    release: EvidenceRelease | None


class _Contracts(msgspec.Struct, forbid_unknown_fields=True):
    registry: str
    catalogue: str
    agreements: str
    authorizations: str
    access_log: str


class _Receipt(msgspec.Struct, forbid_unknown_fields=True):
    index: int
    proof: tuple[str, ...]


class _Block(msgspec.Struct, forbid_unknown_fields=True):
    header: str
    receipts: tuple[_Receipt, ...]


class _Field(msgspec.Struct, forbid_unknown_fields=True):
    index: int
    value: str
    salt: str


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    record: msgspec.Raw
    fields: tuple[_Field, ...] | None


class _Release(msgspec.Struct, forbid_unknown_fields=True):
    publication: int
    records: tuple[_Record, ...]
    proof: msgspec.Raw


class _Approval(msgspec.Struct, forbid_unknown_fields=True):
    signer: str
    signature: str


class _Link(msgspec.Struct, forbid_unknown_fields=True):
    link: dict[str, JsonScalar]
    signature: str


class _File(msgspec.Struct, forbid_unknown_fields=True):
    format: Literal["quancheng-evidence"]
    version: Literal[1]
    chain_id: int
    contracts: _Contracts
    consensus: Consensus
    genesis: str | None
    blocks: tuple[_Block, ...]
    request: dict[str, JsonScalar]
    signature: str
    sequence: int
    head_before: str
    approval: _Approval | None
    statement: str | None
    link: _Link | None
    release: _Release | None


def encode_evidence(evidence: Evidence) -> bytes:
    """Return the file's text."""
    link, release, genesis = evidence.link, evidence.release, evidence.genesis
    approval = evidence.approval
    text = _File(
        format="quancheng-evidence",
        version=1,
        chain_id=evidence.chain_id,
        contracts=_Contracts(*map(to_hex, evidence.contracts)),
        consensus=evidence.consensus,
        genesis=None if genesis is None else to_hex(genesis),
        blocks=tuple(_block_text(block) for block in evidence.blocks),
        request=dict(record_to_object(evidence.request)),
        signature=to_hex(evidence.signature),
        sequence=evidence.sequence,
        head_before=to_hex(evidence.head_before),
        approval=None
        if approval is None
        else _Approval(to_hex(approval.signer), to_hex(approval.signature)),
        statement=evidence.statement,
        link=None
        if link is None
        else _Link(dict(record_to_object(link.link)), to_hex(link.signature)),
        release=None if release is None else _release_text(release),
    )
    return escape_json(msgspec.json.encode(text).decode()).encode() + b"\n"


def decode_evidence(data: bytes) -> Evidence:
    """Read a file's text.

    Raises:
        EvidenceCheckError: of `Check.FORM`: it is not of this form, or says something twice.
    """
    if len(data) > MAX_BYTES:
        raise EvidenceCheckError(Check.FORM, f"more than {MAX_BYTES} bytes")
    with failing(Check.FORM):
        try:
            parse_json(
                data
            )  # msgspec takes the last of two equal keys; this refuses them, and depth
            return _evidence(msgspec.json.decode(data, type=_File))
        except UNREADABLE as error:
            raise EvidenceCheckError(Check.FORM, str(error)) from error


def _block_text(block: EvidenceBlock) -> _Block:
    receipts = tuple(
        _Receipt(each.place, tuple(map(to_hex, each.proof))) for each in block.receipts
    )
    return _Block(to_hex(block.header), receipts)


def _release_text(release: EvidenceRelease) -> _Release:
    records = tuple(
        _Record(
            msgspec.Raw(encode_line(record.excerpt).rstrip()),
            None
            if record.fields is None
            else tuple(_Field(each.index, each.value, to_hex(each.salt)) for each in record.fields),
        )
        for record in release.records
    )
    return _Release(release.publication, records, msgspec.Raw(encode_proof(release.proof)))


def _evidence(text: _File) -> Evidence:
    addresses = msgspec.structs.astuple(text.contracts)
    return Evidence(
        chain_id=text.chain_id,
        contracts=tuple(from_hex(each, _ADDRESS) for each in addresses),
        consensus=text.consensus,
        genesis=None if text.genesis is None else from_hex(text.genesis),
        blocks=tuple(
            EvidenceBlock(
                from_hex(block.header),
                tuple(
                    ProvenReceipt(receipt.index, tuple(from_hex(node) for node in receipt.proof))
                    for receipt in block.receipts
                ),
            )
            for block in text.blocks
        ),
        request=record_from_object(AccessRequest, text.request),
        signature=from_hex(text.signature, SIGNATURE_LENGTH),
        sequence=text.sequence,
        head_before=from_hex(text.head_before, _HASH),
        approval=None
        if text.approval is None
        else Approval(from_hex(text.approval.signer), from_hex(text.approval.signature)),
        statement=text.statement,
        link=None
        if text.link is None
        else SignedLink(
            record_from_object(SubjectLink, text.link.link),
            from_hex(text.link.signature, SIGNATURE_LENGTH),
        ),
        release=None if text.release is None else _release(text.release),
    )


def _release(text: _Release) -> EvidenceRelease:
    return EvidenceRelease(
        publication=text.publication,
        records=tuple(_record(record) for record in text.records),
        proof=decode_proof(bytes(text.proof)),
    )


def _record(text: _Record) -> EvidenceRecord:
    fields = None
    if text.fields is not None:
        fields = tuple(
            RevealedField(field.index, field.value, from_hex(field.salt, _HASH))
            for field in text.fields
        )
    excerpt = decode_excerpt(bytes(text.record))
    if any(each is not None for each in excerpt.ciphertexts):
        raise EvidenceCheckError(Check.FORM, "evidence has no ciphertexts")
    return EvidenceRecord(excerpt, fields)
