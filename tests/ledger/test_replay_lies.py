"""Nothing is missing, of all events: what a node or a trail leaves out, adds or changes is found.

A proxy before the real node lies as well as it can: it renumbers the logs of a block after one is gone,
and lets the contracts say of themselves what suits it.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ledger.chain import eth_methods
from ledger.chain.contract_calls import encode_call
from ledger.chain.events import Accessed
from ledger.chain.events.decoder import EventDecoder
from ledger.chain.events.identifiers import access_id
from ledger.chain.finality import Finality
from ledger.hexstr import to_hex
from ledger.replay.journal_check import ReleaseEntry
from ledger.replay.releases import Judged
from ledger.replay.report import End, Kind, KnownEnd
from ledger.replay.sources import end_at, export_trail, newest_final, replay_node, replay_trail
from tests.support.copies import MemoryJournal
from tests.support.lies import (
    History,
    Tamper,
    ask,
    changed,
    history,
    log_of,
    renumbered,
    repeated,
    without,
)
from tests.support.node_proxy import honest

__all__ = ["history"]


def test_the_honest_node_replays_clean(history: History) -> None:
    report = history.replayed(lambda logs: logs)
    assert report.findings == ()
    assert report.end == history.end
    assert report.end_check == "NOT CHECKED: whether this is the end"
    names = ("Revoked", "RestrictionAppealed", "OrderReviewed", "Published", "Applied", "Accessed")
    assert all(history.places(name) for name in names)


@pytest.mark.parametrize("tamper", [without, repeated, changed])
def test_every_log_that_a_node_leaves_out_adds_or_changes_is_found(
    history: History, tamper: Callable[[int], Tamper]
) -> None:
    for place in history.telling(tamper):
        report = history.replayed(tamper(place))
        assert not report.is_clean, history.logs[place]
        assert report.finding_count < 40


@pytest.mark.parametrize("name", ["Revoked", "RestrictionAppealed", "OrderReviewed", "Published"])
def test_an_event_on_which_no_decision_depends_is_missed_by_its_number(
    history: History, name: str
) -> None:
    """S4: each of these could be left out, and nothing found it."""
    (place,) = history.places(name)
    found = {finding.kind for finding in history.replayed(without(place)).findings}
    assert found & {Kind.MISSING_EVENT, Kind.OTHER_END}


def test_the_last_event_of_a_contract_is_missed_by_the_count(history: History) -> None:
    (place,) = history.places("OrderReviewed")
    found = [
        finding
        for finding in history.replayed(without(place)).findings
        if finding.kind is Kind.OTHER_END
    ]
    assert len(found) == 1
    assert "Catalogue ends at event" in found[0].problem


def test_replay_goes_on_behind_a_gap(history: History) -> None:
    """One event left out is not found again at every event that follows."""
    place = history.places("PartyAdmitted")[2]
    kinds = [finding.kind for finding in history.replayed(without(place)).findings]
    assert kinds.count(Kind.MISSING_EVENT) == 1


# In a trail file


@pytest.fixture
def trail(history: History, tmp_path: Path) -> Path:
    history.proxy.lie = honest
    path = tmp_path / "trail.jsonl"
    export_trail(history.rpc, history.chain.deployment, path)
    return path


def rewritten(path: Path, tamper: Tamper, end: End | None = None) -> Path:
    first, *lines, last = path.read_bytes().splitlines()
    logs = tamper([json.loads(line) for line in lines])
    footer = {**json.loads(last), "logs": len(logs)}
    if end is not None:
        footer |= {"sequence": end.sequence, "head": to_hex(end.head)}
        names = ("registry", "catalogue", "agreements", "authorizations")
        for name, state in zip(names, end.events, strict=True):
            footer[name] = {"count": state.count, "head": to_hex(state.head)}
    texts = [json.dumps(log, separators=(",", ":")).encode() for log in [*logs, footer]]
    path.write_bytes(b"\n".join([first, *texts]) + b"\n")
    return path


@pytest.mark.parametrize("tamper", [without, repeated, changed])
def test_every_line_that_a_trail_leaves_out_adds_or_changes_is_found(
    history: History, trail: Path, tamper: Callable[[int], Tamper], tmp_path: Path
) -> None:
    whole = trail.read_bytes()
    assert replay_trail(trail, history.chain.deployment).is_clean
    for place in history.telling(tamper):
        trail.write_bytes(whole)
        report = replay_trail(rewritten(trail, tamper(place)), history.chain.deployment)
        assert not report.is_clean, history.logs[place]


# Cut at the end


def test_a_trail_that_is_cut_and_made_to_look_whole_is_found_by_a_known_end_only(
    history: History, trail: Path
) -> None:
    deployment, known = history.chain.deployment, history.end.known
    place = history.places("OrderReviewed")[0]
    shorter = replay_trail(rewritten(trail, lambda logs: logs[:place]), deployment).end
    assert shorter.known.number < known.number
    path = rewritten(trail, lambda logs: logs, shorter)
    report = replay_trail(path, deployment)
    assert report.is_clean
    assert report.end_check == "NOT CHECKED: whether this is the end"
    (finding,) = replay_trail(path, deployment, known_end=known).findings
    assert finding.kind is Kind.OTHER_END
    assert f"before number {known.number}" in finding.problem


def test_a_trail_that_passes_a_known_end_says_what_is_not_checked(
    history: History, trail: Path
) -> None:
    deployment, known = history.chain.deployment, history.end.known
    report = replay_trail(trail, deployment, known_end=known)
    assert (report.is_clean, report.end_check) == (True, "as named")
    place = history.places("OrderReviewed")[0]
    whole = trail.read_bytes()
    earlier = replay_trail(rewritten(trail, lambda logs: logs[:place]), deployment).end.known
    trail.write_bytes(whole)
    report = replay_trail(trail, deployment, known_end=earlier)
    assert report.is_clean
    assert report.end_check == (
        f"passes number {earlier.number} as named; NOT CHECKED: whether this is the end"
    )


@pytest.mark.parametrize("step", [-1, 0, 1])
def test_a_known_end_with_another_head_or_number_is_a_finding(
    history: History, trail: Path, step: int
) -> None:
    known = history.end.known
    head = known.head if step else bytes(32)
    other = KnownEnd(known.number + step, head)
    report = replay_trail(trail, history.chain.deployment, known_end=other)
    assert {finding.kind for finding in report.findings} == {Kind.OTHER_END}


def cut_at(history: History, block: int) -> Callable[[str, list[Any], Any], Any]:
    """Lie as a node that stands still at a block, or hides what came after it."""
    history.proxy.lie = honest
    newest = ask(history.proxy, "eth_getBlockByNumber", hex(block), False)

    def lie(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getBlockByNumber":
            if params[0] in ("latest", "finalized"):
                return newest
            return result if int(params[0], 16) <= block else None
        if method == "eth_getLogs":
            return [log for log in result if int(log["blockNumber"], 16) <= block]
        return result

    return lie


def test_a_node_that_stays_behind_is_found_by_a_known_end(history: History) -> None:
    chain, known = history.chain, history.end.known
    block = int(history.logs[history.places("OrderReviewed")[0]]["blockNumber"], 16) - 1
    history.proxy.lie = cut_at(history, block)
    report = replay_node(history.rpc, chain.deployment)
    assert report.is_clean
    assert report.end_check == "NOT CHECKED: whether this is the end"
    (finding,) = replay_node(history.rpc, chain.deployment, known_end=known).findings
    assert finding.kind is Kind.OTHER_END


def noted(history: History, block: int, hash_: bytes | None = None) -> MemoryJournal:
    """A keyholder's journal with one release, which notes a block."""
    decoder = EventDecoder(history.chain.contracts)
    access = decoder.decode(log_of(history.logs[history.places("Accessed")[0]]))
    assert isinstance(access, Accessed)
    found = history.chain.rpc.send(eth_methods.block(block))
    assert found is not None
    judged = Judged(found.timestamp, block, hash_ or found.hash)
    entry = ReleaseEntry(access_id(access), 1, None, None, released=True, judged=judged)
    return MemoryJournal([entry], "keyholder 1")


