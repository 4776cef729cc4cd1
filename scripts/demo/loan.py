"""Act: a bank decides a loan on 3 of 12 real-estate fields that the person granted once."""

from ledger.model import Outcome
from scripts.demo.agreeing import agree
from scripts.demo.cast import BANK, LOAN, REAL_ESTATE
from scripts.demo.citizens import Citizen
from scripts.demo.consumers import Wish, obtain, opened_values
from scripts.demo.world import World
from wallet.consumer.access import Used

FIELDS = ("address", "floor_area", "mortgage_status")


def play(world: World) -> tuple[Citizen, Used]:
    """Ask, grant, use once, be denied; return the person, and what the bank got."""
    with world.stage.act("A bank reads 3 of 12 fields for one loan"):
        agree(world, world.consumer(BANK), REAL_ESTATE, LOAN)
        person = Citizen(world, world.files.resident_with(REAL_ESTATE, 1))
        granted = obtain(world, wish(world, "2026-118"), person, aloud=True)
        used = granted.use()
        in_file = world.files.values_of(REAL_ESTATE, FIELDS, person.resident.resident_id)
        world.stage.check(
            "the bank has all of the person's records, these 3 fields only, as in the file",
            opened_values(used),
            in_file,
        )
        granted.denied("a second use", Outcome.USES_EXHAUSTED)
        return person, used


def wish(world: World, case_number: str, *, uses: int = 1) -> Wish:
    """The bank's consent request for a case."""
    return Wish(world.consumer(BANK), REAL_ESTATE, LOAN, FIELDS, case_number, uses)
