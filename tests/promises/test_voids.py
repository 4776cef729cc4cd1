"""A recorder that turned bad burns people's only use; a regulator finds it, and gives each back by one command."""

import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ledger.api.access import decode_result
from ledger.chain import contract_calls, contract_reads
from ledger.chain.deployment import write_deployment
from ledger.crypto.keyfile import MIN_SCRYPT_N
from ledger.errors import ExitCode
from ledger.hexstr import to_hex
from ledger.model import Outcome, Roles
from ledger.typed_data import struct_hash
from scripts.scenario import Chain, Party, Person
from tests.promises.test_whole_way import Town, good, problem
from tests.support.city import gateway_process, make_city
from tests.support.town import PASSWORD, Finished
from wallet.cli import main
from wallet.keystore import Keystore, Kind
from wallet.passwords import Password
from wallet.regulator.evidence import choose

pytestmark = pytest.mark.slow

PEOPLE = 200
WINDOW, AGE = 8, 10
Run = Callable[..., Finished]


@pytest.fixture
def town(own_chain: Chain, tmp_path: Path) -> Iterator[Town]:
    """A town in which accesses are released for some seconds only, and then over some seconds later."""
    own_chain.deployment = msgspec.structs.replace(
        own_chain.deployment, release_window=WINDOW, head_age=AGE
    )
    with (
        make_city(own_chain, tmp_path / "city") as city,
        gateway_process(city, tmp_path / "gateway", settings={"poll_interval": "0.02"}) as gateway,
    ):
        town = Town(city, gateway, {})
        yield town
        town.close()


