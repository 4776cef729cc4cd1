"""What the event classes are made of: Solidity types as annotations, and the place of a log.

An event's class is its declaration: its name and its annotated attributes give the signature, the
topic, and how topics and data are read. Attributes stand in Solidity's order.

Source: Solidity documentation, "Contract ABI Specification", clause "Events".
"""

from typing import Annotated, Final

import msgspec

from ledger.enumerations import Class

INDEXED: Final = "indexed"
"""Marks what stands in a topic instead of the data."""

Bytes32 = Annotated[bytes, "bytes32"]
Address = Annotated[bytes, "address"]
Bytes = Annotated[bytes, "bytes"]
String = Annotated[str, "string"]
"""Bytes that are not UTF-8, and NUL, which a contract takes too, show as `\\xff`: text of strangers must
not stop a reader, nor what it writes."""
Bool = Annotated[bool, "bool"]
Uint8 = Annotated[int, "uint8"]
Uint16 = Annotated[int, "uint16"]
Uint24 = Annotated[int, "uint24"]
Uint32 = Annotated[int, "uint32"]
Uint64 = Annotated[int, "uint64"]
Uint256 = Annotated[int, "uint256"]
SharingClass = Annotated[Class, "uint8"]

IndexedBytes32 = Annotated[bytes, "bytes32", INDEXED]
IndexedAddress = Annotated[bytes, "address", INDEXED]
IndexedUint64 = Annotated[int, "uint64", INDEXED]
IndexedUint256 = Annotated[int, "uint256", INDEXED]


class Block(msgspec.Struct, frozen=True, gc=False):
    """The block that a log is in; logs of one block share one object."""

    number: int
    hash: bytes
    timestamp: int
    """Seconds since 1970: the time of every decision in the block."""


class Event(msgspec.Struct, frozen=True, gc=False):
    """What all events carry: where it stands, and which contract emitted it."""

    block: Block
    transaction: bytes
    """Hash of the transaction, 32 bytes."""
    log_index: int
    """Place among the logs of the block."""
    contract: bytes
    """Address, 20 bytes."""

    @property
    def name(self) -> str:
        """The event's name as the contract declares it."""
        return type(self).__name__


class NumberedEvent(Event, frozen=True, gc=False):
    """An event of the four contracts that number and chain theirs: all but the access log's.

    In the contract's declaration the number stands behind what is indexed, as the first word of the data.
    Source: contracts/interfaces/INumbered.sol.
    """

    number: int
    """From 1 for each contract, without a gap."""
    link: bytes
    """Topics and data, one after the other: the running hash goes on as keccak(head, link)[:24]."""


class Contracts(msgspec.Struct, frozen=True):
    """Addresses of the five contracts of a deployment, 20 bytes each."""

    registry: bytes
    catalogue: bytes
    agreements: bytes
    authorizations: bytes
    access_log: bytes
