"""What must hold before a keyholder releases: pure rules, chain and task in, verified release out.

A task is the gateway's word, and a gateway may lie. So everything in it is held against what the
keyholder's own node says, in this order; each check assumes the ones before it:

 1. The request was recorded, in a final block, as this very request, and allowed, and its release
    window is not over.
 2. Its basis is known. If it is an authorization, its statement says what it authorizes: the keyholder wants to
    see it once, and remembers that it was right. Of the text, which holds the bank's case number, nothing is kept.
 3. The consumer signed it, and its nonce commits to the key to which the parts are sealed; the fields asked
    for are within the basis, and no act on chain stands against it.
 4. The publication is one of the basis's dataset, was there before the access, and was then the
    newest (or had been until a moment before: a gateway needs time to serve a new one).
 5. The run of entries is in that publication, by its root and count on chain.
 6. Each record's header and leaves lead to its entry in the run; none was erased.
 7. The records are the ones that the access covers. For an authorization a link ties the records' owner
    to the subject, and all of the owner's records are there. The link is signed by the subject's
    identity authority, which this keyholder has pinned, and counts at the newest block (`ledger.links`).

Whether the consumer may have them was decided on chain, when the access was recorded. What was revoked,
frozen, restricted or withdrawn since then stops it all the same: each release is judged at the newest
block that is known, and what it notes of that block lets others judge it again.

Source: DESIGN 3.4 "A release"; PROMISES 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ledger.answer_keys import NonceMismatchError, verify_answer_key
from ledger.encoding import Schema
from ledger.enumerations import Outcome
from ledger.errors import LedgerError, MalformedError
from ledger.events import WHOLE, Block
from ledger.exchange import PublicationProof, ReleaseTask
from ledger.links import LinkBounds, LinkFault, find_link_fault
from ledger.merkle import TreeHead, verify_range
from ledger.publications import OwnerProof, PublicationEntry, verify_owner, verify_run
from ledger.records import EncryptedRecord
from ledger.release_rules import Stop, Use
from ledger.sealing import EncryptionKey
from ledger.signing import SigningError, verify_signature
from ledger.typed_data import (
    AccessRequest,
    Authorization,
    Domain,
    SubjectLink,
    digest_of,
    struct_hash,
)
from wallet.keyholder.accesses import KnownAccess
from wallet.keyholder.errors import Reason, ReleaseRefusedError


@dataclass(frozen=True, slots=True)
class DatasetBasis:
    """A basis without a person: agreement, order, or the dataset itself."""

    dataset: bytes
    fields: int
    """Most fields that it opens, as a mask."""


@dataclass(frozen=True, slots=True)
class AuthorizationBasis:
    """A person's consent, as the chain holds it."""

    dataset: bytes
    fields: int
    subject: bytes
    consumer: bytes
    item: bytes
    """Root of one record; zero for all of the person's records."""


Basis = DatasetBasis | AuthorizationBasis


@dataclass(frozen=True, slots=True)
class Publication:
    """One version of a dataset.

    Attributes:
        version: From 1.
        head: Count and root.
        place: Block number and log index of its event.
        superseded_at: When the next version was published, seconds since 1970; None for the newest.
    """

    version: int
    head: TreeHead
    place: tuple[int, int]
    superseded_at: int | None


class ChainView(Protocol):
    """What a keyholder knows of the final blocks of its own node. Lookups cost no I/O."""

    @property
    def block(self) -> Block:
        """The newest final block that is known, at which everything is judged."""

    @property
    def first_block(self) -> int:
        """The first block whose accesses are known; those of older ones are out of the window."""

    def access(self, block_number: int, log_index: int) -> KnownAccess | None:
        """Return the access at a place."""

    def stop(self, use: Use, sequence: int) -> Stop | None:
        """Return which act stands against an access in the newest block that is known."""

    def basis(self, basis: bytes) -> Basis | None:
        """Return what an id stands for."""

    def is_stated(self, authorization: bytes) -> bool:
        """Tell whether the statement of an authorization was shown, and is right."""

    def take_statement(self, authorization: bytes, record: Authorization) -> None:
        """Check the signed record of an authorization. Raises `LedgerError` when it is not right."""

    def schema(self, dataset: bytes) -> Schema:
        """Return the fields of a dataset that some basis names."""

    def publication(self, dataset: bytes, version: int) -> Publication | None:
        """Return one version of a dataset."""

    def is_erased(self, dataset: bytes, item: bytes) -> bool:
        """Tell whether a record's tombstone is on chain."""

    def link_bounds(self, subject: bytes) -> LinkBounds:
        """Return which links of a subject count."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the checks depend on beside the chain.

    Attributes:
        access_log: EIP-712 domain of access requests.
        release_window: Seconds after its block, in block times, in which an access is released.
        publication_lag: Seconds, see `ledger.release_rules.PUBLICATION_LAG`.
        identity_authorities: Those whose links are believed, as the keyholder was told itself.
    """

    access_log: Domain
    release_window: int
    publication_lag: int
    identity_authorities: frozenset[bytes]


