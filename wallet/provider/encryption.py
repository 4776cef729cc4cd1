"""Encrypts records in several processes, in order, with little in memory at any time."""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from typing import Final

import msgspec

from ledger.crypto.records import WithdrawnRecord, encode_line, encrypt_record
from ledger.crypto.secret_sharing import DatasetKeys
from ledger.encoding import Schema
from wallet.provider.book import SentRecord
from wallet.provider.errors import ProviderError
from wallet.provider.spool import PlannedRecord

_BATCHES_AHEAD: Final = 8
"""Batches that wait for each process: enough that none idles while lines are being sent."""

_WORTH_A_PROCESS: Final = 2000
"""Records from which on starting processes takes less time than it saves."""

Batch = tuple[PlannedRecord, ...]


class EncryptedBatch(msgspec.Struct, frozen=True, gc=False):
    """Records as they travel, and their lines of the book."""

    lines: tuple[bytes, ...]
    records: tuple[SentRecord, ...]


_Work = Callable[[Batch], EncryptedBatch]


def encrypt_batches(
    schema: Schema,
    keys: DatasetKeys,
    batches: Iterable[Batch],
    *,
    expected: int,
    processes: int | None = None,
) -> Iterator[EncryptedBatch]:
    """Yield the batches encrypted, in their order.

    Args:
        schema: of the dataset.
        keys: of the dataset; they reach the other processes through a pipe.
        batches: of planned records.
        expected: records, roughly; few are encrypted in this process.
        processes: at most; one a core when None.

    Raises:
        ProviderError: a process died.
    """
    count = processes if processes is not None else os.cpu_count() or 1
    if expected < _WORTH_A_PROCESS or count < 2:
        yield from map(partial(_encrypt, schema, keys), batches)
        return
    with _pool(schema, keys, count) as submit:
        waiting: deque[Future[EncryptedBatch]] = deque()
        for batch in batches:
            waiting.append(submit(batch))
            if len(waiting) >= count * _BATCHES_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextmanager
def _pool(
    schema: Schema, keys: DatasetKeys, count: int
) -> Iterator[Callable[[Batch], "Future[EncryptedBatch]"]]:
    # Spawned and not forked: this process has threads and open databases.
    pool = ProcessPoolExecutor(count, get_context("spawn"), _start, (schema, keys))
    try:
        yield lambda batch: pool.submit(_work, batch)
    except BrokenProcessPool as error:
        raise ProviderError("Provider", "a process that encrypts has died") from error
    finally:
        pool.shutdown(cancel_futures=True)


class _State:
    """The work of this process, set once when it starts."""

    work: _Work | None = None


def _start(schema: Schema, keys: DatasetKeys) -> None:
    # Ctrl-C goes to all processes of a terminal; who started this one ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _State.work = partial(_encrypt, schema, keys)


def _work(batch: Batch) -> EncryptedBatch:
    if _State.work is None:
        raise ProviderError("Provider", "the process was not told what to do")
    return _State.work(batch)


def _encrypt(schema: Schema, keys: DatasetKeys, batch: Batch) -> EncryptedBatch:
    lines, records = [], []
    for planned in batch:
        owner, number = planned.owner, planned.number
        if planned.values is None:
            lines.append(encode_line(WithdrawnRecord(owner, number)))
            records.append(SentRecord(owner, number, None, None))
            continue
        record = encrypt_record(schema, keys, owner=owner, number=number, values=planned.values)
        lines.append(encode_line(record))
        records.append(SentRecord(owner, number, planned.hash, record.entry().root))
    return EncryptedBatch(tuple(lines), tuple(records))
