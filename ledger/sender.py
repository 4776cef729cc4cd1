"""Transactions by one party, one after the other: for set-up and administration.

Accesses go through `ledger.recorder`; this is for the authority, a provider, a test. Each transaction
is tried before it is sent, so that what would be refused costs nothing and says why.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from ledger import queries
from ledger.chain import Finality
from ledger.errors import LedgerError
from ledger.fees import AS_SUGGESTED, FeeRule
from ledger.hexes import to_hex
from ledger.queries import Receipt
from ledger.reverts import Revert, RevertError, revert_in
from ledger.rpc import Call, CallError, Rpc
from ledger.signing import address_of
from ledger.transactions import GAS_CAP, Fee, SignedTransaction, Transaction, sign_transaction

T = TypeVar("T")

DEFAULT_FINALITY: Final = Finality.depth(0)

_POLL: Final = 0.02
_MARGIN: Final = 1.25
"""Over the estimate: a block later a transaction may need a little more."""


class SendingError(LedgerError):
    """A transaction was not carried out."""


class NotFinalInTimeError(SendingError):
    """A transaction was sent and is not in a final block yet; it may still come."""

    def __init__(self, transaction_hash: bytes, timeout: float) -> None:
        super().__init__(f"{to_hex(transaction_hash)} is in no final block after {timeout:g} s")
        self.transaction_hash = transaction_hash
        self.timeout = timeout

    def __reduce__(self) -> tuple[type["NotFinalInTimeError"], tuple[bytes, float]]:
        return type(self), (self.transaction_hash, self.timeout)


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
        self.rpc = rpc
        self.address = address_of(private_key)
        self.chain_id = rpc.send(queries.chain_id())
        self._private_key = private_key
        self._finality = finality
        self._fee = fee
        self._timeout = timeout
        """Seconds until a transaction has to be final."""

    def send(self, to: bytes, data: bytes) -> Receipt:
        """Send one transaction and wait until it is final.

        Raises:
            RevertError: the contract refuses it.
            SendingError: the node does not take it.
            NotFinalInTimeError: it is on its way.
            RpcError: the node cannot be asked.
        """
        try:
            estimate = self.rpc.send(queries.estimate_gas(to, data, self.address))
        except CallError as error:
            raise revert_in(error) or SendingError(str(error)) from error
        return self._carry_out([(to, data)], min(int(estimate * _MARGIN), GAS_CAP))[0]

    def send_all(self, calls: Sequence[tuple[bytes, bytes]]) -> list[Receipt]:
        """Send transactions (receiver, call data) at once, in order, without trying them before.

        Raises:
            As `send`; the first one that was refused. Those behind it were carried out all the same.
        """
        return self._carry_out(list(calls), GAS_CAP)

    def create_all(self, creation_codes: Sequence[bytes]) -> list[Receipt]:
        """Create contracts, in order.

        Raises:
            As `send_all`.
        """
        return self._carry_out([(None, code) for code in creation_codes], GAS_CAP)

    def sign(
        self, to: bytes | None, data: bytes, nonce: int, gas: int = GAS_CAP
    ) -> SignedTransaction:
        """Sign a transaction that somebody else relays."""
        content = Transaction(self.chain_id, nonce, gas, current_fee(self.rpc, self._fee), to, data)
        return sign_transaction(content, self._private_key)

    def _carry_out(self, calls: Sequence[tuple[bytes | None, bytes]], gas: int) -> list[Receipt]:
        nonce = self.rpc.send(queries.transaction_count(self.address, "pending"))
        fee = current_fee(self.rpc, self._fee)
        signed = [
            sign_transaction(
                Transaction(self.chain_id, nonce + place, gas, fee, to, data), self._private_key
            )
            for place, (to, data) in enumerate(calls)
        ]
        for transaction in signed:
            try:
                self.rpc.send(queries.send_raw_transaction(transaction.raw))
            except CallError as error:
                raise SendingError(str(error)) from error
        receipts = [self._wait(transaction) for transaction in signed]
        for transaction, receipt in zip(signed, receipts, strict=True):
            if not receipt.succeeded:
                raise self._reason(transaction, receipt)
        return receipts

    def _wait(self, transaction: SignedTransaction) -> Receipt:
        def final() -> Receipt | None:
            receipt = self.rpc.send(queries.receipt(transaction.hash))
            if receipt is None:
                return None
            newest = self.rpc.send(queries.block(self._finality.tag))
            reached = newest is not None and self._finality.covers(receipt.block_number, newest)
            return receipt if reached else None

        receipt = _poll(final, self._timeout)
        if receipt is None:
            raise NotFinalInTimeError(transaction.hash, self._timeout)
        return receipt

    def _reason(self, transaction: SignedTransaction, receipt: Receipt) -> RevertError:
        content = transaction.content
        for call in explaining_calls(content.to or b"", content.data, self.address, receipt):
            try:
                self.rpc.send(call)
            except CallError as error:
                found = revert_in(error)
                if found is not None:
                    return found
        return RevertError(Revert("", (), b""))


def explaining_calls(
    to: bytes, data: bytes, sender: bytes, receipt: Receipt
) -> tuple[Call[bytes], ...]:
    """Return calls of which one, in this order, should be refused as a refused transaction was.

    What stood before it in its block may be the reason, or what came behind it may hide the reason.
    """
    numbers = (receipt.block_number, receipt.block_number - 1)
    return tuple(queries.call(to, data, number, sender=sender) for number in numbers)


def current_fee(rpc: Rpc, rule: FeeRule = AS_SUGGESTED) -> Fee:
    """Ask the node what a transaction should offer: nothing where gas has no price.

    Raises:
        RpcError: the node cannot be asked.
    """
    newest = rpc.send(queries.block("latest"))
    price = rpc.send(queries.gas_price())
    return rule.offer(newest.base_fee if newest is not None else None, price)


def _poll(attempt: Callable[[], T | None], timeout: float) -> T | None:
    until = time.monotonic() + timeout
    while True:
        found = attempt()
        if found is not None or time.monotonic() > until:
            return found
        time.sleep(_POLL)