class LinkSigners(Protocol):
    """Finds out who signed a link."""

    def signer(self, link: SubjectLink, signature: bytes) -> bytes:
        """Return the address. Raises `SigningError` when no account can have signed it."""


@dataclass(frozen=True, slots=True)
class VerifiedRelease:
    """What may be released: these fields of these records, to this consumer, for this access."""

    access: bytes
    """Id of the access, 32 bytes."""
    digest: bytes
    """What the consumer signed, 32 bytes; the sealed parts are bound to it."""
    consumer: bytes
    signature: bytes
    """The consumer's, over `digest`."""
    fields: int
    recorded: KnownAccess
    judged_at: Block
    """The newest final block that was known: nothing up to it stands against the release."""
    schema: Schema
    indices: tuple[int, ...]
    publication: int
    records: tuple[EncryptedRecord, ...]
    recipient: EncryptionKey
    """The key of the request, which alone the parts are sealed to."""


def verify_task(
    task: ReleaseTask, chain: ChainView, rules: Rules, links: LinkSigners
) -> VerifiedRelease:
    """Return what a task's access entitles its consumer to.

    Raises:
        ReleaseRefusedError: A check failed; `reason` says which.
    """
    request = task.submission.request
    access = struct_hash(request)
    recorded = verify_recorded(task, access, chain, rules)
    basis = verify_basis(task, chain)
    if isinstance(basis, AuthorizationBasis):
        verify_stated(task, chain)
    signed = verify_signed(task, access, rules)
    recipient = verify_key(task, rules)
    verify_not_stopped(request, recorded, chain)
    schema = chain.schema(basis.dataset)
    indices = _indices(schema, request.fields, basis)
    publication = verify_publication(task, recorded, chain, rules)
    owner = (
        verify_link(task, basis, chain, rules, links)
        if isinstance(basis, AuthorizationBasis)
        else None
    )
    verify_records(task, schema, _item(request, basis), owner, publication.head, chain)
    return VerifiedRelease(
        access=access,
        digest=signed,
        consumer=request.consumer,
        signature=task.submission.signature,
        fields=request.fields,
        recorded=recorded,
        judged_at=chain.block,
        schema=schema,
        indices=indices,
        publication=publication.version,
        records=task.records,
        recipient=recipient,
    )


def verify_recorded(
    task: ReleaseTask, access: bytes, chain: ChainView, rules: Rules
) -> KnownAccess:
    """Check that the request is in a final block as it is, allowed, and within its window."""
    place, newest = task.location, chain.block
    if place.block_number > newest.number:
        raise _refused(Reason.ACCESS_NOT_FINAL, f"final here is block {newest.number}")
    if place.block_number < chain.first_block:
        raise _refused(Reason.RELEASE_OVER, f"accesses are released for {rules.release_window} s")
    found = chain.access(place.block_number, place.log_index)
    if found is None:
        raise _refused(Reason.ACCESS_UNKNOWN, "there is no access at this place")
    if found.access != access:
        raise _refused(Reason.ACCESS_DIFFERS, "the access at this place is another one")
    if found.outcome is not Outcome.ALLOWED:
        raise _refused(Reason.ACCESS_DENIED, f"decided as {found.outcome.title}")
    age = newest.timestamp - found.timestamp
    if age > rules.release_window:
        raise _refused(
            Reason.RELEASE_OVER,
            f"recorded {age} s ago; accesses are released for {rules.release_window} s",
        )
    return found


