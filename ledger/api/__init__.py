"""What consumer, gateway and keyholders hand each other for an access, as JSON.

    consumer  -> gateway    Submissions: signed requests with their keys, one or up to `MAX_ACCESSES`
    gateway   -> keyholder  ReleaseTask: the request, where it is on chain, what it is about
    keyholder -> gateway    SealedParts or Refusal, one for each task, in order
    gateway   -> consumer   AccessResult: the access, and the Release or what is in its way

Bytes are 0x strings except ciphertexts and sealed messages, which are base64; EIP-712 records are as
in `ledger.typed_data`, encrypted records as in `ledger.crypto.records`. Only the form is checked here:
signatures, proofs and the chain are for whoever receives it.

The structs are what others handle; how they stand in JSON is in `ledger.api.access` and `.tasks`.

Source: DESIGN 3.4 and 4; docs/spec/http.md.
"""

from collections.abc import Iterable
from typing import Final, TypeVar

import msgspec

from ledger.crypto.merkle import RangeProof, TreeHead
from ledger.crypto.publications import OwnerProof, PublicationEntry, PublicationProof
from ledger.crypto.records import EncryptedRecord, decode_excerpt, encode_line
from ledger.errors import LedgerError, MalformedError
from ledger.hexstr import from_hex, to_hex
from ledger.jsonio import UNREADABLE, JsonError, check_depth
from ledger.typed_data import (
    AccessRequest,
    Authorization,
    JsonScalar,
    SubjectLink,
    record_from_object,
)

MAX_ACCESSES: Final = 1000
"""Accesses in one submission, and tasks in one question to a keyholder, at most."""


class TooManyAccessesError(MalformedError):
    """More at once than `MAX_ACCESSES`."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} accesses at once; at most {MAX_ACCESSES}")
        self.count = count

    def __reduce__(self) -> tuple[type["TooManyAccessesError"], tuple[int]]:
        return type(self), (self.count,)


class Submission(msgspec.Struct, frozen=True):
    """One signed request for an access. The signature (65 bytes) is not checked yet."""

    request: AccessRequest
    signature: bytes


class SignedLink(msgspec.Struct, frozen=True):
    """What ties an owner to a subject, and the identity authority's signature."""

    link: SubjectLink
    signature: bytes


class Consent(msgspec.Struct, frozen=True):
    """What a person signed, as the consumer has it: a gateway that did not relay it may lack it."""

    authorization: Authorization
    """With its statement."""
    link: SignedLink | None = None


class KeyedSubmission(Submission, frozen=True):
    """A signed request with the key to which it is to be answered (`ledger.crypto.released_parts`).

    The request's nonce commits to the key; that is not checked yet.
    """

    key: bytes
    consent: Consent | None = None
    """Of the request's basis, where the consumer brings it."""


class Submissions(msgspec.Struct, frozen=True):
    """What one POST carries: one request by itself, or a list of them."""

    submissions: tuple[KeyedSubmission, ...]
    single: bool


class Location(msgspec.Struct, frozen=True):
    block_number: int
    transaction: bytes
    log_index: int


class ReleaseTask(msgspec.Struct, frozen=True):
    """What a keyholder needs to check one access and to release its parts.

    Parts are sealed to the submission's key and to nothing else; records are without ciphertexts,
    `proof` shows that they are of the publication, or all of an owner's. `link` is None for data
    that is not personal, `authorization` (the basis as the person signed it) is there only for a
    keyholder that asked for it.
    """

    submission: KeyedSubmission
    location: Location
    dataset: bytes
    publication: int
    records: tuple[EncryptedRecord, ...]
    proof: PublicationProof
    link: SignedLink | None
    authorization: Authorization | None = None


class SealedParts(msgspec.Struct, frozen=True):
    """A keyholder's `ledger.crypto.secret_sharing.Release`, sealed to the request's key."""

    sealed: bytes
    signed: bytes
    """What the keyholder signed of it before sealing (`ledger.crypto.released_parts.sign_statements`)."""


class Refusal(msgspec.Struct, frozen=True):
    """Why something was not done: a problem (RFC 9457) with a stable `type`."""

    type: str
    title: str
    status: int
    detail: str = ""


class HeldKeys(msgspec.Struct, frozen=True):
    """One keyholder's sealed parts, as the consumer gets them."""

    holder: bytes
    sealed: bytes
    signed: bytes
    """What the keyholder signed of them; see `SealedParts`."""


class Release(msgspec.Struct, frozen=True):
    """What an allowed access opens: ciphertexts of the granted fields, proofs and sealed parts.

    `head` is what the gateway claims; the chain says what root and count the publication has.
    """

    dataset: bytes
    publication: int
    head: TreeHead
    records: tuple[EncryptedRecord, ...]
    proof: PublicationProof
    keys: tuple[HeldKeys, ...]


