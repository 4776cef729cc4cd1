"""Sealing: one key, one purpose, one context; and it is the standard's HPKE, not one of our own.

Whatever is promised of a sealed message is promised of both forms: sealed alone, and in a session.
"""

import hashlib
from enum import IntEnum
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from ledger.crypto.hpke import (
    _SESSIONS_KEPT,
    SESSION_MESSAGES,
    DecryptionKey,
    EncryptionKey,
    Purpose,
    Session,
    Suite,
)
from ledger.errors import LedgerError, MalformedError
from tests.vectors.cryptography import dhkem_secret, key_schedule
from tests.vectors.files import vectors

VECTORS = vectors("sealing.json")
DIGEST = hashlib.sha256(b"request").digest()
WRAPPED = {Suite.X25519: 2 + 32 + 32 + 16, Suite.MLKEM768_X25519: 2 + 1120 + 32 + 16}
"""Bytes of a session's sealed key: head, enc, the key, tag."""


class Form(IntEnum):
    ALONE = 1
    SESSION = 2


def sealer(form: Form, key: DecryptionKey) -> EncryptionKey | Session:
    return key.encryption_key if form is Form.ALONE else Session(key.encryption_key)


def again(key: DecryptionKey) -> DecryptionKey:
    """The same key, which remembers no session."""
    return DecryptionKey(key.to_bytes())


KEYS = {suite: DecryptionKey.generate(suite) for suite in Suite}
SEALED = {
    (suite, form): sealer(form, key).seal(b"parts", Purpose.RELEASE, DIGEST)
    for suite, key in KEYS.items()
    for form in Form
}
suites = pytest.mark.parametrize("suite", list(Suite))
forms = pytest.mark.parametrize("form", list(Form))


def unhex(text: str) -> bytes:
    return bytes.fromhex(text[2:])


@suites
@forms
def test_what_is_sealed_opens(suite: Suite, form: Form) -> None:
    key, sealed = KEYS[suite], SEALED[suite, form]
    assert sealed[:2] == bytes((form, suite))
    assert key.open(sealed, Purpose.RELEASE, DIGEST) == b"parts"
    assert key.suite is key.encryption_key.suite is suite
    sender = sealer(form, key)
    for purpose in set(Purpose) - {Purpose.RELEASE}:
        for plaintext in (b"", b"x" * 100_000):
            for context in (b"", b"context"):
                sealed = sender.seal(plaintext, purpose, context)
                assert key.open(sealed, purpose, context) == plaintext


@suites
def test_keys_are_read_back(suite: Suite) -> None:
    read = again(KEYS[suite])
    public = KEYS[suite].encryption_key.to_bytes()
    assert read.encryption_key.to_bytes() == public
    assert public[0] == suite
    assert len(public) == 1 + {Suite.X25519: 32, Suite.MLKEM768_X25519: 1216}[suite]
    for sender in (EncryptionKey(public), Session(EncryptionKey(public))):
        sealed = sender.seal(b"", Purpose.INBOX)
        assert read.open(sealed, Purpose.INBOX) == b""


@suites
@forms
def test_another_key_purpose_or_context_does_not_open(suite: Suite, form: Form) -> None:
    key, sealed = KEYS[suite], SEALED[suite, form]
    with pytest.raises(LedgerError, match="as release"):
        DecryptionKey.generate(suite).open(sealed, Purpose.RELEASE, DIGEST)
    with pytest.raises(LedgerError, match="as release"):
        key.open(sealed, Purpose.RELEASE, bytes(32))
    for purpose in set(Purpose) - {Purpose.RELEASE}:
        with pytest.raises(LedgerError, match=f"as {purpose.value}"):
            key.open(sealed, purpose, DIGEST)
    assert key.open(sealed, Purpose.RELEASE, DIGEST) == b"parts"


@suites
@forms
def test_an_access_of_another_request_does_not_open_a_release(suite: Suite, form: Form) -> None:
    """Promise 1: parts that are sealed for one request are of no use in another."""
    other = hashlib.sha256(b"another request").digest()
    with pytest.raises(LedgerError):
        KEYS[suite].open(SEALED[suite, form], Purpose.RELEASE, other)


