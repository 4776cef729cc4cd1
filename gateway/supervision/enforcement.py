"""Suspending an agreement on chain with a supervisor's key: a machine that a regulator appointed."""

import asyncio

from gateway.errors import RefusedError, UnavailableError
from gateway.relays import Relay
from ledger.chain import contract_calls, eth_methods
from ledger.chain.deployment import Deployment
from ledger.chain.reverts import RevertError, revert_in
from ledger.chain.rpc import AsyncRpc, CallError, RpcError
from ledger.chain.transactions import GAS_CAP, FeeRule, Transaction, sign_transaction
from ledger.crypto.signatures import address_of

_GAS: int = 500_000


class Enforcer:
    """Signs suspensions and relays them. One at a time: its nonces are the account's next ones.

    The contract bounds it: 30 minutes, and not again before a regulator has looked.
    """

    def __init__(
        self,
        deployment: Deployment,
        rpc: AsyncRpc,
        relay: Relay,
        supervisor_key: bytes,
        fee: FeeRule,
    ) -> None:
        """Raise `SigningError` if `supervisor_key` (32 bytes) is no private key."""
        self._deployment = deployment
        self._rpc = rpc
        self._relay = relay
        self._key = supervisor_key
        self._fee = fee
        self.address = address_of(supervisor_key)
        self._turn = asyncio.Lock()

    async def suspend(self, agreement: bytes, reason: str) -> bytes:
        """Suspend an agreement; return the transaction.

        Raises:
            RefusedError: The contract refuses it.
            UnavailableError: It is not on chain now.
        """
        call = contract_calls.suspend_agreement(agreement, reason)
        to = self._deployment.address_of(call.contract)
        async with self._turn:
            try:
                nonce = await self._rpc.send(eth_methods.transaction_count(self.address, "pending"))
                gas = await self._rpc.send(eth_methods.estimate_gas(to, call.data, self.address))
                newest = await self._rpc.send(eth_methods.block("latest"))
                price = await self._rpc.send(eth_methods.gas_price())
            except CallError as error:
                found = revert_in(error)
                if found is not None:
                    raise RefusedError(found.revert) from error
                raise UnavailableError(
                    "the node does not take the suspension", "chain-unavailable"
                ) from error
            except RpcError as error:
                raise UnavailableError("the node cannot be asked", "chain-unavailable") from error
            fee = self._fee.offer(None if newest is None else newest.base_fee, price)
            content = Transaction(
                self._deployment.chain_id, nonce, min(gas + _GAS, GAS_CAP), fee, to, call.data
            )
            try:
                done = await self._relay.relay_raw(sign_transaction(content, self._key))
            except RevertError as error:
                raise RefusedError(error.revert) from error
            return done.transaction
