"""Transactions by one party, one after the other: for set-up, administration and a party's own acts.

To be imported late, as `ledger.chain.web3_access`. Accesses go through `ledger.recorder`. Each transaction is tried before
it is sent, so that what would be refused costs nothing and says why.
"""

import time
from collections.abc import Sequence
from typing import Final

from web3 import Web3
from web3.types import TxParams

from ledger.chain import eth_methods
from ledger.chain.accounts import sign_transaction
from ledger.chain.eth_methods import Receipt
from ledger.chain.finality import Finality
from ledger.chain.reverts import Revert, RevertError, revert_in
from ledger.chain.rpc import CallError, Rpc
from ledger.chain.transactions import (
    AS_SUGGESTED,
    GAS_CAP,
    Fee,
    FeeRule,
    SignedTransaction,
    Transaction,
)
from ledger.chain.web3_access import connect
from ledger.crypto.signatures import address_of
from ledger.errors import LedgerError
from ledger.hexstr import to_hex

DEFAULT_FINALITY: Final = Finality.depth(0)

_POLL: Final = 0.02
_MARGIN: Final = 1.25
"""Over the estimate: a block later a transaction may need a little more."""


class Sender:
    """One account on one node.

    The nonce comes from the node for every call, so that several processes may use an account as
    long as they do not do so at the same moment.
    """

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
        self._eth = connect(rpc).eth
        self.chain_id = self._eth.chain_id
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
        return self._carry_out([self.prepare(to, data)])[0]

    def send_all(self, calls: Sequence[tuple[bytes, bytes]]) -> list[Receipt]:
        """Send transactions (receiver, call data) at once, in order, without trying them before.

        Raises:
            As `send`; the first one that was refused. Those behind it were carried out all the same.
        """
        return self._carry_out(self._sign_all(calls))

    def create_all(self, creation_codes: Sequence[bytes]) -> list[Receipt]:
        """Create contracts, in order; see `send_all`."""
        return self._carry_out(self._sign_all([(None, code) for code in creation_codes]))

    def prepare(self, to: bytes, data: bytes) -> SignedTransaction:
        """Try a transaction and sign it, with some more gas than it needs; `send` says what it raises."""
        message: TxParams = {
            "from": Web3.to_checksum_address(to_hex(self.address)),
            "to": Web3.to_checksum_address(to_hex(to)),
            "data": Web3.to_hex(data),
        }
        try:
            estimate = self._eth.estimate_gas(message)
        except CallError as error:
            raise revert_in(error) or LedgerError(str(error)).labelled("Sending") from error
        gas = min(int(estimate * _MARGIN), GAS_CAP)
        return self.sign(to, data, self._next_nonce(), gas)

    def sign(
        self, to: bytes | None, data: bytes, nonce: int, gas: int = GAS_CAP
    ) -> SignedTransaction:
        """Sign a transaction that somebody else relays."""
        content = Transaction(self.chain_id, nonce, gas, self.current_fee(), to, data)
        return sign_transaction(content, self._private_key)

    def current_fee(self) -> Fee:
        """Return what a transaction should offer now: nothing where gas has no price."""
        base_fee = self._eth.get_block("latest").get("baseFeePerGas")
        return self._fee.offer(base_fee, self._eth.gas_price)

    def _next_nonce(self) -> int:
        address = Web3.to_checksum_address(to_hex(self.address))
        return self._eth.get_transaction_count(address, "pending")

    def _sign_all(self, calls: Sequence[tuple[bytes | None, bytes]]) -> list[SignedTransaction]:
        nonce, fee = self._next_nonce(), self.current_fee()
        return [
            sign_transaction(
                Transaction(self.chain_id, nonce + place, GAS_CAP, fee, to, data),
                self._private_key,
            )
            for place, (to, data) in enumerate(calls)
        ]

    def _carry_out(self, signed: Sequence[SignedTransaction]) -> list[Receipt]:
        for transaction in signed:
            try:
                self._eth.send_raw_transaction(transaction.raw)
            except CallError as error:
                raise LedgerError(str(error)).labelled("Sending") from error
        receipts = [self._wait(transaction) for transaction in signed]
        for transaction, receipt in zip(signed, receipts, strict=True):
            if not receipt.succeeded:
                raise refusal_of(self.rpc, transaction, receipt)
        return receipts

    def _wait(self, transaction: SignedTransaction) -> Receipt:
        receipt = final_receipt(self.rpc, transaction.hash, self._finality, self._timeout)
        if receipt is None:
            name = to_hex(transaction.hash)
            raise LedgerError(f"{name} is in no final block after {self._timeout:g} s").labelled(
                "NotFinalInTime"
            )
        return receipt


def final_receipt(
    rpc: Rpc, transaction_hash: bytes, finality: Finality, timeout: float
) -> Receipt | None:
    """Wait until a transaction is in a final block; None when it is not within `timeout` seconds."""
    until = time.monotonic() + timeout
    while True:
        receipt = rpc.send(eth_methods.receipt(transaction_hash))
        if receipt is not None:
            newest = rpc.send(eth_methods.block(finality.tag))
            if newest is not None and finality.covers(receipt.block_number, newest):
                return receipt
        if time.monotonic() > until:
            return None
        time.sleep(_POLL)


def refusal_of(rpc: Rpc, transaction: SignedTransaction, receipt: Receipt) -> RevertError:
    """Return why a transaction was refused on chain; unnamed if that does not show any more."""
    content = transaction.content
    for call in eth_methods.explaining_calls(
        content.to or b"", content.data, transaction.sender, receipt
    ):
        try:
            rpc.send(call)
        except CallError as error:
            refusal = revert_in(error)
            if refusal is not None:
                return refusal
    return RevertError(Revert("", (), b""))
