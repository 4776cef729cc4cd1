"""What a recorder takes from its journal when it starts."""

from ledger.journal import Journal, JournalDamagedError
from ledger.recorder.errors import RecorderError
from ledger.recorder.records import Identity, JournalState, Opened, decode_records


def restore(journal: Journal, identity: Identity) -> JournalState:
    """Read what is needed of a journal: from the oldest segment with an open transaction on.

    Raises:
        RecorderError: it belongs to another chain, deployment or account.
        JournalDamagedError: it does not read well.
    """
    state = read_journal(journal, _oldest_needed(journal))
    if state.identity is not None and state.identity != identity:
        raise RecorderError("the journal is of another chain, deployment or account")
    return state


def read_journal(journal: Journal, since: int = 0) -> JournalState:
    """Read a journal from a segment on.

    Raises:
        JournalDamagedError: it does not read well.
    """
    state = JournalState()
    state.read(journal.frames(since))
    return state


def _oldest_needed(journal: Journal) -> int:
    first = next(iter(journal.frames(journal.segment)), None)
    if first is None:
        return 0
    opened = decode_records(first.payload)[0]
    if not isinstance(opened, Opened):
        raise JournalDamagedError("a segment does not begin as it should")
    return opened.oldest
