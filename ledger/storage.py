"""The few things that a journal asks of a disk, so that tests can make them fail.

Source: POSIX.1-2024, `fsync`, `rename`.
"""

import os
from pathlib import Path
from typing import Protocol


class AppendFile(Protocol):
    """A file that only grows. Every call may raise `OSError`."""

    def write(self, data: bytes) -> None:
        """Append all of `data`. Not durable; after an error any part of it may be in the file."""

    def sync(self) -> None:
        """Make everything written so far durable, before it returns.

        After an error it is unknown what is on the disk, and asking again does not help: the system
        may have dropped what it could not write.
        """

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes, durably."""

    def close(self) -> None:
        """Let go of the file. Does not make it durable."""


class Storage(Protocol):
    """A directory of files. Every call may raise `OSError`."""

    def names(self) -> list[str]:
        """Return the names of the files that are there."""

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""

    def create(self, name: str, data: bytes) -> None:
        """Make a file with this content, durably, whole or not at all.

        If we crash here, there is no such file, or the whole of it.
        """

    def open(self, name: str) -> AppendFile:
        """Open a file that is there, to append to it. One writer at a time."""

    def remove(self, name: str) -> None:
        """Remove a file. Becomes durable at some time; a removed file may come back in a crash."""


class DirectoryStorage:
    """A directory on a local file system. What each method promises stands at `Storage`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def names(self) -> list[str]:
        """List the files."""
        return [path.name for path in self._directory.iterdir() if path.is_file()]

    def read(self, name: str) -> bytes:
        """Read a file."""
        return (self._directory / name).read_bytes()

    def create(self, name: str, data: bytes) -> None:
        """Write beside, sync, rename, sync the directory."""
        beside = self._directory / f"{name}.new"
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._directory / name)
        self._sync_directory()

    def open(self, name: str) -> AppendFile:
        """Open for appending."""
        return _File(self._directory / name)

    def remove(self, name: str) -> None:
        """Unlink."""
        (self._directory / name).unlink(missing_ok=True)

    def _sync_directory(self) -> None:
        # A new name is on the disk only when its directory is.
        descriptor = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class _File:
    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def truncate(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)
        os.fsync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)
