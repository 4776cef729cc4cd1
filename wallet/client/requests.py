"""The requests that a consumer has signed, kept so that none is lost and no nonce is used twice.

A SQLite file. A nonce is a random word of 56 bits and 8 bits that count: 256 requests share a storage
slot on chain. The signed request is on disk before it is sent for the first time; sending it again is
the same access, never a second use. Several processes may share the file.

Crash safety: drawing a nonce and keeping the signed request is one transaction (synchronous=FULL). If
we crash before it, no nonce is used; after it, `open_requests` says what is still to be sent.
"""

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from ledger.errors import LedgerError
from ledger.exchange import Submission
from ledger.typed_data import AccessRequest, Domain, decode_record, encode_record
from wallet.client.errors import ClientError, NotFoundHereError
from wallet.client.party import PartyKey

WORD_BITS: Final = 56
COUNT_BITS: Final = 8

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS words (
    consumer BLOB PRIMARY KEY, word INTEGER NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS requests (
    id INTEGER PRIMARY KEY, consumer BLOB NOT NULL, nonce TEXT NOT NULL,
    request BLOB NOT NULL, signature BLOB NOT NULL, created INTEGER NOT NULL, answer BLOB,
    UNIQUE (consumer, nonce));
CREATE INDEX IF NOT EXISTS open_requests ON requests (consumer, id) WHERE answer IS NULL;
"""


class RequestBookError(ClientError):
    """The book of signed requests cannot be read or written: no request is signed then."""


class Asked(msgspec.Struct, frozen=True):
    """What a request is to say, before it has a nonce."""

    basis: bytes
    fields: int
    deadline: int
    """Last second at which it can be allowed."""
    item: bytes = bytes(32)
    """Root of one record; zeros for all that the basis covers."""


class KeptRequest(msgspec.Struct, frozen=True):
    """A signed request, and its place in the book."""

    id: int
    submission: Submission
    answer: bytes | None
    """What the gateway answered, as it came; None while there is no answer."""


class RequestBook:
    """The book.

    Args:
        path: made if missing, for its user only.

    Raises:
        RequestBookError: it cannot be opened; every method may raise it too.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._errors():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._database = sqlite3.connect(path, isolation_level=None, timeout=30.0)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(_SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def sign(
        self, key: PartyKey, domain: Domain, asked: tuple[Asked, ...], now: int
    ) -> tuple[KeptRequest, ...]:
        """Sign requests with fresh nonces and keep them; when this returns they are on disk.

        Args:
            key: the consumer's.
            domain: of `AccessRequest`.
            asked: what to ask for.
            now: seconds since 1970.
        """
        with self._transaction():
            return tuple(self._sign(key, domain, one, now) for one in asked)

    def note_answer(self, request: int, answer: bytes) -> None:
        """Note the final answer to a request: nothing is left to be sent."""
        with self._transaction():
            self._database.execute("UPDATE requests SET answer = ? WHERE id = ?", (answer, request))

    def open_requests(self, consumer: bytes) -> tuple[KeptRequest, ...]:
        """Return what has no answer yet, the oldest first."""
        return self._select("consumer = ? AND answer IS NULL ORDER BY id", (consumer,))

    def get(self, request: int) -> KeptRequest:
        """Return a request by its place.

        Raises:
            NotFoundHereError: there is none.
        """
        found = self._select("id = ?", (request,))
        if not found:
            raise NotFoundHereError(f"the book has no request {request}")
        return found[0]

    def newest(self, consumer: bytes, limit: int = 50) -> tuple[KeptRequest, ...]:
        """Return the newest requests, the newest first."""
        return self._select("consumer = ? ORDER BY id DESC LIMIT ?", (consumer, limit))

    def _sign(self, key: PartyKey, domain: Domain, asked: Asked, now: int) -> KeptRequest:
        request = AccessRequest(
            consumer=key.address,
            basis=asked.basis,
            item=asked.item,
            fields=asked.fields,
            nonce=self._nonce(key.address),
            deadline=asked.deadline,
        )
        submission = Submission(request, key.sign_record(request, domain))
        cursor = self._database.execute(
            "INSERT INTO requests (consumer, nonce, request, signature, created)"
            " VALUES (?, ?, ?, ?, ?)",
            (key.address, str(request.nonce), encode_record(request), submission.signature, now),
        )
        return KeptRequest(int(cursor.lastrowid or 0), submission, None)

    def _nonce(self, consumer: bytes) -> int:
        row = self._database.execute(
            "SELECT word, used FROM words WHERE consumer = ?", (consumer,)
        ).fetchone()
        word, used = row or (0, 1 << COUNT_BITS)
        if used >> COUNT_BITS:
            word, used = secrets.randbits(WORD_BITS), 0
        self._database.execute(
            "INSERT OR REPLACE INTO words VALUES (?, ?, ?)", (consumer, word, used + 1)
        )
        return int(word << COUNT_BITS | used)

    def _select(self, condition: str, values: tuple[object, ...]) -> tuple[KeptRequest, ...]:
        with self._errors():
            rows = self._database.execute(
                f"SELECT id, request, signature, answer FROM requests WHERE {condition}",  # noqa: S608 - conditions are this module's
                values,
            ).fetchall()
            return tuple(
                KeptRequest(place, Submission(decode_record(AccessRequest, text), signed), answer)
                for place, text, signed, answer in rows
            )

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
        except (sqlite3.Error, LedgerError) as error:
            raise RequestBookError(f"the book of requests {self._path}: {error}") from error
        except OSError as error:
            raise RequestBookError(
                f"the book of requests {self._path}: {error.strerror}"
            ) from error
