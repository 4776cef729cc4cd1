"""The embedded profile: starts, watches and stops every process of it, in one data directory.

Processes are started as commands and spoken to over HTTP. Nothing of them is imported here, so that
no process ever has another one's secrets.
"""

from wallet.supervisor.errors import SupervisorError
from wallet.supervisor.processes import ended_by_signals, stop_left_behind
from wallet.supervisor.services import Addresses, Layout, Ports, SupervisorSettings, read_addresses
from wallet.supervisor.supervisor import Supervisor

__all__ = [
    "Addresses",
    "Layout",
    "Ports",
    "Supervisor",
    "SupervisorError",
    "SupervisorSettings",
    "ended_by_signals",
    "read_addresses",
    "stop_left_behind",
]
