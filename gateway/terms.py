"""Whether what a consumer asks for is within its purpose and agreement: the contract itself says."""

import time
from collections.abc import Callable

from gateway.errors import RefusedError, UnavailableError
from gateway.inbox import Terms
from ledger import queries
from ledger.contracts import encode_call
from ledger.deployment import Deployment
from ledger.reverts import revert_in
from ledger.rpc import AsyncRpc, CallError, RpcError


class ChainTerms:
    """`TermsChecker` by a call of `Agreements.requireWithinBounds`."""

    def __init__(
        self, rpc: AsyncRpc, deployment: Deployment, clock: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._rpc = rpc
        self._to = deployment.contracts.agreements

    async def check(self, terms: Terms) -> None:
        """See `gateway.inbox.TermsChecker`."""
        data = encode_call(
            "Agreements",
            "requireWithinBounds",
            terms.consumer,
            terms.dataset,
            terms.purpose,
            terms.fields,
            # Zero begins with the grant, which is not before now.
            max(terms.expires_at - max(terms.not_before, int(self._clock())), 0),
            terms.max_uses,
            terms.min_interval,
        )
        try:
            await self._rpc.send(queries.call(self._to, data))
        except CallError as error:
            found = revert_in(error)
            if found is None:
                raise UnavailableError(
                    "the node does not answer as it should", "chain-unavailable"
                ) from error
            raise RefusedError(found.revert) from error
        except RpcError as error:
            raise UnavailableError("the node cannot be asked", "chain-unavailable") from error
