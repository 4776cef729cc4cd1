"""Running the demo as its users do, and finding every process that it left."""

import os
import secrets
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

SMALL = ("--people", "120", "--enterprises", "12", "--records", "1500")
_PROCESSES = Path("/proc")


@dataclass(frozen=True)
class Run:
    """Commands whose processes can be told from all others, also those that they start."""

    mark: str = field(default_factory=lambda: f"STORY_TEST={secrets.token_hex(8)}")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        name, _, value = self.mark.partition("=")
        return subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env={**os.environ, name: value},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self, *arguments: str) -> tuple[int, str]:
        """Run a Python module to its end; return status and output."""
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=280)
        return process.returncode, output

    def processes(self) -> list[str]:
        """Return the commands of all processes that are there now."""
        found = []
        for directory in _PROCESSES.glob("[0-9]*"):
            try:
                environment = (directory / "environ").read_bytes().split(b"\0")
                command = (directory / "cmdline").read_bytes()
            except OSError:
                continue
            if self.mark.encode() in environment and command:
                found.append(command.replace(b"\0", b" ").decode("utf-8", "replace"))
        return found
