"""The replay itself: logs in, a report out. Memory is flat in the number of accesses.

It goes on after a finding, so that one change neither hides the next nor shows again in all that
follows: an access counts as the rules decide it, and after a wrong running hash the recorded one is
taken over.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

from ledger.chain.deployment import Deployment
from ledger.chain.eth_methods import EventError, Log
from ledger.chain.events import Accessed, AccessVoided, Block, Event, NumberedEvent, Recorded
from ledger.chain.events.decoder import EventDecoder
from ledger.hexstr import to_hex
from ledger.model import OUTCOMES, EventChain, EventState, Outcome, State
from ledger.policy import decide
from ledger.replay.journal_check import Journal, JournalComparison
from ledger.replay.releases import ReleaseJudge
from ledger.replay.report import (
    End,
    Finding,
    Kind,
    KnownEnd,
    OutcomeCount,
    ReplayReport,
    Seats,
    Voidable,
    finding_at,
)
from ledger.replay.voids import Uses, VoidJudge
from ledger.state import ImpossibleEventError, apply, chain_on, close, count
from ledger.typed_data import Domain

Blocks = Callable[[Sequence[int]], Mapping[int, Block]]
"""Returns blocks by number, of those that there are."""

Witness = Callable[[State, Event], None]
"""Called with every event that decodes and the state before it, so that reports come from the reading that was
checked. The state is the replay's own, to be read and not kept."""

_NO_BLOCK = Block(-1, b"", -1)