def verify_not_stopped(request: AccessRequest, recorded: KnownAccess, chain: ChainView) -> None:
    """Check that no act on chain up to the newest known block stands against the access."""
    stop = chain.stop(request, recorded.sequence)
    if stop is not None:
        raise _refused(Reason.RELEASE_STOPPED, stop)


def verify_signed(task: ReleaseTask, access: bytes, rules: Rules) -> bytes:
    """Check the consumer's signature; return the digest that it is over."""
    signed = digest_of(access, rules.access_log)
    try:
        verify_signature(signed, task.submission.signature, task.submission.request.consumer)
    except SigningError as error:
        raise _refused(Reason.SIGNATURE_INVALID, str(error)) from error
    return signed


def verify_key(task: ReleaseTask, rules: Rules) -> EncryptionKey:
    """Return the key that the recorded nonce commits to: whoever re-signs can name no other."""
    request, key = task.submission.request, task.submission.key
    try:
        return verify_answer_key(rules.access_log, request.consumer, request.nonce, key)
    except NonceMismatchError as error:
        raise _refused(Reason.KEY_MISMATCH, str(error)) from error
    except MalformedError as error:
        raise _refused(Reason.KEY_UNUSABLE, str(error)) from error


def verify_basis(task: ReleaseTask, chain: ChainView) -> Basis:
    """Return what the access rests on."""
    basis = chain.basis(task.submission.request.basis)
    if basis is None:
        raise _refused(Reason.BASIS_UNKNOWN, "no authorization, agreement, order or dataset")
    if isinstance(basis, AuthorizationBasis) and basis.consumer != task.submission.request.consumer:
        raise _refused(Reason.BASIS_UNKNOWN, "the authorization is another consumer's")
    if basis.dataset != task.dataset:
        raise _refused(Reason.DATASET_MISMATCH, "the basis is for another dataset")
    return basis


def verify_stated(task: ReleaseTask, chain: ChainView) -> None:
    """Check that the person saw what is authorized: what the chain holds is the hash of what was seen."""
    authorization = task.submission.request.basis
    if chain.is_stated(authorization):
        return
    if task.authorization is None:
        raise _refused(Reason.STATEMENT_WANTED, "its statement was not seen here yet")
    try:
        chain.take_statement(authorization, task.authorization)
    except LedgerError as error:
        # Not the error's own words: the statement holds the bank's case number.
        raise _refused(
            Reason.STATEMENT_WRONG, "the statement does not say what is authorized"
        ) from error


def verify_publication(
    task: ReleaseTask, recorded: KnownAccess, chain: ChainView, rules: Rules
) -> Publication:
    """Check that the dataset had this publication when the access was recorded, as its newest."""
    found = chain.publication(task.dataset, task.publication)
    if found is None:
        raise _refused(Reason.PUBLICATION_UNKNOWN, f"there is no version {task.publication}")
    if found.place >= (recorded.block_number, recorded.log_index):
        raise _refused(Reason.PUBLICATION_LATER, f"version {found.version} came after the access")
    age = 0 if found.superseded_at is None else recorded.timestamp - found.superseded_at
    if age > rules.publication_lag:
        raise _refused(
            Reason.PUBLICATION_SUPERSEDED,
            f"version {found.version} had been superseded for {age} s when the access was recorded",
        )
    return found


def verify_link(
    task: ReleaseTask,
    basis: AuthorizationBasis,
    chain: ChainView,
    rules: Rules,
    links: LinkSigners,
) -> bytes:
    """Check the link between an authorization's subject and the records' owner; return the owner."""
    if task.link is None:
        raise _refused(Reason.LINK_MISSING, "an authorization's records need a signed link")
    link = task.link.link
    if (link.subject, link.dataset) != (basis.subject, basis.dataset):
        raise _refused(Reason.LINK_MISMATCH, "the link is for another subject or dataset")
    try:
        signer = links.signer(link, task.link.signature)
    except SigningError as error:
        raise _refused(Reason.LINK_INVALID, str(error)) from error
    if signer not in rules.identity_authorities:
        raise _refused(Reason.LINK_INVALID, "signed by no identity authority that is pinned here")
    fault = find_link_fault(link, signer, chain.link_bounds(link.subject), chain.block.timestamp)
    if fault is not None:
        reason = Reason.LINK_OVER if fault is LinkFault.OVER else Reason.LINK_INVALID
        raise _refused(reason, fault.value)
    return link.owner


