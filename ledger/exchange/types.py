"""The messages as others handle them: bytes and structs, no JSON."""

from typing import Final

import msgspec

from ledger.errors import MalformedError
from ledger.merkle import RangeProof, TreeHead
from ledger.publications import OwnerProof
from ledger.records import EncryptedRecord
from ledger.typed_data import AccessRequest, Authorization, SubjectLink

MOST_ACCESSES: Final = 1000
"""Accesses in one submission, and tasks in one question to a keyholder, at most."""

PublicationProof = OwnerProof | RangeProof
"""An owner's whole run with its neighbours; or records next to each other in the publication."""


class TooManyAccessesError(MalformedError):
    """More at once than `MOST_ACCESSES`."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} accesses at once; at most {MOST_ACCESSES}")
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
    """A signed request with the key to which it is to be answered (`ledger.answer_keys`).

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
    """Where an access is on chain."""

    block_number: int
    transaction: bytes
    log_index: int


class ReleaseTask(msgspec.Struct, frozen=True):
    """What a keyholder needs to check one access and to release its parts.

    Attributes:
        submission: The request as the consumer signed it; parts are sealed to its key and to nothing else.
        location: Where the keyholder finds the access on its own node.
        dataset: Of the basis.
        publication: Version that the records are in.
        records: Without ciphertexts: owner, number, epoch, salt and leaves.
        proof: That these are records of the publication, or all of an owner's.
        link: Ties the owner to the authorization's subject; None for data that is not personal.
        authorization: The basis as the person signed it; only for a keyholder that asked for it.
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
    """A keyholder's `ledger.custody.Release`, sealed to the request's key."""

    sealed: bytes
    signed: bytes
    """What the keyholder signed of it before sealing (`ledger.parts_statements.sign_statements`)."""


class Refusal(msgspec.Struct, frozen=True):
    """Why something was not done: a problem (RFC 9457) with a stable `type`."""

    type: str
    title: str
    status: int
    detail: str = ""


class HeldKeys(msgspec.Struct, frozen=True):
    """One keyholder's sealed parts, as the consumer gets them."""

    holder: bytes
    """Address of the keyholder."""
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

    Attributes:
        access: Struct hash of the request, 32 bytes: the access's id.
        sequence: Counted by the contract, from 1, without gaps.
        outcome: Number in `contracts/libraries/Types.sol`; zero is Allowed.
        block_number: Of the final block.
        block_hash: Of the same.
        timestamp: Of the same, seconds since 1970.
        transaction: Its hash.
        log_index: Of the event, in the block.
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
