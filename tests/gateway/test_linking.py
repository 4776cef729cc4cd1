"""Links are renewed while the phone is off, and what keyholders would refuse costs nobody a use."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from gateway.access.links import Linking
from gateway.errors import LinkRefusedError
from gateway.store.database import Database
from gateway.store.links import KeptLink
from ledger.api import SignedLink
from ledger.chain.http_client import HttpAnswer, HttpError
from ledger.crypto.signatures import address_of, sign
from ledger.hexstr import from_hex, keccak256, to_hex
from ledger.links import LINK_RENEWAL, MAX_LINK_LIFETIME, LinkBounds, make_link
from ledger.model import LinkFault
from ledger.typed_data import SubjectLink, digest, record_from_object, record_to_object
from tests.gateway.test_accesses import OWNER, RECORDS, released
from tests.support.accesses import (
    LINKS,
    NOW,
    PERSONAL,
    SUBJECT,
    AccessDesk,
    FakeChain,
)
from tests.support.problems import refused_as

KEY = keccak256(b"identity authority that renews")
DAY = 86_400


class Authority:
    """The identity authority's renewals, over a network that may be down."""

    def __init__(self, chain: FakeChain) -> None:
        self.chain = chain
        self.links_from = 0
        self.asked = self.opened = 0
        self.down = False
        self.owner: bytes | None = None
        self.key = KEY

    def signed(self, link: SubjectLink) -> SignedLink:
        return SignedLink(link, sign(digest(link, LINKS), self.key))

    async def ask(self, method: str, path: str, body: bytes = b"") -> HttpAnswer:
        assert (method, path) == ("POST", "/v1/links/renewals")
        self.asked += 1
        if self.down:
            raise HttpError("gone")
        shown = msgspec.json.decode(body)
        old = record_from_object(SubjectLink, shown["link"])
        assert len(from_hex(shown["link_signature"])) == 65
        if old.issued_at <= self.links_from:
            return HttpAnswer(409, b"{}")
        owner = self.owner or old.owner
        new = self.signed(
            make_link(old.subject, old.dataset, owner, at=self.chain.time, links_from=0)
        )
        answer = {
            "link": record_to_object(new.link),
            "link_signature": to_hex(new.signature),
        }
        return HttpAnswer(200, msgspec.json.encode(answer))

    async def close(self) -> None:
        """Nothing to close."""


class Phoneless:
    """A desk with an authority that renews, and a person who relayed a link once."""

    def __init__(self, database: Database) -> None:
        self.desk = AccessDesk(database)
        self.chain = self.desk.chain
        self.chain.authority = address_of(KEY)
        self.authority = Authority(self.chain)
        self.linking = Linking(
            self.desk.links,
            self.chain.as_index,
            LINKS,
            self.authority,
            window=3600,
            clock=lambda: NOW,
        )

    def answering(self) -> None:
        self.desk.restart(self.linking)

    async def relay(self, at: int) -> None:
        link = make_link(SUBJECT, PERSONAL, OWNER, at=at, links_from=0)
        kept = await self.linking.verify(self.authority.signed(link))
        await self.desk.links.put(kept, at)

    async def kept(self) -> KeptLink | None:
        tie = (SUBJECT, PERSONAL)
        return (await self.desk.links.find([tie])).get(tie)


@pytest.fixture
async def phoneless(database: Database) -> AsyncIterator[Phoneless]:
    found = Phoneless(database)
    await found.desk.publish(PERSONAL, RECORDS)
    found.answering()
    await found.relay(NOW)
    yield found
    await found.desk.accesses.close()


async def test_a_phone_is_off_for_90_days_and_three_monthly_checks_pass(
    phoneless: Phoneless,
) -> None:
    basis = phoneless.chain.authorize()
    for day in range(91):
        phoneless.chain.time = NOW + day * DAY
        await phoneless.linking.renew_due()
        if day in (30, 60, 90):
            submission = phoneless.desk.submission(basis)
            released(await phoneless.desk.accesses.answer(submission))
    assert 3 <= phoneless.authority.asked <= 5, "in the last week, and not each day"


async def test_a_link_is_renewed_in_its_last_week_and_not_before(phoneless: Phoneless) -> None:
    phoneless.chain.time = NOW + MAX_LINK_LIFETIME - LINK_RENEWAL
    assert await phoneless.linking.renew_due() == 0
    phoneless.chain.time += 1
    assert await phoneless.linking.renew_due() == 1
    assert await phoneless.linking.renew_due() == 0
    kept = await phoneless.kept()
    assert kept is not None
    assert kept.signed.link.issued_at == phoneless.chain.time


