"""The provider's book: what is published of a dataset, and the upload that is under way.

A SQLite file on the provider's own machine, readable by its user only. For each record of the newest
version it keeps number, owner, a hash of the values and the record root. From the hashes follows what
a delta carries; from the roots the provider computes root and count of a whole version by itself, so
that it never has to publish what a gateway says.

Crash safety: every method commits before it returns (synchronous=FULL). Roots are noted before the
lines they belong to are sent, and the signed transaction before it is sent. So after a crash an
upload goes on where the gateway says it stopped, and a publication is made once.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

import msgspec

from ledger.crypto.merkle import TreeHead
from ledger.crypto.publications import PublicationRoot
from wallet.provider.errors import ProviderError

_FORMAT: Final = 1
_ENTRIES_AT_ONCE: Final = 4096

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS about (
    format INTEGER NOT NULL, dataset BLOB NOT NULL, version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS records (
    number INTEGER PRIMARY KEY, owner BLOB NOT NULL, hash BLOB NOT NULL, root BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS upload (
    only INTEGER PRIMARY KEY CHECK (only = 1), id TEXT NOT NULL, base INTEGER NOT NULL,
    plan BLOB NOT NULL, manifest BLOB NOT NULL, size INTEGER, root BLOB, raw BLOB);
-- What was or is about to be sent, by its place in the upload; a withdrawn record has no root.
CREATE TABLE IF NOT EXISTS sent (
    place INTEGER PRIMARY KEY, owner BLOB NOT NULL, number INTEGER NOT NULL,
    hash BLOB, root BLOB);
"""

_NEXT_VERSION: Final = """
SELECT owner, number, root FROM records AS known
WHERE :delta AND known.number NOT IN (SELECT number FROM sent)
UNION ALL SELECT owner, number, root FROM sent WHERE root IS NOT NULL
ORDER BY 1, 2
"""


class SentRecord(msgspec.Struct, frozen=True, gc=False):
    """One line of an upload; hash and root are None for a withdrawn record."""

    owner: bytes
    number: int
    hash: bytes | None
    root: bytes | None


class Upload(msgspec.Struct, frozen=True):
    """An upload that is under way."""

    id: str
    """As the gateway calls it."""
    base: int
    """Version that it changes; zero when it carries all records."""
    plan: bytes
    """SHA-256 over what travels (`Spool.plan_digest`)."""
    manifest: bytes
    """SHA-256 of the quality report."""
    head: TreeHead | None
    """Count and root of the version that it makes, once all is sent."""
    raw: bytes | None
    """The signed transaction that publishes it."""


class PublishedState:
    """The book of one dataset. One process at a time uses it.

    Args:
        path: made if missing.
        dataset: 32 bytes.

    Raises:
        ProviderError: another dataset's, in use by another process, damaged or not writable; every
            method may raise it too.
    """

    def __init__(self, path: Path, dataset: bytes) -> None:
        self.path = path
        with self._errors():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR, 0o600)
            self._take_lock()
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._database = sqlite3.connect(path, isolation_level=None)
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.execute("PRAGMA cache_size=-16384")
            self._database.executescript(_SCHEMA)
            self._claim(dataset)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let other processes use the book."""
        self._database.close()
        os.close(self._lock)

    @property
    def version(self) -> int:
        """Number of the newest version that this book knows; zero for none."""
        with self._errors():
            return int(self._database.execute("SELECT version FROM about").fetchone()[0])

    def count(self) -> int:
        """Return the number of records of that version."""
        with self._errors():
            return int(self._database.execute("SELECT count(*) FROM records").fetchone()[0])

    def item(self, number: int) -> SentRecord | None:
        """Return what is known of a record of that version."""
        with self._errors():
            row = self._database.execute(
                "SELECT owner, number, hash, root FROM records WHERE number = ?", (number,)
            ).fetchone()
        return None if row is None else SentRecord(*row)

    def upload(self) -> Upload | None:
        """Return the upload that is under way."""
        with self._errors():
            row = self._database.execute(
                "SELECT id, base, plan, manifest, size, root, raw FROM upload"
            ).fetchone()
        if row is None:
            return None
        identifier, base, plan, manifest, size, root, raw = row
        head = None if root is None else TreeHead(size, root)
        return Upload(identifier, base, plan, manifest, head, raw)

    def begin(self, upload: Upload) -> None:
        """Note a new upload; whatever was noted of another one is forgotten."""
        with self._transaction():
            self._forget()
            self._database.execute(
                "INSERT INTO upload (only, id, base, plan, manifest) VALUES (1, ?, ?, ?, ?)",
                (upload.id, upload.base, upload.plan, upload.manifest),
            )

    def note_sent(self, start: int, records: Iterable[SentRecord]) -> None:
        """Note lines that are about to be sent as the `start`-th and following, counted from 0.

        If we crash right after this, the gateway may or may not have them: what it has not is
        encrypted again and noted in their place.
        """
        with self._transaction():
            self._database.executemany(
                "INSERT OR REPLACE INTO sent VALUES (?, ?, ?, ?, ?)",
                (
                    (place, record.owner, record.number, record.hash, record.root)
                    for place, record in enumerate(records, start)
                ),
            )

    def next_head(self) -> TreeHead:
        """Compute count and root of the version that the upload makes."""
        upload = self.current()
        root = PublicationRoot()
        with self._errors():
            entries = self._database.execute(_NEXT_VERSION, {"delta": upload.base > 0})
            while batch := entries.fetchmany(_ENTRIES_AT_ONCE):
                root.extend(batch)
        return root.head()

    def note_sealed(self, head: TreeHead) -> None:
        """Note that all was sent and the gateway computed the same head."""
        with self._transaction():
            self._database.execute("UPDATE upload SET size = ?, root = ?", (head.size, head.root))

    def note_transaction(self, raw: bytes | None) -> None:
        """Note the signed transaction before it is sent; None when it can never be mined."""
        with self._transaction():
            self._database.execute("UPDATE upload SET raw = ?", (raw,))

    def complete(self, version: int) -> None:
        """Make the upload the newest version."""
        upload = self.current()
        with self._transaction():
            if upload.base == 0:
                self._database.execute("DELETE FROM records")
            self._database.execute("DELETE FROM records WHERE number IN (SELECT number FROM sent)")
            self._database.execute(
                "INSERT INTO records (number, owner, hash, root)"
                " SELECT number, owner, hash, root FROM sent WHERE root IS NOT NULL"
            )
            self._database.execute("UPDATE about SET version = ?", (version,))
            self._forget()

    def abandon(self) -> None:
        """Forget the upload."""
        with self._transaction():
            self._forget()

    def _forget(self) -> None:
        self._database.execute("DELETE FROM upload")
        self._database.execute("DELETE FROM sent")

    def current(self) -> Upload:
        """Return the upload that is under way; raises `ProviderError` for none."""
        upload = self.upload()
        if upload is None:
            raise ProviderError("Provider", "no upload is under way")
        return upload

    def _claim(self, dataset: bytes) -> None:
        row = self._database.execute("SELECT format, dataset FROM about").fetchone()
        if row is None:
            self._database.execute("INSERT INTO about VALUES (?, ?, 0)", (_FORMAT, dataset))
        elif row != (_FORMAT, dataset):
            raise ProviderError(
                "Provider", f"{self.path} is of another dataset or another format version"
            )

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise ProviderError("Provider", f"another process is using {self.path}") from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._errors():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise ProviderError("Provider", f"the book {self.path}: {error}") from error
        except OSError as error:
            raise ProviderError("Provider", f"the book {self.path}: {error.strerror}") from error
