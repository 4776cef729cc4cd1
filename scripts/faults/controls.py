"""The controls: the same play and the same counting, with a protection taken away, must show the harm.

Without the recorder's journal, what a node forgot is lost. With check-then-serve in place of the decision on
chain, data goes out that the chain says was revoked. A control that shows nothing means that the harness
could not have seen it.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec

from scripts.faults.campaign import RECOVERY, Driver, Pace, count_all, driver
from scripts.faults.counting import Counts
from scripts.faults.planning import FaultRunError
from scripts.faults.racing import Racing
from scripts.faults.stage import Stage
from scripts.faults.town import Town

_PEOPLE: Final = 12
_SERVED: Final = 40
"""Accesses after which the node is killed."""
_RACE: Final = 20.0
"""Seconds for which revocations race with accesses."""
_TIMEOUT: Final = 5.0
_POLL: Final = 0.05


class Control(msgspec.Struct, frozen=True):
    """Result of a control.

    Attributes:
        name: what was taken away.
        shows: which counts must not be zero.
        counts: what was counted.
    """

    name: str
    shows: tuple[str, ...]
    counts: Counts

    @property
    def is_good(self) -> bool:
        """Whether it shows the harm."""
        return all(self.counts.wrongs[name] for name in self.shows)


def without_journal(home: Path, seed: int, say: Callable[[str], None]) -> Control:
    """Kill gateway and node while people use them, with the recorder's journal switched off."""
    with ExitStack() as stack:
        stage = _stage(stack, home, state_interval=0, journaled=False)
        with driver(stage, seed, Pace(patience=_TIMEOUT)) as player:
            _wait_for(player, _SERVED)
            stage.gateway.kill()
            stage.node.kill()
            stage.node.start()
            stage.gateway.start()
            report = player.finish()
        counts = count_all(stage, report, findings=0)
    say(f"without the journal: {counts.acknowledged_lost} acknowledged acts and accesses are lost")
    return Control("journal switched off", ("acknowledged_lost", "released_unrecorded"), counts)


def check_then_serve(home: Path, seed: int, say: Callable[[str], None]) -> Control:
    """Let people revoke while consumers use, with a view asked before serving, and a record made later."""
    with ExitStack() as stack:
        stage = _stage(stack, home)
        racing = Racing(stage)
        stack.callback(racing.stop)
        racing.start()
        pace = Pace(workers=12, pause=0.02, patience=_TIMEOUT)
        with driver(stage, seed, pace, gateway=racing.url) as player:
            time.sleep(_RACE)
            report = player.finish()
        racing.finish()
        counts = count_all(stage, report, findings=0)
    say(f"check, then serve: {counts.allowed_after_revocation} accesses after revocation was final")
    return Control("check-then-serve", ("allowed_after_revocation",), counts)


def _stage(
    stack: ExitStack, home: Path, *, state_interval: float = 1.0, journaled: bool = True
) -> Stage:
    town = Town(home, _PEOPLE, state_interval=state_interval)
    stack.callback(town.close)
    stage = Stage(town, journaled=journaled)
    stack.callback(stage.stop)
    stage.start()
    return stage


def _wait_for(player: Driver, accesses: int) -> None:
    until = time.monotonic() + RECOVERY
    while len(player.served) < accesses:
        if time.monotonic() > until:
            raise FaultRunError(f"{len(player.served)} accesses were served")
        time.sleep(_POLL)
