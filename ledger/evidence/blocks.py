"""Blocks as evidence has them: headers and receipts in the bytes that are hashed.

Source: Ethereum Yellow Paper, clause 4.4 (header, receipt), with EIP-1559, 2718, 4844, 4788, 4895,
7685; Hyperledger Besu, QBFT: a block's hash is over extra data without round number and seals, a seal
is a signature over the hash with the round number.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec
import rlp

from ledger.errors import LedgerError, MalformedError
from ledger.events import Log
from ledger.hexes import ADDRESS_LENGTH, from_hex, to_hex
from ledger.keccak import keccak256
from ledger.queries import BlockTag
from ledger.rlp_items import decode_rlp
from ledger.rpc import Call
from ledger.signing import recover

_HASH: Final = 32
_LEAST_MEMBERS: Final = 15
_PARENT, _RECEIPTS, _NUMBER, _TIMESTAMP, _EXTRA = 0, 5, 8, 11, 12
_QBFT_PARTS: Final = 5
_LEGACY_TYPES: Final = 0x7F
_V: Final = 27

_QUANTITIES: Final = frozenset(
    (
        *("difficulty", "number", "gasLimit", "gasUsed", "timestamp"),
        *("baseFeePerGas", "blobGasUsed", "excessBlobGas"),
    )
)
_MEMBERS: Final = (
    *("parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot"),
    *("logsBloom", "difficulty", "number", "gasLimit", "gasUsed", "timestamp", "extraData"),
    *("mixHash", "nonce"),
    # Each of these came with a later rule set, after all that were there before.
    *("baseFeePerGas", "withdrawalsRoot", "blobGasUsed", "excessBlobGas"),
    *("parentBeaconBlockRoot", "requestsHash"),
)


class Consensus(StrEnum):
    """How a chain's blocks are hashed, and what vouches for them."""

    PLAIN = "plain"
    """A block's hash is that of its header; nothing in it says that it is final."""
    QBFT = "qbft"
    """Its validators' seals are in the extra data, and are left out of the hash."""


class Header(msgspec.Struct, frozen=True):
    """What is needed of a header."""

    number: int
    hash: bytes
    parent: bytes
    timestamp: int
    receipts_root: bytes
    validators: tuple[bytes, ...]
    """QBFT: who may seal this block. Nothing on other chains."""
    sealers: frozenset[bytes]
    """QBFT: whose seals it has."""


class Receipt(msgspec.Struct, frozen=True):
    """What became of a transaction."""

    succeeded: bool
    logs: tuple[tuple[bytes, tuple[bytes, ...], bytes], ...]
    """Address, topics and data of each."""


def read_header(encoded: bytes, consensus: Consensus) -> Header:
    """Read a header.

    Raises:
        LedgerError: it is none.
    """
    members: Any = _decoded(encoded)
    if not isinstance(members, list) or not _LEAST_MEMBERS <= len(members) <= len(_MEMBERS):
        raise LedgerError("a header has other members")
    if not all(isinstance(each, bytes) for each in members):
        raise LedgerError("a header's member is a list")
    validators: tuple[bytes, ...] = ()
    sealers: frozenset[bytes] = frozenset()
    hashed = encoded
    if consensus is Consensus.QBFT:
        vanity, listed, vote, round_, seals = _qbft_parts(members[_EXTRA])
        hashed = _with_extra(members, [vanity, listed, vote, b"", []])
        sealed = keccak256(_with_extra(members, [vanity, listed, vote, round_, []]))
        validators = tuple(listed)
        sealers = frozenset(_sealer(sealed, seal) for seal in seals)
    return Header(
        number=int.from_bytes(members[_NUMBER], "big"),
        hash=keccak256(hashed),
        parent=members[_PARENT],
        timestamp=int.from_bytes(members[_TIMESTAMP], "big"),
        receipts_root=members[_RECEIPTS],
        validators=validators,
        sealers=sealers,
    )


