"""Sealing: one key, one purpose, one context; and it is the standard's HPKE, not one of our own."""

import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import MalformedError, OpeningError
from ledger.sealing import EncryptionKey, OpeningKey, Purpose, Suite
from scripts import vectors

VECTORS = json.loads((vectors.FOLDER / "sealing.json").read_text(encoding="utf-8"))
DIGEST = hashlib.sha256(b"request").digest()
KEYS = {suite: OpeningKey.generate(suite) for suite in Suite}
SEALED = {
    suite: key.encryption_key.seal(b"parts", Purpose.RELEASE, DIGEST) for suite, key in KEYS.items()
}
suites = pytest.mark.parametrize("suite", list(Suite))


def unhex(text: str) -> bytes:
    return bytes.fromhex(text[2:])


@suites
def test_what_is_sealed_opens(suite: Suite) -> None:
    key = KEYS[suite]
    assert key.open(SEALED[suite], Purpose.RELEASE, DIGEST) == b"parts"
    assert key.suite is key.encryption_key.suite is suite
    for purpose in set(Purpose) - {Purpose.RELEASE}:
        for plaintext in (b"", b"x" * 100_000):
            sealed = key.encryption_key.seal(plaintext, purpose)
            assert key.open(sealed, purpose) == plaintext


@suites
def test_keys_are_read_back(suite: Suite) -> None:
    again = OpeningKey(KEYS[suite].to_bytes())
    public = KEYS[suite].encryption_key.to_bytes()
    assert again.encryption_key.to_bytes() == public
    assert public[0] == suite
    assert len(public) == 1 + {Suite.X25519: 32, Suite.MLKEM768_X25519: 1216}[suite]
    sealed = EncryptionKey(public).seal(b"", Purpose.INBOX)
    assert again.open(sealed, Purpose.INBOX) == b""


@suites
def test_another_key_purpose_or_context_does_not_open(suite: Suite) -> None:
    key, sealed = KEYS[suite], SEALED[suite]
    with pytest.raises(OpeningError, match="as release"):
        OpeningKey.generate(suite).open(sealed, Purpose.RELEASE, DIGEST)
    with pytest.raises(OpeningError, match="as release"):
        key.open(sealed, Purpose.RELEASE, bytes(32))
    for purpose in set(Purpose) - {Purpose.RELEASE}:
        with pytest.raises(OpeningError, match=f"as {purpose.value}"):
            key.open(sealed, purpose, DIGEST)


@suites
def test_an_access_of_another_request_does_not_open_a_release(suite: Suite) -> None:
    """Promise 1: parts that are sealed for one request are of no use in another."""
    other = hashlib.sha256(b"another request").digest()
    with pytest.raises(OpeningError):
        KEYS[suite].open(SEALED[suite], Purpose.RELEASE, other)


@suites
@given(data=st.data())
def test_a_flipped_bit_does_not_open(suite: Suite, data: st.DataObject) -> None:
    changed = bytearray(SEALED[suite])
    bit = data.draw(st.integers(0, 8 * len(changed) - 1))
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises((OpeningError, MalformedError)):
        KEYS[suite].open(bytes(changed), Purpose.RELEASE, DIGEST)


@suites
def test_messages_that_are_none_are_refused(suite: Suite) -> None:
    for sealed in (b"", b"\x01", b"\x02" + SEALED[suite][1:], b"\x01\x09" + SEALED[suite][2:]):
        with pytest.raises(MalformedError):
            KEYS[suite].open(sealed, Purpose.RELEASE, DIGEST)
    for length in (2, 10, 40, len(SEALED[suite]) - 1):
        with pytest.raises(OpeningError):
            KEYS[suite].open(SEALED[suite][:length], Purpose.RELEASE, DIGEST)


def test_a_message_of_the_other_suite_is_named() -> None:
    with pytest.raises(OpeningError, match="suite X25519"):
        KEYS[Suite.X25519].open(SEALED[Suite.MLKEM768_X25519], Purpose.RELEASE, DIGEST)


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
        OpeningKey(encoded)


@suites
def test_nothing_is_sealed_to_a_point_of_low_order(suite: Suite) -> None:
    encoded = KEYS[suite].encryption_key.to_bytes()[:-32] + bytes(32)
    with pytest.raises(MalformedError, match="nothing can be sealed"):
        EncryptionKey(encoded).seal(b"secret", Purpose.INBOX)


@suites
def test_a_release_is_bound_to_a_request_digest(suite: Suite) -> None:
    for context in (b"", bytes(31)):
        with pytest.raises(MalformedError, match="digest"):
            KEYS[suite].encryption_key.seal(b"", Purpose.RELEASE, context)
        with pytest.raises(MalformedError, match="digest"):
            KEYS[suite].open(SEALED[suite], Purpose.RELEASE, context)


@suites
def test_sealing_twice_gives_two_messages(suite: Suite) -> None:
    key = KEYS[suite].encryption_key
    assert key.seal(b"same", Purpose.INBOX) != key.seal(b"same", Purpose.INBOX)


def test_a_private_key_is_not_shown() -> None:
    for key in KEYS.values():
        assert repr(key.to_bytes()[1:])[2:-1] not in repr(key)


@pytest.mark.parametrize("case", VECTORS["messages"])
def test_vectors_of_the_spec_open(case: dict[str, Any]) -> None:
    key = OpeningKey(unhex(case["opening_key"]))
    assert key.encryption_key.to_bytes() == unhex(case["encryption_key"])
    context = unhex(VECTORS["context"])
    opened = key.open(unhex(case["sealed"]), Purpose(VECTORS["purpose"]), context)
    assert opened == unhex(VECTORS["plaintext"])


@pytest.mark.parametrize("case", VECTORS["messages"])
def test_vectors_of_the_spec_are_the_standards_hpke(case: dict[str, Any]) -> None:
    """Opened by hand, from RFC 9180 and the X-Wing draft, with nothing from `ledger`."""
    secret, public = unhex(case["opening_key"])[1:], unhex(case["encryption_key"])[1:]
    sealed = unhex(case["sealed"])[2:]
    if case["suite"] == 1:
        kem, enc, ciphertext = 0x0020, sealed[:32], sealed[32:]
        shared = X25519PrivateKey.from_private_bytes(secret).exchange(
            X25519PublicKey.from_public_bytes(enc)
        )
        shared_secret = vectors.dhkem_secret(shared, enc, public)
    else:
        kem, enc, ciphertext = 0x647A, sealed[:1120], sealed[1120:]
        expanded = hashlib.shake_256(secret).digest(96)
        lattice = MLKEM768PrivateKey.from_seed_bytes(expanded[:64]).decapsulate(enc[:1088])
        curve = X25519PrivateKey.from_private_bytes(expanded[64:]).exchange(
            X25519PublicKey.from_public_bytes(enc[1088:])
        )
        mixed = lattice + curve + enc[1088:] + public[1184:] + b"\\.//^\\"
        shared_secret = hashlib.sha3_256(mixed).digest()
    info = b"quancheng/1/release" + (32).to_bytes(4, "big") + unhex(VECTORS["context"])
    assert info == unhex(VECTORS["info"])
    key, nonce = vectors.key_schedule(kem, shared_secret, info)
    assert AESGCM(key).decrypt(nonce, ciphertext, b"") == unhex(VECTORS["plaintext"])


def test_the_committed_vectors_are_what_the_script_makes() -> None:
    for name, made in vectors.build().items():
        text = (vectors.FOLDER / f"{name}.json").read_text(encoding="utf-8")
        assert json.loads(text) == made, f"{name}.json: run python -m scripts.vectors"
