"""No recorder spends a consumer's grants unless the consumer named it, and no consumer can spoil others'.

Attacked as a recorder that was admitted and that nobody named, and as a consumer that takes its naming
back while the gateway believes in it.
"""

import secrets
import time
from collections.abc import Iterator

import httpx
import pytest

from ledger.api import KeyedSubmission, Refusal, Submissions
from ledger.api.access import encode_submissions
from ledger.chain import contract_calls, contract_reads
from ledger.hexstr import to_hex
from ledger.model import Outcome, Roles
from ledger.typed_data import AccessRequest
from scripts.answer_keys import DrawnKeys
from scripts.scenario import Party, Person
from tests.promises.test_whole_way import Town, good, problem
from tests.support import more_views
from tests.support.city import City, gateway_process
from wallet.client.errors import ErrorKind, ProblemError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def town(city: City, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    home = tmp_path_factory.mktemp("gateway")
    with gateway_process(city, home, settings={"poll_interval": "0.02"}) as gateway:
        town = Town(city, gateway, {})
        yield town
        town.close()


@pytest.fixture(scope="module")
def person(town: Town) -> Person:
    person = town.city.person()
    town.publish()
    return person


@pytest.fixture
def basis(town: Town, person: Person) -> bytes:
    return town.granted(person, max_uses=2)


def newcomer(town: Town) -> Party:
    """A consumer that has named nobody, and that the gateway knows."""
    chain, party = town.city.chain, Party(f"Newcomer {secrets.token_hex(4)}", Roles.CONSUMER)
    chain.send(
        chain.parties.authority, contract_calls.admit(party.address, party.roles, party.name)
    )
    while httpx.get(f"{town.gateway.url}/v1/parties/{to_hex(party.address)}").status_code != 200:
        chain.wait_for_block()
    chain.wait_for_block()
    return party


def submission_of(town: Town, consumer: Party, basis: bytes) -> KeyedSubmission:
    """A consumer's request on anything; an authorization of the bank is denied to it."""
    chain = town.city.chain
    keys = DrawnKeys(chain.deployment.domain_of(AccessRequest), consumer.address)
    return keys.submission(
        consumer.private_key, basis, fields=0b101, deadline=int(time.time()) + 600
    )


def one(submission: KeyedSubmission) -> bytes:
    return encode_submissions(Submissions((submission,), single=True))


def accesses(town: Town) -> int:
    """How many there are on chain."""
    chain = town.city.chain
    return chain.rpc.send(contract_reads.log_state(chain.contracts)).sequence


def test_who_named_nobody_is_told_what_to_do_before_anything_is_recorded(
    town: Town, basis: bytes
) -> None:
    chain = town.city.chain
    party, before = newcomer(town), accesses(town)
    recorder = chain.parties.recorder.address
    signed = one(submission_of(town, party, basis))
    refused = problem(town.send(signed), 403, "recorder-not-named")
    assert refused["recorder"] == to_hex(recorder)
    assert f"quancheng consumer recorder name {to_hex(recorder)}" in refused["detail"]
    said = ProblemError(
        Refusal(refused["type"], refused["title"], refused["status"], refused["detail"])
    )
    assert said.kind == ErrorKind.RECORDER_NOT_NAMED
    assert accesses(town) == before
    # Once it is named, the same bytes are taken.
    chain.send(party, contract_calls.name_recorder(recorder))
    assert problem(town.send(signed), 403, "denied")["outcome"] == "ConsumerMismatch"


def test_naming_taken_back_behind_the_gateways_back_costs_no_use_and_no_other_consumer(
    town: Town, basis: bytes
) -> None:
    chain, bank = town.city.chain, town.city.terms.consumer
    recorder, party = chain.parties.recorder.address, newcomer(town)
    chain.send(party, contract_calls.name_recorder(recorder))
    good(town.send(one(town.city.submission(basis))))
    problem(town.send(one(submission_of(town, party, basis))), 403, "denied")
    before = accesses(town)
    # The gateway has just asked, so it believes that both named it.
    chain.send(bank, contract_calls.dismiss_recorder(recorder))
    try:
        mixed = (town.city.submission(basis), submission_of(town, party, basis))
        answer = town.send(encode_submissions(Submissions(mixed, single=False)))
        passed_over, other = good(answer)["results"]
        assert passed_over["problem"]["type"] == "urn:quancheng:problem:recorder-not-named"
        assert passed_over["access"] is None
        assert other["access"]["outcome"] == Outcome.CONSUMER_MISMATCH
        assert accesses(town) == before + 1
        assert chain.rpc.send(contract_reads.grant_of(chain.contracts, basis)).uses_left == 1
    finally:
        chain.send(bank, contract_calls.name_recorder(recorder))
    # The same signed request again is the one use.
    good(town.send(one(mixed[0])))
    assert chain.rpc.send(contract_reads.grant_of(chain.contracts, basis)).uses_left == 0


def test_a_recorder_that_nobody_named_spends_no_use_and_no_nonce(town: Town, basis: bytes) -> None:
    chain = town.city.chain
    thief = Party(f"Recorder {secrets.token_hex(4)}", Roles.RECORDER)
    chain.admit(thief)
    request = town.city.submission(basis).request
    before = accesses(town)
    group = contract_calls.RequestGroup(request.consumer, (contract_calls.encode_request(request),))
    assert chain.accesses(chain.send(thief, contract_calls.record([group]))) == []
    assert accesses(town) == before
    assert chain.rpc.send(contract_reads.grant_of(chain.contracts, basis)).uses_left == 2
    assert not chain.rpc.send(
        more_views.nonce_used(chain.contracts, request.consumer, request.nonce)
    )


def test_the_gateway_tells_everybody_that_the_deployment_is_a_trial(town: Town) -> None:
    told = good(httpx.get(f"{town.gateway.url}/v1/deployment"))
    assert (told["trial"], told["admissionDelay"]) == (True, 0)
