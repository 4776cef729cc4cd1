"""Why a call reverted: a contract's custom error as its name and arguments."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from eth_abi.exceptions import DecodingError

from ledger.artifacts import CONTRACTS, AbiItem, AbiParameter, load_artifact
from ledger.chain.decoders import decode_abi
from ledger.chain.rpc import CallError
from ledger.errors import LedgerError
from ledger.hexstr import to_hex

RevertValue = bytes | int | bool | str | tuple["RevertValue", ...]

_SELECTOR: Final = 4
_BUILT_IN: Final = (
    AbiItem(type="error", name="Error", inputs=(AbiParameter(name="message", type="string"),)),
    AbiItem(type="error", name="Panic", inputs=(AbiParameter(name="code", type="uint256"),)),
)


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of an error; addresses as bytes."""

    name: str
    value: RevertValue

    def __str__(self) -> str:
        value = self.value
        return f"{self.name}={to_hex(value) if isinstance(value, bytes) else value}"


@dataclass(frozen=True, slots=True)
class Revert:
    """What a reverted call returned."""

    name: str
    """Of the custom error: `RoleMissing`; empty when nothing tells why."""
    arguments: tuple[Argument, ...]
    data: bytes

    def __str__(self) -> str:
        if not self.name:
            return (
                f"reverted with {to_hex(self.data)}" if self.data else "reverted without a reason"
            )
        return f"{self.name}({', '.join(map(str, self.arguments))})"


class RevertError(LedgerError):
    """A contract refused a transaction or a call; `revert` says why."""

    def __init__(self, revert: Revert) -> None:
        super().__init__(f"refused by the contract: {revert}")
        self.revert = revert

    def __reduce__(self) -> tuple[type["RevertError"], tuple[Revert]]:
        return type(self), (self.revert,)


def decode_revert(data: bytes) -> Revert:
    """Return what revert data says; an error that no contract here declares stays unnamed."""
    item = _errors().get(data[:_SELECTOR])
    if item is None:
        return Revert(name="", arguments=(), data=data)
    types = [parameter.canonical for parameter in item.inputs]
    try:
        values = decode_abi(types, data[_SELECTOR:])
    except (DecodingError, ValueError):
        return Revert(name=item.name, arguments=(), data=data)
    arguments = tuple(
        Argument(parameter.name, _plain(parameter.type, value))
        for parameter, value in zip(item.inputs, values, strict=True)
    )
    return Revert(name=item.name, arguments=arguments, data=data)


def revert_in(error: CallError) -> RevertError | None:
    """Return the contract's refusal in a node's error; None when the node itself refused."""
    if error.data is not None:
        return RevertError(decode_revert(error.data))
    # A revert without data: "execution reverted" in every node's words.
    return RevertError(decode_revert(b"")) if "revert" in error.message.lower() else None


def _plain(type_name: str, value: object) -> RevertValue:
    if type_name == "address" and isinstance(value, str):
        return bytes.fromhex(value[2:])
    if isinstance(value, tuple | list):
        return tuple(_plain("", item) for item in value)
    return value if isinstance(value, bytes | int | bool | str) else str(value)


@cache
def _errors() -> Mapping[bytes, AbiItem]:
    """All errors that the contracts declare or inherit, by selector."""
    declared = [item for name in CONTRACTS for item in load_artifact(name).items("error")]
    return {item.hash[:_SELECTOR]: item for item in (*_BUILT_IN, *declared)}