@pytest.fixture
def audit(
    town: Town,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """The regulator's `audit` commands, with a node and the journals of gateway and keyholders."""
    monkeypatch.setenv("TEST_PASSWORD", PASSWORD)
    chain, home = town.city.chain, tmp_path / "regulator"
    keystore = Keystore(home / "keystore", scrypt_n=MIN_SCRYPT_N)
    key = chain.parties.regulator.private_key
    keystore.store("account", Kind.ETHEREUM_KEY, key, Password(PASSWORD))
    write_deployment(chain.deployment, tmp_path / "deployment.json")
    options = (
        *("--home", str(home), "--password", "env:TEST_PASSWORD"),
        *("--scrypt-n", str(MIN_SCRYPT_N), "--deployment", str(tmp_path / "deployment.json")),
        *("--node", chain.node.url, "--gateway", town.gateway.url),
    )

    def run(*arguments: str, holders: int = 3) -> Finished:
        journals = []
        for number, member in enumerate(chain.deployment.rosters[0].members[:holders]):
            file = town.city.keyholders.home_of(number) / "releases.ndjson"
            journals += ["--keyholder-journal", f"{to_hex(member)}={file}"]
        capsys.readouterr()
        command = [*options, "--json", "audit", *arguments, "--from-gateway", *journals]
        code = main(command)
        seen = capsys.readouterr()
        return Finished(code, seen.out, seen.err)

    return run


def granted_elsewhere(town: Town, person: Person, max_uses: int = 1) -> bytes:
    """Grant without the gateway, which has an account of its own."""
    chain, record = town.city.chain, town.city.authorization(person, max_uses=max_uses)
    chain.send(
        chain.parties.insurer, contract_calls.grant(record, chain.approval(record, person.subject))
    )
    return struct_hash(record)


def wait_until_over(town: Town) -> None:
    """Until what was recorded can be released no more, and each keyholder has noted a block since."""
    chain = town.city.chain
    over = chain.now() + WINDOW + AGE + WINDOW + 2
    while chain.now() < over:
        time.sleep(0.2)


def burn(town: Town, bases: list[bytes]) -> None:
    """Record what the bank never asked for, by a recorder that it named."""
    chain, bank = town.city.chain, town.city.terms.consumer
    thief = Party(f"A recorder that turned bad {secrets.token_hex(4)}", Roles.RECORDER)
    chain.admit(thief)
    chain.send(bank, contract_calls.name_recorder(thief.address))
    requests = [
        contract_calls.encode_request(town.city.submission(basis).request) for basis in bases
    ]
    group = contract_calls.RequestGroup(bank.address, tuple(requests))
    events = chain.accesses(chain.send(thief, contract_calls.record([group])))
    assert [event.outcome for event in events] == [Outcome.ALLOWED] * len(bases)
    chain.send(bank, contract_calls.dismiss_recorder(thief.address))


def test_burnt_uses_are_given_back_by_one_command_and_shown_to_person_and_consumer(
    town: Town, audit: Run
) -> None:
    chain, person = town.city.chain, town.city.person()
    town.publish()
    used = town.granted(person)
    assert decode_result(town.use(used).content).release is not None
    bases = [granted_elsewhere(town, person) for _ in range(PEOPLE - 1)]
    mine = town.granted(person)
    burn(town, [*bases, mine])
    denied = problem(town.use(mine), 403, "denied")
    assert denied["outcome"] == "UsesExhausted"

    report = audit("replay")
    assert report.code == ExitCode.NOT_VERIFIED
    assert {one["kind"] for one in report.document["findings"]} == {"unsigned access"}
    assert report.document["finding_count"] == PEOPLE

    # What was recorded a moment ago may still be served.
    assert audit("void", "--all", "--reason", "nobody signed it").document["uses"] == []
    wait_until_over(town)
    # Too few keyholders say what they did: nothing is shown, and so nothing is given back.
    assert audit("void", holders=1).document["uses"] == []
    shown = audit("void").document["uses"]
    # Its recorder keeps its journal back, if it has one: that nobody signed is not shown.
    assert [one["ground"] for one in shown] == ["never handed out"] * PEOPLE
    assert {one["transaction"] for one in shown} == {""}

    # What the bank signed and was given is not among them, however the regulator asks.
    wanted = str(shown[0]["sequence"])
    refused = audit("void", wanted, "1", "--reason", "nobody signed it")
    assert (refused.code, refused.error["kind"]) == (ExitCode.REFUSED, "NotVoidable")
    assert audit("void", wanted).code == ExitCode.BAD_INPUT  # no reason

    given = audit("void", "--all", "--reason", "nobody signed it").document["uses"]
    assert len(given) == PEOPLE
    assert all(one["transaction"] and one["last_use"] == 0 for one in given)
    left = [
        chain.rpc.send(contract_reads.grant_of(chain.contracts, basis)).uses_left for basis in bases
    ]
    assert left == [1] * len(bases)
    report = audit("replay")
    assert (report.code, report.document["clean"]) == (ExitCode.DONE, True)
    assert (report.document["voids"], report.document["unchecked_voids"]) == (PEOPLE, 0)

    history = entries(town, person.subject)
    events = [one for one in history if one["kind"] == "AccessVoided"]
    assert len(events) == PEOPLE
    accesses = {one["sequence"]: one["voided"] for one in history if one["kind"] == "access"}
    assert {event["sequence"] for event in events} == {
        access for access in accesses if accesses[access]
    }
    assert not accesses[1]
    consumers = good(town.bank.get("/v1/accesses"))["accesses"]
    assert {consumer["voided"] for consumer in consumers if consumer["basis"] == to_hex(mine)} == {
        True,
        False,
    }

    result = decode_result(town.use(mine).content)
    assert result.release is not None


def test_a_use_between_replay_and_void_stands_and_the_others_are_given_back(
    town: Town, audit: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain, person = town.city.chain, town.city.person()
    town.publish()
    bases = [granted_elsewhere(town, person, max_uses=3) for _ in range(3)]
    burn(town, bases)
    busy = bases[1]
    wait_until_over(town)

    def late(found: Any, wanted: Any) -> Any:
        burn(town, [busy])
        return choose(found, wanted)

    with monkeypatch.context() as patch:
        patch.setattr("wallet.cli.audit.choose", late)
        given = audit("void", "--all", "--reason", "nobody signed it")
    assert given.code == ExitCode.REFUSED
    assert {one["authorization"] for one in given.document["uses"]} == {
        to_hex(basis) for basis in bases if basis != busy
    }
    (passed,) = given.document["passed_over"]
    assert "UsedSince" in passed["problem"]
    left = [chain.rpc.send(contract_reads.grant_of(chain.contracts, basis)) for basis in bases]
    assert [one.uses_left for one in left] == [3, 1, 3]
    assert left[1].last_use > 0
    assert {one["kind"] for one in audit("replay").document["findings"]} == {"unsigned access"}


def entries(town: Town, subject: Any) -> list[dict[str, Any]]:
    """The person's whole history."""
    citizen, found, cursor = town.as_subject(subject), [], ""
    while True:
        page = good(citizen.get(f"/v1/history{cursor}"))
        found += page["entries"]
        if page["cursor"] is None:
            return found
        cursor = f"?cursor={page['cursor']}"
