"""The rules of a release: pure, chain state and task in, verified release out.

A task is the gateway's word, and a gateway may lie. So everything in it is held against the keyholder's
own node, in this order; each check assumes the ones before it:

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

from ledger.api import ReleaseTask
from ledger.chain.events import Block
from ledger.crypto.hpke import EncryptionKey
from ledger.crypto.merkle import TreeHead
from ledger.crypto.publications import OwnerProof, PublicationEntry, PublicationProof, verify_proof
from ledger.crypto.records import EncryptedRecord
from ledger.crypto.released_parts import NonceMismatchError, verify_answer_key
from ledger.crypto.signatures import verify_signature
from ledger.encoding import Schema
from ledger.errors import LedgerError, MalformedError, SigningError
from ledger.hexstr import ZERO_WORD
from ledger.links import find_link_fault
from ledger.model import LinkFault, Outcome
from ledger.release_rules import item_asked, seconds_superseded
from ledger.typed_data import Domain, digest_of, struct_hash
from wallet.keyholder.chain_state import (
    AuthorizationBasis,
    Basis,
    ChainState,
    KnownAccess,
    Publication,
)
from wallet.keyholder.errors import Reason, ReleaseRefusedError
from wallet.links import RememberedLinks


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings of the checks.

    Attributes:
        access_log: EIP-712 domain of access requests.
        release_window: Seconds after its block, in block times, in which an access is released.
        publication_lag: Seconds, see `ledger.release_rules.PUBLICATION_LAG`.
        identity_authorities: Those whose links are believed, by the keyholder's own settings.
    """

    access_log: Domain
    release_window: int
    publication_lag: int
    identity_authorities: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class VerifiedRelease:
    access: bytes
    """Id of the access, 32 bytes."""
    digest: bytes
    """The consumer signed it, and the sealed parts are bound to it; 32 bytes."""
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
    task: ReleaseTask, chain: ChainState, rules: Rules, links: RememberedLinks
) -> VerifiedRelease:
    """Return what a task's access entitles its consumer to.

    Raises:
        ReleaseRefusedError: A check failed; `reason` says which.
    """
    request, signature = task.submission.request, task.submission.signature
    access = struct_hash(request)
    recorded = _verify_recorded(task, access, chain, rules)
    basis = _verify_basis(task, chain)
    signed = digest_of(access, rules.access_log)
    try:
        verify_signature(signed, signature, request.consumer)
    except SigningError as error:
        raise ReleaseRefusedError(Reason.SIGNATURE_INVALID, str(error)) from error
    try:
        # The recorded nonce commits to the key: whoever signs again can name no other.
        recipient = verify_answer_key(
            rules.access_log, request.consumer, request.nonce, task.submission.key
        )
    except NonceMismatchError as error:
        raise ReleaseRefusedError(Reason.KEY_MISMATCH, str(error)) from error
    except MalformedError as error:
        raise ReleaseRefusedError(Reason.KEY_UNUSABLE, str(error)) from error
    stop = chain.stop(request, recorded.sequence)
    if stop is not None:
        raise ReleaseRefusedError(Reason.RELEASE_STOPPED, stop)
    schema = chain.schema(basis.dataset)
    if request.fields & ~basis.fields:
        raise ReleaseRefusedError(
            Reason.FIELDS_OUTSIDE, "the request names fields that the basis does not"
        )
    try:
        indices = schema.indices(request.fields)
    except MalformedError as error:
        raise ReleaseRefusedError(Reason.FIELDS_OUTSIDE, str(error)) from error
    publication = verify_publication(task, recorded, chain, rules)
    owner, item = None, request.item
    if isinstance(basis, AuthorizationBasis):
        owner = _verify_link(task, basis, chain, rules, links)
        if ZERO_WORD not in (basis.item, item) and basis.item != item:
            raise ReleaseRefusedError(
                Reason.ITEM_MISMATCH, "the authorization is for another record"
            )
        item = item_asked(item, basis.item)
    _verify_records(task, schema, item, owner, publication.head, chain)
    return VerifiedRelease(
        access=access,
        digest=signed,
        consumer=request.consumer,
        signature=signature,
        fields=request.fields,
        recorded=recorded,
        judged_at=chain.block,
        schema=schema,
        indices=indices,
        publication=publication.version,
        records=task.records,
        recipient=recipient,
    )


