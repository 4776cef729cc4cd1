"""Publishing a file: read and check, find owners, sort, encrypt, upload, publish on chain, serve."""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import msgspec

from ledger.crypto.merkle import TreeHead
from ledger.crypto.records import WithdrawnRecord, encode_line, encrypt_record
from ledger.crypto.secret_sharing import DatasetKeys
from ledger.encoding import Schema
from wallet.client.errors import ClientError, ErrorKind, ProblemError
from wallet.provider.description import Description, KeyKind
from wallet.provider.errors import ProviderError
from wallet.provider.published_state import PublishedState, SentRecord, Upload
from wallet.provider.quality import (
    Defect,
    DefectKind,
    QualityError,
    QualityLog,
    QualityReport,
    RowChecker,
)
from wallet.provider.services import PublishingServices
from wallet.provider.source import read_numbers, read_source, unit_of
from wallet.provider.staging import NOBODY, Changes, Extent, PlannedRecord, Row, Staging

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


_ROWS_AT_ONCE: Final = 1000
_RECORDS_IN_A_BATCH: Final = 200
_KEYS_AT_ONCE: Final = 20_000
_TRIES: Final = 8
_MAX_BODY: Final = 4 * 2**20
_MAX_LINES: Final = 2000


class Stage(StrEnum):
    """A stage of publishing."""

    READING = "reading"
    OWNERS = "owners"
    SORTING = "sorting"
    UPLOADING = "uploading"
    SEALING = "sealing"
    PUBLISHING = "publishing"
    SERVING = "serving"


Progress = Callable[[Stage, int, int | None], None]
"""Hears the stage, how many records are done, and of how many (None: not known)."""


class Options(msgspec.Struct, frozen=True):
    """How to publish.

    Attributes:
        whole: send all records, also those that are published already.
        leave_out_defective: publish the sound records of a file that has defective ones; only for a
            whole version, since a delta could not tell a defective record from a withdrawn one.
        even_if_unchanged: publish a version that says the same as the one before.
        processes: that encrypt, at most; None for one a core.
        changes: the file has only records that are new or changed; all others stay as they are.
        withdraw: with `changes`, a file with the numbers of records to withdraw, one a line.

    Raises:
        ProviderError: on construction, if they contradict each other.
    """

    whole: bool = False
    leave_out_defective: bool = False
    even_if_unchanged: bool = False
    processes: int | None = None
    changes: bool = False
    withdraw: Path | None = None

    def __post_init__(self) -> None:
        if self.changes and (self.whole or self.leave_out_defective):
            raise ProviderError(
                "Provider", "a file with only changes does not make a whole version"
            )
        if self.withdraw is not None and not self.changes:
            raise ProviderError(
                "Provider", "records are withdrawn by list only beside a file with only changes"
            )


class Publication(msgspec.Struct, frozen=True):
    """A publication that is served."""

    dataset: bytes
    version: int
    base: int
    """Version that the upload changed; zero when it carried all records."""
    head: TreeHead
    changes: Changes
    report: QualityReport
    sent: int
    """Lines that travelled."""


def check_file(
    path: Path,
    description: Description,
    spool: Staging,
    progress: Progress,
    *,
    part: str = "",
) -> QualityReport:
    """Read a file into a spool; return what is wrong with it.

    Args:
        path: the file.
        description: its columns.
        spool: takes the sound rows.
        progress: hears how it goes.
        part: a remark of the report on a file that is only a part of the dataset.

    Raises:
        ProviderError: it cannot be read as its description says.
        ProviderError: the spool cannot be written.
    """
    log, checker = QualityLog(), RowChecker(description)
    expected = None if part else description.records
    rows = _sound_rows(path, description, log, checker)
    while batch := list(islice(rows, _ROWS_AT_ONCE)):
        spool.add(batch)
        progress(Stage.READING, log.records, expected)
    for duplicate in spool.drop_duplicates():
        detail = f"as in {unit_of(description)} {duplicate.first_line}"
        column = description.number_column
        log.add([Defect(duplicate.line, DefectKind.DUPLICATE_NUMBER, column, detail)])
        log.sound -= 1
    if expected is not None and log.records != expected:
        log.remark(f"the description speaks of {expected} records")
    if part:
        log.remark(part)
    return log.report(description.code, unit_of(description))


def _sound_rows(
    path: Path, description: Description, log: QualityLog, checker: RowChecker
) -> Iterator[Row]:
    for read in read_source(path, description, log):
        log.records += 1
        row = (read,) if isinstance(read, Defect) else checker.check(read)
        if isinstance(row, Row):
            log.sound += 1
            yield row
        else:
            log.add(row)


