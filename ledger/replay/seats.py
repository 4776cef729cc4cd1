"""Seats of keyholders: a member has one in each epoch's roster, and a set of seats is a number.

A record is encrypted under one epoch, and only members of its roster, as many as its threshold says, make
its key. So who released and who is silent is counted seat by seat and roster by roster, however many
files there are.
"""

from collections.abc import Container, Iterator, Sequence

from ledger.rosters import Roster


class Seats:
    """The seats of all rosters of a deployment."""

    def __init__(self, rosters: Sequence[Roster]) -> None:
        self._rosters = tuple(rosters)
        self._of: dict[bytes, list[tuple[int, int]]] = {}
        self.count = 0
        for roster in self._rosters:
            for member in roster.members:
                self._of.setdefault(member, []).append((roster.epoch, 1 << self.count))
                self.count += 1

    def released(self, member: bytes | None, epochs: Sequence[int]) -> int:
        """Return the seats on which an address released: none if it is no keyholder's.

        Those of the epochs, or of all if there are none.
        """
        seats = 0
        for epoch, seat in self._of.get(member or b"", ()):
            if not epochs or epoch in epochs:
                seats |= seat
        return seats

    def handed_out(self, released: int) -> bool:
        """Tell whether in some roster as many released as make a key."""
        return any(
            sum(bool(released & seat) for _, seat in taken) >= roster.threshold
            for roster, taken in self._taken()
        )

    def never_handed_out(self, released: int, answered: Container[bytes]) -> bool:
        """Tell whether in each roster so many did not release that the others make no key.

        Only members in `answered`, whose journals tell, count as silent.
        """
        return bool(self._rosters) and all(
            sum(member in answered and not released & seat for member, seat in taken)
            > len(roster.members) - roster.threshold
            for roster, taken in self._taken()
        )

    def _taken(self) -> Iterator[tuple[Roster, list[tuple[bytes, int]]]]:
        """Yield each roster, with its members and their seats."""
        seat = 1
        for roster in self._rosters:
            taken = []
            for member in roster.members:
                taken.append((member, seat))
                seat <<= 1
            yield roster, taken
