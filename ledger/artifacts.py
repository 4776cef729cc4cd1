"""The compiled contracts that `ledger` ships, as scripts/build.py made them."""

from functools import cache
from importlib import resources
from typing import Final, Literal

import msgspec

from ledger.errors import LedgerError
from ledger.hexstr import keccak256
from ledger.jsonio import UNREADABLE

ContractName = Literal[
    "Registry",
    "Catalogue",
    "Agreements",
    "Authorizations",
    "AccessLog",
    "ERC7913WebAuthnVerifier",
]

CONTRACTS: Final[tuple[ContractName, ...]] = (
    "Registry",
    "Catalogue",
    "Agreements",
    "Authorizations",
    "AccessLog",
    "ERC7913WebAuthnVerifier",
)
"""All contracts of a deployment, in the order in which they are deployed."""


class AbiParameter(msgspec.Struct, frozen=True):
    """One parameter of a function, an event or an error."""

    name: str
    type: str
    indexed: bool = False
    components: tuple["AbiParameter", ...] = ()

    @property
    def canonical(self) -> str:
        """The type as it stands in a signature: tuples spelt out."""
        if not self.type.startswith("tuple"):
            return self.type
        inner = ",".join(component.canonical for component in self.components)
        return f"({inner}){self.type.removeprefix('tuple')}"


class AbiItem(msgspec.Struct, frozen=True, rename="camel"):
    """One function, event, error or constructor."""

    type: str
    name: str = ""
    inputs: tuple[AbiParameter, ...] = ()
    outputs: tuple[AbiParameter, ...] = ()
    state_mutability: str = ""
    """Of a function: "view", "pure" or "nonpayable"."""

    @property
    def signature(self) -> str:
        """Name and types, of which the hash names the item on chain."""
        return f"{self.name}({','.join(parameter.canonical for parameter in self.inputs)})"

    @property
    def hash(self) -> bytes:
        """Keccak-256 of the signature: an event's topic; its first 4 bytes are the selector."""
        return keccak256(self.signature.encode("ascii"))


class Place(msgspec.Struct, frozen=True):
    """Where an immutable stands in the deployed code, bytes."""

    start: int
    length: int


class CompilerVersion(msgspec.Struct, frozen=True):
    """Which compiler made an artifact."""

    version: str


class Artifact(msgspec.Struct, frozen=True, rename="camel"):
    """A compiled contract."""

    contract_name: str
    source_hash: str
    """SHA-256 over all sources that went in, hex."""
    compiler: CompilerVersion
    abi: tuple[AbiItem, ...]
    deployed_bytecode: str
    immutable_references: tuple[Place, ...]
    method_identifiers: dict[str, str]

    def items(self, kind: Literal["function", "event", "error"]) -> tuple[AbiItem, ...]:
        return tuple(item for item in self.abi if item.type == kind)

    def function(self, name: str) -> AbiItem:
        """Return the function of this name; our contracts overload none."""
        (item,) = (item for item in self.items("function") if item.name == name)
        return item

    def masked(self, code: bytes) -> bytes:
        """Return deployed code with zeros where its immutables stand."""
        masked = bytearray(code)
        for place in self.immutable_references:
            masked[place.start : place.start + place.length] = bytes(place.length)
        return bytes(masked)


@cache
def load_artifact(name: ContractName) -> Artifact:
    """Return a shipped artifact.

    Raises:
        LedgerError: there is none of this name, or it cannot be read.
    """
    try:
        data = resources.files("ledger").joinpath("artifacts", f"{name}.json").read_bytes()
        return msgspec.json.decode(data, type=Artifact)
    except (OSError, *UNREADABLE) as error:
        raise LedgerError(f"the artifact of {name} cannot be read: {error}") from error
