"""Sessions for people whose signer is a passkey, which cannot sign a request of its own accord.

A challenge is signed once and gives a token for some minutes. Nothing is on disk: after a restart a person
signs again. Nothing is kept of a challenge before it was answered, so that nobody can push out another one's by
asking for many, nor of somebody who is no subject.
"""

import hmac
import re
import secrets
from collections.abc import Callable
from hashlib import sha256
from typing import Final

import msgspec

from ledger.challenges import Asker, challenge_span, session_text
from wallet.identity.errors import NotASubjectError, PossessionError
from wallet.identity.texts import ProvenSigner, Texts

SESSION_SECONDS: Final = 900
_SESSIONS_OF_ONE: Final = 10
"""Of one signer at once; its own oldest goes first."""

_NONCE: Final = re.compile(r"\nnonce ([0-9a-f]{16})([0-9a-f]{16})\n")
_PROOF: Final = 8
"""Bytes of a challenge's nonce that show that it is ours; before them are its end and something random."""


class Challenge(msgspec.Struct, frozen=True):
    """What is to be signed, and until when."""

    text: str
    expires_at: int


class Session(msgspec.Struct, frozen=True):
    """A token, and until when it counts."""

    token: str
    expires_at: int

    def __repr__(self) -> str:
        return "<Session, not shown>"


class Sessions:
    """Hands out challenges and tokens.

    Args:
        texts: Checks what is signed.
        authority: Address of the identity authority.
        clock: The present, seconds since 1970.
    """

    def __init__(self, texts: Texts, authority: bytes, clock: Callable[[], float]) -> None:
        self._texts = texts
        self._authority = authority
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._used: dict[str, int] = {}
        """Nonces of challenges that were answered, and until when these would count."""
        self._sessions: dict[bytes, dict[bytes, int]] = {}
        """By signer: digests of tokens, and until when these count."""
        self._signers: dict[bytes, bytes] = {}

    def challenge(self, asker: Asker) -> Challenge:
        """Return a text for a signer to sign."""
        span = challenge_span(int(self._clock()))
        nonce = span.expires_at.to_bytes(4, "big") + secrets.token_bytes(4)
        bare = session_text(asker, self._authority, nonce.hex() + "00" * _PROOF, span)
        proof = self._proof(bare, asker.signer)
        return Challenge(
            session_text(asker, self._authority, nonce.hex() + proof, span), span.expires_at
        )

    def verify(self, text: str, proven: ProvenSigner) -> bytes:
        """Return the signer of a challenge, which is used up only when a session begins.

        Raises:
            PossessionError: It was not given to this signer, is used, too old or wrongly signed.
        """
        found = self._unused(text)
        bare = text[: found.start(2)] + "00" * _PROOF + text[found.end(2) :]
        if not hmac.compare_digest(self._proof(bare, proven.signer), found[2]):
            raise PossessionError("this challenge was not given to this signer")
        return self._texts.verify(text, proven)

    def begin(self, text: str, signer: bytes) -> Session:
        """Return a session for a subject's signer, whose challenge was verified; it is used up.

        Raises:
            PossessionError: It was used meanwhile.
        """
        nonce = self._unused(text)[1]
        self._used[nonce] = int(nonce[:8], 16)
        token = secrets.token_urlsafe(32)
        expires_at = int(self._clock()) + SESSION_SECONDS
        mine = self._sessions.setdefault(signer, {})
        if len(mine) >= _SESSIONS_OF_ONE:
            oldest = next(iter(mine))
            del mine[oldest], self._signers[oldest]
        mine[_digest(token)], self._signers[_digest(token)] = expires_at, signer
        return Session(token, expires_at)

    def signer(self, token: str) -> bytes:
        """Return whose session a token is.

        Raises:
            NotASubjectError: There is none, or it is over.
        """
        signer = self._signers.get(_digest(token), b"")
        if self._sessions.get(signer, {}).get(_digest(token), 0) <= self._clock():
            raise NotASubjectError("there is no such session, or it is over")
        return signer

    def _unused(self, text: str) -> re.Match[str]:
        now = int(self._clock())
        self._forget(now)
        found = _NONCE.search(text)
        if found is None or found[1] in self._used or int(found[1][:8], 16) <= now:
            raise PossessionError("this challenge is none of ours, was used, or is too old")
        return found

    def _proof(self, bare: str, signer: bytes) -> str:
        return hmac.digest(self._key, signer + b"\n" + bare.encode(), "sha256")[:_PROOF].hex()

    def _forget(self, now: int) -> None:
        """Forget what is over; all of it was answered rightly, oldest first."""
        while self._used and self._used[next(iter(self._used))] <= now:
            del self._used[next(iter(self._used))]
        for digest, signer in list(self._signers.items()):
            if self._sessions[signer][digest] > now:
                break
            del self._sessions[signer][digest], self._signers[digest]
            if not self._sessions[signer]:
                del self._sessions[signer]


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
