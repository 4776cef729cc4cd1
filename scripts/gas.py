"""Gas of each act on chain: `make gas` prints the table. Measured on a node of its own, with real signatures."""

import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from ledger.chain import contract_calls, contract_reads
from ledger.chain.contract_calls import Approval, ContractCall
from ledger.chain.events import OrderTerms
from ledger.chain.events.identifiers import order_id
from ledger.model import Class, VoidGround
from ledger.typed_data import (
    Authorization,
    GuardianAppointment,
    SignerRotation,
    digest,
    struct_hash,
)
from scripts.bench.bare_chain import BareChain, bare_chain
from scripts.bench.gas import use
from scripts.scenario import ALL_FIELDS, DAY, Party, Subject
from wallet.passkey import SoftwarePasskey

RECORDS: Final = (1, 1_000, 1_000_000)
BATCHES: Final = (1, 10, 100, 500)
REQUESTS_PER_KEY: Final = (1, 10)
"""Fewer than the 256 of all other rows: each key is a new storage slot."""
GOAL: Final = 12_500
"""Gas of an allowed access in the largest batch."""
_BLOCK_TIME: Final = 0.05

Row = tuple[str, int, int]
"""Name, gas of the transaction, acts in it."""


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
    """Bounds of the parties' powers: recorders, orders, suspensions, links."""
    other = Party.draw().address
    yield (
        "name a second recorder",
        _gas(chain, chain.parties.bank, contract_calls.name_recorder(other)),
        1,
    )
    yield "dismiss it", _gas(chain, chain.parties.bank, contract_calls.dismiss_recorder(other)), 1
    now = int(time.time())
    terms = OrderTerms(
        chain.terms.dataset,
        chain.terms.purpose,
        Class.CONDITIONAL,
        ALL_FIELDS,
        now,
        now + DAY,
        "flood",
        secrets.token_bytes(32),
    )
    order = order_id(terms)
    yield (
        "issue an order",
        _gas(chain, chain.parties.authority, contract_calls.issue_order(terms)),
        1,
    )
    countersign = contract_calls.countersign_order(order)
    yield "countersign it", _gas(chain, chain.parties.regulator, countersign), 1
    _gas(chain, chain.parties.regulator, contract_calls.end_order(order, "over"))
    _gas(chain, chain.parties.regulator, contract_calls.review_order(order, "as it should be"))
    machine = Party.draw()
    appoint = contract_calls.appoint_supervisor(machine.address)
    yield "appoint a supervisor", _gas(chain, chain.parties.regulator, appoint), 1
    suspend = contract_calls.suspend_agreement(chain.terms.agreement, "odd")
    yield "suspend an agreement", _gas(chain, machine, suspend), 1
    review = contract_calls.review_suspension(chain.terms.agreement, 0, "nothing")
    yield "look at the suspension, and end it", _gas(chain, chain.parties.regulator, review), 1


def stopping(chain: BareChain) -> Iterator[Row]:
    """Acts that stop a person's id, and that give uses back."""
    relay = chain.parties.authority
    person, _ = _granted(chain)
    yield "freeze", _gas(chain, relay, chain.freeze_call(person)), 1
    person, authorization = _granted(chain)
    revoke = chain.revoke_call(person, struct_hash(authorization))
    yield "revoke", _gas(chain, relay, revoke), 1
    early = chain.revoke_call(person, secrets.token_bytes(32))
    yield "revoke before the grant", _gas(chain, relay, early), 1
    guardian = GuardianAppointment(
        person.id, Party.draw().address, _soon(), secrets.token_bytes(32), _soon()
    )
    appoint = contract_calls.appoint_guardian(guardian, chain.approval(guardian, person))
    yield "appoint a guardian", _gas(chain, relay, appoint), 1
    yield "rotate, both passkeys", _rotation(chain, 64), 1
    yield "rotate, both passkeys, a key of 492 bytes", _rotation(chain, 492), 1
    recovery = contract_calls.start_recovery(person.id, Party.draw().address)
    yield "start a recovery", _gas(chain, chain.parties.identity_authority, recovery), 1
    close = contract_calls.close_subject(person.id)
    yield "close an id", _gas(chain, chain.parties.identity_authority, close), 1
    yield (
        "end its links",
        _gas(chain, chain.parties.identity_authority, contract_calls.end_links(person.id)),
        1,
    )
    use(chain, chain.requests(1))
    wanted = chain.people[0].authorization
    seen = chain.rpc.send(contract_reads.grant_of(chain.deployment.contracts, struct_hash(wanted)))
    void = contract_calls.void_access(
        1, wanted, seen.last_use, 0, VoidGround.UNSIGNED, "nobody signed it"
    )
    yield "void an access", _gas(chain, chain.parties.regulator, void), 1


def publishing(chain: BareChain) -> Iterator[Row]:
    """A version after the first one, of any number of records."""
    chain.send(
        chain.parties.provider,
        contract_calls.publish(chain.terms.dataset, secrets.token_bytes(32), 1),
    )
    for count in RECORDS:
        call = contract_calls.publish(chain.terms.dataset, secrets.token_bytes(32), count)
        what = f"publish {count:,} record{'s' * (count > 1)}"
        yield what, _gas(chain, chain.parties.provider, call), 1


def authorizing(chain: BareChain) -> Iterator[Row]:
    """A grant under an agreement that others have used."""
    person, authorization = _granting(chain)
    approval = chain.approval(authorization, person)
    yield "authorize, signed by an account", _grant(chain, authorization, approval), 1
    _, record = _granting(chain)
    passkey = SoftwarePasskey(secrets.token_bytes(32), "wallet.example")
    assertion = passkey.sign(digest(record, chain.deployment.domain_of(record)))
    approval = Approval(passkey.signer(chain.deployment.webauthn_verifier), assertion)
    yield "authorize, signed by a passkey", _grant(chain, record, approval), 1


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
    chain.send(
        chain.parties.identity_authority, contract_calls.register_subjects([subject], [signer])
    )
    new = verifier + secrets.token_bytes(length)
    rotation = SignerRotation(subject, new, secrets.token_bytes(32), _soon())
    assertion = passkey.sign(digest(rotation, chain.deployment.domain_of(rotation)))
    call = contract_calls.rotate_signer(rotation, Approval(signer, assertion))
    return _gas(chain, chain.parties.authority, call)


def _granting(chain: BareChain) -> tuple[Subject, Authorization]:
    """Draw a person that is not registered, with what it could grant."""
    person = Subject(secrets.token_bytes(32), secrets.token_bytes(32))
    return person, chain.many_uses(person)


def _granted(chain: BareChain) -> tuple[Subject, Authorization]:
    person, authorization = _granting(chain)
    _grant(chain, authorization, chain.approval(authorization, person))
    return person, authorization


def _soon() -> int:
    return int(time.time()) + DAY


def _gas(chain: BareChain, party: Party, call: ContractCall) -> int:
    return chain.send(party, call).gas_used


def _grant(chain: BareChain, record: Authorization, approval: Approval) -> int:
    register = contract_calls.register_subjects([record.subject], [approval.signer])
    chain.send(chain.parties.identity_authority, register)
    return _gas(chain, chain.parties.authority, contract_calls.grant(record, approval))


if __name__ == "__main__":
    sys.exit(main())
