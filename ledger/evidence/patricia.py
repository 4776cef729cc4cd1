"""Merkle-Patricia tries over a list: the root that a block's header has of its receipts, and proofs.

The key of an item is the RLP of its place in the list. A proof is the nodes from the root to the item,
each as it is hashed; nodes shorter than a hash stand inside their parent and are not listed.

Source: Ethereum Yellow Paper, appendices B (RLP), C (hex-prefix) and D (trie).
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import rlp

from ledger.errors import LedgerError, MalformedError
from ledger.keccak import keccak256
from ledger.rlp_items import decode_rlp

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
