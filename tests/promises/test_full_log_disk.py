"""A log on a full disk loses lines, and nothing else.

`make faults` found it: when no file could grow any more, writing about the first trouble failed as well, and
that ended the task which follows the chain; the gateway answered 503 until it was started anew.
"""

import subprocess
import sys

CODE = """
import logging
from ledger.service.logs import configure_logs, get_logger
configure_logs("info")
get_logger().warning("not following the chain")
logging.getLogger("ledger.recorder.recorder").error("the recorder stopped")
print("goes on")
"""


def test_what_cannot_be_logged_stops_nobody() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [sys.executable, "-c", CODE],
            stdout=subprocess.PIPE,
            stderr=full,
            timeout=60,
            check=False,
        )
    assert done.stdout == b"goes on\n"
