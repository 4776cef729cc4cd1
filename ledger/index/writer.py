"""From events to rows. One `Writer` writes the events of some blocks, in one transaction.

Accesses, authorizations and subjects come by the million: their rows are gathered and written at
once. Everything else is written event by event, after what was gathered.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, delete, insert, update
from sqlalchemy.dialects import postgresql, sqlite

from ledger.chain import events as happened
from ledger.chain.events import Accessed, BatchSkipped, Event, Granted, Recorded, SubjectRegistered
from ledger.hexstr import keccak256, to_hex
from ledger.index import tables
from ledger.index.changes import CHANGES
from ledger.index.faults import Checker
from ledger.index.interning import UNKNOWN, BasisKey, Keys, item_or_nothing
from ledger.index.rows import Fault
from ledger.model import ZERO_WORD
from ledger.model import Change as ChangeKind
from ledger.plain_text import FOREIGN, escape_text
from ledger.service.logs import get_logger

Row = dict[str, object]

_MAX_LOGGED: Final = 20
"""Faults of one write that the log has; the table has all."""
_LARGEST_JSON_NUMBER: Final = 2**53
_ESCAPED: Final = "\\x"
_PLACE: Final = frozenset(("block", "transaction", "log_index", "contract", "link"))
_GATHERED: Final = frozenset((Accessed, Recorded, BatchSkipped, SubjectRegistered, Granted))
"""Events whose rows are gathered, so that nothing has to be written before them."""

_log = get_logger()

Handler = Callable[["Writer", Any], None]
_HANDLERS: Final[dict[type[Event], tuple[Handler, frozenset[str]]]] = {}


def _on(kind: type[Event], *changed: Table) -> Callable[[Handler], Handler]:
    """Register what handles an event, and which tables that are kept in memory it changes."""

    def register(handler: Handler) -> Handler:
        _HANDLERS[kind] = handler, frozenset(table.name for table in changed)
        return handler

    return register


class Writer:
    """Writes the events of some blocks; `sequence` is that of the last access before them."""

    def __init__(
        self, connection: Connection, keys: Keys, sequence: int, *, is_sqlite: bool
    ) -> None:
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
        self.changed: set[str] = set()
        """Names of the tables that were written to, those of gathered rows left out."""

    @property
    def faults(self) -> Sequence[Fault]:
        """What cannot be, and was not written."""
        return self._checker.faults

    def write(self, events: Sequence[Event]) -> None:
        """Write events, in the order of the chain."""
        self._keys.prefetch(_basis_ids(events), _subject_ids(events))
        for event in events:
            if type(event) not in _GATHERED:
                self.flush()
            if not self._checker.admits(event):
                continue
            if event.transaction != self._transaction_hash:
                self._transaction_hash = event.transaction
                self._transaction = self._keys.transaction()
                self._add(
                    tables.transactions,
                    key=self._transaction,
                    hash=event.transaction,
                    block_number=event.block.number,
                    block_hash=event.block.hash,
                    timestamp=event.block.timestamp,
                )
            if type(event) is Accessed:
                self._accessed(event)
            elif type(event) is Recorded:
                self.head = event.head
            elif type(event) is not BatchSkipped:  # of which nothing came
                self._other(event)
        self.flush()

    def flush(self) -> None:
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
            self._connection.execute(statement, rows)

    def note(self, faults: Sequence[Fault], before: int) -> None:
        """Keep what cannot be, after so many, and the numbers of the last events."""
        rows = [
            {
                **msgspec.structs.asdict(fault),
                "key": before + place,
                "problem": escape_text(fault.problem),
            }
            for place, fault in enumerate(faults, 1)
        ]
        if rows:
            self._connection.execute(insert(tables.faults), rows)
        for fault in faults[:_MAX_LOGGED]:
            _log.error("impossible_event", block=fault.block_number, problem=fault.name)
        for contract in self._checker.contracts:
            count = self._keys.counts[contract]
            self._put(tables.event_counts, contract=contract, count=count)

    def _add(self, table: Table, **row: object) -> None:
        """Gather a row."""
        self._rows.setdefault(table, []).append(row)

    def _insert(self, table: Table, **row: object) -> None:
        self._connection.execute(insert(table).values(row))

    def _set(self, table: Table, where: ColumnElement[bool], **values: object) -> None:
        self._connection.execute(update(table).where(where).values(values))

    def _put(self, table: Table, keep: Sequence[str] = (), **row: object) -> None:
        """Insert a row or replace the one with its key, but for its columns in `keep`."""
        keys = [column.name for column in table.primary_key]
        rest = {name: value for name, value in row.items() if name not in (*keys, *keep)}
        statement = self._upsert(table).values(row)
        if rest:
            statement = statement.on_conflict_do_update(index_elements=keys, set_=rest)
        else:
            statement = statement.on_conflict_do_nothing()
        self._connection.execute(statement)

    # Accesses

    def _accessed(self, event: Accessed) -> None:
        basis = self._keys.basis(event.basis)
        if basis is None:
            basis = self._add_basis(event.basis, UNKNOWN, 0, 0, ZERO_WORD)
        self.sequence = event.sequence
        self._add(
            tables.accesses,
            sequence=event.sequence,
            transaction=self._transaction,
            log_index=event.log_index,
            consumer=self._keys.party(event.consumer),
            basis=basis.key,
            dataset=basis.dataset,
            subject=basis.subject,
            outcome=int(event.outcome),
            deadline=event.deadline,
            fields=event.fields,
            nonce=event.nonce,
            item=item_or_nothing(event.item),
        )

    def _add_basis(
        self, basis: bytes, kind: str, dataset: int, subject: int, item: bytes
    ) -> BasisKey:
        added = self._keys.add_basis(basis, kind, dataset, subject)
        self._add(
            tables.bases,
            key=added.key,
            id=basis,
            kind=kind,
            dataset=dataset,
            subject=subject,
            item=item,
        )
        return added

    def _name_basis(
        self, basis: bytes, kind: str, dataset: int, subject: int, item: bytes
    ) -> BasisKey:
        """Add a basis; accesses that tried its id before are then found under what it names."""
        known = self._keys.basis(basis)
        added = self._add_basis(basis, kind, dataset, subject, item)
        if known is not None and known.kind == UNKNOWN:
            self.flush()
            tried = tables.accesses.c.basis == known.key
            self._set(tables.accesses, tried, dataset=dataset, subject=subject)
        return added

    # Everything else

    def _other(self, event: Event) -> None:
        change = CHANGES.get(type(event))
        if change is not None:
            self.changed.add(change.table.name)
            self._set(change.table, change.row(event), **change.values(event))
        elif type(event) in _HANDLERS:
            handler, changed = _HANDLERS[type(event)]
            self.changed |= changed
            handler(self, event)
        self._note(event)

    def _note(self, event: Event) -> None:
        """Keep the event itself, for timelines."""
        dataset = getattr(event, "dataset", None)
        if isinstance(event, Granted):
            dataset = event.terms.dataset
        party = getattr(event, "consumer", None) or getattr(event, "party", None)
        named = (getattr(event, name, None) for name in ("authorization", "agreement", "order"))
        basis = next((id_ for id_ in named if isinstance(id_, bytes)), None)
        known = None if basis is None else self._keys.basis(basis)
        subject = self._keys.subject(getattr(event, "subject", b""))
        self._add(
            tables.events,
            key=self._keys.event(),
            transaction=self._transaction,
            log_index=event.log_index,
            name=event.name,
            subject=subject or (known.subject if known else 0),
            party=0 if party is None else self._keys.party(party),
            dataset=self._keys.dataset(dataset) if dataset else 0,
            basis=known.key if known else 0,
            unfit=_is_unfit(event),
            body=_body(event),
        )

    # Parties

    @_on(happened.PartyAdmitted, tables.parties)
    def _party_admitted(self, event: happened.PartyAdmitted) -> None:
        key = self._keys.party(event.party)
        self._keys.name_party(event.party, event.title)
        self._set(
            tables.parties,
            tables.parties.c.key == key,
            name=event.title,
            roles=event.roles,
            active=True,
        )

    @_on(happened.AdmissionAnnounced, tables.named)
    def _admission_announced(self, event: happened.AdmissionAnnounced) -> None:
        self._put(tables.named, address=event.party)

    @_on(happened.ChangeAnnounced, tables.named)
    def _change_announced(self, event: happened.ChangeAnnounced) -> None:
        if event.change is ChangeKind.AUTHORITY:
            self._put(tables.named, address=event.first)

    @_on(happened.SupervisorAppointed, tables.named)
    def _supervisor_appointed(self, event: happened.SupervisorAppointed) -> None:
        self._put(tables.named, address=event.supervisor)

    @_on(happened.RecorderNamed, tables.parties)
    def _recorder_named(self, event: happened.RecorderNamed) -> None:
        consumer = self._keys.party(event.consumer)
        self._put(tables.recorders, consumer=consumer, recorder=event.recorder)

    @_on(happened.RecorderDismissed, tables.parties)
    def _recorder_dismissed(self, event: happened.RecorderDismissed) -> None:
        table, consumer = tables.recorders, self._keys.party(event.consumer)
        named = (table.c.consumer == consumer) & (table.c.recorder == event.recorder)
        self._connection.execute(delete(table).where(named))

    @_on(happened.ChangeMade, tables.successors)
    def _change_made(self, event: happened.ChangeMade) -> None:
        if event.change is ChangeKind.SUCCESSOR:
            self._put(tables.successors, authority=event.first, successor=event.second)

    @_on(happened.LinksEnded, tables.ended_links)
    def _links_ended(self, event: happened.LinksEnded) -> None:
        self._put(tables.ended_links, subject=event.subject, links_from=event.links_from)
        self._set(
            tables.subjects, tables.subjects.c.id == event.subject, links_from=event.links_from
        )

    # Datasets

    @_on(happened.DatasetRegistered, tables.datasets)
    def _dataset_registered(self, event: happened.DatasetRegistered) -> None:
        terms = event.terms
        provider = self._keys.party(event.provider)
        key = self._keys.add_dataset(event.dataset)
        self._insert(
            tables.datasets,
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
        self._name_basis(event.dataset, "dataset", key, 0, ZERO_WORD)

    @_on(happened.Published, tables.datasets)
    def _published(self, event: happened.Published) -> None:
        self._insert(
            tables.publications,
            dataset=self._keys.dataset(event.dataset),
            version=event.version,
            root=event.root,
            count=event.count,
            base=event.base,
            manifest=event.manifest,
            transaction=self._transaction,
        )
        self._set(
            tables.datasets,
            tables.datasets.c.id == event.dataset,
            version=event.version,
            published_at=event.block.timestamp,
        )

    @_on(happened.RecordErased, tables.erasures)
    def _record_erased(self, event: happened.RecordErased) -> None:
        self._put(
            tables.erasures,
            dataset=self._keys.dataset(event.dataset),
            item=event.item,
            version=event.version,
            transaction=self._transaction,
        )

    @_on(happened.OrderIssued, tables.orders)
    def _order_issued(self, event: happened.OrderIssued) -> None:
        terms, dataset = event.terms, self._keys.dataset(event.dataset)
        self._insert(
            tables.orders,
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
        self._name_basis(event.order, "order", dataset, 0, ZERO_WORD)

    # Terms

    @_on(happened.PurposeRegistered, tables.purposes)
    def _purpose_registered(self, event: happened.PurposeRegistered) -> None:
        terms = event.terms
        texts = [[text.language, text.template] for text in terms.texts]
        self._insert(
            tables.purposes,
            id=event.purpose,
            code=terms.code,
            texts=json.dumps(texts, ensure_ascii=False),
            max_validity=terms.max_validity,
            max_uses=terms.max_uses,
            min_interval=terms.min_interval,
            retention=terms.retention,
            active=True,
        )

    @_on(happened.PurposeFieldsBound, tables.purposes)
    def _purpose_fields_bound(self, event: happened.PurposeFieldsBound) -> None:
        dataset = self._keys.dataset(event.dataset)
        self._put(
            tables.purpose_fields, purpose=event.purpose, dataset=dataset, fields=event.fields
        )

    @_on(happened.Applied)
    def _applied(self, event: happened.Applied) -> None:
        self._insert(
            tables.applications,
            id=event.application,
            consumer=self._keys.party(event.consumer),
            dataset=self._keys.dataset(event.dataset),
            purpose=event.purpose,
            fields=event.fields,
            justification=event.justification,
            state="pending",
            reason="",
            signed=False,
            transaction=self._transaction,
        )

    @_on(happened.AgreementApproved)
    def _agreement_approved(self, event: happened.AgreementApproved) -> None:
        self._set(
            tables.applications, tables.applications.c.id == event.application, state="approved"
        )
        application = (
            self._connection.execute(
                tables.applications.select().where(tables.applications.c.id == event.application)
            )
        ).one()
        self._put(
            tables.agreements,
            # A suspension, and whether a regulator looked at it, is not for an approval to change.
            keep=("suspended_until", "suspension_unseen", "reviewed_at"),
            number=event.agreement_number,
            id=event.agreement,
            application=event.application,
            consumer=application.consumer,
            dataset=application.dataset,
            purpose=application.purpose,
            fields=event.fields,
            expires_at=event.expires_at,
            withdrawn=False,
            round=event.round,
            suspended_until=0,
            suspension_unseen=False,
            reviewed_at=0,
            reason="",
            transaction=self._transaction,
        )
        self._name_basis(event.agreement, "agreement", application.dataset, 0, ZERO_WORD)

    # Subjects and authorizations

    @_on(SubjectRegistered)
    def _subject_registered(self, event: SubjectRegistered) -> None:
        self._keys.add_subject(event.subject, event.subject_number)
        self._add(
            tables.subjects,
            number=event.subject_number,
            id=event.subject,
            registrar=event.registrar,
            links_from=0,
            signer=event.signer,
            signer_hash=keccak256(event.signer),
            frozen=False,
            liftable_at=0,
            closed=False,
            epoch=0,
            recovery_at=0,
            pending_signer=b"",
            transaction=self._transaction,
        )

    @_on(happened.SignerRotated)
    def _signer_rotated(self, event: happened.SignerRotated) -> None:
        self._replace_signer(event.subject, event.new_signer)

    @_on(happened.RecoveryCompleted)
    def _recovery_completed(self, event: happened.RecoveryCompleted) -> None:
        self._replace_signer(
            event.subject, event.new_signer, epoch=event.epoch, recovery_at=0, pending_signer=b""
        )

    def _replace_signer(self, subject: bytes, signer: bytes, **values: object) -> None:
        """Replace a signer; all guardians end."""
        changed = {"signer": signer, "signer_hash": keccak256(signer), **values}
        self._set(tables.subjects, tables.subjects.c.id == subject, **changed)
        self._set(
            tables.guardians,
            tables.guardians.c.subject == self._keys.subject(subject),
            expires_at=0,
        )

    @_on(happened.GuardianAppointed)
    def _guardian_appointed(self, event: happened.GuardianAppointed) -> None:
        self._put(
            tables.guardians,
            subject=self._keys.subject(event.subject),
            guardian=event.guardian_hash,
            expires_at=event.expires_at,
        )

    @_on(happened.GuardianDismissed)
    def _guardian_dismissed(self, event: happened.GuardianDismissed) -> None:
        table, subject = tables.guardians, self._keys.subject(event.subject)
        dismissed = (table.c.subject == subject) & (table.c.guardian == event.guardian_hash)
        self._set(table, dismissed, expires_at=0)

    @_on(Granted)
    def _granted(self, event: Granted) -> None:
        terms = event.terms
        dataset, subject = self._keys.dataset(terms.dataset), self._keys.subject(terms.subject)
        basis = self._name_basis(event.authorization, "authorization", dataset, subject, terms.item)
        self._add(
            tables.authorizations,
            key=basis.key,
            subject=subject,
            consumer=self._keys.party(terms.consumer),
            consumer_name=self._keys.party_name(terms.consumer),
            purpose=terms.purpose,
            fields=terms.fields,
            case_reference=terms.case_reference,
            statement_hash=terms.statement_hash,
            not_before=terms.not_before,
            expires_at=terms.expires_at,
            max_uses=terms.max_uses,
            min_interval=terms.min_interval,
            nonce=terms.nonce,
            deadline=terms.deadline,
            agreement=event.agreement,
            round=event.round,
            epoch=event.epoch,
            signer_hash=event.signer_hash,
            transaction=self._transaction,
            revoked_in=0,
        )

    @_on(happened.Revoked)
    def _revoked(self, event: happened.Revoked) -> None:
        self._set_authorization(event.authorization, revoked_in=self._transaction)

    @_on(happened.Confirmed)
    def _confirmed(self, event: happened.Confirmed) -> None:
        self._set_authorization(event.authorization, epoch=event.epoch)

    @_on(happened.AccessVoided)
    def _access_voided(self, event: happened.AccessVoided) -> None:
        basis = self._keys.basis(event.authorization)
        self._put(
            tables.voids,
            sequence=event.sequence,
            basis=0 if basis is None else basis.key,
            last_use=event.last_use,
            ground=int(event.ground),
            reason=event.reason,
            transaction=self._transaction,
        )

    def _set_authorization(self, authorization: bytes, **values: object) -> None:
        basis = self._keys.basis(authorization)
        if basis is not None:
            self._set(tables.authorizations, tables.authorizations.c.key == basis.key, **values)


def _basis_ids(events: Iterable[Event]) -> Iterator[bytes]:
    """Yield the ids of authorizations, agreements, orders and datasets that events name."""
    for event in events:
        if isinstance(event, Accessed):
            yield event.basis
            continue
        for name in ("authorization", "agreement", "order", "dataset"):
            id_ = getattr(event, name, None)
            if isinstance(id_, bytes):
                yield id_


def _subject_ids(events: Iterable[Event]) -> Iterator[bytes]:
    for event in events:
        id_ = getattr(event, "subject", None)
        if isinstance(id_, bytes):
            yield id_


def _body(event: Event) -> str:
    """Return what an event says, as JSON: without its place, large numbers as texts."""
    members = {
        name: _plain(getattr(event, name))
        for name in type(event).__struct_fields__
        # The terms of an authorization have columns of their own.
        if name not in _PLACE and not (name == "terms" and isinstance(event, Granted))
    }
    return json.dumps(members, ensure_ascii=False, separators=(",", ":"))


def _is_unfit(event: Event) -> bool:
    """Whether a text in an event is not plain, or had to be escaped to be kept.

    Nobody is stopped by it: whoever shows the text escapes it, and supervision raises it.
    """
    return any(_ESCAPED in text or FOREIGN.search(text.replace("\n", "")) for text in _texts(event))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for element in value:
            yield from _texts(element)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            if name not in _PLACE:
                yield from _texts(getattr(value, name))


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return to_hex(value)
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple):
        return [_plain(element) for element in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if value >= _LARGEST_JSON_NUMBER else int(value)
    return value
