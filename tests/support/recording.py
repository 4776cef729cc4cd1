"""Recorders for tests: fresh accounts, started recorders, and one in a process of its own.

    python -m tests.support.recording URL DEPLOYMENT JOURNAL [options] < requests

The process reads a request a line (hex: consumer, then the 160 bytes that the contract reads), records
all of them at once, and writes a line for each outcome as soon as it has it: what a caller was told.
"""

import argparse
import asyncio
import contextlib
import itertools
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from ledger import failpoints
from ledger.api import RecordedAccess, Submission
from ledger.chain import contract_calls
from ledger.chain.deployment import read_deployment
from ledger.chain.rpc import AsyncRpc, RpcSettings
from ledger.model import Roles
from ledger.recorder.recorder import Recorder
from ledger.recorder.settings import RecorderSettings
from ledger.typed_data import AccessRequest
from scripts.scenario import Chain, Parties, Party

SIGNATURE: Final = bytes(range(65))
"""Recorders do not look at signatures; they keep them."""

_NUMBERS: Final = itertools.count(1)


def admitted_recorder(chain: Chain) -> Party:
    """Admit a recorder with an account of its own, which all consumers name."""
    party = Party(f"Gateway {next(_NUMBERS)} of {chain.node.port}", Roles.RECORDER)
    chain.send(
        chain.parties.authority, contract_calls.admit(party.address, party.roles, party.name)
    )
    for consumer in chain.parties.consumers:
        chain.send(consumer, contract_calls.name_recorder(party.address))
    return party


@contextlib.asynccontextmanager
async def running_recorder(
    chain: Chain,
    party: Party,
    journal: Path,
    settings: RecorderSettings | None = None,
    *,
    ready: bool = True,
    **options: Any,
) -> AsyncIterator[Recorder]:
    """Run a recorder until the block ends; `ready` waits until it takes requests."""
    async with AsyncRpc(chain.node.url, RpcSettings(timeout=2.0)) as rpc:
        recorder = Recorder(rpc, chain.deployment, party.private_key, journal, settings, **options)
        async with recorder:
            if ready:
                await until(lambda: recorder.status.is_ready)
            yield recorder


async def until(condition: Any, seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - conditions of any kind
            await asyncio.sleep(0.005)


def submission(request: AccessRequest) -> Submission:
    return Submission(request, SIGNATURE)


def encode_requests(requests: Sequence[AccessRequest]) -> str:
    return "".join(f"{(r.consumer + contract_calls.encode_request(r)).hex()}\n" for r in requests)


def decode_outcomes(text: str) -> list[RecordedAccess]:
    lines = [line for line in text.split("\n")[:-1] if line]
    return [msgspec.json.decode(bytes.fromhex(line), type=RecordedAccess) for line in lines]


async def _main(arguments: argparse.Namespace) -> int:
    lines = [bytes.fromhex(line) for line in sys.stdin.read().split()]
    requests = [contract_calls.decode_request(line[:20], line[20:]) for line in lines]
    failpoints.arm(arguments.failpoint)
    settings = RecorderSettings(
        most_entries=arguments.most_entries,
        keep_history=True,
        reconcile_automatically=True,
        journaled=not arguments.without_journal,
    )
    deployment = read_deployment(arguments.deployment)
    async with AsyncRpc(arguments.url) as rpc:
        key = Parties().recorder.private_key
        async with Recorder(rpc, deployment, key, arguments.journal, settings) as recorder:
            await until(lambda: recorder.status.is_ready)

            async def record(request: AccessRequest) -> None:
                recorded = await recorder.record(submission(request))
                sys.stdout.write(msgspec.json.encode(recorded).hex() + "\n")
                sys.stdout.flush()

            await asyncio.gather(*map(record, requests))
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("deployment", type=Path)
    parser.add_argument("journal", type=Path)
    parser.add_argument("--failpoint", default="")
    parser.add_argument("--most-entries", type=int, default=1000)
    parser.add_argument("--without-journal", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(asyncio.run(_main(_parse())))