def quorum(validators: int) -> int:
    """Return how many seals make a block final: two thirds of the validators, rounded up."""
    return -(-2 * validators // 3)


def read_receipt(encoded: bytes) -> Receipt:
    """Read a receipt.

    Raises:
        LedgerError: it is none.
    """
    typed = bool(encoded) and encoded[0] <= _LEGACY_TYPES
    try:
        status, _gas, _bloom, logs = _list(_decoded(encoded[1:] if typed else encoded))
        return Receipt(
            succeeded=status == b"\x01",
            logs=tuple((address, tuple(topics), data) for address, topics, data in _list(logs)),
        )
    except (ValueError, TypeError) as error:
        raise LedgerError("a receipt has other members") from error


def log_text(header: Header, place: int, log: tuple[bytes, tuple[bytes, ...], bytes]) -> Log:
    """Return a receipt's log as a node gives logs, for `EventDecoder`.

    A receipt does not say which transaction it is of: the hash is zero. The place is that in the
    receipt.
    """
    address, topics, data = log
    return Log(
        block_number=hex(header.number),
        block_hash=to_hex(header.hash),
        transaction_hash=to_hex(bytes(_HASH)),
        log_index=hex(place),
        address=to_hex(address),
        topics=tuple(map(to_hex, topics)),
        data=to_hex(data),
        block_timestamp=hex(header.timestamp),
    )


# From a node


class BlockAnswer(msgspec.Struct, frozen=True):
    """A block of a node."""

    header: bytes
    consensus: Consensus
    transactions: tuple[bytes, ...]
    """Their hashes, in order."""


class _RawReceipt(msgspec.Struct, rename="camel"):
    status: str
    cumulative_gas_used: str
    logs_bloom: str
    logs: tuple[Log, ...]
    type: str = "0x0"


class _RawTransaction(msgspec.Struct):
    input: str


_decode_block: Final = msgspec.json.Decoder(dict[str, msgspec.Raw] | None).decode
_decode_text: Final = msgspec.json.Decoder(str | None).decode
_decode_texts: Final = msgspec.json.Decoder(tuple[str, ...]).decode
_decode_receipts: Final = msgspec.json.Decoder(list[_RawReceipt] | None).decode
_decode_transaction: Final = msgspec.json.Decoder(_RawTransaction | None).decode


def block(tag: BlockTag) -> Call[BlockAnswer | None]:
    """Ask for a block, with all that its hash is made of; None when there is no such block."""
    name = tag if isinstance(tag, str) else hex(tag)
    return Call("eth_getBlockByNumber", (name, False), _block)


def receipts(number: int) -> Call[tuple[bytes, ...] | None]:
    """Ask for all receipts of a block, as they are hashed; None when there is no such block."""
    return Call("eth_getBlockReceipts", (hex(number),), _receipts)


def transaction_input(transaction: bytes) -> Call[bytes | None]:
    """Ask what a transaction called with; None when there is no such transaction."""

    def read(raw: msgspec.Raw) -> bytes | None:
        answer = _decode_transaction(raw)
        return None if answer is None else from_hex(answer.input)

    return Call("eth_getTransactionByHash", (to_hex(transaction),), read)


def _block(raw: msgspec.Raw) -> BlockAnswer | None:
    answer = _decode_block(raw)
    if answer is None:
        return None
    texts = [(name, _decode_text(answer[name])) for name in _MEMBERS if name in answer]
    header = bytes(rlp.encode([_member(name, text) for name, text in texts if text is not None]))
    hash_ = from_hex(_decode_text(answer["hash"]) or "", _HASH)
    for consensus in Consensus:
        try:
            if read_header(header, consensus).hash == hash_:
                hashes = _decode_texts(answer["transactions"])
                transactions = tuple(from_hex(each, _HASH) for each in hashes)
                return BlockAnswer(header, consensus, transactions)
        except LedgerError:
            continue
    raise ValueError("the block's members do not make its hash: a chain of another kind")


def _member(name: str, text: str) -> bytes:
    return _quantity(text) if name in _QUANTITIES else from_hex(text)


def _receipts(raw: msgspec.Raw) -> tuple[bytes, ...] | None:
    answer = _decode_receipts(raw)
    return None if answer is None else tuple(map(_encoded_receipt, answer))


def _encoded_receipt(raw: _RawReceipt) -> bytes:
    logs = [
        [from_hex(log.address), [from_hex(topic) for topic in log.topics], from_hex(log.data)]
        for log in raw.logs
    ]
    members = [_quantity(raw.status), _quantity(raw.cumulative_gas_used)]
    body = bytes(rlp.encode([*members, from_hex(raw.logs_bloom), logs]))
    kind = int(raw.type, 16)
    return bytes((kind,)) + body if kind else body


def _quantity(text: str) -> bytes:
    number = int(text, 16)
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


# RLP


def _decoded(data: bytes) -> object:
    try:
        return decode_rlp(data)
    except MalformedError as error:
        raise LedgerError(f"not RLP: {error}") from error


def _list(value: object) -> Sequence[Any]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value


def _qbft_parts(extra: bytes) -> tuple[bytes, list[bytes], object, bytes, list[bytes]]:
    parts = _decoded(extra)
    if not isinstance(parts, list) or len(parts) != _QBFT_PARTS:
        raise LedgerError("the extra data is not QBFT's")
    vanity, validators, vote, round_, seals = parts
    if not all(isinstance(each, bytes) and len(each) == ADDRESS_LENGTH for each in validators):
        raise LedgerError("a validator is no address")
    return vanity, validators, vote, round_, seals


def _with_extra(members: list[bytes], parts: list[object]) -> bytes:
    return bytes(rlp.encode([*members[:_EXTRA], rlp.encode(parts), *members[_EXTRA + 1 :]]))


def _sealer(digest: bytes, seal: object) -> bytes:
    """Return whose seal it is: 65 bytes r, s and a recovery number of 0 or 1."""
    if not isinstance(seal, bytes) or not seal:
        raise LedgerError("a seal is no signature")
    try:
        return recover(digest, seal[:-1] + bytes((seal[-1] + _V & 0xFF,)))
    except LedgerError as error:
        raise LedgerError(f"a seal is no signature: {error}") from error
