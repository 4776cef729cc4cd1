"""The working file of one publication: rows as read, owners, and the order in which they travel.

A SQLite file on the provider's own machine, readable by its user only, removed when done. It holds
the rows in plain text, as the source file does, so it belongs on the same disk. Nothing in it needs
to survive a crash: it is made again from the source. Memory stays flat: sorting is SQLite's.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Final, NamedTuple, Self

import msgspec

from wallet.provider.errors import ProviderError

NOBODY: Final = bytes(32)
"""Owner of the records of a dataset about nobody."""

_ROWS_AT_ONCE: Final = 1000

_SCHEMA: Final = """
CREATE TABLE rows (
    number INTEGER NOT NULL, line INTEGER NOT NULL, key TEXT NOT NULL,
    hash BLOB NOT NULL, content BLOB NOT NULL);
CREATE TABLE owners (key TEXT PRIMARY KEY, owner BLOB NOT NULL) WITHOUT ROWID;
-- In the order of travel; `place` counts from 1. A withdrawn record has no row.
CREATE TABLE plan (
    place INTEGER PRIMARY KEY, owner BLOB NOT NULL, number INTEGER NOT NULL, row INTEGER,
    hash BLOB);
CREATE TABLE withdrawals (number INTEGER PRIMARY KEY, line INTEGER NOT NULL);
"""

_WHOLE: Final = """
INSERT INTO plan (owner, number, row, hash)
SELECT owners.owner, rows.number, rows.rowid, rows.hash FROM rows JOIN owners USING (key)
ORDER BY owners.owner, rows.number
"""

_MISSING: Final = """
INSERT INTO withdrawals (number, line)
SELECT number, 0 FROM book.records WHERE number NOT IN (SELECT number FROM rows)
"""

# Every step begins at what is small when only changes were read, and finds the rest by its key.
_DELTA: Final = """
INSERT INTO plan (owner, number, row, hash)
SELECT owner, number, row, hash FROM (
    SELECT owners.owner AS owner, rows.number AS number, rows.rowid AS row, rows.hash AS hash
    FROM rows CROSS JOIN owners USING (key) LEFT JOIN book.records AS known USING (number)
    WHERE known.number IS NULL OR known.hash <> rows.hash OR known.owner <> owners.owner
    UNION ALL
    SELECT known.owner, known.number, NULL, NULL
    FROM rows CROSS JOIN owners USING (key) CROSS JOIN book.records AS known USING (number)
    WHERE known.owner <> owners.owner
    UNION ALL
    SELECT known.owner, known.number, NULL, NULL
    FROM withdrawals CROSS JOIN book.records AS known USING (number))
ORDER BY owner, number
"""

_COUNTS: Final = """
SELECT
    count(*) FILTER (WHERE plan.row IS NOT NULL AND known.number IS NULL),
    count(*) FILTER (WHERE plan.row IS NOT NULL AND known.number IS NOT NULL),
    (SELECT count(*) FROM withdrawals),
    (SELECT count(*) FROM book.records)
