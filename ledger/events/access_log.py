"""Events of `AccessLog`: the accesses. Source: contracts/interfaces/IAccessLog.sol.

These are the events that come by the million, so they are read by slicing their fixed layout
(`ledger.events.decoding`) and not from annotations.
"""

from typing import Final

from ledger.enumerations import Outcome
from ledger.events.abi import Event

ACCESSED_SIGNATURE: Final = "Accessed(bytes32,uint256,uint256,bytes32)"
ITEM_ACCESSED_SIGNATURE: Final = "ItemAccessed(bytes32,uint256,uint256,bytes32,bytes32)"
RECORDED_SIGNATURE: Final = "Recorded(address,uint256,bytes32)"
SKIPPED_SIGNATURE: Final = "BatchSkipped(address,address)"

WHOLE: Final = bytes(32)
"""The item of an access to all that its basis covers."""


class Accessed(Event, frozen=True, gc=False):
    """One access, allowed or denied: the contract's `Accessed`, or `ItemAccessed` when it has an item.

    It has the attributes of `typed_data.AccessRequest`, so it can be decided again as it is.
    """

    basis: bytes
    """Id of an authorization, an agreement, an order or a dataset."""
    fields: int
    nonce: int
    consumer: bytes
    sequence: int
    """From 1, without a gap."""
    deadline: int
    outcome: Outcome
    item: bytes
    """Root of one record; zero for all that the basis covers."""
    data: bytes
    """The log's data: the running hash goes on as keccak(head, basis, data)."""

    @property
    def name(self) -> str:
        """The event's name as the contract declares it."""
        return "Accessed" if self.item == WHOLE else "ItemAccessed"


class Recorded(Event, frozen=True, gc=False):
    """Ends each call of `record`: who recorded, and the state after it."""

    recorder: bytes
    sequence: int
    head: bytes


class BatchSkipped(Event, frozen=True, gc=False):
    """A batch whose consumer had not named the recorder: nothing of it was recorded."""

    consumer: bytes
    recorder: bytes
