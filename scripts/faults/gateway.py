"""The real gateway, in a process of its own, in which some faults can be made to strike while it runs.

`python -m scripts.faults.gateway` is `python -m gateway` with three things added, all told by a small file
that a thread looks at (`QUANCHENG_FAULTS` names it):

- a failpoint is armed while accesses are under way (`ledger.failpoints`), not only at the start;
- the system clock jumps: `time.time` is replaced, before anything of the gateway is imported, by one that
  is off by some seconds. So the whole process sees a wrong wall clock, and a right monotonic one, as after
  somebody set the machine's clock. Node, keyholders and clients keep the right one: a gateway whose clock
  alone is wrong is the worse case;
- SQLite may take no more pages, or no writes: what a full or a read-only disk makes of it.

And for the control, the recorder's journal can be left out.
"""

import os
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import Connection, Engine, event

FILE: Final = "QUANCHENG_FAULTS"
UNJOURNALED: Final = "QUANCHENG_FAULTS_UNJOURNALED"
_POLL: Final = 0.02
_ALL_PAGES: Final = 2**32 - 2
"""SQLite's own limit."""


class Orders(msgspec.Struct, frozen=True):
    """Faults that are to be in effect.

    Attributes:
        number: of these orders; the gateway writes it down when it has taken them.
        failpoint: where to die next, as `ledger.failpoints.arm` takes it.
        clock: seconds by which the wall clock is ahead.
        database: `full`, `read-only`, or empty when SQLite is to work.
    """

    number: int = 0
    failpoint: str = ""
    clock: float = 0.0
    database: str = ""


def taken_file(orders: Path) -> Path:
    return orders.with_suffix(".taken")


class Saboteur:
    """Carries out orders."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._orders = Orders()
        self._right_time = time.time

    def begin(self) -> None:
        """Take the first orders, and look for new ones from now on."""
        vars(time)["time"] = self._time
        event.listen(Engine, "begin", self._spoil)
        self._look()
        threading.Thread(target=self._watch, daemon=True, name="saboteur").start()

    def _time(self) -> float:
        return self._right_time() + self._orders.clock

    def _watch(self) -> None:
        while True:
            time.sleep(_POLL)
            self._look()

    def _look(self) -> None:
        orders = msgspec.json.decode(self._file.read_bytes(), type=Orders)
        if orders.number == self._orders.number:
            return
        from ledger import failpoints  # noqa: PLC0415 - the clock has to be in place before

        is_new = orders.failpoint != self._orders.failpoint
        self._orders = orders
        taken_file(self._file).write_text(str(orders.number), encoding="ascii")
        if is_new:  # last: the next access may end this process
            failpoints.arm(orders.failpoint)

    def _spoil(self, connection: Connection) -> None:
        """Let a transaction that writes to SQLite do as ordered."""
        if connection.dialect.name != "sqlite":
            return
        cursor = connection.connection.cursor()
        if "reads" not in connection.info:
            cursor.execute("PRAGMA query_only")
            connection.info["reads"] = cursor.fetchone() == (1,)
        if not connection.info["reads"]:
            read_only = "ON" if self._orders.database == "read-only" else "OFF"
            cursor.execute(f"PRAGMA query_only={read_only}")
            cursor.execute("PRAGMA page_count")
            now = cursor.fetchone() or (_ALL_PAGES,)
            pages = now[0] if self._orders.database == "full" else _ALL_PAGES
            cursor.execute(f"PRAGMA max_page_count={pages}")
        cursor.close()


def _leave_out_the_journal() -> None:
    from gateway import services  # noqa: PLC0415 - the clock has to be in place before
    from ledger.recorder.settings import RecorderSettings  # noqa: PLC0415

    vars(services)["RecorderSettings"] = partial(RecorderSettings, journaled=False)


def main() -> int:
    """Serve until SIGTERM; return the exit status."""
    Saboteur(Path(os.environ[FILE])).begin()
    if os.environ.get(UNJOURNALED):
        _leave_out_the_journal()
    from gateway.app import main as serve  # noqa: PLC0415 - the clock has to be in place before

    return serve()


if __name__ == "__main__":
    sys.exit(main())
