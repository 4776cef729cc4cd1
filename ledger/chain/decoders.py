"""ABI and RLP as strangers send them, decoded in time and memory proportional to their length."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final, TypeAlias

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_abi.grammar import ABIType, TupleType, parse

from ledger.errors import MalformedError

_WORD: Final = 32


def decode_abi(types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """Return the values that some bytes stand for.

    Raises:
        DecodingError: they stand for more than they are long, or cannot be read.
        UnicodeDecodeError, OverflowError: they cannot be read.
    """
    kinds = _kinds_that_multiply(tuple(types))
    if kinds:
        _Budget(data).take_members(kinds, 0)
    return decode(types, data)


@cache
def _kinds_that_multiply(types: tuple[str, ...]) -> tuple[ABIType, ...]:
    """Return the types, parsed; none where no part can be pointed to twice but by a member of its own."""
    kinds = tuple(map(parse, types))
    return kinds if any(map(_multiplies, kinds)) else ()


def _multiplies(kind: ABIType) -> bool:
    """Whether a type has an array whose items may lie anywhere: all others are as long as what they are of."""
    if kind.is_array:
        return bool(kind.item_type.is_dynamic)
    return isinstance(kind, TupleType) and any(map(_multiplies, kind.components))


class _Budget:
    """Goes through an encoding without building anything, and counts each part as often as it is pointed to."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = len(data)

    def take_members(self, kinds: Sequence[ABIType], start: int) -> None:
        head = start
        for kind in kinds:
            if kind.is_dynamic:
                self._spend(_WORD)
                self._take(kind, start + self._word(head))
                head += _WORD
            else:
                self._spend(_length(kind))
                head += _length(kind)

    def _take(self, kind: ABIType, start: int) -> None:
        """Count a part of a dynamic type."""
        if not kind.is_array:
            if isinstance(kind, TupleType):
                self.take_members(kind.components, start)
            else:
                self._spend(_WORD + self._word(start))
            return
        item, count = kind.item_type, kind.arrlist[-1]
        if count:
            items = count[0]
        else:
            self._spend(_WORD)
            items, start = self._word(start), start + _WORD
        self._spend(items * (_WORD if item.is_dynamic else _length(item)))
        if item.is_dynamic:
            for place in range(items):
                self._take(item, start + self._word(start + _WORD * place))

    def _word(self, start: int) -> int:
        word = self._data[start : start + _WORD]
        if len(word) < _WORD:
            raise DecodingError("a part lies outside")
        return int.from_bytes(word, "big")

    def _spend(self, length: int) -> None:
        self._left -= length
        if self._left < 0:
            raise DecodingError("its parts are longer than the whole")


def _length(kind: ABIType) -> int:
    """Return the length of a static type."""
    if kind.is_array:
        return int(kind.arrlist[-1][0]) * _length(kind.item_type)
    return sum(map(_length, kind.components)) if isinstance(kind, TupleType) else _WORD


MAX_DEPTH: Final = 16
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
    item, end = reader.item(0, len(data), MAX_DEPTH)
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
            raise MalformedError(f"nested deeper than {MAX_DEPTH}")
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