def test_a_node_that_stays_behind_is_found_by_blocks_that_keyholders_noted(
    history: History,
) -> None:
    chain = history.chain
    last = int(history.logs[-1]["blockNumber"], 16)
    journals = [noted(history, last)]
    history.proxy.lie = honest
    report = replay_node(history.rpc, chain.deployment, journals)
    assert report.end_check == f"not before block {last}, the newest that keyholders noted"
    history.proxy.lie = cut_at(history, last - 1)
    report = replay_node(history.rpc, chain.deployment, journals)
    assert Kind.OTHER_END in {finding.kind for finding in report.findings}
    assert report.end_check == "NOT CHECKED: whether this is the end"


def test_a_node_without_a_block_that_a_keyholder_noted_is_a_finding(history: History) -> None:
    history.proxy.lie = honest
    last = int(history.logs[-1]["blockNumber"], 16)
    journals = [noted(history, last, b"\x05" * 32)]
    report = replay_node(history.rpc, history.chain.deployment, journals)
    found = [finding for finding in report.findings if finding.kind is Kind.OTHER_BLOCK]
    assert found
    assert {one.source for one in found} == {"keyholder 1"}
    assert report.end_check == "NOT CHECKED: whether this is the end"


def test_newest_events_left_out_with_states_to_match_are_found_by_a_known_end_only(
    history: History,
) -> None:
    """The limit that docs/spec/access-log.md tells: blocks alone do not show it."""
    chain, block = history.chain, int(history.logs[-1]["blockNumber"], 16)
    place = history.places("OrderReviewed")[0]
    before = int(history.logs[place]["blockNumber"], 16) - 1
    old = end_at(chain.rpc, chain.contracts, before)
    selector = to_hex(encode_call("AccessLog", "state"))

    def lie(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getLogs":
            gone = to_hex(chain.contracts.catalogue)
            kept = [
                log
                for log in result
                if log["address"] != gone or int(log["blockNumber"], 16) <= before
            ]
            return renumbered(kept)
        of_catalogue = {"to": to_hex(chain.contracts.catalogue), "data": selector}
        if method == "eth_call" and params[0] == of_catalogue:
            return to_hex(old.catalogue.count.to_bytes(32, "big") + old.catalogue.head + bytes(8))
        return result

    history.proxy.lie = lie
    journals = [noted(history, block)]
    report = replay_node(history.rpc, chain.deployment, journals)
    assert Kind.OTHER_END not in {finding.kind for finding in report.findings}
    report = replay_node(history.rpc, chain.deployment, journals, known_end=history.end.known)
    assert Kind.OTHER_END in {finding.kind for finding in report.findings}


def test_the_newest_block_is_the_finals(history: History) -> None:
    history.proxy.lie = honest
    block = newest_final(history.rpc, Finality.depth(0))
    assert end_at(history.rpc, history.chain.contracts, block.number).known == history.end.known
