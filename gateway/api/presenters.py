"""How accesses, events, authorizations and alerts look to people's programs: with names beside ids."""

import json
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.api.models import (
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
from ledger.chain.eth_methods import Log
from ledger.hexstr import from_hex, to_hex
from ledger.index.rows import (
    AccessEntry,
    ApplicationEntry,
    AuthorizationEntry,
    EventEntry,
    Place,
    Snapshot,
)
from ledger.model import ZERO_WORD, Outcome
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
        if entry.outcome is not Outcome.ALLOWED:
            return ""
        if access in self.handed_out:
            return "handed-out"
        return "open" if entry.place.timestamp >= self.open_from else "never-handed-out"


class Presenter:
    """Shows entries of the index, with the names as of one snapshot; unknown ones are empty."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def party_name(self, address: bytes) -> str:
        found = self._snapshot.parties.get(address)
        return "" if found is None else found.name

    def dataset_title(self, dataset: bytes | None) -> str:
        found = self._snapshot.datasets.get(dataset or b"")
        return "" if found is None else found.title

    def purpose_code(self, purpose: bytes) -> str:
        found = self._snapshot.purposes.get(purpose)
        return "" if found is None else found.code

    def access(self, entry: AccessEntry, releases: ReleaseStates) -> AccessShown:
        access = access_id(entry)
        shown = self._shown(entry) | {
            "access": to_hex(access),
            "outcome": entry.outcome.title,
            "outcome_number": int(entry.outcome),
            "release": releases.of(access, entry),
            "nonce": str(entry.nonce),
        }
        return AccessShown(**shown)

    def access_in_history(self, entry: AccessEntry, releases: ReleaseStates) -> HistoryEntry:
        shown = self.access(entry, releases).model_dump()
        return HistoryEntry(**shown | {"kind": "access", "authorization": shown["basis"]})

    def event_in_history(self, entry: EventEntry) -> HistoryEntry:
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
        record = None if signed is None else record_to_object(signed.record)
        return AuthorizationShown(**self._shown(entry), authorization=record)

    def application(self, entry: ApplicationEntry) -> ApplicationShown:
        return ApplicationShown(
            **self._shown(entry), application=to_hex(entry.id), decided=entry.state != "pending"
        )

    def alert(self, alert: StoredAlert) -> AlertShown:
        return AlertShown(**self._shown(alert) | {"suspended_until": alert.suspended_until})

    def _shown(self, entry: msgspec.Struct) -> dict[str, Any]:
        """Return what an entry says as JSON has it: with names beside ids, and where it is on chain.

        Bytes are hex, sets of fields decimal; what there is not is an empty string.
        """
        found = {name: getattr(entry, name) for name in entry.__struct_fields__}
        shown: dict[str, Any] = {
            "consumer_name": self.party_name(found.get("consumer") or b""),
            "dataset_title": self.dataset_title(found.get("dataset")),
            "purpose_code": self.purpose_code(found.get("purpose", b"")),
        }
        for name, value in found.items():
            if isinstance(value, Place):
                shown |= {
                    "at": value.timestamp,
                    "block_number": value.block_number,
                    "block_hash": to_hex(value.block_hash),
                    "transaction": to_hex(value.transaction),
                }
            elif value is None or (name == "item" and value == ZERO_WORD):
                shown[name] = ""
            elif isinstance(value, bytes):
                shown[name] = to_hex(value)
            else:
                shown[name] = str(value) if name == "fields" else value
        return shown


def show_event(entry: EventEntry) -> EventShown:
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
