"""Challenges that prove themselves: a service keeps nothing of one before it was answered rightly.

Half of a challenge's nonce is its end and something random, half a MAC over the signer and the
whole text. So nobody can push out another one's challenge by asking for many, and asking costs no
write. Which ones were used is for the service to remember, until their ends.

Source: docs/spec/identity.md.
"""

import hmac
import re
import secrets
from collections.abc import Callable
from typing import Final

import msgspec

from ledger.challenges import ChallengeError, Span, challenge_span

KEY_BYTES: Final = 32
_NONCE: Final = re.compile(r"\n(?:nonce |Nonce: )([0-9a-f]{16})([0-9a-f]{16})\n")
_END_BYTES: Final = 4
_RANDOM_BYTES: Final = 4
_PROOF_BYTES: Final = 8


class Challenge(msgspec.Struct, frozen=True):
    """What is to be signed, and until when."""

    text: str
    expires_at: int


class ProvenChallenge(msgspec.Struct, frozen=True):
    """A challenge that this service gave to this signer, and that is not over."""

    nonce: str
    """What counts once: to be remembered until the end."""
    expires_at: int


class ChallengeProofs:
    """Makes challenges and knows them again, by a MAC's key of 32 bytes.

    Services that share the key know each other's challenges. Who learns it can make challenges, and
    still needs the signature of each one's signer.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key of {KEY_BYTES} bytes is needed")
        self._key = key

    def make(self, signer: bytes, now: int, form: Callable[[str, Span], str]) -> Challenge:
        """Return a challenge for a signer (ERC-7913 bytes); `form` makes the text out of nonce and times."""
        span = challenge_span(now)
        begin = span.expires_at.to_bytes(_END_BYTES, "big") + secrets.token_bytes(_RANDOM_BYTES)
        bare = form(begin.hex() + "00" * _PROOF_BYTES, span)
        return Challenge(form(begin.hex() + self._proof(bare, signer), span), span.expires_at)

    def verify(self, text: str, signer: bytes, now: int) -> ProvenChallenge:
        """Return what is to be remembered of a challenge, whose signature the caller checks.

        Raises:
            ChallengeError: It was not given to this signer here, or is over.
        """
        match = _NONCE.search(text)
        if match is None:
            raise ChallengeError("this challenge is none of ours")
        bare = text[: match.start(2)] + "00" * _PROOF_BYTES + text[match.end(2) :]
        if not hmac.compare_digest(self._proof(bare, signer), match[2]):
            raise ChallengeError("this challenge was not given to this signer")
        expires_at = int(match[1][: 2 * _END_BYTES], 16)
        if expires_at <= now:
            raise ChallengeError("this challenge is over")
        return ProvenChallenge(match[1] + match[2], expires_at)

    def _proof(self, bare: str, signer: bytes) -> str:
        mac = hmac.digest(self._key, signer + b"\n" + bare.encode(), "sha256")
        return mac[:_PROOF_BYTES].hex()
