"""Judging again what regulators gave back: each `AccessVoided` by the trail and by the journals."""

import os
import struct
import tempfile
import weakref
from array import array
from collections.abc import Container, Iterator, Mapping
from typing import Final

import msgspec

from ledger.chain.events import AccessVoided
from ledger.errors import LedgerError
from ledger.hexstr import to_hex
from ledger.model import State, VoidGround
from ledger.replay.report import Finding, Kind, Seats, Voidable, finding_at

_FLUSH: Final = 1 << 14
"""Bytes that wait in memory."""
_MOST: Final = 1 << 36
"""No log of accesses reaches a number from here on: it is a lie, and shown as such elsewhere."""
_MAX_RECORDERS: Final = (1 << 16) - 1


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
        if place > _MAX_RECORDERS:
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


class VoidJudge:
    """Goes along with a replay, void by void."""

    def __init__(
        self, state: State, uses: Uses, seats: Seats, release_window: int, head_age: int
    ) -> None:
        """Take state and uses, which replay changes.

        Args:
            state: Always that after the events so far.
            uses: The uses so far.
            seats: Of all keyholders.
            release_window: Of the deployment, seconds.
            head_age: Of the deployment, seconds: a release that was judged in the window may be
                written so much later.
        """
        self._state = state
        self._uses = uses
        self._seats = seats
        self._window = release_window
        self._head_age = head_age
        self._waiting: list[AccessVoided] = []
        self.voids = 0
        self.unchecked = 0
        """Voids whose ground the journals do not show, nor the opposite."""

    def voided(self, event: AccessVoided) -> Iterator[Finding]:
        """Take one that the state has taken. Its ground is judged at the end, when all is compared."""
        self.voids += 1
        if self._uses.find(event.sequence, event.authorization) is None:
            name = to_hex(event.authorization)
            yield _finding(event, f"access {event.sequence} was no allowed access of {name}")
            return
        self._uses.given_back.add(event.sequence)
        self._uses.forget(event.authorization, self._uses.given_back)
        last_use = self._uses.last_use(event.authorization, self._uses.given_back)
        if event.last_use != last_use:
            problem = (
                f"the last use is set to {event.last_use}, the last that stands was {last_use}"
            )
            yield _finding(event, problem)
        self._waiting.append(event)

    def finish(self, reached: Reached) -> Iterator[Finding]:
        """Judge the grounds, when all signatures are checked."""
        for event in self._waiting:
            use = self._uses.find(event.sequence, event.authorization)
            if use is None:
                continue
            against = self._against(event.ground, use, event.block.timestamp)
            if against:
                yield _finding(event, f"its ground does not hold: {against}")
            elif not self._shown(event.ground, use, reached):
                self.unchecked += 1

    def voidable(self, wanted: Container[int], reached: Reached, now: int) -> Iterator[Voidable]:
        """Yield the uses that can be given back one after the other, each with the ground that holds.

        Args:
            wanted: Numbers of the accesses that are to be given back, if they can be.
            reached: As for `finish`.
            now: Time of the newest block, seconds since 1970.
        """
        for authorization, uses in self._uses.of_each():
            known = self._state.authorizations.get(authorization)
            if known is None or known.revoked:
                continue
            given, before = known.voids, known.last_use
            gone = set(self._uses.given_back)
            for sequence, use in uses:
                ground = None
                if sequence in wanted and sequence not in gone and given < known.max_uses:
                    ground = self._ground(use, reached, now)
                if ground is None:
                    continue
                gone.add(sequence)
                given += 1
                last_use = self._uses.last_use(authorization, gone)
                yield Voidable(sequence, authorization, before, last_use, ground)
                before = last_use

    def _ground(self, use: Use, reached: Reached, now: int) -> VoidGround | None:
        for ground in VoidGround:
            if not self._against(ground, use, now) and self._shown(ground, use, reached):
                return ground
        return None

    def _against(self, ground: VoidGround, use: Use, now: int) -> str:
        """Return what shows that a ground does not hold; empty for nothing."""
        compared = use.compared
        if ground is VoidGround.UNSIGNED:
            if compared.claimed:
                return "a gateway's journal has the consumer's signature"
            return "a keyholder's journal has a release" if compared.by_keyholder else ""
        over = use.timestamp + self._window
        if now <= over:
            return f"the release window was open, for another {over - now} s"
        if compared.handed_out:
            return "a gateway's journal says that it was handed out"
        if self._seats.handed_out(compared.released):
            return "enough keyholders' journals have a release"
        return ""

    def _shown(self, ground: VoidGround, use: Use, reached: Reached) -> bool:
        """Whether there are the journals that show that a ground holds, when nothing is against it.

        A journal is silent about an access only if it was written after the access's window. So
        none shows anything, of either ground, before the window is over.
        """
        over = use.timestamp + self._window + self._head_age
        if ground is VoidGround.UNSIGNED:
            recorder = use.recorder
            if recorder is None or reached.gateways.get(recorder, 0) <= over:
                return False
        answered = {member for member, time in reached.keyholders.items() if time > over}
        return self._seats.never_handed_out(use.compared.released, answered)


def _finding(event: AccessVoided, problem: str) -> Finding:
    return finding_at(
        event, Kind.WRONG_VOID, problem, sequence=event.sequence, party=event.regulator
    )
