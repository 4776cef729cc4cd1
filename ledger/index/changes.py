"""Events that change one row of the index and nothing else."""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from sqlalchemy import Table

from ledger import events as happened
from ledger.events import Event
from ledger.index import tables


class Change(msgspec.Struct, frozen=True):
    """What an event changes in one row."""

    table: Table
    column: str
    """By which the row is found; the event has an attribute `attribute` with its value."""
    attribute: str
    values: Callable[[Any], dict[str, object]]


CHANGES: Final[dict[type[Event], Change]] = {
    happened.PartyWithdrawn: Change(
        tables.parties, "address", "party", lambda _: {"active": False}
    ),
    happened.EncryptionKeySet: Change(
        tables.parties, "address", "party", lambda event: {"encryption_key": event.key}
    ),
    happened.ConsumerRestricted: Change(
        tables.parties,
        "address",
        "consumer",
        lambda event: {
            "restricted_until": event.until,
            "restriction": event.reason,
            "appeal": "",
        },
    ),
    happened.RestrictionAppealed: Change(
        tables.parties, "address", "consumer", lambda event: {"appeal": event.statement}
    ),
    happened.RestrictionLifted: Change(
        tables.parties, "address", "consumer", lambda _: {"restricted_until": 0}
    ),
    happened.DatasetReclassified: Change(
        tables.datasets,
        "id",
        "dataset",
        lambda event: {
            "sharing": int(event.sharing),
            "open": int(event.open),
            "grade": event.grade,
        },
    ),
    happened.DatasetWithdrawn: Change(
        tables.datasets, "id", "dataset", lambda _: {"withdrawn": True}
    ),
    happened.OrderCountersigned: Change(
        tables.orders, "id", "order", lambda _: {"countersigned": True}
    ),
    happened.OrderEnded: Change(
        tables.orders, "id", "order", lambda event: {"ends_at": event.ends_at}
    ),
    happened.OrderReviewed: Change(
        tables.orders,
        "id",
        "order",
        lambda event: {"reviewed": True, "findings": event.findings},
    ),
    happened.PurposeRetired: Change(tables.purposes, "id", "purpose", lambda _: {"active": False}),
    happened.ApplicationDeclined: Change(
        tables.applications,
        "id",
        "application",
        lambda event: {"state": "declined", "reason": event.reason},
    ),
    happened.ConfidentialitySigned: Change(
        tables.applications, "id", "application", lambda _: {"signed": True}
    ),
    happened.AgreementWithdrawn: Change(
        tables.agreements,
        "id",
        "agreement",
        lambda event: {"withdrawn": True, "reason": event.reason},
    ),
    happened.AgreementSuspended: Change(
        tables.agreements,
        "id",
        "agreement",
        lambda event: {
            "suspended_until": event.until,
            "suspension_unseen": True,
            "reason": event.reason,
        },
    ),
    happened.SuspensionReviewed: Change(
        tables.agreements,
        "id",
        "agreement",
        lambda event: {
            "suspended_until": event.until,
            "suspension_unseen": False,
            "reviewed_at": event.block.timestamp,
            "reason": event.findings,
        },
    ),
    happened.SubjectFrozen: Change(
        tables.subjects,
        "id",
        "subject",
        lambda event: {"frozen": True, "liftable_at": event.liftable_at},
    ),
    happened.SubjectUnfrozen: Change(
        tables.subjects, "id", "subject", lambda _: {"frozen": False, "liftable_at": 0}
    ),
    happened.SubjectClosed: Change(
        tables.subjects,
        "id",
        "subject",
        lambda _: {"closed": True, "recovery_at": 0, "pending_signer": b""},
    ),
    happened.SubjectOpened: Change(tables.subjects, "id", "subject", lambda _: {"closed": False}),
    happened.RecoveryStarted: Change(
        tables.subjects,
        "id",
        "subject",
        lambda event: {
            "recovery_at": event.effective_at,
            "pending_signer": event.new_signer,
        },
    ),
    happened.RecoveryVetoed: Change(
        tables.subjects, "id", "subject", lambda _: {"recovery_at": 0, "pending_signer": b""}
    ),
}
"""Events that change one row and nothing else."""