@suites
@forms
@given(data=st.data())
def test_a_flipped_bit_does_not_open(suite: Suite, form: Form, data: st.DataObject) -> None:
    changed = bytearray(SEALED[suite, form])
    bit = data.draw(st.integers(0, 8 * len(changed) - 1))
    changed[bit // 8] ^= 1 << bit % 8
    knows = again(KEYS[suite])
    assert knows.open(SEALED[suite, form], Purpose.RELEASE, DIGEST) == b"parts"
    for key in (again(KEYS[suite]), knows):  # the session is new to it, and is remembered
        with pytest.raises((LedgerError, MalformedError)):
            key.open(bytes(changed), Purpose.RELEASE, DIGEST)


@suites
@forms
def test_messages_that_are_none_are_refused(suite: Suite, form: Form) -> None:
    whole = SEALED[suite, form]
    heads = (b"\x00" + whole[1:], b"\x03" + whole[1:], whole[:1] + b"\x09" + whole[2:])
    for sealed in (b"", whole[:1], *heads):
        with pytest.raises(MalformedError):
            KEYS[suite].open(sealed, Purpose.RELEASE, DIGEST)


@suites
@forms
def test_a_message_that_is_too_short_or_too_long_does_not_open(suite: Suite, form: Form) -> None:
    whole, knows = SEALED[suite, form], again(KEYS[suite])
    assert knows.open(whole, Purpose.RELEASE, DIGEST) == b"parts"
    for key in (again(KEYS[suite]), knows):
        for sealed in (*(whole[:length] for length in range(2, len(whole))), whole + b"\x00"):
            with pytest.raises(LedgerError):
                key.open(sealed, Purpose.RELEASE, DIGEST)


@forms
def test_a_message_of_the_other_suite_is_named(form: Form) -> None:
    with pytest.raises(LedgerError, match="suite X25519"):
        KEYS[Suite.X25519].open(SEALED[Suite.MLKEM768_X25519, form], Purpose.RELEASE, DIGEST)


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b"\x01",
        b"\x01" + bytes(31),
        b"\x01" + bytes(33),
        b"\x00" + bytes(32),
        b"\x03" + bytes(32),
        b"\x02" + bytes(32),
        b"\x02" + b"\xff" * 1216,
        KEYS[Suite.MLKEM768_X25519].encryption_key.to_bytes()[:-1],
        KEYS[Suite.MLKEM768_X25519].encryption_key.to_bytes() + b"\x00",
    ],
)
def test_keys_that_are_none_are_refused(encoded: bytes) -> None:
    with pytest.raises(MalformedError):
        EncryptionKey(encoded).seal(b"", Purpose.INBOX)


@pytest.mark.parametrize("encoded", [b"", b"\x01" + bytes(31), b"\x07" + bytes(32)])
def test_private_keys_that_are_none_are_refused(encoded: bytes) -> None:
    with pytest.raises(MalformedError):
        DecryptionKey(encoded)


@suites
def test_nothing_is_sealed_to_a_point_of_low_order(suite: Suite) -> None:
    encoded = KEYS[suite].encryption_key.to_bytes()[:-32] + bytes(32)
    with pytest.raises(MalformedError, match="nothing can be sealed"):
        EncryptionKey(encoded).seal(b"secret", Purpose.INBOX)
    with pytest.raises(MalformedError, match="nothing can be sealed"):
        Session(EncryptionKey(encoded))


@suites
@forms
def test_a_release_is_bound_to_a_request_digest(suite: Suite, form: Form) -> None:
    sender = sealer(form, KEYS[suite])
    for context in (b"", bytes(31)):
        with pytest.raises(MalformedError, match="digest"):
            sender.seal(b"", Purpose.RELEASE, context)
        with pytest.raises(MalformedError, match="digest"):
            KEYS[suite].open(SEALED[suite, form], Purpose.RELEASE, context)


