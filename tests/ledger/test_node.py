"""The embedded chain: it starts, ends, comes back with what it had, and says plainly why it cannot."""

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.chain import embedded as node_module
from ledger.chain import eth_methods
from ledger.chain.deploy import verify_deployment
from ledger.chain.embedded import Node, NodeError, find_anvil
from ledger.chain.miner import hand_in_anew
from ledger.chain.rpc import Call, Rpc
from ledger.chain.transactions import Fee, Transaction, sign_transaction
from ledger.crypto.signatures import address_of
from ledger.hexstr import keccak256, to_hex
from scripts.scenario import deploy_trial
from tests.support.chain import BLOCK_TIME, node_settings

KEY = keccak256(b"test node")


def count_of(rpc: Rpc) -> int:
    """How many transactions our account has sent."""
    return rpc.send(eth_methods.transaction_count(address_of(KEY)))


def send(rpc: Rpc, chain_id: int, count: int, *, first: int = 0) -> list[bytes]:
    """Send transactions that do nothing, and wait for the last one's block; return their hashes."""
    contents = [
        Transaction(chain_id, first + place, 21_000, Fee(0), bytes(20), b"")
        for place in range(count)
    ]
    signed = [sign_transaction(content, KEY) for content in contents]
    hashes = rpc.send_many([eth_methods.send_raw_transaction(one.raw) for one in signed])
    assert hashes == [one.hash for one in signed]
    wait_until(lambda: rpc.send(eth_methods.receipt(hashes[-1])) is not None)
    return hashes


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(BLOCK_TIME / 4)


def kept_since(data: Path, count: int) -> bool:
    """Whether a state with more of our transactions has been written."""
    try:
        return len(json.loads((data / "state.kept.json").read_text())["transactions"]) > count
    except FileNotFoundError:
        return False


def test_node_mines_at_its_pace_at_no_price_with_its_chain_id(tmp_path: Path) -> None:
    with Node(node_settings(tmp_path, chain_id=4711)) as node, Rpc(node.url) as rpc:
        assert rpc.send(eth_methods.chain_id()) == 4711
        assert rpc.send(eth_methods.gas_price()) == 0
        first = rpc.send(eth_methods.block_number())
        time.sleep(10 * BLOCK_TIME)
        mined = rpc.send(eth_methods.block_number()) - first
        block = rpc.send(eth_methods.block("latest"))
        assert block is not None
        assert (block.base_fee, block.gas_limit) == (0, 100_000_000)
        assert abs(block.timestamp - time.time()) < 3
    assert 5 <= mined <= 15
    assert not node.is_running


def test_it_mines_at_once_when_there_is_something_and_seldom_when_not(tmp_path: Path) -> None:
    settings = node_settings(tmp_path, idle_block_time=0.5)
    with Node(settings) as node, Rpc(node.url) as rpc:
        begun = time.monotonic()
        first = rpc.send(eth_methods.block_number())
        send(rpc, settings.chain_id, 1)
        took = time.monotonic() - begun
        time.sleep(max(1.2 - took, 0))
        mined = rpc.send(eth_methods.block_number()) - first
    assert took < 0.4
    assert 2 <= mined <= 4


def test_what_waits_for_an_earlier_one_can_be_handed_in_anew(tmp_path: Path) -> None:
    """The miner does so with a transaction whose turn has come and that anvil holds back."""
    settings = node_settings(tmp_path)
    pool: Call[bytes] = Call("txpool_status", (), bytes)
    with Node(settings) as node, Rpc(node.url) as rpc:
        first, *others = (
            sign_transaction(
                Transaction(settings.chain_id, nonce, 21_000, Fee(0), bytes(20), b""), KEY
            )
            for nonce in range(3)
        )
        hashes = rpc.send_many([eth_methods.send_raw_transaction(other.raw) for other in others])
        waiting = rpc.send(pool)
        hand_in_anew(rpc, to_hex(address_of(KEY)), list(map(to_hex, hashes)))
        assert rpc.send(pool) == waiting == b'{"pending":"0x0","queued":"0x2"}'
        rpc.send(eth_methods.send_raw_transaction(first.raw))
        wait_until(lambda: count_of(rpc) == len((first, *others)))