@dataclass(frozen=True, slots=True)
class Publisher:
    """Publishes one dataset from one provider's machine.

    Attributes:
        description: of the dataset.
        dataset: its id, 32 bytes.
        services: the parties that it takes.
        workspace: directory of books and working files; on the disk where the source files are.
        progress: hears how it goes.
    """

    description: Description
    dataset: bytes
    services: PublishingServices
    workspace: Path
    progress: Progress = lambda _stage, _done, _of: None

    def publish(self, path: Path, options: Options | None = None) -> Publication:
        """Publish a file: as changes to the version before where that is possible.

        Raises:
            QualityError: the file has defects; nothing was sent.
            ProviderError, ClientError: it did not work; start it again.
        """
        chosen = options or Options()
        terms = self.services.terms(self.dataset)
        if terms.fields != self.description.field_titles:
            raise ProviderError(
                "TermsMismatch",
                f"{self.description.code} is registered with other fields: register another dataset",
            )
        schema = Schema(self.dataset, terms.fields)
        with self._book() as book, Staging(self.workspace) as spool:
            finished = self._finish(book)
            base = self._base(book, chosen)
            if chosen.withdraw is not None:
                _read_withdrawals(chosen.withdraw, spool, book, base, finished)
            report = self._read(path, spool, base, chosen)
            if report.defective and (base or not chosen.leave_out_defective):
                detail = f"{report.defective} of {report.records} records are defective"
                raise QualityError(f"{detail}; nothing was sent", report)
            self._find_owners(spool)
            self.progress(Stage.SORTING, 0, None)
            partial_extent = Extent.CHANGES if chosen.changes else Extent.DIFFERENCE
            changes = spool.plan(book.path, partial_extent if base else Extent.WHOLE)
            sent = spool.planned()
            if base and not sent and not chosen.even_if_unchanged:
                raise ProviderError("NothingToPublish", f"version {base} says the same already")
            upload = self._open_upload(book, spool, base, report)
            if upload.head is None:
                self._send(book, spool, upload, schema, chosen)
            head = self._seal(book)
            version = self._make_public(book)
        return Publication(self.dataset, version, base, head, changes, report, sent)

    def finish(self) -> int | None:
        """Finish a publication that was interrupted after it was sealed; return its version."""
        with self._book() as book:
            return self._finish(book)

    def _book(self) -> PublishedState:
        return PublishedState(self.workspace / f"{self.dataset.hex()}.book", self.dataset)

    def _finish(self, book: PublishedState) -> int | None:
        upload = book.upload()
        return None if upload is None or upload.raw is None else self._make_public(book)

    def _base(self, book: PublishedState, options: Options) -> int:
        """Return the version to change; zero to send everything."""
        newest = self.services.newest(self.dataset).number
        known = book.version == newest
        if options.changes and not (known and newest):
            raise ProviderError(
                "Source",
                f"the newest version is {newest or 'none'}, this machine's book has "
                f"{book.version or 'none'}: publish the whole file",
            )
        return 0 if options.whole or options.leave_out_defective or not known else newest

    def _read(self, path: Path, spool: Staging, base: int, options: Options) -> QualityReport:
        part = ""
        if options.changes:
            part = f"only changes to version {base}; {spool.withdrawals()} records are withdrawn"
        report = check_file(path, self.description, spool, self.progress, part=part)
        both = spool.withdrawn_and_read()
        if both is not None:
            raise ProviderError(
                "Source",
                f"the record on line {both.line} of the list is withdrawn, and is in {path.name}, "
                f"{unit_of(self.description)} {both.first_line}",
            )
        return report

    def _find_owners(self, spool: Staging) -> None:
        kind = self.description.key_kind
        if kind is KeyKind.NONE:
            spool.add_owners([("", NOBODY)])
            return
        spool.index_keys()
        done, total = 0, spool.count_keys()
        last = ""
        while keys := spool.keys(after=last, limit=_KEYS_AT_ONCE):
            owners = self.services.owners(self.dataset, kind, keys)
            spool.add_owners(zip(keys, owners, strict=True))
            last, done = keys[-1], done + len(keys)
            self.progress(Stage.OWNERS, done, total)
        if spool.without_owner():
            raise ProviderError("Provider", "some records have no owner")

    def _open_upload(
        self, book: PublishedState, spool: Staging, base: int, report: QualityReport
    ) -> Upload:
        """Go on with the upload that was begun for the same plan, or begin one."""
        plan = spool.plan_digest()
        begun = book.upload()
        if begun is not None:
            state = self.services.state(begun.id)
            if state is not None and (begun.base, begun.plan) == (base, plan):
                return begun
            if state is not None:
                self.services.drop(begun.id)
            book.abandon()
        identifier = self.services.begin(self.dataset, base)
        book.begin(Upload(identifier, base, plan, report.digest(), None, None))
        return book.current()

    def _send(
        self, book: PublishedState, spool: Staging, upload: Upload, schema: Schema, options: Options
    ) -> None:
        total, start = spool.planned(), self._received(upload)
        self.progress(Stage.UPLOADING, start, total)
        if start < total:
            keys = self.services.keys(self.dataset)
            records = spool.records(start)
            batches = iter(lambda: tuple(islice(records, _RECORDS_IN_A_BATCH)), ())
            encrypted = encrypt_batches(
                schema, keys, batches, expected=total - start, processes=options.processes
            )
            for body in _bodies(encrypted):
                book.note_sent(start, body.records)
                self._send_body(upload, start, body.lines)
                start += len(body.lines)
                self.progress(Stage.UPLOADING, start, total)
        if self._received(upload) != total:
            raise ProviderError(
                "Provider", "the gateway has another number of lines than were sent"
            )

    def _send_body(self, upload: Upload, start: int, lines: tuple[bytes, ...]) -> None:
        """Send lines; after an interruption, those that the gateway does not have yet."""
        at = start
        for attempt in range(_TRIES):
            try:
                self.services.send(upload.id, at, b"".join(lines[at - start :]))
                return
            except ClientError as error:
                if not (error.passes or error.kind == ErrorKind.CONFLICT):
                    raise
                at = self._received(upload)  # waits until the gateway answers
                if at == start + len(lines):
                    return
                if not start <= at < start + len(lines) or attempt == _TRIES - 1:
                    raise ProviderError(
                        "Provider", f"the gateway stands at line {at}: {error}"
                    ) from error

    def _received(self, upload: Upload) -> int:
        state = self.services.state(upload.id)
        if state is None:
            raise ProviderError(
                "Provider", "the gateway knows nothing of the upload any more: start again"
            )
        return state.received

    def _seal(self, book: PublishedState) -> TreeHead:
        """Have the gateway put the version together; compare what it gets with our own head."""
        upload = book.current()
        if upload.head is not None:
            return upload.head
        self.progress(Stage.SEALING, 0, None)
        with ThreadPoolExecutor(1) as beside:
            # The gateway computes while this process does.
            sealing = beside.submit(self.services.seal, upload.id)
            head = book.next_head()
            sealed = sealing.result()
        if sealed != head:
            raise ProviderError(
                "RootMismatch",
                f"the gateway counts {sealed.size} records under another root; here are {head.size}",
            )
        book.note_sealed(head)
        return head

    def _make_public(self, book: PublishedState) -> int:
        upload = book.current()
        if upload.head is None:
            raise ProviderError("Provider", "the upload is not sealed")
        self.progress(Stage.PUBLISHING, 0, None)
        version = self.services.publish(
            self.dataset,
            upload.head,
            upload.base,
            upload.manifest,
            upload.raw,
            book.note_transaction,
        )
        self.progress(Stage.SERVING, 0, None)
        try:
            self.services.serve(upload.id, version)
        except ProblemError as error:
            if error.kind != ErrorKind.NOT_FOUND:
                raise
            book.abandon()
            raise ProviderError(
                "Provider",
                f"version {version} is on chain and the gateway lost its records: publish all again",
            ) from error
        book.complete(version)
        return version


