"""What a gateway tells of grants and applications is held against the own node before anybody acts on it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from ledger.api.supervision import AuthorizationShown
from ledger.chain import contract_calls
from ledger.chain.events.identifiers import application_id
from ledger.hexstr import to_hex
from ledger.typed_data import Authorization, struct_hash
from scripts.scenario import Chain, Subject
from tests.support.http_servers import http_server
from wallet.citizen.history import contradictions
from wallet.client.errors import VerificationError
from wallet.client.party import ChainAccess, PartyKey
from wallet.client.transports import Client, Endpoints
from wallet.provider.agreements import applications_to_decide


@pytest.fixture
def ledger(chain: Chain) -> ChainAccess:
    return ChainAccess(chain.deployment, own_node=True)


# A person's authorizations


class Person:
    """Somebody who granted twice and revoked one of them."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        terms = chain.personal_terms()
        self.subject: Subject = chain.register_subject()
        records = [chain.authorization(self.subject, terms, max_uses=5) for _ in range(2)]
        ids = [chain.grant(self.subject, record) for record in records]
        chain.record([chain.request(chain.parties.bank, ids[0])])
        chain.send(chain.parties.recorder, chain.revoke_call(self.subject, ids[1]))
        self.shown = (told(records[0], uses=1), told(records[1], revoked=True))

    def problems(self, ledger: ChainAccess, *shown: AuthorizationShown) -> tuple[str, ...]:
        with Client(Endpoints("http://127.0.0.1:9", node=self.chain.node.url)) as client:
            return client.run(contradictions(ledger, [self.subject.id], shown))


def told(record: Authorization, *, uses: int = 0, revoked: bool = False) -> AuthorizationShown:
    """What an honest gateway says of it."""
    return AuthorizationShown(
        id=to_hex(struct_hash(record)),
        subject=to_hex(record.subject),
        consumer=to_hex(record.consumer),
        dataset=to_hex(record.dataset),
        purpose=to_hex(record.purpose),
        fields=str(record.fields),
        not_before=record.not_before,
        expires_at=record.expires_at,
        max_uses=record.max_uses,
        min_interval=record.min_interval,
        uses=uses,
        revoked=revoked,
        halted=False,
        at=0,
        authorization=None,
        consumer_name="",
        dataset_title="",
        item="",
        purpose_code="",
        last_use=0,
        transaction="0x",
    )


@pytest.fixture
def person(chain: Chain) -> Person:
    return Person(chain)


def test_an_honest_gateway_is_not_contradicted(person: Person, ledger: ChainAccess) -> None:
    assert person.problems(ledger, *person.shown) == ()


@pytest.mark.parametrize(
    ("place", "member", "value"),
    [
        (0, "consumer", "0x" + "11" * 20),
        (0, "dataset", "0x" + "11" * 32),
        (0, "purpose", "0x" + "11" * 32),
        (0, "fields", "1"),
        (0, "expires_at", 1),
        (0, "max_uses", 1),
        (0, "min_interval", 86_400),
        (0, "uses", 0),
        (0, "revoked", True),
        (1, "revoked", False),
        (0, "halted", True),
    ],
)
def test_what_a_gateway_changes_of_a_grant_is_named(
    person: Person, ledger: ChainAccess, place: int, member: str, value: object
) -> None:
    shown = list(person.shown)
    shown[place] = replace(shown[place], **{member: value})  # type: ignore[arg-type]  # by name
    (problem,) = person.problems(ledger, *shown)
    assert shown[place].id in problem
    assert problem.endswith(f": {member}")


def test_what_a_gateway_leaves_out_or_makes_up_is_named(
    person: Person, ledger: ChainAccess
) -> None:
    first, second = person.shown
    (problem,) = person.problems(ledger, first)
    assert problem == f"the gateway leaves out {second.id}, which is on chain"
    made_up = replace(first, id="0x" + "22" * 32)
    (problem,) = person.problems(ledger, first, second, made_up)
    assert problem == f"the gateway tells of {made_up.id}, which is not on chain"


# Applications that a department decides


@pytest.fixture
def gateway() -> Iterator[tuple[str, Callable[[list[dict[str, Any]]], None]]]:
    """Says of applications what it is told to say."""
    answer = b"{}"

    def say(applications: list[dict[str, Any]]) -> None:
        nonlocal answer
        answer = json.dumps({"applications": applications}).encode()

    with http_server(lambda *_: (200, answer)) as url:
        yield url, say


@pytest.mark.parametrize(
    "member", [None, "consumer", "dataset", "purpose", "fields", "justification"]
)
def test_a_department_with_a_node_decides_on_what_is_on_chain(
    chain: Chain,
    ledger: ChainAccess,
    gateway: tuple[str, Callable[[list[dict[str, Any]]], None]],
    member: str | None,
) -> None:
    url, say = gateway
    bank, terms, nonce = chain.parties.insurer, chain.personal_terms(), b"\x31" * 32
    chain.send(bank, contract_calls.apply_for(terms.dataset, terms.purpose, 1, "Loans", nonce))
    identifier = application_id(bank.address, terms.dataset, terms.purpose, 1, nonce)
    honest: dict[str, Any] = {
        "application": to_hex(identifier),
        "consumer": to_hex(bank.address),
        "consumer_name": "A charity",  # the name is the gateway's to tell, and not believed
        "dataset": to_hex(terms.dataset),
        "purpose": to_hex(terms.purpose),
        "fields": "1",
        "justification": "Loans",
        "purpose_code": "",
        "state": "pending",
        "reason": "",
        "decided": False,
        "signed": False,
        "at": 1,
        "transaction": "0x" + "00" * 32,
    }
    others = {
        "consumer": to_hex(chain.parties.bank.address),
        "dataset": "0x" + "11" * 32,
        "purpose": "0x" + "11" * 32,
        "fields": "3",
        "justification": "Charity",
    }
    say([honest if member is None else honest | {member: others[member]}])
    key = PartyKey(chain.parties.provider.private_key)
    endpoints = Endpoints(url, node=chain.node.url)
    with Client(endpoints, key=key, chain_id=chain.deployment.chain_id) as client:
        if member is None:
            (found,) = client.run(applications_to_decide(ledger))
            assert found.consumer_name == bank.name
        else:
            with pytest.raises(VerificationError, match="not on chain as"):
                client.run(applications_to_decide(ledger))
