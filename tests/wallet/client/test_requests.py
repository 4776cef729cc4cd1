"""A consumer's signed requests: no nonce twice, none lost, and a retry is the same request."""

import multiprocessing
import os
import signal
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import httpx
import msgspec
import pytest

from ledger.api import RecordedAccess, Refusal, Submission
from ledger.api.access import decode_submissions, encode_result, encode_results
from ledger.crypto.hpke import DecryptionKey
from ledger.crypto.signatures import verify_signature
from ledger.model import Outcome
from ledger.typed_data import AccessRequest, Domain, digest, struct_hash
from tests.support.errors import of_kind
from tests.support.trails import deployment
from wallet.client.accesses import resume, use
from wallet.client.errors import ClientError, ErrorKind, ProblemError, UnreachableError
from wallet.client.party import ChainAccess, PartyKey
from wallet.client.requests import Asked, KeptRequest, RequestBook
from wallet.client.retry import RetryPolicy
from wallet.client.transports import AsyncClient, Client, Endpoints
from wallet.consumer import access

KEY = PartyKey(b"\x11" * 32)
DOMAIN = Domain(31337, b"\x05" * 20)
REGISTERED = DecryptionKey(b"\x01" + b"\x22" * 32)
ASKED = Asked(basis=b"\x01" * 32, fields=5, deadline=2_000_000_000)
HURRIED = RetryPolicy(seconds=0.5, first=0.01, longest=0.05)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "requests.sqlite"


def sign(book: RequestBook, count: int = 1) -> tuple[KeptRequest, ...]:
    return book.sign(KEY, REGISTERED.encryption_key, DOMAIN, (ASKED,) * count)


def nonces(requests: Sequence[KeptRequest]) -> list[int]:
    return [request.submission.request.nonce for request in requests]


def test_256_requests_share_a_word_then_another_is_drawn(path: Path) -> None:
    with RequestBook(path) as book:
        drawn = nonces(sign(book, 300))
    words = [nonce >> 8 for nonce in drawn]
    assert len(set(drawn)) == 300
    assert words[:256] == [words[0]] * 256
    assert words[256:] == [words[256]] * 44
    assert words[0] != words[256]
    assert [nonce & 0xFF for nonce in drawn[:256]] == list(range(256))
    assert all(nonce < 2**136 for nonce in drawn)


def test_a_word_goes_on_after_the_book_was_closed(path: Path) -> None:
    with RequestBook(path) as book:
        (first,) = nonces(sign(book))
    with RequestBook(path) as book:
        (second,) = nonces(sign(book))
    assert second == first + 1, "the first one has no answer yet, so its key is there"


def test_a_kept_request_is_signed_by_the_consumer(path: Path) -> None:
    with RequestBook(path) as book:
        (kept,) = sign(book)
        assert book.get(kept.id) == kept
    request = kept.submission.request
    assert request.consumer == KEY.address
    verify_signature(digest(request, DOMAIN), kept.submission.signature, KEY.address)


def draw(path: Path, count: int) -> list[int]:
    with RequestBook(path) as book:
        return [nonce for _ in range(count) for nonce in nonces(sign(book))]


