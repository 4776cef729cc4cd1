"""The state files of the embedded chain: which one to start from, and making it fit to start from.

anvil writes its state over the old file, in place, and writes blocks first and accounts afterwards. So
a file may be half written; and one that was written while a block was mined may have accounts that
are a block ahead of its blocks: the nonces are used up, the events are lost. Neither kind is used.

Two files are kept: `state.json`, which anvil writes when it ends, and `state.kept.json`, which is only
ever replaced as a whole.

Source: anvil 1.7.1, as observed.
"""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from ledger.errors import LedgerError

_NO_CODE: Final = "0x"


class _Account(msgspec.Struct):
    nonce: int
    code: str


class _Info(msgspec.Struct):
    sender: str = msgspec.field(name="from")


class _Transaction(msgspec.Struct):
    info: _Info


class _Header(msgspec.Struct):
    number: str
    timestamp: str


class _Block(msgspec.Struct):
    header: _Header


class _State(msgspec.Struct):
    best_block_number: str | int
    accounts: dict[str, _Account]
    blocks: list[_Block]
    transactions: list[_Transaction]


class StateFiles:
    """The state files in a node's data directory."""

    def __init__(self, directory: Path) -> None:
        self.written = directory / "state.json"
        """What anvil writes when it ends."""
        self.kept = directory / "state.kept.json"
        """What it starts from: whole, and consistent."""
        self.ended_well = True

    def settle(self) -> Path | None:
        """Choose what to start from, the newer of the files that can be used; None for a new chain.

        `ended_well` tells afterwards whether that is what anvil wrote when it ended.

        If we crash here, the same choice is made again.

        Raises:
            LedgerError: there are files, and none can be used.
            OSError: the disk does not let us.
        """
        there = [path for path in (self.written, self.kept) if path.exists()]
        usable = {path: number for path in there if (number := _block_number(path)) is not None}
        if there and not usable:
            raise LedgerError(
                f"{' and '.join(map(str, there))} cannot be used; remove them to start a new chain"
            )
        if not usable:
            return None
        newest = max(usable, key=lambda path: usable[path])
        self.ended_well = newest == self.written
        self._keep(newest.read_bytes())
        self.written.unlink(missing_ok=True)
        return self.kept

    def keep(self, state: bytes) -> None:
        """Replace the kept file, durably, as a whole.

        If we crash here, the old file is there or the new one.

        Raises:
            LedgerError: the state is not one to start from; the old file stays.
            OSError: the disk does not let us.
        """
        if _consistent_block_number(state) is None:
            raise LedgerError("the state that the node gave is not consistent")
        self._keep(state)

    def _keep(self, state: bytes) -> None:
        write_durably(self.kept, _with_one_genesis(state))


def write_durably(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all, so that it is there after a crash."""
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _block_number(path: Path) -> int | None:
    return _consistent_block_number(path.read_bytes())


def _consistent_block_number(state: bytes) -> int | None:
    """Return the newest block's number; None when the state is not whole or not consistent."""
    try:
        decoded = msgspec.json.decode(state, type=_State)
        number = decoded.best_block_number
        newest = int(number, 16) if isinstance(number, str) else int(number)
    except (msgspec.DecodeError, ValueError, TypeError):
        return None
    return newest if _is_consistent(decoded) else None


def _is_consistent(state: _State) -> bool:
    """Whether every account has sent as many transactions as its nonce says."""
    sent = Counter(transaction.info.sender.lower() for transaction in state.transactions)
    nonces = {
        address.lower(): account.nonce
        for address, account in state.accounts.items()
        if account.code == _NO_CODE and account.nonce
    }
    return sent == Counter(nonces)


def _with_one_genesis(state: bytes) -> bytes:
    """Return a state without the first blocks that anvil adds to it.

    Every start makes a first block of its own, which is then written beside the loaded one; the next
    start takes whichever it reads last, and the chain seems to have another genesis. The true one
    is the oldest.
    """
    members: dict[str, msgspec.Raw] = msgspec.json.decode(state, type=dict[str, msgspec.Raw])
    blocks = msgspec.json.decode(members["blocks"], type=list[msgspec.Raw])
    headers = [msgspec.json.decode(block, type=_Block).header for block in blocks]
    first = [place for place, header in enumerate(headers) if int(header.number, 16) == 0]
    return msgspec.json.encode({**members, "blocks": _without(blocks, _newer(first, headers))})


def _newer(first: Sequence[int], headers: Sequence[_Header]) -> set[int]:
    oldest = min(first, key=lambda place: int(headers[place].timestamp, 16), default=None)
    return set(first) - {oldest}


def _without(blocks: Sequence[msgspec.Raw], places: set[int]) -> list[msgspec.Raw]:
    return [block for place, block in enumerate(blocks) if place not in places]
