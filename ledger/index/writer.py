"""From events to rows. One `Writer` writes the events of some blocks, in one transaction.

Accesses, authorizations and subjects come by the million: their rows are gathered and written at
once. Everything else is written event by event, after what was gathered.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Table, delete, insert, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import events as happened
from ledger.entities import NOTHING
from ledger.enumerations import Change as ChangeKind
from ledger.escaping import escape_text
from ledger.events import Accessed, BatchSkipped, Event, Granted, Recorded, SubjectRegistered
from ledger.index import tables
from ledger.index.bodies import basis_ids, body, is_unfit, subject_ids
from ledger.index.changes import CHANGES, Change
from ledger.index.faults import Checker, Fault
from ledger.index.keys import UNKNOWN, BasisKey, Keys, item_or_nothing
from ledger.keccak import keccak256
from ledger.logs import get_logger

Row = dict[str, object]

_TOLD: Final = 20
"""Faults of one write that the log has; the table has all."""
_log = get_logger()


class Writer:
    """Writes the events of some blocks."""

    def __init__(
        self, connection: AsyncConnection, keys: Keys, sequence: int, *, is_sqlite: bool
    ) -> None:
        """Take what is there; `sequence` is that of the last access."""
        self._connection = connection
        self._checker = Checker(connection, keys, sequence)
        self._keys = keys
        self._upsert = sqlite.insert if is_sqlite else postgresql.insert
        self._rows: dict[Table, list[Row]] = {}
        self._transaction_hash = b""
        self._transaction = 0
        self.sequence: int | None = None
        """Of the last access written; None without any."""
        self.head: bytes | None = None
        """Running hash after the last call of `record`."""
        self._changed: set[str] = set()

    @property
    def changed(self) -> frozenset[str]:
        """Names of the tables that were written to, those of gathered rows left out."""
        return frozenset(self._changed)

    @property
    def faults(self) -> Sequence[Fault]:
        """What cannot be, and was not written."""
        return self._checker.faults

    async def write(self, events: Sequence[Event]) -> None:
        """Write events, in the order of the chain."""
        await self._keys.prefetch(basis_ids(events), subject_ids(events))
        for event in events:
            if type(event) not in _GATHERED:
                await self.flush()
            if not await self._checker.admits(event):
                continue
            if event.transaction != self._transaction_hash:
                self._begin_transaction(event)
            if type(event) is Accessed:
                await self._accessed(event)
            elif type(event) is Recorded:
                self.head = event.head
            elif type(event) is not BatchSkipped:  # of which nothing came
                await self._other(event)
        await self.flush()

    async def flush(self) -> None:
        """Write what was gathered."""
        gathered, self._rows = self._rows, {}
        for table, rows in gathered.items():
            statement = insert(table)
            if table is tables.bases:
                # An id that was tried before it named something.
                statement = self._upsert(table).on_conflict_do_update(
                    index_elements=["key"],
                    set_={
                        name: self._upsert(table).excluded[name]
                        for name in ("kind", "dataset", "subject", "item")
                    },
                )
            await self._connection.execute(statement, rows)

    async def note(self, faults: Sequence[Fault], before: int) -> None:
        """Keep what cannot be, after so many, and the numbers of the last events."""
        rows = [
            {
                "key": before + place,
                "block_number": fault.block_number,
                "log_index": fault.log_index,
                "name": fault.name,
                "problem": escape_text(fault.problem),
            }
            for place, fault in enumerate(faults, 1)
        ]
        if rows:
            await self._connection.execute(insert(tables.faults), rows)
        for fault in faults[:_TOLD]:
            _log.error("impossible_event", block=fault.block_number, problem=fault.name)
        for contract in self._checker.contracts:
            count = self._keys.counts[contract]
            await self._put(tables.event_counts, {"contract": contract, "count": count})

    def _begin_transaction(self, event: Event) -> None:
        self._transaction_hash = event.transaction
        self._transaction = self._keys.transaction()
        self._add(
            tables.transactions,
            {
                "key": self._transaction,
                "hash": event.transaction,
                "block_number": event.block.number,
                "block_hash": event.block.hash,
                "timestamp": event.block.timestamp,
            },
        )

    def _add(self, table: Table, row: Row) -> None:
        self._rows.setdefault(table, []).append(row)

    # Accesses

    async def _accessed(self, event: Accessed) -> None:
        basis = self._keys.basis(event.basis)
        if basis is None:
            basis = self._add_basis(event.basis, UNKNOWN, 0, 0, NOTHING)
        self.sequence = event.sequence
        self._add(
            tables.accesses,
            {
                "sequence": event.sequence,
                "transaction": self._transaction,
                "log_index": event.log_index,
                "consumer": await self._keys.party(event.consumer),
                "basis": basis.key,
                "dataset": basis.dataset,
                "subject": basis.subject,
                "outcome": int(event.outcome),
                "deadline": event.deadline,
                "fields": event.fields,
                "nonce": event.nonce,
                "item": item_or_nothing(event.item),
            },
        )

    def _add_basis(
        self, basis: bytes, kind: str, dataset: int, subject: int, item: bytes
    ) -> BasisKey:
        added = self._keys.add_basis(basis, kind, dataset, subject)
        self._add(
            tables.bases,
            {
                "key": added.key,
                "id": basis,
                "kind": kind,
                "dataset": dataset,
                "subject": subject,
                "item": item,
            },
        )
        return added

    async def _name_basis(
        self, basis: bytes, kind: str, dataset: int, subject: int, item: bytes
    ) -> BasisKey:
        """Add a basis; accesses that tried its id before are then found under what it names."""
        known = self._keys.basis(basis)
        added = self._add_basis(basis, kind, dataset, subject, item)
        if known is not None and known.kind == UNKNOWN:
            await self.flush()
            tried = tables.accesses.c.basis == known.key
            values = {"dataset": dataset, "subject": subject}
            await self._connection.execute(update(tables.accesses).where(tried).values(values))
        return added

    # Everything else

    async def _other(self, event: Event) -> None:
        change, handler = CHANGES.get(type(event)), _HANDLERS.get(type(event))
        self._changed.update(_TOUCHES.get(type(event), ()) or _touched(change))
        if change is not None:
            row = {change.column: getattr(event, change.attribute)}
            await self._set(change.table, row, **change.values(event))
        elif handler is not None:
            await handler(self, event)
        await self._note(event)

    async def _note(self, event: Event) -> None:
        """Keep the event itself, for timelines."""
        members: Any = event
        dataset = getattr(members, "dataset", None)
        party = getattr(members, "consumer", None) or getattr(members, "party", None)
        if isinstance(event, Granted):
            dataset = event.terms.dataset
        basis = next(
            (
                getattr(members, name)
                for name in ("authorization", "agreement", "order")
                if isinstance(getattr(members, name, None), bytes)
            ),
            None,
        )
        found = None if basis is None else self._keys.basis(basis)
        subject = self._keys.subject(getattr(members, "subject", b""))
        self._add(
            tables.events,
            {
                "key": self._keys.event(),
                "transaction": self._transaction,
                "log_index": event.log_index,
                "name": event.name,
                "subject": subject or (found.subject if found else 0),
                "party": 0 if party is None else await self._keys.party(party),
                "dataset": self._keys.dataset(dataset) if dataset else 0,
                "basis": found.key if found else 0,
                "unfit": is_unfit(event),
                "body": body(event),
            },
        )

    async def _set(self, table: Table, where: Mapping[str, object], **values: object) -> None:
        statement = update(table).values(values)
        for name, value in where.items():
            statement = statement.where(table.c[name] == value)
        await self._connection.execute(statement)

    async def _put(self, table: Table, row: Row, kept: Sequence[str] = ()) -> None:
        """Insert a row or replace the one with its key, but for what is kept of that one."""
        statement = self._upsert(table).values(row)
        keys = [column.name for column in table.primary_key]
        rest = {name: value for name, value in row.items() if name not in (*keys, *kept)}
        await self._connection.execute(
            statement.on_conflict_do_update(index_elements=keys, set_=rest)
        )

    # Parties

    async def party_admitted(self, event: happened.PartyAdmitted) -> None:
        """Admit a party or change it; a restriction stays."""
        key = await self._keys.party(event.party)
        self._keys.name_party(event.party, event.title)
        await self._set(
            tables.parties, {"key": key}, name=event.title, roles=event.roles, active=True
        )

    async def admission_announced(self, event: happened.AdmissionAnnounced) -> None:
        """Note who is to be a party."""
        await self._name(event.party)

    async def change_announced(self, event: happened.ChangeAnnounced) -> None:
        """Note who is to be the authority."""
        if event.change is ChangeKind.AUTHORITY:
            await self._name(event.first)

    async def supervisor_appointed(self, event: happened.SupervisorAppointed) -> None:
        """Note whose machine it is."""
        await self._name(event.supervisor)

    async def _name(self, address: bytes) -> None:
        statement = self._upsert(tables.named).values({"address": address})
        await self._connection.execute(statement.on_conflict_do_nothing())

    async def recorder_named(self, event: happened.RecorderNamed) -> None:
        """Let a recorder record a consumer's requests."""
        row = {"consumer": await self._keys.party(event.consumer), "recorder": event.recorder}
        statement = self._upsert(tables.recorders).values(row).on_conflict_do_nothing()
        await self._connection.execute(statement)

    async def recorder_dismissed(self, event: happened.RecorderDismissed) -> None:
        """Take that back."""
        table, consumer = tables.recorders, await self._keys.party(event.consumer)
        named = (table.c.consumer == consumer) & (table.c.recorder == event.recorder)
        await self._connection.execute(delete(table).where(named))

    async def change_made(self, event: happened.ChangeMade) -> None:
        """Take a successor of an identity authority; other changes show in other events."""
        if event.change is ChangeKind.SUCCESSOR:
            row: Row = {"authority": event.first, "successor": event.second}
            await self._put(tables.successors, row)

    async def links_ended(self, event: happened.LinksEnded) -> None:
        """Note up to when a subject's links are ended, where every access looks and where one asks."""
        row = {"subject": event.subject, "links_from": event.links_from}
        await self._put(tables.ended_links, row)
        await self._set(tables.subjects, {"id": event.subject}, links_from=event.links_from)

    # Datasets

    async def dataset_registered(self, event: happened.DatasetRegistered) -> None:
        """Add a dataset, which is a basis too."""
        terms = event.terms
        provider = await self._keys.party(event.provider)
        key = self._keys.add_dataset(event.dataset)
        await self._connection.execute(
            insert(tables.datasets).values(
                key=key,
                id=event.dataset,
                provider=provider,
                code=terms.code,
                title=terms.title,
                fields=json.dumps(terms.fields, ensure_ascii=False),
                personal=terms.personal,
                sharing=int(terms.sharing),
                open=int(terms.open),
                grade=terms.grade,
                update_cycle=terms.update_cycle,
                withdrawn=False,
                version=0,
                published_at=0,
                registered_at=event.block.timestamp,
            )
        )
        await self._name_basis(event.dataset, "dataset", key, 0, NOTHING)

    async def published(self, event: happened.Published) -> None:
        """Add a publication."""
        await self._connection.execute(
            insert(tables.publications).values(
                dataset=self._keys.dataset(event.dataset),
                version=event.version,
                root=event.root,
                count=event.count,
                base=event.base,
                manifest=event.manifest,
                transaction=self._transaction,
            )
        )
        await self._set(
            tables.datasets,
            {"id": event.dataset},
            version=event.version,
            published_at=event.block.timestamp,
        )

    async def record_erased(self, event: happened.RecordErased) -> None:
        """Add a tombstone."""
        row: Row = {
            "dataset": self._keys.dataset(event.dataset),
            "item": event.item,
            "version": event.version,
            "transaction": self._transaction,
        }
        await self._put(tables.erasures, row)

    async def order_issued(self, event: happened.OrderIssued) -> None:
        """Add an emergency order, which is a basis too."""
        terms, dataset = event.terms, self._keys.dataset(event.dataset)
        await self._connection.execute(
            insert(tables.orders).values(
                id=event.order,
                dataset=dataset,
                purpose=terms.purpose,
                sharing=int(terms.sharing),
                fields=terms.fields,
                starts_at=terms.starts_at,
                ends_at=terms.ends_at,
                reason=terms.reason,
                countersigned=False,
                reviewed=False,
                findings="",
                transaction=self._transaction,
            )
        )
        await self._name_basis(event.order, "order", dataset, 0, NOTHING)

    # Terms

    async def purpose_registered(self, event: happened.PurposeRegistered) -> None:
        """Add a purpose."""
        terms = event.terms
        texts = [[one.language, one.template] for one in terms.texts]
        await self._connection.execute(
            insert(tables.purposes).values(
                id=event.purpose,
                code=terms.code,
                texts=json.dumps(texts, ensure_ascii=False),
                max_validity=terms.max_validity,
                max_uses=terms.max_uses,
                min_interval=terms.min_interval,
                retention=terms.retention,
                active=True,
            )
        )

    async def purpose_fields_bound(self, event: happened.PurposeFieldsBound) -> None:
        """Bind a dataset's fields to a purpose."""
        dataset = self._keys.dataset(event.dataset)
        row: Row = {"purpose": event.purpose, "dataset": dataset, "fields": event.fields}
        await self._put(tables.purpose_fields, row)

    async def applied(self, event: happened.Applied) -> None:
        """Add an application."""
        await self._connection.execute(
            insert(tables.applications).values(
                id=event.application,
                consumer=await self._keys.party(event.consumer),
                dataset=self._keys.dataset(event.dataset),
                purpose=event.purpose,
                fields=event.fields,
                justification=event.justification,
                state="pending",
                reason="",
                signed=False,
                transaction=self._transaction,
            )
        )

    async def agreement_approved(self, event: happened.AgreementApproved) -> None:
        """Add an agreement, which is a basis too, or give it other terms."""
        await self._set(tables.applications, {"id": event.application}, state="approved")
        application = (
            await self._connection.execute(
                tables.applications.select().where(tables.applications.c.id == event.application)
            )
        ).one()
        row: Row = {
            "number": event.agreement_number,
            "id": event.agreement,
            "application": event.application,
            "consumer": application.consumer,
            "dataset": application.dataset,
            "purpose": application.purpose,
            "fields": event.fields,
            "expires_at": event.expires_at,
            "withdrawn": False,
            "round": event.round,
            "suspended_until": 0,
            "suspension_unseen": False,
            "reviewed_at": 0,
            "reason": "",
            "transaction": self._transaction,
        }
        # A suspension, and whether a regulator looked at it, is not for an approval to change.
        kept = ("suspended_until", "suspension_unseen", "reviewed_at")
        await self._put(tables.agreements, row, kept=kept)
        await self._name_basis(event.agreement, "agreement", application.dataset, 0, NOTHING)

    # Subjects and authorizations

    async def subject_registered(self, event: SubjectRegistered) -> None:
        """Add a subject."""
        self._keys.add_subject(event.subject, event.subject_number)
        self._add(
            tables.subjects,
            {
                "number": event.subject_number,
                "id": event.subject,
                "registrar": event.registrar,
                "links_from": 0,
                "signer": event.signer,
                "signer_hash": keccak256(event.signer),
                "frozen": False,
                "liftable_at": 0,
                "closed": False,
                "epoch": 0,
                "recovery_at": 0,
                "pending_signer": b"",
                "transaction": self._transaction,
            },
        )

    async def signer_rotated(self, event: happened.SignerRotated) -> None:
        """Replace the signer."""
        await self._replace_signer(event.subject, event.new_signer)

    async def recovery_completed(self, event: happened.RecoveryCompleted) -> None:
        """Replace the signer, in a new epoch."""
        await self._replace_signer(
            event.subject, event.new_signer, epoch=event.epoch, recovery_at=0, pending_signer=b""
        )

    async def _replace_signer(self, subject: bytes, signer: bytes, **values: object) -> None:
        """Replace a signer; all guardians end."""
        changed = {"signer": signer, "signer_hash": keccak256(signer), **values}
        await self._set(tables.subjects, {"id": subject}, **changed)
        await self._set(tables.guardians, {"subject": self._keys.subject(subject)}, expires_at=0)

    async def guardian_appointed(self, event: happened.GuardianAppointed) -> None:
        """Appoint a guardian."""
        row: Row = {
            "subject": self._keys.subject(event.subject),
            "guardian": event.guardian_hash,
            "expires_at": event.expires_at,
        }
        await self._put(tables.guardians, row)

    async def guardian_dismissed(self, event: happened.GuardianDismissed) -> None:
        """Dismiss a guardian."""
        row = {"subject": self._keys.subject(event.subject), "guardian": event.guardian_hash}
        await self._set(tables.guardians, row, expires_at=0)

    async def granted(self, event: Granted) -> None:
        """Add an authorization."""
        terms = event.terms
        dataset, subject = self._keys.dataset(terms.dataset), self._keys.subject(terms.subject)
        basis = await self._name_basis(
            event.authorization, "authorization", dataset, subject, terms.item
        )
        self._add(
            tables.authorizations,
            {
                "key": basis.key,
                "subject": subject,
                "consumer": await self._keys.party(terms.consumer),
                "consumer_name": self._keys.party_name(terms.consumer),
                "purpose": terms.purpose,
                "fields": terms.fields,
                "case_reference": terms.case_reference,
                "statement_hash": terms.statement_hash,
                "not_before": terms.not_before,
                "expires_at": terms.expires_at,
                "max_uses": terms.max_uses,
                "min_interval": terms.min_interval,
                "nonce": terms.nonce,
                "deadline": terms.deadline,
                "agreement": event.agreement,
                "round": event.round,
                "epoch": event.epoch,
                "signer_hash": event.signer_hash,
                "transaction": self._transaction,
                "revoked_in": 0,
            },
        )

    async def revoked(self, event: happened.Revoked) -> None:
        """End an authorization."""
        await self._set_authorization(event.authorization, revoked_in=self._transaction)

    async def confirmed(self, event: happened.Confirmed) -> None:
        """Let an authorization of an earlier epoch count again."""
        await self._set_authorization(event.authorization, epoch=event.epoch)

    async def access_voided(self, event: happened.AccessVoided) -> None:
        """Give a use back."""
        basis = self._keys.basis(event.authorization)
        row: Row = {
            "sequence": event.sequence,
            "basis": 0 if basis is None else basis.key,
            "last_use": event.last_use,
            "ground": int(event.ground),
            "reason": event.reason,
            "transaction": self._transaction,
        }
        await self._put(tables.voids, row)

    async def _set_authorization(self, authorization: bytes, **values: object) -> None:
        basis = self._keys.basis(authorization)
        if basis is not None:
            await self._set(tables.authorizations, {"key": basis.key}, **values)


