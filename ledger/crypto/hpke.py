"""Sealed messages: what only the holder of a registered key can read (HPKE, RFC 9180, base mode).

    encryption key = u8 suite | public key                         (the bytes in the Registry)
    sealed message = 1 | u8 suite | HPKE enc | HPKE ciphertext
    info           = "quancheng/1/" purpose | u32 length | context
    aad            = empty

Many messages to one recipient share a key, which is sealed to it once (a `Session`):

    of a session   = 2 | u8 suite | u32 length | sealed key | nonce (12) | AES-256-GCM ciphertext
    sealed key     = 32 bytes, in form 1, of the same suite, with purpose "session" and no context
    aad            = "quancheng/1/" purpose | u32 length | context

The context is what a message belongs to; for a release it is the digest of the access request. In form 1
it is bound through `info`: single-shot HPKE binds `info` and `aad` alike, RFC 9180, section 8.1, asks for
`info` there, and `cryptography` has no public `aad` (docs/decisions/sealing-context-in-info.md). In form 2
a key serves many contexts, so AES-GCM's `aad` binds each (docs/decisions/sealing-sessions.md).

Base mode does not say who sealed. What is sealed must be checked by other means: key parts by the
agreement of holders and by the commitments that they open.

Suite 0x01 is DHKEM(X25519), HKDF-SHA256, AES-256-GCM. Suite 0x02 has instead of DHKEM the hybrid of
ML-KEM-768 and X25519 (KEM id 0x647a, also named X-Wing): public key = ML-KEM key (1184 bytes) | X25519
key (32 bytes). A private key is 32 bytes in both; in 0x02 SHAKE256 makes both keys from it.
"""

import os
from collections import OrderedDict
from enum import IntEnum, StrEnum
from hashlib import shake_256
from typing import Final

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ledger.encoding import FORMAT, SIZE, prefixed, sealing_info, sized
from ledger.errors import LedgerError, MalformedError

_MLKEM_SEED = 64
_MLKEM_PUBLIC = 1184
_SINGLE: Final = bytes((FORMAT,))
_OF_SESSION: Final = bytes((2,))
_LENGTH: Final = 4
_NONCE: Final = 12
_HEAD: Final = 2 + _LENGTH
_SESSIONS_KEPT: Final = 256

SESSION_MESSAGES: Final = 2**20
"""Messages of one session at most. Nonces are random: AES-GCM allows 2^32 (NIST SP 800-38D, 8.3)."""


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
    SESSION = "session"
    REQUEST_BOOK = "request-book"


_HPKE = {
    Suite.X25519: hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM),
    Suite.MLKEM768_X25519: hpke.Suite(
        hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM
    ),
}


class EncryptionKey:
    """A public key (suite, then key), as the Registry or a request names it; read once, used for many messages.

    `MalformedError` on construction: the suite is unknown, or the key does not have the suite's
    form.
    """

    __slots__ = ("_encoded", "_public", "suite")

    def __init__(self, encoded: bytes) -> None:
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
        """Seal `plaintext` so that only this key's holder can read it, for a purpose and a context that both know.

        Raises:
            MalformedError: The context of a release is not a digest, or the key is of a kind
                that gives no secret (a point of low order).
        """
        info = _info(purpose, context)
        try:
            sealed = _HPKE[self.suite].encrypt(plaintext, self._public, info=info)
        except ValueError as error:
            raise MalformedError("nothing can be sealed to this public key") from error
        return _SINGLE + bytes((self.suite,)) + sealed


class Session:
    """Seals many messages to one recipient, with one exchange of keys: 1 us a message, not 80.

    For one sender and for a while, since whoever learns its key can read its messages, and for one
    event loop or thread; `left` are the messages that it may still seal. `MalformedError` on
    construction if nothing can be sealed to the recipient's key.
    """

    __slots__ = ("_aead", "_head", "left")

    def __init__(self, recipient: EncryptionKey) -> None:
        key = os.urandom(SIZE)
        wrapped = recipient.seal(key, Purpose.SESSION)
        self._head = _OF_SESSION + bytes((recipient.suite,)) + prefixed(wrapped)
        self._aead = AESGCM(key)
        self.left = SESSION_MESSAGES

    def seal(self, plaintext: bytes, purpose: Purpose, context: bytes = b"") -> bytes:
        """Seal as `EncryptionKey.seal` does; `MalformedError` also when the session has sealed all it may."""
        if not self.left:
            raise MalformedError("the session has sealed as many messages as it may")
        nonce, aad = os.urandom(_NONCE), _info(purpose, context)
        self.left -= 1
        return self._head + nonce + self._aead.encrypt(nonce, plaintext, aad)


class DecryptionKey:
    """A party's private key, suite and 32 bytes (else `MalformedError`). Its `repr` shows no secret."""

    __slots__ = ("_private", "_secret", "_sessions", "encryption_key", "suite")

    def __init__(self, encoded: bytes) -> None:
        self.suite = _suite(encoded[:1])
        self._secret = sized("a private key", bytes(encoded[1:]))
        self._private, public = _load_private(self.suite, self._secret)
        self._sessions: OrderedDict[bytes, AESGCM] = OrderedDict()
        self.encryption_key = EncryptionKey(bytes((self.suite,)) + public)

    @classmethod
    def generate(cls, suite: Suite = Suite.X25519) -> "DecryptionKey":
        return cls(bytes((suite,)) + os.urandom(SIZE))

    def to_bytes(self) -> bytes:
        """Return suite and secret, 33 bytes, for a keystore and nothing else."""
        return bytes((self.suite,)) + self._secret

    def open(self, sealed: bytes, purpose: Purpose, context: bytes = b"") -> bytes:
        """Open what was sealed to this key, for this purpose, with this context.

        Raises:
            LedgerError: It was sealed to another key, for another purpose or context, or changed.
            MalformedError: It is no sealed message, or the context of a release is not a digest.
        """
        info = _info(purpose, context)
        form = sealed[:1]
        if form not in (_SINGLE, _OF_SESSION):
            raise MalformedError("not a sealed message in a format that is known")
        if _suite(sealed[1:2]) is not self.suite:
            raise LedgerError(f"the message is not sealed to a key of suite {self.suite.name}")
        try:
            return self._single(sealed, info) if form == _SINGLE else self._in_session(sealed, info)
        except InvalidTag as error:
            raise LedgerError(f"the message does not open as {purpose.value}") from error

    def _single(self, sealed: bytes, info: bytes) -> bytes:
        return _HPKE[self.suite].decrypt(sealed[2:], self._private, info=info)

    def _in_session(self, sealed: bytes, aad: bytes) -> bytes:
        end = _HEAD + int.from_bytes(sealed[2:_HEAD], "big")
        nonce, ciphertext = sealed[end : end + _NONCE], sealed[end + _NONCE :]
        if len(nonce) < _NONCE:
            raise InvalidTag
        return self._session(sealed[_HEAD:end]).decrypt(nonce, ciphertext, aad)

    def _session(self, wrapped: bytes) -> AESGCM:
        """Return what a session's messages open with; its key is opened once."""
        session = self._sessions.get(wrapped)
        if session is None:
            if wrapped[:2] != _SINGLE + bytes((self.suite,)):
                raise InvalidTag
            key = self._single(wrapped, _info(Purpose.SESSION, b""))
            session = self._sessions[wrapped] = AESGCM(sized("a session's key", key))
            while len(self._sessions) > _SESSIONS_KEPT:
                self._sessions.popitem(last=False)
        return session


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
