"""Promises 1, 2, 4, 8 and 10, whatever is killed: the gateway, by SIGKILL, at every step of an access, and
the node with it, which then has forgotten every access.

The client sends again what it got no answer to. Then its receipts are held against an independent replay
from the node. The control takes the journal away: the same counting must find the loss.
"""

import shutil
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from ledger import failpoints
from ledger.api import AccessResult, KeyedSubmission, Submissions
from ledger.api.access import decode_result, decode_results, encode_submissions
from ledger.chain import eth_methods
from ledger.chain.embedded import Node
from ledger.chain.events import Accessed
from ledger.chain.events.decoder import EventDecoder
from ledger.chain.events.identifiers import access_id
from ledger.model import Outcome
from ledger.replay.journal_check import Journal, ReleaseEntry
from ledger.replay.report import Kind, ReplayReport
from ledger.replay.sources import replay_node
from ledger.typed_data import struct_hash
from scripts.scenario import Chain
from tests.promises.test_whole_way import Town
from tests.support.chain import node_settings
from tests.support.city import City, gateway_process, make_city
from wallet.regulator.journals import GatewayJournal, KeyholderJournal

pytestmark = pytest.mark.slow

RECORDED = {
    "before_journal": False,
    "after_journal": False,
    "after_send": True,
    "after_receipt": True,
    "after_release": True,
    "before_response": True,
}
"""For each step at which the gateway dies: whether what it was doing is on chain without it."""

WITH_THE_NODE = ("after_journal", "after_receipt", "before_response")
BATCH = 3
ROOM = 20
"""Uses of each authorization: a retry that counted twice would not be stopped by the limit."""


@dataclass
class Client:
    """A consumer with a few requests: one that is answered, and more that are cut off."""

    city: City
    basis: bytes
    told: list[AccessResult] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.first = self._new(1)
        self.single = self._new(1)
        self.batch = self._new(BATCH)

    def _new(self, count: int) -> tuple[KeyedSubmission, ...]:
        return tuple(self.city.submission(self.basis) for _ in range(count))

    @property
    def requests(self) -> list[bytes]:
        """Ids of everything that was asked for."""
        everything = (*self.first, *self.single, *self.batch)
        return [struct_hash(one.request) for one in everything]

    def send(self, town: Town, submissions: tuple[KeyedSubmission, ...]) -> None:
        """Send requests, and keep what was told of them."""
        single = len(submissions) == 1
        answer = town.send(encode_submissions(Submissions(submissions, single=single)))
        assert answer.status_code == httpx.codes.OK, answer.text
        results = [decode_result(answer.content)] if single else decode_results(answer.content)
        assert len(results) == len(submissions)
        self.told += results

    def is_cut_off(self, town: Town, submissions: tuple[KeyedSubmission, ...]) -> bool:
        """Send requests, and return whether the connection broke."""
        try:
            self.send(town, submissions)
        except httpx.TransportError:
            return True
        return False


@dataclass(frozen=True)
class Losses:
    """What must be nothing."""

    released_unrecorded: int
    acknowledged_lost: int
    used_twice: int


