"""Events are read from any node, whatever it allows at once and however it says so."""

import ast
import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ledger.chain import eth_methods
from ledger.chain.deploy import verify_deployment
from ledger.chain.embedded import Node
from ledger.chain.eth_methods import Log
from ledger.chain.events import PartyAdmitted
from ledger.chain.finality import Finality
from ledger.chain.log_reader import LogReader, logs_between, logs_between_async
from ledger.chain.rpc import AsyncRpc, Call, CallError, Rpc, RpcError
from ledger.replay.sources import export_trail, replay_node
from scripts.scenario import Chain, deploy_trial
from tests.support.chain import node_settings
from tests.support.node_proxy import Limits, NodeProxy, proxy_before
from wallet.client import chain as reading
from wallet.client.party import ChainAccess
from wallet.client.transports import Client, Endpoints
from wallet.keyholder.follower import Follower, Following

ROOT = Path(__file__).parents[2]
ERROR = b'{"jsonrpc":"2.0","id":0,"error":{"code":-32000,"message":"Requested range exceeds maximum range limit"}}'

LIMITS = {
    "50 blocks, as an error": Limits(50, 200, ERROR),
    "50 blocks, as HTTP 400 with an error": Limits(50, 400, ERROR),
    "50 blocks, as HTTP 400 in words": Limits(50, 400, b"range too large"),
    "50 blocks, as HTTP 413": Limits(50, 413, b"too large"),
    "one block": Limits(1, 200, ERROR),
    "no batches: 403": Limits(batch=(403, b"Forbidden")),
    "no batches: 404": Limits(batch=(404, b"")),
    "no batches: 405": Limits(batch=(405, b"Method Not Allowed")),
    "no batches: an error": Limits(batch=(200, ERROR)),
    "50 blocks, no batches, no times": Limits(50, 400, ERROR, batch=(403, b""), times=False),
}


@pytest.fixture(params=list(LIMITS.values()), ids=list(LIMITS))
def proxy(request: pytest.FixtureRequest, long_chain: Chain) -> Iterator[NodeProxy]:
    with proxy_before(long_chain.node.url, request.param) as made:
        yield made


@pytest.fixture(scope="module")
def long_chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """A chain with events in its first blocks, in its last, and 130 empty ones between."""
    settings = node_settings(tmp_path_factory.mktemp("long"), state_interval=0)
    with Node(settings) as node:
        chain = Chain(node)
        mine(chain.rpc, 130)
        chain.record([chain.request(chain.parties.bank, b"\x01" * 32)])
        yield chain
        chain.close()


def mine(rpc: Rpc, blocks: int) -> None:
    rpc.send(Call("anvil_mine", (hex(blocks),), bytes))


def everything(chain: Chain) -> tuple[Log, ...]:
    newest = chain.rpc.send(eth_methods.block_number())
    addresses = msgspec.structs.astuple(chain.contracts)
    return chain.rpc.send(eth_methods.logs(chain.deployment.block_number, newest, addresses))


def test_every_reader_reads_everything_from_a_node_with_limits(
    long_chain: Chain, proxy: NodeProxy, tmp_path: Path
) -> None:
    chain, at = long_chain, long_chain.contracts
    first, whole = chain.deployment.block_number, everything(long_chain)
    last = int(whole[-1].block_number, 16)
    with Rpc(proxy.url) as rpc:
        rpc.run(verify_deployment, chain.deployment)
        reader = LogReader(msgspec.structs.astuple(at))
        parts = list(logs_between(rpc, reader, first, last))
        assert [log for part in parts for log in part.logs] == list(whole)
        assert [part.first for part in parts[1:]] == [part.last + 1 for part in parts[:-1]]
        assert replay_node(rpc, chain.deployment).is_clean
        export_trail(rpc, chain.deployment, tmp_path / "trail.jsonl")
    with Client(Endpoints("http://127.0.0.1:9", node=proxy.url)) as client:
        ledger = ChainAccess(chain.deployment, own_node=True)
        found = client.run(reading.events(ledger, PartyAdmitted))
    assert {event.party for event in found} >= {party.address for party in chain.parties.admitted}
    if proxy.limits.most_blocks < 1 << 40:
        assert proxy.refused
        assert max(proxy.asked) <= proxy.limits.most_blocks


async def test_followers_follow_a_node_with_limits(long_chain: Chain, proxy: NodeProxy) -> None:
    chain, whole = long_chain, everything(long_chain)
    first, last = chain.deployment.block_number, int(whole[-1].block_number, 16)
    async with AsyncRpc(proxy.url) as rpc:
        reader = LogReader(msgspec.structs.astuple(chain.contracts))
        parts = [part async for part in logs_between_async(rpc, reader, first, last)]
        assert [log for part in parts for log in part.logs] == list(whole)
        following = Following(Finality.depth(0), release_window=3600, head_age=60)
        keyholder = Follower(rpc, chain.deployment, following)
        await keyholder.step()
        assert keyholder.require().block.number >= last


