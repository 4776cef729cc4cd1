"""Three keyholders on a real chain: the same request sent again after an act, and nodes that lie or are stuck."""

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ledger.api import Refusal, ReleaseTask, SealedParts
from ledger.chain import contract_calls, contract_reads, eth_methods
from ledger.chain.deployment import write_deployment
from ledger.chain.events import AgreementApproved, NumberedEvent, Published, Revoked
from ledger.chain.events.decoder import plan_for
from ledger.chain.events.identifiers import access_id
from ledger.chain.finality import Finality
from ledger.chain.rpc import AsyncRpc, Call
from ledger.crypto.secret_sharing import Roster
from ledger.hexstr import to_hex
from ledger.model import Class, VoidGround
from ledger.replay.journal_check import JournalEnd
from ledger.replay.sources import replay_node
from ledger.typed_data import struct_hash
from scripts.scenario import Chain, Subject
from tests.support.keyholders import Client, ready, running, settings_for
from tests.support.node_proxy import proxy_before
from tests.wallet.test_keyholder_service import (
    OWNERS,
    SHARING,
    City,
    ask,
    body_of,
    city,
    open_release,
)
from wallet.keyholder.errors import KeyholderError
from wallet.keyholder.follower import Follower, Following
from wallet.keyholder.journal import NotedEntry, ReleaseEntry, read_journal
from wallet.regulator.journals import KeyholderJournal

pytestmark = pytest.mark.slow

__all__ = ["city"]

PROBLEM = "urn:quancheng:problem:"


Log = dict[str, Any]


