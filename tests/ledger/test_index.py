"""The index says what the state says, for a history in which everything happens, on both databases."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import msgspec
import pytest

from gateway.errors import StoreUnavailableError
from gateway.store.database import Database
from ledger.chain import eth_methods
from ledger.chain.embedded import Node, NodeSettings
from ledger.chain.events import (
    Accessed,
    BatchSkipped,
    Block,
    DatasetRegistered,
    DatasetTerms,
    Event,
    Granted,
    GrantTerms,
    PartyAdmitted,
    Recorded,
    SubjectRegistered,
)
from ledger.chain.events.decoder import EventDecoder
from ledger.chain.finality import BlocksLostError, Finality
from ledger.chain.rpc import AsyncRpc
from ledger.errors import LedgerError
from ledger.hexstr import to_hex
from ledger.index.follower import Follower
from ledger.index.index import Index, Origin
from ledger.index.queries import Selection
from ledger.index.writer import Writer
from ledger.model import OUTCOMES, ZERO_WORD, Class, Outcome, Roles, State
from ledger.policy import is_halted
from ledger.state import follow
from scripts.scenario import Chain
from tests.ledger.test_policy_attacks import ANOTHERS_VOID
from tests.ledger.test_policy_property import (
    ADMISSION_DELAY,
    EVERYTHING,
    RECOVERY_DELAY,
)
from tests.support.acts_of_people import HASHES, SIGNERS
from tests.support.database import database, database_url, postgres_server
from tests.support.histories import Stage
from tests.support.world import World

__all__ = ["database", "database_url", "postgres_server"]

ORIGIN = Origin(b"g" * 32, b"l" * 20, 0)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Node(NodeSettings(tmp_path_factory.mktemp("chain"), block_time=0.05)) as node:
        chain = Chain(node, recovery_delay=RECOVERY_DELAY, admission_delay=ADMISSION_DELAY)
        yield Stage(chain)
        chain.close()


@dataclass
class Watched:
    """An index that follows the stage's chain."""

    stage: Stage
    index: Index
    follower: Follower

    def events(self) -> list[Event]:
        """All events of the chain, read without the index."""
        chain = self.stage.chain
        newest = chain.rpc.send(eth_methods.block_number())
        logs = chain.rpc.send(eth_methods.logs(0, newest, msgspec.structs.astuple(chain.contracts)))
        return EventDecoder(chain.contracts).decode_all(logs)

    def play(self) -> World:
        """Let everything happen on the chain, from the beginning."""
        world = self.stage.start()
        self.stage.run(world, EVERYTHING)
        return world


@pytest.fixture
async def watched(stage: Stage, database: Database) -> AsyncIterator[Watched]:
    deployment = stage.chain.deployment
    index = Index(
        database,
        Origin(
            deployment.genesis_hash, deployment.contracts.access_log, deployment.block_number - 1
        ),
    )
    await index.open()
    async with AsyncRpc(stage.chain.node.url) as rpc:
        follower = Follower(rpc, deployment.contracts, Finality.depth(0), index, wanted_logs=20)
        yield Watched(stage, index, follower)


async def check_parties(index: Index, state: State) -> None:
    assert index.snapshot.parties.keys() == state.parties.keys()
    for address, party in state.parties.items():
        found = index.snapshot.parties[address]
        assert (found.name, found.roles, found.active) == (party.name, party.roles, party.active)
        assert found.restricted_until == party.restricted_until
        assert found.encryption_key == party.encryption_key
        assert found.recorders == party.recorders


