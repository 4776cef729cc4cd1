"""SIGTERM amid accesses: whatever is under way gets its answer, nothing new is taken, nothing is lost."""

import os
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from ledger.api import Submissions
from ledger.api.access import decode_result, decode_results, encode_submissions
from ledger.chain import eth_methods
from ledger.chain.events import Accessed
from ledger.chain.events.decoder import EventDecoder
from ledger.chain.events.identifiers import access_id
from ledger.typed_data import struct_hash
from tests.promises.test_whole_way import Town
from tests.support.city import City, gateway_process

pytestmark = pytest.mark.slow

SINGLES, LISTS, IN_LIST = 8, 2, 5


def in_flight(url: str) -> int:
    """Requests under way but for the one that asks."""
    for line in httpx.get(f"{url}/metrics").text.splitlines():
        if line.startswith("quancheng_requests_in_flight "):
            return int(float(line.split()[1])) - 1
    raise AssertionError("there is no such metric")


def until_refused(url: str) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            httpx.get(f"{url}/healthz")
        except httpx.TransportError:
            return
        time.sleep(0.02)
    raise AssertionError("it still takes connections")


def recorded(city: City, basis: bytes) -> Counter[bytes]:
    chain = city.chain
    newest = chain.rpc.send(eth_methods.block_number())
    logs = chain.rpc.send(eth_methods.logs(0, newest, [chain.contracts.access_log]))
    events = EventDecoder(chain.contracts).decode_all(logs)
    return Counter(
        access_id(event) for event in events if isinstance(event, Accessed) and event.basis == basis
    )


def test_a_gateway_told_to_stop_answers_all_that_is_under_way(city: City, tmp_path: Path) -> None:
    node = city.chain.node.pid
    assert node is not None
    with gateway_process(city, tmp_path / "gateway") as gateway:
        town = Town(city, gateway, {})
        person = city.person()
        town.publish()
        basis = town.granted(person, max_uses=100)
        sizes = [1] * SINGLES + [IN_LIST] * LISTS
        groups = [tuple(city.submission(basis) for _ in range(size)) for size in sizes]
        bodies = [
            encode_submissions(Submissions(group, single=len(group) == 1)) for group in groups
        ]
        os.kill(node, signal.SIGSTOP)  # so that nothing is done before the signal
        try:
            with ThreadPoolExecutor(len(bodies)) as pool:
                running = [pool.submit(town.send, body) for body in bodies]
                until = time.monotonic() + 20
                while in_flight(gateway.url) < len(bodies):
                    assert time.monotonic() < until, "not all came in"
                gateway.process.send_signal(signal.SIGTERM)
                until_refused(gateway.url)
                os.kill(node, signal.SIGCONT)
                answers = [one.result() for one in running]
        finally:
            os.kill(node, signal.SIGCONT)
        # uvicorn raises the signal again when all is done.
        assert gateway.process.wait(30) == 0
        town.close()
    assert {answer.status_code for answer in answers} == {httpx.codes.OK}
    results = [decode_result(answer.content) for answer in answers[:SINGLES]]
    results += [result for answer in answers[SINGLES:] for result in decode_results(answer.content)]
    asked = [struct_hash(one.request) for group in groups for one in group]
    assert [result.recorded.access for result in results if result.recorded is not None] == asked
    assert all(city.open(result) for result in results)
    assert recorded(city, basis) == Counter(asked)