@suites
@forms
def test_sealing_twice_gives_two_messages(suite: Suite, form: Form) -> None:
    sender = sealer(form, KEYS[suite])
    assert sender.seal(b"same", Purpose.INBOX) != sender.seal(b"same", Purpose.INBOX)


def test_no_secret_is_shown() -> None:
    for key in KEYS.values():
        session = Session(key.encryption_key)
        sealed = session.seal(b"", Purpose.INBOX)
        key.open(sealed, Purpose.INBOX)
        of_session = key.open(taken_apart(sealed)[0], Purpose.SESSION)
        for secret in (key.to_bytes()[1:], of_session):
            for shown in (repr(key), repr(session)):
                assert repr(secret)[2:-1] not in shown
                assert secret.hex() not in shown


# Sessions


def taken_apart(sealed: bytes) -> tuple[bytes, bytes, bytes]:
    """Sealed key, nonce and ciphertext of a session's message, as the spec says."""
    assert sealed[0] == Form.SESSION
    end = 6 + int.from_bytes(sealed[2:6], "big")
    return sealed[6:end], sealed[end : end + 12], sealed[end + 12 :]


def put_together(suite: Suite, wrapped: bytes, of_session: bytes) -> bytes:
    """A session's message as the spec says, around any sealed key."""
    aad = b"quancheng/1/release" + (32).to_bytes(4, "big") + DIGEST
    head = bytes((2, suite)) + len(wrapped).to_bytes(4, "big") + wrapped
    return head + bytes(12) + AESGCM(of_session).encrypt(bytes(12), b"parts", aad)


@suites
def test_messages_of_sessions_open_in_any_order(suite: Suite) -> None:
    key = again(KEYS[suite])
    sessions = [Session(key.encryption_key) for _ in range(3)]
    messages = [
        (number, session.seal(b"%d" % number, Purpose.ANSWER, b"context %d" % number))
        for number, session in enumerate(sessions * 4)
    ]
    for number, sealed in (*messages[::-1], *messages):
        assert key.open(sealed, Purpose.ANSWER, b"context %d" % number) == b"%d" % number
        with pytest.raises(LedgerError):
            key.open(sealed, Purpose.ANSWER, b"context %d" % (number + 3))  # of the same session


@suites
def test_messages_of_a_session_share_its_sealed_key_and_no_nonce(suite: Suite) -> None:
    session = Session(KEYS[suite].encryption_key)
    messages = [taken_apart(session.seal(b"same", Purpose.INBOX)) for _ in range(1_000)]
    heads, nonces, ciphertexts = (set(parts) for parts in zip(*messages, strict=True))
    assert [len(head) for head in heads] == [WRAPPED[suite]]
    assert len(nonces) == len(ciphertexts) == 1_000


@suites
def test_a_message_does_not_open_under_the_key_of_another_session(suite: Suite) -> None:
    key = KEYS[suite]
    one, other = (Session(key.encryption_key).seal(b"", Purpose.INBOX) for _ in range(2))
    end = 6 + WRAPPED[suite]
    for known in (again(key), key):
        with pytest.raises(LedgerError):
            known.open(one[:end] + other[end:], Purpose.INBOX)
        assert known.open(one, Purpose.INBOX) == known.open(other, Purpose.INBOX) == b""


@suites
def test_a_wrong_length_of_the_sealed_key_does_not_open(suite: Suite) -> None:
    whole, right = SEALED[suite, Form.SESSION], WRAPPED[suite]
    for length in (0, 1, 2, right - 1, right + 1, len(whole) - 18, len(whole), 2**32 - 1):
        with pytest.raises(LedgerError):
            KEYS[suite].open(
                whole[:2] + length.to_bytes(4, "big") + whole[6:], Purpose.RELEASE, DIGEST
            )


