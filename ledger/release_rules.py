"""The rules of a release beside the decision: pure, for keyholders, the SDK, evidence and replay.

    verify_recorded     the access on chain is this very request, and was allowed
    verify_signed       the consumer signed it
    verify_basis        its basis is the consumer's, and about the dataset
    find_stop           no act on chain stands against it
    verify_fresh        the publication was there, and the newest, when it was recorded
    verify_records    the records are in the publication
    verify_covered      they are those that the access covers
    verify_link         they are the authorizing person's

A rule that is broken raises `ReleaseRefusedError` with its reason. Each party asks its own source (a keyholder its
fold over the chain, the SDK its node, evidence the receipts in the file) and hands in what that says.

The chain decided when the access was recorded. A release comes later, and may come again; so
whoever releases looks once more, at one block and at nothing after it. Only acts count: an end that
was set from the start and has passed meanwhile does not, nor do uses and intervals, which this very
access used. An act that ends by itself or can be taken back (a restriction, a freeze, a closing
order) counts while it stands.

Source: PROMISES 1; docs/spec/custody.md "Release window".
"""

from collections.abc import Collection, Sequence
from enum import Enum, StrEnum
from typing import Final

import msgspec

from ledger.chain.events.identifiers import agreement_id
from ledger.crypto.merkle import RangeProof, TreeHead
from ledger.crypto.publications import (
    PublicationEntry,
    PublicationProof,
    VerifiedRun,
    verify_proof,
)
from ledger.crypto.signatures import verify_signature
from ledger.errors import LedgerError, SigningError
from ledger.links import LinkBounds, find_link_fault
from ledger.model import (
    ZERO_WORD,
    Agreement,
    Authorization,
    Class,
    Dataset,
    LinkFault,
    Order,
    Outcome,
    Roles,
    State,
    has_role,
)
from ledger.policy import (
    Request,
    all_fields,
    is_closed_by_order,
    is_halted,
    is_shared,
    order_fields,
)
from ledger.typed_data import AccessRequest, Domain, SubjectLink, digest_of

PUBLICATION_LAG: Final = 86_400
"""Seconds for which a superseded publication may still be answered from, unless set otherwise."""


class Reason(Enum):
    """Why a release does not stand: end of a keyholder's problem type, HTTP status, title."""

    ACCESS_NOT_FINAL = ("access-not-final", 503, "The access is in no final block yet")
    RELEASE_OVER = ("release-over", 410, "The release window of the access is over")
    RELEASE_STOPPED = ("release-stopped", 403, "An act on chain stands against the release")
    ACCESS_UNKNOWN = ("access-unknown", 404, "No such access is recorded")
    ACCESS_DENIED = ("access-denied", 403, "The access was denied on chain")
    ACCESS_DIFFERS = ("access-differs", 403, "Another request was recorded")
    SIGNATURE_INVALID = ("signature-invalid", 403, "The consumer did not sign this request")
    BASIS_UNKNOWN = ("basis-unknown", 403, "The basis is not known on chain")
    STATEMENT_WANTED = ("statement-wanted", 409, "The signed record is wanted, once")
    STATEMENT_WRONG = ("statement-wrong", 403, "The person did not see what is authorized")
    DATASET_MISMATCH = ("dataset-mismatch", 403, "The basis is for another dataset")
    FIELDS_OUTSIDE = ("fields-outside", 403, "Fields outside the basis")
    PUBLICATION_UNKNOWN = ("publication-unknown", 403, "The dataset has no such publication")
    PUBLICATION_LATER = ("publication-later", 403, "Published after the access")
    PUBLICATION_SUPERSEDED = ("publication-superseded", 403, "A newer publication was there")
    PROOF_INVALID = ("proof-invalid", 403, "The records are not in the publication")
    RECORDS_MISSING = ("records-missing", 403, "Not all of the records that the access covers")
    RECORD_UNPROVEN = ("record-unproven", 403, "A record is not the published one")
    ITEM_MISMATCH = ("item-mismatch", 403, "Another record than the access names")
    OWNER_MISMATCH = ("owner-mismatch", 403, "Somebody else's record")
    LINK_MISSING = ("link-missing", 403, "Nothing ties the records to the subject")
    LINK_INVALID = ("link-invalid", 403, "The link is none of the subject's identity authority")
    LINK_OVER = ("link-over", 403, "The link is over")
    LINK_MISMATCH = ("link-mismatch", 403, "The link is for another subject or dataset")
    RECORD_ERASED = ("record-erased", 410, "The record was erased")
    EPOCH_UNKNOWN = ("epoch-unknown", 503, "The keyholder has no seeds of the record's epoch")
    KEY_MISMATCH = ("key-mismatch", 403, "The request is not to be answered to this key")
    KEY_UNUSABLE = ("key-unusable", 409, "Nothing can be sealed to the key")

    def __init__(self, slug: str, status: int, title: str) -> None:
        self.slug = slug
        self.status = status
        self.title = title


