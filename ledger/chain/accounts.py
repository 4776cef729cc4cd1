"""A party's account, by eth_account: signing what is not sent many times a second.

To be imported late: eth_account takes a second to load.
"""

from eth_account import Account
from eth_account.types import TransactionDictType

from ledger.chain.transactions import SignedTransaction, Transaction
from ledger.crypto.signatures import address_of
from ledger.errors import LedgerError


def sign_transaction(transaction: Transaction, private_key: bytes) -> SignedTransaction:
    """Sign a transaction as `ledger.chain.transactions.sign_transaction` does, by eth_account.

    Raises:
        LedgerError: not a private key, or a member is out of its range.
    """
    fee = transaction.fee
    members: TransactionDictType = {
        "chainId": transaction.chain_id,
        "nonce": transaction.nonce,
        "gas": transaction.gas,
        "value": 0,
        "data": transaction.data,
    }
    if transaction.to is not None:
        members["to"] = transaction.to
    if fee.most:
        members |= {"maxFeePerGas": fee.most, "maxPriorityFeePerGas": fee.priority}
    else:
        members["gasPrice"] = 0
    try:
        signed = Account.sign_transaction(members, private_key)
    except (TypeError, ValueError) as error:
        raise LedgerError(f"the transaction cannot be signed: {error}") from error
    sender = address_of(private_key)
    return SignedTransaction(bytes(signed.raw_transaction), bytes(signed.hash), sender, transaction)
