"""A consumer in the story: asks a person, uses what it may use, opens and checks what comes.

It knows its customer by name and number and learns the subject id only with the authorization. What it
gets is opened on its own machine; values and completeness are checked against its own node.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from ledger.api.consent import ALL, new_consent_request
from ledger.chain.events import PurposeTerms
from ledger.model import OUTCOMES, Outcome
from scripts.demo.cast import DAY
from scripts.demo.citizens import Citizen
from scripts.demo.stage import DemoError
from scripts.demo.world import Party, World, purpose_of
from wallet.client.errors import DeniedError
from wallet.client.requests import RequestBook
from wallet.client.verification import Basis
from wallet.consumer import access, consent
from wallet.consumer.access import Used
from wallet.consumer.cases import Case

_TIMEOUT: Final = 30.0


@dataclass(frozen=True, slots=True)
class Wish:
    """A consent request before it is sent."""

    consumer: Party
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
    consumer: Party
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
        consumer = self.consumer
        with _request_book(self.world, consumer) as book:
            opening = consumer.opening
            (request,) = access.prepare(
                *(consumer.ledger, consumer.key, opening.encryption_key, book, self.basis, fields),
                item=item,
            )
            used = consumer.run(access.access(consumer.ledger, opening, book, request, self.known))
            book.note_stored([used.request.id])
            return used


def obtain(world: World, wish: Wish, person: Citizen, *, aloud: bool = False) -> Entitlement:
    """Ask a person, who grants it; return what the consumer may use then."""
    consumer = wish.consumer
    fields = world.mask(wish.code, *wish.fields)
    ask = new_consent_request(
        consumer=consumer.address,
        dataset=world.dataset(wish.code),
        purpose=purpose_of(wish.purpose),
        fields=fields,
        case_number=wish.case_number,
        expires_at=int(time.time()) + 7 * DAY,
        max_uses=wish.uses,
        min_interval=wish.interval,
        item=wish.item,
    )
    asked = consumer.run(consent.ask_customer(person.person, ask))
    person.answer(asked, aloud=aloud)
    case = consumer.run(consent.wait(consumer.ledger, asked, _TIMEOUT))
    world.stage.check(f"case {wish.case_number}: asked, and granted", case.state, "granted")
    if case.authorization_id is None:
        raise DemoError(f"case {wish.case_number} has no authorization")
    return Entitlement(world, consumer, case.authorization_id, fields, case.basis, case)


def opened_values(used: Used) -> dict[int, tuple[str, ...]]:
    """Return what was opened, by record number."""
    return {
        record.entry.number: tuple(field.value for field in record.fields)
        for record in used.opened.records
    }


@contextmanager
def _request_book(world: World, party: Party) -> Iterator[RequestBook]:
    """The consumer's book of signed requests."""
    with RequestBook(world.data / "parties" / party.role.code / "requests.sqlite") as book:
        yield book
