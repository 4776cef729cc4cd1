"""The recorder as the gateway uses it: its errors in the gateway's words, and no signature lost.

The recorder journals request and signature before it sends. The gateway's own journal of releases
gets them when the outcome is known; what a crash kept from it is made up for at the next start.
"""

import asyncio
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Final

from gateway.accesses import CannotRecordError, QueueFullError
from gateway.errors import ChainUnavailableError, ConflictError, GatewayError, MalformedBodyError
from gateway.logs import describe, get_logger
from gateway.relays import Relayed
from gateway.store.releases import JournalEntry, ReleaseJournal
from ledger.contracts import ContractCall, decode_request
from ledger.errors import LedgerError
from ledger.exchange import RecordedAccess, Submission
from ledger.journal import Journal
from ledger.recorder.entries import entries_of
from ledger.recorder.errors import (
    InvalidRequestError,
    NonceGapError,
    RecorderBusyError,
    RecorderError,
    ReplacedError,
    TransactionRejectedError,
)
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
from ledger.transactions import SignedTransaction, parse_transaction

_BUSY: Final = 1
_AT_ONCE: Final = 500
_PAUSE: Final = 1.0
_SEGMENTS: Final = 2
"""Newest segments that are looked through at start: the accesses in older ones were noted long ago."""

_log = get_logger()


class TransactionRefusedError(ConflictError):
    """A party's own transaction cannot be carried out: its nonce was used, or does not follow."""


class Recording:
    """`AccessRecorder` and `Relay` over the recorder."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    async def record(self, submission: Submission, access: bytes) -> RecordedAccess:
        """See `gateway.accesses.AccessRecorder`."""
        try:
            return await self._recorder.record(submission, access)
        except RecorderBusyError as error:
            raise QueueFullError(_BUSY) from error
        except InvalidRequestError as error:
            raise MalformedBodyError(str(error)) from error
        except LedgerError as error:
            raise CannotRecordError(str(error)) from error

    async def relay(self, call: ContractCall) -> Relayed:
        """See `gateway.relays.Relay`."""
        return await _relayed(self._recorder.relay(call))

    async def relay_raw(self, transaction: SignedTransaction) -> Relayed:
        """See `gateway.relays.Relay`."""
        return await _relayed(self._recorder.relay_raw(transaction))


async def _relayed(relaying: Awaitable[RelayedTransaction]) -> Relayed:
    try:
        done = await relaying
    except RevertError:
        raise
    except (NonceGapError, ReplacedError, TransactionRejectedError) as error:
        raise TransactionRefusedError(str(error)) from error
    except RecorderBusyError as error:
        raise QueueFullError(_BUSY) from error
    except RecorderError as error:
        raise CannotRecordError(str(error)) from error
    except LedgerError as error:
        raise ChainUnavailableError(str(error)) from error
    return Relayed(done.transaction, done.block_number, done.block_hash)


class Unclaimed:
    """Notes accesses that were recorded when nobody waited any more, until each is in the journal."""

    def __init__(self, journal: ReleaseJournal) -> None:
        self._journal = journal
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, submission: Submission, recorded: RecordedAccess) -> None:
        """Take an access over from the recorder."""
        task = asyncio.get_running_loop().create_task(self._keep(submission, recorded))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait a little for what is under way; the next start makes up for the rest."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_PAUSE)
        for task in self._tasks:
            task.cancel()

    async def _keep(self, submission: Submission, recorded: RecordedAccess) -> None:
        while True:
            try:
                await self._journal.write([JournalEntry(submission, recorded, None)])
            except GatewayError as error:
                _log.warning("access not noted yet", error=describe(error))
                await asyncio.sleep(_PAUSE)
            else:
                return


async def make_up(directory: Path, journal: ReleaseJournal) -> int:
    """Write into the journal of releases what the recorder's journal has and it does not.

    Call it before the recorder is started. Idempotent.

    Returns:
        How many accesses were missing.

    Raises:
        JournalError: The recorder's journal cannot be read, or another process has it.
        StoreUnavailableError: The journal of releases cannot be used now.
    """
    found = await asyncio.to_thread(lambda: list(_settled_accesses(directory)))
    missing = 0
    for start in range(0, len(found), _AT_ONCE):
        some = {entry.recorded.access: entry for entry in found[start : start + _AT_ONCE]}
        known = await journal.find(list(some))
        lost = [entry for access, entry in some.items() if access not in known]
        if lost:
            await journal.write(lost)
        missing += len(lost)
    return missing


def _settled_accesses(directory: Path) -> Iterator[JournalEntry]:
    """Yield the accesses of the newest segments whose outcome the recorder's journal knows."""
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
                        yield from _entries(sent, one)
    finally:
        opened.close()


def _entries(sent: Sent, settled: Settled) -> Iterator[JournalEntry]:
    accesses = split_accesses(sent)
    content = parse_transaction(sent.raw).content
    entries = entries_of(content.data, accesses, split_signatures(sent))
    for entry, recorded in zip(entries, remembered(settled, accesses), strict=True):
        if not is_duplicate(recorded):
            request = decode_request(entry.consumer, entry.encoded)
            yield JournalEntry(Submission(request, entry.signature), recorded, None)
