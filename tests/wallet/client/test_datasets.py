"""Names, purposes and publications, as a party reads them on its own node."""

from collections.abc import Iterator

import pytest

from ledger.chain import contract_calls
from ledger.chain.events import Published, Text
from ledger.chain.transactions import parse_transaction
from ledger.crypto.merkle import EMPTY_ROOT, TreeHead
from ledger.hexstr import keccak256
from scripts.scenario import FIELDS, Chain
from tests.support.errors import of_kind
from wallet.client import chain as reading
from wallet.client import datasets
from wallet.client.errors import ClientError, ErrorKind, RefusedError
from wallet.client.party import ChainAccess, PartyKey
from wallet.client.transactions import resume, transact
from wallet.client.transports import Client, Endpoints


@pytest.fixture
def ledger(chain: Chain) -> ChainAccess:
    return ChainAccess(chain.deployment, own_node=True)


@pytest.fixture
def client(chain: Chain) -> Iterator[Client]:
    with Client(Endpoints("http://127.0.0.1:9", node=chain.node.url)) as client:
        yield client


def test_a_party_has_the_name_it_was_admitted_under_last(
    chain: Chain, ledger: ChainAccess, client: Client
) -> None:
    bank = chain.parties.bank
    assert client.run(datasets.party_name(ledger, bank.address)) == bank.name
    newcomer = keccak256(b"renamed")[:20]
    for name in ("Old name", "新名 / New name"):
        chain.send(chain.parties.authority, contract_calls.admit(newcomer, bank.roles, name))
    assert client.run(datasets.party_name(ledger, newcomer)) == "新名 / New name"
    with pytest.raises(ClientError, check=of_kind(ErrorKind.UNKNOWN_NAME)):
        client.run(datasets.party_name(ledger, b"\x77" * 20))


def test_a_dataset_has_its_terms_and_newest_publication(
    chain: Chain, ledger: ChainAccess, client: Client
) -> None:
    dataset = chain.register_dataset()
    assert client.run(datasets.registered(ledger, dataset)).fields == FIELDS
    assert client.run(datasets.schema(ledger, dataset)).dataset == dataset
    none = (0, TreeHead(0, EMPTY_ROOT))
    assert client.run(datasets.newest_publication(ledger, dataset)) == none
    chain.publish(dataset, b"\x01" * 32, 5)
    chain.publish(dataset, b"\x02" * 32, 6)
    newest = client.run(datasets.newest_publication(ledger, dataset))
    assert newest == (2, TreeHead(6, b"\x02" * 32))
    events = client.run(reading.events(ledger, Published, (dataset,)))
    assert [event.version for event in events] == [1, 2]
    with pytest.raises(ClientError, check=of_kind(ErrorKind.UNKNOWN_NAME)):
        client.run(datasets.registered(ledger, bytes(32)))


def test_a_purpose_has_its_texts(chain: Chain, ledger: ChainAccess, client: Client) -> None:
    texts = (Text("zh", "我"), Text("en", "I"))
    purpose = chain.register_purpose(texts=texts)
    assert client.run(datasets.purpose_terms(ledger, purpose)).texts == texts
    with pytest.raises(ClientError, check=of_kind(ErrorKind.UNKNOWN_NAME)):
        client.run(datasets.purpose_terms(ledger, bytes(32)))


# Transactions


def test_a_transaction_is_noted_before_it_is_sent_and_may_be_sent_again(
    chain: Chain, ledger: ChainAccess, client: Client
) -> None:
    noted: list[bytes] = []
    key = PartyKey(chain.parties.authority.private_key)
    call = contract_calls.admit(b"\x66" * 20, chain.parties.bank.roles, "Somebody")
    mined = client.run(transact(ledger, key, call, note=noted.append))
    assert parse_transaction(noted[0]).hash == mined.transaction
    assert client.run(resume(ledger, noted[0])) == mined
    assert mined.logs is not None


def test_what_the_contract_refuses_is_not_sent(
    chain: Chain, ledger: ChainAccess, client: Client
) -> None:
    noted: list[bytes] = []
    key = PartyKey(chain.parties.bank.private_key)
    call = contract_calls.admit(b"\x66" * 20, chain.parties.bank.roles, "Somebody")
    with pytest.raises(RefusedError) as refused:
        client.run(transact(ledger, key, call, note=noted.append))
    assert refused.value.error == "NotAuthority"
    assert noted == []
    with pytest.raises(ClientError, check=of_kind(ErrorKind.NO_KEY)):
        client.run(transact(ledger, None, call))


def test_a_transaction_whose_nonce_is_gone_never_becomes_final(
    chain: Chain, ledger: ChainAccess, client: Client
) -> None:
    sender = chain.sender(chain.parties.authority)
    call = contract_calls.admit(b"\x66" * 20, chain.parties.bank.roles, "Another name")
    stale = sender.sign(chain.deployment.address_of(call.contract), call.data, nonce=0)
    hurried = ChainAccess(chain.deployment, own_node=True, timeout=0.2)
    with pytest.raises(ClientError, check=of_kind(ErrorKind.NOT_FINAL)):
        client.run(resume(hurried, stale.raw))