def test_account_without_coins_sends_transactions(tmp_path: Path) -> None:
    with Node(node_settings(tmp_path)) as node, Rpc(node.url) as rpc:
        [sent] = send(rpc, node.settings.chain_id, 1)
        receipt = rpc.send(eth_methods.receipt(sent))
    assert receipt is not None
    assert receipt.succeeded
    assert receipt.sender == address_of(KEY)


def test_nobody_but_the_loopback_reaches_it_and_it_has_no_accounts(tmp_path: Path) -> None:
    with Node(node_settings(tmp_path)) as node:
        listening = Path(f"/proc/{node.pid}/net/tcp").read_text()
        port = f":{node.port:04X} "
        assert any(f"0100007F{port}" in line for line in listening.splitlines())
        assert not any(f"00000000{port}" in line for line in listening.splitlines())
        with Rpc(node.url) as rpc:
            assert rpc.send(Call("eth_accounts", (), bytes)) == b"[]"


def test_chain_is_the_same_after_many_orderly_ends(tmp_path: Path) -> None:
    node = Node(node_settings(tmp_path))
    with node, Rpc(node.url) as rpc:
        deployment = deploy_trial(rpc, KEY)
        address, port = deployment.contracts.registry, node.port
        number = rpc.send(eth_methods.block_number())
        block = rpc.send(eth_methods.block(number))
        logs = rpc.send(eth_methods.logs(0, number, [address]))
    for _ in range(4):
        with node, Rpc(node.url) as rpc:
            assert node.port == port
            assert rpc.run(verify_deployment, deployment) == deployment
            assert rpc.send(eth_methods.block(number)) == block
            assert rpc.send(eth_methods.logs(0, number, [address])) == logs
            time.sleep(1.1)


def test_no_block_is_older_than_the_one_before_when_the_clock_was_put_back(tmp_path: Path) -> None:
    with Node(node_settings(tmp_path)) as node, Rpc(node.url) as rpc:
        ahead = int(time.time()) + 1000
        rpc.send(Call("evm_setTime", (ahead,), bytes))
        wait_until(lambda: newest_time(rpc) >= ahead)
        node.stop()
        node.start()
        number = rpc.send(eth_methods.block_number())
        wait_until(lambda: rpc.send(eth_methods.block_number()) > number)
        assert newest_time(rpc) >= ahead


def newest_time(rpc: Rpc) -> int:
    """The newest block's time."""
    block = rpc.send(eth_methods.block("latest"))
    assert block is not None
    return block.timestamp


def test_killed_node_comes_back_with_what_it_last_wrote(tmp_path: Path) -> None:
    node = Node(node_settings(tmp_path, state_interval=0))
    with node, Rpc(node.url) as rpc:
        deployment = deploy_trial(rpc, KEY)
        node.checkpoint()
        kept = rpc.send(eth_methods.block_number())
        while rpc.send(eth_methods.block_number()) < kept + 5:
            time.sleep(BLOCK_TIME)
        node.kill()
        node.start()
        assert rpc.run(verify_deployment, deployment) == deployment
        assert rpc.send(eth_methods.block_number()) <= kept + 2


