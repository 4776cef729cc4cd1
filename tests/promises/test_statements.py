"""What a person saw is what is enforced: by gateway, keyholders and replay, each on its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from ledger.api import (
    Consent,
    KeyedSubmission,
    Location,
    Refusal,
    SealedParts,
    Submissions,
    encode_proof,
)
from ledger.api.access import decode_result, encode_submissions
from ledger.api.keyholder import (
    decode_answers,
    encode_bare_records,
    encode_task,
    encode_tasks,
    with_authorization,
)
from ledger.chain import contract_calls
from ledger.chain.events import Accessed
from ledger.chain.events.identifiers import access_id
from ledger.crypto.merkle import MerkleTree
from ledger.hexstr import to_hex
from ledger.model import Outcome
from ledger.replay.journal_check import Journal, JournalFault, ReleaseEntry
from ledger.replay.report import Kind, ReplayReport
from ledger.replay.sources import replay_node
from ledger.typed_data import Authorization, struct_hash
from scripts.scenario import ALL_FIELDS, Chain, Person
from scripts.statements import CASE_NUMBER
from tests.promises.test_whole_way import Town, good, problem
from tests.support.city import gateway_process, make_city
from tests.support.provider import prove_owner
from wallet.regulator.journals import GatewayJournal

pytestmark = pytest.mark.slow

PROBLEM = "urn:quancheng:problem:"
OTHER_NAME = "Bank of Another Name"


@pytest.fixture
def town(own_chain: Chain, tmp_path: Path) -> Iterator[Town]:
    with (
        make_city(own_chain, tmp_path / "city") as city,
        gateway_process(city, tmp_path / "gateway", settings={"poll_interval": "0.02"}) as gateway,
    ):
        town = Town(city, gateway, {})
        yield town
        town.close()


def unseen(town: Town, person: Person) -> Authorization:
    """Twelve fields and a thousand uses, in the words of one field, once."""
    small = town.city.authorization(person, fields=1)
    return msgspec.structs.replace(small, fields=ALL_FIELDS, max_uses=1000)


def granted_past(town: Town, person: Person, record: Authorization) -> bytes:
    """Bring an authorization on chain by a node, and let the gateway hear of it."""
    chain = town.city.chain
    # Not by the recorder's account, which is the gateway's.
    chain.send(chain.parties.authority, chain.grant_call(person.subject, record))
    wait_for(town, struct_hash(record))
    return struct_hash(record)


def wait_for(town: Town, authorization: bytes) -> None:
    regulator = town.as_party(town.city.chain.parties.regulator)
    where = f"/v1/trace?authorization={to_hex(authorization)}"
    while not good(regulator.get(where))["authorizations"]:
        town.city.chain.wait_for_block()


def use(
    town: Town, basis: bytes, consent: Consent | None = None
) -> tuple[KeyedSubmission, httpx.Response]:
    submission = msgspec.structs.replace(town.city.submission(basis, fields=1), consent=consent)
    body = encode_submissions(Submissions((submission,), single=True))
    return submission, town.send(body)


def uses_of(town: Town) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = good(town.bank.get("/v1/accesses"))["accesses"]
    return found


def task_of(town: Town, person: Person, submission: KeyedSubmission, location: Location) -> bytes:
    """What a gateway would tell keyholders of an access to all records of a person."""
    records = sorted(town.city.records, key=lambda one: (one.owner, one.number))
    entries = [record.entry() for record in records]
    tree = MerkleTree.of(entry.leaf() for entry in entries)
    own = [record.excerpt(()) for record in records if record.owner == person.owner]
    return encode_task(
        submission,
        location,
        dataset=town.city.terms.dataset,
        publication=1,
        records=encode_bare_records(own),
        proof=encode_proof(prove_owner(tree, entries, person.owner)),
        link=person.link,
    )


def everybody(town: Town, task: bytes) -> list[SealedParts | Refusal]:
    """Ask every keyholder, once its node has the access."""
    answers: list[SealedParts | Refusal] = []
    for url in town.city.keyholders.urls:
        body = encode_tasks([task])
        answer = httpx.post(f"{url}/v1/releases", content=body, timeout=30)
        answers += decode_answers(answer.content, 1)
    return answers


def types(answers: list[SealedParts | Refusal]) -> list[str]:
    return [answer.type if isinstance(answer, Refusal) else "sealed" for answer in answers]


def journal_of(town: Town, path: Path) -> Journal:
    regulator = town.as_party(town.city.chain.parties.regulator)
    path.write_bytes(regulator.get("/v1/journal").content)
    return GatewayJournal(path)


def replayed(town: Town, *journals: Journal) -> ReplayReport:
    return replay_node(town.city.chain.rpc, town.city.chain.deployment, journals)


def rename(town: Town, name: str) -> None:
    chain, bank = town.city.chain, town.city.terms.consumer
    chain.send(chain.parties.authority, contract_calls.admit(bank.address, bank.roles, name))


# Words for one field, once


def test_a_gateway_does_not_relay_what_the_person_did_not_see(town: Town) -> None:
    person = town.city.person()
    record = unseen(town, person)
    problem(town.relay(person, record), 409, "statement-mismatch")
    regulator = town.as_party(town.city.chain.parties.regulator)
    where = f"/v1/trace?authorization={to_hex(struct_hash(record))}"
    assert good(regulator.get(where))["authorizations"] == []
    good(town.relay(person, town.city.authorization(person, fields=1)))


def test_what_was_granted_past_the_gateway_is_refused_before_it_is_recorded(town: Town) -> None:
    person = town.city.person()
    town.publish()
    record = unseen(town, person)
    basis = granted_past(town, person, record)
    problem(use(town, basis)[1], 409, "statement-missing")
    problem(use(town, basis, Consent(record, person.link))[1], 409, "statement-missing")
    assert uses_of(town) == []


def test_a_consumer_brings_what_the_gateway_lacks(town: Town) -> None:
    person = town.city.person()
    town.publish()
    record = town.city.authorization(person, max_uses=2)
    basis = granted_past(town, person, record)
    problem(use(town, basis)[1], 409, "statement-missing")
    problem(use(town, basis, Consent(record))[1], 409, "link-missing")
    assert uses_of(town) == []
    _, answer = use(town, basis, Consent(record, person.link))
    assert len(town.city.open(decode_result(answer.content))) == 2
    assert use(town, basis)[1].status_code == 200  # it is here now
    assert len(uses_of(town)) == 2


def test_each_keyholder_refuses_it_from_a_gateway_that_lies(town: Town) -> None:
    city, chain = town.city, town.city.chain
    person = city.person()
    town.publish()
    right = city.authorization(person, max_uses=2)
    wrong = unseen(town, person)
    for record in (wrong, right):
        basis = granted_past(town, person, record)
        submission = city.submission(basis, fields=1)
        (access,) = chain.record([submission.request])
        assert access.outcome is Outcome.ALLOWED
        where = Location(access.block.number, access.transaction, access.log_index)
        task = task_of(town, person, submission, where)
        assert types(everybody(town, task)) == [PROBLEM + "statement-wanted"] * 3
        honest_words = city.authorization(person, fields=ALL_FIELDS, max_uses=1000)
        reworded = msgspec.structs.replace(wrong, statement=honest_words.statement)
        for lie in (wrong, reworded, honest_words):
            answers = everybody(town, with_authorization(task, lie))
            assert types(answers) == [PROBLEM + "statement-wrong"] * 3
            assert CASE_NUMBER not in str(answers)
    # The honest one is released once it is told, and told once.
    assert types(everybody(town, with_authorization(task, right))) == ["sealed"] * 3
    assert types(everybody(town, task)) == ["sealed"] * 3


def test_replay_finds_it_and_says_what_it_could_not_check(town: Town, tmp_path: Path) -> None:
    city = town.city
    person = city.person()
    town.publish()
    town.use(town.granted(person))
    wrong, unknown = unseen(town, person), city.authorization(person)
    told = [city.submission(granted_past(town, person, one), fields=1) for one in (wrong, unknown)]
    access, _ = city.chain.record([one.request for one in told])
    journal = journal_of(town, tmp_path / "journal.ndjson")
    lines = (tmp_path / "journal.ndjson").read_text().splitlines()
    assert [CASE_NUMBER in line for line in lines] == [True, False]  # the last says where it ends
    report = replayed(town, journal)
    assert (report.statements, report.unseen_statements) == (1, 2)
    assert "NOT CHECKED: 2" in report.statement_check
    assert Kind.WRONG_STATEMENT not in {finding.kind for finding in report.findings}

    # A gateway that recorded it all the same, and hands over its journal.
    report = replayed(town, journal, Told(wrong, access, told[0]))
    found = [finding for finding in report.findings if finding.kind is Kind.WRONG_STATEMENT]
    assert [(one.source, one.sequence) for one in found] == [("told", access.sequence)]
    assert to_hex(struct_hash(wrong)) in found[0].problem
    assert (report.statements, report.unseen_statements) == (1, 1)


def test_neither_journal_nor_log_of_a_keyholder_holds_a_case_number(town: Town) -> None:
    person = town.city.person()
    town.publish()
    assert town.use(town.granted(person)).status_code == 200
    wrong = granted_past(town, person, unseen(town, person))
    submission = town.city.submission(wrong, fields=1)
    (access,) = town.city.chain.record([submission.request])
    where = Location(access.block.number, access.transaction, access.log_index)
    task = task_of(town, person, submission, where)
    record = town.city.chain.records[wrong]
    # Also where it is told in a form that nobody can read.
    broken = with_authorization(task, record).replace(b'"authorization":{', b'"authorization":{{')
    everybody(town, with_authorization(task, record))
    for url in town.city.keyholders.urls:
        answer = httpx.post(f"{url}/v1/releases", content=encode_tasks([broken]), timeout=30)
        assert answer.status_code == 422
        assert CASE_NUMBER not in answer.text
    held = [
        path
        for number in range(3)
        for path in town.city.keyholders.home_of(number).rglob("*")
        if path.is_file()
    ]
    assert {path.name for path in held} >= {"releases.ndjson", "log"}
    for path in held:
        assert CASE_NUMBER.encode() not in path.read_bytes(), path


# Names count as of the grant's place


def test_a_rename_between_ask_and_grant_is_refused_and_the_new_sentence_is_taken(
    town: Town,
) -> None:
    person = town.city.person()
    town.publish()
    asked = town.city.authorization(person)
    rename(town, OTHER_NAME)
    problem(town.relay(person, asked), 409, "statement-mismatch")
    again = town.city.chain.stated(asked, OTHER_NAME)
    good(town.relay(person, again))
    assert use(town, struct_hash(again))[1].status_code == 200


def test_a_renamed_consumer_keeps_its_grants(town: Town, tmp_path: Path) -> None:
    person = town.city.person()
    town.publish()
    record = town.city.authorization(person, max_uses=3)
    good(town.relay(person, record))
    basis = struct_hash(record)
    rename(town, OTHER_NAME)
    town.city.chain.wait_for_block()
    assert use(town, basis)[1].status_code == 200
    good(town.relay(person, record))  # again, after an answer that was lost
    # Keyholders and a gateway that start now read all of it in its order.
    town.city.keyholders.stop(3)
    town.city.keyholders.start()
    assert use(town, basis)[1].status_code == 200
    report = replayed(town, journal_of(town, tmp_path / "journal.ndjson"))
    assert (report.statements, report.unseen_statements) == (1, 0)
    assert Kind.WRONG_STATEMENT not in {finding.kind for finding in report.findings}


@pytest.mark.parametrize("first", ["rename", "grant"])
def test_in_one_block_the_place_of_the_grant_decides(town: Town, first: str) -> None:
    chain, bank = town.city.chain, town.city.terms.consumer
    person = town.city.person()
    town.publish()
    names = [bank.name]
    while True:
        new = f"{OTHER_NAME} {len(names)}"
        before, after = (new, names[-1]) if first == "rename" else (names[-1], new)
        records = [chain.stated(town.city.authorization(person), one) for one in (before, after)]
        grants = [chain.grant_call(person.subject, record) for record in records]
        admit = contract_calls.admit(bank.address, bank.roles, new)
        calls = [admit, *grants] if first == "rename" else [*grants, admit]
        receipts = chain.send_all(chain.parties.authority, calls)
        names.append(new)
        if len({receipt.block_number for receipt in receipts}) == 1:
            break
    right, wrong = map(struct_hash, records)
    wait_for(town, wrong)
    consents = [Consent(record, person.link) for record in records]
    assert use(town, right, consents[0])[1].status_code == 200
    problem(use(town, wrong, consents[1])[1], 409, "statement-missing")


class Told:
    """A journal in memory, of a gateway that recorded what its person did not see."""

    name = "told"
    owner = None
    of_keyholder = False

    def __init__(
        self, record: Authorization, access: Accessed, submission: KeyedSubmission
    ) -> None:
        self._entry = ReleaseEntry(
            access=access_id(access),
            sequence=access.sequence,
            transaction=access.transaction,
            signature=submission.signature,
            released=False,
            authorization=record,
        )

    def entries(self) -> list[ReleaseEntry | JournalFault]:
        return [self._entry]
