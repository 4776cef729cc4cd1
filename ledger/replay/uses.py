"""What replay remembers of each use of an authorization: enough to judge giving it back.

An access may be voided long after it was recorded, so this grows with the accesses; it is kept in a file
without a name, 23 bytes for each, and memory stays flat. The uses of one authorization are chained from
the newest back.
"""

import os
import struct
import tempfile
import weakref
from array import array
from collections.abc import Container, Iterator
from typing import Final

import msgspec

from ledger.replay.journals import Compared

_LAYOUT: Final = struct.Struct("<IQQ??B")
_SIZE: Final = _LAYOUT.size
_pack: Final = _LAYOUT.pack
_FLUSH: Final = 1 << 14
"""Bytes that wait in memory."""
_MOST: Final = 1 << 36
"""A number from here on no log of accesses reaches: it is a lie, and found as one elsewhere."""


class Use(msgspec.Struct, frozen=True, gc=False):
    """An allowed access that used an authorization."""

    authorization: int
    """Its place among those that were used, from 1."""
    before: int
    """Number of the use before it that stood then; zero for none."""
    timestamp: int
    """Of its block, seconds since 1970."""
    compared: Compared
    """What the journals have of it."""


class Uses:
    """The uses of all authorizations, by their number."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - as long as this
        weakref.finalize(self, self._file.close)
        self._waiting = bytearray()
        self._first = 0
        self._last = 0
        self._places: dict[bytes, int] = {}
        self._newest = array("Q", (0,))

    def add(self, sequence: int, authorization: bytes, timestamp: int, compared: Compared) -> None:
        """Note a use. Numbers rise; one that does not is a lie, and found as one elsewhere."""
        if not self._last < sequence < _MOST:
            return
        self._last = sequence
        newest, waiting = self._newest, self._waiting
        place = self._places.get(authorization)
        if place is None:
            place = self._places[authorization] = len(newest)
            newest.append(0)
        if self._first + len(waiting) != sequence * _SIZE or len(waiting) >= _FLUSH:
            self._flush()
            self._first = sequence * _SIZE
        waiting += _pack(
            place,
            newest[place],
            timestamp,
            compared.claimed,
            compared.reported,
            min(compared.holders, 0xFF),
        )
        newest[place] = sequence

    def find(self, sequence: int, authorization: bytes) -> Use | None:
        """Return a use of an authorization; None when the access was none."""
        found = self._read(sequence)
        place = self._places.get(authorization)
        return None if found is None or found.authorization != place else found

    def newest(self, authorization: bytes, without: Container[int]) -> Use | None:
        """Return the newest use of an authorization that stands.

        Args:
            authorization: its id.
            without: numbers of those that do not stand.
        """
        return self._read(self._standing(authorization, without))

    def forget(self, authorization: bytes, without: Container[int]) -> None:
        """Let the chain of an authorization's uses begin with one that stands: the others stay gone."""
        self._newest[self._places.get(authorization, 0)] = self._standing(authorization, without)

    def of_each(self) -> Iterator[tuple[bytes, list[tuple[int, Use]]]]:
        """Yield each authorization that was used, and its uses by number; none that were forgotten."""
        for authorization, place in self._places.items():
            uses, sequence = [], self._newest[place]
            while (found := self._read(sequence)) is not None:
                uses.append((sequence, found))
                sequence = found.before
            yield authorization, uses[::-1]

    def _standing(self, authorization: bytes, without: Container[int]) -> int:
        sequence = self._newest[self._places.get(authorization, 0)]
        while sequence in without:
            found = self._read(sequence)
            sequence = 0 if found is None else found.before
        return sequence

    def _read(self, sequence: int) -> Use | None:
        if not 0 < sequence < _MOST:
            return None
        self._flush()
        data = os.pread(self._file.fileno(), _SIZE, sequence * _SIZE)
        if len(data) < _SIZE:
            return None
        place, before, timestamp, *compared = _LAYOUT.unpack(data)
        return Use(place, before, timestamp, Compared(*compared)) if place else None

    def _flush(self) -> None:
        if self._waiting:
            os.pwrite(self._file.fileno(), self._waiting, self._first)
            self._first += len(self._waiting)
            self._waiting.clear()
