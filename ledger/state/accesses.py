"""What the events of `AccessLog` do to the state. Source: contracts/AccessLog.sol."""

from ledger.chain.events import Accessed, BatchSkipped, Recorded
from ledger.hexstr import keccak256
from ledger.model import Outcome, Roles, State
from ledger.policy import decide
from ledger.state.errors import require, require_role


def accessed(state: State, event: Accessed) -> None:
    require(event.sequence == state.sequence + 1, event, f"not access {state.sequence + 1}")
    pending = state.unclosed
    require(pending in (b"", event.transaction), event, "the call before has no end")
    outcome = decide(state, event, event.block.timestamp)
    require(outcome is event.outcome, event, f"{event.outcome.title} instead of {outcome.title}")
    count(state, event, outcome)


def count(state: State, event: Accessed, outcome: Outcome) -> None:
    """Do what an access does, without any check: replay goes on after a wrong one.

    The running hash is over what was recorded; uses are counted by the `outcome` that the rules
    decided.
    """
    if outcome is not Outcome.DUPLICATE_REQUEST:
        state.use_nonce(event.consumer, event.nonce)
    if outcome is Outcome.ALLOWED:
        authorization = state.authorizations.get(event.basis)
        if authorization is not None:
            authorization.uses_left -= 1
            authorization.last_use = event.block.timestamp
    state.sequence = event.sequence
    state.head = keccak256(state.head + event.basis + event.data)
    state.unclosed = event.transaction
    state.unclosed_consumers.add(event.consumer)


def recorded(state: State, event: Recorded) -> None:
    require_role(state, event, event.recorder, Roles.RECORDER)
    require(state.unclosed in (b"", event.transaction), event, "it ends another call")
    require(event.sequence == state.sequence, event, f"not access {state.sequence}")
    require(event.head == state.head, event, "the running hash does not follow")
    named = all(_names(state, each, event.recorder) for each in state.unclosed_consumers)
    require(named, event, "a consumer had not named the recorder")
    close(state)


def batch_skipped(state: State, event: BatchSkipped) -> None:
    require(state.unclosed in (b"", event.transaction), event, "the call before has no end")
    require(not _names(state, event.consumer, event.recorder), event, "the recorder is named")


def close(state: State) -> None:
    """End a call of `record`."""
    state.unclosed = b""
    state.unclosed_consumers.clear()


def _names(state: State, consumer: bytes, recorder: bytes) -> bool:
    party = state.parties.get(consumer)
    return party is not None and recorder in party.recorders
