"""Raw transactions, against a general library in both directions."""

from typing import Any

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from ledger.chain.transactions import (
    AS_SUGGESTED,
    Fee,
    FeeRule,
    Transaction,
    created_address,
    parse_transaction,
    sign_transaction,
)
from ledger.crypto.signatures import address_of
from ledger.errors import MalformedError, SettingError
from ledger.hexstr import checksum_address, keccak256, to_hex

KEY = keccak256(b"test transactions")

transactions = st.builds(
    Transaction,
    chain_id=st.integers(1, 2**40),
    nonce=st.integers(0, 2**32),
    gas=st.integers(21_000, 2**24),
    fee=st.one_of(
        st.just(Fee(0)),
        st.builds(Fee, most=st.integers(1000, 2**40), priority=st.integers(0, 1000)),
    ),
    to=st.binary(min_size=20, max_size=20),
    data=st.binary(max_size=200),
)


def general(transaction: Transaction) -> bytes:
    """What eth_account makes of it."""
    fields: dict[str, Any] = {
        "chainId": transaction.chain_id,
        "nonce": transaction.nonce,
        "gas": transaction.gas,
        "to": checksum_address(transaction.to) if transaction.to else "",
        "value": 0,
        "data": transaction.data,
    }
    if transaction.fee.most:
        fields |= {
            "type": 2,
            "maxFeePerGas": transaction.fee.most,
            "maxPriorityFeePerGas": transaction.fee.priority,
        }
    else:
        fields["gasPrice"] = 0
    return bytes(Account.sign_transaction(fields, KEY).raw_transaction)


@given(transactions)
def test_signed_transaction_is_what_a_general_library_makes_and_reads_back(
    transaction: Transaction,
) -> None:
    signed = sign_transaction(transaction, KEY)
    assert signed.raw == general(transaction)
    assert parse_transaction(signed.raw) == signed
    assert signed.sender == address_of(KEY)
    assert bytes.fromhex(Account.recover_transaction(to_hex(signed.raw))[2:]) == signed.sender


def test_transaction_that_creates_a_contract_reads_back() -> None:
    signed = sign_transaction(Transaction(1, 0, 21_000, Fee(0), None, b"\1"), KEY)
    assert parse_transaction(signed.raw).content.to is None


def test_created_address_is_the_yellow_papers() -> None:
    sender = bytes.fromhex("6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0")
    expected = [
        "cd234a471b72ba2f1ccf0a70fcaba648a5eecd8d",
        "343c43a37d37dff08ae8c4a11544c718abb4fcf8",
    ]
    assert [created_address(sender, nonce).hex() for nonce in (0, 1)] == expected


VALID = sign_transaction(Transaction(1, 5, 21_000, Fee(0), bytes(20), b"abc"), KEY).raw
VALUE = Account.sign_transaction(
    {"chainId": 1, "nonce": 0, "gas": 21_000, "gasPrice": 0, "to": "0x" + "00" * 20, "value": 1},
    KEY,
).raw_transaction
WITHOUT_CHAIN = Account.sign_transaction(
    {"nonce": 0, "gas": 21_000, "gasPrice": 0, "to": "0x" + "00" * 20, "value": 0}, KEY
).raw_transaction
ACCESS_LIST = Account.sign_transaction(
    {
        "type": 2,
        "chainId": 1,
        "nonce": 0,
        "gas": 30_000,
        "maxFeePerGas": 1,
        "maxPriorityFeePerGas": 1,
        "to": "0x" + "00" * 20,
        "value": 0,
        "accessList": [{"address": "0x" + "00" * 20, "storageKeys": []}],
    },
    KEY,
).raw_transaction


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x01" + VALID,
        b"\x03\xc0",
        b"\xc0",
        VALID + b"\0",
        VALID[:-1],
        bytes(VALUE),
        bytes(WITHOUT_CHAIN),
        bytes(ACCESS_LIST),
        b"\x02" + VALID,
    ],
)
def test_what_is_not_taken_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_transaction(raw)


@given(st.integers(0, len(VALID) - 1), st.integers(1, 255))
def test_changed_transaction_is_refused_or_somebody_elses(place: int, change: int) -> None:
    changed = bytearray(VALID)
    changed[place] ^= change
    try:
        parsed = parse_transaction(bytes(changed))
    except MalformedError:
        return
    assert parsed.sender != address_of(KEY)


@given(st.binary(max_size=120))
def test_junk_is_refused(junk: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_transaction(junk)


def test_fee_follows_the_node_and_is_nothing_where_gas_is_free() -> None:
    assert AS_SUGGESTED.offer(0, 0) == Fee(0)
    assert AS_SUGGESTED.offer(None, 0) == Fee(0)
    assert AS_SUGGESTED.offer(100, 130) == Fee(230, 30)
    assert AS_SUGGESTED.offer(100, 90) == Fee(200, 0)
    # Nodes take a replacement only if both parts are a tenth higher.
    raised = Fee(100, 10).raised()
    assert raised.most >= 110
    assert raised.priority >= 11
    assert Fee(0).raised().most > 0


@pytest.mark.parametrize(
    ("text", "fee"),
    [("0", Fee(0)), ("7", Fee(7, 7)), ("9:2", Fee(9, 2)), ("1:1", Fee(1, 1)), ("5:0", Fee(5, 0))],
)
def test_a_fee_that_was_settled_is_offered_whatever_the_node_says(text: str, fee: Fee) -> None:
    for base_fee, price in ((None, 0), (0, 5), (100, 130)):
        assert FeeRule.parse(text).offer(base_fee, price) == fee


@pytest.mark.parametrize(
    "text", ["", "-1", "1.5", "1:2", "1:", ":1", "1:1:1", "Node", "0x1", "٣", "1 ", "9" * 39]
)
def test_what_is_no_fee_is_refused(text: str) -> None:
    with pytest.raises(SettingError):
        FeeRule.parse(text)


def test_the_fee_of_the_node_is_the_usual_one() -> None:
    assert FeeRule.parse("node") == AS_SUGGESTED
