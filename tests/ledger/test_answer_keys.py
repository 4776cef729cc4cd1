"""The nonce of a request commits to the key of its answer: the vectors, and nothing else fits."""

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.crypto.hpke import DecryptionKey, Purpose, Suite
from ledger.crypto.released_parts import (
    NonceMismatchError,
    is_committed,
    make_nonce,
    nonce_word,
    verify_answer_key,
)
from ledger.errors import MalformedError
from ledger.hexstr import from_hex, to_hex
from ledger.typed_data import Domain
from tests.vectors.files import vectors

VECTORS: dict[str, Any] = vectors("answer-keys.json")
DOMAIN = Domain(VECTORS["chain_id"], from_hex(VECTORS["access_log"]))
CONSUMER = from_hex(VECTORS["consumer"])
KEY = from_hex(VECTORS["keys"][0]["key"])


@pytest.mark.parametrize("vector", [*VECTORS["keys"], VECTORS["last"], *VECTORS["unfit"]])
def test_the_word_follows_from_the_formula(vector: dict[str, Any]) -> None:
    key = from_hex(vector["key"])
    message = (
        b"quancheng/1/answer-key"
        + DOMAIN.chain_id.to_bytes(32, "big")
        + DOMAIN.verifying_contract
        + CONSUMER
        + key
    )
    assert to_hex(message) == vector["message"]
    word = sha256(message).digest()[:16]
    assert to_hex(word) == vector["word"]
    nonce = int.from_bytes(word, "big") << 8 | vector["counter"]
    assert str(nonce) == vector["nonce"]
    assert make_nonce(nonce_word(DOMAIN, CONSUMER, key), vector["counter"]) == nonce
    assert is_committed(DOMAIN, CONSUMER, nonce, key)


@pytest.mark.parametrize("vector", [*VECTORS["keys"], VECTORS["last"]])
def test_keys_of_both_suites_are_taken(vector: dict[str, Any]) -> None:
    key = from_hex(vector["key"])
    assert verify_answer_key(DOMAIN, CONSUMER, int(vector["nonce"]), key).to_bytes() == key
    assert {from_hex(one["key"])[0] for one in VECTORS["keys"]} == set(Suite)


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda one: str(one["why"]))
def test_a_nonce_of_something_else_is_refused(vector: dict[str, Any]) -> None:
    domain = Domain(vector["chain_id"], from_hex(vector["access_log"]))
    consumer, key = from_hex(vector["consumer"]), from_hex(vector["key"])
    with pytest.raises(NonceMismatchError):
        verify_answer_key(domain, consumer, int(vector["nonce"]), key)


@pytest.mark.parametrize("vector", VECTORS["unfit"], ids=lambda one: str(one["why"]))
def test_a_key_that_cannot_be_sealed_to_is_refused(vector: dict[str, Any]) -> None:
    for _ in range(2):  # what is remembered changes nothing
        with pytest.raises(MalformedError):
            verify_answer_key(DOMAIN, CONSUMER, int(vector["nonce"]), from_hex(vector["key"]))


@given(bit=st.integers(0, 8 * len(KEY) - 1))
def test_one_bit_of_the_key_changes_its_word(bit: int) -> None:
    changed = bytearray(KEY)
    changed[bit // 8] ^= 1 << bit % 8
    assert not is_committed(
        DOMAIN, CONSUMER, make_nonce(nonce_word(DOMAIN, CONSUMER, KEY), 0), bytes(changed)
    )


@given(bit=st.integers(8, 255), counter=st.integers(0, 255))
def test_one_bit_of_the_nonce_above_the_counter_is_of_no_key(bit: int, counter: int) -> None:
    nonce = make_nonce(nonce_word(DOMAIN, CONSUMER, KEY), counter)
    assert is_committed(DOMAIN, CONSUMER, nonce, KEY)
    assert not is_committed(DOMAIN, CONSUMER, nonce ^ 1 << bit, KEY)


@pytest.mark.parametrize("counter", [-1, 256])
def test_a_key_answers_256_requests(counter: int) -> None:
    with pytest.raises(MalformedError):
        make_nonce(0, counter)


@pytest.mark.parametrize("suite", list(Suite))
def test_what_is_sealed_to_an_answer_key_does_not_open_with_another(suite: Suite) -> None:
    mine, theirs = DecryptionKey.generate(suite), DecryptionKey.generate(suite)
    key = mine.encryption_key.to_bytes()
    nonce = make_nonce(nonce_word(DOMAIN, CONSUMER, key), 0)
    sealed = verify_answer_key(DOMAIN, CONSUMER, nonce, key).seal(b"parts", Purpose.ANSWER)
    assert mine.open(sealed, Purpose.ANSWER) == b"parts"
    with pytest.raises(Exception, match="does not open"):
        theirs.open(sealed, Purpose.ANSWER)
