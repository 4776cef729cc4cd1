"""A consumer in the story: asks a person, uses what it may use, opens and checks what comes.

It knows its customer by name and number and learns the subject id only with the authorization. What it
gets is opened on its own machine; values and completeness are checked against its own node.
"""

import time
from dataclasses import dataclass
from typing import Final

from ledger.api.consent import ALL
from ledger.chain.events import PurposeTerms
from ledger.model import OUTCOMES, Outcome
from scripts.demo.cast import DAY
from scripts.demo.citizens import Citizen
from scripts.demo.stage import DemoError
from scripts.demo.world import World, purpose_of
from wallet.client.errors import DeniedError
from wallet.client.verification import Basis
from wallet.consumer import access
from wallet.consumer.access import Used
from wallet.consumer.cases import Case
from wallet.parties import Consumer

_TIMEOUT: Final = 30.0


@dataclass(frozen=True, slots=True)
class Wish:
    """A consent request before it is sent."""

    consumer: Consumer
    code: str
    """Of the dataset."""
    purpose: PurposeTerms
    fields: tuple[str, ...]
    case_number: str
    uses: int = 1
    interval: int = 0
    item: bytes = ALL


@dataclass(frozen=True, slots=True)
class Entitlement:
    """A basis that a consumer may use, or thinks it may, and the fields that it asks for."""

    world: World
    consumer: Consumer
    basis: bytes
    fields: int
    known: Basis | None = None
    """Of an authorization: what came with it."""
    case: Case | None = None

    def use(self, *, item: bytes = ALL) -> Used:
        """Use the basis once; nothing may be left unchecked."""
        used = self._access(self.fields, item)
        self.world.outcomes[Outcome.ALLOWED] += 1
        self.world.stage.require("everything was checked", used.opened.unchecked, ())
        return used

    def denied(
        self, what: str, outcome: Outcome, *, fields: int | None = None, item: bytes = ALL
    ) -> None:
        """Try to use the basis, and be denied for just this reason; the denial is on chain."""
        try:
            self._access(self.fields if fields is None else fields, item)
        except DeniedError as error:
            found, number = OUTCOMES[error.recorded.outcome], error.recorded.sequence
        else:
            found, number = Outcome.ALLOWED, 0
        self.world.outcomes[found] += 1
        said = f"{what}: denied, {outcome.title} (recorded as access {number})"
        self.world.stage.check(said, found, outcome)

    def _access(self, fields: int, item: bytes) -> Used:
        consumer, book = self.consumer, self.consumer.requests
        opening = consumer.encryption_key
        (request,) = access.prepare(
            *(consumer.ledger, consumer.key, opening.encryption_key, book, self.basis, fields),
            item=item,
        )
        used = consumer.run(access.access(consumer.ledger, opening, book, request, self.known))
        consumer.note_stored(used)
        return used


def obtain(world: World, wish: Wish, person: Citizen, *, aloud: bool = False) -> Entitlement:
    """Ask a person, who grants it; return what the consumer may use then."""
    consumer = wish.consumer
    asked = consumer.ask(
        person.person,
        world.dataset(wish.code),
        purpose_of(wish.purpose),
        world.fields(wish.code, *wish.fields),
        case_number=wish.case_number,
        expires_at=int(time.time()) + 7 * DAY,
        max_uses=wish.uses,
        min_interval=wish.interval,
        item=wish.item,
    )
    person.answer(asked, aloud=aloud)
    case = consumer.wait(asked, _TIMEOUT)
    world.stage.check(f"case {wish.case_number}: asked, and granted", case.state, "granted")
    if case.authorization_id is None:
        raise DemoError(f"case {wish.case_number} has no authorization")
    fields = world.mask(wish.code, *wish.fields)
    return Entitlement(world, consumer, case.authorization_id, fields, case.basis, case)


def opened_values(used: Used) -> dict[int, tuple[str, ...]]:
    """Return what was opened, by record number."""
    return {
        record.entry.number: tuple(field.value for field in record.fields)
        for record in used.opened.records
    }
