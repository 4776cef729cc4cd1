"""Act: an insurer settles one claim on one hospital visit (保医通), and gets nothing beyond it.

The hospital gives the patient the visit's root with the bill; the insurer asks for just this record.
"""

from decimal import Decimal
from typing import Final

from ledger.model import Outcome
from scripts.city.rows import Row
from scripts.demo.agreeing import agree
from scripts.demo.cast import CLAIM, HOSPITAL_VISITS, HOUR, INSURER
from scripts.demo.citizens import Citizen
from scripts.demo.consumers import Wish, obtain, opened_values
from scripts.demo.settlement import Policy, Visit, settle
from scripts.demo.stage import DemoError
from scripts.demo.world import World
from wallet.client.decryption import OpenedRecord
from wallet.provider.published_state import PublishedState

FIELDS: Final = ("diagnosis_name", "total_amount", "self_paid_amount")
_LEAST: Final = Decimal(1000)
"""Yuan: a visit for which something is paid."""


def play(world: World) -> None:
    """Ask for one visit, settle the claim, and be denied another visit, another field, too soon."""
    with world.stage.act("An insurer settles one claim on one visit (保医通)"):
        insurer = world.consumer(INSURER)
        agree(world, insurer, HOSPITAL_VISITS, CLAIM)
        visit, other = two_visits(world)
        person = Citizen(world, world.files.resident(visit.key))
        item = item_of(world, visit)
        wish = Wish(insurer, HOSPITAL_VISITS, CLAIM, FIELDS, "LP-2026-0457", 3, HOUR, item)
        granted = obtain(world, wish, person, aloud=True)
        used = granted.use()
        in_file = world.files.values_of(HOSPITAL_VISITS, FIELDS, visit.key)
        world.stage.check(
            "the insurer has this visit and no other, 3 of 15 fields",
            opened_values(used),
            {visit.number: in_file[visit.number]},
        )
        pay(world, used.opened.records[0], in_file[visit.number])
        granted.denied("another visit", Outcome.ITEM_EXCEEDED, item=item_of(world, other))
        further = world.mask(HOSPITAL_VISITS, *FIELDS, "hospital")
        granted.denied("a further field", Outcome.FIELDS_EXCEEDED, fields=further)
        granted.denied("again within the hour", Outcome.TOO_SOON)


def pay(world: World, record: OpenedRecord, in_file: tuple[str, ...]) -> None:
    """Run the rule on what was opened; the hospital's file must give the same amount."""
    policy = Policy()
    opened = Visit(
        Decimal(record.value("Total (yuan)")), Decimal(record.value("Paid by the patient (yuan)"))
    )
    paid = settle(policy, opened)
    world.stage.check(
        f"paid out: {paid:,} yuan of {opened.self_paid:,} that the patient had paid",
        paid,
        settle(policy, Visit(Decimal(in_file[1]), Decimal(in_file[2]))),
    )
    world.stage.require("something is paid", paid > 0, True)


def two_visits(world: World) -> tuple[Row, Row]:
    """Return an expensive visit of somebody, and another visit of the same person.

    Raises:
        DemoError: nobody has such visits; the city is too small.
    """
    place = world.files.dataset(HOSPITAL_VISITS).field_index("self_paid_amount")
    for resident in world.files.residents:
        visits = world.files.rows_of(HOSPITAL_VISITS, resident.resident_id)
        expensive = [row for row in visits if Decimal(row.values[place]) >= _LEAST]
        others = [row for row in visits if row not in expensive[:1]]
        if expensive and others:
            return expensive[0], others[0]
    raise DemoError("nobody has an expensive hospital visit and another one: take a larger city")


def item_of(world: World, visit: Row) -> bytes:
    """Return the root of a visit, from the hospital's book."""
    books, dataset = (
        world.provider_of(HOSPITAL_VISITS).home / "books",
        world.dataset(HOSPITAL_VISITS),
    )
    with PublishedState(books / f"{dataset.hex()}.book", dataset) as book:
        item = book.item(visit.number)
    if item is None or item.root is None:
        raise DemoError(f"visit {visit.number} is not in the hospital's book")
    return item.root
