"""The services of the embedded profile, and the settings with which each is started."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ledger.hexstr import to_hex
from wallet.keystore import Keystore
from wallet.supervisor.layout import ACCOUNT, HOST, Addresses, Layout, SupervisorSettings, port_of


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
            "DATABASE_URL": f"sqlite+aiosqlite:///{home / 'gateway.db'}",
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
