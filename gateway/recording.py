"""The recorder as the gateway uses it: its errors in the gateway's words, and no signature lost.

The recorder journals request and signature before it sends. The gateway's own journal of releases
gets them when the outcome is known; what a crash kept from it is made up for at the next start.
"""

import asyncio
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from itertools import islice
from pathlib import Path
from typing import Final

from gateway.accesses import BUSY, not_named
from gateway.errors import BodyError, ConflictError, GatewayError, UnavailableError
from gateway.namings import Namings
from gateway.relays import Relayed
from gateway.store.releases import JournalEntry, ReleaseJournal
from ledger.contracts import ContractCall, decode_request
from ledger.errors import LedgerError
from ledger.exchange import RecordedAccess, Submission
from ledger.journal import Journal
from ledger.logs import describe, get_logger
from ledger.recorder.entries import entries_of
from ledger.recorder.errors import (
    InvalidRequestError,
    NonceGapError,
    RecorderBusyError,
    RecorderError,
    ReplacedError,
    TransactionRejectedError,
)
from ledger.recorder.errors import RecorderNotNamedError as SkippedError
from ledger.recorder.flights import Relayed as RelayedTransaction
from ledger.recorder.recorder import Recorder
from ledger.recorder.records import (
    Sent,
    Settled,
    decode_records,
    split_accesses,
    split_signatures,
)
from ledger.recorder.settling import is_duplicate, remembered
from ledger.reverts import RevertError
from ledger.rpc import RpcError
from ledger.service.errors import ThrottledError
from ledger.transactions import SignedTransaction, parse_transaction

_AT_ONCE: Final = 500
_PAUSE: Final = 1.0
_MOST_UNNOTED: Final = 10_000
"""Accesses that wait in memory for a database that takes no writes, some 10 MB."""
_SEGMENTS: Final = 2
"""Newest segments that are looked through at start: the accesses in older ones were noted long ago."""

_log = get_logger()


class Recording:
    """`AccessRecorder` and `Relay` over the recorder."""

    def __init__(self, recorder: Recorder, unclaimed: "Unclaimed", namings: Namings) -> None:
        self._recorder = recorder
        self._unclaimed = unclaimed
        self._namings = namings

    async def check(self, consumer: bytes) -> None:
        """See `gateway.accesses.AccessRecorder`."""
        try:
            named = await self._namings.ask(consumer)
        except RpcError as error:
            raise UnavailableError(str(error), "cannot-record") from error
        if not named:
            raise not_named(consumer, self._recorder.account)

    async def record(self, submission: Submission, access: bytes) -> RecordedAccess:
        """See `gateway.accesses.AccessRecorder`."""
        if self._unclaimed.waiting > _MOST_UNNOTED:
            raise UnavailableError(
                "too many accesses are not in the journal of releases yet", "cannot-record"
            )
        try:
            return await self._recorder.record(submission, access)
        except RecorderBusyError as error:
            raise ThrottledError(1, BUSY) from error
        except SkippedError as error:
            self._namings.forget(error.consumer)
            raise not_named(error.consumer, error.recorder) from error
        except InvalidRequestError as error:
            raise BodyError(str(error)) from error
        except LedgerError as error:
            raise UnavailableError(str(error), "cannot-record") from error

    async def relay(self, call: ContractCall, accepted: Callable[[], Awaitable[None]]) -> Relayed:
        """See `gateway.relays.Relay`."""
        return await _relayed(self._recorder.relay(call, accepted))

    async def relay_raw(self, transaction: SignedTransaction) -> Relayed:
        """See `gateway.relays.Relay`."""
        return await _relayed(self._recorder.relay_raw(transaction))


async def _relayed(relaying: Awaitable[RelayedTransaction]) -> Relayed:
    try:
        done = await relaying
    except RevertError:
        raise
    except (NonceGapError, ReplacedError, TransactionRejectedError) as error:
        raise ConflictError(str(error), "transaction-refused") from error
    except RecorderBusyError as error:
        raise ThrottledError(1, BUSY) from error
    except RecorderError as error:
        raise UnavailableError(str(error), "cannot-record") from error
    except LedgerError as error:
        raise UnavailableError(str(error), "chain-unavailable") from error
    return Relayed(done.transaction, done.block_number, done.block_hash)


