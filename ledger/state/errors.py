"""What is wrong with an event that no contract can have emitted."""

from ledger.chain.events import Event
from ledger.errors import LedgerError
from ledger.model import Roles, State, has_role


class ImpossibleEventError(LedgerError):
    """An event does not follow from what came before it; the message says where and why."""

    def __init__(self, event: Event, problem: str) -> None:
        self.event = event
        self.problem = problem
        super().__init__(
            f"block {event.block.number}, log {event.log_index}: {event.name}: {problem}"
        )

    def __reduce__(self) -> tuple[type["ImpossibleEventError"], tuple[Event, str]]:
        return type(self), (self.event, self.problem)


def require(holds: object, event: Event, problem: str) -> None:
    """Check a condition of an event; `ImpossibleEventError` if it does not hold."""
    if not holds:
        raise ImpossibleEventError(event, problem)


def require_role(state: State, event: Event, party: bytes, role: Roles) -> None:
    """Check that who acted is admitted now, in this role."""
    if not has_role(state.parties.get(party), role):
        name = str(role.name).lower().replace("_", " ")
        raise ImpossibleEventError(event, f"not by an active {name}")