def verify_records(
    task: ReleaseTask,
    schema: Schema,
    item: bytes,
    owner: bytes | None,
    head: TreeHead,
    chain: ChainView,
) -> None:
    """Check that the records are published ones, and the ones that the access covers.

    Args:
        task: Holds records and proof.
        schema: Of the dataset.
        item: Root of the one record that the access is for; zero for all that the basis covers.
        owner: Whose records they must be; None for data about nobody.
        head: Of the publication, from the chain.
        chain: Says which records were erased.
    """
    entries = [_entry(record, schema) for record in task.records]
    if owner is not None and any(entry.owner != owner for entry in entries):
        raise _refused(Reason.OWNER_MISMATCH, "a record is not the subject's")
    if owner is not None and item == WHOLE:
        run = _verify_owner(task.proof, owner, head)
        _verify_none_missing(entries, run, schema.dataset, chain)
    elif entries or item != WHOLE:
        run = _verify_run(task.proof, entries, head)
    else:
        return  # nothing is asked for: the publication is empty, or what was there was erased
    if item != WHOLE and [entry.root for entry in entries] != [item]:
        raise _refused(Reason.ITEM_MISMATCH, "not exactly the record that the access names")
    _verify_among(entries, run)
    for entry in entries:
        if chain.is_erased(schema.dataset, entry.root):
            raise _refused(Reason.RECORD_ERASED, f"record {entry.number} was erased")


def _entry(record: EncryptedRecord, schema: Schema) -> PublicationEntry:
    if len(record.leaves) != len(schema.names):
        raise _refused(Reason.RECORD_UNPROVEN, f"record {record.number} has another width")
    return record.entry()


def _verify_owner(
    proof: PublicationProof, owner: bytes, head: TreeHead
) -> tuple[PublicationEntry, ...]:
    if not isinstance(proof, OwnerProof):
        raise _refused(Reason.PROOF_INVALID, "a range does not show that these are all records")
    try:
        return verify_owner(proof, owner, head)
    except LedgerError as error:
        raise _refused(Reason.PROOF_INVALID, str(error)) from error


def _verify_run(
    proof: PublicationProof, entries: Sequence[PublicationEntry], head: TreeHead
) -> tuple[PublicationEntry, ...]:
    """Check that a run is in the publication: the records themselves, or the entries of the proof."""
    try:
        if isinstance(proof, OwnerProof):
            return verify_run(proof, head).entries
        verify_range([entry.leaf() for entry in entries], proof, head)
    except LedgerError as error:
        raise _refused(Reason.PROOF_INVALID, str(error)) from error
    return tuple(entries)


def _verify_among(entries: Sequence[PublicationEntry], run: Sequence[PublicationEntry]) -> None:
    published = {(entry.owner, entry.number): entry.root for entry in run}
    for entry in entries:
        # Taken out when found, so that no record counts twice.
        if published.pop((entry.owner, entry.number), None) != entry.root:
            raise _refused(Reason.RECORD_UNPROVEN, f"record {entry.number} is not as published")


def _verify_none_missing(
    entries: Sequence[PublicationEntry],
    run: Sequence[PublicationEntry],
    dataset: bytes,
    chain: ChainView,
) -> None:
    handed_over = {entry.number for entry in entries}
    for entry in run:
        if entry.number not in handed_over and not chain.is_erased(dataset, entry.root):
            raise _refused(Reason.RECORDS_MISSING, f"record {entry.number} is not handed over")


def _item(request: AccessRequest, basis: Basis) -> bytes:
    """Return the one record that the access is for, zero for all that the basis covers."""
    bound = basis.item if isinstance(basis, AuthorizationBasis) else WHOLE
    if WHOLE not in (bound, request.item) and bound != request.item:
        raise _refused(Reason.ITEM_MISMATCH, "the authorization is for another record")
    return request.item if bound == WHOLE else bound


def _indices(schema: Schema, fields: int, basis: Basis) -> tuple[int, ...]:
    if fields & ~basis.fields:
        raise _refused(Reason.FIELDS_OUTSIDE, "the request names fields that the basis does not")
    try:
        return schema.indices(fields)
    except MalformedError as error:
        raise _refused(Reason.FIELDS_OUTSIDE, str(error)) from error


def _refused(reason: Reason, detail: str) -> ReleaseRefusedError:
    return ReleaseRefusedError(reason, detail)
