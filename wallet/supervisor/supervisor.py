"""Starts the embedded profile's processes in order, watches them, stops them in order."""

import os
import time
from collections import deque
from collections.abc import Callable
from threading import Event
from typing import Final, Self, TypeVar

from ledger.chain.deployment import Deployment
from ledger.chain.embedded import Node, NodeError, NodeSettings
from ledger.chain.rpc import Call, Rpc
from ledger.errors import LedgerError
from wallet.passwords import Password
from wallet.supervisor.errors import SupervisorError
from wallet.supervisor.installation import Installation, Report
from wallet.supervisor.layout import (
    Addresses,
    Layout,
    SupervisorSettings,
    choose_addresses,
    make_private,
    port_of,
    write_addresses,
)
from wallet.supervisor.locking import take_lock, write_pids
from wallet.supervisor.processes import Process, last_line, run_command
from wallet.supervisor.services import Services
from wallet.supervisor.signals import signals_held

T = TypeVar("T")

_NODE: Final = "node"
_MINE_BY_ITSELF: Final = Call("evm_setIntervalMining", (1,), lambda _: None)


class Supervisor:
    """The embedded profile in one data directory. Runs from `start` to `stop`, or in a `with` block.

    Args:
        settings: how.
        password: of every keystore in the directory; set at the first run.
        report: hears of each step, in a few words.
    """

    def __init__(
        self, settings: SupervisorSettings, password: Password, report: Report = lambda _: None
    ) -> None:
        self.settings = settings
        self.layout = Layout(settings.data)
        self._password = password
        self._report = report
        self._lock: int | None = None
        self._node: Node | None = None
        self._processes: list[Process] = []
        self._addresses: Addresses | None = None
        self._deployment: Deployment | None = None
        self._deaths: dict[str, deque[float]] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def addresses(self) -> Addresses:
        """Where the services answer; raises `SupervisorError` before the start."""
        return _started(self._addresses)

    @property
    def deployment(self) -> Deployment:
        """The contracts; raises `SupervisorError` before the start."""
        return _started(self._deployment)

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of all that runs, by name."""
        pids = {process.name: process.pid for process in self._processes}
        pids[_NODE] = self._node.pid if self._node is not None else None
        return {name: pid for name, pid in pids.items() if pid is not None}

    def start(self) -> None:
        """Start everything; return when all of it is ready. The first run sets up first.

        Raises:
            SupervisorError: and everything that was started is stopped again.
        """
        try:
            self._start()
        except LedgerError as error:
            self.stop()
            raise SupervisorError("Supervisor", str(error)) from error
        except BaseException:
            self.stop()
            raise

    def watch(self, stop: Event) -> None:
        """Start again what dies, until `stop` is set.

        Raises:
            SupervisorError: a process died too often (the message says how the last time), or could not be
                started again.
        """
        while not stop.wait(self.settings.poll):
            if self._node is not None and not self._node.is_running:
                said = last_line(self.layout.chain / "anvil.log")
                death = f"the node ended{': ' if said else ''}{said}"
                self._revive(_NODE, death, self._node.start, stop)
            for process in self._processes:
                if not process.is_running and not stop.is_set():
                    self._revive(process.name, process.why_it_ended(), process.start, stop)

    def stop(self) -> None:
        """Stop everything, in the order in which nothing is lost; nothing happens a second time.

        First the gateway, which finishes what it has begun and needs all the others for it; then
        who answered it; last the node, which writes its state. A signal in between waits.
        """
        with signals_held():
            processes, self._processes = self._processes, []
            gateways = [process for process in processes if process.name == "gateway"]
            for group in (gateways, [process for process in processes if process not in gateways]):
                if any(process.is_running for process in group):
                    self._report(f"stopping {', '.join(process.name for process in group)}")
                for process in group:
                    process.ask_to_stop()
                for process in group:
                    process.stop(self.settings.stop_timeout)
            if self._node is not None:
                self._node.stop()
                self._node = None
            self._release_lock()

    def command(self, name: str, *arguments: str) -> None:
        """Run one command of a service's module with the service's settings, as `import` of `identity`.

        Raises:
            SupervisorError: there is no such service, or it failed; the message has its last line.
        """
        for process in self._processes:
            if process.name == name:
                step = f"{name}, {' '.join(arguments[:1])}"
                run_command(process.service, arguments, self._password, step=step)
                return
        raise SupervisorError("Supervisor", f"there is no {name}")

    def leave(self) -> None:
        """Let everything run on without this supervisor; `stop_left_behind` ends it.

        Who told the chain when to mine goes, so from now on the chain itself mines, once a second.

        Raises:
            SupervisorError: nothing runs, or the node does not answer; all is as it was.
        """
        try:
            with Rpc(self.addresses.node) as rpc:
                rpc.send(_MINE_BY_ITSELF)
        except LedgerError as error:
            raise SupervisorError("Supervisor", f"node: {error}") from error
        self._note_pids()
        self._processes, self._node = [], None
        self._release_lock()

    def _start(self) -> None:
        make_private(self.settings.data)
        self._lock = take_lock(self.layout.lock)
        make_private(self.layout.logs)
        chosen = choose_addresses(self.settings, self.layout)
        installation = Installation(self.settings, self._password, self._report)
        installation.make_accounts()
        self._report("starting the chain")
        node = self._start_node(port_of(chosen.node))
        self._addresses = Addresses(node.url, chosen.gateway, chosen.identity, chosen.keyholders)
        deployment = installation.provide_deployment(node)
        services = Services(self.settings, self._addresses)
        numbers = range(1, len(chosen.keyholders) + 1)
        identity = services.identity(installation.address_of("officer"))
        self._deployment = installation.complete(
            node, deployment, list(map(services.keyholder, numbers)), identity
        )
        # Made anew: they pin the identity authority, whose key was drawn only now.
        keyholders = list(map(services.keyholder, numbers))
        gateway = services.gateway()
        self._report("starting the keyholders, the identity authority and the gateway")
        for service in (*keyholders, identity, gateway):
            process = Process(service, self._password, held=[self._lock])
            with signals_held():
                process.start()
                self._processes.append(process)
        self._note_pids()
        until = time.monotonic() + self.settings.start_timeout
        for process in self._processes:
            process.wait_until_ready(max(until - time.monotonic(), 1.0))
        write_addresses(self.layout.addresses, self._addresses)

    def _start_node(self, port: int) -> Node:
        settings = NodeSettings(
            data=self.layout.chain,
            port=port,
            chain_id=self.settings.chain_id,
            block_time=self.settings.block_time,
            start_timeout=self.settings.start_timeout,
            stop_timeout=self.settings.stop_timeout,
        )
        node = Node(settings)
        try:
            with signals_held():
                node.start()
                self._node = node
        except NodeError as error:
            in_use = error.kind == "port in use"
            raise SupervisorError(
                "PortInUse" if in_use else "Supervisor", f"node: {error}"
            ) from error
        return node

    def _revive(self, name: str, death: str, start: Callable[[], None], stop: Event) -> None:
        now = time.monotonic()
        deaths = self._deaths.setdefault(name, deque())
        deaths.append(now)
        while now - deaths[0] > self.settings.restart_window:
            deaths.popleft()
        if len(deaths) > self.settings.restarts:
            raise SupervisorError("ProcessDied", f"{death} (given up after {len(deaths)} times)")
        self._report(f"{death}; starting it again")
        if not stop.wait(self.settings.restart_pause * 2 ** (len(deaths) - 1)):
            try:
                with signals_held():
                    start()
            except NodeError as error:
                raise SupervisorError("Supervisor", f"{name}: {error}") from error
            self._note_pids()

    def _note_pids(self) -> None:
        """Write who runs into the lock, for whoever finds it held by processes left behind."""
        write_pids(_started(self._lock), self.pids)

    def _release_lock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _started(part: T | None) -> T:
    if part is None:
        raise SupervisorError("Supervisor", "nothing was started")
    return part
