"""A real node is replayed, whole and in parts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ledger.chain import eth_methods
from ledger.chain.eth_methods import Log, with_timestamp
from ledger.chain.rpc import AsyncRpc, Call, Rpc, RpcError
from ledger.crypto.signatures import sign
from ledger.model import Outcome
from ledger.replay.export import TrailError
from ledger.replay.journal_check import ReleaseEntry
from ledger.replay.report import Kind
from ledger.replay.sources import export_trail, read_logs, replay_node, replay_trail
from ledger.typed_data import AccessRequest, digest, struct_hash
from scripts.answer_keys import DrawnKeys
from scripts.scenario import Chain
from tests.support.copies import MemoryJournal


def test_a_real_nodes_trail_replays_and_exports(own_chain: Chain, tmp_path: Path) -> None:
    chain, bank = own_chain, own_chain.parties.bank
    terms = chain.personal_terms()
    basis = chain.granted(1, terms, max_uses=2)[0]
    domain = chain.deployment.domain_of(AccessRequest)
    drawn = [DrawnKeys(domain, bank.address).next() for _ in range(5)]
    keys = dict(drawn)
    bases = [basis] * 4 + [b"\x01" * 32]
    requests = [
        chain.request(bank, one, nonce=nonce) for one, (nonce, _) in zip(bases, drawn, strict=True)
    ]
    events = [*chain.record(requests[:3]), *chain.record(requests[3:])]
    entries = [
        ReleaseEntry(
            struct_hash(request),
            event.sequence,
            event.transaction,
            sign(digest(request, domain), bank.private_key),
            released=event.outcome is Outcome.ALLOWED,
            key=keys[request.nonce] if event.outcome is Outcome.ALLOWED else None,
        )
        for request, event in zip(requests, events, strict=True)
    ]
    journals = [MemoryJournal(entries, owner=chain.parties.recorder.address)]
    report = replay_node(chain.rpc, chain.deployment, journals)
    assert report.findings == ()
    assert (report.accesses, report.signatures, report.releases) == (5, 5, 2)

    path = tmp_path / "trail.jsonl"
    made = export_trail(chain.rpc, chain.deployment, path)
    assert made.contracts == chain.contracts
    again = replay_trail(path, chain.deployment, journals)
    assert again == report

    entries[0] = msgspec.structs.replace(entries[0], key=entries[1].key)
    (found,) = replay_node(chain.rpc, chain.deployment, journals).findings
    assert (found.kind, found.sequence) == (Kind.OTHER_KEY, 1)
    entries[0] = msgspec.structs.replace(entries[0], key=keys[requests[0].nonce])

    entries[2] = msgspec.structs.replace(entries[2], signature=entries[0].signature)
    (found,) = replay_node(chain.rpc, chain.deployment, journals).findings
    assert (found.kind, found.sequence) == (Kind.WRONG_SIGNATURE, 3)
    assert found.party == chain.parties.recorder.address


class _Flooded(AsyncRpc):
    """Refuses more than three blocks at once, and leaves out the times of blocks."""

    async def send(self, call: Call[Any]) -> Any:
        answer = await super().send(call)
        if call.method != "eth_getLogs":
            return answer
        (selection,) = call.params
        assert isinstance(selection, dict)
        if int(selection["toBlock"], 16) - int(selection["fromBlock"], 16) > 2:
            raise RpcError("too much", "answer too large")
        return tuple(msgspec.structs.replace(log, block_timestamp=None) for log in answer)


def test_logs_come_in_parts_and_with_their_times(chain: Chain) -> None:
    chain.record([chain.request(chain.parties.bank, b"\x01" * 32)])
    newest = chain.rpc.send(eth_methods.block_number())
    with Rpc(chain.node.url) as rpc:
        rpc.awaited = _Flooded(chain.node.url, blocks=True)
        parts = list(read_logs(rpc, chain.contracts, 0, newest))
    whole = list(read_logs(chain.rpc, chain.contracts, 0, newest))
    assert [log for part in parts for log in part] == [log for part in whole for log in part]
    assert len(parts) > 1


class _Lying(AsyncRpc):
    """Gives logs another block's hash, or another time."""

    lie: Callable[[Log], Log] = staticmethod(lambda log: log)

    async def send(self, call: Call[Any]) -> Any:
        answer = await super().send(call)
        return tuple(map(self.lie, answer)) if call.method == "eth_getLogs" else answer


def another_hash(log: Log) -> Log:
    return msgspec.structs.replace(log, block_hash="0x" + "5a" * 32)


def another_time(log: Log) -> Log:
    assert log.block_timestamp is not None
    return with_timestamp(log, int(log.block_timestamp, 16) + 1)


def a_block_to_come(log: Log) -> Log:
    return msgspec.structs.replace(log, block_number=hex(1 << 40))


@pytest.mark.parametrize("lie", [another_hash, another_time, a_block_to_come])
def test_logs_of_another_block_than_the_node_has_are_refused(
    chain: Chain, tmp_path: Path, lie: Callable[[Log], Log]
) -> None:
    chain.record([chain.request(chain.parties.bank, b"\x01" * 32)])
    with Rpc(chain.node.url) as rpc:
        rpc.awaited = lying = _Lying(chain.node.url, blocks=True)
        assert replay_node(rpc, chain.deployment, other_contracts=True).is_clean
        lying.lie = lie
        with pytest.raises(TrailError, match="another block than it has"):
            replay_node(rpc, chain.deployment)
        with pytest.raises(TrailError):
            export_trail(rpc, chain.deployment, tmp_path / "trail.jsonl")
