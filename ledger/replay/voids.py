"""Judging again what regulators gave back: each `AccessVoided` by the trail and by the journals.

The contract bounds how much a regulator can give back; it keeps no access, so whether the access used
this very authorization, what the last use is without it, and why it was not served are for replay.

Source: PROMISES 3; docs/spec/journals.md "Judging voided accesses again".
"""

from collections.abc import Container, Iterator, Sequence

import msgspec

from ledger.custody import Sharing
from ledger.entities import State
from ledger.enumerations import VoidGround
from ledger.events import AccessVoided
from ledger.hexes import to_hex
from ledger.replay.report import Finding, Kind, Voidable, finding_at
from ledger.replay.uses import Use, Uses


class Bounds(msgspec.Struct, frozen=True):
    """What the grounds are judged by."""

    release_window: int
    """Of the deployment, seconds."""
    gateways: int
    """How many gateways' journals there are."""
    keyholders: int
    """How many keyholders' journals there are."""
    sharings: Sequence[Sharing]
    """How many of how many keyholders it takes, in each epoch; empty if that is not known."""

    @property
    def opened_by(self) -> int:
        """The fewest keyholders who can have made a key."""
        return min(one.threshold for one in self.sharings)

    @property
    def silent(self) -> int:
        """How many keyholders without a release show that no key was made."""
        return max(one.holders - one.threshold + 1 for one in self.sharings)


class VoidJudge:
    """Goes along with a replay, void by void."""

    def __init__(self, state: State, uses: Uses, bounds: Bounds) -> None:
        """Take what replay changes.

        Args:
            state: Always that after the events so far.
            uses: The uses so far.
            bounds: What the grounds are judged by.
        """
        self._state = state
        self._uses = uses
        self._bounds = bounds
        self._waiting: list[tuple[AccessVoided, Use]] = []
        self.voids = 0
        self.unchecked = 0
        """Voids whose ground the journals do not show, nor the opposite."""

    def voided(self, event: AccessVoided) -> Iterator[Finding]:
        """Take one that the state has taken. Its ground is judged at the end, when all is compared."""
        self.voids += 1
        found = self._uses.find(event.sequence, event.authorization)
        if found is None:
            name = to_hex(event.authorization)
            yield _finding(event, f"access {event.sequence} was no allowed access of {name}")
            return
        self._uses.forget(event.authorization, self._state.voided)
        standing = self._uses.newest(event.authorization, self._state.voided)
        last_use = 0 if standing is None else standing.timestamp
        if event.last_use != last_use:
            problem = (
                f"the last use is set to {event.last_use}, the last that stands was {last_use}"
            )
            yield _finding(event, problem)
        self._waiting.append((event, found))

    def finish(self, unproven: Container[int]) -> Iterator[Finding]:
        """Judge the grounds.

        Args:
            unproven: Accesses of which no gateway's journal has a signature that is the consumer's, but
                others.
        """
        for event, use in self._waiting:
            signed = use.compared.claimed and event.sequence not in unproven
            now = event.block.timestamp
            against = self._against(event.ground, use, signed=signed, now=now)
            if against:
                yield _finding(event, f"its ground does not hold: {against}")
            elif not self._shown(event.ground, use):
                self.unchecked += 1

    def voidable(
        self, wanted: Container[int], unproven: Container[int], now: int
    ) -> Iterator[Voidable]:
        """Yield the uses that can be given back one after the other, each with the ground that holds.

        Args:
            wanted: Numbers of the accesses that are to be given back, if they can be.
            unproven: As for `finish`.
            now: Time of the newest block, seconds since 1970.
        """
        for authorization, uses in self._uses.of_each():
            known = self._state.authorizations.get(authorization)
            if known is None or known.revoked:
                continue
            given, before = known.voids, known.last_use
            gone = set(self._state.voided)
            for sequence, use in uses:
                ground = None
                if sequence in wanted and sequence not in gone and given < known.max_uses:
                    signed = use.compared.claimed and sequence not in unproven
                    ground = self._ground(use, signed=signed, now=now)
                if ground is None:
                    continue
                gone.add(sequence)
                given += 1
                standing = self._uses.newest(authorization, gone)
                last_use = 0 if standing is None else standing.timestamp
                yield Voidable(sequence, authorization, before, last_use, ground)
                before = last_use

    def _ground(self, use: Use, *, signed: bool, now: int) -> VoidGround | None:
        for ground in VoidGround:
            against = self._against(ground, use, signed=signed, now=now)
            if not against and self._shown(ground, use):
                return ground
        return None

    def _against(self, ground: VoidGround, use: Use, *, signed: bool, now: int) -> str:
        """Return what shows that a ground does not hold; empty for nothing."""
        bounds = self._bounds
        if ground is VoidGround.UNSIGNED:
            if signed:
                return "a gateway's journal has the consumer's signature"
            return "a keyholder's journal has a release" if use.compared.holders else ""
        over = use.timestamp + bounds.release_window
        if now <= over:
            return f"the release window was open, for another {over - now} s"
        if bounds.sharings and use.compared.holders >= bounds.opened_by:
            return f"{use.compared.holders} keyholders' journals have a release"
        return ""

    def _shown(self, ground: VoidGround, use: Use) -> bool:
        """Whether there are the journals that show that a ground holds, when nothing is against it."""
        bounds = self._bounds
        if ground is VoidGround.UNSIGNED and not bounds.gateways:
            return False
        return bool(bounds.sharings) and bounds.keyholders - use.compared.holders >= bounds.silent


def _finding(event: AccessVoided, problem: str) -> Finding:
    return finding_at(
        event, Kind.WRONG_VOID, problem, sequence=event.sequence, party=event.regulator
    )
