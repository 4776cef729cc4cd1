"""The key to which a request is answered, and the nonce that commits to it.

    answer key = u8 suite | public key                        (as an encryption key, ledger/sealing.py)
    word       = first 16 bytes of SHA-256("quancheng/1/answer-key" | chain id (32) | access log (20)
                                           | consumer (20) | answer key)
    nonce      = word << 8 | counter                          counter: 0 to 255

A consumer draws a key for at most 256 requests within an hour and destroys it when its answers are
stored. Whoever re-signs a recorded request can name no other key: the nonce is on chain. So a thief of the
signing key cannot have answered to itself what was recorded before (docs/spec/answer-keys.md).
"""

from functools import lru_cache
from hashlib import sha256
from typing import Final

from ledger.encoding import answer_key_message
from ledger.errors import LedgerError, MalformedError
from ledger.sealing import EncryptionKey, Purpose
from ledger.typed_data import Domain

REQUESTS_PER_KEY: Final = 256
"""Requests that one key may answer: their nonces share a storage slot of the access log."""

KEY_LIFETIME: Final = 3600
"""Seconds for which a consumer signs requests with one key."""

_WORD_SIZE: Final = 16
_COUNTER_BITS: Final = 8
_KEYS_REMEMBERED: Final = 4096


class NonceMismatchError(LedgerError):
    """A request's nonce does not commit to the key that came with it."""


@lru_cache(_KEYS_REMEMBERED)
def nonce_word(domain: Domain, consumer: bytes, key: bytes) -> int:
    """Return the part of a nonce above its counter, for `key` as it was sent (suite, public key)."""
    message = answer_key_message(domain.chain_id, domain.verifying_contract, consumer, key)
    return int.from_bytes(sha256(message).digest()[:_WORD_SIZE], "big")


def make_nonce(word: int, counter: int) -> int:
    """Return the nonce of a key's request; `MalformedError` if the counter is outside 0 to 255."""
    if not 0 <= counter < REQUESTS_PER_KEY:
        raise MalformedError(f"a key answers {REQUESTS_PER_KEY} requests at most")
    return word << _COUNTER_BITS | counter


def is_committed(domain: Domain, consumer: bytes, nonce: int, key: bytes) -> bool:
    """Whether a nonce commits to a key."""
    return nonce >> _COUNTER_BITS == nonce_word(domain, consumer, key)


def verify_answer_key(domain: Domain, consumer: bytes, nonce: int, key: bytes) -> EncryptionKey:
    """Return the key to seal to, if a request's nonce commits to it.

    Remembered: 256 requests cost one look.

    Raises:
        NonceMismatchError: the nonce commits to another key.
        MalformedError: nothing can be sealed to this key.
    """
    # The hash before the key: bytes that nobody committed to are not read as a key at all.
    if not is_committed(domain, consumer, nonce, key):
        raise NonceMismatchError("the request's nonce does not commit to this key")
    return _usable(key)


@lru_cache(_KEYS_REMEMBERED)
def _usable(key: bytes) -> EncryptionKey:
    usable = EncryptionKey(key)
    usable.seal(b"", Purpose.ANSWER)  # a point of low order shows only when it is used
    return usable
