"""A write-ahead journal: what is appended survives a crash, and is there in order when reopened.

It consists of segments, files that only grow. A segment begins with a mark (4 bytes) and a random salt
(8 bytes); then it holds frames, one for each append:

    mark (4 bytes) | length of the payload (u32) | checksum (u32) | payload

The checksum is the CRC-32 of salt, offset of the frame in the file (u64), length and payload. The salt
keeps anybody who can write into a payload from making something in it look like a frame.

The next frame is written only when the last one is on the disk. So a crash can leave at most one frame
half written, at the end of the newest segment: that one was never acknowledged, and is cut off when
the journal is opened. Anything else that does not read well is damage, and refused: a journal with a
hole would let a record be made twice or never.

Source: POSIX.1-2024 `fsync`, `rename`; Rebello et al., "Can Applications Recover from fsync Failures?" (USENIX
ATC 2020), for why a failed fsync ends the journal.
"""

import fcntl
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from ledger.errors import LedgerError

MARK: Final = b"\xf5QJ1"
"""Begins each segment and frame. The first byte is in no UTF-8 text, the last one is the format's version."""

MAX_PAYLOAD: Final = 64 << 20
"""Bytes of one append at most."""

_HEAD: Final = struct.Struct(">4sII")
_CHECKED: Final = struct.Struct(">8sQI")
_SALT_LENGTH: Final = 8
_START: Final = len(MARK) + _SALT_LENGTH
_SUFFIX: Final = ".journal"
_DIGITS: Final = 10


class JournalError(LedgerError):
    """The journal cannot do what it must.

    Another process has it open, it does not read well in a place that no crash explains, or it is unknown
    what is on the disk: then nothing can be appended until it is opened anew.
    """


class JournalFullError(JournalError):
    """An append failed and left no trace: the disk is full, or was for a moment. Later ones may work."""


@dataclass(frozen=True, slots=True)
class Frame:
    segment: int
    payload: bytes


class AppendFile:
    """A file that only grows. Every call may raise `OSError`."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def write(self, data: bytes) -> None:
        """Append all of `data`. Not durable; after an error any part of it may be in the file."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def sync(self) -> None:
        """Make everything written so far durable, before it returns.

        After an error it is unknown what is on the disk, and asking again does not help: the system
        may have dropped what it could not write.
        """
        os.fdatasync(self._descriptor)

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes, durably."""
        os.ftruncate(self._descriptor, size)
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Let go of the file. Does not make it durable."""
        os.close(self._descriptor)


