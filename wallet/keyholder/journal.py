"""The release journal: nothing leaves a keyholder before it says so here, on disk.

A text file of JSON lines, one for each release to a consumer, also for a repeated one, one for each
time that a provider is given the subkeys of its dataset, and now and then one that says how far the chain
is, so that a journal without releases shows until when there were none:

    {"kind":"release","v":1,"at":1790000000,"access":"0x..","sequence":7,"consumer":"0x..",
     "signature":"0x..","dataset":"0x..","publication":1,"fields":"7","key":"0x..",
     "records":[{"owner":"0x..","numbers":[1,2]}],"block":812,"block_hash":"0x..","epochs":[1],"head":"0x.."}
    {"kind":"subkeys","v":1,"at":1790000000,"provider":"0x..","dataset":"0x..","epoch":1,"head":"0x.."}
    {"kind":"noted","v":1,"at":1790000000,"block":812,"block_hash":"0x..","head":"0x.."}

`head` is SHA-256 over the head of the line before (32 zero bytes for the first) and the line without
its head, so that a line that was dropped or edited later shows.

If we crash while writing, the file ends in a part of a line; it is cut off when the journal is opened
again, and what it told of never left. If we crash between writing and answering, the journal tells of
a release that nobody received: the gateway asks again, and that is told once more.
"""

import asyncio
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from ledger.hexstr import to_hex
from ledger.jsonio import UNREADABLE
from wallet.errors import WalletError
from wallet.hash_chain import FIRST_HEAD, split_head, with_head
from wallet.keyholder.errors import JournalError
from wallet.keyholder.rules import VerifiedRelease

_MAX_LINE: Final = 1 << 22
"""Bytes that are read at the end of the file to find its last line: a release of 2,000 records that
are each somebody else's takes 200 kB."""


class Released(msgspec.Struct, frozen=True):
    """The records of one owner in a release, by number."""

    owner: str
    numbers: tuple[int, ...]


class ReleaseEntry(msgspec.Struct, frozen=True, tag_field="kind", tag="release"):
    """One release: which access, which fields of which records, when. Hashes are 0x strings."""

    v: int
    at: int
    """Seconds since 1970."""
    access: str
    sequence: int
    consumer: str
    signature: str
    """The consumer's over its request: a gateway that drops its line cannot deny that it asked."""
    dataset: str
    publication: int
    fields: str
    """Mask, as a decimal number."""
    key: str
    """To which the parts were sealed; the request's nonce commits to it."""
    records: tuple[Released, ...]
    block: int
    """The newest final block that was known: nothing up to it stood against the release."""
    block_hash: str
    epochs: tuple[int, ...] = ()
    """Of the records: in which rosters this keyholder's part counts."""


class NotedEntry(msgspec.Struct, frozen=True, tag_field="kind", tag="noted"):
    """How far the chain was: nothing that is not in the lines before was released until then."""

    v: int
    at: int
    """Seconds since 1970."""
    block: int
    """The newest final block that was known."""
    block_hash: str


class SubkeysEntry(msgspec.Struct, frozen=True, tag_field="kind", tag="subkeys"):
    """A provider was given what encrypts, and opens, its dataset."""

    v: int
    at: int
    """Seconds since 1970."""
    provider: str
    dataset: str
    epoch: int


Entry = ReleaseEntry | SubkeysEntry | NotedEntry

_entries = msgspec.json.Decoder(Entry)
_Group = tuple[Sequence[Entry], asyncio.Future[None]]


def entry_of(release: VerifiedRelease, now: int) -> ReleaseEntry:
    by_owner = groupby(release.records, key=lambda record: record.owner)
    return ReleaseEntry(
        v=1,
        at=now,
        access=to_hex(release.access),
        sequence=release.recorded.sequence,
        consumer=to_hex(release.consumer),
        signature=to_hex(release.signature),
        dataset=to_hex(release.schema.dataset),
        publication=release.publication,
        fields=str(release.fields),
        key=to_hex(release.recipient.to_bytes()),
        records=tuple(
            [
                Released(to_hex(owner), tuple([record.number for record in records]))
                for owner, records in by_owner
            ]
        ),
        block=release.judged_at.number,
        block_hash=to_hex(release.judged_at.hash),
        epochs=tuple(sorted({record.epoch for record in release.records})),
    )


