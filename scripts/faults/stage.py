"""The processes of a fault run, and what faults do to them: start, kill, hang, tell to fail."""

import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import httpx
import msgspec

from ledger import views
from ledger.hexes import to_hex
from scripts.bench.bare_chain import Account
from scripts.faults.errors import FaultRunError, NotStruckError
from scripts.faults.gateway import FILE, UNJOURNALED, Orders, taken_file
from scripts.faults.ports import free_port
from scripts.faults.proxy import Proxy
from scripts.faults.town import PASSWORD, Town, store_keyholder
from wallet.client.party import PartyKey
from wallet.client.transports import Client, Endpoints
from wallet.passwords import Password
from wallet.supervisor.errors import SupervisorError
from wallet.supervisor.layout import HOST
from wallet.supervisor.processes import Process, Service

START_TIMEOUT: Final = 60.0
STOP_TIMEOUT: Final = 40.0
DATABASE_TIMEOUT: Final = 1.0
"""Seconds that the gateway waits for its database: short, so that a locked one is noticed soon."""
_POLL: Final = 0.02
_TAKEN: Final = 20.0
_SETTLE: Final = 2.0
"""Seconds after which what a caller did not wait for is in the journals too."""
_SETTINGS: Final = {
    "DATABASE_TIMEOUT": str(DATABASE_TIMEOUT),
    "NODE_TIMEOUT": "3",
    "PATIENCE": "6",
    "KEYHOLDER_TIMEOUT": "4",
    "EMBEDDED_CHAIN": "true",
    "LOG_LEVEL": "info",
}


