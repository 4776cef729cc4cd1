"""The questions of Ethereum's JSON-RPC that the system asks, typed.

Each function returns a `Call` for `Rpc.send` or `AsyncRpc.send`. Bytes are `bytes`, quantities are
`int`; a block is named by its number or by a tag ("latest", "finalized", "pending"). Logs stay as the
node writes them, for `ledger.chain.events.EventDecoder`.

Source: Ethereum's execution API specification.
"""

from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec

from ledger.chain.rpc import Call
from ledger.errors import LedgerError
from ledger.hexstr import from_hex, to_hex

T = TypeVar("T")

BlockTag = int | str


def _number(text: str) -> str:
    try:
        return str(int(text, 16))
    except ValueError:
        return f"{text[:20]!r}"


class Log(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One log as `eth_getLogs` returns it; members that nothing here needs are left out.

    Bytes are 0x strings in lowercase, numbers 0x strings without leading zeros.
    """

    block_number: str
    block_hash: str
    transaction_hash: str
    log_index: str
    address: str
    topics: tuple[str, ...]
    data: str
    block_timestamp: str | None = None
    """Some nodes leave it out; whoever reads from them puts it in (`with_timestamp`)."""


def with_timestamp(log: Log, timestamp: int) -> Log:
    """Return a log with its block's timestamp, seconds since 1970."""
    return msgspec.structs.replace(log, block_timestamp=hex(timestamp))


class EventError(LedgerError):
    """A log is not an event of the five contracts; `place` says which log it is."""

    def __init__(self, log: Log, problem: str) -> None:
        self.place = f"block {_number(log.block_number)}, log {_number(log.log_index)}"
        super().__init__(f"{self.place}: {problem}")
        self._arguments = (log, problem)

    def __reduce__(self) -> tuple[type["EventError"], tuple[Log, str]]:
        return type(self), self._arguments


class Block(msgspec.Struct, frozen=True):
    """A block's header, as far as it is used here."""

    number: int
    hash: bytes
    parent: bytes
    timestamp: int
    """Seconds since 1970."""
    gas_limit: int
    base_fee: int | None
    """Wei per gas; None on a chain from before London."""


class Receipt(msgspec.Struct, frozen=True):
    """What became of a transaction."""

    transaction_hash: bytes
    transaction_index: int
    block_number: int
    block_hash: bytes
    sender: bytes
    succeeded: bool
    gas_used: int
    contract: bytes | None
    """Address of the contract that it created."""
    logs: tuple[Log, ...]


class _RawBlock(msgspec.Struct, rename="camel"):
    number: str
    hash: str
    parent_hash: str
    timestamp: str
    gas_limit: str
    base_fee_per_gas: str | None = None


class _RawReceipt(msgspec.Struct, rename="camel"):
    transaction_hash: str
    transaction_index: str
    block_number: str
    block_hash: str
    gas_used: str
    logs: tuple[Log, ...]
    sender: str = msgspec.field(name="from")
    status: str = "0x1"
    contract_address: str | None = None


_decode_text: Final = msgspec.json.Decoder(str).decode
_decode_block: Final = msgspec.json.Decoder(_RawBlock | None).decode
_decode_logs: Final = msgspec.json.Decoder(tuple[Log, ...]).decode
_decode_receipt: Final = msgspec.json.Decoder(_RawReceipt | None).decode
_decode_receipts: Final = msgspec.json.Decoder(list[_RawReceipt] | None).decode


def chain_id() -> Call[int]:
    """Ask for the chain's id (EIP-695)."""
    return Call("eth_chainId", (), _quantity)


def client_version() -> Call[str]:
    """Ask which software the node is."""
    return Call("web3_clientVersion", (), _decode_text)


def block_number() -> Call[int]:
    """Ask for the newest block's number."""
    return Call("eth_blockNumber", (), _quantity)


def block(tag: BlockTag) -> Call[Block | None]:
    """Ask for a block's header; None when there is no such block."""
    return Call("eth_getBlockByNumber", (_tag(tag), False), _block)


def gas_price() -> Call[int]:
    """Ask what a transaction should offer now, wei per gas."""
    return Call("eth_gasPrice", (), _quantity)


def balance(address: bytes, tag: BlockTag = "latest") -> Call[int]:
    """Ask for an account's balance, wei."""
    return Call("eth_getBalance", (to_hex(address), _tag(tag)), _quantity)


def transaction_count(address: bytes, tag: BlockTag = "latest") -> Call[int]:
    """Ask for the next nonce of an account; tag "pending" counts what waits in the node's pool."""
    return Call("eth_getTransactionCount", (to_hex(address), _tag(tag)), _quantity)


def code(address: bytes, tag: BlockTag = "latest") -> Call[bytes]:
    """Ask for a contract's code; empty when there is none."""
    return Call("eth_getCode", (to_hex(address), _tag(tag)), _data)


def call(
    to: bytes,
    data: bytes,
    tag: BlockTag = "latest",
    *,
    sender: bytes | None = None,
    gas: int | None = None,
) -> Call[bytes]:
    """Ask what a call would return (eth_call), with as much gas as the node allows or is said."""
    return Call("eth_call", (_message(to, data, sender, gas), _tag(tag)), _data)


def explaining_calls(
    to: bytes, data: bytes, sender: bytes, receipt: Receipt
) -> tuple[Call[bytes], ...]:
    """Return calls of which one, in this order, should be refused as a refused transaction was.

    What stood before it in its block may be the reason, or what came behind it may hide the reason.
    """
    numbers = (receipt.block_number, receipt.block_number - 1)
    return tuple(call(to, data, number, sender=sender) for number in numbers)


def estimate_gas(
    to: bytes, data: bytes, sender: bytes, tag: BlockTag = "latest", *, gas: int | None = None
) -> Call[int]:
    """Ask how much gas a transaction would need; an error if it would revert, or need more than `gas`."""
    return Call("eth_estimateGas", (_message(to, data, sender, gas), _tag(tag)), _quantity)


def send_raw_transaction(raw: bytes) -> Call[bytes]:
    """Hand a signed transaction to the node; the answer is its hash."""
    return Call("eth_sendRawTransaction", (to_hex(raw),), _data)


def receipt(transaction_hash: bytes) -> Call[Receipt | None]:
    """Ask what became of a transaction; None while it is in no block."""
    return Call("eth_getTransactionReceipt", (to_hex(transaction_hash),), _receipt)


def block_receipts(tag: BlockTag) -> Call[tuple[Receipt, ...] | None]:
    """Ask for all receipts of a block, in order; None when there is no such block."""
    return Call("eth_getBlockReceipts", (_tag(tag),), _receipts)


def logs(
    first: int,
    last: int,
    addresses: Sequence[bytes],
    topics: Sequence[Sequence[bytes] | None] = (),
) -> Call[tuple[Log, ...]]:
    """Ask for the events of contracts in a range of blocks, both ends included, in order.

    Args:
        first: number of a block.
        last: number of a block.
        addresses: of the contracts.
        topics: for each position the values that are wanted, or None for any.
    """
    wanted = [None if values is None else [to_hex(topic) for topic in values] for values in topics]
    selection = {
        "fromBlock": hex(first),
        "toBlock": hex(last),
        "address": [to_hex(address) for address in addresses],
        "topics": wanted,
    }
    return Call("eth_getLogs", (selection,), _decode_logs)


def _tag(tag: BlockTag) -> str:
    return tag if isinstance(tag, str) else hex(tag)


def _message(to: bytes, data: bytes, sender: bytes | None, gas: int | None) -> dict[str, str]:
    message = {"to": to_hex(to), "data": to_hex(data)}
    if sender is not None:
        message["from"] = to_hex(sender)
    if gas is not None:
        message["gas"] = hex(gas)
    return message


def _quantity(raw: msgspec.Raw) -> int:
    return int(_decode_text(raw), 16)


def _data(raw: msgspec.Raw) -> bytes:
    return from_hex(_decode_text(raw))


def _block(raw: msgspec.Raw) -> Block | None:
    decoded = _decode_block(raw)
    if decoded is None:
        return None
    base_fee = decoded.base_fee_per_gas
    return Block(
        number=int(decoded.number, 16),
        hash=from_hex(decoded.hash, 32),
        parent=from_hex(decoded.parent_hash, 32),
        timestamp=int(decoded.timestamp, 16),
        gas_limit=int(decoded.gas_limit, 16),
        base_fee=None if base_fee is None else int(base_fee, 16),
    )


def _receipt(raw: msgspec.Raw) -> Receipt | None:
    decoded = _decode_receipt(raw)
    return None if decoded is None else _read_receipt(decoded)


def _receipts(raw: msgspec.Raw) -> tuple[Receipt, ...] | None:
    decoded = _decode_receipts(raw)
    return None if decoded is None else tuple(map(_read_receipt, decoded))


def _read_receipt(raw: _RawReceipt) -> Receipt:
    created = raw.contract_address
    return Receipt(
        transaction_hash=from_hex(raw.transaction_hash, 32),
        transaction_index=int(raw.transaction_index, 16),
        block_number=int(raw.block_number, 16),
        block_hash=from_hex(raw.block_hash, 32),
        sender=from_hex(raw.sender, 20),
        succeeded=raw.status == "0x1",
        gas_used=int(raw.gas_used, 16),
        contract=None if created is None else from_hex(created, 20),
        logs=raw.logs,
    )