class ReleaseRefusedError(LedgerError):
    """A rule is broken; `reason` says which."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Basis(msgspec.Struct, frozen=True):
    """An authorization, an agreement, an order, or a dataset that is open."""

    dataset: bytes
    fields: int
    """Most fields that it opens, as a mask."""
    subject: bytes | None = None
    """Who consented; None for data about nobody."""
    consumer: bytes | None = None
    """Whose authorization it is; None for bases without a person."""
    item: bytes = ZERO_WORD
    """Root of the one record that it covers; zero for all."""


class Stop(StrEnum):
    """Why an access that was allowed is not released any more, or not now."""

    ACCESS_VOIDED = "the access was voided"
    CONSUMER_WITHDRAWN = "the consumer was withdrawn"
    CONSUMER_RESTRICTED = "the consumer is restricted"
    AUTHORIZATION_REVOKED = "the authorization was revoked"
    SUBJECT_HALTED = "the subject is frozen, closed, under recovery, or was recovered since"
    AGREEMENT_WITHDRAWN = "the agreement was withdrawn"
    AGREEMENT_SUSPENDED = "the agreement is suspended"
    ORDER_ENDED = "the order was ended"
    DATASET_CLOSED = "the dataset was withdrawn or closed"
    FIELDS_NARROWED = "the agreement does not cover the fields any more"
    BASIS_UNKNOWN = "the basis is not on chain"


def find_stop(state: State, use: Request, sequence: int, timestamp: int) -> Stop | None:
    """Return what stands against the access with this number on chain, None when nothing does.

    Judged by the state after all events up to a block, at that block's time.
    """
    if (use.basis, sequence) in state.voided:
        return Stop.ACCESS_VOIDED
    party = state.parties.get(use.consumer)
    if party is None or not has_role(party, Roles.CONSUMER):
        return Stop.CONSUMER_WITHDRAWN
    if party.restricted_until > timestamp:
        return Stop.CONSUMER_RESTRICTED
    authorization = state.authorizations.get(use.basis)
    if authorization is not None:
        return _authorization_stop(authorization, use.fields, timestamp)
    agreement = state.agreements.get(use.basis)
    if agreement is not None:
        return _agreement_stop(agreement, use.fields, timestamp)
    order = state.orders.get(use.basis)
    if order is not None:
        return _order_stop(state, order, use, timestamp)
    dataset = state.datasets.get(use.basis)
    return Stop.BASIS_UNKNOWN if dataset is None else _dataset_stop(dataset, timestamp)


def _authorization_stop(authorization: Authorization, fields: int, timestamp: int) -> Stop | None:
    if authorization.revoked:
        return Stop.AUTHORIZATION_REVOKED
    if is_halted(authorization):
        return Stop.SUBJECT_HALTED
    if authorization.terms.round != authorization.terms.agreement.round:
        return Stop.AGREEMENT_WITHDRAWN
    return _agreement_stop(authorization.terms.agreement, fields, timestamp)


def _agreement_stop(agreement: Agreement, fields: int, timestamp: int) -> Stop | None:
    if not is_shared(agreement.dataset, timestamp):
        return Stop.DATASET_CLOSED
    if agreement.withdrawn:
        return Stop.AGREEMENT_WITHDRAWN
    if agreement.suspended_until > timestamp:
        return Stop.AGREEMENT_SUSPENDED
    return Stop.FIELDS_NARROWED if fields & ~agreement.fields else None


def _order_stop(state: State, order: Order, use: Request, timestamp: int) -> Stop | None:
    dataset = state.datasets[order.dataset]
    # The order opens what the class closes, so the class does not count here; a later order does.
    if dataset.withdrawn or is_closed_by_order(dataset, timestamp):
        return Stop.DATASET_CLOSED
    if order.ended:
        return Stop.ORDER_ENDED
    if order.sharing == Class.CONDITIONAL:
        agreement = state.agreements.get(agreement_id(use.consumer, order.dataset, order.purpose))
        if agreement is None or agreement.withdrawn:
            return Stop.AGREEMENT_WITHDRAWN
        if agreement.suspended_until > timestamp:
            return Stop.AGREEMENT_SUSPENDED
        return Stop.FIELDS_NARROWED if use.fields & ~agreement.fields else None
    return None


def _dataset_stop(dataset: Dataset, timestamp: int) -> Stop | None:
    is_open = dataset.sharing == Class.UNCONDITIONAL and is_shared(dataset, timestamp)
    return None if is_open else Stop.DATASET_CLOSED


# What was released


def find_basis(state: State, basis: bytes) -> Basis | None:
    """Return what an id stands for in a state of the chain."""
    authorization = state.authorizations.get(basis)
    if authorization is not None:
        terms = authorization.terms
        return Basis(
            dataset=terms.agreement.dataset.id,
            fields=terms.fields,
            subject=authorization.subject.id,
            consumer=terms.agreement.consumer,
            item=authorization.item,
        )
    agreement = state.agreements.get(basis)
    if agreement is not None:
        return Basis(agreement.dataset.id, agreement.fields)
    order = state.orders.get(basis)
    if order is not None:
        return Basis(order.dataset, order_fields(state, order))
    dataset = state.datasets.get(basis)
    return None if dataset is None else Basis(dataset.id, all_fields(dataset))


def verify_recorded(access: bytes, recorded: bytes, outcome: Outcome) -> None:
    """Check ids of accesses: the one recorded is the request's, and was allowed; else `ReleaseRefusedError`."""
    if recorded != access:
        raise ReleaseRefusedError(Reason.ACCESS_DIFFERS, "the access at this place is another one")
    if outcome is not Outcome.ALLOWED:
        raise ReleaseRefusedError(Reason.ACCESS_DENIED, f"decided as {outcome.title}")


