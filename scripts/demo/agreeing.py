"""How an agreement comes about: purpose bound, application, approval, confidentiality signed."""

import time

from ledger.chain import contract_calls
from ledger.chain.events import PurposeTerms
from scripts.demo.cast import DAY
from scripts.demo.world import World, purpose_of, send
from wallet.parties import Consumer

CONFIDENTIALITY = "We use it for this purpose only, show it to nobody else, and delete it in time."


def agree(
    world: World, consumer: Consumer, code: str, terms: PurposeTerms, *, bind: bool = True
) -> None:
    """Let a consumer use a dataset for a purpose, all fields; see `apply`."""
    application = apply(world, consumer, code, terms, bind=bind)
    approve(world, code, application)
    consumer.sign_confidentiality(application, CONFIDENTIALITY)


def apply(
    world: World, consumer: Consumer, code: str, terms: PurposeTerms, *, bind: bool = True
) -> bytes:
    """The consumer applies, after the authority has let the purpose use the dataset; return the id.

    That is done once for a purpose and a dataset: not again, with another consumer (`bind`).
    """
    dataset, purpose = world.dataset(code), purpose_of(terms)
    if bind:
        send(world.authority, contract_calls.bind_fields(purpose, dataset, world.mask(code)))
    why = f"{terms.code} at {world.role_of(consumer).name}"
    return consumer.apply(dataset, purpose, world.fields(code), why).application


def approve(world: World, code: str, application: bytes) -> None:
    """The department approves for a year."""
    provider, until = world.provider_of(code), int(time.time()) + 365 * DAY
    send(provider, contract_calls.approve(application, world.mask(code), until))
