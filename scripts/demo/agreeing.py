"""How an agreement comes about: purpose bound, application, confidentiality signed, approval."""

import time

from ledger.events import PurposeTerms
from scripts.demo.cast import DAY
from scripts.demo.world import Party, World, purpose_of
from wallet.authority import acts
from wallet.consumer import agreements as consumer_side
from wallet.provider import agreements as provider_side

CONFIDENTIALITY = "We use it for this purpose only, show it to nobody else, and delete it in time."


def agree(world: World, consumer: Party, code: str, terms: PurposeTerms) -> bytes:
    """Let a consumer use a dataset for a purpose, all fields; return the application's id."""
    authority, provider = world.authority, world.provider_of(code)
    dataset, purpose, fields = world.dataset(code), purpose_of(terms), world.mask(code)
    authority.run(acts.bind_fields(authority.ledger, authority.key, purpose, dataset, fields))
    applied = consumer.run(
        consumer_side.apply(
            consumer.ledger,
            consumer.key,
            dataset=dataset,
            purpose=purpose,
            fields=fields,
            justification=f"{terms.code} at {consumer.role.name}",
        )
    )
    application = applied.application
    consumer.run(
        consumer_side.sign_confidentiality(
            consumer.ledger, consumer.key, application, CONFIDENTIALITY
        )
    )
    until = int(time.time()) + 365 * DAY
    provider.run(provider_side.approve(provider.ledger, provider.key, application, fields, until))
    return application
