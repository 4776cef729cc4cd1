"""Blocks as evidence has them: headers, receipts and Merkle-Patricia proofs in the bytes that are hashed."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec
import rlp

from ledger.chain.decoders import decode_rlp
from ledger.chain.eth_methods import BlockTag, Log
from ledger.chain.rpc import Call
from ledger.crypto.signatures import recover
from ledger.errors import LedgerError, MalformedError
from ledger.hexstr import ADDRESS_LENGTH, from_hex, keccak256, to_hex

EMPTY_ROOT: Final = keccak256(rlp.encode(b""))
"""Root of the trie of an empty list."""

_HASH_LENGTH: Final = 32
_BRANCH: Final = 17
_PAIR: Final = 2

_Pairs = Sequence[tuple[bytes, bytes]]


class ListTrie:
    """The trie of a list of items, for its root and its proofs."""

    def __init__(self, items: Sequence[bytes]) -> None:
        """Build it.

        Args:
            items: In order; none of them empty.
        """
        self._nodes: dict[bytes, bytes] = {}
        self.root = EMPTY_ROOT
        if items:
            pairs = sorted((_nibbles(_key(place)), item) for place, item in enumerate(items))
            encoded = rlp.encode(self._node(pairs, 0))
            self.root = keccak256(encoded)
            self._nodes[self.root] = encoded

    def prove(self, place: int) -> tuple[bytes, ...]:
        """Return the nodes from the root to an item.

        Raises:
            LedgerError: there is no such item.
        """
        walk = _Walk(self.root, place)
        proof: list[bytes] = []
        while (wanted := walk.wanted) is not None:
            if wanted not in self._nodes:
                raise LedgerError(f"there is no item {place}")
            proof.append(self._nodes[wanted])
            walk.take(self._nodes[wanted])
        return tuple(proof)

    def _node(self, pairs: _Pairs, depth: int) -> list[Any]:
        """Return the node over items whose keys are the same up to a depth."""
        first = pairs[0][0]
        if len(pairs) == 1:
            return [_packed(first[depth:], leaf=True), pairs[0][1]]
        last = pairs[-1][0]
        shared = depth
        while first[shared] == last[shared]:
            shared += 1
        if shared > depth:
            below = self._reference(self._node(pairs, shared))
            return [_packed(first[depth:shared], leaf=False), below]
        # Keys are RLP, of which none begins another: no item stands in a branch itself.
        node: list[Any] = [b""] * _BRANCH
        for nibble in range(_BRANCH - 1):
            below_it = [pair for pair in pairs if pair[0][depth] == nibble]
            if below_it:
                node[nibble] = self._reference(self._node(below_it, depth + 1))
        return node

    def _reference(self, node: list[Any]) -> object:
        encoded = rlp.encode(node)
        if len(encoded) < _HASH_LENGTH:
            return node
        name = keccak256(encoded)
        self._nodes[name] = encoded
        return name


def verify_item(root: bytes, place: int, proof: Sequence[bytes]) -> bytes:
    """Return the item at a place of the list that a root is of.

    Raises:
        LedgerError: the proof does not lead there, or has more than it takes.
    """
    walk, nodes = _Walk(root, place), iter(proof)
    while (wanted := walk.wanted) is not None:
        node = next(nodes, None)
        if node is None or keccak256(node) != wanted:
            raise LedgerError("a node is missing, or is another one than its parent names")
        walk.take(node)
    if next(nodes, None) is not None:
        raise LedgerError("there are more nodes than it takes")
    return walk.item


class _Walk:
    """The way from the root to one item."""

    def __init__(self, root: bytes, place: int) -> None:
        self._left = _nibbles(_key(place))
        self.wanted: bytes | None = root
        """Hash of the next node; None at the item."""
        self.item = b""

    def take(self, encoded: bytes) -> None:
        """Go on through a node, and through those inside it."""
        try:
            node: Any = decode_rlp(encoded)
        except MalformedError as error:
            raise LedgerError(f"a node is not RLP: {error}") from error
        while isinstance(node, list):
            node = self._step(node)
        if self.wanted is not None:
            self.wanted = _hash(node)

    def _step(self, node: list[Any]) -> object:
        """Return what is below a node, or end the walk."""
        left = self._left
        if len(node) == _BRANCH and left:
            self._left = left[1:]
            return node[left[0]]
        if len(node) == _PAIR and isinstance(node[0], bytes):
            path, leaf = _unpacked(node[0])
            if leaf and path == left and isinstance(node[1], bytes) and node[1]:
                self.wanted, self.item = None, node[1]
                return b""
            if not leaf and left[: len(path)] == path:
                self._left = left[len(path) :]
                return node[1]
        raise LedgerError("the nodes lead elsewhere")


def _hash(value: object) -> bytes:
    if not isinstance(value, bytes) or len(value) != _HASH_LENGTH:
        raise LedgerError("there is nothing at this place")
    return value


def _key(place: int) -> bytes:
    return bytes(rlp.encode(place))


def _nibbles(data: bytes) -> bytes:
    return bytes(_each(data))


def _each(data: bytes) -> Iterator[int]:
    for byte in data:
        yield byte >> 4
        yield byte & 0xF


def _packed(nibbles: bytes, *, leaf: bool) -> bytes:
    """Write nibbles as bytes, with what they end in (hex-prefix encoding)."""
    flag = 2 if leaf else 0
    whole = bytes((flag + 1,)) + nibbles if len(nibbles) % 2 else bytes((flag, 0)) + nibbles
    return bytes(high << 4 | low for high, low in zip(whole[::2], whole[1::2], strict=True))


def _unpacked(data: bytes) -> tuple[bytes, bool]:
    nibbles = _nibbles(data)
    if not nibbles or nibbles[0] > 3 or (not nibbles[0] & 1 and nibbles[1]):
        raise LedgerError("a path is not hex-prefix encoded")
    return nibbles[1 if nibbles[0] & 1 else 2 :], bool(nibbles[0] & 2)


_HASH: Final = 32
_MIN_MEMBERS: Final = 15
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
    if not isinstance(members, list) or not _MIN_MEMBERS <= len(members) <= len(_MEMBERS):
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
