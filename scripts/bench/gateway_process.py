"""A gateway on a bare chain, in a process of its own: reads, indexes and serves, and has no keyholders."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ledger.deployment import write_deployment
from scripts.bench.bare_chain import BareChain
from scripts.demo.world import SCRYPT_N
from wallet.keystore import Keystore, Kind
from wallet.passwords import Password
from wallet.supervisor.layout import HOST, Ports, SupervisorSettings, choose_addresses, port_of
from wallet.supervisor.layout import Layout as Directories
from wallet.supervisor.processes import Process, Service

_PASSWORD: Final = "bench"  # noqa: S105 - of a keystore that is worth nothing
_RECORDER: Final = "recorder"
_START_TIMEOUT: Final = 60.0
_STOP_TIMEOUT: Final = 30.0


class GatewayProcess:
    """A gateway; `start` does not wait until it is ready.

    Args:
        chain: whose events it reads.
        home: of its database and journal; the same one again is the same gateway.
    """

    def __init__(self, chain: BareChain, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        deployment = home / "deployment.json"
        write_deployment(chain.deployment, deployment)
        keystore = Keystore(home / "keystore", scrypt_n=SCRYPT_N)
        if not (home / "keystore" / f"{_RECORDER}.json").exists():
            key = chain.recorder.private_key
            keystore.store(_RECORDER, Kind.ETHEREUM_KEY, key, Password(_PASSWORD))
        layout = Directories(home)
        self.url = choose_addresses(SupervisorSettings(home, Ports()), layout).gateway
        settings = {
            "HOST": HOST,
            "PORT": str(port_of(self.url)),
            "DATABASE_URL": f"sqlite+aiosqlite:///{home / 'gateway.db'}",
            "DEPLOYMENT": str(deployment),
            "NODE_URL": chain.node.url,
            "RECORDER_KEY": str(home / "keystore" / f"{_RECORDER}.json"),
            "JOURNAL": str(home / "journal"),
            "EMBEDDED_CHAIN": "true",
        }
        service = Service(
            name="gateway",
            module="gateway",
            url=self.url,
            home=home,
            settings=tuple((f"QUANCHENG_GATEWAY_{name}", one) for name, one in settings.items()),
            password_settings=("QUANCHENG_GATEWAY_RECORDER_PASSWORD",),
            log=home / "log",
        )
        self._process = Process(service, Password(_PASSWORD))

    @property
    def pid(self) -> int:
        """Its process id; zero when it does not run."""
        return self._process.pid or 0

    def start(self) -> None:
        """Start it."""
        self._process.start()

    def wait_until_ready(self) -> None:
        """Return when it says that it is."""
        self._process.wait_until_ready(_START_TIMEOUT)

    def stop(self) -> None:
        """Ask it to end, and wait."""
        self._process.stop(_STOP_TIMEOUT)


@contextmanager
def gateway_process(chain: BareChain, home: Path) -> Iterator[GatewayProcess]:
    """Run a gateway until the context ends; it may not be ready yet."""
    gateway = GatewayProcess(chain, home)
    gateway.start()
    try:
        yield gateway
    finally:
        gateway.stop()
