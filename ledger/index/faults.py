"""What no contract can have emitted in its place: the index notes it and goes on.

A number skipped, a basis that nobody made, bytes that do not decode: the node lies, or lacks events. What
hangs on such an event is not written, so it is refused wherever somebody asks for it. Whoever decides
by the index looks at `Head.faults` and stops.

Source: PROMISES 8.
"""

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, func, select

from ledger.chain import events as happened
from ledger.chain.eth_methods import EventError, Log
from ledger.chain.events import Accessed, Event, NumberedEvent
from ledger.index import tables
from ledger.index.changes import CHANGES
from ledger.index.interning import UNKNOWN, Keys
from ledger.index.rows import Fault

_MAX_INDEX: Final = 1 << 62


def malformed(log: Log, error: EventError, block_number: int) -> Fault:
    """Return the fault of a log that is no event.

    `block_number` is of the last block that was asked for: the log's own may be no number.
    """
    try:
        number, index = int(log.block_number, 16), int(log.log_index, 16)
    except ValueError:
        number, index = block_number, 0
    fits = 0 <= number <= block_number and 0 <= index < _MAX_INDEX
    return Fault(number if fits else block_number, index if fits else 0, "", str(error))


Check = Callable[["Checker", Any], str]
_CHECKS: Final[dict[type[Event], Check]] = {}


def _checks(*kinds: type[Event]) -> Callable[[Check], Check]:
    def register(check: Check) -> Check:
        _CHECKS.update(dict.fromkeys(kinds, check))
        return check

    return register


class Checker:
    """Looks at each event before it is written; `sequence` is that of the last access."""

    def __init__(self, connection: Connection, keys: Keys, sequence: int) -> None:
        self._connection = connection
        self._keys = keys
        self._sequence = sequence
        self._subjects: int | None = None
        self.faults: list[Fault] = []
        self.contracts: set[bytes] = set()
        """Whose events were counted."""

    def admits(self, event: Event) -> bool:
        """Note what is wrong with an event; return whether it can be written all the same."""
        if type(event) is Accessed:
            return self._accessed(event)
        if isinstance(event, NumberedEvent):
            self._numbered(event)
        problem = self._problem(event)
        if problem:
            self._note(event, problem)
        return not problem

    def _accessed(self, event: Accessed) -> bool:
        following, self._sequence = self._sequence + 1, max(self._sequence, event.sequence)
        if event.sequence != following:
            self._note(event, f"access {event.sequence}, {following} was next")
        return event.sequence >= following

    def _numbered(self, event: NumberedEvent) -> None:
        following = self._keys.counts.get(event.contract, 0) + 1
        if event.number != following:
            self._note(event, f"event {event.number} of its contract, {following} was next")
        self._keys.counts[event.contract] = event.number
        self.contracts.add(event.contract)

    def _note(self, event: Event, problem: str) -> None:
        self.faults.append(Fault(event.block.number, event.log_index, event.name, problem))

    def _problem(self, event: Event) -> str:
        """Return why an event cannot be written; empty when it can."""
        check = _CHECKS.get(type(event))
        if check is not None:
            return check(self, event)
        change = CHANGES.get(type(event))
        if change is None or change.table is tables.parties:
            return ""  # an address need not be a party's to be withdrawn: it was announced only
        if change.table is tables.subjects:
            return self._known_subject(getattr(event, change.attribute))
        return "" if self._exists(change.table, change.row(event)) else "nothing has this name"

    def _exists(self, table: Table, *conditions: ColumnElement[bool]) -> bool:
        statement = select(func.count()).select_from(table).where(*conditions)
        return bool(self._connection.execute(statement).scalar_one())

    def _known_dataset(self, dataset: bytes) -> str:
        return "" if self._keys.dataset(dataset) else "the dataset is not registered"

    def _known_subject(self, subject: bytes) -> str:
        return "" if self._keys.subject(subject) else "the subject is not registered"

    def _is_named(self, basis: bytes) -> bool:
        known = self._keys.basis(basis)
        return known is not None and known.kind != UNKNOWN

    @_checks(happened.DatasetRegistered)
    def _dataset_registered(self, event: happened.DatasetRegistered) -> str:
        return "the dataset is registered" if self._keys.dataset(event.dataset) else ""

    @_checks(happened.Published)
    def _published(self, event: happened.Published) -> str:
        key = self._keys.dataset(event.dataset)
        if not key:
            return "the dataset is not registered"
        table = tables.datasets
        statement = select(table.c.version).where(table.c.key == key)
        last = self._connection.execute(statement).scalar_one()
        if event.version > last + 1:
            self._note(event, f"version {event.version}, {last + 1} was next")
        return f"version {event.version} is there" if event.version <= last else ""

    @_checks(happened.RecordErased)
    def _of_dataset(self, event: happened.RecordErased) -> str:
        return self._known_dataset(event.dataset)

    @_checks(happened.OrderIssued)
    def _order_issued(self, event: happened.OrderIssued) -> str:
        if self._is_named(event.order):
            return "the order is there"
        return self._known_dataset(event.dataset)

    @_checks(happened.PurposeRegistered)
    def _purpose_registered(self, event: happened.PurposeRegistered) -> str:
        known = self._exists(tables.purposes, tables.purposes.c.id == event.purpose)
        return "the purpose is registered" if known else ""

    @_checks(happened.PurposeFieldsBound)
    def _purpose_fields_bound(self, event: happened.PurposeFieldsBound) -> str:
        known = self._exists(tables.purposes, tables.purposes.c.id == event.purpose)
        return self._known_dataset(event.dataset) if known else "the purpose is not registered"

    @_checks(happened.Applied)
    def _applied(self, event: happened.Applied) -> str:
        table = tables.applications
        if self._exists(table, table.c.id == event.application):
            return "the application is there"
        return self._known_dataset(event.dataset)

    @_checks(happened.AgreementApproved)
    def _agreement_approved(self, event: happened.AgreementApproved) -> str:
        applications, agreements = tables.applications, tables.agreements
        if not self._exists(applications, applications.c.id == event.application):
            return "nobody applied for it"
        others = agreements.c.id != event.agreement
        taken = agreements.c.number == event.agreement_number
        if self._exists(agreements, taken, others):
            return f"agreement {event.agreement_number} is another one"
        return ""

    @_checks(happened.SubjectRegistered)
    def _subject_registered(self, event: happened.SubjectRegistered) -> str:
        if self._keys.subject(event.subject):
            return "the subject is registered"
        if self._subjects is None:
            highest = select(func.max(tables.subjects.c.number))
            self._subjects = self._connection.execute(highest).scalar_one() or 0
        following, number = self._subjects + 1, event.subject_number
        if number < following:
            return f"subject {number} is there"
        if number > following:
            self._note(event, f"subject {number}, {following} was next")
        self._subjects = number
        return ""

    @_checks(happened.Granted)
    def _granted(self, event: happened.Granted) -> str:
        if self._is_named(event.authorization):
            return "the authorization is there"
        return self._known_subject(event.terms.subject) or self._known_dataset(event.terms.dataset)

    @_checks(
        happened.GuardianAppointed,
        happened.GuardianDismissed,
        happened.SignerRotated,
        happened.RecoveryCompleted,
    )
    def _of_subject(self, event: happened.GuardianAppointed | happened.SignerRotated) -> str:
        return self._known_subject(event.subject)

    @_checks(happened.Confirmed, happened.AccessVoided)
    def _of_authorization(self, event: happened.Confirmed | happened.AccessVoided) -> str:
        return "" if self._is_named(event.authorization) else "the authorization was not granted"