async def check_datasets(index: Index, state: State) -> None:
    assert index.snapshot.datasets.keys() == state.datasets.keys()
    for dataset in state.datasets.values():
        found = index.snapshot.datasets[dataset.id]
        for name in (
            *("provider", "code", "title", "fields", "personal", "sharing", "open", "grade"),
            *("update_cycle", "withdrawn"),
        ):
            assert getattr(found, name) == getattr(dataset, name), name
        assert found.version == len(dataset.publications)
        versions = (await index.publications(dataset.id))[::-1]
        assert [(one.root, one.count, one.base, one.manifest) for one in versions] == [
            (one.root, one.count, one.base, one.manifest) for one in dataset.publications
        ]
        for version, one in enumerate(dataset.publications, 1):
            publication = await index.publication(dataset.id, version)
            assert publication is not None
            assert publication.place.timestamp == one.published_at
        assert await index.publication(dataset.id, len(versions) + 1) is None
    assert index.snapshot.orders.keys() == state.orders.keys()
    for order in state.orders.values():
        kept = index.snapshot.orders[order.id]
        for name in (
            *("dataset", "purpose", "sharing", "fields", "starts_at", "ends_at"),
            *("countersigned", "reviewed"),
        ):
            assert getattr(kept, name) == getattr(order, name), name


async def check_terms(index: Index, state: State) -> None:
    assert index.snapshot.purposes.keys() == state.purposes.keys()
    for key, purpose in state.purposes.items():
        found = index.snapshot.purposes[key]
        for name in ("code", "max_validity", "max_uses", "min_interval", "retention", "active"):
            assert getattr(found, name) == getattr(purpose, name), name
        assert dict(found.fields) == purpose.fields
    applications = {one.id: one for one in await index.applications(limit=1000)}
    assert applications.keys() == state.applications.keys()
    for key, application in state.applications.items():
        one = applications[key]
        assert (one.consumer, one.dataset) == (application.consumer, application.dataset.id)
        assert (one.purpose, one.fields) == (application.purpose, application.fields)
        assert (one.state != "pending", one.signed) == (application.decided, application.signed)
    agreements = {one.id: one for one in await index.agreements(limit=1000)}
    assert agreements.keys() == state.agreements.keys()
    for key, agreement in state.agreements.items():
        kept = agreements[key]
        for name in (
            *("number", "consumer", "purpose", "fields", "expires_at", "withdrawn"),
            *("round", "suspended_until", "suspension_unseen"),
        ):
            assert getattr(kept, name) == getattr(agreement, name), name
        assert kept.dataset == agreement.dataset.id


async def check_people(index: Index, state: State) -> None:
    for subject in state.subjects.values():
        found = await index.subject(subject.id)
        assert found is not None
        for name in (
            *("number", "registrar", "links_from", "signer", "frozen", "liftable_at", "closed"),
            *("epoch", "recovery_at", "pending_signer"),
        ):
            assert getattr(found, name) == getattr(subject, name), name
        assert found in await index.subjects_of(subject.signer)
        for guardian, hash_ in zip(SIGNERS, HASHES, strict=True):
            appointed = subject.guardians.get(hash_)
            counts = (
                appointed is not None
                and appointed.era == len(subject.era_ends)
                and appointed.consent_until > index.head.timestamp
            )
            assert (found in await index.wards_of(guardian)) == counts
    total = 0
    for key, authorization in state.authorizations.items():
        one = await index.authorization(key)
        assert one is not None
        assert one.subject == authorization.subject.id
        assert one.item == authorization.item
        assert one.max_uses - one.uses == authorization.uses_left
        for name in ("not_before", "expires_at", "min_interval", "last_use", "epoch", "revoked"):
            assert getattr(one, name) == getattr(authorization, name), name
        assert one.halted == is_halted(authorization)
        (same,) = await index.authorizations(
            case_reference=one.case_reference,
            subjects=[one.subject],
            consumer=one.consumer,
            limit=1,
        )
        assert same[1].case_reference == one.case_reference
        total += 1
    everything = await index.authorizations(limit=1000)
    assert len(everything) == total
    assert [key for key, _ in everything] == sorted((key for key, _ in everything), reverse=True)