class Replay:
    """One replay. Feed it every log of the five contracts, in order; then ask for the report."""

    def __init__(
        self,
        deployment: Deployment,
        journals: Sequence[Journal] = (),
        *,
        most_findings: int = 1000,
        other_contracts: bool = False,
        known_end: KnownEnd | None = None,
        witness: Witness | None = None,
    ) -> None:
        """Start from nothing.

        Args:
            deployment: From a source that is trusted. Without rosters it is not checked whether voided
                accesses were handed out.
            journals: To compare with, if any.
            most_findings: How many findings the report has; all are counted.
            other_contracts: Whether contracts of others write logs on this chain too. Then a gap
                between the numbers of a block's logs says nothing.
            known_end: Through what, or to what, the trail must come, from a source that is trusted.
            witness: Called with events, whether or not they are right.
        """
        contracts = deployment.contracts
        self.state = State(deployment.delays)
        self._decoder = EventDecoder(contracts)
        self._contracts = contracts
        self._known_end = known_end
        self._witness = witness
        self._passed: int | None = None
        domain = Domain(deployment.chain_id, contracts.access_log)
        window, head_age = deployment.release_window, deployment.head_age
        self._releases = ReleaseJudge(self.state, window, head_age)
        seats = Seats(deployment.rosters)
        self._uses = Uses(seats.count)
        self._comparison = JournalComparison(
            domain, journals, self._releases, self.state, self._uses, seats
        )
        self._voids = VoidJudge(self.state, self._uses, seats, window, head_age)
        self._outcomes = [0] * len(OUTCOMES)
        self._findings: list[Finding] = []
        self._finding_count = 0
        self._most_findings = most_findings
        self._other_contracts = other_contracts
        self._logs = 0
        self._first_block: int | None = None
        self._block = _NO_BLOCK
        self._log_index = -1

    def feed(self, logs: Iterable[Log]) -> None:
        decode, access, other = self._decoder.decode, self._accessed, self._other
        witness = self._witness
        for log in logs:
            self._logs += 1
            try:
                event = decode(log)
            except EventError as error:
                self._malformed(log, error)
                continue
            index = event.log_index
            # The usual case by itself: the next log of the same block.
            if event.block is not self._block or index != self._log_index + 1:
                self._check_order(event)
            self._log_index = index
            if witness is not None:
                witness(self.state, event)
            if type(event) is Accessed:
                access(event)
            else:
                other(event)

    def finish(
        self,
        end: End | None = None,
        *,
        last_block: int | None = None,
        blocks: Blocks | None = None,
        voidable: Container[int] | None = None,
    ) -> ReplayReport:
        """End the trail and report.

        Args:
            end: Where it must end: what the contracts said of themselves to whoever gave the logs.
            last_block: Up to which it has everything, as whoever gave the logs says.
            blocks: Tells hashes and times of blocks, of whoever can be asked for them.
            voidable: Numbers of accesses of which to report whether their use may be given back.
        """
        state = self.state
        if state.unclosed:
            self._add(Finding(Kind.OPEN_CALL, "the last call has no end", sequence=state.sequence))
        end_here = self._end()
        if end is not None:
            self._add_all(_differences(end_here, end))
        if self._known_end is not None:
            self._compare(self._known_end)
            if self._passed is None:
                self._not_passed(self._known_end, end_here.known)
        self._uses.recorded(None)
        self._add_all(self._comparison.finish())
        self._add_all(self._releases.finish(self._block))
        self._comparison.pass_block(self._block)
        known = self._ask(last_block, blocks)
        reached = self._comparison.reached(known)
        self._add_all(self._voids.finish(reached))
        returnable: Iterable[Voidable] = ()
        if voidable is not None:
            newest = (known or {}).get(-1 if last_block is None else last_block, self._block)
            returnable = self._voids.voidable(voidable, reached, newest.timestamp)
        noted = self._check_noted(last_block, known)
        return ReplayReport(
            first_block=self._first_block,
            last_block=None if self._block is _NO_BLOCK else self._block.number,
            logs=self._logs,
            accesses=sum(self._outcomes),
            outcomes=tuple(
                OutcomeCount(outcome, self._outcomes[outcome])
                for outcome in Outcome
                if self._outcomes[outcome]
            ),
            end=end_here,
            passed=self._passed,
            noted=noted,
            journals=self._comparison.names,
            signatures=self._comparison.signatures,
            releases=self._comparison.releases,
            voids=self._voids.voids,
            unchecked_voids=self._voids.unchecked,
            voidable=tuple(sorted(returnable, key=lambda use: use.authorization)),
            statements=self._comparison.statements,
            unseen_statements=self._comparison.unseen,
            finding_count=self._finding_count,
            findings=tuple(self._findings),
        )

    def _accessed(self, event: Accessed) -> None:
        state, outcome = self.state, event.outcome
        if event.sequence != state.sequence + 1:
            self._misnumbered(event)
        if state.unclosed != event.transaction and state.unclosed:
            self._open_call(event)
        decision = decide(state, event, event.block.timestamp)
        if decision is not outcome:
            problem = f"recorded as {outcome.title}, decided {decision.title}"
            self._add_at(event, Kind.WRONG_OUTCOME, problem, sequence=event.sequence)
        count(state, event, decision)
        self._outcomes[outcome] += 1
        self._add_all(self._comparison.accessed(event))
        if outcome is Outcome.ALLOWED and event.basis in state.authorizations:
            self._uses.add(
                event.sequence, event.basis, event.block.timestamp, self._comparison.compared
            )

    def _other(self, event: Event) -> None:
        state = self.state
        if isinstance(event, Recorded) and state.unclosed not in (b"", event.transaction):
            self._open_call(event)
        if isinstance(event, NumberedEvent):
            self._numbered(event)
        try:
            apply(state, event)
        except ImpossibleEventError as error:
            self._impossible(event, error)
        else:
            if isinstance(event, AccessVoided):
                self._voided(event)
        if isinstance(event, Recorded):
            state.sequence, state.head = event.sequence, event.head
            close(state)
            self._uses.recorded(event.recorder)
            self._add_all(self._comparison.recorded(event.recorder))
        if self._known_end is not None:
            self._compare(self._known_end)

    def _voided(self, event: AccessVoided) -> None:
        """Judge a use given back; that its access is unsigned is no difference any more."""
        self._add_all(self._voids.voided(event))
        use = self._uses.find(event.sequence, event.authorization)
        if use is None or not use.compared.reported:
            return
        self._finding_count -= 1
        unsigned = (Kind.UNSIGNED_ACCESS, event.sequence)
        self._findings = [
            finding for finding in self._findings if (finding.kind, finding.sequence) != unsigned
        ]

    def _compare(self, known: KnownEnd) -> None:
        """Compare with the known end once the trail is there: after an act or a call of `record`."""
        state = self.state
        number = state.sequence + sum(chain.count for chain in state.chains.values())
        if number == known.number and self._end().known == known:
            self._passed = number

    def _end(self) -> End:
        at, state = self._contracts, self.state
        addresses = (at.registry, at.catalogue, at.agreements, at.authorizations)
        chains = [state.chains.get(address, EventChain()) for address in addresses]
        events = [EventState(chain.count, chain.head) for chain in chains]
        return End(state.sequence, state.head, *events)

    def _ask(self, last_block: int | None, blocks: Blocks | None) -> Mapping[int, Block] | None:
        """Return the last block and those that journals noted, of whoever can be asked for them."""
        if last_block is None or blocks is None:
            return None
        numbers = {number for number, _ in self._comparison.noted}
        numbers.update(self._comparison.noted_numbers(), (last_block,))
        return blocks(sorted(number for number in numbers if 0 <= number <= last_block))

    def _check_noted(self, last_block: int | None, known: Mapping[int, Block] | None) -> int | None:
        """Compare with the blocks that keyholders noted; return the newest, if all are there."""
        noted = self._comparison.noted
        if last_block is None or not noted:
            return None
        whole = True
        for (number, _), source in noted.items():
            if number > last_block:
                problem = f"it ends with block {last_block}, and block {number} was noted"
                self._add(Finding(Kind.OTHER_END, problem, source=source))
                whole = False
        if known is None:
            return None
        within = {number for number, _ in noted if 0 <= number <= last_block}
        for (number, hash_), source in noted.items():
            block = known.get(number)
            if number <= last_block and (block is None or block.hash != hash_):
                problem = f"block {number} is not {to_hex(hash_)}"
                self._add(Finding(Kind.OTHER_BLOCK, problem, block_number=number, source=source))
                whole = False
        return max(within) if whole else None

    def _not_passed(self, known: KnownEnd, reached: KnownEnd) -> None:
        if reached.number < known.number:
            problem = f"it ends at number {reached.number}, before number {known.number}"
        else:
            problem = f"at number {known.number} it does not have the head {to_hex(known.head)}"
        self._add(Finding(Kind.OTHER_END, problem, sequence=self.state.sequence))

    def _numbered(self, event: NumberedEvent) -> None:
        """Check an event's number, and go on from it."""
        chain = self.state.chains.get(event.contract)
        expected = 1 if chain is None else chain.count + 1
        if event.number != expected:
            missing = event.number > expected
            kind = Kind.MISSING_EVENT if missing else Kind.REPEATED_EVENT
            self._add_at(event, kind, f"event {event.number} of its contract, {expected} was next")
        chain_on(self.state, event)

    def _impossible(self, event: Event, error: ImpossibleEventError) -> None:
        state = self.state
        if not isinstance(event, Recorded):
            self._add_at(event, Kind.IMPOSSIBLE_EVENT, error.problem)
        elif event.sequence != state.sequence:
            problem = (
                f"the call ends with access {event.sequence}, the last one was {state.sequence}"
            )
            kind = Kind.MISSING_ACCESS if event.sequence > state.sequence else Kind.REPEATED_ACCESS
            self._add_at(event, kind, problem, sequence=event.sequence, party=event.recorder)
        elif event.head != state.head:
            problem = f"the running hash is {to_hex(event.head)}, computed {to_hex(state.head)}"
            self._add_at(
                event, Kind.WRONG_HEAD, problem, sequence=event.sequence, party=event.recorder
            )
        else:
            self._add_at(event, Kind.IMPOSSIBLE_EVENT, error.problem, party=event.recorder)

    def _misnumbered(self, event: Accessed) -> None:
        expected = self.state.sequence + 1
        if event.sequence > expected:
            kind, problem = Kind.MISSING_ACCESS, f"accesses from {expected} on are missing"
        else:
            kind, problem = Kind.REPEATED_ACCESS, f"access {expected} was next"
        self._add_at(event, kind, problem, sequence=event.sequence)

    def _open_call(self, event: Event) -> None:
        last = self.state.sequence
        self._add_at(event, Kind.OPEN_CALL, "the call before it has no end", sequence=last)
        close(self.state)
        self._uses.recorded(None)
        self._add_all(self._comparison.recorded(None))

    def _check_order(self, event: Event) -> None:
        """Check a log that is not simply the next of its block."""
        block, last, expected = event.block, self._block, self._log_index + 1
        if self._first_block is None:
            self._first_block = block.number
        if block.number > last.number:
            expected = 0
            self._comparison.pass_block(last)
            self._add_all(self._releases.pass_block(last, block))
            if block.timestamp < last.timestamp:
                self._add_at(event, Kind.OUT_OF_ORDER, "its block is older than the one before")
        elif block != last:
            problem = f"block {last.number} came before it, or is another block of this number"
            self._add_at(event, Kind.OUT_OF_ORDER, problem)
        if event.log_index < expected:
            self._add_at(event, Kind.OUT_OF_ORDER, f"log {expected} of the block was next")
        elif event.log_index > expected and not self._other_contracts:
            problem = f"the block's logs from {expected} on are missing"
            self._add_at(event, Kind.MISSING_LOG, problem)
        self._block = block

    def _malformed(self, log: Log, error: EventError) -> None:
        self._add(Finding(Kind.MALFORMED_EVENT, str(error)))
        # Its place counts as taken, so that the next log is not found missing something.
        if log.log_index == hex(self._log_index + 1):
            self._log_index += 1

    def _add_at(self, event: Event, kind: Kind, problem: str, **more: object) -> None:
        self._add(finding_at(event, kind, problem, **more))

    def _add_all(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self._add(finding)

    def _add(self, finding: Finding) -> None:
        self._finding_count += 1
        if len(self._findings) < self._most_findings:
            self._findings.append(finding)


def _differences(reached: End, end: End) -> Iterator[Finding]:
    """Yield a finding for each contract that ended otherwise than it should have."""
    if (reached.sequence, reached.head) != (end.sequence, end.head):
        problem = (
            f"it ends at access {reached.sequence} with {to_hex(reached.head)}, "
            f"not at access {end.sequence} with {to_hex(end.head)}"
        )
        yield Finding(Kind.OTHER_END, problem, sequence=reached.sequence)
    names = ("Registry", "Catalogue", "Agreements", "Authorizations")
    for name, here, wanted in zip(names, reached.events, end.events, strict=True):
        if here != wanted:
            problem = (
                f"{name} ends at event {here.count} with {to_hex(here.head)}, "
                f"not at event {wanted.count} with {to_hex(wanted.head)}"
            )
            yield Finding(Kind.OTHER_END, problem, sequence=reached.sequence)
