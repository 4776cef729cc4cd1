"""A department's process: publishes one file. Peak memory is its own and its largest child's.

`python -m scripts.bench.department < plan > published`
"""

import os
import resource
import sys
import time
from pathlib import Path

import msgspec

from ledger.chain.deployment import decode_deployment
from ledger.crypto.hpke import DecryptionKey
from scripts.bench.machine import peak_memory
from wallet.client.party import ChainAccess, PartyKey
from wallet.client.transports import Client, Endpoints
from wallet.provider.description import read_description
from wallet.provider.publisher import Options, Publisher, Stage
from wallet.provider.services import RemoteServices

_KIBIBYTE = 1024


class PublishingPlan(msgspec.Struct, frozen=True):
    """A file to publish, the services to ask, and the department's keys.

    With `changes` the file has only these, and `withdraw` names a list of numbers, if there is one.
    """

    endpoints: Endpoints
    keyholders: tuple[str, ...]
    deployment: bytes
    key: bytes
    opening: bytes
    description: str
    code: str
    dataset: bytes
    file: str
    workspace: str
    changes: bool = False
    withdraw: str = ""


class PublishedFile(msgspec.Struct, frozen=True):
    """Result of a publication: records of the version, lines sent, seconds in all and by stage, MiB.

    `cpu` and `child_cpu` are the processor seconds of this process and of those that encrypt.
    """

    records: int
    sent: int
    version: int
    seconds: float
    stages: dict[str, float]
    memory: float
    child_memory: float
    cpu: float
    child_cpu: float


def publish(plan: PublishingPlan) -> PublishedFile:
    """Publish a file, from reading it until it is served."""
    deployment = decode_deployment(plan.deployment)
    ledger = ChainAccess(deployment, own_node=True)
    began = time.perf_counter()
    stages: dict[str, float] = {}
    last: list[tuple[str, float]] = []

    def note(stage: Stage, _done: int, _of: int | None) -> None:
        now = time.perf_counter()
        if last:
            stages[last[0][0]] = stages.get(last[0][0], 0.0) + now - last[0][1]
        last[:] = [(stage.value, now)]

    key = PartyKey(plan.key)
    with Client(plan.endpoints, key=key, chain_id=deployment.chain_id, timeout=600.0) as client:
        services = RemoteServices(client, ledger, DecryptionKey(plan.opening), plan.keyholders)
        description = read_description(Path(plan.description), plan.code)
        publisher = Publisher(description, plan.dataset, services, Path(plan.workspace), note)
        withdraw = Path(plan.withdraw) if plan.withdraw else None
        options = Options(changes=plan.changes, withdraw=withdraw)
        published = publisher.publish(Path(plan.file), options)
    note(Stage.SERVING, 0, None)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return PublishedFile(
        records=published.head.size,
        sent=published.sent,
        version=published.version,
        seconds=time.perf_counter() - began,
        stages=stages,
        memory=peak_memory(os.getpid()),
        child_memory=children.ru_maxrss / _KIBIBYTE,
        cpu=time.process_time(),
        child_cpu=children.ru_utime + children.ru_stime,
    )


if __name__ == "__main__":
    done = publish(msgspec.msgpack.decode(sys.stdin.buffer.read(), type=PublishingPlan))
    sys.stdout.buffer.write(msgspec.msgpack.encode(done))
