"""The machine and its processes: what they are, what they cost. Reads Linux' /proc."""

import os
import platform
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

from ledger.chain import eth_methods
from ledger.chain.rpc import Rpc

_PROC: Final = Path("/proc")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PACKAGES: Final = ("uvicorn", "fastapi", "httptools", "uvloop", "msgspec", "cryptography", "web3")
_USER_TIME: Final = 11
_KIBIBYTE: Final = 1024
_MOMENT: Final = 0.5
_LITTLE: Final = 0.1


class Machine(msgspec.Struct, frozen=True):
    """The machine of the figures. No names of hosts or places."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str
    packages: dict[str, str]
    node: str = ""

    def describe(self) -> str:
        packages = ", ".join(f"{name} {number}" for name, number in self.packages.items())
        return (
            f"Machine: {self.processor}, {self.cores} cores, {self.memory_gib:.0f} GiB memory, "
            f"{self.system}, Python {self.python}, {packages}, node {self.node}."
        )


def this_machine() -> Machine:
    """Describe this machine, with what may be used of it."""
    info = (_PROC / "cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.+)$", info, re.MULTILINE)
    return Machine(
        processor=model[1] if model else platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
        system=f"{platform.system()} {platform.release().partition('-')[0]}",
        python=platform.python_version(),
        packages={name: version(name) for name in _PACKAGES},
    )


def node_version(url: str) -> str:
    with Rpc(url) as rpc:
        return rpc.send(eth_methods.client_version())


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process and its ended children have used."""
    fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[_USER_TIME : _USER_TIME + 4])) / _TICKS


def wait_until_calm(pid: int, seconds: float) -> None:
    """Wait until a process uses little of a core, at most for so long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        before = cpu_seconds(pid)
        time.sleep(_MOMENT)
        if cpu_seconds(pid) - before < _LITTLE * _MOMENT:
            return


def cpu_of(pids: Mapping[str, int]) -> dict[str, float]:
    """Return the processor seconds of several processes."""
    return {name: cpu_seconds(pid) for name, pid in pids.items()}


def peak_memory(pid: int) -> float:
    """Return the most memory that a process has held, in MiB."""
    return _status(pid, "VmHWM")


def resident_memory(pid: int) -> float:
    """Return the memory that a process holds, in MiB."""
    return _status(pid, "VmRSS")


def forget_peak(pid: int) -> None:
    """Let the peak memory of a process begin anew from what it holds now."""
    with suppress(OSError):
        (_PROC / str(pid) / "clear_refs").write_text("5")


def children(pid: int) -> Sequence[int]:
    """Return a process and all below it."""
    below: dict[int, list[int]] = {}
    for path in _PROC.glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            below.setdefault(parent, []).append(int(path.parent.name))
    pids = [pid]
    for one in pids:
        pids += below.get(one, [])
    return pids


def _status(pid: int, name: str) -> float:
    text = (_PROC / str(pid) / "status").read_text()
    line = re.search(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)
    return int(line[1]) / _KIBIBYTE if line else 0.0
