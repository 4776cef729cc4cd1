"""What must hold of a release beside the decision: pure, for keyholders, the SDK, evidence and replay.

The chain decided when the access was recorded. A release comes later, and may come again; so
whoever releases looks once more, at one block and at nothing after it. Only acts count: an end that
was set from the start and has passed meanwhile does not, nor do uses and intervals, which this very
access used. An act that ends by itself or can be taken back (a restriction, a freeze, a closing
order) counts while it stands.

Source: PROMISES 1; docs/spec/custody.md "Release window".
"""

from enum import StrEnum
from typing import Final

from ledger.chain.events.identifiers import agreement_id
from ledger.crypto.publications import OwnerProof, PublicationEntry, PublicationProof, VerifiedRun
from ledger.hexstr import ZERO_WORD
from ledger.model import Agreement, Authorization, Class, Dataset, Order, Roles, State, has_role
from ledger.policy import Request, is_closed_by_order, is_halted, is_shared

PUBLICATION_LAG: Final = 86_400
"""Seconds for which a superseded publication may still be answered from, unless set otherwise."""


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


def item_asked(item: bytes, bound: bytes) -> bytes:
    """Return the record that an access is for: the request's own, or the one of its basis; zero for all."""
    return bound if item == ZERO_WORD else item


def seconds_superseded(recorded_at: int, superseded_at: int | None) -> int:
    """Return for how long a publication had been superseded when an access was recorded; at most 0 for not.

    More than `PUBLICATION_LAG` is too long: a gateway needs time to serve a new one.
    """
    return 0 if superseded_at is None else recorded_at - superseded_at


def expected_records(
    proof: PublicationProof, run: VerifiedRun, owner: bytes | None
) -> tuple[tuple[PublicationEntry, ...], bool]:
    """Return the records that must be there or erased, and whether there are certainly no more.

    Raises:
        LedgerError: A proof for the owner does not reach from before it to after it.
    """
    if isinstance(proof, OwnerProof) and owner is not None:
        return run.of_owner(owner), True
    return run.entries, len(run.entries) == run.size
