"""Act: the city is set up, and five departments publish what they hold, from their files.

A department describes its dataset in a file (`wallet.provider.description`), registers it, and hands
the data's file to a `Publisher`. That checks the file, asks the identity authority for owners and the
keyholders for what to encrypt with, encrypts on the department's own machine, uploads ciphertext,
and puts count and root on chain.
"""

from collections.abc import Sequence

from rich.progress import Progress

from ledger.chain import contract_calls, contract_reads
from ledger.chain.events import PurposeTerms
from ledger.model import Roles
from scripts.demo.cast import OTHERS, PURPOSES, Role
from scripts.demo.world import World, send
from wallet.parties import Consumer, Provider
from wallet.provider.description import read_description
from wallet.provider.publisher import Publication, Publisher
from wallet.provider.publisher import Stage as PublishingStage
from wallet.provider.services import RemoteServices


def play(world: World) -> dict[str, Publication]:
    """Set up the parties and publish all datasets; return the publications by dataset code."""
    with world.stage.act("Five departments publish what they hold"):
        admit_parties(world, [*world.departments, *OTHERS])
        register_purposes(world, PURPOSES)
        register_datasets(world, [dataset.code for dataset in world.files.manifest.datasets])
        published = publish_all(world)
        check_publications(world, published)
        return published


def admit_parties(world: World, roles: Sequence[Role]) -> None:
    """The authority admits everybody; who gets sealed messages registers a key for them.

    Each consumer names the gateway's recorder: no other can spend what people granted to it.
    """
    for role in roles:
        party = world.party(role)
        send(world.authority, contract_calls.admit(party.address, role.roles, role.name))
        if isinstance(party, Provider | Consumer):
            key = party.encryption_key.encryption_key.to_bytes()
            send(party, contract_calls.set_encryption_key(key))
        if isinstance(party, Consumer):
            party.name_recorder(world.recorder)
    departments = sum(role.roles == Roles.PROVIDER for role in roles)
    world.stage.step(f"{len(roles)} parties admitted, {departments} of them departments")


def register_purposes(world: World, purposes: Sequence[PurposeTerms]) -> None:
    """The authority sets for what data may be used: fixed texts, and bounds that hold for ever."""
    for terms in purposes:
        send(world.authority, contract_calls.register_purpose(terms))
    world.stage.step(f"purposes: {', '.join(terms.code for terms in purposes)}")


def register_datasets(world: World, codes: Sequence[str]) -> None:
    """Each department describes its datasets; the schema is fixed from then on."""
    for code in codes:
        world.provider_of(code).describe(world.files.description, code)


def publish_all(world: World) -> dict[str, Publication]:
    """Each department publishes its files."""
    published = {}
    with world.stage.progress() as progress:
        for dataset in world.files.manifest.datasets:
            code = dataset.code
            published[code] = publisher(world, code, progress).publish(world.files.path(code))
    return published


def publisher(world: World, code: str, progress: Progress) -> Publisher:
    """Return what publishes a dataset, on its department's machine."""
    provider = world.provider_of(code)
    bar = progress.add_task(code, total=None)

    def show(stage: PublishingStage, done: int, of: int | None) -> None:
        progress.update(bar, description=f"{code}: {stage}", completed=done, total=of)

    return Publisher(
        read_description(world.files.description, code),
        world.dataset(code),
        RemoteServices(
            provider.client, provider.ledger, provider.encryption_key, world.addresses.keyholders
        ),
        provider.home / "books",
        show,
    )


def check_publications(world: World, published: dict[str, Publication]) -> None:
    """Count and root on chain are those that the department computed from its file."""
    at = world.deployment.contracts
    for code, publication in published.items():
        head = publication.head
        on_chain = world.node.send(
            contract_reads.publication_of(at, publication.dataset, publication.version)
        )
        world.stage.check(
            f"{code}: {head.size:,} records, root {head.root.hex()[:12]}... on chain",
            (on_chain.count, on_chain.root),
            (world.files.dataset(code).records, head.root),
        )
