"""Keys of answers at the consumer: what was stored opens with nothing that a thief finds later."""

import multiprocessing
import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.chain.deployment import DEFAULT_RELEASE_WINDOW
from ledger.crypto.hpke import DecryptionKey, EncryptionKey, Purpose, Suite
from ledger.crypto.released_parts import KEY_LIFETIME, verify_answer_key
from ledger.errors import LedgerError
from ledger.typed_data import Domain
from wallet.client.errors import ClientError
from wallet.client.party import PartyKey
from wallet.client.requests import Asked, KeptRequest, RequestBook

KEY = PartyKey(b"\x11" * 32)
DOMAIN = Domain(31337, b"\x05" * 20)
REGISTERED = DecryptionKey(b"\x01" + b"\x22" * 32)
NOW = 1_800_000_000
LIFETIME = 300
ASKED = Asked(basis=b"\x01" * 32, fields=5, deadline=NOW + LIFETIME)
DIGEST = b"\x07" * 32


class Clock:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "requests.sqlite"


@pytest.fixture
def book(path: Path, clock: Clock) -> Iterator[RequestBook]:
    with RequestBook(path, clock=clock) as opened:
        yield opened


def sign(
    book: RequestBook, count: int = 1, recipient: DecryptionKey = REGISTERED
) -> tuple[KeptRequest, ...]:
    return book.sign(KEY, recipient.encryption_key, DOMAIN, (ASKED,) * count)


def keys(requests: tuple[KeptRequest, ...]) -> list[bytes]:
    return [request.submission.key for request in requests]


def traces(path: Path) -> bytes:
    """Everything on disk: the file, its log, and the log's index."""
    return b"".join(one.read_bytes() for one in sorted(path.parent.glob(path.name + "*")))


def sealed_keys(path: Path) -> list[bytes]:
    other = sqlite3.connect(path)
    found = [one for (one,) in other.execute("SELECT sealed FROM private_keys")]
    other.close()
    return found


def store(book: RequestBook, *requests: KeptRequest) -> None:
    for request in requests:
        book.note_answer(request.id, b"an answer")
    book.note_stored(request.id for request in requests)


def is_destroyed(book: RequestBook, request: KeptRequest) -> bool:
    try:
        book.opening_key(request.id, REGISTERED)
    except ClientError:
        return True
    return False


@pytest.mark.parametrize("suite", list(Suite))
def test_each_request_commits_to_a_key_that_only_the_book_opens(path: Path, suite: Suite) -> None:
    with RequestBook(path, suite=suite) as book:
        (kept,) = sign(book)
        request = kept.submission.request
        key = verify_answer_key(DOMAIN, KEY.address, request.nonce, kept.submission.key)
        assert key.suite is suite
        sealed = key.seal(b"parts", Purpose.RELEASE, DIGEST)
        with pytest.raises(LedgerError):
            REGISTERED.open(sealed, Purpose.RELEASE, DIGEST)
        assert (
            book.opening_key(kept.id, REGISTERED).open(sealed, Purpose.RELEASE, DIGEST) == b"parts"
        )


def test_a_key_signs_for_an_hour_and_256_requests_at_most(book: RequestBook, clock: Clock) -> None:
    first, second = set(keys(sign(book, 256))), set(keys(sign(book, 1)))
    assert (len(first), first & second) == (1, set())
    clock.now += KEY_LIFETIME - 1
    assert set(keys(sign(book))) == second
    clock.now += 1
    assert set(keys(sign(book))) & second == set()


def test_a_key_that_signs_no_more_goes_with_its_last_answer(book: RequestBook, path: Path) -> None:
    requests = sign(book, 256)
    secret = book.opening_key(requests[0].id, REGISTERED).to_bytes()[1:]
    (sealed,) = sealed_keys(path)
    assert sealed in traces(path), "the control: what is searched for is found while it is there"
    assert secret not in traces(path)
    store(book, *requests[:-1])
    assert not is_destroyed(book, requests[0])
    store(book, requests[-1])
    assert is_destroyed(book, requests[0])
    assert sealed not in traces(path)
    assert sealed[-48:] not in traces(path)
    assert sealed[2:34] not in traces(path), "nor its half, the encapsulated key"


def test_after_its_hour_a_key_goes_as_soon_as_the_answers_are_stored(
    book: RequestBook, path: Path, clock: Clock
) -> None:
    (kept,) = sign(book)
    (sealed,) = sealed_keys(path)
    store(book, kept)
    assert not is_destroyed(book, kept), "it signs more requests"
    clock.now += KEY_LIFETIME
    book.destroy_spent_keys()
    assert is_destroyed(book, kept)
    assert sealed not in traces(path)


