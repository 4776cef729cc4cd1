"""When a block is final, and what is wrong with a chain on which one was lost; `ledger.chain.follow` looks.

Source: DESIGN 3.6.
"""

from dataclasses import dataclass
from typing import Self

import msgspec

from ledger.errors import LedgerError, SettingError


class ChainError(LedgerError):
    """The chain is not as it must be."""


class BlocksLostError(ChainError):
    """A block that was final is not on the chain any more: the node lost blocks, or replaced them."""


class BlockRef(msgspec.Struct, frozen=True):
    """A block, by what identifies it."""

    number: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Finality:
    """When a block counts as final.

    Attributes:
        blocks: how many blocks must stand on top of it; None when the node says what is final.
    """

    blocks: int | None

    @classmethod
    def depth(cls, blocks: int) -> Self:
        """Final with so many blocks on top; 0 on a chain that never takes a block back."""
        return cls(blocks)

    @classmethod
    def finalized(cls) -> Self:
        """Final when the node's `finalized` block has reached it."""
        return cls(None)

    @classmethod
    def parse(cls, setting: str) -> Self:
        """Return the rule that a setting names: `depth:N` or `finalized`.

        Raises:
            SettingError: it names none.
        """
        name, _, number = setting.partition(":")
        if name == "finalized" and not number:
            return cls.finalized()
        if name == "depth" and number.isascii() and number.isdigit():
            return cls.depth(int(number))
        raise SettingError(f"{setting!r} is no finality rule: depth:N or finalized").labelled(
            "Finality"
        )

    def __str__(self) -> str:
        return "finalized" if self.blocks is None else f"depth:{self.blocks}"

    @property
    def tag(self) -> str:
        """Tag of the block that `final_number` is counted from."""
        return "finalized" if self.blocks is None else "latest"

    def final_number(self, newest: int) -> int:
        """Return the number of the newest final block, of that of the block that `tag` names; negative for none."""
        return newest - (self.blocks or 0)

    def covers(self, number: int, newest: int) -> bool:
        return number <= self.final_number(newest)
