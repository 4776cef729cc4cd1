"""What a party without a node must know to sign its next transaction. Anybody may ask, unsigned, for any address."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from gateway.errors import UnavailableError
from ledger import queries
from ledger.gathering import Gatherer
from ledger.rpc import AsyncRpc, RpcError
from ledger.service.rate_limit import STRANGERS, RateLimit

_STRANGERS_RATE: Final = 20.0
_STRANGERS_BURST: Final = 40


class Outlook(msgspec.Struct, frozen=True):
    """Where an account stands on the node."""

    nonce: int
    """Of its next transaction, behind those that wait."""
    gas_price: int


class Outlooks:
    """Asks the node once for all who come at one time; addresses of nobody only now and then.

    Args:
        rpc: The gateway's node.
        is_party: Tells whether an address is somebody's who may have transactions relayed.
    """

    def __init__(self, rpc: AsyncRpc, is_party: Callable[[bytes], bool]) -> None:
        self._rpc = rpc
        self._is_party = is_party
        self._strangers = RateLimit(_STRANGERS_RATE, _STRANGERS_BURST)
        self._outlooks: Gatherer[bytes, Outlook] = Gatherer(self._ask)

    async def of(self, address: bytes) -> Outlook:
        """Return where an account stands.

        Raises:
            ThrottledError: Too many ask for addresses of which nothing is known.
            UnavailableError: That cannot be told now.
        """
        if not self._is_party(address):
            self._strangers.take(STRANGERS)
        found = (await self._outlooks.get([address])).get(address)
        if found is None:
            raise UnavailableError("the node cannot be asked", "chain-unavailable")
        return found

    async def _ask(self, addresses: Sequence[bytes]) -> Mapping[bytes, Outlook]:
        calls = [queries.transaction_count(address, "pending") for address in addresses]
        try:
            *nonces, price = await self._rpc.send_many([*calls, queries.gas_price()])
        except RpcError:
            return {}
        return {
            address: Outlook(nonce, price) for address, nonce in zip(addresses, nonces, strict=True)
        }
