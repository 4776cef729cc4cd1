"""Gas of an allowed access with the full decision, and what each part of it costs.

The parts come from measuring, not from counting opcodes: the same transaction is made again with one
thing less each time, and the difference is that thing's cost.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from ledger import queries
from ledger.transactions import SignedTransaction
from ledger.typed_data import AccessRequest
from scripts.bench.bare_chain import BareChain, bare_chain
from scripts.bench.bench import Bench, BenchError, wait_until
from scripts.bench.results import Line, Part, Sense

SUBJECT: Final = "gas"
BATCH: Final = 500
_BLOCK_TIME: Final = 0.05
_PATIENCE: Final = 20.0
_ZERO_BYTE: Final = 4
_BYTE: Final = 16
_TRANSACTION: Final = 21_000


def run(bench: Bench) -> None:
    """Measure."""
    with (
        bench.directory(SUBJECT) as home,
        bare_chain(home, BATCH, _BLOCK_TIME, bench.say) as chain,
    ):
        _use(chain, chain.requests(BATCH))  # first uses of slots cost more, once
        requests = chain.requests(BATCH)
        full = _use(chain, requests)
        one = _use(chain, chain.requests(1))
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
    repeated = _use(chain, [_again(chain, requests[0]) for _ in range(BATCH)])
    unknown = _use(chain, [_unknown(request) for request in chain.requests(BATCH)])
    duplicates = _use(chain, requests)
    parts = [
        Part("the transaction itself", _TRANSACTION / BATCH),
        Part("call data", calldata / BATCH),
        Part(
            "another authorization in each access (cold reads, a write)", (full - repeated) / BATCH
        ),
        Part(
            "an access on an unknown basis, denied, without call data", (unknown - calldata) / BATCH
        ),
        Part(
            "a duplicate, recognized and not recorded, without call data",
            (duplicates - calldata) / BATCH,
        ),
        Part("the whole", full / BATCH),
    ]
    bench.explain(SUBJECT, f"gas of an access in a batch of {BATCH}", "gas", parts)


def _again(chain: BareChain, request: AccessRequest) -> AccessRequest:
    """Return a new request on the same authorization."""
    (fresh,) = chain.requests(1)
    return msgspec.structs.replace(fresh, basis=request.basis)


def _unknown(request: AccessRequest) -> AccessRequest:
    return msgspec.structs.replace(request, basis=bytes(reversed(request.basis)))


def _use(chain: BareChain, requests: Sequence[AccessRequest]) -> int:
    """Record requests in one transaction; return the gas that it used."""
    transaction = next(chain.transactions(requests, len(requests)))
    chain.rpc.send(queries.send_raw_transaction(transaction.raw))
    wait_until(lambda: _receipt(chain, transaction) is not None, _PATIENCE, "a batch")
    receipt = _receipt(chain, transaction)
    if receipt is None or not receipt.succeeded:
        raise BenchError("a batch failed")
    return receipt.gas_used


def _receipt(chain: BareChain, transaction: SignedTransaction) -> queries.Receipt | None:
    return chain.rpc.send(queries.receipt(transaction.hash))
