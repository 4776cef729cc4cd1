"""Signatures: making them, and verifying who made them.

An account's signature is 65 bytes r, s, v over a 32-byte digest, as Ethereum's wallets make it. A
subject's signer may also be a passkey; ERC-7913 writes both as bytes: 20 bytes are an account, more
are the address of a verifier contract and a key. Accepted is what OpenZeppelin's `ECDSA` and
`SignatureChecker` accept on chain, except for accounts that are contracts (ERC-1271): only the
chain can say what those sign.

Source: EIP-2 (low s), EIP-191, ERC-7913; OpenZeppelin Contracts 5.7.
"""

from base64 import urlsafe_b64encode
from collections.abc import Container
from hashlib import sha256
from typing import Final

import coincurve
import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from ledger.errors import SigningError
from ledger.hexstr import ADDRESS_LENGTH, keccak256, to_hex

SIGNATURE_LENGTH: Final = 65
DIGEST_LENGTH: Final = 32
PRIVATE_KEY_LENGTH: Final = 32

_FIRST_V: Final = 27
_HALF_OF_ORDER: Final = (
    0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0  # (n - 1) / 2, SEC 2
)
_PERSONAL_PREFIX: Final = b"\x19Ethereum Signed Message:\n"


class UnknownVerifierError(SigningError):
    """A signer's verifier contract is not one whose rules are known here."""


def address_of(private_key: bytes) -> bytes:
    """Return the address of a private key, 20 bytes; `SigningError` if it is none of secp256k1."""
    return _address_of_public_key(_load(private_key).public_key)


def sign(digest: bytes, private_key: bytes) -> bytes:
    """Sign a digest (32 bytes): r, s (in the lower half), v as 27 or 28; deterministic (RFC 6979).

    Raises:
        SigningError: not a private key of secp256k1, or not 32 bytes.
    """
    _check_digest(digest)
    signature = _load(private_key).sign_recoverable(digest, hasher=None)
    return signature[:-1] + bytes([signature[-1] + _FIRST_V])


def recover(digest: bytes, signature: bytes) -> bytes:
    """Return the address of the account that made a signature over a digest (32 bytes).

    Raises:
        SigningError: not 65 bytes, v other than 27 or 28, s in the upper half, or no key can
            have made it.
    """
    _check_digest(digest)
    if len(signature) != SIGNATURE_LENGTH:
        raise SigningError(f"a signature has {SIGNATURE_LENGTH} bytes, this has {len(signature)}")
    recovery_id = signature[-1] - _FIRST_V
    if recovery_id not in (0, 1):
        raise SigningError("v is neither 27 nor 28")
    if int.from_bytes(signature[32:64], "big") > _HALF_OF_ORDER:
        raise SigningError("s is in the upper half of its range")
    try:
        key = coincurve.PublicKey.from_signature_and_message(
            signature[:-1] + bytes([recovery_id]), digest, hasher=None
        )
    except ValueError as error:
        raise SigningError("no key can have made this signature") from error
    return _address_of_public_key(key)


def verify_signature(digest: bytes, signature: bytes, expected: bytes) -> bytes:
    """Return the address that signed, if it is the expected one; `SigningError` else, and as `recover`."""
    address = recover(digest, signature)
    if address != expected:
        raise SigningError(f"signed by {to_hex(address)}, not by {to_hex(expected)}")
    return address


def verify_signer(
    signer: bytes, digest: bytes, signature: bytes, webauthn_verifiers: Container[bytes]
) -> bytes:
    """Return the signer (ERC-7913 bytes), if it signed the digest.

    The signature is 65 bytes of an account, or a passkey's assertion (`encode_assertion`) for one of
    the deployment's `ERC7913WebAuthnVerifier` contracts.

    Raises:
        SigningError: it did not sign, or the account is a contract (ERC-1271), whose signatures
            only the chain can check.
        UnknownVerifierError: the signer's verifier is none of `webauthn_verifiers`.
    """
    if len(signer) < ADDRESS_LENGTH:
        raise SigningError(f"a signer has at least 20 bytes, this has {len(signer)}")
    verifier, key = signer[:ADDRESS_LENGTH], signer[ADDRESS_LENGTH:]
    if not key:
        verify_signature(digest, signature, signer)
    elif verifier in webauthn_verifiers:
        verify_assertion(signature, digest, key)
    else:
        raise UnknownVerifierError(f"the verifier {to_hex(verifier)} is not known")
    return signer


