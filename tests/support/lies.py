"""A chain on which much has happened, and a proxy before its node that lies about it.

It lies as well as it can: it renumbers the logs of a block after one is gone.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from ledger.chain import contract_calls, eth_methods
from ledger.chain.embedded import Node
from ledger.chain.eth_methods import Log
from ledger.chain.events import OrderTerms
from ledger.chain.events.decoder import EventDecoder
from ledger.chain.events.identifiers import order_id
from ledger.chain.rpc import Rpc
from ledger.hexstr import from_hex, to_hex
from ledger.model import Class
from ledger.replay.report import End, KnownEnd, ReplayReport
from ledger.replay.sources import end_at, replay_node
from scripts.scenario import ALL_FIELDS, Chain
from tests.support.chain import node_settings
from tests.support.node_proxy import NodeProxy, proxy_before

RawLog = dict[str, Any]
Tamper = Callable[[list[RawLog]], list[RawLog]]


@dataclass
class History:
    """A chain on which much has happened, and a proxy before its node."""

    chain: Chain
    proxy: NodeProxy
    rpc: Rpc
    logs: list[RawLog]
    end: End

    def places(self, name: str) -> list[int]:
        decoder = EventDecoder(self.chain.contracts)
        names = [decoder.decode(log_of(raw)).name for raw in self.logs]
        return [place for place, found in enumerate(names) if found == name]

    def telling(self, tamper: Callable[[int], Tamper]) -> list[int]:
        """All places, but a second end of a call: the contract writes one where nothing was recorded."""
        ends = self.places("Recorded") if tamper is repeated else []
        return [place for place in range(len(self.logs)) if place not in ends]

    def tell(self, tamper: Tamper) -> None:
        told = tamper([dict(log) for log in self.logs])

        def lie(method: str, params: list[Any], result: Any) -> Any:
            if method != "eth_getLogs":
                return result
            first, last = (int(params[0][name], 16) for name in ("fromBlock", "toBlock"))
            return [log for log in told if first <= int(log["blockNumber"], 16) <= last]

        self.proxy.lie = lie

    def replayed(self, tamper: Tamper, known_end: KnownEnd | None = None) -> ReplayReport:
        """What a replay finds when the proxy answers with these logs instead."""
        self.tell(tamper)
        return replay_node(self.rpc, self.chain.deployment, known_end=known_end)


def ask(proxy: NodeProxy, method: str, *params: Any) -> Any:
    question = {"jsonrpc": "2.0", "id": 0, "method": method, "params": params}
    return json.loads(proxy.answer(json.dumps(question).encode())[1])["result"]


def log_of(raw: RawLog) -> Log:
    return msgspec.convert(raw, Log)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    settings = node_settings(tmp_path_factory.mktemp("lies"), state_interval=0, history=100_000)
    with Node(settings) as node:
        chain = Chain(node)
        live(chain)
        newest = chain.rpc.send(eth_methods.block_number())
        addresses = [to_hex(each) for each in msgspec.structs.astuple(chain.contracts)]
        span = {"fromBlock": "0x0", "toBlock": hex(newest), "address": addresses}
        with proxy_before(node.url) as proxy, Rpc(proxy.url) as rpc:
            end = end_at(chain.rpc, chain.contracts, newest)
            yield History(chain, proxy, rpc, ask(proxy, "eth_getLogs", span), end)
        chain.close()


def live(chain: Chain) -> None:
    """Let happen what S3 and S4 left out, and more, each in a transaction of its own."""
    who, terms = chain.parties, chain.personal_terms()
    subject, other = chain.register_subjects(2)
    record = chain.authorization(subject, terms, max_uses=3)
    basis = chain.grant(subject, record)
    chain.record([chain.request(who.bank, basis), chain.request(who.bank, b"\x01" * 32)])
    chain.publish(terms.dataset, b"\x11" * 32, 5)
    chain.send(who.recorder, chain.revoke_call(subject, basis))
    chain.send(who.recorder, chain.freeze_call(other))
    chain.send(
        who.regulator, contract_calls.restrict(who.insurer.address, chain.now() + 3600, "Why")
    )
    chain.send(who.insurer, contract_calls.appeal("No"))
    chain.send(who.regulator, contract_calls.lift(who.insurer.address, "Well"))
    chain.send(who.bank, contract_calls.set_encryption_key(b"\x01" + b"\x05" * 32))
    order = OrderTerms(
        terms.dataset,
        terms.purpose,
        Class.CONDITIONAL,
        1,
        chain.now(),
        chain.now() + 3600,
        "Flood",
        b"\x22" * 32,
    )
    chain.send(who.authority, contract_calls.issue_order(order))
    name = order_id(order)
    chain.send(who.regulator, contract_calls.countersign_order(name))
    chain.send(who.regulator, contract_calls.end_order(name, "Over"))
    chain.send(who.regulator, contract_calls.review_order(name, "All well"))
    nonce = b"\x33" * 32
    call = contract_calls.apply_for(terms.dataset, terms.purpose, ALL_FIELDS, "Again.", nonce)
    chain.send(who.insurer, call)
    chain.record([chain.request(who.bank, basis)])


def renumbered(logs: list[RawLog]) -> list[RawLog]:
    count: dict[str, int] = {}
    for log in logs:
        number = count.get(log["blockNumber"], 0)
        count[log["blockNumber"]] = number + 1
        log["logIndex"] = hex(number)
    return logs


def without(place: int) -> Tamper:
    return lambda logs: renumbered([*logs[:place], *logs[place + 1 :]])


def repeated(place: int) -> Tamper:
    return lambda logs: renumbered([*logs[: place + 1], dict(logs[place]), *logs[place + 1 :]])


def changed(place: int) -> Tamper:
    """Another last byte of the data, or the last but some, where there is data."""

    def tamper(logs: list[RawLog]) -> list[RawLog]:
        data = bytearray(from_hex(logs[place]["data"]))
        data[-1] ^= 1
        logs[place]["data"] = to_hex(bytes(data))
        return logs

    return tamper