def verify_signed(
    request: AccessRequest, access: bytes, signature: bytes, access_log: Domain
) -> bytes:
    """Return the digest that the consumer signed, of a request with this id; else `ReleaseRefusedError`."""
    signed = digest_of(access, access_log)
    try:
        verify_signature(signed, signature, request.consumer)
    except SigningError as error:
        raise ReleaseRefusedError(Reason.SIGNATURE_INVALID, str(error)) from error
    return signed


def verify_basis(basis: Basis | None, request: AccessRequest, dataset: bytes) -> Basis:
    """Return a request's basis if it is the consumer's and about the dataset; else `ReleaseRefusedError`."""
    if basis is None:
        raise ReleaseRefusedError(
            Reason.BASIS_UNKNOWN, "no authorization, agreement, order or dataset"
        )
    if basis.consumer not in (None, request.consumer):
        raise ReleaseRefusedError(Reason.BASIS_UNKNOWN, "the authorization is another consumer's")
    if basis.dataset != dataset:
        raise ReleaseRefusedError(Reason.DATASET_MISMATCH, "the basis is for another dataset")
    return basis


def item_covered(request: Request, basis: Basis) -> bytes:
    """Return the record that an access is for, its own or its basis's; zero for all that the basis covers.

    Raises:
        ReleaseRefusedError: They name two.
    """
    if ZERO_WORD not in (basis.item, request.item) and basis.item != request.item:
        raise ReleaseRefusedError(Reason.ITEM_MISMATCH, "the authorization is for another record")
    return basis.item if request.item == ZERO_WORD else request.item


class Times(msgspec.Struct, frozen=True):
    """A publication on chain: block number and log index, and when the next version came, if it did."""

    place: tuple[int, int]
    superseded_at: int | None


