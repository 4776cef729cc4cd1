"""The recorder is killed at every step of an access; nothing that was acknowledged is lost or doubled."""

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from ledger import failpoints
from ledger.api import RecordedAccess
from ledger.chain.deployment import write_deployment
from ledger.chain.embedded import Node
from ledger.chain.eth_methods import block_number
from ledger.chain.events import Accessed
from ledger.chain.events.decoder import EventDecoder
from ledger.chain.log_reader import LogReader, logs_between
from ledger.model import Outcome
from ledger.typed_data import AccessRequest, struct_hash
from scripts.scenario import Chain
from tests.support.chain import node_settings
from tests.support.recording import decode_outcomes, encode_requests

pytestmark = pytest.mark.slow

STEPS = failpoints.NAMES[:4]
"""The recorder's own; the others are the gateway's."""

REQUESTS = 40
USES = 1000


class Run:
    """One recorder process and what it told its callers."""

    def __init__(self, chain: Chain, directory: Path) -> None:
        self.chain = chain
        self.directory = directory
        self.told: list[RecordedAccess] = []
        write_deployment(chain.deployment, directory / "deployment.json")

    def record(self, requests: Sequence[AccessRequest], *options: str) -> int:
        """Let a process record requests; return its exit status."""
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.support.recording",
                self.chain.node.url,
                self.directory / "deployment.json",
                self.directory / "journal",
                *options,
            ],
            input=encode_requests(requests),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode not in (0, -signal.SIGKILL):
            pytest.fail(done.stderr[-2000:])
        self.told += decode_outcomes(done.stdout)
        return done.returncode


def accesses_on_chain(chain: Chain) -> list[Accessed]:
    """Everything that was ever recorded, read from the node."""
    decoder = EventDecoder(chain.contracts)
    last = chain.rpc.send(block_number())
    parts = logs_between(chain.rpc, LogReader([chain.contracts.access_log]), 0, last)
    events = [event for part in parts for event in decoder.decode_all(part.logs)]
    return [event for event in events if isinstance(event, Accessed)]


def recorded_ids(chain: Chain, accesses: Sequence[Accessed]) -> Counter[bytes]:
    """How often each request was recorded, by id."""
    return Counter(
        struct_hash(AccessRequest(a.consumer, a.basis, a.item, a.fields, a.nonce, a.deadline))
        for a in accesses
    )


def some_requests(chain: Chain, count: int = REQUESTS) -> list[AccessRequest]:
    terms = chain.personal_terms()
    [basis] = chain.granted(1, terms, max_uses=USES)
    return [chain.request(chain.parties.bank, basis) for _ in range(count)]


def check_trail(chain: Chain, run: Run, requests: Sequence[AccessRequest]) -> None:
    """Everybody was told what is on chain, and it is there once."""
    accesses = accesses_on_chain(chain)
    by_sequence = {access.sequence: access for access in accesses}
    assert [access.sequence for access in accesses] == list(range(1, len(accesses) + 1))
    assert recorded_ids(chain, accesses) == Counter(struct_hash(request) for request in requests)
    told = {access.access for access in run.told}
    assert told == {struct_hash(request) for request in requests}
    # Nobody was told two different things, before the crash and after it.
    assert len({(a.access, a.sequence, a.outcome, a.transaction) for a in run.told}) == len(told)
    for access in run.told:
        assert by_sequence[access.sequence].outcome == access.outcome == Outcome.ALLOWED
        assert by_sequence[access.sequence].transaction == access.transaction


@pytest.mark.parametrize("passes", [0, 2])
@pytest.mark.parametrize("step", STEPS)
def test_killed_recorder_records_every_request_exactly_once(
    own_chain: Chain, tmp_path: Path, step: str, passes: int
) -> None:
    requests = some_requests(own_chain)
    run = Run(own_chain, tmp_path)
    status = run.record(requests, "--failpoint", f"{step}:{passes}", "--most-entries", "7")
    assert status == -signal.SIGKILL
    # The callers saw the connection break, and ask again.
    assert run.record(requests) == 0
    check_trail(own_chain, run, requests)


def test_recorder_killed_again_and_again_records_every_request_exactly_once(
    own_chain: Chain, tmp_path: Path
) -> None:
    requests = some_requests(own_chain)
    run = Run(own_chain, tmp_path)
    for step in STEPS * 2:
        run.record(requests, "--failpoint", f"{step}:1", "--most-entries", "5")
    assert run.record(requests) == 0
    check_trail(own_chain, run, requests)


def test_what_was_journaled_is_recorded_although_nobody_asks_again(
    own_chain: Chain, tmp_path: Path
) -> None:
    requests = some_requests(own_chain)
    run = Run(own_chain, tmp_path)
    assert run.record(requests, "--failpoint", "after_journal") == -signal.SIGKILL
    assert accesses_on_chain(own_chain) == []
    assert run.record([]) == 0
    assert recorded_ids(own_chain, accesses_on_chain(own_chain)).total() == REQUESTS


@pytest.mark.parametrize("journaled", [True, False], ids=["journaled", "control"])
def test_acknowledged_accesses_survive_a_node_that_forgets_them_only_with_the_journal(
    tmp_path: Path, *, journaled: bool
) -> None:
    # The node never writes its state by itself here: a kill takes back every block since the
    # checkpoint, however many were final.
    settings = node_settings(tmp_path / "chain", state_interval=0)
    options = () if journaled else ("--without-journal",)
    with Node(settings) as node:
        chain = Chain(node)
        requests = some_requests(chain)
        node.checkpoint()
        run = Run(chain, tmp_path)
        assert run.record(requests, *options) == 0
        assert len(run.told) == REQUESTS
        node.kill()
        node.start()
        assert accesses_on_chain(chain) == []
        assert run.record([], *options) == 0
        found = recorded_ids(chain, accesses_on_chain(chain))
        chain.close()
    lost = [access for access in run.told if not found[access.access]]
    if journaled:
        assert lost == []
        assert set(found.values()) == {1}
    else:
        assert len(lost) == REQUESTS
