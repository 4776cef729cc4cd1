"""Two honest keyholders of three always serve, whatever the third one says; and it is named."""

import json
import time
from collections.abc import Awaitable, Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import httpx
import pytest

from ledger.api import Refusal
from ledger.hexstr import to_hex
from ledger.typed_data import AccessRequest
from tests.promises.test_whole_way import Town
from tests.support.city import City, gateway_process
from tests.support.lying_keyholder import (
    Liar,
    another_roster,
    noise,
    of_another_number,
    of_another_record,
    of_fewer_fields,
    standing_before,
    without_a_subset,
)
from wallet.client.accesses import use
from wallet.client.calls import HttpCall
from wallet.client.party import ChainAccess, PartyKey
from wallet.client.requests import RequestBook
from wallet.client.retry import RetryPolicy
from wallet.client.supervision import alerts as ask_alerts
from wallet.client.supervision import name_keyholder
from wallet.client.transports import Client, Endpoints
from wallet.client.verification import Opened
from wallet.consumer import access

pytestmark = pytest.mark.slow
T = TypeVar("T")

ACCESSES = 6
LIES = 2
"""Which of the three keyholders lies, counted from 0."""
SECONDS = 3.0
"""Within which each access is served: not the keyholder's timeout, which is longer."""


@dataclass
class Desk:
    """A bank that uses what a person granted, at a gateway with one keyholder that lies."""

    city: City
    liar: Liar
    client: Client
    book: RequestBook
    basis: bytes

    def access(self) -> Opened:
        """Use it once; open and check the answer."""
        ledger = ChainAccess(self.city.chain.deployment, own_node=True)
        opening = self.city.bank_key
        (request,) = access.prepare(
            *(ledger, self.client.key, opening.encryption_key, self.book, self.basis), 0b101
        )
        steps = access.access(ledger, opening, self.book, request, patience=RetryPolicy(5))
        return self.client.run(steps).opened