class Lies:
    """What a node says that does not tell the truth; see `proxy_before`."""

    def __init__(self) -> None:
        self.drop: Callable[[Log], bool] = lambda _: False
        self.frozen = False
        self._newest: object = None

    def __call__(self, method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getLogs":
            return [log for log in result if not self.drop(log)]
        if method == "eth_getBlockByNumber" and params[0] == "latest":
            if not self.frozen:
                self._newest = result
            return self._newest
        return result


class Person:
    """Somebody whose authorization was used once, and the request that is sent again."""

    def __init__(
        self, city: City, *, max_uses: int = 9, min_interval: int = 0, validity: int = 86_400
    ) -> None:
        self.city = city
        self.subject: Subject = city.subject()
        self.wanted = city.chain.authorization(
            self.subject,
            city.terms,
            max_uses=max_uses,
            min_interval=min_interval,
            validity=validity,
        )
        self.authorization = city.chain.grant(self.subject, self.wanted)
        self.task = self.used()

    def used(self) -> ReleaseTask:
        owner = OWNERS[2]
        link = self.city.link(self.subject, owner)
        return self.city.task(*self.city.recorded(self.authorization), link, owner)


async def settled(client: Client, chain: Chain) -> None:
    """Wait until a keyholder knows the chain's newest block."""
    newest = chain.block_number()
    while True:
        block = (await client.http.get("/v1/holder")).json()["block"]
        if block is not None and block["number"] >= newest:
            return
        await asyncio.sleep(0.01)


async def everybody(city: City, task: ReleaseTask) -> list[SealedParts | Refusal]:
    for client in city.clients:
        await settled(client, city.chain)
    return [(await ask(client, [task]))[0] for client in city.clients]


def types(answers: list[SealedParts | Refusal]) -> list[str]:
    return [answer.type if isinstance(answer, Refusal) else "sealed" for answer in answers]


# (a) The same body before and after


def revoke(person: Person) -> None:
    chain = person.city.chain
    chain.send(chain.parties.bank, chain.revoke_call(person.subject, person.authorization))


def freeze(person: Person) -> None:
    chain = person.city.chain
    chain.send(chain.parties.bank, chain.freeze_call(person.subject))


def start_recovery(person: Person) -> None:
    chain = person.city.chain
    call = contract_calls.start_recovery(person.subject.id, secrets.token_bytes(20))
    chain.send(chain.parties.identity_authority, call)


def withdraw_agreement(person: Person) -> None:
    chain = person.city.chain
    call = contract_calls.withdraw_agreement(person.city.terms.agreement, "misused")
    chain.send(chain.parties.provider, call)


def withdraw_dataset(person: Person) -> None:
    chain = person.city.chain
    call = contract_calls.withdraw_dataset(person.city.terms.dataset, "wrong")
    chain.send(chain.parties.provider, call)


def void(person: Person) -> None:
    chain = person.city.chain
    sequence = chain.rpc.send(contract_reads.log_state(chain.contracts)).sequence
    seen = chain.rpc.send(
        contract_reads.grant_of(chain.contracts, struct_hash(person.wanted))
    ).last_use
    ground = VoidGround.UNSIGNED
    call = contract_calls.void_access(sequence, person.wanted, seen, 0, ground, "nobody signed")
    chain.send(chain.parties.regulator, call)


def close_dataset(person: Person) -> None:
    chain = person.city.chain
    call = contract_calls.reclassify(
        person.city.terms.dataset, Class.NOT_SHARED, Class.NOT_SHARED, 4, "leak"
    )
    chain.send(chain.parties.provider, call)


@pytest.mark.parametrize(
    "act",
    [revoke, freeze, start_recovery, void, withdraw_agreement, withdraw_dataset, close_dataset],
    ids=lambda act: act.__name__,
)
async def test_the_same_request_opens_before_an_act_and_nothing_after_it_at_all_keyholders(
    city: City, act: Callable[[Person], None]
) -> None:
    person = Person(city)
    before = await everybody(city, person.task)
    assert open_release(city, person.task, before[:2])
    act(person)
    assert types(await everybody(city, person.task)) == [PROBLEM + "release-stopped"] * 3
    lines = [release_lines(city.home / f"holder{number}") for number in (1, 2, 3)]
    assert [len(line) for line in lines] == [1, 1, 1]
    signature = to_hex(person.task.submission.signature)
    assert {line[0].signature for line in lines} == {signature}


async def test_a_consumer_that_is_restricted_or_withdrawn_gets_nothing_again(city: City) -> None:
    chain, bank = city.chain, city.chain.parties.bank
    person = Person(city)
    chain.send(
        chain.parties.regulator, contract_calls.restrict(bank.address, chain.now() + 600, "odd")
    )
    assert types(await everybody(city, person.task)) == [PROBLEM + "release-stopped"] * 3
    chain.send(chain.parties.regulator, contract_calls.lift(bank.address, "explained"))
    assert types(await everybody(city, person.task)) == ["sealed"] * 3
    chain.send(chain.parties.authority, contract_calls.withdraw(bank.address))
    try:
        assert types(await everybody(city, person.task)) == [PROBLEM + "release-stopped"] * 3
    finally:
        admit = contract_calls.admit(bank.address, bank.roles, bank.name)
        chain.send(chain.parties.authority, admit)


async def test_an_access_is_over_after_its_window_also_for_a_stricter_keyholder_alone(
    city: City,
) -> None:
    settings = settings_for(city.chain, city.home / "strict")
    settings = settings.model_copy(update={"release_window": 1})
    async with running(city.chain, city.holders[0], city.home / "strict", settings) as client:
        await ready([client])
        described = (await client.http.get("/v1/holder")).json()
        assert (described["release_window"], described["head_age"]) == (1, 60)
        person = Person(city)
        recorded_at = city.chain.now()
        while city.chain.now() <= recorded_at + 1:
            city.chain.wait_for_block()
        await settled(client, city.chain)
        (answer,) = await ask(client, [person.task])
    assert isinstance(answer, Refusal)
    assert (answer.status, answer.type) == (410, PROBLEM + "release-over")
    assert types(await everybody(city, person.task)) == ["sealed"] * 3


@pytest.mark.parametrize("bound", ["release_window", "head_age"])
async def test_a_keyholder_that_would_be_laxer_than_the_deployment_does_not_start(
    city: City, bound: str
) -> None:
    settings = settings_for(city.chain, city.home / "lax")
    settings = settings.model_copy(update={bound: getattr(city.chain.deployment, bound) + 1})
    with pytest.raises(KeyholderError, match=bound.upper()):
        async with running(city.chain, city.holders[0], city.home / "lax", settings):
            pass


async def test_a_keyholder_whose_roster_is_not_the_deployments_does_not_start(city: City) -> None:
    (roster,) = city.chain.deployment.rosters
    settings = settings_for(city.chain, city.home / "another-roster")
    for other in (
        Roster(roster.epoch, roster.threshold, roster.members[::-1]),
        Roster(roster.epoch, 3, roster.members),
    ):
        deployment = msgspec.structs.replace(city.chain.deployment, rosters=(other,))
        write_deployment(deployment, settings.deployment)
        with pytest.raises(KeyholderError, match=to_hex(other.digest())):
            async with running(city.chain, city.holders[0], settings.home, settings):
                pass
    for rosters in ((), (roster, Roster(roster.epoch + 1, 2, roster.members[::-1]))):
        deployment = msgspec.structs.replace(city.chain.deployment, rosters=rosters)
        write_deployment(deployment, settings.deployment)
        async with running(city.chain, city.holders[0], settings.home, settings) as client:
            await ready([client])


# (b) Heads that are not of now


async def test_a_node_that_says_the_same_old_head_for_ever_stops_its_keyholder(
    city: City, tmp_path: Path
) -> None:
    home = tmp_path / "stuck"
    lies = Lies()
    with proxy_before(city.chain.node.url) as node:
        node.lie = lies
        settings = settings_for(city.chain, home).model_copy(
            update={"node": node.url, "head_age": 2}
        )
        async with running(city.chain, city.holders[0], home, settings) as client:
            await ready([client])
            person = Person(city)
            await settled(client, city.chain)
            lies.frozen = True
            revoke(person)
            (early,) = await ask(client, [person.task])
            assert isinstance(early, SealedParts)  # it cannot know better yet
            await asyncio.sleep(3.5)
            late = await client.http.post("/v1/releases", content=body_of([person.task]))
            assert late.status_code == 503
            assert late.json()["type"] == PROBLEM + "not-following"
            assert "s old" in (await client.http.get("/readyz")).json()["detail"]
            assert "s old" in (await client.http.get("/v1/holder")).json()["problem"]
            lies.frozen = False
            await ready([client])
            (again,) = await ask(client, [person.task])
            assert isinstance(again, Refusal)


@pytest.mark.parametrize("hours", [-2, 2])
async def test_a_clock_that_is_hours_apart_from_the_chain_stops_its_keyholder(
    city: City, hours: int
) -> None:
    home = city.home / "clock"
    clock = lambda: time.time() + 3600 * hours  # noqa: E731
    async with running(city.chain, city.holders[0], home, clock=clock) as client:
        await settled(client, city.chain)
        answer = await client.http.get("/readyz")
        assert (answer.status_code, answer.json()["type"]) == (503, PROBLEM + "unavailable")
        described = (await client.http.get("/v1/holder")).json()
        assert ("old" if hours > 0 else "ahead of this machine's clock") in described["problem"]


# (c) What passed by itself


async def test_what_the_access_itself_used_up_or_ends_by_itself_is_released(city: City) -> None:
    last = Person(city, max_uses=1)
    slow = Person(city, min_interval=3600)
    ending = Person(city, validity=60 + 2)
    until = city.chain.now() + 2
    while city.chain.now() <= until:
        city.chain.wait_for_block()
    for person in (last, slow, ending):
        assert types(await everybody(city, person.task)) == ["sealed"] * 3


# (d) Two heads


async def test_keyholders_before_and_after_a_revocation_open_nothing_and_replay_is_clean(
    city: City, tmp_path: Path
) -> None:
    home = tmp_path / "behind"
    lies = Lies()
    with proxy_before(city.chain.node.url) as node:
        node.lie = lies
        settings = settings_for(city.chain, home).model_copy(update={"node": node.url})
        async with running(city.chain, city.holders[2], home, settings) as behind:
            person = Person(city)
            await ready([behind])
            await settled(behind, city.chain)
            lies.frozen = True
            revoke(person)
            for client in city.clients[:2]:
                await settled(client, city.chain)
            answers = [(await ask(one, [person.task]))[0] for one in (*city.clients[:2], behind)]
    assert types(answers) == [PROBLEM + "release-stopped"] * 2 + ["sealed"]
    assert SHARING.threshold == 2
    with pytest.raises(Exception, match="no share of subset"):
        open_release(city, person.task, answers)
    journal = KeyholderJournal(home / "releases.ndjson", "behind")
    report = replay_node(city.chain.rpc, city.chain.deployment, [journal])
    assert not [finding for finding in report.findings if finding.source == "behind"]


# A node that lacks events


def publish_twice(city: City) -> None:
    head = city.tree.head()
    for _ in range(2):
        city.chain.publish(city.terms.dataset, head.root, head.size)


def approve_and_grant(city: City) -> None:
    Person(replace(city, terms=city.chain.personal_terms()))


def publish_once(city: City) -> None:
    head = city.tree.head()
    city.chain.publish(city.terms.dataset, head.root, head.size)


def revoke_and_freeze(city: City) -> None:
    person = Person(city)
    revoke(person)
    freeze(person)


def revoke_once(city: City) -> None:
    revoke(Person(city))


@pytest.mark.parametrize(
    ("kind", "acts"),
    [
        (Published, publish_once),
        (Published, publish_twice),
        (AgreementApproved, approve_and_grant),
        (Revoked, revoke_once),
        (Revoked, revoke_and_freeze),
    ],
    ids=lambda value: value.__name__,
)
async def test_a_keyholder_stops_releasing_when_its_node_drops_an_event(
    city: City, tmp_path: Path, kind: type[NumberedEvent], acts: Callable[[City], None]
) -> None:
    topic = to_hex(plan_for(kind).topic)
    missing: list[str] = []

    def drop(log: Log) -> bool:
        """Drop the first one that was not there when the node began to lie."""
        if log["topics"][0] != topic or int(log["blockNumber"], 16) <= known:
            return False
        missing.append(log["transactionHash"])
        return bool(log["transactionHash"] == missing[0])

    home = tmp_path / "lied-to"
    lies = Lies()
    with proxy_before(city.chain.node.url) as node:
        node.lie = lies
        settings = settings_for(city.chain, home).model_copy(update={"node": node.url})
        async with running(city.chain, city.holders[0], home, settings) as client:
            person = Person(city)
            await ready([client])
            await settled(client, city.chain)
            assert types([(await ask(client, [person.task]))[0]]) == ["sealed"]
            known = city.chain.block_number()
            lies.drop = drop
            acts(city)
            async with asyncio.timeout(10):
                while True:
                    if (await client.http.get("/readyz")).status_code != 200:
                        break
                    await asyncio.sleep(0.02)
            assert missing
            answer = await client.http.post("/v1/releases", content=body_of([person.task]))
            assert (answer.status_code, answer.json()["type"]) == (503, PROBLEM + "not-following")
            detail = answer.json()["detail"]
            assert "log " in detail or "the node told of" in detail


async def test_a_release_notes_the_block_at_which_it_was_judged(city: City) -> None:
    person = Person(city)
    await everybody(city, person.task)
    described = (await city.clients[0].http.get("/v1/holder")).json()["block"]
    (line,) = release_lines(city.home / "holder1")
    assert person.task.location.block_number <= line.block <= described["number"]
    assert len(line.block_hash) == 66
    assert abs(described["timestamp"] - time.time()) < 10


async def test_a_keyholder_that_nobody_asks_notes_once_in_a_window_how_far_the_chain_is(
    city: City, tmp_path: Path
) -> None:
    home, window = tmp_path / "quiet", 2
    settings = settings_for(city.chain, home).model_copy(update={"release_window": window})
    async with running(city.chain, city.holders[2], home, settings) as quiet:
        await ready([quiet])
        while len(noted := noted_lines(home)) < 3:  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.05)
    blocks = [city.chain.rpc.send(eth_methods.block(line.block)) for line in noted]
    assert [to_hex(block.hash) for block in blocks if block] == [one.block_hash for one in noted]
    times = [block.timestamp for block in blocks if block]
    assert times[1] - times[0] >= window
    assert times[2] - times[1] >= window
    journal = KeyholderJournal(home / "releases.ndjson", "quiet")
    end, *rest = journal.entries()
    assert isinstance(end, JournalEnd)
    assert (end.block, rest) == (noted[-1].block, [])


