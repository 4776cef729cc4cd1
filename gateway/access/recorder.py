"""The recorder as the gateway uses it: its errors in the gateway's words, and no signature lost.

The recorder journals request and signature before it sends. The gateway's own journal of releases
gets them when the outcome is known; what a crash kept from it is made up for at the next start.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from gateway.chain.accounts import Namings
from gateway.consent.relays import Relayed
from gateway.errors import BUSY, BodyError, ConflictError, UnavailableError, not_named
from gateway.store.releases import JournalEntry, ReleaseJournal
from ledger.api import RecordedAccess, Submission
from ledger.chain.contract_calls import ContractCall, decode_request
from ledger.chain.reverts import RevertError
from ledger.chain.rpc import RpcError
from ledger.chain.transactions import SignedTransaction, parse_transaction
from ledger.errors import LedgerError
from ledger.journal import Journal
from ledger.recorder.batch import entries_of
from ledger.recorder.journal import Sent, Settled, decode_records, split_accesses, split_signatures
from ledger.recorder.recorder import Recorder
from ledger.recorder.settings import (
    InvalidRequestError,
    RecorderBusyError,
    RecorderError,
    TransactionRejectedError,
)
from ledger.recorder.settings import RecorderNotNamedError as SkippedError
from ledger.recorder.settle import Relayed as RelayedTransaction
from ledger.recorder.settle import remembered
from ledger.service.errors import ThrottledError
from ledger.service.logs import get_logger

_AT_ONCE: Final = 500
_MAX_UNNOTED: Final = 10_000
"""Accesses that wait in memory for a database that takes no writes, some 10 MB."""
_SEGMENTS: Final = 2
"""Newest segments that are looked through at start: the accesses in older ones were noted long ago."""

_log = get_logger()


class Recording:
    """`AccessRecorder` and `Relay` over the recorder; without one nothing is recorded and nothing relayed."""

    def __init__(
        self, recorder: Recorder | None, namings: Namings | None, journal: ReleaseJournal
    ) -> None:
        self._recorder = recorder
        self._journal = journal
        self._namings = namings

    async def check(self, consumer: bytes) -> None:
        recorder, namings = self._working()
        try:
            named = await namings.ask(consumer)
        except RpcError as error:
            raise UnavailableError(str(error), "cannot-record") from error
        if not named:
            raise not_named(consumer, recorder.account)

    async def record(self, submission: Submission, access: bytes) -> RecordedAccess:
        recorder, namings = self._working()
        if self._journal.unwritten > _MAX_UNNOTED:
            raise UnavailableError(
                "too many accesses are not in the journal of releases yet", "cannot-record"
            )
        try:
            return await recorder.record(submission, access)
        except RecorderBusyError as error:
            raise ThrottledError(1, BUSY) from error
        except SkippedError as error:
            namings.forget(error.consumer)
            raise not_named(error.consumer, error.recorder) from error
        except InvalidRequestError as error:
            raise BodyError(str(error)) from error
        except LedgerError as error:
            raise UnavailableError(str(error), "cannot-record") from error

    async def relay(self, call: ContractCall, accepted: Callable[[], Awaitable[None]]) -> Relayed:
        return await _relayed(self._working()[0].relay(call, accepted))

    async def relay_raw(self, transaction: SignedTransaction) -> Relayed:
        return await _relayed(self._working()[0].relay_raw(transaction))

    def _working(self) -> tuple[Recorder, Namings]:
        if self._recorder is None or self._namings is None:
            raise UnavailableError("this gateway has no recorder's key", "cannot-record")
        return self._recorder, self._namings


async def _relayed(relaying: Awaitable[RelayedTransaction]) -> Relayed:
    try:
        done = await relaying
    except RevertError:
        raise
    except TransactionRejectedError as error:
        raise ConflictError(str(error), "transaction-refused") from error
    except RecorderBusyError as error:
        raise ThrottledError(1, BUSY) from error
    except RecorderError as error:
        raise UnavailableError(str(error), "cannot-record") from error
    except LedgerError as error:
        raise UnavailableError(str(error), "chain-unavailable") from error
    return Relayed(done.transaction, done.block_number, done.block_hash)


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
        ids = [
            one.access
            for sent, settled in some
            for one in remembered(settled, split_accesses(sent))
        ]
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
            for record in decode_records(frame.payload):
                if isinstance(record, Sent) and record.accesses:
                    nonces[record.hash] = record.nonce
                    if record.signatures:  # a replacement has the same accesses and no signatures
                        signed[record.nonce] = record
                elif isinstance(record, Settled) and record.outcomes and record.hash in nonces:
                    sent = signed.pop(nonces.pop(record.hash), None)
                    if sent is not None:
                        yield sent, record
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


def _entries(sent: Sent, settled: Settled) -> Iterator[JournalEntry]:
    accesses = split_accesses(sent)
    content = parse_transaction(sent.raw).content
    requests = {
        entry.access: Submission(decode_request(entry.consumer, entry.encoded), entry.signature)
        for entry in entries_of(content.data, accesses, split_signatures(sent))
    }
    for recorded in remembered(settled, accesses):
        yield JournalEntry(requests[recorded.access], recorded, None)
