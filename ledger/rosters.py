"""Who holds seeds in an epoch, and how many of them it takes: what everybody believes of the keyholders.

A roster stands in the deployment file. What a keyholder says of itself changes nothing of it: one that
says another threshold, or other members, must not stop the others. Source: docs/spec/custody.md.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from ledger.custody import Sharing, most_packed
from ledger.encoding import label, sized, u32
from ledger.errors import MalformedError
from ledger.hexes import ADDRESS_LENGTH, to_hex
from ledger.sealing import MOST_BESIDES


@dataclass(frozen=True, slots=True)
class Roster:
    """The keyholders of one epoch: how many together make a key, and their addresses, keyholder 1 first.

    `MalformedError` on construction if there is no such roster.
    """

    epoch: int
    threshold: int
    members: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if not 0 <= self.epoch < 2**32:
            raise MalformedError("an epoch's number is 0 to 2^32 - 1")
        if len(set(self.members)) != len(self.members):
            raise MalformedError("a keyholder is named twice")
        self.sharing.subsets_of(1)
        for member in self.members:
            sized("a keyholder's address", member, ADDRESS_LENGTH)

    @property
    def sharing(self) -> Sharing:
        return Sharing(self.threshold, len(self.members))

    def number_of(self, address: bytes) -> int:
        """Return a member's number, from 1; `MalformedError` if it is none."""
        if address not in self.members:
            raise MalformedError(f"{to_hex(address)} is not a keyholder of epoch {self.epoch}")
        return self.members.index(address) + 1

    def digest(self) -> bytes:
        """Return what all members must agree on, as 32 bytes (docs/spec/custody.md)."""
        sizes = u32(self.epoch) + u32(self.threshold) + u32(len(self.members))
        return sha256(label("ceremony") + sizes + b"".join(self.members)).digest()


def add_roster(rosters: Iterable[Roster], roster: Roster) -> tuple[Roster, ...]:
    """Return rosters with one more, by epoch; `MalformedError` if there is another one of this epoch."""
    known = {known_roster.epoch: known_roster for known_roster in rosters}
    if known.setdefault(roster.epoch, roster) != roster:
        raise MalformedError(f"epoch {roster.epoch} has another roster")
    return tuple(known[epoch] for epoch in sorted(known))


def most_sealed(rosters: Iterable[Roster], records: int, fields: int) -> int:
    """Return how many bytes one keyholder's sealed parts of so many records and fields have at most."""
    packed = [most_packed(roster.sharing, records, fields) for roster in rosters]
    return max(packed, default=0) + MOST_BESIDES
