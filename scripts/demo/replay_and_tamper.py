"""Act: the regulator replays everything from a node, and finds what was done to a copy of the trail.

Replaying needs nothing from the gateway: the node has every event. With the gateway's journal the
consumers' signatures are checked too, so that an access that a gateway invented shows.
"""

from pathlib import Path
from typing import Final

import msgspec

from ledger.hexstr import from_hex
from ledger.replay.export import TrailHeader, TrailReader, open_trail, write_trail
from ledger.replay.journal_check import ReleaseEntry
from ledger.replay.report import End, Kind, ReplayReport
from ledger.replay.sources import export_trail, replay_node, replay_trail
from scripts.demo import tampering
from scripts.demo.tampering import CopiedJournal, Copy, Tampering
from scripts.demo.world import World
from wallet.regulator.journals import GatewayJournal

TAMPERINGS: Final[tuple[tuple[str, Tampering, frozenset[Kind]], ...]] = (
    (
        "an access is dropped",
        tampering.drop_an_access,
        frozenset((Kind.MISSING_ACCESS,)),
    ),
    (
        "a denial is edited into an allowed access",
        tampering.edit_an_access,
        frozenset((Kind.WRONG_OUTCOME, Kind.WRONG_HEAD)),
    ),
    (
        "two accesses change places",
        tampering.reorder_accesses,
        frozenset((Kind.REPEATED_ACCESS,)),
    ),
    (
        "a denial is edited and all hashes are forged to fit",
        tampering.forge_the_hashes,
        frozenset((Kind.WRONG_OUTCOME, Kind.OTHER_END)),
    ),
    (
        "an access is invented that nobody signed",
        tampering.invent_an_access,
        frozenset((Kind.UNSIGNED_ACCESS,)),
    ),
    (
        "a release is claimed without a record",
        tampering.claim_a_release,
        frozenset((Kind.RELEASE_WITHOUT_RECORD,)),
    ),
)
"""Changes to the copy, and the findings that the replay must have at least."""


def play(world: World) -> None:
    """Replay from the node, then from copies that were tampered with."""
    with world.stage.act("The regulator replays all, finds every tampering"):
        journal = gateway_journal(world)
        replay(world, journal)
        tamper(world, journal)


def gateway_journal(world: World) -> tuple[ReleaseEntry, ...]:
    """Fetch the gateway's journal, as a regulator may."""
    path = world.data / "journal.jsonl"
    world.regulator.fetch_journal(path)
    entries = GatewayJournal(path).entries()
    return tuple([entry for entry in entries if isinstance(entry, ReleaseEntry)])


def replay(world: World, journal: tuple[ReleaseEntry, ...]) -> None:
    """From the node alone, then with the signatures that the gateway's journal has."""
    alone = replay_node(world.node, world.deployment)
    extent = f"{alone.logs:,} events, {alone.accesses} accesses decided again"
    world.stage.check(f"replay from the node alone: nothing found ({extent})", alone.findings, ())
    outcomes = {one.outcome: one.count for one in alone.outcomes}
    world.stage.check("the same outcomes as the consumers saw", outcomes, dict(world.outcomes))
    journals = [CopiedJournal("gateway", journal)]
    report = replay_node(world.node, world.deployment, journals)
    world.stage.check("replay with the gateway's journal: nothing found", report.findings, ())
    world.stage.check("both give the same result", report.end, alone.end)
    world.stage.check("every access was signed by its consumer", report.signatures, report.accesses)
    rows = [(outcome.title, str(count)) for outcome, count in sorted(outcomes.items())]
    world.stage.table("Accesses by outcome", ("outcome", "accesses"), rows)


def tamper(world: World, journal: tuple[ReleaseEntry, ...]) -> None:
    """Do six things to a copy; the replay finds each."""
    path = world.data / "trail.jsonl"
    header = export_trail(world.node, world.deployment, path)
    copy = read_copy(path, journal)
    untouched = replay_copy(world, world.data / "copy-0.jsonl", header, copy, copy.end)
    world.stage.check("the untouched copy replays like the chain", untouched.findings, ())
    for number, (what, change, expected) in enumerate(TAMPERINGS, 1):
        changed = change(copy)
        # Who invents an access as a recorder ends the chain itself, so its end proves nothing.
        end = changed.end if change is tampering.invent_an_access else copy.end
        report = replay_copy(world, world.data / f"copy-{number}.jsonl", header, changed, end)
        kinds = {finding.kind for finding in report.findings}
        world.stage.check(f"{what}: found ({', '.join(sorted(kinds))})", kinds & expected, expected)


def read_copy(path: Path, journal: tuple[ReleaseEntry, ...]) -> Copy:
    """Read an exported trail."""
    with open_trail(path) as file:
        reader = TrailReader(file)
        logs = tuple(log for batch in reader.batches() for log in batch)
        return Copy(logs, journal, reader.end or End(0, bytes(32)))


def replay_copy(
    world: World, path: Path, header: TrailHeader, copy: Copy, end: End
) -> ReplayReport:
    """Write a copy to a file and replay the file."""
    with path.open("wb") as file:
        write_trail(file, _agreeing(header, copy), [copy.logs], copy.end)
    journals = [CopiedJournal("gateway", copy.entries)]
    return replay_trail(path, world.deployment, journals, known_end=end.known)


def _agreeing(header: TrailHeader, copy: Copy) -> TrailHeader:
    """Let the first line agree with the logs, as a forger would: else it gives the copy away by itself."""
    number, hash_ = max((int(log.block_number, 16), log.block_hash) for log in copy.logs)
    if number < header.last_block:
        return header
    return msgspec.structs.replace(header, last_block=number, last_block_hash=from_hex(hash_))
