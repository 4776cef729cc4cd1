"""The processes of a fault run, and what faults do to them: start, kill, hang, tell to fail."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import httpx
import msgspec

from ledger.chain import contract_reads
from ledger.hexstr import to_hex
from scripts.faults.gateway import FILE, UNJOURNALED, Orders, taken_file
from scripts.faults.planning import FaultRunError
from scripts.faults.proxy import Proxy
from scripts.faults.town import SECOND_RECORDER, Town
from scripts.processes import START_TIMEOUT, STOP_TIMEOUT, GatewayProcess, keyholder_process
from scripts.scenario import Party
from wallet.client.party import PartyKey
from wallet.client.transports import Client, Endpoints
from wallet.supervisor.errors import SupervisorError

DATABASE_TIMEOUT: Final = 1.0
"""Seconds that the gateway waits for its database: short, so that a locked one is noticed soon."""
_POLL: Final = 0.02
_TAKEN: Final = 20.0
_SETTLE: Final = 2.0
"""Seconds after which what a caller did not wait for is in the journals too."""
_SETTINGS: Final = {
    "database_timeout": str(DATABASE_TIMEOUT),
    "node_timeout": "3",
    "access_timeout": "6",
    "keyholder_timeout": "4",
    "log_level": "info",
}


class Gateway(GatewayProcess):
    """A gateway that faults strike."""

    def __init__(
        self, name: str, town: Town, recorder: Party, *, journaled: bool = True, **settings: str
    ) -> None:
        home = town.home / name
        self._orders, self._orders_file = Orders(), home / "orders.json"
        super().__init__(
            town.chain,
            home,
            recorder,
            module="scripts.faults.gateway",
            environment={FILE: str(self._orders_file), UNJOURNALED: "" if journaled else "1"},
            **_SETTINGS,
            **settings,
        )
        self.journal = Path(settings.get("journal", home / "journal"))
        self.starts = 0

    @property
    def log(self) -> Path:
        return self.home / "log"

    def launch(self, *, clock: float = 0.0) -> None:
        """Start it; it may not be ready yet."""
        self._write(msgspec.structs.replace(self._orders, failpoint="", clock=clock))
        self.process.start()
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
            super().wait_until_ready()
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

    def wait_for_end(self, seconds: float) -> None:
        """Return when it has ended.

        Raises:
            FaultRunError: it goes on.
        """
        until = time.monotonic() + seconds
        while self.process.is_running:
            if time.monotonic() > until:
                raise FaultRunError(f"the gateway did not end within {seconds:.0f} s")
            time.sleep(_POLL)

    def order(self, *, failpoint: str = "", clock: float = 0.0, database: str = "") -> None:
        """Tell it what is wrong from now on; return when it has taken it.

        Raises:
            FaultRunError: it does not.
        """
        orders = self._write(Orders(0, failpoint, clock, database))
        until = time.monotonic() + _TAKEN
        while not self._has_taken(orders):
            is_over = not self.process.is_running or time.monotonic() > until
            # It may have taken the order a moment ago, and ended by it.
            if is_over and not self._has_taken(orders):
                raise FaultRunError("the gateway does not take orders")
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
    """The processes beside the driver.

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
        self._keyholders = [
            keyholder_process(town.chain, town.home / f"keyholder-{number}", holder)
            for number, holder in enumerate(town.holders, 1)
        ]
        self.node_proxy.start()
        self.gateway = self._gateway("gateway", town.chain.parties.recorder, journaled=journaled)
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
        return [keyholder.service.home / "releases.ndjson" for keyholder in self._keyholders]

    def regulator(self) -> Client:
        """Return a client with which the regulator asks the gateway."""
        key = PartyKey(self.town.chain.parties.regulator.private_key)
        endpoints = Endpoints(self.gateway.url)
        return Client(endpoints, key=key, chain_id=self.town.chain.deployment.chain_id)

    def second_gateway(self) -> Gateway:
        """Return another gateway on the same database, with an account and a journal of its own."""
        if self.second is None:
            self.second = self._gateway("second", SECOND_RECORDER)
        return self.second

    def twin(self) -> Gateway:
        """Return a gateway that somebody started a second time: the same account and journal."""
        recorder = self.town.chain.parties.recorder
        return self._gateway("twin", recorder, journal=str(self.gateway.journal))

    def sequence(self) -> int:
        """Return how many accesses the node has now."""
        chain = self.town.chain
        return chain.rpc.send(contract_reads.log_state(chain.contracts)).sequence

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
        keyholder = self._keyholders[number]
        _send(keyholder.pid or 0, signal.SIGKILL)
        keyholder.stop(STOP_TIMEOUT)

    def start_keyholder(self, number: int) -> None:
        self._keyholders[number].start()
        self._keyholders[number].wait_until_ready(START_TIMEOUT)

    def _gateway(
        self, name: str, recorder: Party, *, journaled: bool = True, **settings: str
    ) -> Gateway:
        keyholders = {
            to_hex(holder.address): process.service.url
            for holder, process in zip(self.town.holders, self._keyholders, strict=True)
        }
        return Gateway(
            name,
            self.town,
            recorder,
            journaled=journaled,
            database_url=self.database or f"sqlite:///{self.database_file}",
            node_url=self.node_proxy.url,
            keyholders=msgspec.json.encode(keyholders).decode(),
            **settings,
        )

    @property
    def database_file(self) -> Path:
        """SQLite's file, when it is SQLite."""
        return self.town.home / "gateway.db"


def _send(pid: int, number: int) -> None:
    if not pid:
        raise FaultRunError("the process does not run")
    with suppress(ProcessLookupError):
        os.kill(pid, number)
