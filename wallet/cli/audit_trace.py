"""`quancheng audit trace`: the life of one thing as a table, with the names that are on chain."""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Final

import msgspec

from ledger.chain.events import Accessed, Applied, DatasetRegistered, Event, Granted, PartyAdmitted
from ledger.hexstr import to_hex
from ledger.model import State
from ledger.plain_text import is_moment, iso_moment, moment
from ledger.trace import Thing, TraceEntry, Tracer
from wallet.cli.output import named, short
from wallet.cli.session import Session

_TECHNICAL: Final = frozenset(
    (
        "nonce",
        "deadline",
        "statement_hash",
        "case_reference",
        "text_hash",
        "data",
        "texts",
        "manifest",
    )
)
_TIMES: Final = frozenset(
    ("not_before", "expires_at", "starts_at", "ends_at", "until", "effective_at")
)
_ACTORS: Final[Mapping[type[Event], str]] = {
    Accessed: "consumer",
    Applied: "consumer",
    Granted: "signer",
    DatasetRegistered: "provider",
}
"""Whose name stands in the column before, and need not stand twice."""


class _Line(msgspec.Struct, frozen=True):
    """One line, for machines."""

    at: str
    """ISO 8601, UTC."""
    block_number: int
    log_index: int
    transaction: str
    event: str
    outcome: str | None
    who: str | None
    who_name: str | None
    """As the registry had it then."""
    what: str
    """Id of what the act is about; of an access its basis."""
    text: str
    """All that the event says; ids whole."""
    brief: str
    """The same for people: names and beginnings of ids."""


class Timeline:
    """Collects the life of one thing while a replay reads; show it to the replay as its witness.

    Args:
        thing: what is traced.
        name: its id, 32 bytes, or a party's address, 20 bytes.
    """

    def __init__(self, thing: Thing, name: bytes) -> None:
        self.title = f"{thing.value} {short(name)}"
        self.lines: list[_Line] = []
        self._tracer = Tracer(thing, name)
        self._names: dict[bytes, str] = {}
        """What parties and datasets are called."""

    def witness(self, _state: State, event: Event) -> None:
        """Take the next event of the replay."""
        if isinstance(event, PartyAdmitted):
            self._names[event.party] = event.title
        elif isinstance(event, DatasetRegistered):
            self._names[event.dataset] = event.terms.title
        entry = self._tracer.take(event)
        if entry is not None:
            self.lines.append(_line(entry, self._names))

    def show(self, session: Session) -> None:
        """Show it to people."""
        session.output.table(
            f"{self.title}: {len(self.lines)} entries",
            ("when (UTC)", "block", "act", "outcome", "who", "what"),
            [
                (
                    line.at.removesuffix("+00:00").replace("T", " "),
                    line.block_number,
                    line.event,
                    line.outcome or "",
                    "" if line.who is None else named(line.who_name, line.who),
                    line.brief,
                )
                for line in self.lines
            ],
        )


def _line(entry: TraceEntry, names: Mapping[bytes, str]) -> _Line:
    event, who = entry.event, entry.who
    own = event.__struct_fields__[len(Event.__struct_fields__) :]
    said = {name: getattr(event, name) for name in own if name not in ("data", "outcome")}
    return _Line(
        at=iso_moment(entry.time),
        block_number=event.block.number,
        log_index=event.log_index,
        transaction=to_hex(event.transaction),
        event=entry.act,
        outcome=None if entry.outcome is None else entry.outcome.title,
        who=None if who is None else to_hex(who),
        who_name=None if who is None else names.get(who),
        what=to_hex(entry.what),
        text=_said(said),
        brief=_brief(event, said, names),
    )


def _said(members: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {_whole(value)}" for name, value in members.items())


def _whole(value: object) -> str:
    if isinstance(value, bytes):
        return to_hex(value)
    if isinstance(value, msgspec.Struct):
        return f"({_said(msgspec.structs.asdict(value))})"
    if isinstance(value, tuple):
        return f"[{'; '.join(map(_whole, value))}]"
    return value.name if isinstance(value, Enum) else str(value)


def _brief(event: Event, members: Mapping[str, object], known: Mapping[bytes, str]) -> str:
    """Return what people need of an event: each thing once, without what is zero or only technical."""
    brief: dict[str, str] = {}
    for name, value in _flat(members):
        if value and name not in _TECHNICAL and not (isinstance(value, bytes) and not any(value)):
            brief.setdefault(name, _shown(name, value, known))
    who = _ACTORS.get(type(event))
    return ", ".join(f"{name} {text}" for name, text in brief.items() if name != who)


def _flat(members: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for name, value in members.items():
        if isinstance(value, msgspec.Struct):
            yield from _flat(msgspec.structs.asdict(value))
        else:
            yield name, value


def _shown(name: str, value: object, known: Mapping[bytes, str]) -> str:
    if isinstance(value, bytes):
        return named(known.get(value), value)
    if name == "not_before" and value == 0:
        return "the grant's block"
    if name in _TIMES and isinstance(value, int):
        return f"{moment(value):%Y-%m-%d %H:%M}" if is_moment(value) else str(value)
    if name == "fields" and isinstance(value, int):
        return " ".join(str(place) for place in range(value.bit_length()) if value >> place & 1)
    return _whole(value)
