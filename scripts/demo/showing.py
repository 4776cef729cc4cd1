"""Act: the whole life of one case as a table, from the chain alone."""

from typing import Final

from ledger.chain.events import Event
from ledger.model import State
from ledger.plain_text import moment
from ledger.replay.sources import replay_node
from ledger.trace import Thing, TraceEntry, Tracer
from scripts.demo.consumers import Entitlement
from scripts.demo.stage import DemoError
from scripts.demo.world import World

LIFE: Final = (
    "Granted",
    "SubjectFrozen",
    "Accessed: Frozen",
    "SubjectUnfrozen",
    "Accessed: Allowed",
    "RecoveryStarted",
    "Accessed: Frozen",
    "RecoveryCompleted",
    "Accessed: Frozen",
    "Confirmed",
    "Accessed: Allowed",
    "ConsumerRestricted",
    "RestrictionLifted",
)
"""Events of the case whose key was lost, in the story's order."""


def play(world: World, granted: Entitlement) -> None:
    """Trace one case from its reference, which the bank has; show the way of its data."""
    with world.stage.act("The whole life of one case"):
        if granted.case is None:
            raise DemoError("an agreement has no case")
        entries = trace_case(world, granted.case.ask.case_reference)
        title = f"Case {granted.case.ask.case_number}"
        columns = ("time (UTC)", "block", "what", "by whom")
        world.stage.table(title, columns, [_row(world, entry) for entry in entries])
        world.stage.check(
            "the trace shows what happened, and nothing else",
            tuple(_what(entry) for entry in entries),
            LIFE,
        )


def trace_case(world: World, reference: bytes) -> tuple[TraceEntry, ...]:
    """Return everything about a case; nothing is asked but the regulator's own node."""
    tracer, entries = Tracer(Thing.CASE, reference), []

    def witness(_state: State, event: Event) -> None:
        entry = tracer.take(event)
        if entry is not None:
            entries.append(entry)

    report = replay_node(world.node, world.deployment, witness=witness)
    world.stage.check("nothing is missing from what was traced", report.findings, ())
    return tuple(entries)


def _what(entry: TraceEntry) -> str:
    if entry.outcome is None:
        return entry.act
    return f"Accessed: {entry.outcome.title}"


def _row(world: World, entry: TraceEntry) -> tuple[str, str, str, str]:
    clock = f"{moment(entry.time):%H:%M:%S}"
    number = str(entry.event.block.number)
    return clock, number, _what(entry), _name(world, entry.who)


def _name(world: World, who: bytes | None) -> str:
    """Return a party's name; whoever is no party here is the person, under a pseudonym."""
    if who is None:
        return "Identity authority"
    return world.names.get(who, "the person")