def _verify_recorded(
    task: ReleaseTask, access: bytes, chain: ChainState, rules: Rules
) -> KnownAccess:
    """Check that the request is in a final block as it is, allowed, and within its window."""
    place, newest = task.location, chain.block
    if place.block_number > newest.number:
        raise ReleaseRefusedError(Reason.ACCESS_NOT_FINAL, f"final here is block {newest.number}")
    released_for = f"accesses are released for {rules.release_window} s"
    if place.block_number < chain.first_block:
        raise ReleaseRefusedError(Reason.RELEASE_OVER, released_for)
    recorded = chain.access(place.block_number, place.log_index)
    if recorded is None:
        raise ReleaseRefusedError(Reason.ACCESS_UNKNOWN, "there is no access at this place")
    if recorded.access != access:
        raise ReleaseRefusedError(Reason.ACCESS_DIFFERS, "the access at this place is another one")
    if recorded.outcome is not Outcome.ALLOWED:
        raise ReleaseRefusedError(Reason.ACCESS_DENIED, f"decided as {recorded.outcome.title}")
    age = newest.timestamp - recorded.timestamp
    if age > rules.release_window:
        raise ReleaseRefusedError(Reason.RELEASE_OVER, f"recorded {age} s ago; {released_for}")
    return recorded


def _verify_basis(task: ReleaseTask, chain: ChainState) -> Basis:
    """Return what the access rests on; of an authorization the person saw what it authorizes."""
    request = task.submission.request
    basis = chain.basis(request.basis)
    if basis is None:
        raise ReleaseRefusedError(
            Reason.BASIS_UNKNOWN, "no authorization, agreement, order or dataset"
        )
    if isinstance(basis, AuthorizationBasis) and basis.consumer != request.consumer:
        raise ReleaseRefusedError(Reason.BASIS_UNKNOWN, "the authorization is another consumer's")
    if basis.dataset != task.dataset:
        raise ReleaseRefusedError(Reason.DATASET_MISMATCH, "the basis is for another dataset")
    if isinstance(basis, AuthorizationBasis) and not chain.is_stated(request.basis):
        if task.authorization is None:
            raise ReleaseRefusedError(
                Reason.STATEMENT_WANTED, "its statement was not seen here yet"
            )
        try:
            chain.take_statement(request.basis, task.authorization)
        except LedgerError as error:
            # Not the error's own words: the statement holds the bank's case number.
            raise ReleaseRefusedError(
                Reason.STATEMENT_WRONG, "the statement does not say what is authorized"
            ) from error
    return basis


def verify_publication(
    task: ReleaseTask, recorded: KnownAccess, chain: ChainState, rules: Rules
) -> Publication:
    """Check that the dataset had this publication when the access was recorded, as its newest.

    Raises:
        ReleaseRefusedError: It had not.
    """
    publication = chain.publication(task.dataset, task.publication)
    if publication is None:
        raise ReleaseRefusedError(
            Reason.PUBLICATION_UNKNOWN, f"there is no version {task.publication}"
        )
    version = publication.version
    if publication.place >= (recorded.block_number, recorded.log_index):
        raise ReleaseRefusedError(
            Reason.PUBLICATION_LATER, f"version {version} came after the access"
        )
    age = seconds_superseded(recorded.timestamp, publication.superseded_at)
    if age > rules.publication_lag:
        raise ReleaseRefusedError(
            Reason.PUBLICATION_SUPERSEDED,
            f"version {version} had been superseded for {age} s when the access was recorded",
        )
    return publication


