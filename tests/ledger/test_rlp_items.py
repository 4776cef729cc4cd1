"""RLP of strangers is read in time and memory by the byte; otherwise as the reference reads it."""

import time
import tracemalloc
from typing import Any, Final

import pytest
import rlp
from hypothesis import given
from hypothesis import strategies as st
from rlp.exceptions import RLPException

from ledger.chain.decoders import MAX_DEPTH, decode_rlp
from ledger.chain.transactions import parse_transaction
from ledger.errors import LedgerError, MalformedError
from ledger.evidence.headers import read_receipt

MAX_RAW: Final = 256 * 1024

items = st.recursive(
    st.binary(max_size=70), lambda inner: st.lists(inner, max_size=5), max_leaves=20
)


def nested(depth: int) -> bytes:
    """Return lists in lists, each of only the next."""
    prefixes, length = [], 1
    for _ in range(depth):
        digits = length.to_bytes((length.bit_length() + 7) // 8, "big")
        prefix = bytes([0xC0 + length]) if length < 56 else bytes([0xF7 + len(digits)]) + digits
        prefixes.append(prefix)
        length += len(prefix)
    return b"".join(reversed(prefixes)) + b"\xc0"


def small_items(length: int) -> bytes:
    return b"\xfa" + length.to_bytes(3, "big") + b"\x05" * length


@given(items)
def test_what_is_encoded_comes_back(item: Any) -> None:
    if nesting(item) <= MAX_DEPTH:
        assert decode_rlp(rlp.encode(item)) == item


def nesting(item: Any) -> int:
    return 1 + max(map(nesting, item), default=0) if isinstance(item, list) else 0


@given(
    st.one_of(st.binary(max_size=20), items.map(rlp.encode)),
    st.integers(0, 60),
    st.binary(max_size=2),
)
def test_broken_encodings_are_refused_as_by_the_reference(
    data: bytes, place: int, other: bytes
) -> None:
    data = data[:place] + other + data[place + 1 :]
    try:
        expected = rlp.decode(data, strict=True)
    except (RLPException, IndexError):
        with pytest.raises(MalformedError):
            decode_rlp(data)
        return
    if nesting(expected) <= MAX_DEPTH:
        assert decode_rlp(data) == expected


def test_lists_are_nested_as_deep_as_documented() -> None:
    decode_rlp(nested(MAX_DEPTH - 1))
    with pytest.raises(MalformedError, match="nested deeper"):
        decode_rlp(nested(MAX_DEPTH))


@pytest.mark.parametrize(
    "raw", [nested(60_000), b"\x02" + nested(60_000), small_items(MAX_RAW - 4)]
)
def test_no_transaction_of_a_stranger_takes_seconds_or_gigabytes(raw: bytes) -> None:
    tracemalloc.start()
    begun = time.process_time()
    with pytest.raises(MalformedError):
        parse_transaction(raw)
    assert time.process_time() - begun < 0.5
    assert tracemalloc.get_traced_memory()[1] < 2 * MAX_RAW
    tracemalloc.stop()


def test_time_for_many_items_grows_with_their_number() -> None:
    def seconds(length: int) -> float:
        data = small_items(length)
        best = float("inf")
        for _ in range(3):
            begun = time.process_time()
            decode_rlp(data)
            best = min(best, time.process_time() - begun)
        return best

    assert seconds(400_000) < 3 * seconds(200_000) + 0.05


def test_receipt_that_is_nested_deep_is_none() -> None:
    with pytest.raises(LedgerError):
        read_receipt(nested(5_000))
