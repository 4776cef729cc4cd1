"""A consumer that follows revocations sees whether its gateway leaves one out, adds or changes one."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from ledger.api.supervision import LogShown, RevocationLogs
from ledger.chain import eth_methods
from ledger.chain.contract_reads import event_state
from ledger.chain.embedded import Node
from ledger.chain.events import Revoked, SubjectFrozen
from ledger.chain.log_reader import timed
from ledger.model import EventState
from scripts.scenario import Chain
from tests.support.chain import node_settings
from wallet.client.calls import HttpCall
from wallet.client.errors import ClientError
from wallet.client.feeds import CheckedEndings
from wallet.client.transports import Client, Endpoints

Tamper = Callable[[list[LogShown]], list[LogShown]]


@pytest.fixture(scope="module")
def module_chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    with Node(node_settings(tmp_path_factory.mktemp("chain"), state_interval=0)) as node:
        chain = Chain(node)
        yield chain
        chain.close()


@pytest.fixture(scope="module")
def told(module_chain: Chain) -> list[LogShown]:
    """What an honest gateway tells of a chain with revocations and a freeze."""
    chain = module_chain
    terms = chain.personal_terms()
    first, second = chain.register_subjects(2)
    for subject in (first, second):
        basis = chain.grant(subject, chain.authorization(subject, terms))
        chain.send(chain.parties.recorder, chain.revoke_call(subject, basis))
    chain.send(chain.parties.recorder, chain.freeze_call(first))
    newest = chain.block_number()
    logs = chain.rpc.send(eth_methods.logs(0, newest, [chain.contracts.authorizations]))
    return [
        LogShown(
            block_number=int(log.block_number, 16),
            block_hash=log.block_hash,
            at=int(log.block_timestamp or "0x0", 16),
            transaction=log.transaction_hash,
            log_index=int(log.log_index, 16),
            topics=log.topics,
            data=log.data,
        )
        for log in chain.rpc.run(timed, logs)
    ]


def page(chain: Chain, logs: list[LogShown]) -> RevocationLogs:
    return RevocationLogs(tuple(logs), chain.deployment.block_number, told_to(logs))


def told_to(logs: list[LogShown]) -> int:
    return max(log.block_number for log in logs)


def take(endings: CheckedEndings, answer: RevocationLogs) -> tuple[object, ...]:
    """Let the gateway answer."""
    steps = endings.more()
    assert isinstance(steps.send(None), HttpCall)
    with pytest.raises(StopIteration) as done:
        steps.send(answer)
    return tuple(done.value.value)


def test_an_honest_feed_is_whole_and_agrees_with_the_contract(
    module_chain: Chain, told: list[LogShown]
) -> None:
    chain, endings = module_chain, CheckedEndings(module_chain.deployment)
    found = take(endings, page(chain, told))
    assert [type(one) for one in found] == [Revoked, Revoked, SubjectFrozen]
    assert endings.last_block == told_to(told)
    state = chain.rpc.send(event_state(chain.contracts.authorizations))
    assert endings.state == state
    endings.verify(state)
    with Client(Endpoints("http://127.0.0.1:9", node=chain.node.url)) as client:
        client.run(endings.verify_with_node())


def test_a_feed_goes_on_where_it_was(module_chain: Chain, told: list[LogShown]) -> None:
    chain, whole = module_chain, CheckedEndings(module_chain.deployment)
    block = told[2].block_number
    earlier = [log for log in told if log.block_number <= block]
    later = [log for log in told if log.block_number > block]
    take(whole, page(chain, earlier))
    again = CheckedEndings(chain.deployment, whole.state, whole.last_block)
    take(again, RevocationLogs(tuple(later), block + 1, told_to(later)))
    assert again.state == chain.rpc.send(event_state(chain.contracts.authorizations))
    assert take(again, RevocationLogs((), again.last_block + 1, again.last_block)) == ()


def place_of(told: list[LogShown]) -> int:
    """Where the first revocation is."""
    topic = told[-2].topics[0]
    return next(place for place, log in enumerate(told) if log.topics[0] == topic)


def leave_out(logs: list[LogShown]) -> list[LogShown]:
    place = place_of(logs)
    return [*logs[:place], *logs[place + 1 :]]


def repeat(logs: list[LogShown]) -> list[LogShown]:
    place = place_of(logs)
    return [*logs[:place], logs[place], *logs[place:]]


def exchange(logs: list[LogShown]) -> list[LogShown]:
    return [*logs[:-2], logs[-1], logs[-2]]


def spoil(logs: list[LogShown]) -> list[LogShown]:
    return [*logs[:-1], replace(logs[-1], data="0xzz")]


def of_another_contract(logs: list[LogShown]) -> list[LogShown]:
    return [*logs[:-1], replace(logs[-1], topics=("0x" + "11" * 32,))]


def of_a_block_to_come(logs: list[LogShown]) -> list[LogShown]:
    ahead = replace(logs[-1], block_number=-1)
    return [*logs[:-1], ahead]


@pytest.mark.parametrize(
    "tamper", [leave_out, repeat, exchange, spoil, of_another_contract, of_a_block_to_come]
)
def test_what_is_left_out_added_or_in_another_order_is_found_at_once(
    module_chain: Chain, told: list[LogShown], tamper: Tamper
) -> None:
    endings = CheckedEndings(module_chain.deployment)
    steps = endings.more()
    steps.send(None)
    with pytest.raises(ClientError):
        steps.send(page(module_chain, tamper(told)))
    assert endings.state == EventState(0, bytes(24))


def forge(logs: list[LogShown]) -> list[LogShown]:
    """The first revocation becomes one of another id."""
    place = place_of(logs)
    log = logs[place]
    topics = (log.topics[0], "0x" + "77" * 32, *log.topics[2:])
    return [*logs[:place], replace(log, topics=topics), *logs[place + 1 :]]


def cut(logs: list[LogShown]) -> list[LogShown]:
    return logs[:-1]


@pytest.mark.parametrize("tamper", [forge, cut])
def test_what_is_changed_or_cut_is_found_by_the_contracts_own_word(
    module_chain: Chain, told: list[LogShown], tamper: Tamper
) -> None:
    endings = CheckedEndings(module_chain.deployment)
    first = module_chain.deployment.block_number
    take(endings, RevocationLogs(tuple(tamper(told)), first, told_to(told)))
    state = module_chain.rpc.send(event_state(module_chain.contracts.authorizations))
    with pytest.raises(ClientError):
        endings.verify(state)


def test_blocks_that_were_passed_over_are_found(module_chain: Chain, told: list[LogShown]) -> None:
    endings = CheckedEndings(module_chain.deployment)
    steps = endings.more()
    steps.send(None)
    with pytest.raises(ClientError, match="blocks from"):
        steps.send(RevocationLogs((), module_chain.deployment.block_number + 5, 99))
