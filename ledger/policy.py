"""The decision: who may access what, when. Pure, and the same as the contracts'.

`decide` is DESIGN 3.3 step by step, the reference for `AccessLog` and `Authorizations.use`; a
property test runs random histories through both. Times are seconds since 1970. A deadline is
inclusive; `expires_at`, `ends_at` and `restricted_until` are exclusive; `not_before` and
`starts_at` are inclusive.

Source: DESIGN 3.3; contracts/AccessLog.sol, Authorizations.sol, Catalogue.sol, Agreements.sol.
"""

from typing import Final, Protocol, TypeAlias

from ledger.chain.events import Accessed
from ledger.chain.events.identifiers import agreement_id
from ledger.errors import LedgerError
from ledger.model import (
    ZERO_WORD,
    Agreement,
    Authorization,
    Class,
    Dataset,
    Order,
    Outcome,
    Roles,
    State,
    Subject,
    has_role,
)
from ledger.typed_data import AccessRequest

_CONSUMER = int(Roles.CONSUMER)

LATEST_START: Final = 86_400
"""Seconds after its block at which an authorization or an order may begin, at most."""

_MIN_TIME_TO_TAKE = 3600

FOR_EVER: Final = 2**64 - 1
"""Until when the current key may sign."""


class OutOfBoundsError(LedgerError):
    """An authorization or application would exceed its purpose or agreement; the message says how."""


Request: TypeAlias = AccessRequest | Accessed
"""A request as it was signed, or as it was recorded: both can be decided."""


def decide(state: State, request: Request, timestamp: int) -> Outcome:
    """Decide a request at a block's time. Nothing is counted: that is for `ledger.state.apply`."""
    consumer = request.consumer
    if state.nonce_used(consumer, request.nonce):
        return Outcome.DUPLICATE_REQUEST
    if request.deadline < timestamp:
        return Outcome.REQUEST_EXPIRED
    party = state.parties.get(consumer)
    if party is None or not party.active or not party.roles & _CONSUMER:
        return Outcome.CONSUMER_INACTIVE
    if party.restricted_until > timestamp:
        return Outcome.CONSUMER_RESTRICTED
    authorization = state.authorizations.get(request.basis)
    if authorization is not None:
        return _decide_authorization(authorization, request, timestamp)
    agreement = state.agreements.get(request.basis)
    if agreement is not None:
        return _decide_agreement(agreement, request, timestamp)
    order = state.orders.get(request.basis)
    if order is not None:
        return _decide_order(state, order, request, timestamp)
    return _decide_dataset(state.datasets.get(request.basis), request, timestamp)


def _decide_authorization(
    authorization: Authorization, request: Request, timestamp: int
) -> Outcome:
    """Personal data: the person's consent, and the agreement behind it."""
    terms = authorization.terms
    outcome = _decide_parties(terms.agreement, request.consumer, timestamp)
    if outcome:
        return outcome
    if terms.round != terms.agreement.round:
        return Outcome.AGREEMENT_INACTIVE
    if timestamp < authorization.not_before:
        return Outcome.NOT_YET_VALID
    if timestamp >= authorization.expires_at:
        return Outcome.EXPIRED
    if authorization.revoked:
        return Outcome.REVOKED
    if is_halted(authorization):
        return Outcome.FROZEN
    # An authorization for one record covers nothing else, so asking for all is asking for that one.
    if authorization.item != ZERO_WORD and request.item not in (ZERO_WORD, authorization.item):
        return Outcome.ITEM_EXCEEDED
    if request.fields & ~(terms.fields & terms.agreement.fields):
        return Outcome.FIELDS_EXCEEDED
    if authorization.last_use and timestamp < authorization.last_use + authorization.min_interval:
        return Outcome.TOO_SOON
    return Outcome.ALLOWED if authorization.uses_left else Outcome.USES_EXHAUSTED


def _decide_agreement(agreement: Agreement, request: Request, timestamp: int) -> Outcome:
    """Conditional data that is not personal: the agreement itself."""
    if agreement.dataset.personal:
        return Outcome.UNKNOWN_BASIS
    outcome = _decide_parties(agreement, request.consumer, timestamp)
    return outcome or _within(request.fields, agreement.fields)


def _decide_parties(agreement: Agreement, consumer: bytes, timestamp: int) -> Outcome:
    """Steps 5 to 7: whose agreement it is, whether the dataset is shared, whether it counts."""
    if agreement.consumer != consumer:
        return Outcome.CONSUMER_MISMATCH
    if not is_shared(agreement.dataset, timestamp):
        return Outcome.DATASET_INACTIVE
    return Outcome.ALLOWED if is_agreed(agreement, timestamp) else Outcome.AGREEMENT_INACTIVE


