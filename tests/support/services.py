"""Gateway, identity authority and keyholder, each in a process of its own, for whoever attacks their edges."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from ledger.chain.deployment import write_deployment
from scripts.processes import free_port
from scripts.scenario import Chain
from tests.support.forking import Forked, start
from wallet.identity.keys import create_authority
from wallet.keyholder.seeds import create_holder
from wallet.keystore import Keystore
from wallet.passwords import Password

SERVICES: Final = ("gateway", "wallet.identity", "wallet.keyholder")

_PASSWORD: Final = "of a test"
_PREFIXES: Final = {
    "gateway": "QUANCHENG_GATEWAY_",
    "wallet.identity": "QUANCHENG_IDENTITY_",
    "wallet.keyholder": "QUANCHENG_KEYHOLDER_",
}


@dataclass(frozen=True)
class ServiceProcess:
    module: str
    port: int
    process: Forked
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def peak_memory(self) -> int:
        """The most that it has had in memory at once, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024


@contextmanager
def service_process(module: str, chain: Chain, home: Path) -> Iterator[ServiceProcess]:
    """Run a service until the context ends. It answers; that it can do its work is not waited for."""
    home.mkdir(parents=True, exist_ok=True)
    deployment, port = home / "deployment.json", free_port()
    write_deployment(chain.deployment, deployment)
    values = {"deployment": str(deployment), "port": str(port)}
    if module == "gateway":
        values |= {
            "database_url": f"sqlite:///{home}/gateway.db",
            "journal": str(home / "journal"),
            "node_url": chain.node.url,
        }
    else:
        keystore, password = Keystore(home / "keystore", scrypt_n=2**12), Password(_PASSWORD)
        (create_authority if module == "wallet.identity" else create_holder)(keystore, password)
        values |= {"home": str(home), "node": chain.node.url, "password": "env:TEST_PASSWORD"}
    environment = {
        **os.environ,
        **{_PREFIXES[module] + name.upper(): value for name, value in values.items()},
        "TEST_PASSWORD": _PASSWORD,
    }
    process = start((module,), environment, out=home / "log")
    try:
        service = ServiceProcess(module, port, process, home / "log")
        _wait_until_it_answers(service)
        yield service
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


def _wait_until_it_answers(service: ServiceProcess) -> None:
    until = time.monotonic() + 60
    while service.process.poll() is None and time.monotonic() < until:
        try:
            if httpx.get(f"{service.url}/healthz").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"{service.module} does not answer: {service.log.read_text('utf-8')}")


__all__ = ["SERVICES", "ServiceProcess", "service_process"]
