"""The requests that a consumer has signed, kept so that none is lost and no nonce is used twice.

A SQLite file. A nonce commits to the key to which its request is answered (`ledger.crypto.released_parts`). Up to 256
requests of an hour share a key, and with it a storage slot on chain. The signed request is on disk before
it is sent for the first time; sending it again is the same access, never a second use. Several processes
may share the file.

Private keys of answers stand in the file sealed to the consumer's registered encryption key, which is in
another keystore than the signing key. Each is destroyed when it signs no more and the answers are stored,
or when no answer can come any more (`ClientError`): overwritten in the file (`secure_delete`), and
the write-ahead log truncated. Whoever takes the file and the encryption key later opens nothing with them.

Crash safety: drawing a nonce and keeping the signed request is one transaction (synchronous=FULL). If
we crash before it, no nonce is used; after it, `open_requests` says what is still to be sent, and its
answer opens. If we crash between destroying a key and truncating the log, the next opening truncates it.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from ledger.api import KeyedSubmission
from ledger.chain.deployment import DEFAULT_RELEASE_WINDOW
from ledger.crypto.hpke import DecryptionKey, EncryptionKey, Purpose, Suite
from ledger.crypto.released_parts import KEY_LIFETIME, REQUESTS_PER_KEY, make_nonce, nonce_word
from ledger.errors import LedgerError
from ledger.typed_data import AccessRequest, Domain, decode_record, encode_record
from wallet.client.errors import ClientError, ErrorKind
from wallet.client.party import PartyKey

_LATEST: Final = 2**40
_MARGIN: Final = 60
"""Seconds by which the chain's clock may be behind ours."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS keys (
    id INTEGER PRIMARY KEY, consumer BLOB NOT NULL, public BLOB NOT NULL, recipient BLOB NOT NULL,
    used INTEGER NOT NULL, drawn INTEGER NOT NULL, needed_until INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS private_keys (key INTEGER PRIMARY KEY, sealed BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS requests (
    id INTEGER PRIMARY KEY, consumer BLOB NOT NULL, nonce TEXT NOT NULL, key INTEGER NOT NULL,
    request BLOB NOT NULL, signature BLOB NOT NULL, created INTEGER NOT NULL, answer BLOB,
    stored INTEGER NOT NULL DEFAULT 0, basis BLOB NOT NULL, lost INTEGER NOT NULL DEFAULT 0,
    UNIQUE (consumer, nonce));
CREATE INDEX IF NOT EXISTS open_requests ON requests (consumer, id) WHERE answer IS NULL;
CREATE INDEX IF NOT EXISTS lost_requests ON requests (consumer, basis) WHERE lost = 1;
CREATE INDEX IF NOT EXISTS unstored_requests ON requests (key) WHERE stored = 0;
"""

_CURRENT: Final = """
SELECT id, public, used FROM keys JOIN private_keys ON private_keys.key = keys.id
WHERE consumer = :consumer AND recipient = :recipient AND substr(public, 1, 1) = :suite
    AND used < :per_key AND drawn <= :now AND drawn + :lifetime > :now
ORDER BY id DESC LIMIT 1
"""
_REQUESTS: Final = """
SELECT requests.id, request, signature, public, answer FROM requests
JOIN keys ON keys.id = requests.key
"""
_PRIVATE_KEY: Final = """
SELECT public, sealed FROM requests JOIN keys ON keys.id = requests.key
LEFT JOIN private_keys ON private_keys.key = keys.id WHERE requests.id = ?
"""
_SPENT: Final = """
SELECT id, public FROM keys JOIN private_keys ON private_keys.key = keys.id
WHERE needed_until < :now OR (
    (:closing OR used >= :per_key OR drawn + :lifetime <= :now)
    AND NOT EXISTS (SELECT 1 FROM requests WHERE key = keys.id AND stored = 0))
"""


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
    submission: KeyedSubmission
    answer: bytes | None
    """What the gateway answered, as it came; None while there is no answer."""


class RequestBook:
    """The book.

    Args:
        path: made if missing, for its user only.
        suite: of the keys of answers.
        clock: seconds since 1970.

    Raises:
        ClientError: it cannot be opened; every method may raise it too.
    """

    def __init__(
        self,
        path: Path,
        *,
        suite: Suite = Suite.X25519,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._suite = suite
        self._clock = clock
        self._known: dict[bytes, DecryptionKey] = {}
        """Private keys that were drawn or opened here, by their public ones, so that each is unsealed once."""
        self._is_log_clean = False
        """At first not: whatever a crash left there."""
        with self._errors():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._database = sqlite3.connect(path, isolation_level=None, timeout=30.0)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.execute("PRAGMA secure_delete=ON")
            self._database.executescript(_SCHEMA)
            self._destroy()

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
        """Destroy every key whose answers are stored, and close the file.

        So a process that asks again and again keeps its book open: the next one draws a new key, which
        is a new storage slot on chain.
        """
        with self._errors():
            try:
                self._destroy(closing=True)
            finally:
                self._database.close()
                self._known.clear()

    def sign(
        self,
        key: PartyKey,
        recipient: EncryptionKey,
        domain: Domain,
        asked: tuple[Asked, ...],
        *,
        release_window: int = DEFAULT_RELEASE_WINDOW,
    ) -> tuple[KeptRequest, ...]:
        """Sign requests with fresh nonces and keep them; when this returns they are on disk.

        Args:
            key: the consumer's.
            recipient: the consumer's registered encryption key: private keys are kept sealed to it.
            domain: of `AccessRequest`.
            asked: what to ask for.
            release_window: of the deployment, seconds.
        """
        self.destroy_spent_keys()
        with self._transaction():
            return tuple(self._sign(key, recipient, domain, one, release_window) for one in asked)

    def note_answer(
        self, request: int, answer: bytes, *, holds_release: bool = True, lost: bool = False
    ) -> None:
        """Note the final answer to a request: nothing is left to be sent.

        Args:
            request: its place.
            answer: as it came.
            holds_release: whether there is anything to open; otherwise it counts as stored.
            lost: whether the use was counted and is handed out no more.
        """
        with self._transaction():
            self._database.execute(
                "UPDATE requests SET answer = ?, stored = ?, lost = ? WHERE id = ?",
                (answer, not holds_release, lost, request),
            )

    def note_stored(self, requests: Iterable[int]) -> None:
        """Note that what was opened is where the caller keeps it, and need not be opened again.

        A key that signs no more is destroyed with its last answer. Call it after the disk has the
        records: if we crash in between, `opening_key` still opens.
        """
        with self._transaction():
            self._database.executemany(
                "UPDATE requests SET stored = 1 WHERE id = ?", [(request,) for request in requests]
            )
        self.destroy_spent_keys()

    def destroy_spent_keys(self) -> None:
        """Destroy the keys that nothing can need any more; `sign` and `note_stored` do it too."""
        with self._errors():
            self._destroy()

    def opening_key(self, request: int, registered: DecryptionKey) -> DecryptionKey:
        """Return the private key that opens the answer to a request.

        Args:
            request: its place.
            registered: the consumer's own, whose public key is in the Registry.

        Raises:
            ClientError: it is not there any more.
            ClientError (NOT_FOUND_HERE): there is no such request.
        """
        with self._errors():
            row = self._database.execute(_PRIVATE_KEY, (request,)).fetchone()
            if row is None:
                raise ClientError(f"the book has no request {request}", ErrorKind.NOT_FOUND_HERE)
            public, sealed = row
            if sealed is None:
                self._known.pop(public, None)
                raise ClientError(f"the key of request {request} is destroyed")
            if public not in self._known:
                self._known[public] = DecryptionKey(
                    registered.open(sealed, Purpose.REQUEST_BOOK, public)
                )
            return self._known[public]

    def open_requests(self, consumer: bytes) -> tuple[KeptRequest, ...]:
        """Return what has no answer yet, the oldest first."""
        return self._select(
            "requests.consumer = ? AND answer IS NULL ORDER BY requests.id", (consumer,)
        )

    def lost_uses(self, consumer: bytes, basis: bytes) -> tuple[KeptRequest, ...]:
        """Return the uses of a basis that were lost, as far as `accept_lost` was not told of them."""
        return self._select(
            "requests.consumer = ? AND basis = ? AND lost = 1 ORDER BY requests.id",
            (consumer, basis),
        )

    def accept_lost(self, consumer: bytes, basis: bytes) -> None:
        """Note that the caller knows of the lost uses of a basis, and wants another one."""
        with self._transaction():
            self._database.execute(
                "UPDATE requests SET lost = 2 WHERE consumer = ? AND basis = ? AND lost = 1",
                (consumer, basis),
            )

    def get(self, request: int) -> KeptRequest:
        """Return a request by its place.

        Raises:
            ClientError (NOT_FOUND_HERE): there is none.
        """
        found = self._select("requests.id = ?", (request,))
        if not found:
            raise ClientError(f"the book has no request {request}", ErrorKind.NOT_FOUND_HERE)
        return found[0]

    def newest(self, consumer: bytes, limit: int = 50) -> tuple[KeptRequest, ...]:
        """Return the newest requests, the newest first."""
        return self._select(
            "requests.consumer = ? ORDER BY requests.id DESC LIMIT ?", (consumer, limit)
        )

    def _sign(
        self,
        key: PartyKey,
        recipient: EncryptionKey,
        domain: Domain,
        asked: Asked,
        release_window: int,
    ) -> KeptRequest:
        now = int(self._clock())
        needed_until = min(asked.deadline, _LATEST) + release_window + _MARGIN
        place, public, counter = self._take_counter(key.address, recipient, needed_until, now)
        request = AccessRequest(
            consumer=key.address,
            basis=asked.basis,
            item=asked.item,
            fields=asked.fields,
            nonce=make_nonce(nonce_word(domain, key.address, public), counter),
            deadline=asked.deadline,
        )
        submission = KeyedSubmission(request, key.sign_record(request, domain), public)
        cursor = self._database.execute(
            "INSERT INTO requests (consumer, nonce, key, request, signature, created, basis)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                key.address,
                str(request.nonce),
                place,
                encode_record(request),
                submission.signature,
                now,
                request.basis,
            ),
        )
        return KeptRequest(int(cursor.lastrowid or 0), submission, None)

    def _take_counter(
        self, consumer: bytes, recipient: EncryptionKey, needed_until: int, now: int
    ) -> tuple[int, bytes, int]:
        """Return a key for one more request: its place, its public half, and the request's counter."""
        row = self._database.execute(
            _CURRENT,
            {
                **self._limits(now),
                "consumer": consumer,
                "recipient": recipient.to_bytes(),
                "suite": bytes((self._suite,)),
            },
        ).fetchone()
        place, public, used = row or (*self._draw(consumer, recipient, now), 0)
        self._database.execute(
            "UPDATE keys SET used = used + 1, needed_until = max(needed_until, ?) WHERE id = ?",
            (needed_until, place),
        )
        return place, public, used

    def _draw(self, consumer: bytes, recipient: EncryptionKey, now: int) -> tuple[int, bytes]:
        drawn = DecryptionKey.generate(self._suite)
        public = drawn.encryption_key.to_bytes()
        cursor = self._database.execute(
            "INSERT INTO keys (consumer, public, recipient, used, drawn, needed_until)"
            " VALUES (?, ?, ?, 0, ?, 0)",
            (consumer, public, recipient.to_bytes(), now),
        )
        place = int(cursor.lastrowid or 0)
        sealed = recipient.seal(drawn.to_bytes(), Purpose.REQUEST_BOOK, public)
        self._database.execute("INSERT INTO private_keys VALUES (?, ?)", (place, sealed))
        self._known[public] = drawn
        return place, public

    def _destroy(self, *, closing: bool = False) -> None:
        """Delete private keys; in the file and its log nothing is left of them when this returns.

        Args:
            closing: also those that could sign more requests.
        """
        now = self._limits(int(self._clock())) | {"closing": closing}
        if self._database.execute(_SPENT, now).fetchone():
            with self._transaction():
                spent = self._database.execute(_SPENT, now).fetchall()
                self._database.executemany(
                    "DELETE FROM private_keys WHERE key = ?", [(place,) for place, _ in spent]
                )
            for _, public in spent:
                self._known.pop(public, None)
            self._is_log_clean = False
        if not self._is_log_clean:
            self._truncate()

    @staticmethod
    def _limits(now: int) -> dict[str, object]:
        return {"now": now, "per_key": REQUESTS_PER_KEY, "lifetime": KEY_LIFETIME}

    def _truncate(self) -> None:
        """Truncate the log; while another process reads, the next call tries again."""
        busy, *_ = self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        self._is_log_clean = not busy

    def _select(self, condition: str, values: tuple[object, ...]) -> tuple[KeptRequest, ...]:
        with self._errors():
            rows = self._database.execute(f"{_REQUESTS} WHERE {condition}", values).fetchall()
            return tuple(
                KeptRequest(
                    place,
                    KeyedSubmission(decode_record(AccessRequest, text), signed, public),
                    answer,
                )
                for place, text, signed, public, answer in rows
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
            raise ClientError(f"the book of requests {self._path}: {error}") from error
        except OSError as error:
            raise ClientError(f"the book of requests {self._path}: {error.strerror}") from error