def _decide_order(state: State, order: Order, request: Request, timestamp: int) -> Outcome:
    """An emergency order opens its dataset, as far as its purpose may: to everybody, or to those with an agreement."""
    dataset = state.datasets[order.dataset]
    closed = order.sharing == Class.NOT_SHARED or is_closed_by_order(dataset, timestamp)
    if dataset.withdrawn or closed or not is_in_force(order, timestamp):
        return Outcome.DATASET_INACTIVE
    fields = order_fields(state, order)
    if order.sharing == Class.CONDITIONAL:
        id_ = agreement_id(request.consumer, order.dataset, order.purpose)
        agreement = state.agreements.get(id_)
        if agreement is None or not is_agreed(agreement, timestamp):
            return Outcome.AGREEMENT_INACTIVE
        fields &= agreement.fields
    return _within(request.fields, fields)


def _decide_dataset(dataset: Dataset | None, request: Request, timestamp: int) -> Outcome:
    """Unconditional data: the dataset itself."""
    if dataset is None or dataset.sharing == Class.CONDITIONAL:
        return Outcome.UNKNOWN_BASIS
    if not is_shared(dataset, timestamp):
        return Outcome.DATASET_INACTIVE
    return _within(request.fields, all_fields(dataset))


def _within(fields: int, bound: int) -> Outcome:
    return Outcome.FIELDS_EXCEEDED if fields & ~bound else Outcome.ALLOWED


# Conditions by name


def all_fields(dataset: Dataset) -> int:
    return (1 << len(dataset.fields)) - 1


def lapse_of(effective_at: int, admission_delay: int) -> int:
    """Return when (exclusive) what was announced in the registry can be taken no more."""
    return effective_at + max(admission_delay, _MIN_TIME_TO_TAKE)


def is_pending(effective_at: int, admission_delay: int, now: int) -> bool:
    """Say whether what was announced did not lapse yet; `effective_at` is zero for nothing."""
    return effective_at > 0 and now < lapse_of(effective_at, admission_delay)


def order_fields(state: State, order: Order) -> int:
    """Return the fields that an order opens: of those that it names, what its purpose may use."""
    purpose = state.purposes.get(order.purpose)
    bound = 0 if purpose is None else purpose.fields.get(order.dataset, 0)
    return order.fields & bound


class OrderPeriod(Protocol):
    """`Order` has these attributes, and so has the index's entry."""

    @property
    def sharing(self) -> Class: ...

    @property
    def countersigned(self) -> bool: ...

    @property
    def starts_at(self) -> int: ...

    @property
    def ends_at(self) -> int: ...


def is_in_force(order: Order, timestamp: int) -> bool:
    """Whether an order counts: it closes or is countersigned, has started and not ended."""
    effective = order.countersigned or order.sharing == Class.NOT_SHARED
    return effective and order.starts_at <= timestamp < order.ends_at


def was_in_force(order: OrderPeriod) -> bool:
    """Whether an order that is over ever counted, as far as its review goes.

    One that nobody countersigned, or that ended before its start, did not: it needs no review, and nobody can give it one.
    """
    effective = order.countersigned or order.sharing == Class.NOT_SHARED
    return effective and order.starts_at <= order.ends_at


def is_closed_by_order(dataset: Dataset, timestamp: int) -> bool:
    order = dataset.last_closing
    return order is not None and is_in_force(order, timestamp)


def is_shared(dataset: Dataset, timestamp: int) -> bool:
    """Whether a dataset is not withdrawn and neither its class nor an order in force closes it."""
    if dataset.withdrawn or dataset.sharing == Class.NOT_SHARED:
        return False
    return not is_closed_by_order(dataset, timestamp)


def is_agreed(agreement: Agreement, timestamp: int) -> bool:
    """Whether an agreement is not withdrawn, not expired, not suspended, and its confidentiality signed."""
    return (
        not agreement.withdrawn
        and agreement.expires_at > timestamp
        and agreement.suspended_until <= timestamp
        and agreement.application.signed
    )


def is_halted(authorization: Authorization) -> bool:
    """Whether the subject is halted, or has not confirmed the authorization since a recovery."""
    subject = authorization.subject
    return is_subject_halted(subject) or subject.epoch != authorization.epoch


def is_subject_halted(subject: Subject) -> bool:
    """Whether a subject is frozen, closed or under recovery."""
    return subject.frozen or subject.closed or subject.recovery_at != 0


def consent_until(subject: Subject, signer_hash: bytes) -> int:
    """Return until when (exclusive) a signer may consent for a subject; zero for not at all."""
    if signer_hash == subject.signer_hash:
        return FOR_EVER
    guardian = subject.guardians.get(signer_hash)
    current = guardian is not None and guardian.era == len(subject.era_ends)
    return guardian.consent_until if guardian is not None and current else 0