_GATHERED: Final = frozenset((Accessed, Recorded, BatchSkipped, SubjectRegistered, Granted))
"""What is gathered, so that nothing has to be written before it."""

_TOUCHES: Final[dict[type[Event], tuple[str, ...]]] = {
    happened.PartyAdmitted: ("chain_parties",),
    happened.AdmissionAnnounced: ("chain_named",),
    happened.ChangeAnnounced: ("chain_named",),
    happened.SupervisorAppointed: ("chain_named",),
    happened.RecorderNamed: ("chain_parties",),
    happened.RecorderDismissed: ("chain_parties",),
    happened.ChangeMade: ("chain_successors",),
    happened.LinksEnded: ("chain_ended_links",),
    happened.DatasetRegistered: ("chain_datasets",),
    happened.Published: ("chain_datasets",),
    happened.RecordErased: ("chain_erasures",),
    happened.PurposeRegistered: ("chain_purposes",),
    happened.PurposeFieldsBound: ("chain_purposes",),
    happened.OrderIssued: ("chain_orders",),
}
"""Tables that are kept in memory and that a handler changes."""

_HANDLERS: Final[dict[type[Event], Callable[[Writer, Any], Awaitable[None]]]] = {
    happened.PartyAdmitted: Writer.party_admitted,
    happened.AdmissionAnnounced: Writer.admission_announced,
    happened.ChangeAnnounced: Writer.change_announced,
    happened.SupervisorAppointed: Writer.supervisor_appointed,
    happened.RecorderNamed: Writer.recorder_named,
    happened.RecorderDismissed: Writer.recorder_dismissed,
    happened.ChangeMade: Writer.change_made,
    happened.LinksEnded: Writer.links_ended,
    happened.DatasetRegistered: Writer.dataset_registered,
    happened.Published: Writer.published,
    happened.RecordErased: Writer.record_erased,
    happened.OrderIssued: Writer.order_issued,
    happened.PurposeRegistered: Writer.purpose_registered,
    happened.PurposeFieldsBound: Writer.purpose_fields_bound,
    happened.Applied: Writer.applied,
    happened.AgreementApproved: Writer.agreement_approved,
    SubjectRegistered: Writer.subject_registered,
    happened.SignerRotated: Writer.signer_rotated,
    happened.RecoveryCompleted: Writer.recovery_completed,
    happened.GuardianAppointed: Writer.guardian_appointed,
    happened.GuardianDismissed: Writer.guardian_dismissed,
    Granted: Writer.granted,
    happened.Revoked: Writer.revoked,
    happened.Confirmed: Writer.confirmed,
    happened.AccessVoided: Writer.access_voided,
}


def _touched(change: Change | None) -> tuple[str, ...]:
    return () if change is None else (change.table.name,)