@suites
def test_a_session_inside_a_session_is_refused_at_the_first_step(suite: Suite) -> None:
    key, of_session = again(KEYS[suite]), bytes(range(32))
    wrapped = Session(key.encryption_key).seal(of_session, Purpose.SESSION)
    assert key.open(wrapped, Purpose.SESSION) == of_session  # so it is not the key that is wrong
    for _ in range(1_100):  # deeper than Python recurses
        wrapped = put_together(suite, wrapped, of_session)
        with pytest.raises(LedgerError):
            key.open(wrapped, Purpose.RELEASE, DIGEST)


def test_a_sealed_key_of_the_other_suite_is_refused() -> None:
    of_session = bytes(range(32))
    for suite, other in (tuple(Suite), tuple(Suite)[::-1]):
        wrapped = KEYS[suite].encryption_key.seal(of_session, Purpose.SESSION)
        changed = bytes((1, other)) + wrapped[2:]
        for sealed in (wrapped, changed):
            with pytest.raises(LedgerError):
                KEYS[other].open(put_together(other, sealed, of_session), Purpose.RELEASE, DIGEST)
        with pytest.raises(LedgerError):
            KEYS[suite].open(put_together(suite, changed, of_session), Purpose.RELEASE, DIGEST)


@suites
@pytest.mark.parametrize("size", [0, 16, 24, 31, 33, 64])
def test_a_session_key_that_does_not_have_32_bytes_is_refused(suite: Suite, size: int) -> None:
    key = again(KEYS[suite])
    wrapped = key.encryption_key.seal(bytes(size), Purpose.SESSION)
    usable = size if size in {16, 24} else 32  # AES would take 16 and 24
    for _ in range(2):
        with pytest.raises(MalformedError, match="a session's key"):
            key.open(put_together(suite, wrapped, bytes(usable)), Purpose.RELEASE, DIGEST)


@suites
def test_a_key_that_was_sealed_for_something_else_is_no_sessions_key(suite: Suite) -> None:
    key, of_session = KEYS[suite], bytes(range(32))
    good = key.encryption_key.seal(of_session, Purpose.SESSION)
    assert key.open(put_together(suite, good, of_session), Purpose.RELEASE, DIGEST) == b"parts"
    others = [
        key.encryption_key.seal(of_session, purpose, DIGEST)
        for purpose in Purpose  # the session's own with a context that it does not have
    ]
    for wrapped in others:
        with pytest.raises(LedgerError):
            key.open(put_together(suite, wrapped, of_session), Purpose.RELEASE, DIGEST)


def test_a_session_seals_as_many_messages_as_it_may() -> None:
    key = KEYS[Suite.X25519]
    session = Session(key.encryption_key)
    assert session.left == SESSION_MESSAGES == 2**20
    session.seal(b"", Purpose.INBOX)
    assert session.left == SESSION_MESSAGES - 1
    with pytest.raises(MalformedError, match="digest"):
        session.seal(b"", Purpose.RELEASE)
    assert session.left == SESSION_MESSAGES - 1

    session.left = 1
    last = session.seal(b"last", Purpose.INBOX)
    for _ in range(2):
        with pytest.raises(MalformedError, match="as many messages as it may"):
            session.seal(b"", Purpose.INBOX)
    assert session.left == 0
    assert key.open(last, Purpose.INBOX) == b"last"


@suites
def test_more_sessions_than_are_remembered_still_open(suite: Suite) -> None:
    key = again(KEYS[suite])
    messages = [
        Session(key.encryption_key).seal(b"%d" % number, Purpose.INBOX)
        for number in range(_SESSIONS_KEPT + 2)
    ]
    for number, sealed in (*enumerate(messages), *enumerate(messages)):
        assert key.open(sealed, Purpose.INBOX) == b"%d" % number
    assert len(key._sessions) == _SESSIONS_KEPT


@suites
def test_what_does_not_open_is_not_remembered(suite: Suite) -> None:
    key = again(KEYS[suite])
    sealed = Session(DecryptionKey.generate(suite).encryption_key).seal(b"", Purpose.INBOX)
    with pytest.raises(LedgerError):
        key.open(sealed, Purpose.INBOX)
    assert not key._sessions