class Stage:
    """A city whose gateway and node are killed again and again."""

    def __init__(self, city: City, home: Path) -> None:
        self.city = city
        self.home = home

    @contextmanager
    def gateway(self, failpoint: str = "") -> Iterator[Town]:
        """Run the gateway, the same one every time."""
        settings = {"failpoint": failpoint}
        with gateway_process(self.city, self.home, settings=settings) as gateway:
            town = Town(self.city, gateway, {})
            yield town
            town.close()

    def grant(self, count: int) -> list[bytes]:
        """Publish, and let people grant; a kill of the node takes nothing of this back."""
        with self.gateway() as town:
            person = self.city.person()
            town.publish()
            bases = [town.granted(person, max_uses=ROOM) for _ in range(count)]
        self.city.chain.node.checkpoint()
        return bases

    def kill_at(self, step: str, client: Client) -> None:
        """Let one request be answered, and kill the gateway at a step of the next ones."""
        with self.gateway(f"{step}:1") as town:
            client.send(town, client.first)
            with ThreadPoolExecutor(2) as pool:
                runs = [
                    pool.submit(client.is_cut_off, town, some)
                    for some in (client.single, client.batch)
                ]
                assert all(run.result() for run in runs)
            assert town.gateway.process.wait(30) == -signal.SIGKILL

    def restart_node(self) -> None:
        """Kill the node, which forgets everything since the checkpoint, and start it again."""
        self.city.chain.node.kill()
        self.city.chain.node.start()

    def accesses(self) -> list[Accessed]:
        chain = self.city.chain
        newest = chain.rpc.send(eth_methods.block_number())
        logs = chain.rpc.send(eth_methods.logs(0, newest, [chain.contracts.access_log]))
        decoded = EventDecoder(chain.contracts).decode_all(logs)
        return [one for one in decoded if isinstance(one, Accessed)]

    def journals(self) -> list[KeyholderJournal]:
        """What the keyholders say that they released."""
        homes = map(self.city.keyholders.home_of, range(3))
        return [KeyholderJournal(home / "releases.ndjson", home.name) for home in homes]

    def losses(self, client: Client) -> Losses:
        """Hold what a client was told, and what left the keyholders, against the node."""
        accesses = self.accesses()
        ids = [access_id(one) for one in accesses]
        on_chain = {
            (one, access.sequence, access.outcome, access.transaction)
            for one, access in zip(ids, accesses, strict=True)
        }
        told = {
            (
                one.recorded.access,
                one.recorded.sequence,
                one.recorded.outcome,
                one.recorded.transaction,
            )
            for one in client.told
            if one.recorded is not None
        }
        allowed = {
            one
            for one, access in zip(ids, accesses, strict=True)
            if access.outcome == Outcome.ALLOWED
        }
        released = {
            entry.access
            for journal in self.journals()
            for entry in journal.entries()
            if isinstance(entry, ReleaseEntry)
        }
        uses = Counter(ids)
        return Losses(
            released_unrecorded=len(released - allowed),
            acknowledged_lost=len(told - on_chain),
            used_twice=sum(uses[request] - 1 for request in client.requests if uses[request] > 1),
        )

    def replay(self, town: Town) -> ReplayReport:
        """Everything again from the node alone, with the journals of all who released."""
        path = self.home / "journal.ndjson"
        path.write_bytes(
            town.as_party(self.city.chain.parties.regulator).get("/v1/journal").content
        )
        journals: Sequence[Journal] = [GatewayJournal(path), *self.journals()]
        chain = self.city.chain
        return replay_node(chain.rpc, chain.deployment, journals)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    home = tmp_path_factory.mktemp("kills")
    with Node(node_settings(home / "chain", state_interval=0)) as node:
        chain = Chain(node)
        with make_city(chain, home / "city") as city:
            yield Stage(city, home / "gateway")
        chain.close()


@pytest.fixture(scope="module")
def bases(stage: Stage) -> Iterator[bytes]:
    return iter(stage.grant(len(RECORDED) + len(WITH_THE_NODE) + 1))


FORGOTTEN = {Kind.OTHER_BLOCK, Kind.OTHER_END}
"""What replay rightly finds: keyholders noted blocks that are others now, or lie behind the chain's end."""


def check_retries(stage: Stage, client: Client, *, forgot: bool = False) -> None:
    """Start the gateway again, send everything again, and find it done once.

    Args:
        stage: the city.
        client: sends.
        forgot: whether the node forgot blocks that keyholders had noted; replay says that, and nothing else.
    """
    with stage.gateway() as town:
        for _ in range(2):
            for some in (client.first, client.single, client.batch):
                client.send(town, some)
        assert stage.losses(client) == Losses(0, 0, 0)
        report = stage.replay(town)
        assert {finding.kind for finding in report.findings} <= (FORGOTTEN if forgot else set())
    uses = Counter(access_id(access) for access in stage.accesses() if access.basis == client.basis)
    assert uses == Counter(client.requests)
    opened = {str(stage.city.open(one)) for one in client.told}
    assert len(opened) == 1


@pytest.mark.parametrize("step", failpoints.NAMES)
def test_a_gateway_killed_at_any_step_of_an_access_loses_nothing_and_counts_once(
    stage: Stage, bases: Iterator[bytes], step: str
) -> None:
    client = Client(stage.city, next(bases))
    stage.kill_at(step, client)
    assert len(client.told) == 1
    stage.city.chain.wait_for_block()
    cut_off = {access_id(access) for access in stage.accesses()} & set(client.requests[1:])
    assert bool(cut_off) == RECORDED[step]
    assert stage.losses(client) == Losses(0, 0, 0)
    check_retries(stage, client)


@pytest.mark.parametrize("step", WITH_THE_NODE)
def test_a_node_killed_with_the_gateway_gets_back_every_access_that_it_forgot(
    stage: Stage, bases: Iterator[bytes], step: str
) -> None:
    client = Client(stage.city, next(bases))
    stage.kill_at(step, client)
    stage.restart_node()
    assert stage.accesses() == []
    check_retries(stage, client, forgot=True)


def test_without_the_journal_the_same_kill_loses_what_was_acknowledged(
    stage: Stage, bases: Iterator[bytes]
) -> None:
    # The control, and the last one: what is lost here stays lost.
    client = Client(stage.city, next(bases))
    stage.kill_at("before_response", client)
    stage.restart_node()
    shutil.rmtree(stage.home / "journal")
    with stage.gateway():
        found = stage.losses(client)
    assert found.acknowledged_lost == len(client.told) == 1
    assert found.released_unrecorded > 0