async def check_accesses(index: Index, events: list[Event], state: State) -> None:
    accesses = [event for event in events if isinstance(event, Accessed)]
    assert index.head.sequence == len(accesses) == state.sequence
    found = (await index.accesses(Selection(), limit=1000))[::-1]
    for entry, event in zip(found, accesses, strict=True):
        assert entry.voided == ((event.basis, event.sequence) in state.voided)
        for name in ("sequence", "consumer", "basis", "fields", "nonce", "deadline", "outcome"):
            assert getattr(entry, name) == getattr(event, name), name
        assert entry.item == event.item
        assert entry.log_index == event.log_index
        assert entry.place.transaction == event.transaction
        assert entry.place.block_hash == event.block.hash
        assert entry.place.timestamp == event.block.timestamp
        authorization = state.authorizations.get(event.basis)
        assert entry.subject == (authorization.subject.id if authorization else None)
    for subject in state.subjects.values():
        own = [one for one in found if one.subject == subject.id]
        assert (
            list(await index.accesses(Selection(subjects=(subject.id,)), limit=1000)) == own[::-1]
        )
    for consumer in state.parties:
        own = [one for one in found if one.consumer == consumer]
        assert list(await index.accesses(Selection(party=consumer), limit=1000)) == own[::-1]
    for dataset in state.datasets:
        own = [one for one in found if one.dataset == dataset]
        assert list(await index.accesses(Selection(dataset=dataset), limit=1000)) == own[::-1]


async def check_events(index: Index, events: list[Event]) -> None:
    others = [
        event for event in events if not isinstance(event, (Accessed, BatchSkipped, Recorded))
    ]
    found = (await index.events(Selection(), limit=1000))[::-1]
    assert [(one.name, one.place.transaction, one.log_index) for one in found] == [
        (event.name, event.transaction, event.log_index) for event in others
    ]
    for entry, event in zip(found, others, strict=True):
        body = json.loads(entry.body)
        for name in ("dataset", "subject", "consumer"):
            value = getattr(event, name, None)
            assert body.get(name) == (None if value is None else to_hex(value))


async def test_the_index_says_what_the_state_says(watched: Watched) -> None:
    world = watched.play()
    await watched.follower.catch_up()
    index, events = watched.index, watched.events()
    state = State(watched.stage.chain.deployment.delays)
    for event in events:
        follow(state, event)
    assert state.head == world.state.head
    await check_parties(index, state)
    await check_datasets(index, state)
    await check_terms(index, state)
    await check_people(index, state)
    await check_accesses(index, events, state)
    await check_events(index, events)
    stats = await index.stats()
    assert (stats.accesses, stats.subjects) == (state.sequence, len(state.subjects))
    assert await index.faults() == ()


async def test_a_void_of_anothers_access_counts_for_whom_it_names_alone(watched: Watched) -> None:
    world = watched.stage.start()
    watched.stage.run(world, ANOTHERS_VOID[:3])
    await watched.follower.catch_up()
    await check_people(watched.index, world.state)
    ((named, number),) = world.state.voided
    found = await watched.index.accesses(Selection(), limit=2)
    assert [(one.sequence, one.voided) for one in found] == [(number + 1, False), (number, False)]
    assert found[1].basis != named
    watched.stage.run(world, ANOTHERS_VOID[3:])
    await watched.follower.catch_up()
    await check_people(watched.index, world.state)
    found = await watched.index.accesses(Selection(), limit=2)
    assert [(one.sequence, one.voided) for one in found] == [(number + 1, False), (number, True)]


async def test_a_reopened_index_goes_on_where_it_was(watched: Watched, database: Database) -> None:
    watched.stage.start()
    await watched.follower.catch_up()
    before = watched.index.head
    again = Index(database, watched.index._origin)
    assert await again.open() == before
    assert again.snapshot == watched.index.snapshot
    with pytest.raises(LedgerError):
        await Index(database, ORIGIN).open()