@pytest.fixture(scope="module")
def desk(city: City, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    home: Path = tmp_path_factory.mktemp("liars")
    domain = city.chain.deployment.domain_of(AccessRequest)
    liar = Liar(city.holders[LIES], city.keyholders.urls[LIES], city.schema, domain)
    with standing_before(liar):
        urls = city.keyholders.by_address
        urls = {**urls, list(urls)[LIES]: liar.url}
        settings = {"keyholders": json.dumps(urls), "poll_interval": "0.02"}
        with gateway_process(city, home / "gateway", settings=settings) as gateway:
            town = Town(city, gateway, {})
            person = city.person()
            town.publish()
            basis = town.granted(person, max_uses=1000)
            endpoints = Endpoints(gateway.url, node=city.chain.node.url)
            key = PartyKey(city.terms.consumer.private_key)
            chain_id = city.chain.deployment.chain_id
            with (
                Client(endpoints, key=key, chain_id=chain_id) as client,
                RequestBook(home / "requests.sqlite") as book,
            ):
                yield Desk(city, liar, client, book, basis)
            town.close()


def threshold_of_99(liar: Liar) -> None:
    liar.description = {"epochs": [{"epoch": 1, "threshold": 99, "members": [], "complete": True}]}


def another_roster_and_epoch(liar: Liar) -> None:
    liar.description = another_roster(liar.holdings)


def no_description(liar: Liar) -> None:
    liar.description = {"address": 7}


def garbage(liar: Liar) -> None:
    liar.garbage = b"<html>it works</html>"


def too_few_answers(liar: Liar) -> None:
    liar.garbage = b'{"results":[]}'


def refusal(liar: Liar) -> None:
    liar.refuses = Refusal("urn:quancheng:problem:release-over", "Over", 410, "it is over")


def slowness(liar: Liar) -> None:
    liar.delay = 8


def sealed_to_another_key(liar: Liar) -> None:
    liar.seals_to_another = True


def signed_by_another(liar: Liar) -> None:
    liar.signs_as_another = True


def too_long(liar: Liar) -> None:
    liar.adds = 100_000


def nested_deep(liar: Liar) -> None:
    liar.nests_deep = True


def parts(change: Callable[..., object]) -> Callable[[Liar], None]:
    def lie(liar: Liar) -> None:
        liar.change = change  # type: ignore[assignment]

    lie.__name__ = change.__name__
    return lie


UNSEEN = [
    threshold_of_99,
    another_roster_and_epoch,
    no_description,
    garbage,
    too_few_answers,
    refusal,
    slowness,
    signed_by_another,
    too_long,
    nested_deep,
]
"""Lies that only the gateway hears."""

SHOWN = list(map(parts, (noise, of_another_number, without_a_subset)))
"""Lies in what is sealed, which no gateway can tell. The consumer names the keyholder, and can show it."""

DISPUTED = list(map(parts, (of_another_record, of_fewer_fields)))
"""Those that a gateway may have brought about."""

UNSIGNED = [sealed_to_another_key]
"""Those that a gateway may have told in the keyholder's name."""

SEEN = [*SHOWN, *DISPUTED, *UNSIGNED]


@pytest.mark.parametrize("lie", [*UNSEEN, *SEEN], ids=lambda lie: lie.__name__)
def test_two_honest_keyholders_of_three_serve_every_access(
    desk: Desk, lie: Callable[[Liar], None]
) -> None:
    desk.liar.be_honest()
    lie(desk.liar)
    faults: dict[str, set[bytes]] = {"wrong": set(), "disputed": set(), "unsigned": set()}
    until = time.monotonic() + 30
    count = 0
    while count < ACCESSES or not has_shown(lie, desk.liar, set().union(*faults.values())):
        count += 1
        begun = time.monotonic()
        assert begun < until, "one that failed is asked last, but only for a while"
        opened = desk.access()
        assert time.monotonic() - begun < SECONDS
        assert [len(record.fields) for record in opened.records] == [2, 2]
        for name, seen in faults.items():
            seen |= set(getattr(opened.faults, name))
    liar = {desk.liar.holdings.address}
    assert faults == {
        "wrong": liar if lie in SHOWN else set(),
        "disputed": liar if lie in DISPUTED else set(),
        "unsigned": liar if lie in UNSIGNED else set(),
    }


@pytest.mark.parametrize("lie", [*SHOWN, *UNSIGNED], ids=lambda lie: lie.__name__)
def test_a_batch_beside_a_liar_is_asked_for_again_at_once(
    desk: Desk, lie: Callable[[Liar], None]
) -> None:
    desk.liar.be_honest()
    ledger, opening = ChainAccess(desk.city.chain.deployment, own_node=True), desk.city.bank_key
    requests = access.prepare(
        *(ledger, desk.client.key, opening.encryption_key, desk.book, desk.basis), 0b101, count=40
    )
    lie(desk.liar)
    until = time.monotonic() + 30
    while not desk.liar.asked:  # one that failed is asked last, but only for a while
        assert time.monotonic() < until
        answers = desk.client.run(use(desk.book, requests, RetryPolicy(5)))
    asked: list[HttpCall[object]] = []
    steps = access.open_answers(ledger, opening, desk.book, answers)
    opened = desk.client.run(Noting(steps, asked))
    assert all(isinstance(one, access.Used) for one in opened)
    assert len(asked) == 1


@dataclass
class Noting(Generic[T]):
    flow: Awaitable[T]
    asked: list[HttpCall[object]]

    def __await__(self) -> Generator[object, object, T]:
        steps = self.flow.__await__()
        result: object = None
        while True:
            try:
                effect = steps.send(result)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            if isinstance(effect, HttpCall) and effect.path == "/v1/accesses":
                self.asked.append(effect)
            result = yield effect


def has_shown(lie: Callable[[Liar], None], liar: Liar, seen: set[bytes]) -> bool:
    """Whether the lie was told to somebody."""
    if lie in SEEN:
        return bool(seen)
    return bool(liar.asked) or lie in (threshold_of_99, another_roster_and_epoch, no_description)


def test_supervision_hears_of_a_keyholder_whose_parts_were_wrong(desk: Desk) -> None:
    parties = desk.city.chain.parties
    desk.liar.be_honest()
    time.sleep(5.1)  # what failed is asked last, for so long
    opened = desk.access()
    honest = desk.city.holders[(LIES + 1) % 3].address
    desk.client.run(name_keyholder(opened.access, honest))
    endpoints, chain_id = desk.client.endpoints, desk.city.chain.deployment.chain_id
    with Client(
        endpoints, key=PartyKey(parties.regulator.private_key), chain_id=chain_id
    ) as regulator:

        def alerts() -> list[str]:
            return [one.text for one in regulator.run(ask_alerts()) if one.rule == "keyholder"]

        before = alerts()
        assert not any(to_hex(honest) in text for text in before)
        parts(noise)(desk.liar)
        until = time.monotonic() + 30
        while not desk.access().faults.proofs:
            assert time.monotonic() < until
        liar = to_hex(desk.liar.holdings.address)
        (text,) = alerts()
        assert liar in text
        assert "signature shows" in text
        desk.access()
        assert alerts() == [text]


def test_the_gateway_stays_ready_beside_one_that_says_that_99_are_needed(desk: Desk) -> None:
    desk.liar.be_honest()
    threshold_of_99(desk.liar)
    time.sleep(2.5)  # for so long it stays known who is ready
    gateway = desk.client.endpoints.gateway
    answer = httpx.get(f"{gateway}/readyz")
    assert (answer.status_code, answer.json()["checks"]["keyholders"]) == (200, None)
    desk.liar.be_honest()
