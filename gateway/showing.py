"""How accesses, events, authorizations and alerts look to people's programs: with names beside ids."""

import json
from dataclasses import dataclass
from typing import Any

from gateway.routes.access_models import (
    AccessShown,
    AlertShown,
    ApplicationShown,
    AuthorizationShown,
    EventShown,
    HistoryEntry,
    LogShown,
    ReleaseState,
    RevocationShown,
)
from gateway.store.alerts import StoredAlert
from gateway.store.authorizations import StoredAuthorization
from gateway.store.releases import access_id
from ledger.enumerations import Outcome
from ledger.events import Log
from ledger.hexes import ZERO_WORD, from_hex, to_hex
from ledger.index.rows import (
    AccessEntry,
    ApplicationEntry,
    AuthorizationEntry,
    EventEntry,
    Snapshot,
)
from ledger.typed_data import record_to_object


@dataclass(frozen=True, slots=True)
class ReleaseStates:
    """What became of accesses after they were recorded.

    Attributes:
        handed_out: Ids of those that this gateway's journal has as handed out.
        open_from: Time from which on an access's release window is open, seconds since 1970.
    """

    handed_out: frozenset[bytes]
    open_from: int

    def of(self, access: bytes, entry: AccessEntry) -> ReleaseState:
        """Return the state of an access."""
        if entry.outcome is not Outcome.ALLOWED:
            return ""
        if access in self.handed_out:
            return "handed-out"
        return "open" if entry.place.timestamp >= self.open_from else "never-handed-out"