def stop_until(subject: Subject, signer_hash: bytes, recovery_delay: int) -> int:
    """Return until when (exclusive) a signer may stop for a subject; zero for not at all."""
    if signer_hash == subject.signer_hash:
        return FOR_EVER
    as_guardian = guardian_stop_until(subject, signer_hash, recovery_delay)
    return max(subject.replaced.get(signer_hash, 0), as_guardian)


def guardian_stop_until(subject: Subject, signer_hash: bytes, recovery_delay: int) -> int:
    """Return until when (exclusive) a guardian, or one who was, may stop for a subject."""
    guardian = subject.guardians.get(signer_hash)
    if guardian is None:
        return 0
    if guardian.era == len(subject.era_ends):
        return guardian.stop_until
    return min(guardian.stop_until, subject.era_ends[guardian.era] + recovery_delay)


def liftable_after(
    subject: Subject, signer_hash: bytes, timestamp: int, recovery_delay: int
) -> int:
    """Return when the current key may lift a freeze that a signer sets now."""
    if is_replaced(subject, signer_hash, timestamp):
        return subject.replaced[signer_hash]
    return timestamp + recovery_delay


def is_registrar_active(state: State, subject: Subject) -> bool:
    """Whether who registered a subject is an identity authority now: what it started is anybody's to complete."""
    return has_role(state.parties.get(subject.registrar), Roles.IDENTITY_AUTHORITY)


def may_be_completed(state: State, subject: Subject) -> bool:
    """Whether somebody may complete a due recovery: while the registrar is withdrawn, its successor."""
    successor = state.parties.get(state.successors.get(subject.registrar, b""))
    return is_registrar_active(state, subject) or has_role(successor, Roles.IDENTITY_AUTHORITY)


def is_replaced(subject: Subject, signer_hash: bytes, timestamp: int) -> bool:
    """Whether a signer is a replaced key in its stop time, which it keeps as a guardian too."""
    return signer_hash != subject.signer_hash and subject.replaced.get(signer_hash, 0) > timestamp


def may_lift_own(subject: Subject, signer_hash: bytes, timestamp: int) -> bool:
    """Whether a signer may lift at once what it froze; asked when it freezes and when it lifts.

    A thief could make a replaced key current once more, or a guardian, and lift with it.
    """
    consents = consent_until(subject, signer_hash) > timestamp
    return consents and not is_replaced(subject, signer_hash, timestamp)


def may_lift(subject: Subject, signer_hash: bytes, timestamp: int) -> bool:
    """Whether a signer may lift the subject's freeze: who froze at once, the current key once it is liftable."""
    if signer_hash == subject.frozen_by and may_lift_own(subject, signer_hash, timestamp):
        return True
    return signer_hash == subject.signer_hash and subject.liftable_at <= timestamp


def require_within_purpose(state: State, purpose: bytes, dataset: bytes, fields: int) -> None:
    """Check that fields of a dataset can be asked for under a purpose; else `OutOfBoundsError`."""
    bounds = state.purposes.get(purpose)
    if bounds is None or not bounds.active:
        raise OutOfBoundsError("the purpose is unknown or retired")
    if not fields:
        raise OutOfBoundsError("no field is asked for")
    if fields & ~bounds.fields.get(dataset, 0):
        raise OutOfBoundsError("a field is outside of what the purpose may use of the dataset")


def require_within_bounds(
    state: State,
    *,
    consumer: bytes,
    dataset: bytes,
    purpose: bytes,
    fields: int,
    validity: int,
    max_uses: int,
    min_interval: int,
    timestamp: int,
) -> Agreement:
    """Return the agreement behind an authorization that can be granted on these terms now.

    Raises:
        OutOfBoundsError: purpose or agreement do not allow it; the message says which bound.
    """
    require_within_purpose(state, purpose, dataset, fields)
    bounds = state.purposes[purpose]
    if validity > bounds.max_validity:
        raise OutOfBoundsError(f"valid for {validity} s; at most {bounds.max_validity}")
    if not 0 < max_uses <= bounds.max_uses:
        raise OutOfBoundsError(f"{max_uses} uses; 1 to {bounds.max_uses}")
    if min_interval < bounds.min_interval:
        raise OutOfBoundsError(f"an interval of {min_interval} s; at least {bounds.min_interval}")
    agreement = state.agreements.get(agreement_id(consumer, dataset, purpose))
    if agreement is None or not is_agreed(agreement, timestamp):
        raise OutOfBoundsError("there is no active agreement")
    if fields & ~agreement.fields:
        raise OutOfBoundsError("a field is outside of the agreement")
    return agreement
