"""Sessions for people whose signer is a passkey, which cannot sign a request of its own accord.

A challenge is signed once and gives a token for some minutes. Nothing is on disk: after a restart a person
signs again.
"""

import secrets
from collections.abc import Callable
from hashlib import sha256
from typing import Final, TypeVar

import msgspec

from ledger.challenges import Asker, challenge_span, session_text
from wallet.identity.errors import NotASubjectError, PossessionError
from wallet.identity.texts import ProvenSigner, Texts

K = TypeVar("K")

SESSION_SECONDS: Final = 900
_MOST: Final = 10_000
"""Challenges, and sessions, that are remembered; the oldest go first."""


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
        self._challenges: dict[str, tuple[bytes, int]] = {}
        self._sessions: dict[bytes, tuple[bytes, int]] = {}

    def challenge(self, asker: Asker) -> Challenge:
        """Return a text for a signer to sign."""
        span = challenge_span(int(self._clock()))
        text = session_text(asker, self._authority, secrets.token_hex(16), span)
        self._challenges[text] = (asker.signer, span.expires_at)
        _shorten(self._challenges)
        return Challenge(text, span.expires_at)

    def open(self, text: str, proven: ProvenSigner) -> Session:
        """Return a session for the signer of a challenge; the challenge is used up.

        Raises:
            PossessionError: It was not given to this signer, is too old or wrongly signed.
        """
        signer, expires_at = self._challenges.pop(text, (b"", 0))
        if signer != proven.signer or expires_at <= self._clock():
            raise PossessionError("this challenge was not given to this signer, or is too old")
        self._texts.verify(text, proven)
        token = secrets.token_urlsafe(32)
        expires_at = int(self._clock()) + SESSION_SECONDS
        self._sessions[_digest(token)] = (signer, expires_at)
        _shorten(self._sessions)
        return Session(token, expires_at)

    def signer(self, token: str) -> bytes:
        """Return whose session a token is.

        Raises:
            NotASubjectError: There is none, or it is over.
        """
        signer, expires_at = self._sessions.get(_digest(token), (b"", 0))
        if expires_at <= self._clock():
            raise NotASubjectError("there is no such session, or it is over")
        return signer


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()


def _shorten(remembered: dict[K, tuple[bytes, int]]) -> None:
    while len(remembered) > _MOST:
        del remembered[next(iter(remembered))]