class RecordedAccess(msgspec.Struct, frozen=True):
    """One access as the chain has it, allowed or denied.

    `access` is its id, the request's struct hash; `sequence` counts from 1 without gaps; `outcome`
    is a number of contracts/libraries/Types.sol, zero for allowed; block, time (seconds since
    1970), transaction hash and log index are of the event, in a final block.
    """

    access: bytes
    sequence: int
    outcome: int
    block_number: int
    block_hash: bytes
    timestamp: int
    transaction: bytes
    log_index: int


class AccessResult(msgspec.Struct, frozen=True):
    """Answer to one request. Without `recorded` nothing happened; `problem` says why."""

    request: AccessRequest | None
    digest: bytes | None
    recorded: RecordedAccess | None
    release: Release | None
    problem: Refusal | None


# What several messages have in common as JSON

HASH: Final = 32
encoder: Final = msgspec.json.Encoder()

Parsed = TypeVar("Parsed")


class Entry(msgspec.Struct, forbid_unknown_fields=True):
    owner: str
    number: int
    root: str


class OwnerMessage(msgspec.Struct, tag_field="kind", tag="owner", forbid_unknown_fields=True):
    start: int
    size: int
    entries: list[Entry]
    hashes: list[str]


class RangeMessage(msgspec.Struct, tag_field="kind", tag="range", forbid_unknown_fields=True):
    start: int
    end: int
    size: int
    hashes: list[str]


_proofs = msgspec.json.Decoder(OwnerMessage | RangeMessage)
_records = msgspec.json.Decoder(list[msgspec.Raw])


def encode_proof(proof: PublicationProof) -> bytes:
    """Write a proof as JSON.

    {"kind": "owner", "start": 7, "size": 90, "entries": [{"owner", "number", "root"}...], "hashes": [...]}
    {"kind": "range", "start": 7, "end": 8, "size": 90, "hashes": [...]}
    """
    hashes = [to_hex(each) for each in proof.hashes]
    if isinstance(proof, RangeProof):
        return encoder.encode(RangeMessage(proof.start, proof.end, proof.size, hashes))
    entries = [
        Entry(to_hex(entry.owner), entry.number, to_hex(entry.root)) for entry in proof.entries
    ]
    return encoder.encode(OwnerMessage(proof.start, proof.size, entries, hashes))


def decode_proof(data: bytes) -> PublicationProof:
    """Read a proof; `MalformedError` if it is not of this form."""
    return proof_of(parse(_proofs, data))


def proof_of(message: OwnerMessage | RangeMessage) -> PublicationProof:
    try:
        hashes = tuple([from_hex(each, HASH) for each in message.hashes])
        if isinstance(message, RangeMessage):
            return RangeProof(message.start, message.end, message.size, hashes)
        entries = [
            PublicationEntry(from_hex(entry.owner, HASH), entry.number, from_hex(entry.root, HASH))
            for entry in message.entries
        ]
    except LedgerError as error:
        raise MalformedError(f"the proof: {error}") from error
    return OwnerProof(message.start, message.size, tuple(entries), hashes)


def parse(decoder: "msgspec.json.Decoder[Parsed]", data: bytes | msgspec.Raw) -> Parsed:
    """Decode JSON of a known form; `MalformedError` if it has another one."""
    try:
        if isinstance(data, bytes):  # what is raw was part of such
            check_depth(data)
        return decoder.decode(data)
    except (JsonError, *UNREADABLE) as error:
        raise MalformedError(f"not of the form that is asked for: {error}") from error


def read_proof(data: msgspec.Raw) -> PublicationProof:
    """Return a proof that is part of a message. Raises as `decode_proof`."""
    return proof_of(parse(_proofs, data))


def encode_excerpts(records: Iterable[EncryptedRecord]) -> bytes:
    """Write excerpts as a list."""
    return b"[" + b",".join([encode_line(record)[:-1] for record in records]) + b"]"


def read_records(data: msgspec.Raw) -> tuple[EncryptedRecord, ...]:
    """Return a list of excerpts that is part of a message. Raises `MalformedError`."""
    return tuple([decode_excerpt(bytes(record)) for record in parse(_records, data)])


def read_link(
    link: dict[str, JsonScalar] | None, signature: str | None, length: int | None = None
) -> SignedLink | None:
    """Return a link and its signature, if both are there; of `length` bytes, if that is known. Raises `LedgerError`."""
    if link is None and signature is None:
        return None
    if link is None or signature is None:
        raise MalformedError("a link comes with its signature, or neither does")
    return SignedLink(record_from_object(SubjectLink, link), from_hex(signature, length))
