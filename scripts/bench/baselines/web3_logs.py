"""web3's own way with logs: `get_logs` and `process_log` for each, as its documentation shows."""

import time
from typing import Any, Final

from hexbytes import HexBytes
from web3 import HTTPProvider, Web3

from scripts.bench.bare_chain import BareChain
from scripts.bench.baselines.awaited_web3 import abi_of

_BLOCKS: Final = 50


def decode(chain: BareChain, most: int) -> tuple[int, float]:
    """Fetch and decode accesses until there were so many; return how many, and the seconds it took."""
    web3 = Web3(HTTPProvider(chain.node.url))
    at = Web3.to_checksum_address(chain.deployment.contracts.access_log)
    log: Any = web3.eth.contract(at, abi=abi_of("AccessLog"))
    event, decoded = log.events.Accessed(), 0
    topic = HexBytes(event.topic)
    began = time.perf_counter()
    last = web3.eth.block_number
    for first in range(chain.deployment.block_number, last + 1, _BLOCKS):
        until = min(first + _BLOCKS - 1, last)
        for one in web3.eth.get_logs({"fromBlock": first, "toBlock": until, "address": at}):
            if one["topics"][0] == topic:
                event.process_log(one)
                decoded += 1
                if decoded == most:
                    return decoded, time.perf_counter() - began
    return decoded, time.perf_counter() - began