def test_processes_that_share_a_book_share_no_nonce(path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        drawn = pool.starmap(draw, [(path, 40)] * 4)
    together = [nonce for some in drawn for nonce in some]
    assert len(set(together)) == 160


def sign_and_die(path: Path) -> None:
    book = RequestBook(path)
    sign(book, 3)
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_was_signed_before_a_kill_is_there_after_it(path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=sign_and_die, args=(path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    with RequestBook(path) as book:
        left = book.open_requests(KEY.address)
        assert len(left) == 3
        assert not set(nonces(left)) & set(nonces(sign(book)))


def test_the_book_is_for_its_user_only(path: Path) -> None:
    with RequestBook(path) as book:
        sign(book)
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", [b"not a database" * 100, None])
def test_a_book_that_cannot_be_used_signs_nothing(path: Path, damage: bytes | None) -> None:
    if damage is None:
        path.mkdir()
    else:
        path.write_bytes(damage)
    with pytest.raises(ClientError):
        RequestBook(path)


def test_a_book_that_is_locked_signs_nothing(path: Path) -> None:
    with RequestBook(path) as book:
        book._database.execute("PRAGMA busy_timeout=50")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ClientError, match="locked"):
            sign(book)
        other.execute("ROLLBACK")
        other.close()
        assert len(sign(book)) == 1


# Sending


class Gateway:
    """Records each request once, and can be made to fail before or after it did."""

    def __init__(self) -> None:
        self.recorded: dict[bytes, RecordedAccess] = {}
        self.received: list[Submission] = []
        self.failures: list[str] = []
        """What happens to the next requests: lost, unanswered, busy, half."""
        self.refusal: Refusal | None = None
        """What is in the way of accesses that are recorded and allowed."""

    def handle(self, request: httpx.Request) -> httpx.Response:
        failure = self.failures.pop(0) if self.failures else ""
        if failure == "lost":
            raise httpx.ConnectError("refused")
        if failure == "busy":
            problem = {"type": "urn:quancheng:problem:busy", "title": "busy", "status": 503}
            return httpx.Response(503, json=problem)
        submissions = decode_submissions(request.content).submissions
        self.received += submissions
        if failure == "half":
            none = encode_result(None, None, Refusal("x", "not now", 503))
            first = [self.answer(submission) for submission in submissions[:1]]
            return httpx.Response(
                200, content=encode_results([*first, *[none] * (len(submissions) - 1)])
            )
        answers = [self.answer(submission) for submission in submissions]
        if failure == "unanswered":
            raise httpx.ReadError("cut off")
        return httpx.Response(200, content=encode_results(answers))

    def answer(self, submission: Submission) -> bytes:
        if self.refusal is not None:
            return self.refuse(submission, self.refusal)
        request = submission.request
        access = struct_hash(request)
        if access not in self.recorded:
            sequence = len(self.recorded) + 1
            self.recorded[access] = RecordedAccess(
                access, sequence, Outcome.USES_EXHAUSTED, 1, bytes(32), 1, bytes(32), 0
            )
        told = (request, digest(request, DOMAIN), self.recorded[access])
        return encode_result(told, None, Refusal("x", "denied", 403))

    def refuse(self, submission: Submission, refusal: Refusal) -> bytes:
        request = submission.request
        recorded = RecordedAccess(
            struct_hash(request), 1, Outcome.ALLOWED, 1, bytes(32), 1, bytes(32), 0
        )
        return encode_result((request, digest(request, DOMAIN), recorded), None, refusal)


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def client(gateway: Gateway) -> Client:
    endpoints = Endpoints("http://gateway")
    return Client(endpoints, transport=httpx.MockTransport(gateway.handle), chain_id=31337)


@pytest.mark.parametrize("failure", ["lost", "unanswered", "busy", "half"])
def test_a_retry_is_the_same_request(
    path: Path, gateway: Gateway, client: Client, failure: str
) -> None:
    gateway.failures = [failure, failure]
    with RequestBook(path) as book:
        kept = sign(book, 3)
        answered = client.run(use(book, kept, HURRIED))
        assert book.open_requests(KEY.address) == ()
    assert [one.request for one in answered] == list(kept)
    assert len(gateway.recorded) == 3
    signatures = {one.signature for one in gateway.received}
    assert signatures == {one.submission.signature for one in kept}


def test_what_patience_was_not_enough_for_is_sent_again_later(
    path: Path, gateway: Gateway, client: Client
) -> None:
    gateway.failures = ["unanswered"] + ["lost"] * 1000
    with RequestBook(path) as book:
        kept = sign(book, 2)
        with pytest.raises(UnreachableError):
            client.run(use(book, kept, HURRIED))
        assert book.open_requests(KEY.address) == kept
        gateway.failures = []
        answered = client.run(resume(book, KEY.address, HURRIED))
    assert [one.request.id for one in answered] == [one.id for one in kept]
    assert len(gateway.recorded) == 2


def test_a_gateway_that_stays_busy_is_told_as_such(
    path: Path, gateway: Gateway, client: Client
) -> None:
    gateway.failures = ["busy"] * 1000
    with (
        RequestBook(path) as book,
        pytest.raises(ProblemError, check=of_kind(ErrorKind.UNAVAILABLE)),
    ):
        client.run(use(book, sign(book), HURRIED))


async def test_asyncio_does_the_same(path: Path, gateway: Gateway) -> None:
    gateway.failures = ["unanswered", "busy"]
    transport = httpx.MockTransport(gateway.handle)
    with RequestBook(path) as book:
        kept = sign(book, 3)
        async with AsyncClient(Endpoints("http://gateway"), transport=transport) as client:
            answered = await client.run(use(book, kept, HURRIED))
    assert [one.request for one in answered] == list(kept)
    assert len(gateway.recorded) == 3


def test_many_requests_travel_in_several_bodies(
    path: Path, gateway: Gateway, client: Client
) -> None:
    with RequestBook(path) as book:
        answered = client.run(use(book, sign(book, 1_201), HURRIED))
    assert len(answered) == len(gateway.recorded) == 1_201


def test_answers_are_kept_as_they_came(path: Path, client: Client) -> None:
    with RequestBook(path) as book:
        (kept,) = sign(book)
        client.run(use(book, (kept,), HURRIED))
        answer = book.get(kept.id).answer
        assert answer is not None
        assert msgspec.json.decode(answer)["access"]["outcome"] == Outcome.USES_EXHAUSTED
        assert isinstance(book.newest(KEY.address)[0].submission.request, AccessRequest)


# The release window


OVER = Refusal("urn:quancheng:problem:release-over", "Over", 410, "recorded 3601 s ago")
STOPPED = Refusal("urn:quancheng:problem:release-stopped", "Stopped", 403, "it was revoked")
AWAY = Refusal("urn:quancheng:problem:keyholders-unavailable", "Away", 503)


def prepare(book: RequestBook, *, another_use: bool = False) -> tuple[KeptRequest, ...]:
    return access.prepare(
        ChainAccess(deployment(), own_node=False),
        KEY,
        REGISTERED.encryption_key,
        book,
        ASKED.basis,
        ASKED.fields,
        another_use=another_use,
    )


def test_410_is_final_and_another_use_needs_the_callers_word(
    path: Path, gateway: Gateway, client: Client
) -> None:
    gateway.refusal = OVER
    with RequestBook(path) as book:
        kept = prepare(book)
        (answered,) = client.run(use(book, kept, HURRIED))
        assert answered.result.problem == OVER
        assert answered.result.recorded is not None  # the record comes along
        assert ProblemError(OVER).kind == ErrorKind.RELEASE_OVER
        assert book.open_requests(KEY.address) == ()
        assert len(gateway.received) == 1
    with RequestBook(path) as book:  # also another process
        with pytest.raises(
            ClientError, match="never handed out", check=of_kind(ErrorKind.ANOTHER_USE)
        ):
            prepare(book)
        assert book.open_requests(KEY.address) == ()
        assert prepare(book, another_use=True) == book.open_requests(KEY.address)
        prepare(book)  # told once


def test_another_basis_is_another_matter(path: Path, gateway: Gateway, client: Client) -> None:
    gateway.refusal = OVER
    with RequestBook(path) as book:
        client.run(use(book, sign(book), HURRIED))
        assert book.lost_uses(KEY.address, b"\x02" * 32) == ()
        assert len(book.lost_uses(KEY.address, ASKED.basis)) == 1


@pytest.mark.parametrize("refusal", [STOPPED, AWAY])
def test_what_may_be_handed_out_later_stays_open_and_a_retry_is_no_second_use(
    path: Path, gateway: Gateway, client: Client, refusal: Refusal
) -> None:
    gateway.refusal = refusal
    with RequestBook(path) as book:
        kept = prepare(book)
        (answered,) = client.run(use(book, kept, HURRIED))
        assert answered.result.problem == refusal
        assert book.open_requests(KEY.address) == kept
        assert book.lost_uses(KEY.address, ASKED.basis) == ()


def test_a_stopped_release_keeps_nobody_waiting(
    path: Path, gateway: Gateway, client: Client
) -> None:
    gateway.refusal = STOPPED
    with RequestBook(path) as book:
        client.run(use(book, sign(book), RetryPolicy(seconds=60, first=60, longest=60)))
    assert len(gateway.received) == 1
