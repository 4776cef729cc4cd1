"""How accesses, events, authorizations and alerts look to people's programs: with names beside ids."""

import json
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from gateway.store.alerts import StoredAlert
from gateway.store.authorizations import StoredAuthorization
from gateway.store.releases import access_id
from ledger.api.supervision import (
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
from ledger.chain.contract_calls import Approval
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

ShownT = TypeVar("ShownT")


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
        return self._shown(AccessShown, entry, **_access(entry, releases))

    def access_in_history(self, entry: AccessEntry, releases: ReleaseStates) -> HistoryEntry:
        more = {"kind": "access", "authorization": to_hex(entry.basis)}
        return self._shown(HistoryEntry, entry, **_access(entry, releases) | more)

    def event_in_history(self, entry: EventEntry) -> HistoryEntry:
        members = _members(entry)
        terms = members.get("terms")
        granted = terms if isinstance(terms, dict) else {}
        consumer = str(members.get("consumer", ""))
        dataset = str(granted.get("dataset", ""))
        sequence = members.get("sequence", 0)
        return HistoryEntry(
            kind=entry.name,
            **_place(entry.place),
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
        return self._shown(AuthorizationShown, entry, authorization=record)

    def application(self, entry: ApplicationEntry) -> ApplicationShown:
        names = {"application": to_hex(entry.id), "decided": entry.state != "pending"}
        return self._shown(ApplicationShown, entry, **names)

    def alert(self, alert: StoredAlert) -> AlertShown:
        return self._shown(AlertShown, alert, suspended_until=alert.suspended_until)

    def _shown(self, kind: type[ShownT], entry: msgspec.Struct, /, **more: object) -> ShownT:
        """Return an entry as a message has it: with names beside ids, and where it is on chain.

        Bytes are hex, sets of fields decimal; what there is not is an empty string.
        """
        members = {name: getattr(entry, name) for name in entry.__struct_fields__}
        shown: dict[str, object] = {
            "consumer_name": self.party_name(members.get("consumer") or b""),
            "dataset_title": self.dataset_title(members.get("dataset")),
            "purpose_code": self.purpose_code(members.get("purpose", b"")),
        }
        for name, value in members.items():
            if isinstance(value, Place):
                shown |= _place(value) | {"block_hash": to_hex(value.block_hash)}
            elif value is None or (name == "item" and value == ZERO_WORD):
                shown[name] = ""
            elif isinstance(value, bytes):
                shown[name] = to_hex(value)
            else:
                shown[name] = str(value) if name == "fields" else value
        return msgspec.convert(shown | more, kind)


def _access(entry: AccessEntry, releases: ReleaseStates) -> dict[str, Any]:
    access = access_id(entry)
    return {
        "access": to_hex(access),
        "outcome": entry.outcome.title,
        "outcome_number": int(entry.outcome),
        "release": releases.of(access, entry),
        "nonce": str(entry.nonce),
    }


def _place(place: Place) -> dict[str, Any]:
    return {
        "at": place.timestamp,
        "block_number": place.block_number,
        "transaction": to_hex(place.transaction),
    }


def show_approval(approval: Approval | None) -> dict[str, str] | None:
    if approval is None:
        return None
    return {"signer": to_hex(approval.signer), "signature": to_hex(approval.signature)}


def show_event(entry: EventEntry) -> EventShown:
    return EventShown(
        key=entry.key,
        name=entry.name,
        **_place(entry.place),
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
        **_place(entry.place),
    )


def show_log(log: Log) -> LogShown:
    return LogShown(
        block_number=int(log.block_number, 16),
        block_hash=log.block_hash,
        at=int(log.block_timestamp or "0x0", 16),
        transaction=log.transaction_hash,
        log_index=int(log.log_index, 16),
        topics=log.topics,
        data=log.data,
    )


def _members(entry: EventEntry) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(entry.body)
    return found
