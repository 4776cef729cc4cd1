"""Which services the embedded profile has, with which settings, and where everything of it is."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from ledger.chain.deploy import DEFAULT_RECOVERY_DELAY
from ledger.chain.embedded import DEFAULT_CHAIN_ID
from ledger.crypto.keyfile import STANDARD_SCRYPT_N
from ledger.hexstr import to_hex
from ledger.jsonio import UNREADABLE
from wallet.keystore import Keystore
from wallet.supervisor.errors import SupervisorError

HOST: Final = "127.0.0.1"
ACCOUNT: Final = "account"
"""Name of the entry that holds a party's account, in every keystore."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports on the loopback; 0 takes the one of the last run if it is free, else any free one."""

    node: int = 0
    gateway: int = 0
    identity: int = 0
    keyholders: tuple[int, ...] = ()
    """By number; those that are missing count as 0."""


@dataclass(frozen=True, slots=True)
class SupervisorSettings:
    """How to run the embedded profile.

    Attributes:
        data: directory of everything; made if it is missing.
        ports: where the services listen.
        keyholders: how many there are. What is changed after the first run counts for nothing, like
            the next three.
        threshold: how many of them together make a key.
        recovery_delay: seconds in which a person can veto a recovery; set at deployment.
        chain_id: of the embedded chain.
        block_time: seconds between blocks; each access waits for its block.
        scrypt_n: cost of opening a keystore; lower only for demonstrations.
        start_timeout: seconds until a process must be ready.
        stop_timeout: seconds until a process that was asked to end is killed. The gateway finishes
            what it has begun, so less than its own grace would cut accesses off.
        restarts: how often a process that died is started again in `restart_window` seconds, until
            the whole is given up: what dies again and again needs a person.
        restart_window: seconds.
        restart_pause: seconds before a process is started again; doubled each time in the window.
        poll: seconds between two looks whether all processes are there.
        overrides: more settings for services, as the environment has them, by full name.
    """

    data: Path
    ports: Ports = Ports()
    keyholders: int = 3
    threshold: int = 2
    recovery_delay: int = DEFAULT_RECOVERY_DELAY
    chain_id: int = DEFAULT_CHAIN_ID
    block_time: float = 0.1
    scrypt_n: int = STANDARD_SCRYPT_N
    start_timeout: float = 60.0
    stop_timeout: float = 30.0
    restarts: int = 5
    restart_window: float = 300.0
    restart_pause: float = 0.5
    poll: float = 0.2
    overrides: tuple[tuple[str, str], ...] = ()


class Layout:
    """The files in a data directory; deployment and addresses may be given to anyone.

    Attributes:
        logs: a file for each process.
        installed: is there when the first run's set-up is done.
        lock: held by the supervisor and by each process that it started.
        packets: where the keyholders hand each other sealed seeds at the first run.
    """

    def __init__(self, data: Path) -> None:
        self.data = data
        self.deployment = data / "deployment.json"
        self.addresses = data / "addresses.json"
        self.chain = data / "chain"
        self.gateway = data / "gateway"
        self.identity = data / "identity"
        self.logs = data / "logs"
        self.installed = data / "installed"
        self.lock = data / "lock"
        self.packets = data / "keyholders" / "packets"

    def keyholder(self, number: int) -> Path:
        """Return a keyholder's directory."""
        return self.data / "keyholders" / str(number)

    def keystore(self, party: str) -> Path:
        """Return the keystore of a party: `authority`, `officer`, `gateway`, `identity`."""
        return self.data / party / "keystore"

    def key_file(self, party: str) -> Path:
        """Return the file of a party's account."""
        return self.keystore(party) / f"{ACCOUNT}.json"


class Addresses(msgspec.Struct, frozen=True):
    """Where the services answer: base addresses without a slash at the end."""

    node: str
    gateway: str
    identity: str
    keyholders: tuple[str, ...]


def read_addresses(path: Path) -> Addresses:
    """Return the addresses of the last run.

    Raises:
        SupervisorError: there was none, or the file is damaged.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Addresses)
    except OSError as error:
        raise SupervisorError("Supervisor", f"{path} cannot be read: {error.strerror}") from error
    except UNREADABLE as error:
        raise SupervisorError("Supervisor", f"{path} holds no addresses") from error


def write_addresses(path: Path, addresses: Addresses) -> None:
    """Write the addresses, whole or not at all."""
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(msgspec.json.format(msgspec.json.encode(addresses)) + b"\n")
    beside.replace(path)


def choose_addresses(settings: SupervisorSettings, layout: Layout) -> Addresses:
    """Choose a port for each service but the node, which chooses its own.

    Raises:
        SupervisorError: a port that was asked for is taken.
    """
    try:
        last = read_addresses(layout.addresses)
        before = Ports(
            port_of(last.node),
            port_of(last.gateway),
            port_of(last.identity),
            tuple(map(port_of, last.keyholders)),
        )
    except (SupervisorError, ValueError):
        before = Ports()
    wanted = settings.ports
    taken = {wanted.gateway, wanted.identity, *wanted.keyholders}
    ports = [
        _choose(_nth(wanted.keyholders, place), _nth(before.keyholders, place), taken)
        for place in range(settings.keyholders)
    ]
    return Addresses(
        node=_url(wanted.node or _free_or_zero(before.node)),
        gateway=_url(_choose(wanted.gateway, before.gateway, taken)),
        identity=_url(_choose(wanted.identity, before.identity, taken)),
        keyholders=tuple(map(_url, ports)),
    )


def port_of(url: str) -> int:
    """Return the port in a base address."""
    return int(url.rpartition(":")[2])


def is_free(port: int) -> bool:
    """Tell whether a port can be listened on at this moment."""
    with socket.socket() as probe:
        # As servers do: what was closed a moment ago is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _choose(wanted: int, before: int, taken: set[int]) -> int:
    if wanted:
        if not is_free(wanted):
            raise SupervisorError("PortInUse", f"port {wanted} is in use")
        return wanted
    port = before if before not in taken and _free_or_zero(before) else 0
    while not port or port in taken:
        with socket.socket() as free:
            free.bind((HOST, 0))
            port = free.getsockname()[1]
    taken.add(port)
    return port


def _free_or_zero(port: int) -> int:
    return port if port and is_free(port) else 0


def _nth(ports: tuple[int, ...], place: int) -> int:
    return ports[place] if place < len(ports) else 0


def _url(port: int) -> str:
    return f"http://{HOST}:{port}"


def make_private(directory: Path) -> None:
    """Make a directory that only this user may enter.

    Raises:
        SupervisorError: it cannot be made or entered.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SupervisorError(
            "Supervisor", f"{directory} cannot be made: {error.strerror}"
        ) from error
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise SupervisorError("Supervisor", f"{directory} cannot be written")


