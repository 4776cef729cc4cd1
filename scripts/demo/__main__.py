"""The command line: `python -m scripts.demo [--keep] [--people N ...]`, usually by `make demo`."""

import argparse
import os
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ledger.errors import LedgerError
from scripts.city.errors import CityError
from scripts.city.write import NATURAL, Size
from scripts.demo.running import show_how_to_go_on, start
from scripts.demo.stage import DemoError, DifferenceError, Stage
from scripts.demo.story import tell
from wallet.errors import WalletError
from wallet.supervisor import ended_by_signals, stop_left_behind

_DATA: Final = Path("var/demo")
_LARGE: Final = 1000
"""People."""


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; return the exit status: 0 only if everything was as the story says."""
    options = _parser().parse_args(arguments)
    stage, data = Stage(), _directory(options)
    try:
        if options.stop is not None:
            stage.step(f"stopped {', '.join(stop_left_behind(options.stop)) or 'nothing'}")
            return 0
        with ended_by_signals():
            return _run(stage, options, data)
    except DifferenceError as error:
        stage.fail(f"not as the story says: {error}")
    except (DemoError, CityError, WalletError, LedgerError) as error:
        stage.fail(str(error))
    except KeyboardInterrupt:
        stage.fail("interrupted")
    if (data / "logs").exists():
        stage.step(f"what the services said: {data / 'logs'}")
    return 1


def _run(stage: Stage, options: argparse.Namespace, data: Path) -> int:
    # The people of a small city own too little for a publication of changes.
    real_estate = NATURAL if options.people >= _LARGE else _LARGE
    size = Size(options.people, options.enterprises, options.records, real_estate)
    if (data / "deployment.json").exists():
        raise DemoError(f"{data} has a story already; the demo tells a new one each time")
    with start(stage, data, size, keep=options.keep) as world:
        tell(world)
    stage.summarize()
    if options.keep:
        show_how_to_go_on(world)
    elif options.data is None:
        shutil.rmtree(data, ignore_errors=True)
    return 0


def _directory(options: argparse.Namespace) -> Path:
    """Return where everything is kept: a new place each time, unless one was named."""
    now = datetime.now(tz=UTC)
    data: Path = options.data or _DATA / f"{now:%Y%m%d-%H%M%S}-{os.getpid()}"
    return data.absolute()


def _parser() -> argparse.ArgumentParser:
    usual = Size()
    parser = argparse.ArgumentParser(prog="python -m scripts.demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything running")
    parser.add_argument("--stop", type=Path, metavar="DIR", help="end what --keep left running")
    parser.add_argument("--data", type=Path, metavar="DIR", help="where to keep everything")
    parser.add_argument("--people", type=int, default=usual.people)
    parser.add_argument("--enterprises", type=int, default=usual.enterprises)
    parser.add_argument("--records", type=int, default=usual.records, help="at least")
    return parser


if __name__ == "__main__":
    sys.exit(main())