async def test_a_link_of_which_no_authorization_lives_is_not_renewed_and_then_forgotten(
    phoneless: Phoneless,
) -> None:
    phoneless.chain.granted = False
    phoneless.chain.time = NOW + MAX_LINK_LIFETIME - 1
    assert await phoneless.linking.renew_due() == 0
    assert await phoneless.kept() is not None
    phoneless.chain.time += 1
    assert await phoneless.linking.renew_due() == 0
    assert await phoneless.kept() is None
    assert phoneless.authority.asked == 0


async def test_a_link_that_is_over_is_renewed_when_an_access_needs_it(
    phoneless: Phoneless,
) -> None:
    phoneless.chain.time = NOW + 200 * DAY
    submission = phoneless.desk.submission(phoneless.chain.authorize())
    released(await phoneless.desk.accesses.answer(submission))
    assert phoneless.authority.asked == 1


@pytest.mark.parametrize("left", [-1, 0, 3600])
async def test_a_link_that_would_be_over_before_the_answer_costs_no_use(
    phoneless: Phoneless, left: int
) -> None:
    phoneless.authority.down = True
    phoneless.chain.time = NOW + MAX_LINK_LIFETIME - left
    submission = phoneless.desk.submission(phoneless.chain.authorize())
    answer = await phoneless.desk.accesses.answer(submission)
    assert isinstance(answer.problem, LinkRefusedError)
    assert answer.problem.fault is LinkFault.OVER
    assert phoneless.chain.recorded == {}


async def test_a_link_that_was_ended_costs_no_use_and_is_not_renewed(
    phoneless: Phoneless,
) -> None:
    phoneless.chain.links_from = phoneless.authority.links_from = NOW
    for _ in range(20):
        submission = phoneless.desk.submission(phoneless.chain.authorize())
        answer = await phoneless.desk.accesses.answer(submission)
        assert isinstance(answer.problem, LinkRefusedError)
        assert answer.problem.fault is LinkFault.ENDED
    assert phoneless.chain.recorded == {}
    assert phoneless.authority.asked == 1, "a minute passes before it is shown again"


@pytest.mark.parametrize("lie", ["another owner", "another signer"])
async def test_an_authority_that_answers_with_another_link_changes_nothing(
    phoneless: Phoneless, lie: str
) -> None:
    before = await phoneless.kept()
    if lie == "another owner":
        phoneless.authority.owner = b"\x66" * 32
    else:
        phoneless.authority.key = keccak256(b"somebody else")
    phoneless.chain.time = NOW + MAX_LINK_LIFETIME - DAY
    assert await phoneless.linking.renew_due() == 0
    assert await phoneless.kept() == before


@pytest.mark.parametrize(
    ("times", "fault"),
    [
        ((NOW, NOW + MAX_LINK_LIFETIME + 1), LinkFault.TOO_LONG),
        ((NOW + 301, NOW + DAY), LinkFault.AHEAD),
        ((2**64 - 2, 2**64 - 1), LinkFault.AHEAD),
        ((NOW - DAY, NOW), LinkFault.OVER),
        ((0, NOW + DAY), LinkFault.TOO_LONG),
    ],
)
async def test_what_no_keyholder_takes_is_not_taken_with_an_authorization(
    phoneless: Phoneless, times: tuple[int, int], fault: LinkFault
) -> None:
    link = SubjectLink(SUBJECT, PERSONAL, OWNER, *times)
    with pytest.raises(LinkRefusedError) as caught:
        await phoneless.linking.verify(phoneless.authority.signed(link))
    assert caught.value.fault is fault


async def test_the_chain_is_asked_of_each_link_anew(phoneless: Phoneless) -> None:
    basis = phoneless.chain.authorize()
    released(await phoneless.desk.accesses.answer(phoneless.desk.submission(basis)))
    phoneless.chain.authority = address_of(keccak256(b"its successor"))
    answer = await phoneless.desk.accesses.answer(phoneless.desk.submission(basis))
    assert isinstance(answer.problem, LinkRefusedError)
    assert answer.problem.fault is LinkFault.FOREIGN


async def test_a_link_of_now_is_not_refused_for_good_while_the_index_is_behind(
    phoneless: Phoneless, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = phoneless.authority.signed(make_link(SUBJECT, PERSONAL, OWNER, at=NOW, links_from=0))
    phoneless.chain.time = 0  # as after a chain lost blocks: the index begins again
    with refused_as("index-behind"):
        await phoneless.linking.verify(signed)
    link_bounds = phoneless.chain.link_bounds

    async def catching_up(subject: bytes) -> LinkBounds:
        phoneless.chain.time = NOW
        return await link_bounds(subject)

    monkeypatch.setattr(phoneless.chain, "link_bounds", catching_up)
    phoneless.chain.time = 0
    assert (await phoneless.linking.verify(signed)).signed == signed