def _verify_link(
    task: ReleaseTask,
    basis: AuthorizationBasis,
    chain: ChainState,
    rules: Rules,
    links: RememberedLinks,
) -> bytes:
    """Check the link between an authorization's subject and the records' owner; return the owner."""
    if task.link is None:
        raise ReleaseRefusedError(
            Reason.LINK_MISSING, "an authorization's records need a signed link"
        )
    link = task.link.link
    if (link.subject, link.dataset) != (basis.subject, basis.dataset):
        raise ReleaseRefusedError(
            Reason.LINK_MISMATCH, "the link is for another subject or dataset"
        )
    try:
        signer = links.signer(link, task.link.signature)
    except SigningError as error:
        raise ReleaseRefusedError(Reason.LINK_INVALID, str(error)) from error
    if signer not in rules.identity_authorities:
        raise ReleaseRefusedError(
            Reason.LINK_INVALID, "signed by no identity authority that is pinned here"
        )
    fault = find_link_fault(link, signer, chain.link_bounds(link.subject), chain.block.timestamp)
    if fault is not None:
        reason = Reason.LINK_OVER if fault is LinkFault.OVER else Reason.LINK_INVALID
        raise ReleaseRefusedError(reason, fault.value)
    return link.owner


def _verify_records(
    task: ReleaseTask,
    schema: Schema,
    item: bytes,
    owner: bytes | None,
    head: TreeHead,
    chain: ChainState,
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
    for record in task.records:
        if len(record.leaves) != len(schema.names):
            raise ReleaseRefusedError(
                Reason.RECORD_UNPROVEN, f"record {record.number} has another width"
            )
    entries = [record.entry() for record in task.records]
    if owner is not None and any(entry.owner != owner for entry in entries):
        raise ReleaseRefusedError(Reason.OWNER_MISMATCH, "a record is not the subject's")
    if not entries and item == ZERO_WORD and owner is None:
        return  # nothing is asked for: the publication is empty, or its records were erased
    complete_for = owner if item == ZERO_WORD else None
    run = _verify_run(task.proof, entries, complete_for, head)
    if complete_for is not None:
        _verify_none_missing(entries, run, schema.dataset, chain)
    if item != ZERO_WORD and [entry.root for entry in entries] != [item]:
        raise ReleaseRefusedError(
            Reason.ITEM_MISMATCH, "not exactly the record that the access names"
        )
    _verify_among(entries, run)
    for entry in entries:
        if chain.is_erased(schema.dataset, entry.root):
            raise ReleaseRefusedError(Reason.RECORD_ERASED, f"record {entry.number} was erased")


def _verify_run(
    proof: PublicationProof,
    entries: Sequence[PublicationEntry],
    complete_for: bytes | None,
    head: TreeHead,
) -> Sequence[PublicationEntry]:
    """Return the run of entries that a proof shows to be in the publication.

    All of an owner's when `complete_for` names one; else the proof's own, or the records themselves.
    """
    if complete_for is not None and not isinstance(proof, OwnerProof):
        raise ReleaseRefusedError(
            Reason.PROOF_INVALID, "a range does not show that these are all records"
        )
    try:
        run = verify_proof(proof, entries, head)
        return run.entries if complete_for is None else run.of_owner(complete_for)
    except LedgerError as error:
        raise ReleaseRefusedError(Reason.PROOF_INVALID, str(error)) from error


def _verify_none_missing(
    entries: Sequence[PublicationEntry],
    run: Sequence[PublicationEntry],
    dataset: bytes,
    chain: ChainState,
) -> None:
    handed_over = {entry.number for entry in entries}
    for entry in run:
        if entry.number not in handed_over and not chain.is_erased(dataset, entry.root):
            raise ReleaseRefusedError(
                Reason.RECORDS_MISSING, f"record {entry.number} is not handed over"
            )


def _verify_among(entries: Sequence[PublicationEntry], run: Sequence[PublicationEntry]) -> None:
    published = {(entry.owner, entry.number): entry.root for entry in run}
    for entry in entries:
        # Taken out once it was met, so that no record counts twice.
        if published.pop((entry.owner, entry.number), None) != entry.root:
            raise ReleaseRefusedError(
                Reason.RECORD_UNPROVEN, f"record {entry.number} is not as published"
            )
