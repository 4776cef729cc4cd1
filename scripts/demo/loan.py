"""Act: a bank decides a loan on 3 of 12 real-estate fields that the person granted once.

The bank knows its customer by name and number. It learns the subject id only with the authorization,
opens what comes on its own machine, and checks values and completeness against its own node.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from scripts.demo.agreeing import agree
from scripts.demo.cast import DAY, LOAN, REAL_ESTATE
from scripts.demo.citizens import Citizen
from scripts.demo.errors import DemoError
from scripts.demo.world import Party, World, purpose_of
from wallet.client.asks import new_ask
from wallet.client.errors import DeniedError
from wallet.client.requests import RequestBook
from wallet.consumer import asking, using
from wallet.consumer.cases import Case
from wallet.consumer.using import Used

FIELDS = ("address", "floor_area", "mortgage_status")


def play(world: World) -> Citizen:
    """Ask, grant, use once, be denied; then revoke and freeze. Return the person."""
    with world.stage.act("A bank reads 3 of 12 real-estate fields for one loan case"):
        agree(world, world.bank, REAL_ESTATE, LOAN)
        resident = world.files.resident_with(REAL_ESTATE, 1)
        person = Citizen(world, resident)
        case = ask(world, person, "2026-118", uses=1)
        used = use(world, case)
        check_values(world, person, used)
        world.stage.check("a second use is denied", denial(world, case), "UsesExhausted")
    with world.stage.act("The person stops it: revocation and freezing"):
        stop(world, person)
    return person


def stop(world: World, person: Citizen) -> None:
    """Revoke one authorization; freeze and unfreeze another."""
    first = ask(world, person, "2026-119", uses=3)
    use(world, first)
    person.revoke(basis_of(first))
    world.stage.check("after the revocation: denied", denial(world, first), "Revoked")
    second = ask(world, person, "2026-120", uses=3)
    person.freeze(frozen=True)
    world.stage.check("after freezing everything: denied", denial(world, second), "Frozen")
    person.freeze(frozen=False)
    used = use(world, second)
    world.stage.check("after unfreezing: served again", len(used.opened.records) > 0, True)


def ask(world: World, person: Citizen, case_number: str, *, uses: int) -> Case:
    """The bank asks for a case, the person grants; return the case as the bank has it then."""
    bank = world.bank
    wanted = new_ask(
        consumer=bank.address,
        dataset=world.dataset(REAL_ESTATE),
        purpose=purpose_of(LOAN),
        fields=world.mask(REAL_ESTATE, *FIELDS),
        case_number=case_number,
        expires_at=int(time.time()) + 7 * DAY,
        max_uses=uses,
    )
    asked = bank.run(asking.ask_customer(person.person, wanted))
    person.answer(asked)
    granted = bank.run(asking.wait(bank.ledger, asked, 30))
    world.stage.check(f"case {case_number}: granted, word for word", granted.state, "granted")
    return granted


def use(world: World, case: Case) -> Used:
    """Use an authorization once; everything must have been checked."""
    with request_book(world, world.bank) as book:
        used = _access(world, book, case)
    world.stage.check("nothing was left unchecked", used.opened.unchecked, ())
    return used


def denial(world: World, case: Case) -> str:
    """Try to use an authorization; return the outcome of the denial."""
    with request_book(world, world.bank) as book:
        try:
            _access(world, book, case)
        except DeniedError as error:
            return error.outcome
    return "Allowed"


def check_values(world: World, person: Citizen, used: Used) -> None:
    """What the bank opened is what the department's file says: all records, these fields only."""
    rows = world.files.rows_of(REAL_ESTATE, person.resident.resident_id)
    dataset = world.files.dataset(REAL_ESTATE)
    places = [dataset.field_index(name) for name in FIELDS]
    in_file = {int(row.number): tuple(row.values[place] for place in places) for row in rows}
    opened = {
        one.entry.number: tuple(field.value for field in one.fields) for one in used.opened.records
    }
    world.stage.check(
        "all of the person's records, 3 fields of each, as in the file", opened, in_file
    )


def basis_of(case: Case) -> bytes:
    """Return the id of what was granted."""
    if case.authorization_id is None:
        raise DemoError(f"case {case.ask.case_number} was not granted")
    return case.authorization_id


@contextmanager
def request_book(world: World, party: Party) -> Iterator[RequestBook]:
    """The consumer's book of signed requests."""
    with RequestBook(world.data / "parties" / party.role.code / "requests.sqlite") as book:
        yield book


def _access(world: World, book: RequestBook, case: Case) -> Used:
    bank = world.bank
    fields = world.mask(REAL_ESTATE, *FIELDS)
    (request,) = using.prepare(bank.ledger, bank.key, book, basis_of(case), fields)
    return bank.run(using.access(bank.ledger, bank.opening, book, request, case.basis))