class Gateway:
    """One gateway: a process that is started again and again on the same database and journal.

    Args:
        name: of its directory and process.
        town: whose gateway it is.
        account: that records.
        node: URL through which it reaches the node.
        keyholders: URLs by address.
        database: URL of its database.
        journal: directory of its journal; None for one of its own.
        journaled: whether its recorder keeps a journal.
    """

    def __init__(
        self,
        name: str,
        town: Town,
        account: Account,
        node: str,
        keyholders: dict[str, str],
        *,
        database: str,
        journal: Path | None = None,
        journaled: bool = True,
    ) -> None:
        self.home = home = town.home / name
        home.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.journal = journal or home / "journal"
        self._orders, self._orders_file = Orders(), home / "orders.json"
        settings = {
            **_SETTINGS,
            "HOST": HOST,
            "PORT": str(self.port),
            "DATABASE_URL": database,
            "JOURNAL": str(self.journal),
            "DEPLOYMENT": str(town.home / "deployment.json"),
            "NODE_URL": node,
            "RECORDER_KEY": str(town.store_recorder(home / "keystore", account)),
            "KEYHOLDERS": msgspec.json.encode(keyholders).decode(),
        }
        environment = {f"QUANCHENG_GATEWAY_{key}": value for key, value in settings.items()}
        environment[FILE] = str(self._orders_file)
        environment[UNJOURNALED] = "" if journaled else "1"
        service = _service("gateway", "scripts.faults.gateway", self.url, home, environment)
        self._process = Process(service, Password(PASSWORD))
        self.starts = 0

    @property
    def pid(self) -> int:
        """Its process id; zero when it does not run."""
        return self._process.pid or 0

    @property
    def log(self) -> Path:
        """What it says, over all starts."""
        return self.home / "log"

    def launch(self, *, clock: float = 0.0) -> None:
        """Start it; it may not be ready yet."""
        self._write(msgspec.structs.replace(self._orders, failpoint="", clock=clock))
        self._process.start()
        self.starts += 1

    def start(self, *, clock: float = 0.0) -> None:
        """Start it, and return when it is ready.

        Raises:
            FaultRunError: it does not become ready.
        """
        self.launch(clock=clock)
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Return when it says that it is.

        Raises:
            FaultRunError: it ended, or is not ready in time.
        """
        try:
            self._process.wait_until_ready(START_TIMEOUT)
        except SupervisorError as error:
            raise FaultRunError(str(error)) from error

    def ready_status(self) -> int:
        """Return the status of /readyz; zero when there is no answer."""
        with suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/readyz", timeout=5.0, trust_env=False).status_code
        return 0

    def kill(self) -> None:
        """End it as a power cut would."""
        _send(self.pid, signal.SIGKILL)
        self.wait_for_end(STOP_TIMEOUT)

    def stop(self) -> None:
        """End it as an operator would."""
        self._process.stop(STOP_TIMEOUT)

    def wait_for_end(self, seconds: float) -> None:
        """Return when it has ended.

        Raises:
            NotStruckError: it goes on.
        """
        until = time.monotonic() + seconds
        while self._process.is_running:
            if time.monotonic() > until:
                raise NotStruckError(f"the gateway did not end within {seconds:.0f} s")
            time.sleep(_POLL)

    def order(self, *, failpoint: str = "", clock: float = 0.0, database: str = "") -> None:
        """Tell it what is wrong from now on; return when it has taken it.

        Raises:
            NotStruckError: it does not.
        """
        orders = self._write(Orders(0, failpoint, clock, database))
        until = time.monotonic() + _TAKEN
        while not self._has_taken(orders):
            is_over = not self._process.is_running or time.monotonic() > until
            # It may have taken the order a moment ago, and ended by it.
            if is_over and not self._has_taken(orders):
                raise NotStruckError("the gateway does not take orders")
            time.sleep(_POLL)

    def _has_taken(self, orders: Orders) -> bool:
        taken = taken_file(self._orders_file)
        return taken.exists() and taken.read_text(encoding="ascii") == str(orders.number)

    def _write(self, orders: Orders) -> Orders:
        self._orders = msgspec.structs.replace(orders, number=self._orders.number + 1)
        beside = self._orders_file.with_suffix(".new")
        beside.write_bytes(msgspec.json.encode(self._orders))
        beside.replace(self._orders_file)
        return self._orders


class Stage:
    """Everything that runs beside the driver.

    Args:
        town: with its node.
        database: URL of the gateway's database; None for SQLite.
        journaled: whether the recorder keeps a journal.
    """

    def __init__(self, town: Town, *, database: str | None = None, journaled: bool = True) -> None:
        self.town = town
        self.node = town.node
        self.database = database
        self.node_proxy = Proxy([self.node.port], b"eth_sendRawTransaction")
        self.client_proxy = Proxy([], b"POST /v1/")
        self._keyholders = [self._keyholder(number) for number in range(len(town.holders))]
        self.node_proxy.start()
        self.gateway = self._gateway("gateway", town.chain.recorder, journaled=journaled)
        self.second: Gateway | None = None
        self.client_proxy.upstreams = (self.gateway.port,)
        self.client_proxy.start()

    def start(self) -> None:
        """Start everything, publish, and let the node keep that."""
        for keyholder in self._keyholders:
            keyholder.start()
        self.gateway.launch()
        for keyholder in self._keyholders:
            keyholder.wait_until_ready(START_TIMEOUT)
        self.gateway.wait_until_ready()
        self.town.publish(self.gateway.url)
        self.node.checkpoint()

    def stop(self) -> None:
        """End everything, whatever state it is in."""
        self.resume_node()
        for gateway in (self.gateway, self.second):
            if gateway is not None:
                gateway.stop()
        for keyholder in self._keyholders:
            keyholder.stop(STOP_TIMEOUT)
        self.client_proxy.stop()
        self.node_proxy.stop()

    @property
    def journals(self) -> list[Path]:
        """The release journals of the keyholders."""
        return [one.service.home / "releases.ndjson" for one in self._keyholders]

    def regulator(self) -> Client:
        """Return a client with which the regulator asks the gateway."""
        key = PartyKey(self.town.chain.regulator.private_key)
        endpoints = Endpoints(self.gateway.url)
        return Client(endpoints, key=key, chain_id=self.town.deployment.chain_id)

    def second_gateway(self) -> Gateway:
        """Return another gateway on the same database, with an account and a journal of its own."""
        if self.second is None:
            self.second = self._gateway("second", self.town.second_recorder)
        return self.second

    def twin(self) -> Gateway:
        """Return a gateway that somebody started a second time: the same account and journal."""
        return self._gateway("twin", self.town.chain.recorder, journal=self.gateway.journal)

    def sequence(self) -> int:
        """Return how many accesses the node has now."""
        return self.town.chain.rpc.send(views.log_state(self.town.deployment.contracts)).sequence

    def settle_second(self) -> None:
        """Let the second gateway finish what it had begun, and the node keep it.

        Only the gateway that brings it back has it in its journal; and that one does not run usually.
        """
        if self.second is not None:
            self.second.start()
            self.second.stop()
            self.node.checkpoint()

    def settle(self) -> None:
        """Let everything that is under way come to its end."""
        self.gateway.wait_until_ready()
        time.sleep(_SETTLE)

    def mend(self) -> None:
        """Bring everything back into order, whatever was done to it.

        Raises:
            FaultRunError: it does not work.
        """
        self.resume_node()
        self.node_proxy.stop_playing()
        self.client_proxy.stop_playing()
        if not self.node.is_running:
            self.node.start()
        if self.gateway.pid:
            self.gateway.kill()
        self.gateway.start()

    def hang_node(self) -> None:
        """Let the node's process stand still."""
        _send(self.node.pid or 0, signal.SIGSTOP)

    def resume_node(self) -> None:
        """Let it go on."""
        if self.node.pid:
            _send(self.node.pid, signal.SIGCONT)

    def kill_keyholder(self, number: int) -> None:
        """Kill one keyholder."""
        keyholder = self._keyholders[number]
        _send(keyholder.pid or 0, signal.SIGKILL)
        keyholder.stop(STOP_TIMEOUT)

    def start_keyholder(self, number: int) -> None:
        """Start a keyholder that was killed."""
        self._keyholders[number].start()
        self._keyholders[number].wait_until_ready(START_TIMEOUT)

    def _gateway(
        self,
        name: str,
        account: Account,
        *,
        journal: Path | None = None,
        journaled: bool = True,
    ) -> Gateway:
        database = self.database or f"sqlite+aiosqlite:///{self.database_file}"
        return Gateway(
            name,
            self.town,
            account,
            self.node_proxy.url,
            {
                to_hex(holder.address): one.service.url
                for holder, one in zip(self.town.holders, self._keyholders, strict=True)
            },
            database=database,
            journal=journal,
            journaled=journaled,
        )

    @property
    def database_file(self) -> Path:
        """SQLite's file, when it is SQLite."""
        return self.town.home / "gateway.db"

    def _keyholder(self, number: int) -> Process:
        town = self.town
        home = town.home / f"keyholder-{number + 1}"
        home.mkdir(exist_ok=True)
        store_keyholder(home / "keystore", town.holders[number])
        port = free_port()
        settings = {
            "HOME": str(home),
            "DEPLOYMENT": str(town.home / "deployment.json"),
            "NODE": self.node.url,
            "HOST": HOST,
            "PORT": str(port),
            "POLL": "0.1",
            "IDENTITY_AUTHORITIES": to_hex(town.chain.identity.address),
        }
        environment = {f"QUANCHENG_KEYHOLDER_{key}": value for key, value in settings.items()}
        url = f"http://{HOST}:{port}"
        service = _service("keyholder", "wallet.keyholder", url, home, environment)
        return Process(service, Password(PASSWORD))


def _service(
    kind: str, module: str, url: str, home: Path, environment: Mapping[str, str]
) -> Service:
    password = {
        "gateway": "QUANCHENG_GATEWAY_RECORDER_PASSWORD",
        "keyholder": "QUANCHENG_KEYHOLDER_PASSWORD",
    }[kind]
    return Service(
        name=home.name,
        module=module,
        url=url,
        home=home,
        settings=tuple(environment.items()),
        password_settings=(password,),
        log=home / "log",
    )


def _send(pid: int, number: int) -> None:
    if not pid:
        raise NotStruckError("the process does not run")
    with suppress(ProcessLookupError):
        os.kill(pid, number)
