"""The authority's transactions: signed, kept in the database, then sent until their block is final.

One at a time, so the nonces have no gap. A transaction is kept for ever: if the chain forgets it (a node
that fell before it wrote, an embedded chain that lost its last blocks), it is sent again as it was,
so what it did is done exactly once.

If we crash before it is kept, nothing happened. If we crash after, it is sent at the next start.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, insert, or_, select, update

from ledger.chain import eth_methods
from ledger.chain.contract_calls import ContractCall
from ledger.chain.deployment import Deployment
from ledger.chain.eth_methods import Receipt
from ledger.chain.finality import Finality
from ledger.chain.reverts import RevertError
from ledger.chain.rpc import AsyncRpc, CallError, RpcError
from ledger.chain.sender import draft, final_receipt
from ledger.chain.transactions import AS_SUGGESTED, FeeRule, sign_transaction
from ledger.crypto.signatures import address_of
from ledger.errors import LedgerError
from ledger.service.logs import get_logger
from wallet.identity.database import Database, subjects, transactions
from wallet.identity.errors import ChainUnavailableError, IdentityError
from wallet.identity.store import SubjectState

Note = Callable[[Connection, int], None]
"""Writes, in the transaction of the database that keeps a transaction, what that one (by nonce) is for."""

_POLL: Final = 0.02
_RESEND: Final = 2.0
"""Seconds without a receipt after which a transaction is sent again: a node that fell forgot it."""

_LOOK_AGAIN: Final = 2.0
_log = get_logger()


class Outbox:
    """Carries out calls of contracts, each exactly once.

    Args:
        database: Keeps the transactions.
        rpc: The authority's node.
        deployment: Where the contracts are.
        finality: When a block is final.
        private_key: The authority's account.
        fee: What its transactions offer.
        patience: Seconds until a transaction must be final before this gives up waiting for it.
    """

    def __init__(
        self,
        database: Database,
        rpc: AsyncRpc,
        deployment: Deployment,
        *,
        finality: Finality,
        private_key: bytes,
        fee: FeeRule = AS_SUGGESTED,
        patience: float = 60.0,
    ) -> None:
        self._database = database
        self._rpc = rpc
        self._deployment = deployment
        self._finality = finality
        self._private_key = private_key
        self._address = address_of(private_key)
        self._fee = fee
        self._patience = patience
        self._turn = asyncio.Lock()

    async def carry_out(self, call: ContractCall, note: Note) -> Receipt:
        """Send one call, and wait until it is final.

        Raises:
            RevertError: The contract refuses it; nothing was sent.
            ChainUnavailableError: The node cannot be asked, or the call is on its way and not final.
            IdentityError: Nothing could be kept, so nothing was sent.
        """
        async with self._turn:
            try:
                await self._settle()
                nonce = await self._keep(call, note)
                (receipt,) = await self._settle()
            except RevertError:
                raise
            except LedgerError as error:
                raise ChainUnavailableError(str(error)) from error
        _log.info("carried_out", contract=call.contract, nonce=nonce, block=receipt.block_number)
        return receipt

    async def run(self) -> None:
        """Look after what was sent until cancelled: a chain may forget it at any time."""
        while True:
            try:
                await self.settle()
            except (IdentityError, LedgerError) as error:
                _log.warning("not_settled", problem=str(error))
            await asyncio.sleep(_LOOK_AGAIN)

    async def settle(self) -> None:
        """Send again what was kept and is not on the chain.

        Raises:
            ChainUnavailableError: The node cannot be asked.
        """
        async with self._turn:
            try:
                await self._settle()
            except RpcError as error:
                raise ChainUnavailableError(str(error)) from error

    async def _keep(self, call: ContractCall, note: Note) -> int:
        content = await draft(
            self._rpc,
            self._address,
            self._deployment.address_of(call.contract),
            call.data,
            chain_id=self._deployment.chain_id,
            fee=self._fee,
            nonce_at="latest",
        )
        signed = sign_transaction(content, self._private_key)
        row = {
            "nonce": content.nonce,
            "hash": signed.hash,
            "raw": signed.raw,
            "created_at": int(time.time()),
        }

        def keep(connection: Connection) -> None:
            connection.execute(insert(transactions).values(row))
            note(connection, content.nonce)

        await self._database.write(keep)
        return content.nonce

    async def _settle(self) -> list[Receipt]:
        """Bring everything that is kept onto the chain, in order; return the receipts of that."""
        count = await self._rpc.send(eth_methods.transaction_count(self._address, "latest"))
        pending = or_(transactions.c.block_number.is_(None), transactions.c.nonce >= count)
        query = select(transactions).where(pending).order_by(transactions.c.nonce)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        receipts = []
        for row in rows:
            receipt = await self._send_until_final(row.raw, row.hash)
            await self._finish(row.nonce, receipt)
            receipts.append(receipt)
        return receipts

    async def _send_until_final(self, raw: bytes, transaction_hash: bytes) -> Receipt:
        receipt = await final_receipt(
            self._rpc, transaction_hash, self._finality, self._patience, lambda: self._send(raw)
        )
        if receipt is None:
            raise ChainUnavailableError(
                f"a transaction is in no final block after {self._patience:g} s"
            )
        return receipt

    async def _send(self, raw: bytes) -> None:
        try:
            await self._rpc.send(eth_methods.send_raw_transaction(raw))
        except CallError as error:
            # "Already known" is as good as sent; anything else shows as no receipt.
            _log.warning("not_taken", reason=error.message)

    async def _finish(self, nonce: int, receipt: Receipt) -> None:
        """Note that a transaction is final, and with it the subjects that it registers.

        Reverted although it was tried before: the subjects wait for another one.
        """
        state = SubjectState.REGISTERED if receipt.succeeded else SubjectState.WAITING

        def finish(connection: Connection) -> None:
            connection.execute(
                update(transactions)
                .where(transactions.c.nonce == nonce)
                .values(block_number=receipt.block_number)
            )
            connection.execute(
                update(subjects)
                .where(subjects.c.transaction == nonce)
                .where(subjects.c.state == SubjectState.SENT.value)
                .values(state=state.value)
            )

        await self._database.write(finish)
