"""Evidence: making the file of one access from a node, and verifying it offline."""

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from web3 import HTTPProvider, Web3

from ledger.evidence.builder import make_evidence
from ledger.evidence.document import decode_evidence, encode_evidence
from ledger.evidence.verifier import Anchors, node_hashes, verify_evidence
from scripts.bench.bare_chain import ASKED_FIELDS
from scripts.bench.bench import Bench
from scripts.bench.city import PEOPLE_FOR_ONE_GRANT, FullCity, full_city
from scripts.bench.results import Line, Sense
from scripts.city.write import NATURAL, Size
from wallet.client.receipts import Receipt, verify_receipt
from wallet.client.verification import Basis
from wallet.consumer import access
from wallet.regulator.evidence import all_fields, documents_of

T = TypeVar("T")

SUBJECT: Final = "evidence"
_PEOPLE: Final = 64
_BLOCK_TIME: Final = 0.05
_IN_FLIGHT: Final = 32
_TIMES: Final = 20
_MS: Final = 1000.0


def run(bench: Bench) -> None:
    """Measure on an access that was recorded among others."""
    size = Size(_PEOPLE * PEOPLE_FOR_ONE_GRANT, 10, 1, NATURAL)
    with (
        bench.directory(SUBJECT) as home,
        full_city(bench, home / "city", size, _BLOCK_TIME) as city,
    ):
        city.publish()
        city.grant(_PEOPLE)
        with ThreadPoolExecutor(1) as pool:
            loading = pool.submit(city.load, workers=_IN_FLIGHT, size=1, seconds=3.0)
            time.sleep(3.0)
            receipt = _access(city)
            loading.result()
        _lines(bench, city, receipt)


def _lines(bench: Bench, city: FullCity, receipt: Receipt) -> None:
    rpc, deployment = city.world.node, city.world.deployment
    documents = documents_of(receipt, all_fields)
    making, made = _timed(lambda: make_evidence(rpc, deployment, documents))
    data = encode_evidence(made.evidence)
    anchors = Anchors(hashes=node_hashes(rpc, made.evidence))
    verifying, verified = _timed(
        lambda: verify_evidence(decode_evidence(data), deployment, anchors)
    )
    looking, _ = _timed(lambda: _look(city, receipt))
    bare, _ = _timed(lambda: city.bank.run(verify_receipt(city.bank.ledger, receipt)))
    bench.add(
        Line(
            subject=SUBJECT,
            what="make evidence of an access",
            ours=_MS * making,
            unit="ms",
            sense=Sense.LESS,
            bound=300,
            peer="web3 fetches receipt and block",
            theirs=_MS * looking,
            remark=f"a file of {len(data) / 1024:.0f} kB; its maker verifies it too. "
            "The peer proves nothing.",
        )
    )
    bench.add(
        Line(
            subject=SUBJECT,
            what="verify evidence, offline",
            ours=_MS * verifying,
            unit="ms",
            sense=Sense.LESS,
            bound=50,
            peer="verify the receipt, with a node",
            theirs=_MS * bare,
            remark=f"{len(verified.checked)} checks, from reading the file.",
        )
    )


def _access(city: FullCity) -> Receipt:
    """Let the bank use an authorization by the SDK; return its receipt."""
    bank, grant = city.bank, city.grants[0]
    basis, opening = Basis(grant.authorization, grant.link), bank.encryption_key
    (request,) = access.prepare(
        *(bank.ledger, bank.key, opening.encryption_key, bank.requests, grant.basis, ASKED_FIELDS)
    )
    return bank.run(access.access(bank.ledger, opening, bank.requests, request, basis)).receipt


def _look(city: FullCity, receipt: Receipt) -> None:
    web3 = Web3(HTTPProvider(city.world.addresses.node))
    mined = web3.eth.get_transaction_receipt(Web3.to_hex(receipt.recorded.transaction))
    web3.eth.get_block(mined["blockNumber"])


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    """Do something some times; return the median seconds and the last result."""
    seconds = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        done = work()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds), done
