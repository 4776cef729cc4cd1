"""Starts the embedded profile's processes in order, watches them, stops them; the first run installs it."""

import os
import secrets
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Final, Self, TypeVar

from ledger.chain import contract_calls, contract_reads
from ledger.chain.contract_calls import ContractCall
from ledger.chain.deploy import deploy, verify_deployment
from ledger.chain.deployment import Deployment, read_deployment, write_deployment
from ledger.chain.embedded import Node, NodeError, NodeSettings
from ledger.chain.rpc import Call, Rpc
from ledger.chain.sender import Sender
from ledger.crypto.secret_sharing import Roster
from ledger.errors import LedgerError
from ledger.hexstr import to_hex
from ledger.model import Roles
from wallet.keystore import Keystore, Kind
from wallet.passwords import Password
from wallet.supervisor.errors import SupervisorError
from wallet.supervisor.processes import (
    Process,
    last_line,
    run_command,
    signals_held,
    take_lock,
    write_pids,
)
from wallet.supervisor.services import (
    ACCOUNT,
    Addresses,
    Layout,
    Service,
    Services,
    SupervisorSettings,
    choose_addresses,
    make_private,
    port_of,
    write_addresses,
)

Report = Callable[[str], None]
"""Hears of each step, in a few words."""

_EPOCH: Final = 1
_KEY_LENGTH: Final = 32
_GATEWAY: Final = "网关 / Gateway"
_IDENTITY: Final = "身份认证机构 / Identity authority"
_KEYHOLDER: Final = "密钥保管方 {} / Keyholder {}"


