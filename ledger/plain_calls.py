"""Whether every text in a call of the contracts is plain: asked before it is sent, and before it is relayed.

The contracts count bytes and know no characters. So our tools and the gateway look at whatever a call
carries, by the contract's own ABI: no function, also no later one, can be forgotten.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, Final

from eth_abi.exceptions import DecodingError

from ledger.abi_decoder import decode_abi
from ledger.artifacts import AbiItem, AbiParameter, ContractName, load_artifact
from ledger.contracts import ContractCall
from ledger.plain_text import (
    PlainTextError,
    verify_document,
    verify_name,
    verify_optional_text,
)

_SELECTOR: Final = 4
_NAMES: Final = frozenset(("name", "code", "title", "fields", "language"))
"""Parameters that stand in statements, or beside names."""


def verify_call(call: ContractCall) -> ContractCall:
    """Return a call if all of its texts are plain, each as what it is (`ledger.plain_text`).

    A call of no function of the contract is returned too: it has no texts, and the contract refuses it.

    Raises:
        PlainTextError: a text is not plain, or no UTF-8, or the arguments cannot be read.
    """
    function = _functions(call.contract).get(call.data[:_SELECTOR])
    if function is None or not any(map(_has_text, function.inputs)):
        return call
    types = [parameter.canonical for parameter in function.inputs]
    try:
        arguments = decode_abi(types, call.data[_SELECTOR:])
    except (DecodingError, UnicodeDecodeError, OverflowError) as error:
        raise PlainTextError(f"the arguments of {function.name} cannot be read") from error
    for name, text in _texts_of(function.inputs, arguments):
        _kind(function.name, name)(name, text)
    return call


def _kind(function: str, parameter: str) -> Callable[[str, str], str]:
    if parameter in _NAMES:
        return verify_name
    if (function, parameter) == ("signConfidentiality", "text"):
        return verify_document
    return verify_optional_text


@cache
def _functions(contract: ContractName) -> dict[bytes, AbiItem]:
    return {item.hash[:_SELECTOR]: item for item in load_artifact(contract).items("function")}


def _has_text(parameter: AbiParameter) -> bool:
    return parameter.type.startswith("string") or any(map(_has_text, parameter.components))


def _texts(parameter: AbiParameter, argument: Any) -> Iterator[tuple[str, str]]:
    """Yield the texts of an argument with the names of their parameters."""
    if not _has_text(parameter):
        return
    if parameter.type.endswith("]"):
        single = AbiParameter(
            parameter.name, parameter.type.rpartition("[")[0], components=parameter.components
        )
        for element in argument:
            yield from _texts(single, element)
    elif parameter.components:
        yield from _texts_of(parameter.components, argument)
    else:
        yield parameter.name, argument


def _texts_of(
    parameters: Sequence[AbiParameter], arguments: Sequence[Any]
) -> Iterator[tuple[str, str]]:
    for parameter, argument in zip(parameters, arguments, strict=True):
        yield from _texts(parameter, argument)
