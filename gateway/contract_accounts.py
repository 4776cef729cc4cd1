"""Accounts that are contracts: what counts as their signature only their code can tell (ERC-1271)."""

import asyncio
from typing import Final, Protocol

from gateway.errors import ChainUnavailableError, UnauthenticatedError
from ledger import queries
from ledger.rpc import AsyncRpc, CallError, RpcError

_SELECTOR: Final = bytes.fromhex("1626ba7e")
"""Of `isValidSignature(bytes32,bytes)`; the answer that means yes, too."""
_WORD: Final = 32
_MOST_SIGNATURE: Final = 4096
_GAS: Final = 1_000_000
"""For one question. Much more than a wallet needs; a contract made to be slow gets no more."""
_AT_ONCE: Final = 8
"""Questions under way: a wrong signature costs its sender nothing, and the node a call."""


class ContractAccounts(Protocol):
    """Asks accounts that are contracts."""

    async def verify(self, account: bytes, digest: bytes, signature: bytes) -> None:
        """Return if the account accepts a signature over a digest.

        Raises:
            UnauthenticatedError: It does not, or is no contract.
            ChainUnavailableError: The chain cannot be asked now.
        """
        ...


class ChainAccounts:
    """`ContractAccounts` by a node, as of its newest block."""

    def __init__(self, rpc: AsyncRpc) -> None:
        self._rpc = rpc
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def verify(self, account: bytes, digest: bytes, signature: bytes) -> None:
        """See `ContractAccounts`."""
        refused = UnauthenticatedError(
            "neither the account's key nor, as a contract, it itself signed"
        )
        if len(signature) > _MOST_SIGNATURE:
            raise refused
        question = queries.call(account, _question(digest, signature), gas=_GAS)
        try:
            async with self._room:
                answer = await self._rpc.send(question)
        except CallError as error:
            raise refused from error  # its code failed
        except RpcError as error:
            raise ChainUnavailableError(str(error)) from error
        # An account without code answers with nothing.
        if answer != _SELECTOR + bytes(_WORD - len(_SELECTOR)):
            raise refused


def _question(digest: bytes, signature: bytes) -> bytes:
    padded = signature + bytes(-len(signature) % _WORD)
    words = (2 * _WORD).to_bytes(_WORD, "big") + len(signature).to_bytes(_WORD, "big")
    return _SELECTOR + digest + words + padded
