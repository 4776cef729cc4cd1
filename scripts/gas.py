"""What each act costs on chain: `make gas` prints the table. Measured on a node of its own, with real signatures."""

import secrets
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from ledger import contracts
from ledger.contracts import Approval
from ledger.typed_data import digest
from scripts.bench.bare_chain import BareChain, Person, bare_chain
from scripts.bench.gas import use
from wallet.passkey import SoftwarePasskey

RECORDS: Final = (1, 1_000, 1_000_000)
BATCHES: Final = (1, 10, 100, 500)
REQUESTS_PER_KEY: Final = (1, 10)
"""Fewer than the 256 of all other rows: each key is a new storage slot."""
GOAL: Final = 12_500
"""Gas of an allowed access in the largest batch."""
_BLOCK_TIME: Final = 0.05

Row = tuple[str, int, int]
"""What, gas of the transaction, acts in it."""


def main() -> int:
    """Measure and print; return the exit status: 0 if the goal is met."""
    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False)
    with (
        tempfile.TemporaryDirectory(prefix="quancheng-gas-") as home,
        bare_chain(Path(home), BATCHES[-1], _BLOCK_TIME, lambda _: None) as chain,
    ):
        rows = [*publishing(chain), *authorizing(chain), *accessing(chain)]
    table = Table("act", "gas", "gas for each", title="Gas, on the contracts as shipped")
    for what, gas, acts in rows:
        table.add_row(what, f"{gas:,}", f"{gas / acts:,.0f}")
    console.print(table)
    _, gas, acts = rows[-1]
    met = gas / acts <= GOAL
    console.print(
        f"goal in a batch of {acts}: at most {GOAL:,} for each: {'met' if met else 'MISSED'}"
    )
    return 0 if met else 1


def publishing(chain: BareChain) -> Iterator[Row]:
    """A version after the first one, of any number of records."""
    chain.send(chain.provider, contracts.publish(chain.dataset, secrets.token_bytes(32), 1))
    for count in RECORDS:
        call = contracts.publish(chain.dataset, secrets.token_bytes(32), count)
        (receipt,) = chain.send(chain.provider, call)
        yield f"publish {count:,} record{'s' * (count > 1)}", receipt.gas_used, 1


def authorizing(chain: BareChain) -> Iterator[Row]:
    """A grant under an agreement that others have used."""
    person = chain.new_person()
    signature = chain.sign(person.authorization, person.account)
    approval = Approval(person.account.address, signature)
    yield "authorize, signed by an account", _grant(chain, person, approval), 1
    person, verifier = chain.new_person(), chain.deployment.webauthn_verifier
    passkey = SoftwarePasskey(secrets.token_bytes(32), "wallet.example")
    record = person.authorization
    assertion = passkey.sign(digest(record, chain.deployment.domain_of(record)))
    yield (
        "authorize, signed by a passkey",
        _grant(chain, person, Approval(passkey.signer(verifier), assertion)),
        1,
    )


def accessing(chain: BareChain) -> Iterator[Row]:
    """Allowed accesses with the full decision, each on an authorization that was used before."""
    use(chain, chain.requests(BATCHES[-1]))
    for per_key in REQUESTS_PER_KEY:
        requests = chain.requests(100, chain.draw_keys(per_key))
        what = f"100 accesses, {per_key} for each key of answers"
        yield what, use(chain, requests), len(requests)
    for size in BATCHES:
        what = "access" if size == 1 else f"{size} accesses in one transaction"
        yield what, use(chain, chain.requests(size)), size


def _grant(chain: BareChain, person: Person, approval: Approval) -> int:
    chain.send(chain.identity, contracts.register_subjects([person.subject], [approval.signer]))
    (receipt,) = chain.send(chain.authority, contracts.grant(person.authorization, approval))
    return receipt.gas_used


if __name__ == "__main__":
    sys.exit(main())
