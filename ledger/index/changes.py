"""Events that change one row of the index and nothing else."""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from sqlalchemy import Column, ColumnElement, Table

from ledger.chain import events as happened
from ledger.chain.events import Event
from ledger.index.tables import (
    agreements,
    applications,
    datasets,
    orders,
    parties,
    purposes,
    subjects,
)


class Change(msgspec.Struct, frozen=True):
    """What an event changes in one row."""

    table: Table
    attribute: str
    """Of the event: the row's address or id."""
    values: Callable[[Any], dict[str, object]]

    def row(self, event: Event) -> ColumnElement[bool]:
        """Return the condition that the event's row fulfils."""
        column: Column[bytes] = self.table.c["address" if self.table is parties else "id"]
        id_: bytes = getattr(event, self.attribute)
        return column == id_


CHANGES: Final[dict[type[Event], Change]] = {
    happened.PartyWithdrawn: Change(parties, "party", lambda _: {"active": False}),
    happened.EncryptionKeySet: Change(
        parties, "party", lambda event: {"encryption_key": event.key}
    ),
    happened.ConsumerRestricted: Change(
        parties,
        "consumer",
        lambda event: {
            "restricted_until": event.until,
            "restriction": event.reason,
            "appeal": "",
        },
    ),
    happened.RestrictionAppealed: Change(
        parties, "consumer", lambda event: {"appeal": event.statement}
    ),
    happened.RestrictionLifted: Change(parties, "consumer", lambda _: {"restricted_until": 0}),
    happened.DatasetReclassified: Change(
        datasets,
        "dataset",
        lambda event: {
            "sharing": int(event.sharing),
            "open": int(event.open),
            "grade": event.grade,
        },
    ),
    happened.DatasetWithdrawn: Change(datasets, "dataset", lambda _: {"withdrawn": True}),
    happened.OrderCountersigned: Change(orders, "order", lambda _: {"countersigned": True}),
    happened.OrderEnded: Change(orders, "order", lambda event: {"ends_at": event.ends_at}),
    happened.OrderReviewed: Change(
        orders, "order", lambda event: {"reviewed": True, "findings": event.findings}
    ),
    happened.PurposeRetired: Change(purposes, "purpose", lambda _: {"active": False}),
    happened.ApplicationDeclined: Change(
        applications, "application", lambda event: {"state": "declined", "reason": event.reason}
    ),
    happened.ConfidentialitySigned: Change(applications, "application", lambda _: {"signed": True}),
    happened.AgreementWithdrawn: Change(
        agreements, "agreement", lambda event: {"withdrawn": True, "reason": event.reason}
    ),
    happened.AgreementSuspended: Change(
        agreements,
        "agreement",
        lambda event: {
            "suspended_until": event.until,
            "suspension_unseen": True,
            "reason": event.reason,
        },
    ),
    happened.SuspensionReviewed: Change(
        agreements,
        "agreement",
        lambda event: {
            "suspended_until": event.until,
            "suspension_unseen": False,
            "reviewed_at": event.block.timestamp,
            "reason": event.findings,
        },
    ),
    happened.SubjectFrozen: Change(
        subjects, "subject", lambda event: {"frozen": True, "liftable_at": event.liftable_at}
    ),
    happened.SubjectUnfrozen: Change(
        subjects, "subject", lambda _: {"frozen": False, "liftable_at": 0}
    ),
    happened.SubjectClosed: Change(
        subjects, "subject", lambda _: {"closed": True, "recovery_at": 0, "pending_signer": b""}
    ),
    happened.SubjectOpened: Change(subjects, "subject", lambda _: {"closed": False}),
    happened.RecoveryStarted: Change(
        subjects,
        "subject",
        lambda event: {
            "recovery_at": event.effective_at,
            "pending_signer": event.new_signer,
        },
    ),
    happened.RecoveryVetoed: Change(
        subjects, "subject", lambda _: {"recovery_at": 0, "pending_signer": b""}
    ),
}
