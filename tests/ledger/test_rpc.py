"""Asking a node: typed answers, and one error for each thing that goes wrong."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from ledger.chain import contract_calls, contract_reads, eth_methods
from ledger.chain.reverts import Argument, RevertError, decode_revert, revert_in
from ledger.chain.rpc import AsyncRpc, Call, CallError, Rpc, RpcError, RpcSettings
from ledger.hexstr import to_hex
from scripts.scenario import Chain
from tests.support.http_servers import http_server

Behave = Callable[[bytes], tuple[int, bytes]]


@dataclass
class FakeNode:
    """Answers as a test says."""

    url: str = ""
    behave: Behave = lambda _: (200, b"{}")
    connections: int = 0

    def count(self) -> None:
        self.connections += 1


@pytest.fixture
def fake() -> Iterator[FakeNode]:
    node = FakeNode()
    with http_server(lambda _, body: node.behave(body), node.count) as node.url:
        yield node


def answering(value: object) -> Behave:
    return lambda _: (200, json.dumps(value).encode())


def test_one_connection_serves_many_questions(fake: FakeNode) -> None:
    fake.behave = answering({"jsonrpc": "2.0", "id": 0, "result": "0x10"})
    with Rpc(fake.url) as rpc:
        assert [rpc.send(eth_methods.block_number()) for _ in range(5)] == [16] * 5
    assert fake.connections == 1


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"not json", 200, "malformed"),
        (b"[]", 200, "malformed"),
        (b'{"result":17}', 200, "malformed"),
        (b'{"result":"0xzz"}', 200, "malformed"),
        (b'{"error":{"code":-32601,"message":"no such method"}}', 200, "call"),
        (b"overloaded", 503, "unreachable"),
        (b"too large", 413, "request too large"),
        (b'{"result":"' + b"0" * 5000 + b'"}', 200, "answer too large"),
    ],
)
def test_each_bad_answer_is_its_own_error(
    fake: FakeNode, body: bytes, status: int, kind: str
) -> None:
    fake.behave = lambda _: (status, body)
    with Rpc(fake.url, RpcSettings(max_answer=4000)) as rpc, pytest.raises(RpcError) as caught:
        rpc.send(eth_methods.block_number())
    assert caught.value.kind == kind
    assert isinstance(caught.value, CallError) == (kind == "call")


async def test_async_client_raises_the_same_errors(fake: FakeNode) -> None:
    async with AsyncRpc(fake.url, RpcSettings(max_answer=4000, timeout=0.2)) as rpc:
        fake.behave = lambda _: (200, b"x" * 5000)
        with pytest.raises(RpcError, match="has more than 4000 bytes"):
            await rpc.send(eth_methods.block_number())
        fake.behave = slowly
        with pytest.raises(RpcError, match="did not answer within"):
            await rpc.send(eth_methods.block_number())
        fake.behave = answering({"error": {"code": 3, "message": "reverted", "data": "0x01"}})
        with pytest.raises(CallError) as caught:
            await rpc.send(eth_methods.block_number())
        assert (caught.value.code, caught.value.data) == (3, b"\1")


def test_nobody_there_is_unreachable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://user:secret@127.0.0.1:{port}/key"
    with Rpc(url) as rpc, pytest.raises(RpcError, match="cannot be reached") as caught:
        rpc.send(eth_methods.block_number())
    assert "secret" not in str(caught.value)
    assert "key" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "127.0.0.1", "ftp://127.0.0.1", "http://[", "http://a b"])
def test_what_is_no_url_is_unreachable(url: str) -> None:
    with Rpc(url) as rpc, pytest.raises(RpcError) as caught:
        rpc.send(eth_methods.block_number())
    assert caught.value.kind == "unreachable"


def test_request_over_the_limit_is_not_sent(fake: FakeNode) -> None:
    settings = RpcSettings(max_request=1000)
    with Rpc(fake.url, settings) as rpc, pytest.raises(RpcError, match="1000 are allowed"):
        rpc.send(eth_methods.send_raw_transaction(bytes(1000)))
    assert fake.connections == 0


def test_batches_are_cut_to_size_and_answers_found_by_id(fake: FakeNode) -> None:
    sizes: list[int] = []

    def backwards(body: bytes) -> tuple[int, bytes]:
        asked = json.loads(body)
        sizes.append(len(asked))
        answers = [{"id": one["id"], "result": one["params"][0]} for one in reversed(asked)]
        return 200, json.dumps(answers).encode()

    fake.behave = backwards
    calls = [Call("echo", (hex(number),), eth_methods._quantity) for number in range(7)]
    with Rpc(fake.url, RpcSettings(batch=3)) as rpc:
        assert rpc.send_many(calls) == list(range(7))
    assert sizes == [3, 3, 1]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ([{"id": 0, "result": "0x1"}], "malformed"),
        ({"error": {"code": -32600, "message": "no batches"}}, "call"),
        ({}, "malformed"),
    ],
)
def test_batch_that_is_not_answered_as_a_whole_is_an_error(
    fake: FakeNode, answer: object, kind: str
) -> None:
    fake.behave = answering(answer)
    with Rpc(fake.url) as rpc, pytest.raises(RpcError) as caught:
        rpc.send_many([eth_methods.block_number(), eth_methods.chain_id()])
    assert caught.value.kind == kind


def slowly(_: bytes) -> tuple[int, bytes]:
    time.sleep(0.5)
    return 200, b"{}"


# Against the real node


def test_error_in_a_batch_leaves_the_other_answers(chain: Chain) -> None:
    good = contract_reads.authority(chain.contracts)
    bad = Call("eth_noSuchThing", (), good.read)
    first, second, third = chain.rpc.try_many([good, bad, good])
    assert first == third == chain.parties.authority.address
    assert isinstance(second, CallError)
    with pytest.raises(CallError):
        chain.rpc.send_many([good, bad])


def test_custom_error_is_decoded_to_its_name_and_arguments(chain: Chain) -> None:
    stranger = bytes(range(20))
    call = contract_calls.admit(stranger, chain.parties.bank.roles, "Me")
    with pytest.raises(CallError) as caught:
        chain.rpc.send(eth_methods.estimate_gas(chain.contracts.registry, call.data, stranger))
    error = revert_in(caught.value)
    assert error is not None
    assert error.revert.name == "NotAuthority"
    assert error.revert.arguments == (Argument("caller", stranger),)
    assert str(error) == (f"refused by the contract: NotAuthority(caller={to_hex(stranger)})")


def test_sender_gets_the_refusal(chain: Chain) -> None:
    with pytest.raises(RevertError) as caught:
        chain.send(chain.parties.bank, contract_calls.appeal("I am not restricted."))
    assert caught.value.revert.name == "NotRestricted"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (bytes.fromhex("08c379a0") + contract_calls.encode_arguments(["string"], ["why"]), "Error"),
        (bytes.fromhex("4e487b71") + (17).to_bytes(32, "big"), "Panic"),
        (bytes.fromhex("08c379a0") + b"\xff", "Error"),
        (b"\1\2\3\4\5", ""),
        (b"", ""),
    ],
)
def test_other_reverts_are_named_as_far_as_possible(data: bytes, name: str) -> None:
    revert = decode_revert(data)
    assert revert.name == name
    assert str(revert)


def test_refusal_of_the_node_itself_is_no_revert() -> None:
    assert revert_in(CallError("eth_call", -32000, "insufficient funds")) is None
    assert revert_in(CallError("eth_call", 3, "execution reverted")) is not None