def _read_withdrawals(
    path: Path, spool: Staging, book: PublishedState, base: int, finished: int | None
) -> None:
    twice = spool.add_withdrawals(read_numbers(path))
    if twice is not None:
        raise ProviderError(
            "Source",
            f"lines {twice.first_line} and {twice.line} of {path.name} name the same record",
        )
    unknown = spool.withdrawn_and_unknown(book.path)
    if unknown is not None:
        known = " (it had been interrupted and was finished first)" if finished else ""
        raise ProviderError(
            "Source", f"version {base} has no record as on line {unknown} of {path.name}{known}"
        )


def _bodies(batches: Iterator[EncryptedBatch]) -> Iterator[EncryptedBatch]:
    """Put batches together to bodies of a few megabytes."""
    waiting: list[EncryptedBatch] = []
    size = lines = 0
    for batch in batches:
        more = sum(map(len, batch.lines))
        if waiting and (size + more > _MAX_BODY or lines + len(batch.lines) > _MAX_LINES):
            yield _joined(waiting)
            waiting, size, lines = [], 0, 0
        waiting.append(batch)
        size, lines = size + more, lines + len(batch.lines)
    if waiting:
        yield _joined(waiting)


def _joined(batches: list[EncryptedBatch]) -> EncryptedBatch:
    return EncryptedBatch(
        tuple(line for batch in batches for line in batch.lines),
        tuple(record for batch in batches for record in batch.records),
    )