def test_half_written_state_is_not_used(tmp_path: Path) -> None:
    node = Node(node_settings(tmp_path, state_interval=0))
    with node, Rpc(node.url) as rpc:
        deployment = deploy_trial(rpc, KEY)
        node.checkpoint()
        send(rpc, deployment.chain_id, 2, first=count_of(rpc))
        node.stop()
        written = (tmp_path / "state.json").read_bytes()
        (tmp_path / "state.json").write_bytes(written[: len(written) // 2])
        node.start()
        assert rpc.run(verify_deployment, deployment) == deployment


def test_state_with_accounts_ahead_of_its_blocks_is_not_used(tmp_path: Path) -> None:
    node = Node(node_settings(tmp_path, state_interval=0))
    with node, Rpc(node.url) as rpc:
        send(rpc, node.settings.chain_id, 2)
        node.checkpoint()
        kept = rpc.send(eth_methods.block_number())
        send(rpc, node.settings.chain_id, 1, first=2)
        node.stop()
        state = json.loads((tmp_path / "state.json").read_text())
        # As anvil writes it amid mining: the nonce is used up, the transaction is not there.
        state["transactions"].pop()
        (tmp_path / "state.json").write_text(json.dumps(state))
        node.start()
        assert count_of(rpc) == 2
        assert rpc.send(eth_methods.block_number()) <= kept + 2


def test_killed_under_load_it_comes_back_with_every_transaction_that_its_accounts_count(
    tmp_path: Path,
) -> None:
    counts = []
    node = Node(node_settings(tmp_path, state_interval=0.1))
    for _ in range(3):
        with node, Rpc(node.url) as rpc:
            first = count_of(rpc)
            counts.append(first)
            hashes = send(rpc, node.settings.chain_id, 100, first=first)
            until = time.monotonic() + 5
            while not kept_since(tmp_path, first) and time.monotonic() < until:
                hashes += send(rpc, node.settings.chain_id, 20, first=first + len(hashes))
            node.kill()
            node.start()
            found = [h for h in hashes if rpc.send(eth_methods.receipt(h)) is not None]
            assert count_of(rpc) == first + len(found)
            assert found == hashes[: len(found)]
    assert counts[0] < counts[1] < counts[2]


def test_hung_node_mines_on_when_it_is_back(tmp_path: Path) -> None:
    with Node(node_settings(tmp_path)) as node, Rpc(node.url) as rpc:
        assert node.pid is not None
        os.kill(node.pid, signal.SIGSTOP)
        time.sleep(0.3)
        os.kill(node.pid, signal.SIGCONT)
        send(rpc, node.settings.chain_id, 1)


def test_state_whose_writing_took_too_long_is_not_written_any_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = node_settings(tmp_path, state_interval=0.05, state_pause=0)
    with Node(settings) as node, Rpc(node.url) as rpc:
        send(rpc, settings.chain_id, 1)
        wait_until(lambda: "state not written while it runs" in caplog.text)
        written = (tmp_path / "state.kept.json").read_bytes()
        send(rpc, settings.chain_id, 3, first=1)
        assert (tmp_path / "state.kept.json").read_bytes() == written


def test_newer_of_two_whole_states_is_used(tmp_path: Path) -> None:
    node = Node(node_settings(tmp_path))
    with node, Rpc(node.url) as rpc:
        node.checkpoint()
        kept = rpc.send(eth_methods.block_number())
        while rpc.send(eth_methods.block_number()) < kept + 10:
            time.sleep(BLOCK_TIME)
    with node, Rpc(node.url) as rpc:
        assert rpc.send(eth_methods.block_number()) >= kept + 10


def test_damaged_states_are_an_error_and_no_new_chain(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{")
    (tmp_path / "state.kept.json").write_text("{}")
    with pytest.raises(NodeError, match="remove them"):
        Node(node_settings(tmp_path)).start()
    assert (tmp_path / "state.json").read_text() == "{"


def test_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(NodeError) as caught:
            Node(node_settings(tmp_path, port=port)).start()
    assert str(caught.value) == f"port {port} is in use"
    assert caught.value.kind == "port in use"


def test_second_node_on_the_same_data_is_refused_even_when_its_starter_is_gone(
    tmp_path: Path,
) -> None:
    with Node(node_settings(tmp_path)) as node:
        with pytest.raises(NodeError, match="another node runs"):
            Node(node_settings(tmp_path)).start()
        # As if the process that started it had crashed: its hold on the lock is gone.
        assert node._lock is not None
        os.close(node._lock)
        node._lock = None
        with pytest.raises(NodeError, match="another node runs"):
            Node(node_settings(tmp_path)).start()


def test_node_that_is_started_twice_is_refused(tmp_path: Path) -> None:
    with Node(node_settings(tmp_path)) as node, pytest.raises(NodeError, match="already"):
        node.start()


def test_bad_setting_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(NodeError) as caught:
        Node(node_settings(tmp_path, block_time=-1)).start()
    assert "\n" not in str(caught.value)


def test_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NodeError, match="cannot be made"):
        Node(node_settings(tmp_path / "file" / "data")).start()


def test_missing_anvil_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(node_module, "__file__", str(tmp_path / "ledger" / "node.py"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NodeError, match="make setup"):
        find_anvil()
    (tmp_path / "anvil").write_text("#!/bin/sh\n")
    (tmp_path / "anvil").chmod(0o755)
    assert find_anvil() == tmp_path / "anvil"


def test_hung_node_is_killed_when_it_does_not_end(tmp_path: Path) -> None:
    node = Node(node_settings(tmp_path, stop_timeout=0.3))
    node.start()
    assert node.pid is not None
    os.kill(node.pid, signal.SIGSTOP)
    node.stop()
    assert not node.is_running
    assert node.wait(1) is None