def test_besus_limit_of_5000_blocks_costs_few_questions(tmp_path: Path) -> None:
    with Node(node_settings(tmp_path, state_interval=0)) as node, Rpc(node.url) as direct:
        deployment = deploy_trial(direct, b"\x11" * 32)
        mine(direct, 12_000)
        limits = Limits(5_000, 400, ERROR)
        with proxy_before(node.url, limits) as proxy, Rpc(proxy.url) as rpc:
            assert replay_node(rpc, deployment).is_clean
            assert sum(proxy.asked) >= 12_000
            assert max(proxy.asked) <= 5_000
            assert len(proxy.asked) + proxy.refused < 15


@pytest.mark.parametrize("limit", [1, 2, 7, 50, 300, 1_024, 5_000])
def test_the_reader_settles_at_a_nodes_limit(limit: int) -> None:
    reader, block, questions = LogReader([]), 0, 0
    while block < 100 * limit:
        asked = reader.reach(block, 1 << 40) - block + 1
        questions += 1
        if asked > limit:
            assert reader.narrow(asked)
        else:
            reader.take(asked, 0)
            block += asked
    assert questions < 140


def test_the_reader_asks_for_fewer_blocks_where_they_are_full() -> None:
    reader = LogReader([], wanted=100)
    for _ in range(20):
        reader.take(reader.reach(0, 1 << 40) + 1, 0)
    asked = reader.reach(0, 1 << 40) + 1
    assert asked == 50_000
    reader.take(asked, 10 * asked)
    assert reader.reach(0, 1 << 40) + 1 == 10


def test_what_is_refused_for_one_block_is_an_error(long_chain: Chain) -> None:
    for status, body in ((200, ERROR), (400, ERROR), (403, b"no")):
        with (
            proxy_before(long_chain.node.url, Limits(0, status, body)) as proxy,
            Rpc(proxy.url) as rpc,
            pytest.raises(RpcError),
        ):
            list(logs_between(rpc, LogReader([bytes(20)]), 0, 40))


def test_an_error_with_http_status_400_is_read_as_the_error(long_chain: Chain) -> None:
    with (
        proxy_before(long_chain.node.url, Limits(0, 400, ERROR)) as proxy,
        Rpc(proxy.url) as rpc,
        pytest.raises(CallError, match="Requested range exceeds"),
    ):
        rpc.send(eth_methods.logs(0, 0, []))


def test_a_batch_that_is_refused_is_sent_call_by_call_and_never_again(long_chain: Chain) -> None:
    calls = [eth_methods.block(number) for number in range(5)]
    with proxy_before(long_chain.node.url, Limits(batch=(403, b""))) as proxy:
        with Rpc(proxy.url) as rpc:
            assert [rpc.send_many(calls) for _ in range(3)] == [long_chain.rpc.send_many(calls)] * 3
        assert proxy.refused == 1
        bad: Call[Any] = Call("eth_noSuchThing", (), bytes)

        async def ask() -> list[Any]:
            async with AsyncRpc(proxy.url) as rpc:
                return await rpc.try_many([calls[0], bad, calls[1]])

        first, second, third = asyncio.run(ask())
        assert [first, third] == long_chain.rpc.send_many(calls[:2])
        assert isinstance(second, CallError)


@pytest.mark.parametrize("times", [True, False])
def test_logs_of_a_block_that_the_node_does_not_have_are_refused(
    long_chain: Chain, *, times: bool
) -> None:
    def ahead(method: str, params: list[Any], result: Any) -> Any:
        if method != "eth_getLogs":
            return result
        return [{**log, "blockNumber": "0xffffffff" if times else "none"} for log in result]

    with proxy_before(long_chain.node.url, Limits(times=False)) as proxy, Rpc(proxy.url) as rpc:
        proxy.lie = ahead
        reader = LogReader([long_chain.contracts.registry])
        with pytest.raises(RpcError):
            list(logs_between(rpc, reader, 0, 20))


def test_nothing_else_asks_a_node_for_logs() -> None:
    asking = [
        str(path.relative_to(ROOT))
        for folder in ("ledger", "gateway", "wallet")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr == "logs"
        and isinstance(node.value, ast.Name)
        and node.value.id == "eth_methods"
    ]
    assert asking == ["ledger/chain/log_reader.py"]
