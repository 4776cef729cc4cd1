"""Call data of strangers stands for no more than it is long: all places of an array may not point to one text."""

import ast
import tracemalloc
from pathlib import Path
from typing import Any, Final

import pytest
from eth_abi.abi import encode
from eth_abi.exceptions import DecodingError
from hypothesis import given
from hypothesis import strategies as st

from ledger.chain.contract_calls import ContractCall, verify_call
from ledger.chain.decoders import decode_abi
from ledger.plain_text import PlainTextError
from tests.support.repeated_texts import DATASET, pointed_to_often, registration

ROOT: Final = Path(__file__).parents[2]
LENGTH: Final = 256 * 1024

KINDS: Final = (
    ("string[]",),
    ("bytes[]", "bytes32[]"),
    (DATASET,),
    ("(string,uint256)[]", "bool"),
    ("string[2]", "uint8"),
    ("string[][]",),
    ("(string,bytes32[])", "address"),
)


def values(kind: str) -> st.SearchStrategy[Any]:
    if kind.endswith("[2]"):
        return st.lists(values(kind[:-3]), min_size=2, max_size=2).map(tuple)
    if kind.endswith("[]"):
        return st.lists(values(kind[:-2]), max_size=4).map(tuple)
    if kind.startswith("("):
        return st.tuples(*map(values, kind[1:-1].split(",")))
    by_name: dict[str, st.SearchStrategy[Any]] = {
        "string": st.text(max_size=70).filter(
            lambda text: text.encode("utf-8", "ignore").decode() == text
        ),
        "bytes": st.binary(max_size=70),
        "bytes32": st.binary(min_size=32, max_size=32),
        "address": st.just("0x" + "11" * 20),
        "bool": st.booleans(),
    }
    return by_name.get(kind, st.integers(0, 255))


@pytest.mark.parametrize("kinds", KINDS, ids=str)
@given(data=st.data())
def test_what_an_encoder_writes_is_read(kinds: tuple[str, ...], data: st.DataObject) -> None:
    given_ = tuple(data.draw(values(kind)) for kind in kinds)
    assert decode_abi(kinds, encode(kinds, given_)) == given_


@pytest.mark.parametrize("kinds", KINDS, ids=str)
@given(data=st.data())
def test_what_is_broken_is_refused_with_an_error_of_decoding(
    kinds: tuple[str, ...], data: st.DataObject
) -> None:
    encoded = bytearray(encode(kinds, tuple(data.draw(values(kind)) for kind in kinds)))
    for _ in range(data.draw(st.integers(1, 3))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode_abi(kinds, bytes(encoded[: data.draw(st.integers(0, len(encoded)))]))
    except (DecodingError, UnicodeDecodeError, OverflowError):
        return


def peak(work: Any) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_texts_that_are_pointed_to_often_are_not_built() -> None:
    call = registration(LENGTH)
    assert len(call.data) <= LENGTH

    def attack() -> None:
        with pytest.raises(PlainTextError, match="cannot be read"):
            verify_call(call)
        with pytest.raises(DecodingError, match="longer than the whole"):
            decode_abi(("string[]",), pointed_to_often(LENGTH))
        with pytest.raises(DecodingError, match="longer than the whole"):
            decode_abi(("string[]",), bytes(31) + b"\x20" + b"\xff" * 32)

    assert peak(attack) < 4 * LENGTH


def test_a_call_of_the_greatest_length_is_read() -> None:
    names = tuple(f"{number:03}".ljust(200, "x") for number in range(256))
    verify_call(
        ContractCall(
            "Catalogue",
            registration(0).data[:4] + encode([DATASET], [("c", "t", names, 0, 0, 0, True, 0)]),
        )
    )


def test_nobody_else_decodes_by_the_abi() -> None:
    for package in ("ledger", "gateway", "wallet"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module == "eth_abi.abi":
                    imported = {alias.name for alias in node.names}
                    assert "decode" not in imported or path == ROOT / "ledger/chain/decoders.py", (
                        path
                    )
