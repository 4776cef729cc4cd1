"""The first run: accounts, deployment, admissions, the keyholders' ceremony.

Each step looks at what is there and does what is missing, so that a first run that was broken off
goes on where it stopped. When all is done a file says so, and later runs skip everything here but
the check of the deployment.
"""

import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

from ledger.chain import contract_calls, contract_reads
from ledger.chain.contract_calls import ContractCall
from ledger.chain.deployment import (
    Deployment,
    deploy,
    read_deployment,
    verify_deployment,
    write_deployment,
)
from ledger.chain.embedded import Node
from ledger.chain.rpc import Rpc
from ledger.crypto.secret_sharing import Roster
from ledger.errors import LedgerError
from ledger.hexstr import to_hex
from ledger.model import Roles
from wallet.keystore import Keystore, Kind
from wallet.passwords import Password
from wallet.supervisor.errors import SupervisorError
from wallet.supervisor.layout import ACCOUNT, Layout, SupervisorSettings
from wallet.supervisor.processes import run_command
from wallet.supervisor.services import Service

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
                return verify_deployment(rpc, read_deployment(self._layout.deployment))
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
            from ledger.chain.sender import Sender  # noqa: PLC0415 - takes two seconds

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
