"""A passkey in software, for the command line: it makes real WebAuthn assertions.

A phone's passkey asks for a finger or a face; this one has only the keystore's password. What it
signs is checked by the same contract, `ERC7913WebAuthnVerifier`.

Source: W3C Web Authentication Level 2, clauses 5.8.1 and 6.1.
"""

import secrets
import string
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from ledger.crypto.signatures import (
    P256_ORDER,
    USER_PRESENT,
    USER_VERIFIED,
    challenge_text,
    encode_assertion,
    make_assertion,
)
from ledger.hexstr import ADDRESS_LENGTH
from wallet.errors import KeystoreError, KeystoreErrorKind

_KEY_LENGTH: Final = 32
_HOST_CHARACTERS: Final = frozenset(string.ascii_lowercase + string.digits + ".-")
_COUNTER: Final = bytes(4)  # zero, as of every passkey that lives on several devices


@dataclass(frozen=True, slots=True)
class SoftwarePasskey:
    """A P-256 key bound to one relying party.

    Raises:
        KeystoreError (INVALID_ENTRY): the key is not one of P-256, or the relying party no host name.
    """

    private_key: bytes = field(repr=False)
    """32 bytes, big-endian."""
    relying_party: str
    """The host name of the site that the passkey would belong to."""

    def __post_init__(self) -> None:
        number = int.from_bytes(self.private_key, "big")
        if len(self.private_key) != _KEY_LENGTH or not 0 < number < P256_ORDER:
            raise KeystoreError("not a private key of P-256", KeystoreErrorKind.INVALID_ENTRY)
        if not self.relying_party or not set(self.relying_party) <= _HOST_CHARACTERS:
            raise KeystoreError(
                "the relying party is not a host name", KeystoreErrorKind.INVALID_ENTRY
            )

    @classmethod
    def generate(cls, relying_party: str) -> "SoftwarePasskey":
        """Draw a new key."""
        number = 1 + secrets.randbelow(P256_ORDER - 1)
        return cls(number.to_bytes(_KEY_LENGTH, "big"), relying_party)

    @classmethod
    def from_secret(cls, secret: bytes) -> "SoftwarePasskey":
        """Return the passkey that `to_secret` wrote.

        Raises:
            KeystoreError (INVALID_ENTRY): it did not.
        """
        try:
            relying_party = secret[_KEY_LENGTH:].decode("ascii")
        except UnicodeDecodeError:
            raise KeystoreError(
                "the relying party is not a host name", KeystoreErrorKind.INVALID_ENTRY
            ) from None
        return cls(secret[:_KEY_LENGTH], relying_party)

    def to_secret(self) -> bytes:
        """Return what a keystore keeps: the key, then the relying party."""
        return self.private_key + self.relying_party.encode("ascii")

    @property
    def public_key(self) -> bytes:
        """The public key as the verifier takes it: qx, then qy, 64 bytes."""
        numbers = self._key().public_key().public_numbers()
        return b"".join(number.to_bytes(_KEY_LENGTH, "big") for number in (numbers.x, numbers.y))

    def signer(self, verifier: bytes) -> bytes:
        """Return the ERC-7913 signer bytes.

        Args:
            verifier: address of the deployment's `ERC7913WebAuthnVerifier`, 20 bytes.

        Raises:
            KeystoreError (INVALID_ENTRY): not an address.
        """
        if len(verifier) != ADDRESS_LENGTH:
            raise KeystoreError("the verifier is not an address", KeystoreErrorKind.INVALID_ENTRY)
        return verifier + self.public_key

    def sign(self, digest: bytes) -> bytes:
        """Return an assertion over a digest, encoded for the verifier; deterministic (RFC 6979)."""
        host = sha256(self.relying_party.encode("ascii")).digest()
        authenticator_data = host + bytes([USER_PRESENT | USER_VERIFIED]) + _COUNTER
        client_data = (
            b'{"type":"webauthn.get","challenge":"'
            + challenge_text(digest)
            + f'","origin":"https://{self.relying_party}","crossOrigin":false}}'.encode("ascii")
        )
        signed = authenticator_data + sha256(client_data).digest()
        algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
        signature = self._key().sign(signed, algorithm)
        return encode_assertion(make_assertion(signature, authenticator_data, client_data))

    def _key(self) -> ec.EllipticCurvePrivateKey:
        return ec.derive_private_key(int.from_bytes(self.private_key, "big"), ec.SECP256R1())
