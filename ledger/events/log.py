"""Logs as nodes give them and as exports keep them: strings, not looked at yet."""

import msgspec

from ledger.errors import LedgerError


class Log(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One log as `eth_getLogs` returns it; members that nothing here needs are left out.

    Bytes are 0x strings in lowercase, numbers 0x strings without leading zeros.
    """

    block_number: str
    block_hash: str
    transaction_hash: str
    log_index: str
    address: str
    topics: tuple[str, ...]
    data: str
    block_timestamp: str | None = None
    """Some nodes leave it out; whoever reads from them puts it in (`with_timestamp`)."""


def with_timestamp(log: Log, timestamp: int) -> Log:
    """Return a log with its block's timestamp, seconds since 1970."""
    return msgspec.structs.replace(log, block_timestamp=hex(timestamp))


class EventError(LedgerError):
    """A log is not an event of the five contracts; `place` says which log it is."""

    def __init__(self, log: Log, problem: str) -> None:
        self.place = f"block {_number(log.block_number)}, log {_number(log.log_index)}"
        super().__init__(f"{self.place}: {problem}")
        self._arguments = (log, problem)

    def __reduce__(self) -> tuple[type["EventError"], tuple[Log, str]]:
        return type(self), self._arguments


class UnknownEventError(EventError):
    """The contract has no event with this topic."""


class MalformedEventError(EventError):
    """Topics or data are not what the event's declaration says."""


def _number(text: str) -> str:
    try:
        return str(int(text, 16))
    except ValueError:
        return f"{text[:20]!r}"
