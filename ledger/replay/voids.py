"""Uses that regulators gave back, judged again: each `AccessVoided` by the trail and by the journals.

The contract bounds how much a regulator can give back; it keeps no access, so whether the access used
this very authorization, what the last use is without it, and why it was not served are for replay.

Source: PROMISES 3; docs/spec/journals.md "Judging voided accesses again".
"""

from collections.abc import Container, Iterator

from ledger.entities import State
from ledger.enumerations import VoidGround
from ledger.events import AccessVoided
from ledger.hexes import to_hex
from ledger.replay.report import Finding, Kind, Voidable, finding_at
from ledger.replay.seats import Seats
from ledger.replay.uses import Reached, Use, Uses


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
