"""Signatures: making them, and verifying who made them.

An account's signature is 65 bytes r, s, v over a 32-byte digest, as Ethereum's wallets make it. A
subject's signer may also be a passkey; ERC-7913 writes both as bytes: 20 bytes are an account, more
are the address of a verifier contract and a key. Accepted is what OpenZeppelin's `ECDSA` and
`SignatureChecker` accept on chain, except for accounts that are contracts (ERC-1271): only the
chain can say what those sign.

Source: EIP-2 (low s), EIP-191, ERC-7913; OpenZeppelin Contracts 5.7.
"""

from collections.abc import Container
from typing import Final

import coincurve
import msgspec

from ledger.errors import SigningError
from ledger.hexes import ADDRESS_LENGTH, to_hex
from ledger.keccak import keccak256
from ledger.webauthn import verify_assertion

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


class Account(msgspec.Struct, frozen=True):
    address: bytes

    def encode(self) -> bytes:
        return self.address


class VerifierKey(msgspec.Struct, frozen=True):
    """A signer without an address: a contract (20 bytes) that checks, and a key (a passkey's 64 bytes: qx, qy)."""

    verifier: bytes
    key: bytes

    def encode(self) -> bytes:
        return self.verifier + self.key


Signer = Account | VerifierKey


def parse_signer(signer: bytes) -> Signer:
    """Return what ERC-7913 signer bytes name; `SigningError` for fewer than 20."""
    if len(signer) < ADDRESS_LENGTH:
        raise SigningError(f"a signer has at least 20 bytes, this has {len(signer)}")
    if len(signer) == ADDRESS_LENGTH:
        return Account(signer)
    return VerifierKey(verifier=signer[:ADDRESS_LENGTH], key=signer[ADDRESS_LENGTH:])


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
) -> Signer:
    """Return the ERC-7913 signer, if it signed the digest.

    The signature is 65 bytes of an account, or a passkey's assertion (`ledger.webauthn`) for one of
    the deployment's `ERC7913WebAuthnVerifier` contracts.

    Raises:
        SigningError: it did not sign, or the account is a contract (ERC-1271), whose signatures
            only the chain can check.
        UnknownVerifierError: the signer's verifier is none of `webauthn_verifiers`.
    """
    parsed = parse_signer(signer)
    if isinstance(parsed, Account):
        verify_signature(digest, signature, parsed.address)
    elif parsed.verifier in webauthn_verifiers:
        verify_assertion(signature, digest, parsed.key)
    else:
        raise UnknownVerifierError(f"the verifier {to_hex(parsed.verifier)} is not known")
    return parsed


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
