"""Uses of authorizations, as far as it takes to judge giving them back.

An access may be voided long after it was recorded, so this grows with the accesses; it is kept in a file
without a name, some 26 bytes for each, and memory stays flat. The uses of one authorization are chained from
the newest back.
"""

import os
import struct
import tempfile
import weakref
from array import array
from collections.abc import Container, Iterator, Mapping
from typing import Final

import msgspec

from ledger.errors import LedgerError

_FLUSH: Final = 1 << 14
"""Bytes that wait in memory."""
_MOST: Final = 1 << 36
"""No log of accesses reaches a number from here on: it is a lie, and shown as such elsewhere."""
_MOST_RECORDERS: Final = (1 << 16) - 1


class Compared(msgspec.Struct, frozen=True, gc=False):
    """What the journals have of one access. Lines count with a signature that is the consumer's."""

    claimed: bool = False
    """Whether a gateway's has a line."""
    by_keyholder: bool = False
    """Whether a keyholder's has a line, whoever that is."""
    handed_out: bool = False
    """Whether a gateway's says that it was handed out."""
    reported: bool = False
    """Whether a finding says, or will say, that it is unsigned."""
    released: int = 0
    """Seats of the keyholders whose journals have a release; see `Seats`."""


NOTHING: Final = Compared()


class Reached(msgspec.Struct, frozen=True):
    """Up to when journals tell: times of blocks that their writers knew, seconds since 1970."""

    keyholders: Mapping[bytes, int]
    """By address."""
    gateways: Mapping[bytes, int]
    """By the address of the recorder."""


class Use(msgspec.Struct, frozen=True, gc=False):
    """An allowed access that used an authorization."""

    authorization: int
    """Its place among those that were used, from 1."""
    before: int
    """Number of the use before it that stood then; zero for none."""
    timestamp: int
    """Of its block, seconds since 1970."""
    recorder: bytes | None
    """Who recorded it, as the end of its call says."""
    compared: Compared
    """What the journals have of it."""


class Uses:
    """The uses of all authorizations, by their number."""

    def __init__(self, seats: int = 0) -> None:
        """Start without any; `seats` is how many seats keyholders have."""
        self._width = (seats + 7) // 8
        self._layout = struct.Struct(f"<IQQH????{self._width}s")
        self._size = self._layout.size
        self._recorders: dict[bytes | None, int] = {None: 0}
        self._names: list[bytes | None] = [None]
        self._call: list[tuple[int, bytes, int, Compared]] = []
        self.given_back: set[int] = set()
        """Numbers of those that were voided as what they were: a void of another's access takes nothing from it."""
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - as long as this
        weakref.finalize(self, self._file.close)
        self._waiting = bytearray()
        self._first = 0
        self._last = 0
        self._places: dict[bytes, int] = {}
        self._newest = array("Q", (0,))

    def add(self, sequence: int, authorization: bytes, timestamp: int, compared: Compared) -> None:
        """Note a use; its recorder follows with `recorded`."""
        self._call.append((sequence, authorization, timestamp, compared))

    def recorded(self, recorder: bytes | None) -> None:
        """End a call of `record`: its uses are there from now on."""
        if not self._call:
            return
        place = self._recorders.setdefault(recorder, len(self._names))
        if place > _MOST_RECORDERS:
            raise LedgerError("more recorders than replay can tell apart")
        if place == len(self._names):
            self._names.append(recorder)
        for use in self._call:
            self._add(*use, place)
        self._call.clear()

    def correct(self, sequence: int, compared: Compared) -> None:
        """Note what signatures that were checked since change; nothing where the access was no use."""
        use = self._read(sequence)
        if use is None:
            return
        place, recorder = use.authorization, self._recorders[use.recorder]
        data = self._packed(place, use.before, use.timestamp, recorder, compared)
        os.pwrite(self._file.fileno(), data, sequence * self._size)

    def _add(
        self, sequence: int, authorization: bytes, timestamp: int, compared: Compared, recorder: int
    ) -> None:
        """Write a use. Numbers rise; another one is a lie, and shown as such elsewhere."""
        if not self._last < sequence < _MOST:
            return
        self._last = sequence
        newest, waiting = self._newest, self._waiting
        place = self._places.get(authorization)
        if place is None:
            place = self._places[authorization] = len(newest)
            newest.append(0)
        if self._first + len(waiting) != sequence * self._size or len(waiting) >= _FLUSH:
            self._flush()
            self._first = sequence * self._size
        waiting += self._packed(place, newest[place], timestamp, recorder, compared)
        newest[place] = sequence

    def find(self, sequence: int, authorization: bytes) -> Use | None:
        """Return a use of an authorization; None when the access was none."""
        use = self._read(sequence)
        place = self._places.get(authorization)
        return None if use is None or use.authorization != place else use

    def last_use(self, authorization: bytes, without: Container[int]) -> int:
        """Return the time of an authorization's newest use `without` those numbers; zero for none."""
        standing = self._read(self._standing(authorization, without))
        return 0 if standing is None else standing.timestamp

    def forget(self, authorization: bytes, without: Container[int]) -> None:
        """Let the chain of an authorization's uses begin with one that stands: the others stay gone."""
        self._newest[self._places.get(authorization, 0)] = self._standing(authorization, without)

    def of_each(self) -> Iterator[tuple[bytes, list[tuple[int, Use]]]]:
        """Yield each authorization that was used, and its uses by number; none that were forgotten."""
        for authorization, place in self._places.items():
            uses, sequence = [], self._newest[place]
            while (use := self._read(sequence)) is not None:
                uses.append((sequence, use))
                sequence = use.before
            yield authorization, uses[::-1]

    def _standing(self, authorization: bytes, without: Container[int]) -> int:
        sequence = self._newest[self._places.get(authorization, 0)]
        while sequence in without:
            use = self._read(sequence)
            sequence = 0 if use is None else use.before
        return sequence

    def _packed(
        self, place: int, before: int, timestamp: int, recorder: int, compared: Compared
    ) -> bytes:
        return self._layout.pack(
            place,
            before,
            timestamp,
            recorder,
            compared.claimed,
            compared.by_keyholder,
            compared.handed_out,
            compared.reported,
            compared.released.to_bytes(self._width, "little"),
        )

    def _read(self, sequence: int) -> Use | None:
        if not 0 < sequence < _MOST:
            return None
        self._flush()
        data = os.pread(self._file.fileno(), self._size, sequence * self._size)
        if len(data) < self._size:
            return None
        place, before, timestamp, recorder, claimed, by_keyholder, handed, reported, seats = (
            self._layout.unpack(data)
        )
        if not place:
            return None
        released = int.from_bytes(seats, "little")
        compared = Compared(claimed, by_keyholder, handed, reported, released)
        return Use(place, before, timestamp, self._names[recorder], compared)

    def _flush(self) -> None:
        if self._waiting:
            os.pwrite(self._file.fileno(), self._waiting, self._first)
            self._first += len(self._waiting)
            self._waiting.clear()
