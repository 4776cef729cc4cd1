"""The command line: `python -m scripts.faults`, usually by `make faults` or `make faults LONG=1`."""

import argparse
import io
import logging
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from scripts.bench.machine import node_version, this_machine
from scripts.faults.campaign import Campaign
from scripts.faults.controls import Control, check_then_serve, without_journal
from scripts.faults.counting import Counts
from scripts.faults.database import SQLITE, postgres, postgres_faults
from scripts.faults.faults import COMMON
from scripts.faults.planning import Fault, draw_plan
from scripts.faults.results import FaultResults, markdown, show, summarize
from scripts.faults.stage import Stage
from scripts.faults.town import Town

_VAR: Final = Path("var/faults")
_DOCS: Final = Path("docs/faults.md")
_MARK: Final = (
    "<!-- written by `python -m scripts.faults --commit`; what stands below is replaced -->\n"
)
_SHORT: Final = (("sqlite", 54), ("postgres", 16))
"""Campaigns: the database, and how many faults strike."""
_LONG: Final = (*(("sqlite", 95),) * 9, *(("postgres", 100),) * 2)
"""Several, each on a chain of its own: anvil keeps everything in memory and in one file."""
_AT_ONCE: Final = 2
"""Campaigns of a long run under way: each waits for most of its time."""
_DATABASES: Final = ("sqlite", "postgres")
_PEOPLE: Final = 12


class Run:
    def __init__(self, options: argparse.Namespace, home: Path) -> None:
        self.console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
        self._options = options
        self._home = home
        self._campaigns: list[Campaign] = []
        self._node = ""

    def carry_out(self) -> FaultResults:
        """Let everything strike, run the controls; return what came of it."""
        began, clock = datetime.now(tz=UTC), time.monotonic()
        chosen = _LONG if self._options.long else _SHORT
        planned, counts = 0, Counts()
        with ThreadPoolExecutor(_AT_ONCE if self._options.long else 1) as pool:
            campaigns = [
                pool.submit(
                    self._campaign, database, self._options.count or count, self._options.seed + at
                )
                for at, (database, count) in enumerate(chosen)
                if database in self._options.databases
            ]
            for one in campaigns:
                faults, counted = one.result()
                planned, counts = planned + faults, counts + counted
        controls = () if self._options.no_controls else self._controls()
        kinds, recovery = summarize(one for some in self._campaigns for one in some.struck)
        answers = sum((Counter(campaign.answers) for campaign in self._campaigns), Counter[str]())
        return FaultResults(
            machine=msgspec.structs.replace(this_machine(), node=self._node),
            began=f"{began:%Y-%m-%d %H:%M} UTC",
            seconds=time.monotonic() - clock,
            seed=self._options.seed,
            planned=planned,
            kinds=kinds,
            recovery=recovery,
            counts=counts,
            controls=controls,
            answers=dict(answers),
            failures=tuple(failure for some in self._campaigns for failure in some.failures),
        )

    def _campaign(self, database: str, count: int, seed: int) -> tuple[int, Counts]:
        """Carry out one campaign; return how many faults were planned, and what was counted."""
        name = f"{database}-{seed}"
        with ExitStack() as stack:
            faults, url = (*COMMON, *SQLITE), None
            if database == "postgres":
                server = stack.enter_context(postgres())
                faults, url = (*COMMON, *postgres_faults(server)), server.url
            town = Town(self._home / name, _PEOPLE)
            stack.callback(town.close)
            stage = Stage(town, database=url)
            stack.callback(stage.stop)
            self.console.print(f"\n[bold]{database}[/bold]: {count} faults, seed {seed}")
            stage.start()
            self._node = node_version(town.node.url)
            campaign = Campaign(stage, name, seed, self.say)
            plan = draw_plan(self._chosen(faults), count, seed)
            self._campaigns.append(campaign)
            return len(plan), campaign.run(plan)

    def _chosen(self, faults: tuple[Fault, ...]) -> list[Fault]:
        only = self._options.only
        return [fault for fault in faults if not only or any(one in fault.kind for one in only)]

    def _controls(self) -> tuple[Control, ...]:
        self.console.print("\n[bold]controls[/bold]")
        seed = self._options.seed
        return (
            without_journal(self._home / "unjournaled", seed, self.say),
            check_then_serve(self._home / "check-then-serve", seed, self.say),
        )

    def say(self, text: str) -> None:
        """Tell who watches what is going on."""
        self.console.print(f"   {text}", soft_wrap=True, markup=False)


def main(arguments: list[str] | None = None) -> int:
    """Run; return the exit status: 0 when every fault struck and nothing is wrong."""
    # What the node's own thread says of a node that hangs is known here.
    logging.getLogger("ledger").setLevel(logging.ERROR)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    options = _parser().parse_args(arguments)
    home = Path(tempfile.mkdtemp(prefix="quancheng-faults-"))
    run = Run(options, home)
    done = False
    try:
        results = run.carry_out()
        done = not results.problems
    finally:
        if done:
            shutil.rmtree(home, ignore_errors=True)
        else:
            run.say(f"logs and data are kept in {home}")
    show(results, run.console)
    path = _VAR / f"{datetime.now(tz=UTC):%Y%m%d-%H%M%S}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")
    run.say(f"written to {path}")
    if options.commit:
        kept, mark, _ = _DOCS.read_text(encoding="utf-8").partition(_MARK)
        _DOCS.write_text(kept + (mark or _MARK) + "\n" + markdown(results), encoding="utf-8")
    return 0 if done else 1


def _parser() -> argparse.ArgumentParser:
    long = os.environ.get("LONG", "") not in ("", "0")
    parser = argparse.ArgumentParser(prog="python -m scripts.faults", description=__doc__)
    parser.add_argument("--long", action="store_true", default=long, help="1,055 faults (LONG=1)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--count", type=int, help="faults of each campaign")
    parser.add_argument("--only", nargs="*", default=[], help="kinds that have one of these in it")
    parser.add_argument(
        "--databases", nargs="*", choices=_DATABASES, default=list(_DATABASES), help="campaigns"
    )
    parser.add_argument("--no-controls", action="store_true", help="leave the controls out")
    parser.add_argument("--commit", action="store_true", help="write docs/faults.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
