"""How an agreement comes about: purpose bound, application, approval, confidentiality signed."""

import time

from ledger.chain import contract_calls
from ledger.chain.events import PurposeTerms
from scripts.demo.cast import DAY
from scripts.demo.world import Party, World, purpose_of
from wallet.consumer import agreements as consumer_side
from wallet.provider import agreements as provider_side

CONFIDENTIALITY = "We use it for this purpose only, show it to nobody else, and delete it in time."


def agree(
    world: World, consumer: Party, code: str, terms: PurposeTerms, *, bind: bool = True
) -> None:
    """Let a consumer use a dataset for a purpose, all fields; see `apply`."""
    application = apply(world, consumer, code, terms, bind=bind)
    approve(world, code, application)
    sign(consumer, application)


def apply(
    world: World, consumer: Party, code: str, terms: PurposeTerms, *, bind: bool = True
) -> bytes:
    """The consumer applies, after the authority has let the purpose use the dataset; return the id.

    That is done once for a purpose and a dataset: not again, with another consumer (`bind`).
    """
    dataset, purpose, fields = world.dataset(code), purpose_of(terms), world.mask(code)
    if bind:
        world.authority.send(contract_calls.bind_fields(purpose, dataset, fields))
    flow = consumer_side.apply(
        consumer.ledger,
        consumer.key,
        dataset=dataset,
        purpose=purpose,
        fields=fields,
        justification=f"{terms.code} at {consumer.role.name}",
    )
    return consumer.run(flow).application


def approve(world: World, code: str, application: bytes) -> None:
    """The department approves for a year."""
    provider, until = world.provider_of(code), int(time.time()) + 365 * DAY
    fields = world.mask(code)
    provider.run(provider_side.approve(provider.ledger, provider.key, application, fields, until))


def sign(consumer: Party, application: bytes) -> None:
    """The consumer signs the confidentiality agreement."""
    consumer.run(
        consumer_side.sign_confidentiality(
            consumer.ledger, consumer.key, application, CONFIDENTIALITY
        )
    )
