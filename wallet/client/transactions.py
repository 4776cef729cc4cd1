"""A party's own transactions: admitting, publishing, applying, restricting.

With a node of its own the party asks it for nonce and fee, sends there and sees for itself that the
block is final. Without one the gateway tells nonce and fee and relays (`POST /v1/transactions`); what
it says of the outcome is then its word.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from ledger.api.relay import RawTransaction, RelayedAnswer, TransactionTerms
from ledger.chain import contract_calls, eth_methods
from ledger.chain.contract_calls import ContractCall, verify_call
from ledger.chain.eth_methods import Log
from ledger.chain.sender import draft, final_receipt, refusal_of
from ledger.chain.transactions import (
    GAS_CAP,
    SignedTransaction,
    Transaction,
    parse_transaction,
)
from ledger.crypto.hpke import DecryptionKey
from ledger.hexstr import from_hex, to_hex
from wallet.client.calls import Answer, HttpCall, at_node, look, path, reader
from wallet.client.errors import (
    ClientError,
    ErrorKind,
    NodeError,
    ProblemError,
    RefusedError,
    refused,
)
from wallet.client.party import ChainAccess, PartyKey
from wallet.client.retry import with_retries

_AGAIN: Final = 5.0
"""Seconds that a transaction has, which the node did not take: it may be known already, or mined."""
_relayed = reader(RelayedAnswer)


class Mined(msgspec.Struct, frozen=True):
    """Where a transaction is on chain, in a final block."""

    transaction: bytes
    block_number: int
    block_hash: bytes
    logs: tuple[Log, ...] | None
    """Its events, from the party's own node; None when only the gateway told of it."""


async def transact(
    ledger: ChainAccess,
    key: PartyKey | None,
    call: ContractCall,
    *,
    note: Callable[[bytes], None] = lambda _raw: None,
) -> Mined:
    """Send a transaction and wait until it is final.

    Args:
        ledger: the contracts.
        key: of the party that sends.
        call: what to say to which contract.
        note: is given the signed transaction before it is sent.

    Raises:
        PlainTextError: one of its texts is not plain; nothing is sent.
        RefusedError: the contract refuses it.
        ClientError (NOT_FINAL): it is on its way.
        ClientError: it could not be sent.
    """
    verify_call(call)
    if key is None:
        raise ClientError("a transaction must be signed: name a key", ErrorKind.NO_KEY)
    signed = key.sign_transaction(await _drafted(ledger, key.address, call))
    note(signed.raw)
    return await carry_out(ledger, signed)


async def register_encryption_key(
    ledger: ChainAccess, key: PartyKey | None, opening: DecryptionKey
) -> Mined:
    """Put a party's encryption key into the Registry, so that others can seal to it."""
    return await transact(
        ledger, key, contract_calls.set_encryption_key(opening.encryption_key.to_bytes())
    )


async def carry_out(ledger: ChainAccess, signed: SignedTransaction) -> Mined:
    """Send a signed transaction, for the first time or again; see `transact`."""
    if not ledger.own_node:
        return await _relay(signed)
    timeout = ledger.timeout
    try:
        await look(eth_methods.send_raw_transaction(signed.raw))
    except NodeError:
        timeout = min(_AGAIN, timeout)
    receipt = await at_node(final_receipt, signed.hash, ledger.finality, timeout)
    if receipt is None:
        raise ClientError(
            f"{to_hex(signed.hash)} is in no final block after {timeout:g} s", ErrorKind.NOT_FINAL
        )
    if not receipt.succeeded:
        refusal = await at_node(refusal_of, signed, receipt)
        if refusal.revert.name:
            raise refused(refusal)
        raise RefusedError("", f"transaction {to_hex(signed.hash)} failed")
    return Mined(signed.hash, receipt.block_number, receipt.block_hash, receipt.logs)


async def resume(ledger: ChainAccess, raw: bytes) -> Mined:
    """Send a transaction again that was noted before a crash; see `transact`."""
    return await carry_out(ledger, parse_transaction(raw))


async def _drafted(ledger: ChainAccess, sender: bytes, call: ContractCall) -> Transaction:
    to, chain_id = ledger.deployment.address_of(call.contract), ledger.deployment.chain_id
    if ledger.own_node:
        return await at_node(draft, sender, to, call.data, chain_id=chain_id, fee=ledger.fee)
    terms = await with_retries(ask_outlook(sender))
    fee = ledger.fee.offer(None, int(terms.gas_price))
    return Transaction(chain_id, terms.nonce, min(terms.max_gas, GAS_CAP), fee, to, call.data)


# By way of the gateway


def ask_outlook(address: bytes) -> HttpCall[TransactionTerms]:
    """Ask the gateway for nonce and fee."""
    return HttpCall("GET", path("/v1/transactions/{}", address), reader(TransactionTerms))


def relay_transaction(raw: bytes) -> HttpCall[Mined]:
    """Have the gateway relay a signed transaction; it answers when the block is final."""
    body = RawTransaction(raw=raw)
    return HttpCall("POST", "/v1/transactions", read_mined, body=body.encode())


async def _relay(signed: SignedTransaction) -> Mined:
    try:
        return await with_retries(relay_transaction(signed.raw))
    except ProblemError as error:
        raise refusal_in(error) from error


def refusal_in(error: ProblemError) -> ClientError:
    """Return the contract's refusal that a problem tells of, or the problem itself."""
    name = error.member("error")
    if not isinstance(name, str) or not name:
        return error
    return RefusedError(name, str(error.member("arguments") or ""))


def read_mined(answer: Answer) -> Mined:
    """Read where the gateway says that a transaction is."""
    decoded = _relayed(answer)
    return Mined(
        transaction=from_hex(decoded.transaction, 32),
        block_number=decoded.block_number,
        block_hash=from_hex(decoded.block_hash, 32),
        logs=None,
    )
