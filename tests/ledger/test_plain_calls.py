"""No text that is not plain leaves our tools, or is relayed, in any argument of any contract's function."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from ledger.artifacts import CONTRACTS, AbiItem, AbiParameter, ContractName, load_artifact
from ledger.chain import contract_calls
from ledger.chain.contract_calls import ContractCall, verify_call
from ledger.model import Roles
from ledger.plain_text import PlainTextError
from tests.support.hostile import hostile_texts

PLAIN: Final = "plain"


def functions() -> Iterator[tuple[ContractName, AbiItem]]:
    for name in CONTRACTS:
        for item in load_artifact(name).items("function"):
            if item.state_mutability == "nonpayable":
                yield name, item


def count_texts(parameters: tuple[AbiParameter, ...]) -> int:
    return sum(
        parameter.type.startswith("string") + count_texts(parameter.components)
        for parameter in parameters
    )


def arguments(parameters: tuple[AbiParameter, ...], texts: Iterator[str]) -> list[Any]:
    """One value for each parameter, with these texts in their places."""
    return [argument(parameter, texts) for parameter in parameters]


def argument(parameter: AbiParameter, texts: Iterator[str]) -> Any:
    kind = parameter.type
    if kind.endswith("[]"):
        single = AbiParameter(parameter.name, kind[:-2], components=parameter.components)
        return [argument(single, texts)]
    if kind == "tuple":
        return tuple(arguments(parameter.components, texts))
    if kind == "string":
        return next(texts)
    if kind == "bool":
        return True
    if kind == "address":
        return bytes(20)
    return bytes(int(kind[5:] or 1)) if kind.startswith("bytes") else 1


def call(contract: ContractName, item: AbiItem, texts: list[str]) -> ContractCall:
    types = [one.canonical for one in item.inputs]
    data = encode(types, arguments(item.inputs, iter(texts)))
    return ContractCall(contract, item.hash[:4] + data)


WITH_TEXTS: Final = [
    (contract, item, place)
    for contract, item in functions()
    for place in range(count_texts(item.inputs))
]


def test_all_functions_with_texts_are_tried() -> None:
    names = {item.name for _, item, _ in WITH_TEXTS}
    assert {"admit", "registerDataset", "registerPurpose", "applyFor", "restrict"} <= names


@pytest.mark.parametrize(
    ("contract", "item", "place"),
    WITH_TEXTS,
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_one_text_of_a_call_that_is_not_plain_is_refused(
    contract: ContractName, item: AbiItem, place: int
) -> None:
    texts = [PLAIN] * count_texts(item.inputs)
    fine = call(contract, item, texts)
    assert verify_call(fine) is fine
    for hostile in ("a\u202eb", "\x1b[2J", "a\u3164b", "a\x00"):
        texts[place] = hostile
        with pytest.raises(PlainTextError):
            verify_call(call(contract, item, texts))


@given(hostile_texts())
def test_no_hostile_name_is_admitted(name: str) -> None:
    with pytest.raises(PlainTextError):
        verify_call(contract_calls.admit(bytes(20), Roles.CONSUMER, name))


@given(st.binary(max_size=300))
def test_arguments_that_cannot_be_read_are_refused_with_no_other_error(data: bytes) -> None:
    selector = contract_calls.admit(bytes(20), Roles.CONSUMER, "x").data[:4]
    try:
        verify_call(ContractCall("Registry", selector + data))
    except PlainTextError:
        return


def test_broken_utf8_is_refused() -> None:
    fine = contract_calls.lift(bytes(20), "abc").data
    with pytest.raises(PlainTextError, match="cannot be read"):
        verify_call(ContractCall("Registry", fine.replace(b"abc", b"a\xff\xfe")))


def test_a_call_of_no_function_is_left_to_the_contract() -> None:
    unknown = ContractCall("Registry", b"\x00" * 4)
    assert verify_call(unknown) is unknown


def test_a_reason_may_be_left_out_and_a_name_may_not() -> None:
    verify_call(contract_calls.lift(bytes(20), ""))
    with pytest.raises(PlainTextError, match="name has 0 characters"):
        verify_call(contract_calls.admit(bytes(20), Roles.CONSUMER, ""))


def test_a_name_cannot_end_its_quotation_marks() -> None:
    verify_call(contract_calls.lift(bytes(20), "see 「rules」"))
    with pytest.raises(PlainTextError, match=r"name has U\+300D"):
        verify_call(contract_calls.admit(bytes(20), Roles.CONSUMER, "银行」"))