@dataclass(frozen=True, slots=True)
class Service:
    """A process to start.

    Attributes:
        name: in messages and as the log's name.
        module: run as `python -m module`.
        url: base address on which it answers.
        home: its directory, with its keystore.
        settings: of the environment, by full name.
        password_settings: names of the settings that say where the password is; each gets a
            descriptor of its own.
        log: file to which it writes.
    """

    name: str
    module: str
    url: str
    home: Path
    settings: tuple[tuple[str, str], ...]
    password_settings: tuple[str, ...]
    log: Path


class Services:
    """Makes the services of one data directory.

    Args:
        settings: how the profile runs.
        addresses: where each listens; the node's must be known.
    """

    def __init__(self, settings: SupervisorSettings, addresses: Addresses) -> None:
        self._settings = settings
        self._layout = Layout(settings.data)
        self._addresses = addresses

    def keyholder(self, number: int) -> Service:
        """Return a keyholder, numbered from 1."""
        directory = self._layout.identity / "keystore"
        # A keystore makes its directory, by which the installation sees that keys were drawn.
        drawn = directory.exists()
        own = {
            "HOME": str(self._layout.keyholder(number)),
            "DEPLOYMENT": str(self._layout.deployment),
            "NODE": self._addresses.node,
            "SCRYPT_N": str(self._settings.scrypt_n),
            "IDENTITY_AUTHORITIES": to_hex(_account(directory)) if drawn else "",
        }
        home, url = self._layout.keyholder(number), self._addresses.keyholders[number - 1]
        return self._service(f"keyholder-{number}", "wallet.keyholder", url, home, own)

    def identity(self, officer: bytes) -> Service:
        """Return the identity authority; the officer's account may enrol and recover people."""
        own = {
            "HOME": str(self._layout.identity),
            "DEPLOYMENT": str(self._layout.deployment),
            "NODE": self._addresses.node,
            "GATEWAY": self._addresses.gateway,
            "OFFICERS": to_hex(officer),
            "SCRYPT_N": str(self._settings.scrypt_n),
        }
        home, url = self._layout.identity, self._addresses.identity
        return self._service("identity", "wallet.identity", url, home, own)

    def gateway(self) -> Service:
        """Return the gateway; it knows the keyholders' URLs by their addresses, from their keys."""
        home, url = self._layout.gateway, self._addresses.gateway
        keyholders = {
            to_hex(_account(self._layout.keyholder(number) / "keystore")): keyholder
            for number, keyholder in enumerate(self._addresses.keyholders, 1)
        }
        own = {
            "DATABASE_URL": f"sqlite:///{home / 'gateway.db'}",
            "JOURNAL": str(home / "journal"),
            "DEPLOYMENT": str(self._layout.deployment),
            "NODE_URL": self._addresses.node,
            "RECORDER_KEY": str(self._layout.key_file("gateway")),
            "KEYHOLDERS": msgspec.json.encode(keyholders).decode(),
            "IDENTITY": self._addresses.identity,
            "EMBEDDED_CHAIN": "true",
        }
        return self._service("gateway", "gateway", url, home, own, needs="RECORDER_PASSWORD")

    def _service(
        self,
        name: str,
        module: str,
        url: str,
        home: Path,
        own: Mapping[str, str],
        needs: str = "PASSWORD",
    ) -> Service:
        prefix = f"QUANCHENG_{name.partition('-')[0].upper()}_"
        values = {"HOST": HOST, "PORT": str(port_of(url)), **own}
        settings = {f"{prefix}{key}": value for key, value in values.items()}
        settings.update(
            (key, value) for key, value in self._settings.overrides if key.startswith(prefix)
        )
        return Service(
            name=name,
            module=module,
            url=url,
            home=home,
            settings=tuple(settings.items()),
            password_settings=(f"{prefix}{needs}",),
            log=self._layout.logs / f"{name}.log",
        )


def _account(keystore: Path) -> bytes:
    return Keystore(keystore).entry(ACCOUNT).public
