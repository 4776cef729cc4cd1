"""Sealed messages: what only the holder of a registered key can read (HPKE, RFC 9180, base mode).

    encryption key = u8 suite | public key                         (the bytes in the Registry)
    sealed message = 1 | u8 suite | HPKE enc | HPKE ciphertext
    info           = "quancheng/1/" purpose | u32 length | context
    aad            = empty

The context is what a message belongs to; for a release it is the digest of the access request. It is
bound through `info`: single-shot HPKE binds `info` and `aad` alike, RFC 9180, section 8.1, asks for
`info` there, and `cryptography` has no public `aad` (docs/decisions/sealing-context-in-info.md).

Base mode does not say who sealed. What is sealed must be checked by other means: key parts by the
agreement of holders and by the commitments that they open.

Suite 0x01 is DHKEM(X25519), HKDF-SHA256, AES-256-GCM. Suite 0x02 has instead of DHKEM the hybrid of
ML-KEM-768 and X25519 (KEM id 0x647a, also named X-Wing): public key = ML-KEM key (1184 bytes) | X25519
key (32 bytes). A private key is 32 bytes in both; in 0x02 SHAKE256 makes both keys from it.
"""

import os
from enum import IntEnum, StrEnum
from hashlib import shake_256

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from ledger.encoding import FORMAT, SIZE, sealing_info, sized
from ledger.errors import MalformedError, OpeningError

_MLKEM_SEED = 64
_MLKEM_PUBLIC = 1184


class Suite(IntEnum):
    """Which algorithms a key is for: the first byte of an encryption key."""

    X25519 = 0x01
    MLKEM768_X25519 = 0x02


class Purpose(StrEnum):
    """What a sealed message is for. A message that was sealed for one does not open as another."""

    RELEASE = "release"
    SUBKEYS = "subkeys"
    ANSWER = "answer"
    SEED = "seed"
    INBOX = "inbox"


_HPKE = {
    Suite.X25519: hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM),
    Suite.MLKEM768_X25519: hpke.Suite(
        hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM
    ),
}


class EncryptionKey:
    """A party's public key, as the Registry holds it; read once, used for many messages."""

    __slots__ = ("_encoded", "_public", "suite")

    def __init__(self, encoded: bytes) -> None:
        """Read the Registry's bytes.

        Raises:
            MalformedError: The suite is unknown, or the key does not have the suite's form.
        """
        self.suite = _suite(encoded[:1])
        self._encoded = bytes(encoded)
        try:
            self._public = _load_public(self.suite, self._encoded[1:])
        except (ValueError, UnsupportedAlgorithm) as error:
            raise MalformedError(f"not a public key of suite {self.suite.name}") from error

    def to_bytes(self) -> bytes:
        """Return the Registry's bytes: suite, public key."""
        return self._encoded

    def seal(self, plaintext: bytes, purpose: Purpose, context: bytes = b"") -> bytes:
        """Seal `plaintext` so that only this key's holder can read it.

        Args:
            plaintext: Any bytes.
            purpose: What the message is for.
            context: What the message belongs to, known to both sides. For a release the digest of
                the access request, 32 bytes.

        Raises:
            MalformedError: The context of a release is not a digest, or the key is of a kind that
                gives no secret (a point of low order).
        """
        info = _info(purpose, context)
        try:
            sealed = _HPKE[self.suite].encrypt(plaintext, self._public, info=info)
        except ValueError as error:
            raise MalformedError("nothing can be sealed to this public key") from error
        return bytes((FORMAT, self.suite)) + sealed


class OpeningKey:
    """A party's private key. Its `repr` shows no secret."""

    __slots__ = ("_private", "_secret", "encryption_key", "suite")

    def __init__(self, encoded: bytes) -> None:
        """Read what `to_bytes` wrote.

        Raises:
            MalformedError: The suite is unknown, or the key does not have 32 bytes.
        """
        self.suite = _suite(encoded[:1])
        self._secret = sized("a private key", bytes(encoded[1:]))
        self._private, public = _load_private(self.suite, self._secret)
        self.encryption_key = EncryptionKey(bytes((self.suite,)) + public)

    @classmethod
    def generate(cls, suite: Suite = Suite.X25519) -> "OpeningKey":
        """Draw a new key."""
        return cls(bytes((suite,)) + os.urandom(SIZE))

    def to_bytes(self) -> bytes:
        """Return suite and secret, 33 bytes, for a keystore and nothing else."""
        return bytes((self.suite,)) + self._secret

    def open(self, sealed: bytes, purpose: Purpose, context: bytes = b"") -> bytes:
        """Open what was sealed to this key, for this purpose, with this context.

        Raises:
            OpeningError: It was sealed to another key, for another purpose or context, or changed.
            MalformedError: It is no sealed message, or the context of a release is not a digest.
        """
        info = _info(purpose, context)
        if sealed[:1] != bytes((FORMAT,)):
            raise MalformedError(f"not a sealed message in format version {FORMAT}")
        if _suite(sealed[1:2]) is not self.suite:
            raise OpeningError(f"the message is not sealed to a key of suite {self.suite.name}")
        try:
            return _HPKE[self.suite].decrypt(sealed[2:], self._private, info=info)
        except InvalidTag as error:
            raise OpeningError(f"the message does not open as {purpose.value}") from error


def _suite(byte: bytes) -> Suite:
    try:
        return Suite(int.from_bytes(byte, "big"))
    except ValueError as error:
        raise MalformedError("the suite is not known") from error


def _info(purpose: Purpose, context: bytes) -> bytes:
    if purpose is Purpose.RELEASE:
        sized("the digest of the access request", context)
    return sealing_info(purpose.value, context)


def _load_public(suite: Suite, raw: bytes) -> X25519PublicKey | hpke.MLKEM768X25519PublicKey:
    if suite is Suite.X25519:
        return X25519PublicKey.from_public_bytes(raw)
    mlkem = MLKEM768PublicKey.from_public_bytes(raw[:_MLKEM_PUBLIC])
    x25519 = X25519PublicKey.from_public_bytes(raw[_MLKEM_PUBLIC:])
    return hpke.MLKEM768X25519PublicKey(mlkem, x25519)


def _load_private(
    suite: Suite, secret: bytes
) -> tuple[X25519PrivateKey | hpke.MLKEM768X25519PrivateKey, bytes]:
    """Return the private key and its public key's bytes."""
    if suite is Suite.X25519:
        only = X25519PrivateKey.from_private_bytes(secret)
        return only, only.public_key().public_bytes_raw()
    # draft-connolly-cfrg-xwing-kem, expandDecapsulationKey
    expanded = shake_256(secret).digest(_MLKEM_SEED + SIZE)
    mlkem = MLKEM768PrivateKey.from_seed_bytes(expanded[:_MLKEM_SEED])
    x25519 = X25519PrivateKey.from_private_bytes(expanded[_MLKEM_SEED:])
    public = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
    return hpke.MLKEM768X25519PrivateKey(mlkem, x25519), public