def verify_fresh(
    version: int, published: Times, place: tuple[int, int], recorded_at: int, lag: int
) -> None:
    """Check that a publication was there before an access, and then the newest.

    For `lag` seconds it may have been superseded: a gateway needs time to serve a new one.

    Raises:
        ReleaseRefusedError: It was not.
    """
    if published.place >= place:
        raise ReleaseRefusedError(
            Reason.PUBLICATION_LATER, f"version {version} came after the access"
        )
    superseded_at = published.superseded_at
    if superseded_at is not None and recorded_at - superseded_at > lag:
        age = recorded_at - superseded_at
        raise ReleaseRefusedError(
            Reason.PUBLICATION_SUPERSEDED,
            f"version {version} had been superseded for {age} s when the access was recorded",
        )


def verify_link(
    link: SubjectLink, signer: bytes, basis: Basis, bounds: LinkBounds, at: int
) -> bytes:
    """Return the owner that a link ties to the person who consented; else `ReleaseRefusedError`."""
    if (link.subject, link.dataset) != (basis.subject, basis.dataset):
        raise ReleaseRefusedError(
            Reason.LINK_MISMATCH, "the link is for another subject or dataset"
        )
    fault = find_link_fault(link, signer, bounds, at)
    if fault is not None:
        reason = Reason.LINK_OVER if fault is LinkFault.OVER else Reason.LINK_INVALID
        raise ReleaseRefusedError(reason, fault.value)
    return link.owner


def verify_records(
    entries: Sequence[PublicationEntry],
    proof: PublicationProof,
    head: TreeHead,
    *,
    may_be_none: bool,
) -> VerifiedRun:
    """Return the run that a proof shows, once each record is in it, and only once.

    Args:
        entries: of the records.
        proof: of the run.
        head: of the publication, from the chain.
        may_be_none: nothing is asked for by name or owner, so an empty part of the publication will do.

    Raises:
        ReleaseRefusedError: The run, or a record, is not in the publication.
    """
    if may_be_none and not entries and isinstance(proof, RangeProof):
        return VerifiedRun(0, head.size, ())  # an empty publication, or all of a page was erased
    try:
        run = verify_proof(proof, entries, head)
    except LedgerError as error:
        raise ReleaseRefusedError(Reason.PROOF_INVALID, str(error)) from error
    published = set(run.entries)
    for entry in entries:
        if entry not in published:
            raise ReleaseRefusedError(
                Reason.RECORD_UNPROVEN,
                f"record {entry.number} is not in the proof, or is there twice",
            )
        published.remove(entry)
    return run


class Coverage(msgspec.Struct, frozen=True):
    """Which records an access covers beside those that are there."""

    complete: bool
    """Whether there are certainly no more than these and the missing ones."""
    missing: tuple[PublicationEntry, ...] = ()
    """Of a complete run: each must have been erased."""

    def verify_erased(self, erased: Collection[bytes]) -> None:
        """Check that missing records were erased, by the roots of those that were; else `ReleaseRefusedError`."""
        for entry in self.missing:
            if entry.root not in erased:
                raise ReleaseRefusedError(
                    Reason.RECORDS_MISSING, f"record {entry.number} is left out, and was not erased"
                )


def verify_covered(
    entries: Sequence[PublicationEntry], run: VerifiedRun, item: bytes, owner: bytes | None
) -> Coverage:
    """Check that published records are those that an access covers.

    Args:
        entries: of the records.
        run: in which they are.
        item: root of the one record that the access is for; zero for all that the basis covers.
        owner: whose records they must be; None for data about nobody, or where it is not known.

    Raises:
        ReleaseRefusedError: They are not.
    """
    if owner is not None and any(entry.owner != owner for entry in entries):
        raise ReleaseRefusedError(Reason.OWNER_MISMATCH, "a record is not the subject's")
    if item != ZERO_WORD:
        if [entry.root for entry in entries] != [item]:
            raise ReleaseRefusedError(
                Reason.ITEM_MISMATCH, "not exactly the record that the access names"
            )
        return Coverage(complete=True)
    if owner is None and len(run.entries) != run.size:
        return Coverage(complete=False)
    try:
        covered = run.entries if owner is None else run.of_owner(owner)
    except LedgerError as error:
        raise ReleaseRefusedError(Reason.PROOF_INVALID, str(error)) from error
    there = set(entries)
    return Coverage(complete=True, missing=tuple([e for e in covered if e not in there]))
