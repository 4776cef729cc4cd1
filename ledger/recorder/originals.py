"""The access that a request made before, when the contract knows its nonce already."""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from ledger import queries
from ledger.contracts import decode_request
from ledger.deployment import Deployment
from ledger.events import Accessed
from ledger.events.decoding import EventDecoder
from ledger.exchange import RecordedAccess
from ledger.keccak import keccak256
from ledger.log_reader import LogReader, logs_between_async
from ledger.recorder.entries import Entry
from ledger.rpc import AsyncRpc
from ledger.typed_data import AccessRequest

Lookup = Callable[[bytes], Awaitable[RecordedAccess | None]]
"""Finds an access by its id among all that were ever recorded: the index."""

_TOPICS: Final = tuple(
    keccak256(signature)
    for signature in (
        b"Accessed(bytes32,uint256,uint256,bytes32)",
        b"ItemAccessed(bytes32,uint256,uint256,bytes32,bytes32)",
    )
)


class Originals:
    """Asks the index first, then the chain itself."""

    def __init__(self, rpc: AsyncRpc, deployment: Deployment, lookup: Lookup | None) -> None:
        self._rpc = rpc
        self._deployment = deployment
        self._lookup = lookup
        self._decoder = EventDecoder(deployment.contracts)

    async def find(self, entry: Entry, duplicate: RecordedAccess) -> RecordedAccess | None:
        """Return the first access of the same request.

        None when there is none: the nonce was used for another request, so that this one has no
        other access than the duplicate.

        Raises:
            RpcError: the node cannot be asked.
            Exception: any that the index raises.
        """
        known = await self._lookup(entry.access) if self._lookup is not None else None
        if known is not None and known.sequence < duplicate.sequence:
            return known
        request = decode_request(entry.consumer, entry.encoded)
        reader = LogReader([self._deployment.contracts.access_log], [_TOPICS, [request.basis]])
        first, last = self._deployment.block_number, duplicate.block_number
        async for part in logs_between_async(self._rpc, reader, first, last):
            for log in part.logs:
                event = self._decoder.decode(log)
                if not isinstance(event, Accessed):
                    raise TypeError("the node returned another event than was asked for")
                if event.sequence < duplicate.sequence and _is_of(event, request):
                    return await self._recorded(entry.access, event)
        return None

    async def _recorded(self, access: bytes, event: Accessed) -> RecordedAccess:
        block = await self._rpc.send(queries.block(event.block.number))
        return RecordedAccess(
            access=access,
            sequence=event.sequence,
            outcome=event.outcome,
            block_number=event.block.number,
            block_hash=event.block.hash,
            timestamp=block.timestamp if block is not None else event.block.timestamp,
            transaction=event.transaction,
            log_index=event.log_index,
        )


def _is_of(event: Accessed, request: AccessRequest) -> bool:
    return all(
        getattr(event, name) == value for name, value in msgspec.structs.asdict(request).items()
    )