class Shower:
    """Shows entries of the index, with the names as of one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def party_name(self, address: bytes) -> str:
        """Return a party's name; empty for an unknown one."""
        found = self._snapshot.parties.get(address)
        return "" if found is None else found.name

    def dataset_title(self, dataset: bytes | None) -> str:
        """Return a dataset's title; empty for an unknown one."""
        found = self._snapshot.datasets.get(dataset or b"")
        return "" if found is None else found.title

    def purpose_code(self, purpose: bytes) -> str:
        """Return a purpose's code; empty for an unknown one."""
        found = self._snapshot.purposes.get(purpose)
        return "" if found is None else found.code

    def access(self, entry: AccessEntry, releases: ReleaseStates) -> AccessShown:
        """Show an access."""
        access = access_id(entry)
        return AccessShown(
            access=to_hex(access),
            sequence=entry.sequence,
            outcome=entry.outcome.title,
            outcome_number=int(entry.outcome),
            release=releases.of(access, entry),
            voided=entry.voided,
            at=entry.place.timestamp,
            consumer=to_hex(entry.consumer),
            consumer_name=self.party_name(entry.consumer),
            basis=to_hex(entry.basis),
            kind=entry.kind,
            dataset=_hex(entry.dataset),
            dataset_title=self.dataset_title(entry.dataset),
            subject=_hex(entry.subject),
            item=_item(entry.item),
            fields=str(entry.fields),
            nonce=str(entry.nonce),
            deadline=entry.deadline,
            block_number=entry.place.block_number,
            block_hash=to_hex(entry.place.block_hash),
            transaction=to_hex(entry.place.transaction),
            log_index=entry.log_index,
        )

    def access_in_history(self, entry: AccessEntry, releases: ReleaseStates) -> HistoryEntry:
        """Show an access to the person whose data it was about."""
        shown = self.access(entry, releases)
        return HistoryEntry(
            kind="access",
            at=shown.at,
            block_number=shown.block_number,
            transaction=shown.transaction,
            subject=shown.subject,
            authorization=shown.basis,
            consumer=shown.consumer,
            consumer_name=shown.consumer_name,
            dataset=shown.dataset,
            dataset_title=shown.dataset_title,
            fields=shown.fields,
            outcome=shown.outcome,
            sequence=shown.sequence,
            access=shown.access,
            release=shown.release,
            voided=shown.voided,
        )

    def event_in_history(self, entry: EventEntry) -> HistoryEntry:
        """Show an event to the person whom it is about."""
        members = _members(entry)
        terms = members.get("terms")
        granted = terms if isinstance(terms, dict) else {}
        consumer = str(members.get("consumer", ""))
        dataset = str(granted.get("dataset", ""))
        sequence = members.get("sequence", 0)
        return HistoryEntry(
            kind=entry.name,
            at=entry.place.timestamp,
            block_number=entry.place.block_number,
            transaction=to_hex(entry.place.transaction),
            subject=str(members.get("subject", "")),
            authorization=str(members.get("authorization", "")),
            consumer=consumer,
            consumer_name=self.party_name(from_hex(consumer)) if consumer else "",
            dataset=dataset,
            dataset_title=self.dataset_title(from_hex(dataset)) if dataset else "",
            fields=str(granted.get("fields", "")),
            sequence=sequence if isinstance(sequence, int) else 0,
        )

    def authorization(
        self, entry: AuthorizationEntry, signed: StoredAuthorization | None
    ) -> AuthorizationShown:
        """Show an authorization."""
        return AuthorizationShown(
            id=to_hex(entry.id),
            authorization=None if signed is None else record_to_object(signed.record),
            subject=to_hex(entry.subject),
            consumer=to_hex(entry.consumer),
            consumer_name=self.party_name(entry.consumer),
            dataset=to_hex(entry.dataset),
            dataset_title=self.dataset_title(entry.dataset),
            item=_item(entry.item),
            purpose=to_hex(entry.purpose),
            purpose_code=self.purpose_code(entry.purpose),
            fields=str(entry.fields),
            not_before=entry.not_before,
            expires_at=entry.expires_at,
            max_uses=entry.max_uses,
            min_interval=entry.min_interval,
            uses=entry.uses,
            last_use=entry.last_use,
            revoked=entry.revoked,
            halted=entry.halted,
            at=entry.place.timestamp,
            transaction=to_hex(entry.place.transaction),
        )

    def application(self, entry: ApplicationEntry) -> ApplicationShown:
        """Show an application."""
        return ApplicationShown(
            application=to_hex(entry.id),
            consumer=to_hex(entry.consumer),
            consumer_name=self.party_name(entry.consumer),
            dataset=to_hex(entry.dataset),
            purpose=to_hex(entry.purpose),
            purpose_code=self.purpose_code(entry.purpose),
            fields=str(entry.fields),
            justification=entry.justification,
            state=entry.state,
            decided=entry.state != "pending",
            reason=entry.reason,
            signed=entry.signed,
            at=entry.place.timestamp,
            transaction=to_hex(entry.place.transaction),
        )

    def alert(self, alert: StoredAlert) -> AlertShown:
        """Show an alert."""
        return AlertShown(
            id=alert.id,
            rule=alert.rule,
            severity=alert.severity,
            consumer=_hex(alert.consumer),
            consumer_name=self.party_name(alert.consumer or b""),
            dataset=_hex(alert.dataset),
            first_sequence=alert.first_sequence,
            last_sequence=alert.last_sequence,
            text=alert.text,
            raised_at=alert.raised_at,
            agreement=_hex(alert.agreement),
            suspended_until=alert.suspended_until,
            transaction=_hex(alert.transaction),
            suspension_refused=alert.suspension_refused or "",
        )


def show_event(entry: EventEntry) -> EventShown:
    """Show an event."""
    return EventShown(
        key=entry.key,
        name=entry.name,
        at=entry.place.timestamp,
        block_number=entry.place.block_number,
        transaction=to_hex(entry.place.transaction),
        log_index=entry.log_index,
        members=_members(entry),
    )


def show_revocation(entry: EventEntry) -> RevocationShown:
    """Show an event that ends or halts authorizations, or lets them go on."""
    members = _members(entry)
    return RevocationShown(
        key=entry.key,
        name=entry.name,
        authorization=str(members.get("authorization", "")),
        subject=str(members.get("subject", "")),
        block_number=entry.place.block_number,
        at=entry.place.timestamp,
        transaction=to_hex(entry.place.transaction),
    )


def show_log(log: Log) -> LogShown:
    """Show a log as a node has it."""
    return LogShown(
        block_number=int(log.block_number, 16),
        block_hash=log.block_hash,
        at=int(log.block_timestamp or "0x0", 16),
        transaction=log.transaction_hash,
        log_index=int(log.log_index, 16),
        topics=list(log.topics),
        data=log.data,
    )


def _members(entry: EventEntry) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(entry.body)
    return found


def _hex(data: bytes | None) -> str:
    return "" if data is None else to_hex(data)


def _item(item: bytes) -> str:
    return "" if item == ZERO_WORD else to_hex(item)
