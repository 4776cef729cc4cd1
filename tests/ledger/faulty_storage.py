"""A disk that fails on demand, over a real directory."""

import errno
import os
from pathlib import Path

from ledger.journal import AppendFile, Storage


class FaultyStorage(Storage):
    """Does what it should until `fail_next`; then one call of that kind fails.

    A failed call may have done its work all the same (`persisted`), done half of it, or nothing.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        super().__init__(directory)
        self.calls: list[str] = []
        self._next: dict[str, bool] = {}

    def fail_next(self, kind: str, *, persisted: bool = False) -> None:
        """Let the next call of a kind fail: create, open, remove, write, sync, truncate."""
        self._next[kind] = persisted

    def strikes(self, kind: str) -> bool | None:
        """Note a call; return whether it fails after its work (True), before (False), or not."""
        self.calls.append(kind)
        return self._next.pop(kind, None)

    def create(self, name: str, data: bytes) -> None:
        persisted = self.strikes("create")
        if persisted is not False:
            super().create(name, data)
        if persisted is not None:
            raise no_space()

    def open(self, name: str) -> AppendFile:
        if self.strikes("open") is not None:
            raise no_space()
        return FaultyFile(self._directory / name, self)

    def remove(self, name: str) -> None:
        persisted = self.strikes("remove")
        if persisted is not False:
            super().remove(name)
        if persisted is not None:
            raise no_space()


class FaultyFile(AppendFile):
    def __init__(self, path: Path, storage: FaultyStorage) -> None:
        super().__init__(path)
        self._storage = storage

    def write(self, data: bytes) -> None:
        persisted = self._storage.strikes("write")
        if persisted is False:
            super().write(data[: len(data) // 2])
        else:
            super().write(data)
        if persisted is not None:
            raise no_space()

    def sync(self) -> None:
        persisted = self._storage.strikes("sync")
        if persisted is not False:
            super().sync()
        if persisted is not None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def truncate(self, size: int) -> None:
        persisted = self._storage.strikes("truncate")
        if persisted is not False:
            super().truncate(size)
        if persisted is not None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))


def no_space() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