async def test_pages_follow_each_other_without_gap_or_repetition(watched: Watched) -> None:
    world = watched.play()
    await watched.follower.catch_up()
    subjects = tuple(world.state.subjects)
    for selection in (
        Selection(),
        Selection(subjects=subjects),
        Selection(party=world.party(3).address),
        Selection(outcome=Outcome.ALLOWED),
        Selection(subjects=subjects, party=world.party(3).address),
    ):
        whole = await watched.index.accesses(selection, limit=1000)
        assert len(whole) > 3
        paged: list[object] = []
        before = None
        while page := await watched.index.accesses(selection, before=before, limit=3):
            paged += page
            before = page[-1].sequence
        assert paged == list(whole)
    forward: list[object] = []
    after = 0
    while some := await watched.index.accesses_after(after, limit=4):
        forward += some
        after = some[-1].sequence
    assert forward == list(await watched.index.accesses(Selection(), limit=1000))[::-1]
    events = await watched.index.events_after(0, limit=1000)
    assert events == (await watched.index.events(Selection(), limit=1000))[::-1]


async def test_unknown_names_select_nothing(watched: Watched) -> None:
    watched.play()
    await watched.follower.catch_up()
    for selection in (
        Selection(subjects=()),
        Selection(subjects=(b"?" * 32,)),
        Selection(party=b"?" * 20),
        Selection(dataset=b"?" * 32),
        Selection(basis=b"?" * 32),
    ):
        assert await watched.index.accesses(selection) == ()
        assert await watched.index.events(selection) == ()
    assert await watched.index.subject(b"?" * 32) is None
    assert await watched.index.authorization(b"?" * 32) is None
    assert await watched.index.bases([b"?" * 32]) == {}
    assert await watched.index.erasures(b"?" * 32) == ()


async def test_a_chain_that_lost_final_blocks_is_noticed_and_indexed_anew(watched: Watched) -> None:
    watched.play()
    await watched.follower.catch_up()
    before = watched.index.head
    watched.stage.start()  # brings the chain back: what was final is gone
    with pytest.raises(BlocksLostError):
        await watched.follower.step()
    assert watched.index.head == before, "nothing is written on top"
    await watched.index.clear()
    await watched.follower.catch_up()
    state = State(watched.stage.chain.deployment.delays)
    for event in (events := watched.events()):
        follow(state, event)
    await check_accesses(watched.index, events, state)
    await check_people(watched.index, state)


async def test_whoever_waits_for_a_block_is_told(watched: Watched) -> None:
    watched.stage.start()
    await watched.follower.catch_up()
    number = watched.index.head.number
    waiting = asyncio.create_task(watched.index.wait_for(number + 3))
    feed = asyncio.create_task(watched.index.wait_for_change(watched.index.head))
    await asyncio.sleep(0)
    assert not waiting.done()
    watched.play()
    await watched.follower.catch_up()
    assert (await feed).number > number
    assert (await waiting).number >= number + 3


# With events that no chain is needed for


def block(number: int) -> Block:
    return Block(number, number.to_bytes(32, "big"), 1_800_000_000 + number)


def access(number: int, sequence: int, basis: bytes, outcome: Outcome) -> Accessed:
    place = (block(number), bytes([number]) * 32, sequence, b"l" * 20)
    return Accessed(*place, basis, 1, sequence, b"c" * 20, sequence, 2**31, outcome, ZERO_WORD, b"")


def admission(number: int) -> PartyAdmitted:
    return PartyAdmitted(
        *(block(number), b"t" * 32, 0, b"r" * 20, number, b""),
        *(b"c" * 20, int(Roles.CONSUMER), "C"),
    )


async def put(index: Index, number: int, events: list[Event]) -> None:
    one = block(number)
    await index.apply(events, number, one.hash, one.timestamp)


