"""Gateways and keyholders of a scenario as processes of their own: their ports, key files and settings."""

from pathlib import Path
from random import SystemRandom
from typing import Final

from ledger.chain.deployment import write_deployment
from ledger.hexstr import to_hex
from scripts.scenario import Chain, Party
from wallet.keyholder.seeds import ACCOUNT, ENCRYPTION, Holdings, store_epoch
from wallet.keystore import Keystore, Kind
from wallet.passwords import Password
from wallet.supervisor.processes import Process
from wallet.supervisor.services import HOST, Service, is_free

SCRYPT_N: Final = 2**12
"""The least there is: these keystores are worth nothing."""
PASSWORD: Final = "a scenario"  # noqa: S105 - of keystores that are worth nothing
START_TIMEOUT: Final = 60.0
STOP_TIMEOUT: Final = 40.0
_RECORDER: Final = "recorder"
_PORTS: Final = range(12_000, 30_000)
"""Below those that outgoing connections take: a process that is killed must find its port free again."""


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    while True:
        port = SystemRandom().choice(_PORTS)
        if is_free(port):
            return port


class GatewayProcess:
    """A gateway: a process that is started again and again on the same database and journal.

    Args:
        chain: whose events it reads.
        home: of its database, journal and keystore.
        recorder: its account.
        module: run as `python -m module`.
        environment: more of it, by full name.
        settings: as for `gateway_environment`.
    """

    def __init__(
        self,
        chain: Chain,
        home: Path,
        recorder: Party,
        *,
        module: str = "gateway",
        environment: dict[str, str] | None = None,
        **settings: str,
    ) -> None:
        self.home = home
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        own = gateway_environment(chain, home, self.port, recorder, PASSWORD, **settings)
        service = Service(
            name=home.name,
            module=module,
            url=self.url,
            home=home,
            settings=tuple((own | (environment or {})).items()),
            password_settings=("QUANCHENG_GATEWAY_RECORDER_PASSWORD",),
            log=home / "log",
        )
        self.process = Process(service, Password(PASSWORD))

    @property
    def pid(self) -> int:
        """Its process id; zero when it does not run."""
        return self.process.pid or 0

    def wait_until_ready(self) -> None:
        """Return when it says that it is.

        Raises:
            SupervisorError: it ended, or is not ready in time.
        """
        self.process.wait_until_ready(START_TIMEOUT)

    def stop(self) -> None:
        """End it as an operator would."""
        self.process.stop(STOP_TIMEOUT)


def keyholder_process(chain: Chain, home: Path, holder: Holdings) -> Process:
    """Return a keyholder's process, which is not started yet."""
    store_keyholder(home / "keystore", holder, PASSWORD)
    port = free_port()
    service = Service(
        name=home.name,
        module="wallet.keyholder",
        url=f"http://{HOST}:{port}",
        home=home,
        settings=tuple(keyholder_environment(chain, home, port).items()),
        password_settings=("QUANCHENG_KEYHOLDER_PASSWORD",),
        log=home / "log",
    )
    return Process(service, Password(PASSWORD))


def store_keyholder(directory: Path, holder: Holdings, password: str) -> None:
    """Write a keyholder's keystore."""
    keystore, opener = Keystore(directory, scrypt_n=SCRYPT_N), Password(password)
    keystore.store(ACCOUNT, Kind.ETHEREUM_KEY, holder.account, opener)
    public = holder.opening.encryption_key.to_bytes()
    secret = holder.opening.to_bytes()
    keystore.store(ENCRYPTION, Kind.ENCRYPTION_KEY, secret, opener, public=public)
    for seeds in holder.epochs.values():
        store_epoch(keystore, opener, seeds)


def store_recorder(directory: Path, recorder: Party, password: str) -> Path:
    """Write the key file of a gateway's account, unless it is there; return where it is."""
    path = directory / f"{_RECORDER}.json"
    if not path.exists():
        keystore = Keystore(directory, scrypt_n=SCRYPT_N)
        keystore.store(_RECORDER, Kind.ETHEREUM_KEY, recorder.private_key, Password(password))
    return path


def keyholder_environment(chain: Chain, home: Path, port: int, **settings: str) -> dict[str, str]:
    """Return the settings of a keyholder, the usual ones and others by name in lowercase."""
    values = {
        "home": str(home),
        "deployment": _deployment_file(chain, home),
        "node": chain.node.url,
        "host": HOST,
        "port": str(port),
        "poll_interval": "0.1",
        "identity_authorities": to_hex(chain.parties.identity_authority.address),
        **settings,
    }
    return {f"QUANCHENG_KEYHOLDER_{name.upper()}": value for name, value in values.items()}


def gateway_environment(
    chain: Chain, home: Path, port: int, recorder: Party, password: str, **settings: str
) -> dict[str, str]:
    """Return the settings of a gateway, the usual ones and others by name in lowercase."""
    values = {
        "host": HOST,
        "port": str(port),
        "database_url": f"sqlite:///{home / 'gateway.db'}",
        "deployment": _deployment_file(chain, home),
        "node_url": chain.node.url,
        "recorder_key": str(store_recorder(home / "keystore", recorder, password)),
        "journal": str(home / "journal"),
        "embedded_chain": "true",
        **settings,
    }
    return {f"QUANCHENG_GATEWAY_{name.upper()}": value for name, value in values.items()}


def _deployment_file(chain: Chain, home: Path) -> str:
    home.mkdir(parents=True, exist_ok=True)
    write_deployment(chain.deployment, home / "deployment.json")
    return str(home / "deployment.json")