class Unclaimed:
    """Notes accesses that are recorded and not in the journal of releases yet, until each is.

    Their memory is bounded by `Recording`, which takes no new ones while too many wait here. If we crash,
    the next start makes up for them from the recorder's journal.
    """

    def __init__(self, journal: ReleaseJournal) -> None:
        self._journal = journal
        self._entries: dict[bytes, JournalEntry] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many are not noted yet."""
        return len(self._entries)

    def __call__(self, submission: Submission, recorded: RecordedAccess) -> None:
        """Take over an access for which nobody waits any more, or whose note failed."""
        self._entries[recorded.access] = JournalEntry(submission, recorded, None)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._keep())

    async def close(self) -> None:
        """Wait a little for what is under way; the next start makes up for the rest."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=_PAUSE)
            self._task.cancel()

    async def _keep(self) -> None:
        while self._entries:
            some = list(islice(self._entries.values(), _AT_ONCE))
            try:
                await self._journal.write(some)
            except GatewayError as error:
                _log.warning("accesses not noted yet", error=describe(error), count=self.waiting)
                await asyncio.sleep(_PAUSE)
            else:
                for entry in some:
                    del self._entries[entry.recorded.access]


class NotedInTheEnd:
    """A journal of releases that forgets no access which could not be written just now.

    The caller is told all the same that it is not written, and hands nothing out. But the access is on chain,
    and nobody may ask for it again: a denied one needs no second answer.
    """

    def __init__(self, journal: ReleaseJournal, unclaimed: Unclaimed) -> None:
        self._journal = journal
        self._unclaimed = unclaimed

    @property
    def waiting(self) -> int:
        """How many recorded accesses are not in it yet, because it could not be written."""
        return self._unclaimed.waiting

    async def write(self, entries: Sequence[JournalEntry]) -> None:
        """See `ReleaseJournal`."""
        try:
            await self._journal.write(entries)
        except GatewayError:
            for entry in entries:
                self._unclaimed(entry.submission, entry.recorded)
            raise

    async def find(self, accesses: Sequence[bytes]) -> Mapping[bytes, JournalEntry]:
        """See `ReleaseJournal`."""
        return await self._journal.find(accesses)

    async def known(self, accesses: Sequence[bytes]) -> frozenset[bytes]:
        """See `ReleaseJournal`."""
        return await self._journal.known(accesses)

    def read(self, first_sequence: int) -> AsyncIterator[JournalEntry]:
        """See `ReleaseJournal`."""
        return self._journal.read(first_sequence)


async def make_up(directory: Path, journal: ReleaseJournal) -> int:
    """Write into the journal of releases what the recorder's journal has and it does not.

    Call it before the recorder is started. Idempotent.

    Returns:
        How many accesses were missing.

    Raises:
        JournalError: The recorder's journal cannot be read, or another process has it.
        StoreUnavailableError: The journal of releases cannot be used now.
    """
    missing = 0
    for some in _portions(await asyncio.to_thread(lambda: list(_settled(directory)))):
        ids = [one.access for sent, settled in some for one in _recorded(sent, settled)]
        known = await journal.known(ids)
        if known.issuperset(ids):
            continue  # as a rule: then no request is read
        lost = [
            entry
            for sent, settled in some
            for entry in _entries(sent, settled)
            if entry.recorded.access not in known
        ]
        await journal.write(lost)
        missing += len(lost)
    return missing


def _settled(directory: Path) -> Iterator[tuple[Sent, Settled]]:
    """Yield the transactions of the newest segments that recorded accesses, with their outcomes."""
    if not directory.exists():
        return
    opened = Journal.open(directory)
    try:
        signed: dict[int, Sent] = {}
        nonces: dict[bytes, int] = {}
        for frame in opened.frames(max(opened.segment - _SEGMENTS + 1, 0)):
            for one in decode_records(frame.payload):
                if isinstance(one, Sent) and one.accesses:
                    nonces[one.hash] = one.nonce
                    if one.signatures:  # a replacement has the same accesses and no signatures
                        signed[one.nonce] = one
                elif isinstance(one, Settled) and one.outcomes and one.hash in nonces:
                    sent = signed.pop(nonces.pop(one.hash), None)
                    if sent is not None:
                        yield sent, one
    finally:
        opened.close()


def _portions(
    settled: Iterable[tuple[Sent, Settled]],
) -> Iterator[list[tuple[Sent, Settled]]]:
    """Yield some transactions at a time, with `_AT_ONCE` accesses or a few more."""
    portion: list[tuple[Sent, Settled]] = []
    count = 0
    for one in settled:
        portion.append(one)
        count += len(one[1].outcomes)
        if count >= _AT_ONCE:
            yield portion
            portion, count = [], 0
    if portion:
        yield portion


def _recorded(sent: Sent, settled: Settled) -> Iterator[RecordedAccess]:
    return (one for one in remembered(settled, split_accesses(sent)) if not is_duplicate(one))


def _entries(sent: Sent, settled: Settled) -> Iterator[JournalEntry]:
    accesses = split_accesses(sent)
    content = parse_transaction(sent.raw).content
    requests = {
        entry.access: Submission(decode_request(entry.consumer, entry.encoded), entry.signature)
        for entry in entries_of(content.data, accesses, split_signatures(sent))
    }
    for recorded in _recorded(sent, settled):
        yield JournalEntry(requests[recorded.access], recorded, None)
