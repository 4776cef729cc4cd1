"""A secret under a password: the crypto part of Ethereum's V3 key files, for any secret.

scrypt makes 32 bytes of the password: 16 encrypt (AES-128-CTR), 16 authenticate
(Keccak-256 of them and the ciphertext). Files made here open in any Ethereum wallet, and the other
way round, as long as they use scrypt.

Source: Web3 Secret Storage Definition, version 3; RFC 7914 (scrypt).
"""

import hashlib
import hmac
import secrets
from typing import Final, Literal

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from ledger.errors import LedgerError
from ledger.hexstr import keccak256

STANDARD_SCRYPT_N: Final = 2**17
"""Cost of opening an entry: 128 MiB and a third of a second, so of every guess too (OWASP)."""

MIN_SCRYPT_N: Final = 2**12
"""The least cost that is written: 4 MiB and ten milliseconds. For tests and demonstrations only: it
makes guessing thirty times as cheap as the standard does."""

_MAX_MEMORY: Final = 2**30
_BLOCK_SIZE: Final = 8
_KEY_LENGTH: Final = 32
_SALT_LENGTH: Final = 32
_IV_LENGTH: Final = 16
_SLACK: Final = 2**20


class EnvelopeError(LedgerError):
    """An envelope is malformed, asks for another amount of work than is sensible, or does not open."""

    def __init__(self, message: str, *, wrong_password: bool = False) -> None:
        """Take whether the password is another one, or the ciphertext was damaged."""
        super().__init__(message)
        self.wrong_password = wrong_password


class CipherParameters(msgspec.Struct, frozen=True):
    """Hexadecimal without 0x, as everywhere in V3."""

    iv: str


class ScryptParameters(msgspec.Struct, frozen=True):
    """RFC 7914's N, r, p and salt."""

    dklen: int
    n: int
    r: int
    p: int
    salt: str


class Envelope(msgspec.Struct, frozen=True):
    """The `crypto` member of a V3 file."""

    cipher: Literal["aes-128-ctr"]
    cipherparams: CipherParameters
    ciphertext: str
    kdf: Literal["scrypt"]
    kdfparams: ScryptParameters
    mac: str

    def checksum(self) -> bytes:
        """Return a SHA-256 over all of it, which tells damage from a wrong password."""
        return hashlib.sha256(msgspec.json.encode(self)).digest()


def check_cost(scrypt_n: int) -> int:
    """Return a cost that may be written.

    Raises:
        EnvelopeError: no power of two, under the documented least or over 2**20.
    """
    if scrypt_n & (scrypt_n - 1) or not MIN_SCRYPT_N <= scrypt_n <= 2**20:
        raise EnvelopeError("the scrypt cost must be a power of two from 2**12 to 2**20")
    return scrypt_n


def encrypt(secret: bytes, password: bytes, scrypt_n: int) -> Envelope:
    """Encrypt a secret under a password, with a fresh salt.

    Raises:
        EnvelopeError: the cost is not allowed.
    """
    salt, iv = secrets.token_bytes(_SALT_LENGTH), secrets.token_bytes(_IV_LENGTH)
    parameters = ScryptParameters(
        dklen=_KEY_LENGTH, n=check_cost(scrypt_n), r=_BLOCK_SIZE, p=1, salt=salt.hex()
    )
    key = _derive(password, parameters, salt)
    ciphertext = _aes_ctr(key, iv, secret)
    return Envelope(
        cipher="aes-128-ctr",
        cipherparams=CipherParameters(iv=iv.hex()),
        ciphertext=ciphertext.hex(),
        kdf="scrypt",
        kdfparams=parameters,
        mac=_mac(key, ciphertext).hex(),
    )


def decrypt(envelope: Envelope, password: bytes) -> bytes:
    """Return the secret.

    Raises:
        EnvelopeError: a part is malformed, or asks for more work than is sensible; or it does not open.
    """
    salt = _unhex(envelope.kdfparams.salt)
    iv, ciphertext, mac = (
        _unhex(text) for text in (envelope.cipherparams.iv, envelope.ciphertext, envelope.mac)
    )
    if len(iv) != _IV_LENGTH:
        raise EnvelopeError("the initialization vector has another length than 16 bytes")
    key = _derive(password, envelope.kdfparams, salt)
    if not hmac.compare_digest(_mac(key, ciphertext), mac):
        raise EnvelopeError("wrong password", wrong_password=True)
    return _aes_ctr(key, iv, ciphertext)


def _derive(password: bytes, parameters: ScryptParameters, salt: bytes) -> bytes:
    n, r, p = parameters.n, parameters.r, parameters.p
    memory = 128 * n * r
    if parameters.dklen != _KEY_LENGTH or min(n, r, p) < 1 or memory * p > _MAX_MEMORY:
        raise EnvelopeError("the scrypt parameters are not sensible")
    try:
        return hashlib.scrypt(
            password,
            salt=salt,
            n=n,
            r=r,
            p=p,
            maxmem=memory + 128 * r * p + _SLACK,
            dklen=_KEY_LENGTH,
        )
    except (ValueError, OverflowError) as error:
        raise EnvelopeError("the scrypt parameters are not sensible") from error


def _aes_ctr(key: bytes, iv: bytes, data: bytes) -> bytes:
    context = Cipher(AES(key[:16]), CTR(iv)).encryptor()
    return context.update(data) + context.finalize()


def _mac(key: bytes, ciphertext: bytes) -> bytes:
    return keccak256(key[16:32] + ciphertext)


def _unhex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise EnvelopeError("a part of the file is not hexadecimal") from error