class Installation:
    """The set-up of one data directory; `password` opens every keystore in it."""

    def __init__(self, settings: SupervisorSettings, password: Password, report: Report) -> None:
        self._settings = settings
        self._layout = Layout(settings.data)
        self._password = password
        self._report = report

    def make_accounts(self) -> None:
        """Draw the accounts of the authority, its officer and the gateway."""
        for party in ("authority", "officer", "gateway"):
            keystore = self._keystore(party)
            if not self._layout.key_file(party).exists():
                key = secrets.token_bytes(_KEY_LENGTH)
                keystore.store(ACCOUNT, Kind.ETHEREUM_KEY, key, self._password)

    def address_of(self, party: str) -> bytes:
        """Return the address of a party's account."""
        return self._keystore(party).entry(ACCOUNT).public

    def provide_deployment(self, node: Node) -> Deployment:
        """Return the deployment on the node; deploy when there is none.

        Raises:
            SupervisorError: the node has another chain than the deployment file, or refuses.
        """
        with _naming("deployment"), Rpc(node.url) as rpc:
            if self._layout.deployment.exists():
                return rpc.run(verify_deployment, read_deployment(self._layout.deployment))
            self._report("deploying the contracts")
            delay = self._settings.recovery_delay
            # One directory has everybody's keys: that is a trial, and says so.
            deployment = deploy(
                rpc,
                self._key("authority"),
                founders=(),
                trial=True,
                admission_delay=0,
                recovery_delay=delay,
            )
            # Nothing could send these transactions again, so they must not be lost in a crash.
            node.checkpoint()
            write_deployment(deployment, self._layout.deployment)
            return deployment

    def complete(
        self, node: Node, deployment: Deployment, keyholders: Sequence[Service], identity: Service
    ) -> Deployment:
        """Do what is left of the first run: new keys for the services, admissions, the ceremony.

        Returns:
            The deployment with the keyholders' roster.

        Raises:
            SupervisorError: a step failed.
        """
        if self._layout.installed.exists():
            return deployment
        self._report("drawing the services' keys")
        services = [*keyholders, identity]
        new = [service for service in services if not (service.home / "keystore").exists()]
        self._each(new, "drawing its keys", lambda _: ["init"])
        self._report("admitting the gateway, the identity authority and the keyholders")
        members = [_address(holder) for holder in keyholders]
        with _naming("admission"), Rpc(node.url) as rpc:
            self._admit(rpc, deployment, members, _address(identity))
            keys = rpc.send_many(
                [
                    contract_reads.encryption_key_of(deployment.contracts, member)
                    for member in members
                ]
            )
        unregistered = [holder for holder, key in zip(keyholders, keys, strict=True) if not key]
        self._each(unregistered, "registering its encryption key", lambda _: ["register"])
        self._hold_ceremony(keyholders, members)
        with _naming("roster"):
            roster = Roster(_EPOCH, self._settings.threshold, tuple(members))
            deployment = deployment.with_roster(roster)
            write_deployment(deployment, self._layout.deployment)
        with _naming("checkpoint"):
            node.checkpoint()
        self._layout.installed.touch()
        return deployment

    def _admit(
        self, rpc: Rpc, deployment: Deployment, keyholders: Sequence[bytes], identity: bytes
    ) -> None:
        parties = [
            (self.address_of("gateway"), Roles.RECORDER, _GATEWAY),
            (identity, Roles.IDENTITY_AUTHORITY, _IDENTITY),
            *(
                (address, Roles.KEYHOLDER, _KEYHOLDER.format(number, number))
                for number, address in enumerate(keyholders, 1)
            ),
        ]
        at = deployment.contracts
        standings = rpc.send_many(
            [contract_reads.standing_of(at, address) for address, _, _ in parties]
        )
        calls: list[ContractCall] = [
            contract_calls.admit(address, roles, name)
            for (address, roles, name), standing in zip(parties, standings, strict=True)
            if not standing.active
        ]
        if calls:
            sender = Sender(rpc, self._key("authority"))
            sender.send_all([(deployment.address_of(call.contract), call.data) for call in calls])

    def _hold_ceremony(self, keyholders: Sequence[Service], members: Sequence[bytes]) -> None:
        """Let the keyholders draw their seeds and hand them to each other, sealed."""
        self._report(f"seed ceremony: {self._settings.threshold} of {len(members)}")
        packets = self._layout.packets
        draw = [
            *("draw", "--epoch", str(_EPOCH), "--threshold", str(self._settings.threshold)),
            *("--members", ",".join(map(to_hex, members)), "--out", str(packets)),
        ]
        self._each(keyholders, "drawing its seeds", lambda _: draw)
        received = {
            holder: sorted(map(str, packets.glob(f"*-to-{number}.json")))
            for number, holder in enumerate(keyholders, 1)
        }
        # Whether the seeds are complete then, each keyholder says on its /readyz.
        receivers = [holder for holder, files in received.items() if files]
        self._each(
            receivers, "taking the others' seeds", lambda holder: ["import", *received[holder]]
        )
        shutil.rmtree(packets, ignore_errors=True)

    def _each(
        self,
        services: Sequence[Service],
        doing: str,
        arguments_of: Callable[[Service], Sequence[str]],
    ) -> None:
        """Run one command of each service; they do not wait for each other."""
        with ThreadPoolExecutor(max_workers=max(len(services), 1)) as pool:
            runs = [
                pool.submit(
                    run_command,
                    service,
                    arguments_of(service),
                    self._password,
                    step=f"{service.name}, {doing}",
                )
                for service in services
            ]
        for run in runs:
            run.result()

    def _keystore(self, party: str) -> Keystore:
        return Keystore(self._layout.keystore(party), scrypt_n=self._settings.scrypt_n)

    def _key(self, party: str) -> bytes:
        return self._keystore(party).load(ACCOUNT, Kind.ETHEREUM_KEY, self._password)


def _address(service: Service) -> bytes:
    return Keystore(service.home / "keystore").entry(ACCOUNT).public


@contextmanager
def _naming(step: str) -> Iterator[None]:
    try:
        yield
    except LedgerError as error:
        raise SupervisorError("Supervisor", f"{step}: {error}") from error


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
