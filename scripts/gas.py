"""What each act costs on chain: `make gas` prints the table. Measured on a node of its own, with real signatures."""

import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from ledger import contracts, views
from ledger.contracts import Approval, ContractCall
from ledger.enumerations import Class, VoidGround
from ledger.events import OrderTerms
from ledger.events.identifiers import agreement_id, order_id
from ledger.typed_data import (
    Freeze,
    GuardianAppointment,
    Revocation,
    SignedRecord,
    SignerRotation,
    digest,
    struct_hash,
)
from scripts.bench.bare_chain import (
    ALL_FIELDS,
    DAY,
    Account,
    BareChain,
    Person,
    bare_chain,
)
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
        rows = [
            *governing(chain),
            *publishing(chain),
            *authorizing(chain),
            *stopping(chain),
            *accessing(chain),
        ]
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


def governing(chain: BareChain) -> Iterator[Row]:
    """What bounds the parties' powers: recorders, orders, suspensions, links."""
    other = Account.draw().address
    yield "name a second recorder", _gas(chain, chain.bank, contracts.name_recorder(other)), 1
    yield "dismiss it", _gas(chain, chain.bank, contracts.dismiss_recorder(other)), 1
    now = int(time.time())
    terms = OrderTerms(
        chain.dataset,
        chain.purpose,
        Class.CONDITIONAL,
        ALL_FIELDS,
        now,
        now + DAY,
        "flood",
        secrets.token_bytes(32),
    )
    order = order_id(terms)
    yield "issue an order", _gas(chain, chain.authority, contracts.issue_order(terms)), 1
    countersign = contracts.countersign_order(order)
    yield "countersign it", _gas(chain, chain.regulator, countersign), 1
    _gas(chain, chain.regulator, contracts.end_order(order, "over"))
    _gas(chain, chain.regulator, contracts.review_order(order, "as it should be"))
    machine = Account.draw()
    appoint = contracts.appoint_supervisor(machine.address)
    yield "appoint a supervisor", _gas(chain, chain.regulator, appoint), 1
    agreement = agreement_id(chain.bank.address, chain.dataset, chain.purpose)
    suspend = contracts.suspend_agreement(agreement, "odd")
    yield "suspend an agreement", _gas(chain, machine, suspend), 1
    review = contracts.review_suspension(agreement, 0, "nothing")
    yield "look at the suspension, and end it", _gas(chain, chain.regulator, review), 1


def stopping(chain: BareChain) -> Iterator[Row]:
    """What stops a person's id, and gives uses back."""
    person = _granted(chain)
    freeze = Freeze(person.subject, True, secrets.token_bytes(32), _soon())
    yield (
        "freeze",
        _gas(chain, chain.authority, contracts.set_frozen(freeze, _by(chain, person, freeze))),
        1,
    )
    person = _granted(chain)
    revoke = Revocation(person.subject, person.basis, _soon())
    yield (
        "revoke",
        _gas(chain, chain.authority, contracts.revoke(revoke, _by(chain, person, revoke))),
        1,
    )
    early = Revocation(person.subject, secrets.token_bytes(32), _soon())
    yield (
        "revoke before the grant",
        _gas(chain, chain.authority, contracts.revoke(early, _by(chain, person, early))),
        1,
    )
    guardian = GuardianAppointment(
        person.subject, Account.draw().address, _soon(), secrets.token_bytes(32), _soon()
    )
    appoint = contracts.appoint_guardian(guardian, _by(chain, person, guardian))
    yield "appoint a guardian", _gas(chain, chain.authority, appoint), 1
    yield "rotate, both passkeys", _rotation(chain, 64), 1
    yield "rotate, both passkeys, a key of 492 bytes", _rotation(chain, 492), 1
    recovery = contracts.start_recovery(person.subject, Account.draw().address)
    yield "start a recovery", _gas(chain, chain.identity, recovery), 1
    close = contracts.close_subject(person.subject)
    yield "close an id", _gas(chain, chain.identity, close), 1
    yield "end its links", _gas(chain, chain.identity, contracts.end_links(person.subject)), 1
    use(chain, chain.requests(1))
    wanted = chain.people[0].authorization
    seen = chain.rpc.send(views.grant_of(chain.deployment.contracts, struct_hash(wanted)))
    void = contracts.void_access(
        1, wanted, seen.last_use, 0, VoidGround.UNSIGNED, "nobody signed it"
    )
    yield "void an access", _gas(chain, chain.regulator, void), 1


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
    approval = _by(chain, person, person.authorization)
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


def _rotation(chain: BareChain, length: int) -> int:
    """Rotate from a passkey to a signer with a key of so many bytes."""
    passkey = SoftwarePasskey(secrets.token_bytes(32), "wallet.example")
    verifier, subject = chain.deployment.webauthn_verifier, secrets.token_bytes(32)
    signer = passkey.signer(verifier)
    chain.send(chain.identity, contracts.register_subjects([subject], [signer]))
    new = verifier + secrets.token_bytes(length)
    rotation = SignerRotation(subject, new, secrets.token_bytes(32), _soon())
    assertion = passkey.sign(digest(rotation, chain.deployment.domain_of(rotation)))
    call = contracts.rotate_signer(rotation, Approval(signer, assertion))
    return _gas(chain, chain.authority, call)


def _granted(chain: BareChain) -> Person:
    person = chain.new_person()
    _grant(chain, person, _by(chain, person, person.authorization))
    return person


def _by(chain: BareChain, person: Person, record: SignedRecord) -> Approval:
    return Approval(person.account.address, chain.sign(record, person.account))


def _soon() -> int:
    return int(time.time()) + DAY


def _gas(chain: BareChain, account: Account, call: ContractCall) -> int:
    (receipt,) = chain.send(account, call)
    return receipt.gas_used


def _grant(chain: BareChain, person: Person, approval: Approval) -> int:
    chain.send(chain.identity, contracts.register_subjects([person.subject], [approval.signer]))
    (receipt,) = chain.send(chain.authority, contracts.grant(person.authorization, approval))
    return receipt.gas_used


if __name__ == "__main__":
    sys.exit(main())
