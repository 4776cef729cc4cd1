"""A keyholder's look at a task: pure, chain state and task in, verified release out.

A task is the gateway's word, and a gateway may lie. So everything in it is held against the keyholder's
own node, by the rules of `ledger.release_rules`, in this order; each check assumes the ones before it:

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

from dataclasses import dataclass

from ledger.api import ReleaseTask
from ledger.chain.events import Block
from ledger.crypto.hpke import EncryptionKey
from ledger.crypto.records import EncryptedRecord
from ledger.crypto.released_parts import NonceMismatchError, verify_answer_key
from ledger.encoding import Schema
from ledger.errors import LedgerError, MalformedError, SigningError
from ledger.model import ZERO_WORD
from ledger.release_rules import (
    Basis,
    Reason,
    ReleaseRefusedError,
    item_covered,
    verify_basis,
    verify_covered,
    verify_fresh,
    verify_link,
    verify_recorded,
    verify_records,
    verify_signed,
)
from ledger.typed_data import Domain, struct_hash
from wallet.keyholder.chain_state import ChainState, KnownAccess, Publication
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
    signed = verify_signed(request, access, signature, rules.access_log)
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
    owner = None if basis.subject is None else _verify_owner(task, basis, chain, rules, links)
    _verify_records(task, schema, item_covered(request, basis), owner, publication, chain)
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
    verify_recorded(access, recorded.access, recorded.outcome)
    age = newest.timestamp - recorded.timestamp
    if age > rules.release_window:
        raise ReleaseRefusedError(Reason.RELEASE_OVER, f"recorded {age} s ago; {released_for}")
    return recorded


def _verify_basis(task: ReleaseTask, chain: ChainState) -> Basis:
    """Return what the access rests on; of an authorization the person saw what it authorizes."""
    request = task.submission.request
    basis = verify_basis(chain.basis(request.basis), request, task.dataset)
    if basis.subject is None or chain.is_stated(request.basis):
        return basis
    if task.authorization is None:
        raise ReleaseRefusedError(Reason.STATEMENT_WANTED, "its statement was not seen here yet")
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
    place = (recorded.block_number, recorded.log_index)
    verify_fresh(
        *(publication.version, publication.times, place),
        *(recorded.timestamp, rules.publication_lag),
    )
    return publication


def _verify_owner(
    task: ReleaseTask, basis: Basis, chain: ChainState, rules: Rules, links: RememberedLinks
) -> bytes:
    """Return the owner that a link of a pinned identity authority ties to the person who consented."""
    if task.link is None:
        raise ReleaseRefusedError(
            Reason.LINK_MISSING, "an authorization's records need a signed link"
        )
    link = task.link.link
    try:
        signer = links.signer(link, task.link.signature)
    except SigningError as error:
        raise ReleaseRefusedError(Reason.LINK_INVALID, str(error)) from error
    bounds = chain.link_bounds(link.subject)
    owner = verify_link(link, signer, basis, bounds, chain.block.timestamp)
    if signer not in rules.identity_authorities:
        raise ReleaseRefusedError(
            Reason.LINK_INVALID, "signed by no identity authority that is pinned here"
        )
    return owner


def _verify_records(
    task: ReleaseTask,
    schema: Schema,
    item: bytes,
    owner: bytes | None,
    publication: Publication,
    chain: ChainState,
) -> None:
    """Check that the records are published ones, those that the access covers, and not erased."""
    for record in task.records:
        if len(record.leaves) != len(schema.names):
            raise ReleaseRefusedError(
                Reason.RECORD_UNPROVEN, f"record {record.number} has another width"
            )
    entries = [record.entry() for record in task.records]
    may_be_none = owner is None and item == ZERO_WORD
    run = verify_records(entries, task.proof, publication.head, may_be_none=may_be_none)
    coverage, erased = verify_covered(entries, run, item, owner), chain.erased(schema.dataset)
    if owner is not None:  # data about nobody may be asked for in part
        coverage.verify_erased(erased)
    for entry in entries:
        if entry.root in erased:
            raise ReleaseRefusedError(Reason.RECORD_ERASED, f"record {entry.number} was erased")
