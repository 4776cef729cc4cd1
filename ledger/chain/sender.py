"""Sending transactions: drafted by what the node says, tried before they cost anything, waited for until they are final.

`draft`, `final_receipt` and `refusal_of` serve everybody but the recorder, which sends many at once; `Sender` puts
them together for set-up and administration from ordinary code.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal

from ledger.chain import eth_methods
from ledger.chain.eth_methods import Receipt
from ledger.chain.finality import Finality
from ledger.chain.reverts import Revert, RevertError, revert_in
from ledger.chain.rpc import AsyncRpc, CallError, Rpc
from ledger.chain.transactions import (
    AS_SUGGESTED,
    GAS_CAP,
    Fee,
    FeeRule,
    SignedTransaction,
    Transaction,
)
from ledger.crypto.signatures import address_of
from ledger.errors import LedgerError
from ledger.hexstr import to_hex

if TYPE_CHECKING:
    from web3 import AsyncWeb3

DEFAULT_FINALITY: Final = Finality.depth(0)

_POLL: Final = 0.02
_RESEND_INTERVAL: Final = 2.0
"""Seconds without a receipt after which a transaction is sent again: a node that fell forgot it."""


async def draft(
    rpc: AsyncRpc,
    sender: bytes,
    to: bytes,
    data: bytes,
    *,
    chain_id: int,
    fee: FeeRule = AS_SUGGESTED,
    nonce_at: Literal["latest", "pending"] = "pending",
) -> Transaction:
    """Try a transaction, and return what to sign, with some more gas than it needs.

    Args:
        rpc: the node.
        sender: address.
        to: address of the contract.
        data: call data.
        chain_id: of the deployment.
        fee: what it offers.
        nonce_at: of which state the nonce is. It comes from the node each time, so that several processes may use
            an account as long as they do not do so at the same moment.

    Raises:
        RevertError: the contract refuses it.
        LedgerError: the node refuses to say how much gas it needs.
        RpcError: the node cannot be asked.
    """
    web3 = await _web3(rpc)
    account, receiver = web3.to_checksum_address(sender), web3.to_checksum_address(to)
    try:
        gas = await web3.eth.estimate_gas(
            {"from": account, "to": receiver, "data": web3.to_hex(data)}
        )
    except CallError as error:
        raise revert_in(error) or LedgerError(str(error)).labelled("Sending") from error
    nonce = await web3.eth.get_transaction_count(account, nonce_at)
    # A block later it may need a little more.
    limit = min(gas + gas // 4, GAS_CAP)
    return Transaction(chain_id, nonce, limit, await current_fee(rpc, fee), to, data)


async def _web3(rpc: AsyncRpc) -> "AsyncWeb3[Any]":
    """Return web3 on a node, loaded in a thread: it takes two seconds, for which no event loop may stand still."""
    if not rpc.blocks:
        await asyncio.to_thread(import_module, "ledger.chain.web3_access")
    from ledger.chain.web3_access import connect  # noqa: PLC0415 - see above

    return connect(rpc)


async def current_fee(rpc: AsyncRpc, rule: FeeRule) -> Fee:
    """Return what a transaction should offer now: nothing where gas has no price."""
    eth = (await _web3(rpc)).eth
    newest = await eth.get_block("latest")
    return rule.offer(newest.get("baseFeePerGas"), await eth.gas_price)


async def final_receipt(
    rpc: AsyncRpc,
    transaction_hash: bytes,
    finality: Finality,
    seconds: float,
    resend: Callable[[], Awaitable[None]] | None = None,
) -> Receipt | None:
    """Wait until a transaction is in a final block; None when it is not within so many seconds.

    Args:
        rpc: the node.
        transaction_hash: 32 bytes.
        finality: when a block is final.
        seconds: to wait.
        resend: called at once, and again whenever the node has known nothing of it for a while.
    """
    until, resent_at = time.monotonic() + seconds, float("-inf")
    while True:
        receipt = await rpc.send(eth_methods.receipt(transaction_hash))
        if receipt is not None:
            newest = await rpc.send(eth_methods.block(finality.tag))
            if newest is not None and finality.covers(receipt.block_number, newest.number):
                return receipt
        elif resend is not None and time.monotonic() - resent_at > _RESEND_INTERVAL:
            resent_at = time.monotonic()
            await resend()
        if time.monotonic() > until:
            return None
        await rpc.pause(_POLL)


async def refusal_of(
    rpc: AsyncRpc, transaction: SignedTransaction, receipt: Receipt
) -> RevertError:
    """Return why a transaction was refused on chain; unnamed if that does not show any more."""
    content = transaction.content
    for call in eth_methods.explaining_calls(
        content.to or b"", content.data, transaction.sender, receipt
    ):
        try:
            await rpc.send(call)
        except CallError as error:
            refusal = revert_in(error)
            if refusal is not None:
                return refusal
    return RevertError(Revert("", (), b""))


class Sender:
    """Transactions of one account on one node, one after the other, from ordinary code."""

    def __init__(
        self,
        rpc: Rpc,
        private_key: bytes,
        *,
        finality: Finality = DEFAULT_FINALITY,
        timeout: float = 60.0,
        fee: FeeRule = AS_SUGGESTED,
    ) -> None:
        """Take `timeout`: seconds until a transaction has to be final."""
        self.rpc = rpc
        self.address = address_of(private_key)
        self.chain_id = rpc.send(eth_methods.chain_id())
        self._private_key = private_key
        self._finality = finality
        self._fee = fee
        self._timeout = timeout

    def send(self, to: bytes, data: bytes) -> Receipt:
        """Send one transaction and wait until it is final.

        Raises:
            RevertError: the contract refuses it.
            RpcError: the node cannot be asked.
            LedgerError: the node does not take it, or it is not final in time; then it may still come.
        """
        content = self.rpc.run(draft, self.address, to, data, chain_id=self.chain_id, fee=self._fee)
        return self.carry_out([self._signed(content)])[0]

    def send_all(self, calls: Sequence[tuple[bytes | None, bytes]]) -> list[Receipt]:
        """Send transactions (receiver, call data; None creates a contract) at once, in order, without trying them before.

        Raises:
            As `send`; the first one that was refused. Those behind it were carried out all the same.
        """
        nonce = self.rpc.send(eth_methods.transaction_count(self.address, "pending"))
        fee = self.current_fee()
        return self.carry_out(
            [self.sign(to, data, nonce + place, fee=fee) for place, (to, data) in enumerate(calls)]
        )

    def sign(
        self,
        to: bytes | None,
        data: bytes,
        nonce: int,
        gas: int = GAS_CAP,
        fee: Fee | None = None,
    ) -> SignedTransaction:
        """Sign a transaction that may be handed to somebody else who relays it."""
        offer = self.current_fee() if fee is None else fee
        content = Transaction(self.chain_id, nonce, gas, offer, to, data)
        return self._signed(content)

    def current_fee(self) -> Fee:
        """Return what a transaction should offer now."""
        return self.rpc.run(current_fee, self._fee)

    def carry_out(self, signed: Sequence[SignedTransaction]) -> list[Receipt]:
        """Send signed transactions at once, in order; see `send_all`."""
        for transaction in signed:
            try:
                self.rpc.send(eth_methods.send_raw_transaction(transaction.raw))
            except CallError as error:
                raise LedgerError(str(error)).labelled("Sending") from error
        receipts = [self._wait(transaction) for transaction in signed]
        for transaction, receipt in zip(signed, receipts, strict=True):
            if not receipt.succeeded:
                raise self.rpc.run(refusal_of, transaction, receipt)
        return receipts

    def _signed(self, content: Transaction) -> SignedTransaction:
        from ledger.chain.accounts import sign_transaction  # noqa: PLC0415 - takes a second

        return sign_transaction(content, self._private_key)

    def _wait(self, transaction: SignedTransaction) -> Receipt:
        name, timeout = transaction.hash, self._timeout
        receipt = self.rpc.run(final_receipt, name, self._finality, timeout)
        if receipt is None:
            raise LedgerError(f"{to_hex(name)} is in no final block after {timeout:g} s").labelled(
                "NotFinalInTime"
            )
        return receipt