class FileJournal:
    """The journal in a file, of which this process is the only writer.

    Raises:
        JournalError: The file cannot be opened, another process writes it, or its end is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: list[_Group] = []
        self._writing: asyncio.Future[None] | None = None
        self._failed = False
        with _errors(path):
            self._file = _open(path)
            try:
                self._head, self._size = _recover(self._file, path)
            except BaseException:
                self._file.close()
                raise

    @property
    def head(self) -> bytes:
        """The running hash over everything that was noted."""
        return self._head

    @property
    def failed(self) -> bool:
        """Whether the last write failed; the next one tries to mend the file first."""
        return self._failed

    def note(self, entries: Sequence[Entry]) -> asyncio.Future[None]:
        """Begin to note releases; the future is done once they survive a crash.

        Several calls may share a write. A future that fails with `JournalError` leaves open whether
        the entries are there: nothing may be released, and noting them again is right.
        """
        noted = asyncio.get_running_loop().create_future()
        if not entries:
            noted.set_result(None)
            return noted
        self._waiting.append((entries, noted))
        if self._writing is None:
            self._write_waiting()
        return noted

    async def close(self) -> None:
        """Write what waits and close the file."""
        while self._writing is not None:
            await asyncio.wait([self._writing])
            await asyncio.sleep(0)
        self._file.close()

    def _write_waiting(self) -> None:
        group, self._waiting = self._waiting, []
        entries = [entry for waiting, _ in group for entry in waiting]
        self._writing = asyncio.get_running_loop().run_in_executor(None, self._write, entries)
        self._writing.add_done_callback(partial(self._written, group))

    def _written(self, group: "list[_Group]", writing: asyncio.Future[None]) -> None:
        self._writing = None
        error = writing.exception()
        for _, noted in group:
            if noted.done():
                continue  # its caller was cancelled
            if error is None:
                noted.set_result(None)
            else:
                noted.set_exception(error)
        if self._waiting:
            self._write_waiting()

    def _write(self, entries: Sequence[Entry]) -> None:
        head, lines = self._head, []
        for entry in entries:
            line, head = _line(entry, head)
            lines.append(line)
        data = b"".join(lines)
        with _errors(self._path):
            try:
                if self._failed:
                    self._mend()
                _write_all_of(self._file, data)
                os.fsync(self._file.fileno())
            except BaseException:
                self._failed = True  # only now: until then `failed` says how the last write went
                raise
        self._failed = False
        self._head, self._size = head, self._size + len(data)

    def _mend(self) -> None:
        """Cut off what a failed write may have left.

        After a failed fsync only a new file descriptor tells the truth about what is on disk.
        """
        self._file.close()
        self._file = _open(self._path)
        self._file.truncate(self._size)
        os.fsync(self._file.fileno())
        self._file.seek(self._size)


def read_journal(path: Path) -> Iterator[Entry]:
    """Yield every entry, checking the running hash.

    Raises:
        JournalError: The file cannot be read, a line is not what was written, or one before it was
            dropped. A part of a line at the end, which a crash leaves, is not an error.
    """
    head = FIRST_HEAD
    with _errors(path), path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                entry, stated = _read_line(line)
            except (*UNREADABLE, WalletError) as error:
                raise JournalError(f"{path}: line {number} is not an entry") from error
            body, head = _line(entry, head)
            if (body, head) != (line, stated):
                raise JournalError(f"{path}: line {number} does not follow the one before")
            yield entry


def _line(entry: Entry, before: bytes) -> tuple[bytes, bytes]:
    """Return an entry's line and the head after it."""
    return with_head(msgspec.json.encode(entry), before)


def _read_line(line: bytes) -> tuple[Entry, bytes]:
    body, head = split_head(line)
    return _entries.decode(body), head


def _open(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    file = os.fdopen(descriptor, "r+b", buffering=0)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise JournalError(f"{path} is in use by another process") from error
    return file


def _write_all_of(file: BinaryIO, data: bytes) -> None:
    """Write all of `data`: an unbuffered file may take only a part, as when the disk is nearly full."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _recover(file: BinaryIO, path: Path) -> tuple[bytes, int]:
    """Cut off a part of a line at the end; return the head and the size. The file is at its end."""
    size = file.seek(0, os.SEEK_END)
    start = max(size - _MAX_LINE, 0)
    file.seek(start)
    tail = file.read(size - start)
    end = tail.rfind(b"\n") + 1
    if not end and start:
        raise JournalError(f"{path} ends in something that is no line of a journal")
    if end < len(tail):
        file.truncate(start + end)
        os.fsync(file.fileno())
    file.seek(start + end)
    if not end:
        return FIRST_HEAD, 0
    try:
        _, head = _read_line(tail[tail.rfind(b"\n", 0, end - 1) + 1 : end])
    except (*UNREADABLE, WalletError) as error:
        raise JournalError(f"{path}: the last line is not an entry") from error
    return head, start + end


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror}") from error
