"""Signatures of accounts and passkeys: what is accepted is what the chain accepts."""

import json
from base64 import urlsafe_b64encode
from hashlib import sha256

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from eth_abi.abi import encode as abi_encode
from eth_account import Account as EthAccount
from eth_account.messages import encode_defunct
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.crypto.signatures import (
    BACKED_UP,
    BACKUP_ELIGIBLE,
    P256_ORDER,
    USER_PRESENT,
    USER_VERIFIED,
    Assertion,
    UnknownVerifierError,
    address_of,
    decode_assertion,
    encode_assertion,
    make_assertion,
    personal_digest,
    recover,
    sign,
    verify_assertion,
    verify_signature,
    verify_signer,
)
from ledger.errors import SigningError
from ledger.hexstr import checksum_address, keccak256

SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
KEY = b"\x46" * 32
ADDRESS = address_of(KEY)
DIGEST = keccak256(b"a signed record")
VERIFIER = b"\x77" * 20

PRIVATE_KEYS = st.integers(1, SECP256K1_ORDER - 1).map(lambda number: number.to_bytes(32, "big"))


@settings(max_examples=40, deadline=None)
@given(private_key=PRIVATE_KEYS, digest=st.binary(min_size=32, max_size=32))
def test_account_and_signature_are_those_of_eth_account(private_key: bytes, digest: bytes) -> None:
    theirs = EthAccount.from_key(private_key)
    assert checksum_address(address_of(private_key)) == theirs.address
    signature = sign(digest, private_key)
    assert signature == bytes(theirs.unsafe_sign_hash(digest).signature)
    assert recover(digest, signature) == address_of(private_key)


@settings(max_examples=40, deadline=None)
@given(message=st.binary(max_size=300))
def test_personal_message_is_that_of_eth_account(message: bytes) -> None:
    signed = EthAccount.sign_message(encode_defunct(message), KEY)
    assert recover(personal_digest(message), bytes(signed.signature)) == ADDRESS


def test_signature_of_the_expected_account_is_accepted() -> None:
    assert verify_signature(DIGEST, sign(DIGEST, KEY), ADDRESS) == ADDRESS


def test_signature_of_another_account_or_over_another_digest_is_refused() -> None:
    with pytest.raises(SigningError, match=r"signed by 0x.*, not by 0x"):
        verify_signature(DIGEST, sign(DIGEST, b"\x47" * 32), ADDRESS)
    with pytest.raises(SigningError):
        verify_signature(keccak256(b"another"), sign(DIGEST, KEY), ADDRESS)


def with_high_s(signature: bytes) -> bytes:
    s = SECP256K1_ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])


GOOD = sign(DIGEST, KEY)


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        (b"", "has 65 bytes, this has 0"),
        (GOOD[:64], "has 65 bytes, this has 64"),
        (GOOD + b"\0", "has 65 bytes, this has 66"),
        (GOOD[:64] + bytes([GOOD[64] - 27]), "v is neither 27 nor 28"),
        (GOOD[:64] + b"\x1d", "v is neither 27 nor 28"),
        (with_high_s(GOOD), "s is in the upper half"),
        (bytes(64) + b"\x1b", "no key can have made"),
        (b"\xff" * 32 + GOOD[32:], "no key can have made"),
        (GOOD[:32] + bytes(32) + GOOD[64:], "no key can have made"),
    ],
)
def test_malformed_signature_is_refused(signature: bytes, message: str) -> None:
    with pytest.raises(SigningError, match=message):
        recover(DIGEST, signature)


def test_upper_half_would_recover_the_same_account_if_it_were_not_refused() -> None:
    flipped = with_high_s(GOOD)
    theirs = EthAccount._recover_hash(DIGEST, signature=flipped)
    assert theirs == checksum_address(ADDRESS)


@pytest.mark.parametrize(
    "private_key", [b"", b"\x01" * 31, bytes(32), SECP256K1_ORDER.to_bytes(32, "big")]
)
def test_what_is_no_private_key_is_refused(private_key: bytes) -> None:
    with pytest.raises(SigningError) as refusal:
        sign(DIGEST, private_key)
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


def test_what_is_no_digest_is_refused() -> None:
    with pytest.raises(SigningError):
        sign(b"short", KEY)
    with pytest.raises(SigningError):
        recover(DIGEST + b"\0", GOOD)


def test_a_signer_of_fewer_than_twenty_bytes_is_refused() -> None:
    with pytest.raises(SigningError, match="at least 20 bytes, this has 19"):
        verify_signer(ADDRESS[:19], DIGEST, GOOD, set())


# Passkeys

PASSKEY = ec.derive_private_key(0xC0FFEE, ec.SECP256R1())
NUMBERS = PASSKEY.public_key().public_numbers()
PUBLIC_KEY = NUMBERS.x.to_bytes(32, "big") + NUMBERS.y.to_bytes(32, "big")
UP_UV = USER_PRESENT | USER_VERIFIED


def assertion(
    digest: bytes = DIGEST,
    flags: int = UP_UV,
    kind: str = "webauthn.get",
    key: ec.EllipticCurvePrivateKey = PASSKEY,
    authenticator_data: bytes | None = None,
) -> Assertion:
    challenge = urlsafe_b64encode(digest).rstrip(b"=").decode()
    client_data = json.dumps(
        {"type": kind, "challenge": challenge, "origin": "https://wallet.example"},
        separators=(",", ":"),
    ).encode()
    if authenticator_data is None:
        authenticator_data = sha256(b"wallet.example").digest() + bytes([flags]) + bytes(4)
    signed = authenticator_data + sha256(client_data).digest()
    der = key.sign(signed, ec.ECDSA(hashes.SHA256()))
    if kind != "webauthn.get":
        good = make_assertion(
            der, authenticator_data, client_data.replace(kind.encode(), b"webauthn.get")
        )
        return msgspec.structs.replace(good, client_data=client_data)
    return make_assertion(der, authenticator_data, client_data)


