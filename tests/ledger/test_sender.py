"""Transactions of one party: in order, waited for, and refused with a reason."""

import secrets

import pytest

from ledger.chain import contract_calls, contract_reads, eth_methods
from ledger.chain.deployment import Deployment
from ledger.chain.finality import Finality
from ledger.chain.reverts import RevertError
from ledger.chain.sender import Sender
from ledger.chain.transactions import parse_transaction
from ledger.errors import LedgerError
from ledger.hexstr import keccak256
from ledger.model import Roles
from scripts.scenario import Chain


def registry(deployment: Deployment) -> bytes:
    return deployment.contracts.registry


def test_calls_are_carried_out_in_order(chain: Chain) -> None:
    authority = chain.sender(chain.parties.authority)
    party = secrets.token_bytes(20)
    calls = [contract_calls.admit(party, Roles.CONSUMER, f"name {n}") for n in range(5)]
    calls.append(contract_calls.withdraw(party))
    receipts = authority.send_all([(registry(chain.deployment), call.data) for call in calls])
    assert all(receipt.succeeded for receipt in receipts)
    places = [(receipt.block_number, receipt.transaction_index) for receipt in receipts]
    assert places == sorted(places)
    assert not chain.rpc.send(contract_reads.standing_of(chain.contracts, party)).active


def test_refused_call_costs_nothing_and_says_why(chain: Chain) -> None:
    sender = Sender(chain.rpc, keccak256(b"stranger"))
    call = contract_calls.withdraw(secrets.token_bytes(20))
    with pytest.raises(RevertError) as caught:
        sender.send(registry(chain.deployment), call.data)
    assert caught.value.revert.name == "NotAuthority"
    assert chain.rpc.send(eth_methods.transaction_count(sender.address)) == 0


def test_call_that_is_refused_on_chain_says_why_and_the_others_stand(chain: Chain) -> None:
    authority, party = chain.sender(chain.parties.authority), secrets.token_bytes(20)
    calls = [
        contract_calls.withdraw(party),
        contract_calls.admit(party, Roles.CONSUMER, "later"),
    ]
    with pytest.raises(RevertError) as caught:
        authority.send_all([(registry(chain.deployment), call.data) for call in calls])
    assert caught.value.revert.name == "PartyUnknown"
    assert chain.rpc.send(contract_reads.standing_of(chain.contracts, party)).active


def test_signed_transaction_can_be_relayed_by_somebody_else(chain: Chain) -> None:
    key = contract_calls.set_encryption_key(b"\1" + secrets.token_bytes(32))
    bank = chain.sender(chain.parties.bank)
    nonce = chain.rpc.send(eth_methods.transaction_count(bank.address))
    signed = bank.sign(registry(chain.deployment), key.data, nonce)
    assert parse_transaction(signed.raw).sender == bank.address
    assert chain.rpc.send(eth_methods.send_raw_transaction(signed.raw)) == signed.hash
    chain.wait_for_block()
    chain.wait_for_block()
    assert chain.rpc.send(eth_methods.receipt(signed.hash)) is not None


def test_what_is_not_final_in_time_is_named(chain: Chain) -> None:
    sender = Sender(chain.rpc, keccak256(b"impatient"), finality=Finality.depth(10**6), timeout=0.3)
    with pytest.raises(LedgerError, match="in no final block") as caught:
        sender.send(bytes(20), b"")
    transaction = bytes.fromhex(str(caught.value)[2:66])
    assert chain.rpc.send(eth_methods.receipt(transaction)) is not None


def test_finality_is_waited_for(chain: Chain) -> None:
    sender = Sender(chain.rpc, keccak256(b"patient"), finality=Finality.depth(3))
    receipt = sender.send(bytes(20), b"")
    assert chain.rpc.send(eth_methods.block_number()) >= receipt.block_number + 3


def test_node_that_does_not_take_it_is_rejected(chain: Chain) -> None:
    sender = Sender(chain.rpc, keccak256(b"rejected"))
    with pytest.raises(LedgerError):
        sender.carry_out([sender.sign(bytes(20), b"", nonce=0, gas=100)])
