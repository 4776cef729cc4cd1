"""Places at which a process can be told to kill itself, to show that a crash there loses nothing.

Off unless `arm` is called, which a setting of the gateway does for fault runs and tests do. Then the
process dies by SIGKILL when it gets there: no handler runs and nothing is flushed, as in a power cut.
"""

import os
import signal
from typing import Final

from ledger.errors import LedgerError

NAMES: Final = (
    "before_journal",
    "after_journal",
    "after_send",
    "after_receipt",
    "after_release",
    "before_response",
)
"""The steps of an access, in order. The last two are the gateway's."""


class _Armed:
    """What is armed in this process; nothing at first."""

    name = ""
    passes = 0


def arm(setting: str) -> None:
    """Arm one failpoint: a name, or a name and how many times it is passed before (`after_send:3`); empty for none.

    Raises:
        LedgerError: there is none of this name.
    """
    name, _, passes = setting.partition(":")
    if name and (name not in NAMES or not (passes or "0").isdigit()):
        raise LedgerError(f"{setting!r} is no failpoint: {', '.join(NAMES)}")
    _Armed.name, _Armed.passes = name, int(passes or "0")


def reach(name: str) -> None:
    """Die here if this failpoint is armed."""
    if name != _Armed.name:
        return
    if _Armed.passes:
        _Armed.passes -= 1
        return
    os.kill(os.getpid(), signal.SIGKILL)