async def test_a_keyholder_that_does_not_follow_notes_nothing(city: City, tmp_path: Path) -> None:
    home, lies = tmp_path / "frozen", Lies()
    with proxy_before(city.chain.node.url) as node:
        node.lie = lies
        update = {"node": node.url, "release_window": 1, "head_age": 2}
        settings = settings_for(city.chain, home).model_copy(update=update)
        async with running(city.chain, city.holders[2], home, settings) as frozen:
            await ready([frozen])
            lies.frozen = True
            while (await frozen.http.get("/readyz")).is_success:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            before = noted_lines(home)
            await asyncio.sleep(2.5)
            assert noted_lines(home) == before


def noted_lines(home: Path) -> list[NotedEntry]:
    entries = read_journal(home / "releases.ndjson")
    return [entry for entry in entries if isinstance(entry, NotedEntry)]


def release_lines(home: Path) -> list[ReleaseEntry]:
    entries = read_journal(home / "releases.ndjson")
    return [entry for entry in entries if isinstance(entry, ReleaseEntry)]


# After a restart


async def test_a_keyholder_that_starts_reads_the_accesses_of_the_window_and_no_older_ones(
    own_chain: Chain, tmp_path: Path
) -> None:
    chain, count = own_chain, 3_000
    terms = chain.personal_terms()
    (authorization,) = chain.granted(1, terms, max_uses=count + 2)
    old = chain.record([chain.request(terms.consumer, authorization)])
    ahead: Call[None] = Call("evm_increaseTime", (hex(2 * 3600),), lambda _: None)
    chain.rpc.send(ahead)
    chain.wait_for_block()
    requests = [chain.request(terms.consumer, authorization) for _ in range(count)]
    recorded = [
        access
        for start in range(0, count, 300)
        for access in chain.record(requests[start : start + 300])
    ]
    following = Following(Finality.depth(0), release_window=3600, head_age=60)
    asked: list[set[str]] = []

    def watch(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getLogs":
            asked.append({log["blockNumber"] for log in result if len(log["topics"]) == 2})
        return result

    with proxy_before(chain.node.url) as node:
        node.lie = watch
        async with AsyncRpc(node.url) as rpc:
            follower = Follower(rpc, chain.deployment, following, wall=chain.now)
            await follower.step()
            register = follower.require()
    first, last = recorded[0], recorded[-1]
    for access in (first, recorded[1_234], last):
        known = register.access(access.block.number, access.log_index)
        assert known is not None
        assert (known.access, known.sequence) == (access_id(access), access.sequence)
    assert old[0].block.number < register.first_block <= first.block.number
    assert hex(old[0].block.number) not in set().union(*asked)


async def test_a_count_of_a_block_that_was_just_made_is_no_missing_event(own_chain: Chain) -> None:
    """anvil answers for its newest block with the state of the one that it makes just then."""
    chain = own_chain
    following = Following(Finality.depth(0), release_window=3600, head_age=60)
    to = to_hex(chain.deployment.contracts.authorizations)
    lies = 0

    def answer_by_the_next(method: str, params: list[Any], result: Any) -> Any:
        nonlocal lies
        if method != "eth_call" or params[0]["to"].lower() != to or lies != 1:
            return result
        lies += 1
        chain.register_subject()
        again: Call[Any] = Call("eth_call", (params[0], "latest"), msgspec.json.decode)
        return chain.rpc.send(again)

    with proxy_before(chain.node.url) as node:
        node.lie = answer_by_the_next
        async with AsyncRpc(node.url) as rpc:
            follower = Follower(rpc, chain.deployment, following, wall=chain.now)
            await follower.step()
            chain.register_subject()
            lies = 1
            await follower.step()
            assert lies == 2
            follower.require()
