"""A keyholder that is started anew reads the whole window again, and then releases what is in it.

How many accesses come within the window: `ACCESSES`, 20,000 unless set. How long it reads stands in the file of
`--junitxml`; docs/roles/keyholder.md has what was measured.
"""

import asyncio
import itertools
import os
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from ledger.chain import contract_calls, contract_reads
from ledger.chain.embedded import Node
from ledger.model import Class
from ledger.typed_data import AccessRequest
from scripts.scenario import Chain
from tests.support.chain import node_settings
from tests.support.keyholders import ready, running, settings_for
from tests.wallet.test_keyholder_service import City, ask, city, open_release
from tests.wallet.test_keyholder_window import Person, revoke, types

pytestmark = pytest.mark.slow

__all__ = ["city"]

ACCESSES: Final = int(os.environ.get("ACCESSES", "20000"))
BATCH: Final = 500
AT_ONCE: Final = 8
"""Transactions."""


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """A chain that no other test has to read."""
    settings = node_settings(
        tmp_path_factory.mktemp("chain"), state_interval=0, history=100_000, gas_limit=400_000_000
    )
    with Node(settings) as node:
        chain = Chain(node)
        yield chain
        chain.close()


def use(chain: Chain, count: int) -> None:
    """Let the bank use data that is open to everybody, so many times, and each be recorded as allowed."""
    bank, deadline = chain.parties.bank, chain.now() + 3_500
    dataset = chain.register_dataset(personal=False, sharing=Class.UNCONDITIONAL)
    before = chain.rpc.send(contract_reads.log_state(chain.contracts)).sequence
    words = (secrets.randbits(120) << 8 for _ in itertools.count())
    nonces = itertools.islice((word | n for word in words for n in range(256)), count)
    batches = iter(lambda: list(itertools.islice(nonces, BATCH)), [])
    calls = (
        contract_calls.record(
            [
                contract_calls.RequestGroup(
                    bank.address,
                    tuple(
                        contract_calls.encode_request(
                            AccessRequest(bank.address, dataset, bytes(32), 1, nonce, deadline)
                        )
                        for nonce in batch
                    ),
                )
            ]
        )
        for batch in batches
    )
    while some := list(itertools.islice(calls, AT_ONCE)):
        chain.send_all(chain.parties.recorder, some)
    assert chain.rpc.send(contract_reads.log_state(chain.contracts)).sequence == before + count


@pytest.mark.timeout(0)
async def test_a_restarted_keyholder_reads_all_accesses_of_the_window_and_releases(
    city: City, record_property: Callable[[str, object], None]
) -> None:
    home = city.home / "restarted"
    settings = settings_for(city.chain, home)
    stopped = Person(city)
    async with running(city.chain, city.holders[0], home, settings) as client:
        await ready([client])
        task = city.honest()
        assert types(list(await ask(client, [task, stopped.task]))) == ["sealed"] * 2
    recorded_at = city.chain.now()
    await asyncio.to_thread(use, city.chain, ACCESSES)
    revoke(stopped)
    assert city.chain.now() - recorded_at < city.chain.deployment.release_window
    begun = time.monotonic()
    async with running(city.chain, city.holders[0], home, settings) as client:
        assert (await client.http.get("/readyz")).status_code == 503, "it has not read yet"
        await ready([client])
        took = time.monotonic() - begun
        answers = await ask(client, [task, stopped.task])
        other = await ask(city.clients[1], [task])
    assert types(list(answers)) == ["sealed", "urn:quancheng:problem:release-stopped"]
    assert open_release(city, task, [answers[0], other[0]])
    record_property("seconds until ready", took)
