"""Callers and the accesses that they wait for. No I/O.

The same request handed in twice is one access: while it waits or is on its way, both callers wait for
the same; once it is recorded, the second one gets the outcome at once, as long as it is remembered.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from ledger.exchange import RecordedAccess, Submission
from ledger.recorder.entries import Entry, FairQueue, make_entry
from ledger.recorder.errors import InvalidRequestError, RecorderError, not_recorded
from ledger.recorder.settings import RecorderSettings

T = TypeVar("T")

Unclaimed = Callable[[Submission, RecordedAccess], None]
"""Called with an access that was recorded when nobody waited for it any more."""

_LATEST_DEADLINE: Final = (1 << 40) - 1


class PendingRequests:
    """Callers, by the access that they wait for. Belongs to one event loop."""

    def __init__(self, settings: RecorderSettings, wake: Callable[[], None]) -> None:
        self.queue = FairQueue(settings.most_queued, settings.most_queued_of_one)
        self._settings = settings
        self._wake = wake
        self._entries: dict[bytes, Entry] = {}
        self._recent: OrderedDict[bytes, RecordedAccess] = OrderedDict()
        self._due: deque[tuple[float, asyncio.Future[Any], Entry | None]] = deque()

    def submit(
        self, submission: Submission, access: bytes | None, closed: RecorderError | None
    ) -> asyncio.Future[RecordedAccess]:
        """Hand in a request; `access` is its id, when it is known already.

        Raises:
            RecorderError: `closed`, when the request is a new one.
            RecorderBusyError: too many wait.
            InvalidRequestError: no contract could take it.
        """
        entry = make_entry(submission.request, submission.signature, access)
        future: asyncio.Future[RecordedAccess] = asyncio.get_running_loop().create_future()
        done = self._recent.get(entry.access)
        if done is not None:
            future.set_result(done)
            return future
        known = self._entries.get(entry.access)
        if known is None:
            if closed is not None:
                raise closed
            if submission.request.deadline > _LATEST_DEADLINE:
                raise InvalidRequestError(f"a deadline is at most {_LATEST_DEADLINE}")
            self.queue.put(entry)
            self._entries[entry.access] = known = entry
            self._wake()
        known.waiters.append(future)
        self._due.append((time.monotonic() + self._settings.patience, future, known))
        return future

    def await_call(self) -> "asyncio.Future[Any]":
        """Return a future for a relayed transaction; it ends when patience does."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._due.append((time.monotonic() + self._settings.patience, future, None))
        return future

    def restore(self, entries: Iterable[Entry]) -> None:
        """Take in entries that a journal says are on their way."""
        for entry in entries:
            self._entries[entry.access] = entry

    def remember(self, accesses: Iterable[RecordedAccess]) -> None:
        """Keep outcomes, to answer repeated requests at once."""
        for access in accesses:
            self._recent[access.access] = access
        while len(self._recent) > self._settings.remembered:
            self._recent.popitem(last=False)

    def forget(self) -> None:
        """Forget all outcomes: the chain lost some."""
        self._recent.clear()

    def settle(self, entry: Entry, access: RecordedAccess) -> bool:
        """Give an outcome to those who wait for it; return whether anybody did."""
        self._entries.pop(entry.access, None)
        claimed = False
        for waiter in entry.waiters:
            if not waiter.done():
                waiter.set_result(access)
                claimed = True
        return claimed

    def fail(self, entries: Sequence[Entry], error: RecorderError) -> None:
        """Give an error to those who wait; the entries are not on their way any more."""
        for entry in entries:
            self._entries.pop(entry.access, None)
            for waiter in entry.waiters:
                if not waiter.done():
                    waiter.set_exception(error)

    def sweep(self, reason: str) -> None:
        """Answer those who waited too long, with the reason why; drop what none of them needs any more."""
        self._end_until(time.monotonic(), reason)

    def close(self, reason: str) -> None:
        """Answer all who still wait: nothing more will come of it here."""
        self._end_until(float("inf"), reason)

    def _end_until(self, now: float, reason: str) -> None:
        while self._due and self._due[0][0] <= now:
            _, future, entry = self._due.popleft()
            may_come = entry is None or entry.journaled
            if not future.done():
                future.set_exception(not_recorded(reason, ambiguous=may_come))
            if entry is None or may_come or not all(waiter.done() for waiter in entry.waiters):
                continue
            if self._entries.get(entry.access) is entry:
                entry.dropped = True
                del self._entries[entry.access]
