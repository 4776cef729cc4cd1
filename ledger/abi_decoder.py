"""Decoding what others encoded by the contract ABI, in memory proportional to its length.

The ABI lets all places of an array point to one text: 256 kB then stand for half a gigabyte. No encoder writes that,
and no contract of ours emits it; so parts that together are longer than the data are refused before they are built.

Source: Solidity, "Contract ABI Specification", "Formal Specification of the Encoding".
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_abi.grammar import ABIType, TupleType, parse

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