@suites
def test_a_message_of_a_session_is_what_the_spec_says(suite: Suite) -> None:
    """Opened by hand, with nothing from `ledger`."""
    key = KEYS[suite]
    secret, public = key.to_bytes()[1:], key.encryption_key.to_bytes()[1:]
    sealed = Session(key.encryption_key).seal(b"parts", Purpose.ANSWER, b"context")
    assert sealed[:6] == bytes((2, suite)) + WRAPPED[suite].to_bytes(4, "big")
    wrapped, nonce, ciphertext = taken_apart(sealed)
    assert wrapped[:2] == bytes((1, suite))
    info = b"quancheng/1/session\x00\x00\x00\x00"
    of_session = opened_by_hand(suite, secret, public, wrapped[2:], info)
    assert len(of_session) == 32
    aad = b"quancheng/1/answer\x00\x00\x00\x07context"
    assert AESGCM(of_session).decrypt(nonce, ciphertext, aad) == b"parts"


# The spec's vectors


@pytest.mark.parametrize("case", VECTORS["messages"])
def test_vectors_of_the_spec_open(case: dict[str, Any]) -> None:
    key = DecryptionKey(unhex(case["opening_key"]))
    assert key.encryption_key.to_bytes() == unhex(case["encryption_key"])
    context = unhex(VECTORS["context"])
    for message in (case["sealed"], case["session"]["sealed"]):
        opened = key.open(unhex(message), Purpose(VECTORS["purpose"]), context)
        assert opened == unhex(VECTORS["plaintext"])
    of_session = key.open(unhex(case["session"]["sealed_key"]), Purpose.SESSION)
    assert of_session == unhex(case["session"]["key"])


def opened_by_hand(suite: int, secret: bytes, public: bytes, sealed: bytes, info: bytes) -> bytes:
    """Open from RFC 9180 and the X-Wing draft what follows form and suite."""
    if suite == 1:
        kem, enc, ciphertext = 0x0020, sealed[:32], sealed[32:]
        shared = X25519PrivateKey.from_private_bytes(secret).exchange(
            X25519PublicKey.from_public_bytes(enc)
        )
        shared_secret = dhkem_secret(shared, enc, public)
    else:
        kem, enc, ciphertext = 0x647A, sealed[:1120], sealed[1120:]
        expanded = hashlib.shake_256(secret).digest(96)
        lattice = MLKEM768PrivateKey.from_seed_bytes(expanded[:64]).decapsulate(enc[:1088])
        curve = X25519PrivateKey.from_private_bytes(expanded[64:]).exchange(
            X25519PublicKey.from_public_bytes(enc[1088:])
        )
        mixed = lattice + curve + enc[1088:] + public[1184:] + b"\\.//^\\"
        shared_secret = hashlib.sha3_256(mixed).digest()
    key, nonce = key_schedule(kem, shared_secret, info)
    return AESGCM(key).decrypt(nonce, ciphertext, b"")


@pytest.mark.parametrize("case", VECTORS["messages"])
def test_vectors_of_the_spec_are_the_standards_hpke(case: dict[str, Any]) -> None:
    """Opened by hand, with nothing from `ledger`."""
    secret, public = unhex(case["opening_key"])[1:], unhex(case["encryption_key"])[1:]
    sealed, plaintext = unhex(case["sealed"])[2:], unhex(VECTORS["plaintext"])
    info = b"quancheng/1/release" + (32).to_bytes(4, "big") + unhex(VECTORS["context"])
    assert info == unhex(VECTORS["info"])
    assert opened_by_hand(case["suite"], secret, public, sealed, info) == plaintext

    session = {name: unhex(text) for name, text in case["session"].items() if text}
    wrapped, nonce, ciphertext = taken_apart(session["sealed"])
    assert (wrapped, nonce) == (session["sealed_key"], session["nonce"])
    without_context = b"quancheng/1/session" + bytes(4)
    of_session = opened_by_hand(case["suite"], secret, public, wrapped[2:], without_context)
    assert of_session == session["key"]
    assert AESGCM(of_session).decrypt(nonce, ciphertext, info) == plaintext
