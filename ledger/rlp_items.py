"""RLP as others send it, read in time and memory proportional to its length.

The `rlp` package keeps the encoding of every list beside it and builds it item by item: 256 kB of small items take
seconds, and of lists in lists gigabytes. A raw transaction is read before anybody knows who sent it.

Source: Ethereum Yellow Paper, appendix B.
"""

from typing import Final, TypeAlias

from ledger.errors import MalformedError

MOST_DEPTH: Final = 16
"""How deep lists may be nested. What blocks, receipts and tries have is not half as deep."""

Item: TypeAlias = "bytes | list[Item]"

_SHORT: Final = 56
_STRING, _LIST = 0x80, 0xC0
_ONE_BYTE: Final = 0x80


def decode_rlp(data: bytes, *, most_items: int | None = None) -> Item:
    """Return the item that an encoding stands for, and check that it is its only encoding.

    Args:
        data: All of it.
        most_items: Strings and lists at most, counted at all depths.

    Raises:
        MalformedError: not canonical, cut off, followed by more, nested too deep, or too many items.
    """
    reader = _Reader(data, len(data) if most_items is None else most_items)
    item, end = reader.item(0, len(data), MOST_DEPTH)
    if end != len(data):
        raise MalformedError("bytes follow the item")
    return item


class _Reader:
    def __init__(self, data: bytes, most_items: int) -> None:
        self._data = data
        self._left = most_items

    def item(self, start: int, limit: int, depth: int) -> tuple[Item, int]:
        """Return the item that begins at a place and ends before a limit, and where it ends."""
        self._left -= 1
        if self._left < 0:
            raise MalformedError("more items than are taken")
        if start >= limit:
            raise MalformedError("an item is missing")
        first = self._data[start]
        if first < _ONE_BYTE:
            return self._data[start : start + 1], start + 1
        begin, end = self._extent(start, limit, first - (_LIST if first >= _LIST else _STRING))
        if first < _LIST:
            if end - begin == 1 and self._data[begin] < _ONE_BYTE:
                raise MalformedError("a byte that stands for itself has a length")
            return self._data[begin:end], end
        if not depth:
            raise MalformedError(f"nested deeper than {MOST_DEPTH}")
        items: list[Item] = []
        while begin < end:
            item, begin = self.item(begin, end, depth - 1)
            items.append(item)
        return items, end

    def _extent(self, start: int, limit: int, length: int) -> tuple[int, int]:
        """Return where an item's content begins and ends; its length stands in the first byte, or behind it."""
        begin = start + 1
        if length >= _SHORT:
            digits = self._data[begin : begin + length - _SHORT + 1]
            begin += length - _SHORT + 1
            length = int.from_bytes(digits, "big")
            if digits[:1] == b"\0" or length < _SHORT:
                raise MalformedError("a length is not canonical")
        if begin + length > limit:
            raise MalformedError("an item is cut off")
        return begin, begin + length
