"""(a) One transaction per access, awaited, with web3: the order check of Ocean-Provider's kind.

For each access a transaction is signed and sent, its receipt awaited, its event decoded and compared
with the request; only then the access counts as served. As many are in flight as with us, in threads,
and nothing is encrypted, released or verified by the consumer: that is left out in its favour.
"""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from threading import Lock
from typing import Any

from eth_account import Account
from web3 import HTTPProvider, Web3
from web3.logs import DISCARD

from ledger.chain import contract_calls
from ledger.chain.transactions import GAS_CAP
from ledger.typed_data import AccessRequest
from scripts.bench.bare_chain import BareChain
from scripts.bench.baselines.served import Served
from scripts.bench.bench import BenchError

_TIMEOUT = 60.0
_POLL = 0.02


class Awaited:
    """The consumer's and the provider's part in one."""

    def __init__(self, chain: BareChain) -> None:
        self._web3 = Web3(HTTPProvider(chain.node.url))
        self._account = Account.from_key(chain.parties.recorder.private_key)
        at = Web3.to_checksum_address(chain.deployment.contracts.access_log)
        self._log: Any = self._web3.eth.contract(at, abi=abi_of("AccessLog"))
        self._chain_id = chain.deployment.chain_id
        self._sending = Lock()
        self._nonce: int = self._web3.eth.get_transaction_count(self._account.address)

    def serve(self, request: AccessRequest) -> float:
        """Record one access and check that it is allowed; return the seconds that it took."""
        began = time.perf_counter()
        group = contract_calls.RequestGroup(
            request.consumer, (contract_calls.encode_request(request),)
        )
        data = contract_calls.record([group]).data
        with self._sending:  # one account, one order of nonces
            signed = self._account.sign_transaction(
                {
                    "chainId": self._chain_id,
                    "nonce": self._nonce,
                    "gas": GAS_CAP // 16,
                    "gasPrice": 0,
                    "to": self._log.address,
                    "value": 0,
                    "data": data,
                }
            )
            sent = self._web3.eth.send_raw_transaction(signed.raw_transaction)
            self._nonce += 1
        receipt = self._web3.eth.wait_for_transaction_receipt(sent, _TIMEOUT, _POLL)
        (event,) = self._log.events.Accessed().process_receipt(receipt, DISCARD)
        if event["args"]["basis"] != request.basis or event["args"]["entry"][-1]:
            raise BenchError("an access was not allowed")
        return time.perf_counter() - began


def abi_of(contract: str) -> Any:
    """Return a contract's interface, as web3 wants it."""
    path = resources.files("ledger") / "artifacts" / f"{contract}.json"
    return json.loads(path.read_bytes())["abi"]


def run(chain: BareChain, accesses: int, in_flight: int) -> Served:
    """Serve so many accesses, so many at once."""
    awaited = Awaited(chain)
    requests = chain.requests(accesses)
    began = time.perf_counter()
    with ThreadPoolExecutor(in_flight) as pool:
        latencies = list(pool.map(awaited.serve, requests))
    return Served(accesses, time.perf_counter() - began, latencies, accesses)