async def test_an_attempt_on_an_id_before_it_was_granted_is_in_the_persons_history(
    database: Database,
) -> None:
    index = Index(database, ORIGIN)
    await index.open()
    authorization, subject = b"a" * 32, b"s" * 32
    await put(index, 1, [admission(1), access(1, 1, authorization, Outcome.UNKNOWN_BASIS)])
    place = (block(2), b"u" * 32, 0, b"z" * 20, 1, b"")
    terms = GrantTerms(
        *(subject, b"c" * 20, b"d" * 32, ZERO_WORD, b"p" * 32, 1, b"r" * 32, b"h" * 32),
        *(1, 2**64 - 1, 1, 0, b"n" * 32, 2**64 - 1),
    )
    dataset = DatasetTerms("d", "D", ("f",), Class.CONDITIONAL, Class.NOT_SHARED, 1, True, 0)
    await put(
        index,
        2,
        [
            DatasetRegistered(*place, b"d" * 32, b"v" * 20, dataset),
            SubjectRegistered(*place, subject, 1, b"i" * 20, b"k" * 20),
            Granted(*place, authorization, subject, b"c" * 20, terms, 1, 0, 0, b"k" * 32),
            access(2, 2, authorization, Outcome.ALLOWED),
        ],
    )
    found = await index.accesses(Selection(subjects=(subject,)))
    assert [(one.sequence, one.kind) for one in found] == [
        (2, "authorization"),
        (1, "authorization"),
    ]


async def test_numbers_of_the_contracts_full_width_come_back_as_they_were(
    database: Database,
) -> None:
    index = Index(database, ORIGIN)
    await index.open()
    largest = msgspec.structs.replace(
        access(1, 1, b"b" * 32, Outcome.UNKNOWN_BASIS), fields=2**256 - 1, nonce=2**256 - 1
    )
    await put(index, 1, [largest])
    (found,) = await index.accesses(Selection())
    assert (found.fields, found.nonce, found.deadline) == (2**256 - 1, 2**256 - 1, 2**31)


async def test_of_two_writers_each_block_is_written_by_one(database: Database) -> None:
    first, second = Index(database, ORIGIN), Index(database, ORIGIN)
    await first.open()
    await second.open()
    sequence = 0
    for number in range(1, 8):
        events: list[Event] = [admission(number)] if number == 1 else []
        events += [
            access(number, sequence + at, bytes([number]) * 32, OUTCOMES[number])
            for at in range(1, 6)
        ]
        sequence += 5
        await asyncio.gather(put(first, number, events), put(second, number, events))
        assert first.head == second.head
    for index in (first, second):
        found = await index.accesses(Selection(), limit=1000)
        assert [one.sequence for one in found] == list(range(35, 0, -1))
        assert index.snapshot.parties.keys() == {b"c" * 20}


async def test_a_crash_while_writing_leaves_the_block_before(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = Index(database, ORIGIN)
    await index.open()
    await put(index, 1, [admission(1), access(1, 1, b"b" * 32, Outcome.EXPIRED)])
    before, flush = index.snapshot, Writer.flush

    def failing(writer: Writer) -> None:
        flush(writer)
        raise StoreUnavailableError("full")

    events: list[Event] = [access(2, 2, b"x" * 32, Outcome.EXPIRED)]
    with monkeypatch.context() as patched:
        patched.setattr(Writer, "flush", failing)
        with pytest.raises(StoreUnavailableError):
            await put(index, 2, events)
    assert index.snapshot == before
    assert len(await index.accesses(Selection())) == 1
    await put(index, 2, events)
    assert [one.sequence for one in await index.accesses(Selection())] == [2, 1]


async def test_blocks_in_which_nothing_happened_cost_no_write(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = Index(database, ORIGIN)
    await index.open()
    await put(index, 1, [])
    with monkeypatch.context() as without_database:
        without_database.setattr(Database, "write", None)
        for number in range(2, 6):
            await put(index, number, [])
    assert (index.head.number, index.head.hash) == (5, block(5).hash)
    again = Index(database, ORIGIN)
    assert (await again.open()).number == 1, "a crash would have lost no event"
    await put(index, 6, [access(6, 1, b"b" * 32, Outcome.UNKNOWN_BASIS)])
    assert (await again.open()).number == 6
    await put(again, 7, [])
    await put(index, 7, [access(7, 2, b"b" * 32, Outcome.UNKNOWN_BASIS)])
    assert (index.head.number, index.head.sequence) == (7, 1), "another process was first"