class Storage:
    """A directory of files on a local file system. Every call may raise `OSError`; tests make it fail."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def names(self) -> list[str]:
        return [path.name for path in self._directory.iterdir() if path.is_file()]

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        return (self._directory / name).read_bytes()

    def create(self, name: str, data: bytes) -> None:
        """Make a file with this content, durably.

        If we crash here, there is no such file, or the whole of it.
        """
        beside = self._directory / f"{name}.new"
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._directory / name)
        # A new name is on the disk only when its directory is.
        descriptor = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def open(self, name: str) -> AppendFile:
        """Open a file that is there, to append to it. One writer at a time."""
        return AppendFile(self._directory / name)

    def remove(self, name: str) -> None:
        """Remove a file. Becomes durable at some time; a removed file may come back in a crash."""
        (self._directory / name).unlink(missing_ok=True)


class Journal:
    """A journal, opened for appending; `open` is for a directory. Not for several threads at once."""

    def __init__(self, storage: Storage, lock: int | None = None) -> None:
        self._storage = storage
        self._lock = lock
        self._file: AppendFile | None = None
        self._broken: str | None = None
        self._segment, self._size, self._salt = self._settle()

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Open the journal in a directory, which is made if it is not there.

        What a crash left half written is cut off.

        Raises:
            JournalError: another process has it open, it does not read well, or the disk does not let us.
        """
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = _lock(directory / "lock")
        except OSError as error:
            raise JournalError(f"{directory}: {error.strerror}") from error
        try:
            return cls(Storage(directory), lock)
        except BaseException:
            os.close(lock)
            raise

    @property
    def segment(self) -> int:
        """Number of the newest segment; 0 when there is none yet."""
        return self._segment

    @property
    def size(self) -> int:
        """Bytes in the newest segment."""
        return self._size

    def append(self, payload: bytes) -> None:
        """Append one frame; it is durable when this returns.

        If we crash here, the frame is there as a whole or not at all when the journal is reopened.

        Raises:
            JournalFullError: it is not in the journal, and will not be.
            JournalError: it may be in the journal when it is reopened, or not.
        """
        file = self._writable()
        frame = encode_frame(payload, self._salt, self._size)
        try:
            file.write(frame)
        except OSError as error:
            self._undo(file, error)
            raise JournalFullError(f"the journal cannot be written: {error.strerror}") from error
        try:
            file.sync()
        except OSError as error:
            self._break(f"the journal cannot be synced: {error.strerror}", error)
        self._size += len(frame)

    def begin_segment(self, payload: bytes) -> None:
        """Begin a new segment with one frame; durable when this returns.

        If we crash here, the new segment is there with its frame, or it is not there.

        Raises:
            JournalFullError: there is no new segment; the old one still works.
            JournalError: the journal was broken before.
        """
        self._check()
        number, salt = self._segment + 1, os.urandom(_SALT_LENGTH)
        data = MARK + salt + encode_frame(payload, salt, _START)
        try:
            self._storage.create(_name(number), data)
        except OSError as error:
            self._forget_attempt(number, error)
            raise JournalFullError(f"no new segment: {error.strerror}") from error
        self._close_file()
        self._segment, self._size, self._salt = number, len(data), salt

    def drop_segments(self, before: int) -> None:
        """Remove the segments with lower numbers than `before`; the newest one always stays.

        If we crash here, some of them may still be there: whoever reads must not mind.

        Raises:
            JournalError: the disk does not let us.
        """
        try:
            for number in self._numbers():
                if number < min(before, self._segment):
                    self._storage.remove(_name(number))
        except OSError as error:
            raise JournalError(f"old segments cannot be removed: {error.strerror}") from error

    def frames(self, since: int = 0) -> Iterator[Frame]:
        """Yield what was appended, in order, from a segment on.

        Raises:
            JournalError: a segment does not read well, or the disk does not let us.
        """
        for number in self._numbers():
            if number >= since:
                yield from (Frame(number, payload) for payload in self._payloads(number))

    def close(self) -> None:
        """Let go of the journal. Everything appended is durable already."""
        self._close_file()
        self._broken = self._broken or "the journal is closed"
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _settle(self) -> tuple[int, int, bytes]:
        """Find the newest segment, its size and salt, and cut off what a crash left half written."""
        try:
            numbers = self._numbers()
            if not numbers:
                return 0, 0, b""
            if numbers != list(range(numbers[0], numbers[-1] + 1)):
                raise JournalError("a segment is missing between others")
            newest = numbers[-1]
            data = self._storage.read(_name(newest))
            end = whole_length(data)
            if end != len(data):
                with closing(self._storage.open(_name(newest))) as file:
                    file.truncate(end)
        except OSError as error:
            raise JournalError(f"the journal cannot be read: {error.strerror}") from error
        return newest, end, data[len(MARK) : _START]

    def _payloads(self, number: int) -> Iterator[bytes]:
        try:
            data = self._storage.read(_name(number))
        except OSError as error:
            raise JournalError(f"{_name(number)} cannot be read: {error.strerror}") from error
        end = 0
        for payload, at in decode_frames(data):
            end = at
            yield payload
        if end != len(data):
            raise JournalError(f"{_name(number)} does not read well from byte {end} on")

    def _numbers(self) -> list[int]:
        names = [name for name in self._storage.names() if name.endswith(_SUFFIX)]
        return sorted(int(name.removesuffix(_SUFFIX)) for name in names)

    def _writable(self) -> AppendFile:
        self._check()
        if not self._segment:
            raise JournalError("a journal begins with a segment")
        if self._file is None:
            try:
                self._file = self._storage.open(_name(self._segment))
            except OSError as error:
                raise JournalFullError(f"the journal cannot be opened: {error.strerror}") from error
        return self._file

    def _check(self) -> None:
        if self._broken is not None:
            raise JournalError(self._broken)

    def _undo(self, file: AppendFile, cause: OSError) -> None:
        """Cut off what a failed write may have left, so that the next frame follows a whole one."""
        try:
            file.truncate(self._size)
        except OSError:
            self._break(f"the journal cannot be written or mended: {cause.strerror}", cause)

    def _forget_attempt(self, number: int, cause: OSError) -> None:
        """Make sure that a segment whose creation failed is not there."""
        try:
            self._storage.remove(_name(number))
        except OSError:
            self._break(f"a new segment may be there or not: {cause.strerror}", cause)

    def _break(self, reason: str, cause: OSError) -> None:
        self._broken = reason
        self._close_file()
        raise JournalError(reason) from cause

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def encode_frame(payload: bytes, salt: bytes, at: int) -> bytes:
    """Return the frame of a payload that begins at byte `at` of a segment with this salt.

    Raises:
        JournalError: it is longer than `MAX_PAYLOAD`.
    """
    if len(payload) > MAX_PAYLOAD:
        raise JournalError(f"an append of {len(payload)} bytes, {MAX_PAYLOAD} are allowed")
    return _HEAD.pack(MARK, len(payload), _checksum(salt, at, payload)) + payload


def decode_frames(segment: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield the payloads of the whole frames at a segment's beginning, each with where it ends."""
    at = _START
    while (end := _frame_end(segment, at)) is not None:
        yield segment[at + _HEAD.size : end], end
        at = end


def whole_length(segment: bytes) -> int:
    """Return how many bytes of a newest segment are whole; what follows was half written.

    Raises:
        JournalError: a whole frame follows the half written one, or there is none at all.
    """
    end = 0
    for _payload, at in decode_frames(segment):
        end = at
    if not end:
        # A segment and its first frame appear in one step.
        raise JournalError("a segment does not begin well")
    # Had anything been acknowledged behind the spot, a crash could not be the reason for it.
    at = segment.find(MARK, end)
    while at >= 0:
        if _frame_end(segment, at) is not None:
            raise JournalError(f"a whole record follows a damaged one at byte {end}")
        at = segment.find(MARK, at + 1)
    return end


def _frame_end(segment: bytes, at: int) -> int | None:
    if len(segment) - at < _HEAD.size or segment[: len(MARK)] != MARK:
        return None
    mark, length, checksum = _HEAD.unpack_from(segment, at)
    start = at + _HEAD.size
    if mark != MARK or length > len(segment) - start:
        return None
    payload = segment[start : start + length]
    actual = _checksum(segment[len(MARK) : _START], at, payload)
    return start + length if actual == checksum else None


def _checksum(salt: bytes, at: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(_CHECKED.pack(salt, at, len(payload))))


def _name(number: int) -> str:
    return f"{number:0{_DIGITS}}{_SUFFIX}"


def _lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise JournalError(f"{path.parent} is in use by another process") from error
    return descriptor