def personal_digest(message: bytes) -> bytes:
    """Return the digest that `personal_sign` signs for a message (EIP-191, version 0x45)."""
    return keccak256(_PERSONAL_PREFIX + str(len(message)).encode("ascii") + message)


def _check_digest(digest: bytes) -> None:
    if len(digest) != DIGEST_LENGTH:
        raise SigningError(f"a digest has {DIGEST_LENGTH} bytes, this has {len(digest)}")


def _load(private_key: bytes) -> coincurve.PrivateKey:
    if len(private_key) != PRIVATE_KEY_LENGTH:
        raise SigningError("not a private key: needs 32 bytes")
    try:
        return coincurve.PrivateKey(private_key)
    except ValueError:  # `from None`: nothing about a key may get into a traceback
        raise SigningError("not a private key of secp256k1") from None


def _address_of_public_key(key: coincurve.PublicKey) -> bytes:
    return keccak256(key.format(compressed=False)[1:])[-ADDRESS_LENGTH:]


# Passkeys: one signs no digest of ours but an assertion that quotes it. The signed bytes are `authenticatorData |
# SHA-256(clientDataJSON)`, and clientDataJSON holds the digest as its challenge. On chain the whole assertion travels
# as the ABI encoding of `WebAuthnAuth`, and is checked here exactly as the chain does.
# Source: W3C Web Authentication Level 2, clauses 6.1 and 7.2; OpenZeppelin's `WebAuthn`, `P256`, `ERC7913WebAuthnVerifier`.


KEY_LENGTH: Final = 64
"""Bytes of a P-256 public key as the verifier takes it: qx, then qy."""

P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Order n of the curve's group (SEC 2, secp256r1). Signatures with s above n/2 are refused."""

USER_PRESENT: Final = 0x01
USER_VERIFIED: Final = 0x04
BACKUP_ELIGIBLE: Final = 0x08
BACKED_UP: Final = 0x10
FLAGS_AT: Final = 32
"""Where the flags byte stands in authenticatorData, behind the hash of the relying party's id."""

_TYPE: Final = b'"type":"webauthn.get"'
_WORD: Final = 32
_HEAD: Final = 6 * _WORD
_MIN_AUTHENTICATOR_DATA: Final = 37


class Assertion(msgspec.Struct, frozen=True):
    """What a passkey returns, as OpenZeppelin's `WebAuthn.WebAuthnAuth`."""

    r: int
    s: int
    challenge_index: int
    """Where `"challenge":"` starts in `client_data`, bytes."""
    type_index: int
    """Where `"type":"` starts in `client_data`, bytes."""
    authenticator_data: bytes
    client_data: bytes
    """clientDataJSON as the browser made it."""


def challenge_text(digest: bytes) -> bytes:
    """Return the digest as browsers write a challenge: base64url without padding (RFC 4648)."""
    return urlsafe_b64encode(digest).rstrip(b"=")


def make_assertion(
    der_signature: bytes, authenticator_data: bytes, client_data: bytes
) -> Assertion:
    """Put together what `navigator.credentials.get()` returned.

    An s above n/2 is replaced by n - s, which signs the same: the chain takes only the lower one.
    `SigningError` if the signature is not DER, or clientDataJSON lacks its type or its challenge.
    """
    try:
        r, s = utils.decode_dss_signature(der_signature)
    except ValueError as error:
        raise SigningError("the passkey's signature is not DER") from error
    type_index, challenge_index = client_data.find(_TYPE), client_data.find(b'"challenge":"')
    if type_index < 0 or challenge_index < 0:
        raise SigningError("clientDataJSON has no webauthn.get type or no challenge")
    return Assertion(
        r=r,
        s=min(s, P256_ORDER - s),
        challenge_index=challenge_index,
        type_index=type_index,
        authenticator_data=authenticator_data,
        client_data=client_data,
    )