def test_a_book_that_is_closed_keeps_no_key_whose_answers_are_stored(path: Path) -> None:
    with RequestBook(path) as book:
        (kept,) = sign(book)
        (sealed,) = sealed_keys(path)
        store(book, kept)
    assert sealed not in traces(path)
    with RequestBook(path) as book:
        (other,) = sign(book)
        assert other.submission.key != kept.submission.key


def test_an_answer_that_is_not_stored_keeps_its_key_until_no_keyholder_releases_it(
    book: RequestBook, path: Path, clock: Clock
) -> None:
    (kept,) = sign(book)
    book.note_answer(kept.id, b"an answer")
    (sealed,) = sealed_keys(path)
    clock.now = NOW + LIFETIME + DEFAULT_RELEASE_WINDOW
    book.destroy_spent_keys()
    assert not is_destroyed(book, kept)
    clock.now += 61
    book.destroy_spent_keys()
    assert is_destroyed(book, kept)
    assert sealed not in traces(path)


def test_what_holds_nothing_to_open_keeps_no_key(path: Path) -> None:
    with RequestBook(path) as book:
        (kept,) = sign(book)
        book.note_answer(kept.id, b"denied", holds_release=False)
    assert sealed_keys(path) == []


def test_a_thousand_keys_leave_nothing(path: Path) -> None:
    """So many that the table's pages split and are moved."""
    with RequestBook(path, suite=Suite.MLKEM768_X25519) as book:
        requests: list[KeptRequest] = []
        for _ in range(40):
            requests += sign(book, 256)
        sealed = sealed_keys(path)
        assert len(sealed) == 40
        store(book, *requests)
        left = traces(path)
    assert not [one for one in sealed if one[-64:] in left or one[2:66] in left]


def test_an_answer_that_came_after_a_kill_opens(path: Path) -> None:
    """The gateway has answered, nothing was stored: the same request is sent again, to the same key."""
    asked = Asked(basis=b"\x01" * 32, fields=5, deadline=2_000_000_000)
    process = multiprocessing.get_context("spawn").Process(
        target=sign_until_killed, args=(path, asked)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    with RequestBook(path) as book:
        (left,) = book.open_requests(KEY.address)
        sealed = EncryptionKey(left.submission.key).seal(b"parts", Purpose.RELEASE, DIGEST)
        opening = book.opening_key(left.id, REGISTERED)
        assert opening.open(sealed, Purpose.RELEASE, DIGEST) == b"parts"


def sign_until_killed(path: Path, asked: Asked) -> None:
    book = RequestBook(path)
    book.sign(KEY, REGISTERED.encryption_key, DOMAIN, (asked,))
    os.kill(os.getpid(), signal.SIGKILL)


def destroy_and_die(path: Path) -> None:
    """Die between the deletion of a key and the end of the log."""
    book = RequestBook(path)
    (kept,) = book.open_requests(KEY.address)
    book.note_answer(kept.id, b"an answer")
    book._truncate = lambda: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
    book.note_stored([kept.id])
    book.close()


def test_a_kill_between_deleting_a_key_and_truncating_the_log_leaves_nothing_after_the_next_opening(
    path: Path,
) -> None:
    asked = Asked(basis=b"\x01" * 32, fields=5, deadline=2_000_000_000)
    with RequestBook(path) as book:
        book.sign(KEY, REGISTERED.encryption_key, DOMAIN, (asked,))
    (sealed,) = sealed_keys(path)
    process = multiprocessing.get_context("spawn").Process(target=destroy_and_die, args=(path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    with RequestBook(path):
        assert sealed not in traces(path)


def test_a_log_that_another_process_reads_is_truncated_later(book: RequestBook, path: Path) -> None:
    requests = sign(book, 256)
    (sealed,) = sealed_keys(path)
    book._database.execute("PRAGMA busy_timeout=50")
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM keys").fetchone()
    store(book, *requests)
    assert is_destroyed(book, requests[0])
    reader.execute("ROLLBACK")
    reader.close()
    book.destroy_spent_keys()
    assert sealed not in traces(path)


def test_a_thief_of_file_and_signing_key_without_the_encryption_key_opens_nothing(
    book: RequestBook, path: Path
) -> None:
    (kept,) = sign(book)
    with RequestBook(path) as stolen, pytest.raises(ClientError):
        stolen.opening_key(kept.id, DecryptionKey.generate())


def test_another_registered_key_gets_keys_of_its_own(book: RequestBook) -> None:
    other = DecryptionKey.generate()
    (mine,), (theirs,) = sign(book), sign(book, recipient=other)
    assert mine.submission.key != theirs.submission.key
    public = book.opening_key(theirs.id, other).encryption_key.to_bytes()
    assert public == theirs.submission.key
