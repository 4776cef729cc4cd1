"""The services of the embedded profile, and the settings with which each is started."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ledger.hexes import to_hex
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
        home, url = self._layout.keyholder(number), self._addresses.keyholders[number - 1]
        own = {
            "HOME": str(home),
            "DEPLOYMENT": str(self._layout.deployment),
            "NODE": self._addresses.node,
            "SCRYPT_N": str(self._settings.scrypt_n),
            "IDENTITY_AUTHORITIES": self._identity_authority(),
        }
        return Service(
            name=f"keyholder-{number}",
            module="wallet.keyholder",
            url=url,
            home=home,
            settings=self._settings_of("KEYHOLDER", url, own),
            password_settings=("QUANCHENG_KEYHOLDER_PASSWORD",),
            log=self._layout.logs / f"keyholder-{number}.log",
        )

    def identity(self, officer: bytes) -> Service:
        """Return the identity authority; the officer's account may enrol and recover people."""
        home, url = self._layout.identity, self._addresses.identity
        own = {
            "HOME": str(home),
            "DEPLOYMENT": str(self._layout.deployment),
            "NODE": self._addresses.node,
            "GATEWAY": self._addresses.gateway,
            "OFFICERS": to_hex(officer),
            "SCRYPT_N": str(self._settings.scrypt_n),
        }
        return Service(
            name="identity",
            module="wallet.identity",
            url=url,
            home=home,
            settings=self._settings_of("IDENTITY", url, own),
            password_settings=("QUANCHENG_IDENTITY_PASSWORD",),
            log=self._layout.logs / "identity.log",
        )

    def gateway(self) -> Service:
        """Return the gateway."""
        home, url = self._layout.gateway, self._addresses.gateway
        own = {
            "DATABASE_URL": f"sqlite+aiosqlite:///{home / 'gateway.db'}",
            "JOURNAL": str(home / "journal"),
            "DEPLOYMENT": str(self._layout.deployment),
            "NODE_URL": self._addresses.node,
            "RECORDER_KEY": str(self._layout.key_file("gateway")),
            "KEYHOLDERS": msgspec.json.encode(self._keyholders()).decode(),
            "IDENTITY": self._addresses.identity,
            "EMBEDDED_CHAIN": "true",
        }
        return Service(
            name="gateway",
            module="gateway",
            url=url,
            home=home,
            settings=self._settings_of("GATEWAY", url, own),
            password_settings=("QUANCHENG_GATEWAY_RECORDER_PASSWORD",),
            log=self._layout.logs / "gateway.log",
        )

    def _keyholders(self) -> dict[str, str]:
        """Return the keyholders' URLs by address, from their keys."""
        return {
            to_hex(Keystore(self._layout.keyholder(number) / "keystore").entry(ACCOUNT).public): url
            for number, url in enumerate(self._addresses.keyholders, 1)
        }

    def _identity_authority(self) -> str:
        """Return the address of the directory's own identity authority, from its key; empty before that."""
        directory = self._layout.identity / "keystore"
        # A keystore makes its directory, by which the installation sees that keys were drawn.
        return to_hex(Keystore(directory).entry(ACCOUNT).public) if directory.exists() else ""

    def _settings_of(
        self, service: str, url: str, own: Mapping[str, str]
    ) -> tuple[tuple[str, str], ...]:
        prefix = f"QUANCHENG_{service}_"
        listening = {"HOST": HOST, "PORT": str(port_of(url))}
        settings = {f"{prefix}{name}": value for name, value in (listening | dict(own)).items()}
        settings.update(
            (name, value) for name, value in self._settings.overrides if name.startswith(prefix)
        )
        return tuple(settings.items())