def test_passkey_assertion_over_the_digest_is_accepted() -> None:
    made = assertion()
    assert verify_assertion(encode_assertion(made), DIGEST, PUBLIC_KEY) == made
    signer = VERIFIER + PUBLIC_KEY
    verified = verify_signer(signer, DIGEST, encode_assertion(made), {VERIFIER})
    assert verified == signer


def test_account_is_accepted_as_a_signer() -> None:
    assert verify_signer(ADDRESS, DIGEST, GOOD, set()) == ADDRESS
    with pytest.raises(SigningError):
        verify_signer(b"\x01" * 20, DIGEST, GOOD, set())


def test_signer_of_an_unknown_verifier_is_refused() -> None:
    with pytest.raises(UnknownVerifierError, match="0x7777"):
        verify_signer(VERIFIER + PUBLIC_KEY, DIGEST, encode_assertion(assertion()), {ADDRESS})


@settings(max_examples=60, deadline=None)
@given(
    made=st.builds(
        Assertion,
        r=st.integers(0, 2**256 - 1),
        s=st.integers(0, 2**256 - 1),
        challenge_index=st.integers(0, 2**256 - 1),
        type_index=st.integers(0, 2**256 - 1),
        authenticator_data=st.binary(max_size=100),
        client_data=st.binary(max_size=100),
    )
)
def test_assertion_is_encoded_as_solidity_does(made: Assertion) -> None:
    encoded = encode_assertion(made)
    r, s, challenge_index, type_index, authenticator_data, client_data = msgspec.structs.astuple(
        made
    )
    assert encoded == abi_encode(
        ["bytes32", "bytes32", "uint256", "uint256", "bytes", "bytes"],
        [
            r.to_bytes(32, "big"),
            s.to_bytes(32, "big"),
            challenge_index,
            type_index,
            authenticator_data,
            client_data,
        ],
    )
    assert decode_assertion(encoded) == made


def test_number_beyond_256_bits_is_not_encoded() -> None:
    with pytest.raises(SigningError, match="does not fit into 256 bits"):
        encode_assertion(msgspec.structs.replace(assertion(), type_index=2**256))


MADE = assertion()
ENCODED = encode_assertion(MADE)


def moved(at: int, number: int) -> bytes:
    return ENCODED[:at] + number.to_bytes(32, "big") + ENCODED[at + 32 :]


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        (b"", "at least 192 bytes, this has 0"),
        (ENCODED[:191], "at least 192 bytes"),
        (moved(0x80, len(ENCODED)), "starts outside"),
        (moved(0xA0, 2**256 - 1), "starts outside"),
        (moved(0xC0, len(ENCODED)), "reaches outside"),
        (GOOD, "at least 192 bytes, this has 65"),
    ],
)
def test_what_is_no_assertion_is_refused(signature: bytes, message: str) -> None:
    with pytest.raises(SigningError, match=message):
        verify_assertion(signature, DIGEST, PUBLIC_KEY)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (assertion(digest=keccak256(b"another")), "another challenge"),
        (assertion(kind="webauthn.create"), "not of type webauthn.get"),
        (assertion(flags=USER_VERIFIED), "nobody was present"),
        (assertion(flags=USER_PRESENT), "did not verify who"),
        (assertion(flags=UP_UV | BACKED_UP), "backed up but cannot be"),
        (assertion(authenticator_data=bytes(32) + b"\x05" + bytes(3)), "too short"),
        (assertion(key=ec.derive_private_key(1, ec.SECP256R1())), "another passkey"),
        (msgspec.structs.replace(MADE, s=P256_ORDER - MADE.s), "out of range"),
        (msgspec.structs.replace(MADE, r=0), "out of range"),
        (msgspec.structs.replace(MADE, r=P256_ORDER), "out of range"),
        (msgspec.structs.replace(MADE, challenge_index=MADE.challenge_index + 1), "another chall"),
        (msgspec.structs.replace(MADE, type_index=2**255), "not of type"),
        (msgspec.structs.replace(MADE, client_data=MADE.client_data + b" "), "was changed"),
    ],
)
def test_assertion_that_does_not_hold_is_refused(made: Assertion, message: str) -> None:
    with pytest.raises(SigningError, match=message):
        verify_assertion(encode_assertion(made), DIGEST, PUBLIC_KEY)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (PUBLIC_KEY[:63], "has 64 bytes, this has 63"),
        (bytes(64), "not a point of P-256"),
        (PUBLIC_KEY[:63] + bytes([PUBLIC_KEY[63] ^ 1]), "not a point of P-256"),
    ],
)
def test_what_is_no_public_key_is_refused(key: bytes, message: str) -> None:
    with pytest.raises(SigningError, match=message):
        verify_assertion(ENCODED, DIGEST, key)


def test_backup_flags_of_a_synced_passkey_are_accepted() -> None:
    made = assertion(flags=UP_UV | BACKUP_ELIGIBLE | BACKED_UP)
    assert verify_assertion(encode_assertion(made), DIGEST, PUBLIC_KEY) == made


def test_what_a_browser_returned_is_checked_before_it_is_encoded() -> None:
    with pytest.raises(SigningError, match="not DER"):
        make_assertion(b"\x00", MADE.authenticator_data, MADE.client_data)
    der = PASSKEY.sign(b"", ec.ECDSA(hashes.SHA256()))
    with pytest.raises(SigningError, match=r"no webauthn\.get type"):
        make_assertion(der, MADE.authenticator_data, b"{}")
