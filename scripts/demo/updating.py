"""Act: a department publishes what has changed; who had a receipt of the old version can still show it."""

from typing import Final

from scripts.city.delta import Amounts, Delta
from scripts.demo import loan
from scripts.demo.cast import REAL_ESTATE
from scripts.demo.citizens import Citizen
from scripts.demo.consumers import Entitlement, obtain, opened_values
from scripts.demo.files import Resident
from scripts.demo.publish import publisher
from scripts.demo.stage import DemoError
from scripts.demo.world import World
from wallet.client.receipts import decode_receipt, encode_receipt, verify_receipt
from wallet.consumer.access import Used

AMOUNTS: Final = Amounts(changed=200, new=50, withdrawn=10)


def play(world: World) -> None:
    """Use, publish the changes, use again: new values, and the old receipt still verifies."""
    with world.stage.act("Changes are published; old receipts keep verifying"):
        path = world.data / "city" / "real-estate-next.csv"
        delta = world.files.write_next_version(REAL_ESTATE, path, AMOUNTS)
        resident = changed_resident(world, delta)
        person = Citizen(world, resident)
        granted = obtain(world, loan.wish(world, "2026-122", uses=3), person)
        before = granted.use()
        publish_changes(world, delta)
        after = granted.use()
        in_file = world.files.values_of(REAL_ESTATE, loan.FIELDS, resident.resident_id, path)
        world.stage.check("a new access sees the new values", opened_values(after), in_file)
        changed = opened_values(before) != opened_values(after)
        world.stage.require("which are other ones", changed, True)
        check_old_receipt(world, granted, before)


def publish_changes(world: World, delta: Delta) -> None:
    """The department publishes the changed file; only what changed travels."""
    path = world.data / "city" / "real-estate-next.csv"
    with world.stage.progress() as progress:
        done = publisher(world, REAL_ESTATE, progress).publish(path)
    changes = done.changes
    world.stage.check(
        f"{AMOUNTS.changed} changed, {AMOUNTS.new} new, {AMOUNTS.withdrawn} withdrawn: "
        f"{done.sent} lines travel for {done.head.size:,} records",
        (changes.changed, changes.new, changes.withdrawn, done.sent, done.head.size),
        (AMOUNTS.changed, AMOUNTS.new, AMOUNTS.withdrawn, 260, delta.records_after),
    )


def check_old_receipt(world: World, granted: Entitlement, before: Used) -> None:
    """The receipt of the first use verifies against the version that it was answered from."""
    consumer = granted.consumer
    receipt = decode_receipt(encode_receipt(before.receipt))
    checked = consumer.run(verify_receipt(consumer.ledger, receipt))
    world.stage.check(
        "the old receipt verifies against publication 1",
        (checked.publication, checked.records, checked.unchecked),
        (1, before.opened.records, ()),
    )


def changed_resident(world: World, delta: Delta) -> Resident:
    """Return somebody of whom a field changes that the bank may read.

    Raises:
        DemoError: there is nobody; the city is too small.
    """
    for one in delta.changed:
        if set(one.fields) & set(loan.FIELDS):
            return world.files.resident(one.key)
    raise DemoError("nothing that the bank reads has changed: take a larger city")