def encode_assertion(assertion: Assertion) -> bytes:
    """Return the signature bytes for `ERC7913WebAuthnVerifier`: the six members, ABI encoded.

    There is no leading offset: the verifier reads the struct from the first byte on. `SigningError`
    if a number does not fit.
    """
    data = _dynamic(assertion.authenticator_data)
    numbers = (
        assertion.r,
        assertion.s,
        assertion.challenge_index,
        assertion.type_index,
        _HEAD,
        _HEAD + len(data),
    )
    try:
        head = b"".join(number.to_bytes(_WORD, "big") for number in numbers)
    except OverflowError as error:
        raise SigningError("a number of the assertion does not fit into 256 bits") from error
    return head + data + _dynamic(assertion.client_data)


def decode_assertion(signature: bytes) -> Assertion:
    """Return the assertion in signature bytes, with the bounds that `tryDecodeAuth` checks; else `SigningError`."""
    if len(signature) < _HEAD:
        raise SigningError(f"an assertion has at least {_HEAD} bytes, this has {len(signature)}")
    r, s, challenge_index, type_index, data_at, client_data_at = (
        _number(signature, at) for at in range(0, _HEAD, _WORD)
    )
    return Assertion(
        r=r,
        s=s,
        challenge_index=challenge_index,
        type_index=type_index,
        authenticator_data=_part(signature, data_at),
        client_data=_part(signature, client_data_at),
    )


def verify_assertion(signature: bytes, digest: bytes, key: bytes) -> Assertion:
    """Return the assertion in `signature` if the passkey with this key (qx, qy) made it for this digest.

    The steps and their order are those of OpenZeppelin's `WebAuthn.verify` with user verification
    required; as there, neither origin nor relying party nor counter is checked.

    Raises:
        SigningError: the first check that fails.
    """
    assertion = decode_assertion(signature)
    _check_authenticator_data(assertion.authenticator_data)
    _check_client_data(assertion, digest)
    _check_signature(assertion, key)
    return assertion


def _check_authenticator_data(data: bytes) -> None:
    if len(data) < _MIN_AUTHENTICATOR_DATA:
        raise SigningError("authenticatorData is too short")
    flags = data[FLAGS_AT]
    if not flags & USER_PRESENT:
        raise SigningError("nobody was present at the passkey")
    if not flags & USER_VERIFIED:
        raise SigningError("the passkey did not verify who was present")
    if flags & BACKED_UP and not flags & BACKUP_ELIGIBLE:
        raise SigningError("the passkey says it is backed up but cannot be")


def _check_client_data(assertion: Assertion, digest: bytes) -> None:
    client_data, type_index = assertion.client_data, assertion.type_index
    if client_data[type_index : type_index + len(_TYPE)] != _TYPE:
        raise SigningError("clientDataJSON is not of type webauthn.get where it should be")
    challenge = b'"challenge":"' + challenge_text(digest) + b'"'
    start = assertion.challenge_index
    if client_data[start : start + len(challenge)] != challenge:
        raise SigningError("the passkey signed another challenge")


def _check_signature(assertion: Assertion, key: bytes) -> None:
    r, s = assertion.r, assertion.s
    if not (0 < r < P256_ORDER and 0 < s <= P256_ORDER // 2):
        raise SigningError("r or s of the passkey's signature is out of range")
    message = assertion.authenticator_data + sha256(assertion.client_data).digest()
    try:
        _public_key(key).verify(
            utils.encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256())
        )
    except InvalidSignature as error:
        raise SigningError("another passkey signed this, or it was changed") from error


def _public_key(key: bytes) -> ec.EllipticCurvePublicKey:
    if len(key) != KEY_LENGTH:
        raise SigningError(f"a passkey's public key has {KEY_LENGTH} bytes, this has {len(key)}")
    numbers = ec.EllipticCurvePublicNumbers(
        int.from_bytes(key[:_WORD], "big"), int.from_bytes(key[_WORD:], "big"), ec.SECP256R1()
    )
    try:
        return numbers.public_key()
    except ValueError as error:
        raise SigningError("the passkey's public key is not a point of P-256") from error


def _dynamic(data: bytes) -> bytes:
    return len(data).to_bytes(_WORD, "big") + data + bytes(-len(data) % _WORD)


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + _WORD], "big")


def _part(signature: bytes, at: int) -> bytes:
    if at > len(signature) - _WORD:
        raise SigningError("a part of the assertion starts outside of it")
    length = _number(signature, at)
    start = at + _WORD
    if length > len(signature) - start:
        raise SigningError("a part of the assertion reaches outside of it")
    return signature[start : start + length]
