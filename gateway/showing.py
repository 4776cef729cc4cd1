"""How accesses, events, authorizations and alerts look to people's programs: with names beside ids."""

import json
from typing import Any

from gateway.routes.access_models import (
    AccessShown,
    AlertShown,
    ApplicationShown,
    AuthorizationShown,
    EventShown,
    RevocationShown,
)
from gateway.store.alerts import StoredAlert
from ledger.entities import NOTHING
from ledger.hexes import to_hex
from ledger.index.rows import (
    AccessEntry,
    ApplicationEntry,
    AuthorizationEntry,
    EventEntry,
    Snapshot,
)
from ledger.typed_data import AccessRequest, struct_hash


class Shower:
    """Shows entries of the index as of one snapshot of names."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def party_name(self, address: bytes) -> str:
        """Return a party's name; empty for an unknown one."""
        found = self._snapshot.parties.get(address)
        return "" if found is None else found.name

    def access(self, entry: AccessEntry) -> AccessShown:
        """Show an access."""
        dataset = self._snapshot.datasets.get(entry.dataset or b"")
        return AccessShown(
            sequence=entry.sequence,
            outcome=int(entry.outcome),
            outcome_title=entry.outcome.title,
            consumer=to_hex(entry.consumer),
            consumer_name=self.party_name(entry.consumer),
            basis=to_hex(entry.basis),
            kind=entry.kind,
            dataset=_hex(entry.dataset),
            dataset_title="" if dataset is None else dataset.title,
            subject=_hex(entry.subject),
            item=_item(entry.item),
            fields=str(entry.fields),
            nonce=str(entry.nonce),
            deadline=entry.deadline,
            timestamp=entry.place.timestamp,
            block_number=entry.place.block_number,
            block_hash=to_hex(entry.place.block_hash),
            transaction=to_hex(entry.place.transaction),
            log_index=entry.log_index,
            access=to_hex(struct_hash(request_of(entry))),
        )

    def authorization(self, entry: AuthorizationEntry, statement: str | None) -> AuthorizationShown:
        """Show an authorization."""
        dataset = self._snapshot.datasets.get(entry.dataset)
        purpose = self._snapshot.purposes.get(entry.purpose)
        return AuthorizationShown(
            authorization=to_hex(entry.id),
            subject=to_hex(entry.subject),
            consumer=to_hex(entry.consumer),
            consumer_name=self.party_name(entry.consumer),
            dataset=to_hex(entry.dataset),
            dataset_title="" if dataset is None else dataset.title,
            item=_item(entry.item),
            purpose=to_hex(entry.purpose),
            purpose_code="" if purpose is None else purpose.code,
            fields=str(entry.fields),
            not_before=entry.not_before,
            expires_at=entry.expires_at,
            max_uses=entry.max_uses,
            min_interval=entry.min_interval,
            uses=entry.uses,
            last_use=entry.last_use,
            revoked=entry.revoked,
            halted=entry.halted,
            statement=statement,
            granted_at=entry.place.timestamp,
            transaction=to_hex(entry.place.transaction),
        )

    def application(self, entry: ApplicationEntry) -> ApplicationShown:
        """Show an application."""
        purpose = self._snapshot.purposes.get(entry.purpose)
        return ApplicationShown(
            application=to_hex(entry.id),
            consumer=to_hex(entry.consumer),
            consumer_name=self.party_name(entry.consumer),
            dataset=to_hex(entry.dataset),
            purpose=to_hex(entry.purpose),
            purpose_code="" if purpose is None else purpose.code,
            fields=str(entry.fields),
            justification=entry.justification,
            state=entry.state,
            reason=entry.reason,
            signed=entry.signed,
            timestamp=entry.place.timestamp,
            transaction=to_hex(entry.place.transaction),
        )

    def alert(self, alert: StoredAlert) -> AlertShown:
        """Show an alert."""
        return AlertShown(
            id=alert.id,
            rule=alert.rule,
            severity=alert.severity,
            consumer=_hex(alert.consumer),
            consumer_name=None if alert.consumer is None else self.party_name(alert.consumer),
            dataset=_hex(alert.dataset),
            first_sequence=alert.first_sequence,
            last_sequence=alert.last_sequence,
            text=alert.text,
            raised_at=alert.raised_at,
            restricted_until=alert.restricted_until,
            transaction=_hex(alert.transaction),
        )


def event(entry: EventEntry) -> EventShown:
    """Show an event."""
    return EventShown(
        key=entry.key,
        name=entry.name,
        timestamp=entry.place.timestamp,
        block_number=entry.place.block_number,
        transaction=to_hex(entry.place.transaction),
        log_index=entry.log_index,
        members=_members(entry),
    )


def revocation(entry: EventEntry) -> RevocationShown:
    """Show an event that ends or halts authorizations."""
    members = _members(entry)
    return RevocationShown(
        key=entry.key,
        name=entry.name,
        authorization=members.get("authorization"),
        subject=members.get("subject"),
        block_number=entry.place.block_number,
        timestamp=entry.place.timestamp,
        transaction=to_hex(entry.place.transaction),
    )


def request_of(entry: AccessEntry) -> AccessRequest:
    """Return the request of an access: the chain shows all of it but the signature."""
    return AccessRequest(
        consumer=entry.consumer,
        basis=entry.basis,
        item=entry.item,
        fields=entry.fields,
        nonce=entry.nonce,
        deadline=entry.deadline,
    )


def _members(entry: EventEntry) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(entry.body)
    return found


def _hex(data: bytes | None) -> str | None:
    return None if data is None else to_hex(data)


def _item(item: bytes) -> str | None:
    return None if item == NOTHING else to_hex(item)
