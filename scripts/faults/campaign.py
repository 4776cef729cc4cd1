"""One campaign: the driver plays, faults strike one after the other, and then everything is counted."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from ledger.chain import eth_methods
from ledger.chain.deployment import encode_deployment
from ledger.chain.events import Event
from ledger.chain.events.decoder import EventDecoder
from ledger.replay.journal_check import ReleaseEntry
from ledger.replay.report import Finding, Kind, ReplayReport
from ledger.replay.sources import read_logs, replay_node
from scripts.faults.counting import Counts, count
from scripts.faults.planning import FaultRunError, Planned
from scripts.faults.stage import Stage
from scripts.faults.told import PlayPlan, PlayReport, Sign
from wallet.regulator.journals import GatewayJournal, KeyholderJournal, fetch_journal

RECOVERY: Final = 90.0
"""Seconds within which an access must be served again."""
_END: Final = 150.0
_CALM: Final = 0.4
"""Seconds at most between a recovery and the next fault."""


OF_FORGOTTEN_BLOCKS: Final = frozenset(
    (Kind.OTHER_BLOCK, Kind.OTHER_END, Kind.STOPPED_RELEASE, Kind.STALE_RELEASE)
)
"""Findings that are right where the embedded chain forgot final blocks that keyholders had noted: the blocks
are others and of other times, and what was decided before a release may have come back behind it. On a chain that
keeps its final blocks each of these is harm (`tests/ledger/test_replay_releases.py`)."""


class Struck(msgspec.Struct, frozen=True):
    """A fault that struck: what, seconds until an access was served again, and what was seen."""

    kind: str
    recovery: float
    note: str = ""


@dataclass
class Driver:
    """The driver's process, and what it tells while it plays."""

    process: "subprocess.Popen[bytes]"
    report_file: Path
    served: list[tuple[float, float]] = field(default_factory=list)
    failures: list[tuple[float, str]] = field(default_factory=list)

    def listen(self) -> None:
        """Take in what it prints, until it ends."""
        decode = msgspec.json.Decoder(Sign).decode
        for line in self.process.stdout or ():
            sign = decode(line)
            if sign.failed:
                self.failures.append((time.monotonic(), sign.failed))
            else:
                self.served.append((sign.sent, sign.answered))

    def wait_until_served(self, since: float, seconds: float = RECOVERY) -> float:
        """Wait for an access that was sent after a moment and served; return the seconds to its answer.

        Raises:
            FaultRunError: there is none in time.
        """
        until, seen = time.monotonic() + seconds, len(self.served)
        while seen and self.served[seen - 1][1] > since:
            seen -= 1
        while True:
            for sent, answered in self.served[seen:]:
                if sent >= since:
                    return answered - since
            seen = len(self.served)
            if self.process.poll() is not None:
                raise FaultRunError("the driver has ended")
            if time.monotonic() > until:
                raise FaultRunError(f"no access was served for {seconds:.0f} s")
            time.sleep(0.005)

    def finish(self) -> PlayReport:
        """Let it end, and return what it knows.

        Raises:
            FaultRunError: it does not end well.
        """
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            status = self.process.wait(_END)
        except subprocess.TimeoutExpired as error:
            raise FaultRunError("the driver does not end") from error
        if status:
            raise FaultRunError(f"the driver ended with status {status}")
        return msgspec.msgpack.decode(self.report_file.read_bytes(), type=PlayReport)


class Pace(msgspec.Struct, frozen=True):
    """How fast is played; see `PlayPlan`."""

    workers: int = 3
    pause: float = 0.25
    patience: float = 90.0


USUAL: Final = Pace()


@contextmanager
def driver(
    stage: Stage, seed: int, pace: Pace = USUAL, *, gateway: str | None = None
) -> Iterator[Driver]:
    """Run the driver until the context ends."""
    town, home = stage.town, stage.town.home
    plan = PlayPlan(
        gateway=gateway or stage.client_proxy.url,
        deployment=encode_deployment(town.chain.deployment),
        dataset=town.terms.dataset,
        purpose=town.terms.purpose,
        consumers=town.chain.parties.consumers,
        citizens=tuple(town.people),
        seed=seed,
        workers=pace.workers,
        pause=pace.pause,
        patience=pace.patience,
    )
    plan_file, report_file = home / "plan", home / "report"
    plan_file.write_bytes(msgspec.msgpack.encode(plan))
    command = [sys.executable, "-m", "scripts.faults.play", str(plan_file), str(report_file)]
    with (home / "driver.log").open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        )
    running = Driver(process, report_file)
    listener = threading.Thread(target=running.listen, daemon=True)
    listener.start()
    try:
        yield running
    finally:
        process.kill()
        process.wait()
        listener.join(5)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