FROM plan LEFT JOIN book.records AS known USING (number)
"""


class Changes(msgspec.Struct, frozen=True):
    """The changes of a publication, in records."""

    new: int
    changed: int
    """Other values, or another owner."""
    withdrawn: int
    unchanged: int


class Row(NamedTuple):
    """A record that passed the checks."""

    line: int
    key: str
    """Resident id or credit code in its usual form; empty when the data is about nobody."""
    number: int
    values: tuple[str, ...]
    """In the order of the fields."""


class PlannedRecord(msgspec.Struct, frozen=True, gc=False):
    """One line to upload; `values` is None for a withdrawn record."""

    owner: bytes
    number: int
    hash: bytes | None
    values: tuple[str, ...] | None


class Duplicate(msgspec.Struct, frozen=True):
    """A record that repeats the number of an earlier one."""

    line: int
    first_line: int


class Extent(StrEnum):
    """How much of a version travels."""

    WHOLE = "whole"
    """Every record, whatever the book says."""
    DIFFERENCE = "difference"
    """The differences from the book; a record that was not read is withdrawn."""
    CHANGES = "changes"
    """The differences from the book; a record that was not read stays unless it is withdrawn."""


class Staging:
    """The working file.

    Args:
        directory: on the provider's machine; made if missing.

    Raises:
        ProviderError: no file can be written there; every method may raise it too.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / f"spool-{token_hex(8)}.sqlite"
        with self._errors():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            self._database = sqlite3.connect(self._path, isolation_level=None, uri=True)
            # A crash loses the file anyway, so nothing is spent on surviving one.
            for setting in ("journal_mode=MEMORY", "synchronous=OFF", "cache_size=-32768"):
                self._database.execute(f"PRAGMA {setting}")
            self._database.executescript(_SCHEMA)
        self._decode = msgspec.msgpack.Decoder(tuple[str, ...]).decode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the file."""
        self._database.close()
        with suppress(OSError):
            self._path.unlink()

    def add(self, rows: Iterable[Row]) -> None:
        """Take rows that passed the checks."""
        encode = msgspec.msgpack.encode
        with self._errors(), self._transaction():
            for row in rows:
                content = encode(row.values)
                self._database.execute(
                    "INSERT INTO rows (number, line, key, hash, content) VALUES (?, ?, ?, ?, ?)",
                    (row.number, row.line, row.key, sha256(content).digest(), content),
                )

    def drop_duplicates(self) -> Iterator[Duplicate]:
        """Drop each row whose number an earlier row has; yield them by line."""
        with self._errors():
            self._database.execute("CREATE INDEX rows_by_number ON rows (number, line)")
            repeated = self._database.execute(
                "SELECT again.line, min(first.line), again.rowid FROM rows AS again"
                " JOIN rows AS first ON first.number = again.number AND first.line < again.line"
                " GROUP BY again.rowid ORDER BY again.line"
            ).fetchall()
            with self._transaction():
                for _, _, row in repeated:
                    self._database.execute("DELETE FROM rows WHERE rowid = ?", (row,))
        for line, first_line, _ in repeated:
            yield Duplicate(line, first_line)

    def count(self) -> int:
        """Return the number of rows."""
        return self._count("SELECT count(*) FROM rows")

    def count_keys(self) -> int:
        """Return the number of different keys."""
        return self._count("SELECT count(DISTINCT key) FROM rows")

    def keys(self, after: str = "", limit: int = 5000) -> list[str]:
        """Return some of the different keys, in order, to ask for their owners."""
        with self._errors():
            rows = self._database.execute(
                "SELECT DISTINCT key FROM rows WHERE key > ? ORDER BY key LIMIT ?", (after, limit)
            )
            return [key for (key,) in rows]

    def index_keys(self) -> None:
        """Prepare for `keys`."""
        with self._errors():
            self._database.execute("CREATE INDEX rows_by_key ON rows (key)")

    def add_owners(self, owners: Iterable[tuple[str, bytes]]) -> None:
        """Take the owners of keys; those of data about nobody have the empty key."""
        with self._errors(), self._transaction():
            self._database.executemany("INSERT OR REPLACE INTO owners VALUES (?, ?)", owners)

    def without_owner(self) -> int:
        """Return the number of rows whose key has no owner."""
        return self._count(
            "SELECT count(*) FROM rows LEFT JOIN owners USING (key) WHERE owner IS NULL"
        )

    def add_withdrawals(self, numbers: Iterable[tuple[int, int]]) -> Duplicate | None:
        """Take lines and numbers of records to withdraw, up to one that was there already."""
        with self._errors(), self._transaction():
            for line, number in numbers:
                added = self._database.execute(
                    "INSERT INTO withdrawals VALUES (?, ?) ON CONFLICT DO NOTHING", (number, line)
                )
                if not added.rowcount:
                    (first,) = self._database.execute(
                        "SELECT line FROM withdrawals WHERE number = ?", (number,)
                    ).fetchone()
                    return Duplicate(line, first)
        return None

    def withdrawals(self) -> int:
        """Return the number of records to withdraw."""
        return self._count("SELECT count(*) FROM withdrawals")

    def withdrawn_and_read(self) -> Duplicate | None:
        """Return the first record to withdraw that is among the rows as well: its line, the row's."""
        with self._errors():
            row = self._database.execute(
                "SELECT withdrawals.line, rows.line FROM withdrawals CROSS JOIN rows USING (number)"
                " ORDER BY withdrawals.line LIMIT 1"
            ).fetchone()
        return None if row is None else Duplicate(*row)

    def withdrawn_and_unknown(self, book: Path) -> int | None:
        """Return the line of the first record to withdraw that is not in the book."""
        with self._errors(), self._with_book(book):
            row = self._database.execute(
                "SELECT line FROM withdrawals LEFT JOIN book.records AS known USING (number)"
                " WHERE known.number IS NULL ORDER BY line LIMIT 1"
            ).fetchone()
        return None if row is None else int(row[0])

    def plan(self, book: Path, extent: Extent) -> Changes:
        """Decide what travels, and in which order: by owner and record number.

        Args:
            book: the provider's book (`wallet.provider.published_state`).
            extent: how much of what it knows travels again.
        """
        with self._errors(), self._with_book(book):
            self._database.execute("DELETE FROM plan")
            if extent is Extent.DIFFERENCE:
                self._database.execute("DELETE FROM withdrawals")
                self._database.execute(_MISSING)
            self._database.execute(_WHOLE if extent is Extent.WHOLE else _DELTA)
            new, changed, withdrawn, known = self._database.execute(_COUNTS).fetchone()
        unchanged = 0 if extent is Extent.WHOLE else known - changed - withdrawn
        return Changes(new, changed, withdrawn, unchanged)

    def planned(self) -> int:
        """Return the number of lines to upload."""
        return self._count("SELECT count(*) FROM plan")

    def plan_digest(self) -> bytes:
        """Return a SHA-256 over what travels: the same plan may go on after an interruption."""
        total = sha256()
        with self._errors():
            rows = self._database.execute("SELECT owner, number, hash FROM plan ORDER BY place")
            for owner, number, content in rows:
                total.update(owner + number.to_bytes(8, "big") + (content or bytes(32)))
        return total.digest()

    def records(self, start: int = 0) -> Iterator[PlannedRecord]:
        """Yield the lines to upload, from the `start`-th (counted from 0) on."""
        with self._errors():
            rows = self._database.execute(
                "SELECT plan.owner, plan.number, plan.hash, rows.content"
                " FROM plan LEFT JOIN rows ON rows.rowid = plan.row"
                " WHERE plan.place > ? ORDER BY plan.place",
                (start,),
            )
            rows.arraysize = _ROWS_AT_ONCE
            for owner, number, content_hash, content in rows:
                values = None if content is None else self._decode(content)
                yield PlannedRecord(owner, number, content_hash, values)

    def _count(self, query: str) -> int:
        with self._errors():
            return int(self._database.execute(query).fetchone()[0])

    @contextmanager
    def _with_book(self, book: Path) -> Iterator[None]:
        self._database.execute("ATTACH DATABASE ? AS book", (f"{book.as_uri()}?mode=ro",))
        try:
            yield
        finally:
            self._database.execute("DETACH DATABASE book")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN")
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
            raise ProviderError(
                "Provider", f"the working file {self._path.name}: {error}"
            ) from error
        except OSError as error:
            raise ProviderError(
                "Provider", f"no working file at {self._path.parent}: {error.strerror}"
            ) from error
