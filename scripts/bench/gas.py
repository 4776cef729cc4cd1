"""Gas of an allowed access with the full decision, and what each part of it costs.

What an authorization of its own costs is measured: the same batch is made again on one authorization
alone, and the difference is it. Transaction, call data and event have prices that the protocol sets.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from ledger.chain import eth_methods
from ledger.chain.transactions import SignedTransaction
from ledger.typed_data import AccessRequest
from scripts.bench.bare_chain import BareChain, bare_chain
from scripts.bench.bench import Bench, BenchError, wait_until
from scripts.bench.results import Line, Part, Sense

SUBJECT: Final = "gas"
BATCH: Final = 500
_BLOCK_TIME: Final = 0.05
_TIMEOUT: Final = 20.0
_ZERO_BYTE: Final = 4
_BYTE: Final = 16
_TRANSACTION: Final = 21_000
_EVENT: Final = 375 + 2 * 375 + 8 * 96
"""Two topics, three words (Yellow Paper, appendix G)."""


def run(bench: Bench) -> None:
    with (
        bench.directory(SUBJECT) as home,
        bare_chain(home, BATCH, _BLOCK_TIME, bench.say) as chain,
    ):
        use(chain, chain.requests(BATCH))  # first uses of slots cost more, once
        requests = chain.requests(BATCH)
        full = use(chain, requests)
        one = use(chain, chain.requests(1))
        bench.add(
            Line(
                subject=SUBJECT,
                what=f"gas of an allowed access, batch of {BATCH}",
                ours=full / BATCH,
                unit="gas",
                sense=Sense.LESS,
                peer="a transaction for each",
                theirs=float(one),
                bound=12_500,
                remark="full decision; both after the first use of each authorization.",
            )
        )
        _parts(bench, chain, requests, full)


def _parts(bench: Bench, chain: BareChain, requests: Sequence[AccessRequest], full: int) -> None:
    """Find out what the parts cost by leaving them out."""
    data = next(chain.transactions(requests, BATCH)).content.data
    calldata = sum(_BYTE if byte else _ZERO_BYTE for byte in data)
    repeated = use(chain, [_again(chain, requests[0]) for _ in range(BATCH)])
    known = {
        "the transaction itself": _TRANSACTION / BATCH,
        "call data": calldata / BATCH,
        "the authorization: cold reads and a write (against the same one again and again)": (
            (full - repeated) / BATCH
        ),
        "the event (the protocol's price)": float(_EVENT),
    }
    rest = full / BATCH - sum(known.values())
    parts = [Part(name, value) for name, value in known.items()]
    parts += [Part("the rest: decision, running hash, what the batch shares", rest)]
    parts += [Part("the whole", full / BATCH)]
    bench.explain(SUBJECT, f"gas of an access in a batch of {BATCH}", "gas", parts)


def _again(chain: BareChain, request: AccessRequest) -> AccessRequest:
    (fresh,) = chain.requests(1)
    return msgspec.structs.replace(fresh, basis=request.basis)


def use(chain: BareChain, requests: Sequence[AccessRequest]) -> int:
    """Record requests in one transaction; return the gas that it used."""
    transaction = next(chain.transactions(requests, len(requests)))
    chain.rpc.send(eth_methods.send_raw_transaction(transaction.raw))
    wait_until(lambda: _receipt(chain, transaction) is not None, _TIMEOUT, "a batch")
    receipt = _receipt(chain, transaction)
    if receipt is None or not receipt.succeeded:
        raise BenchError("a batch failed")
    return receipt.gas_used


def _receipt(chain: BareChain, transaction: SignedTransaction) -> eth_methods.Receipt | None:
    return chain.rpc.send(eth_methods.receipt(transaction.hash))