class Campaign:
    """Lets faults strike on a stage."""

    def __init__(self, stage: Stage, name: str, seed: int, say: Callable[[str], None]) -> None:
        self.stage = stage
        self.name = name
        self.struck: list[Struck] = []
        self.failures: list[str] = []
        """Faults that did not strike, or after which nothing was served any more."""
        self.answers: dict[str, int] = {}
        """Failures that the driver got instead of an answer, by kind."""
        self._seed = seed
        self._say = say

    def run(self, plan: Sequence[Planned]) -> Counts:
        """Carry out a plan while the driver plays, and count.

        Raises:
            FaultRunError: the driver does not work.
        """
        with driver(self.stage, self._seed) as player:
            player.wait_until_served(time.monotonic())
            for number, planned in enumerate(plan, 1):
                if not self._strike(player, planned, f"{number} of {len(plan)}"):
                    break
            report = player.finish()
        self.answers = report.failures
        return self._count(report)

    def _strike(self, player: Driver, planned: Planned, where: str) -> bool:
        """Let one fault strike; return whether there is any going on."""
        kind = planned.fault.kind
        try:
            since, note = planned.fault.strike(self.stage, player, planned.random)
            recovery = player.wait_until_served(since)
        except FaultRunError as error:
            self.failures.append(f"{self.name}, {kind}, fault {where}: {error}")
            self._say(f"✗ {kind}: {error}")
            return self._mend(player)
        self.struck.append(Struck(kind, recovery, note))
        seen = f" ({note})" if note else ""
        self._say(f"{where} · {kind}{seen}: served again after {recovery:.2f} s")
        time.sleep(planned.random.uniform(0, _CALM))
        return True

    def _mend(self, player: Driver) -> bool:
        """Bring everything back after a fault that did not go as it should."""
        stage = self.stage
        try:
            stage.mend()
            player.wait_until_served(time.monotonic())
        except FaultRunError as error:
            self.failures.append(f"{self.name}: cannot go on: {error}")
            return False
        return True

    def _count(self, told: PlayReport) -> Counts:
        stage = self.stage
        stage.settle()
        report = replay(stage)
        findings = unexplained(stage, report)
        for finding in findings[:20]:
            self._say(f"✗ replay: {finding}")
        for reason in told.unopened[:5]:
            self._say(f"✗ not opened: {reason}")
        for kind in sorted(set(told.misled)):
            self._say(f"✗ told to give up what worked when sent again: {kind}")
        return count_all(stage, told, findings=len(findings))


def replay(stage: Stage) -> ReplayReport:
    """Replay everything from the node, with the journals of all who released."""
    path = stage.town.home / "journal.ndjson"
    with stage.regulator() as client:
        client.run(fetch_journal(path))
    journals = [KeyholderJournal(journal, journal.parent.name) for journal in stage.journals]
    return replay_node(
        stage.town.chain.rpc, stage.town.chain.deployment, [GatewayJournal(path), *journals]
    )


def unexplained(stage: Stage, report: ReplayReport) -> list[Finding]:
    """Return what replay found and no forgotten block explains."""
    rpc, hashes = stage.town.chain.rpc, dict[int, bytes | None]()
    forgotten: set[tuple[str, int | None]] = set()
    for path in stage.journals:
        source = path.parent.name
        for entry in KeyholderJournal(path, source).entries():
            if not isinstance(entry, ReleaseEntry) or entry.judged is None:
                continue
            number = entry.judged.block
            if number not in hashes:
                block = rpc.send(eth_methods.block(number))
                hashes[number] = None if block is None else block.hash
            if hashes[number] != entry.judged.block_hash:
                forgotten.add((source, entry.sequence))
    return [
        finding
        for finding in report.findings
        if finding.kind not in OF_FORGOTTEN_BLOCKS
        or (finding.sequence is not None and (finding.source, finding.sequence) not in forgotten)
    ]


def count_all(stage: Stage, told: PlayReport, *, findings: int) -> Counts:
    """Count everything, with the events from the node and the keyholders' own journals."""
    journals = [KeyholderJournal(path, path.parent.name) for path in stage.journals]
    entries = [entry for journal in journals for entry in journal.entries()]
    released = [entry.access for entry in entries if isinstance(entry, ReleaseEntry)]
    return count(told, events_of(stage), released, findings=findings)


def events_of(stage: Stage) -> list[Event]:
    """Return every event of the five contracts, from the node."""
    town = stage.town
    rpc, deployment = town.chain.rpc, town.chain.deployment
    newest = rpc.send(eth_methods.block_number())
    decoder = EventDecoder(deployment.contracts)
    pages = read_logs(rpc, deployment.contracts, deployment.block_number, newest)
    return [event for page in pages for event in decoder.decode_all(page)]
