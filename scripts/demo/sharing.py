"""Act: data about nobody. Under an agreement where the class is conditional, for anybody where it is not."""

from ledger.chain.events.identifiers import agreement_id
from ledger.model import Outcome
from scripts.demo import agreeing
from scripts.demo.cast import BANK, INSTITUTE, NAVIGATOR, PARKING, STATISTICS, STUDY
from scripts.demo.consumers import Entitlement, opened_values
from scripts.demo.world import World, purpose_of
from wallet.parties import Consumer


def play(world: World) -> None:
    """Use conditional statistics under an agreement, and unconditional parking lots as they are."""
    with world.stage.act("Data about nobody: under an agreement, or openly"):
        conditional(world)
        unconditional(world)


def conditional(world: World) -> None:
    """Nothing before both sides have signed; then everything that was agreed."""
    institute, dataset = world.consumer(INSTITUTE), world.dataset(STATISTICS)
    application = agreeing.apply(world, institute, STATISTICS, STUDY)
    agreement = agreement_id(institute.address, dataset, purpose_of(STUDY))
    agreed = entitlement(world, institute, STATISTICS, agreement)
    agreeing.approve(world, STATISTICS, application)
    agreed.denied("approved, but confidentiality is not signed", Outcome.AGREEMENT_INACTIVE)
    institute.sign_confidentiality(application, agreeing.CONFIDENTIALITY)
    use_all(world, agreed, STATISTICS, "signed: the institute has the enterprise statistics")
    openly = entitlement(world, world.consumer(NAVIGATOR), STATISTICS, dataset)
    openly.denied("anybody without an agreement", Outcome.UNKNOWN_BASIS)


def unconditional(world: World) -> None:
    """The dataset itself is the basis, for any admitted consumer."""
    for role in (NAVIGATOR, BANK):
        openly = entitlement(world, world.consumer(role), PARKING, world.dataset(PARKING))
        use_all(
            world, openly, PARKING, f"without any agreement: {role.english} has the parking lots"
        )


def entitlement(world: World, consumer: Consumer, code: str, basis: bytes) -> Entitlement:
    """Return all fields of a dataset on some basis."""
    return Entitlement(world, consumer, basis, world.mask(code))


def use_all(world: World, entitled: Entitlement, code: str, what: str) -> None:
    """Use a whole dataset; it must be what the department's file says."""
    names = tuple(field.name for field in world.files.dataset(code).fields)
    opened = opened_values(entitled.use())
    world.stage.check(
        f"{what}, {len(opened):,} records", opened, world.files.values_of(code, names)
    )
