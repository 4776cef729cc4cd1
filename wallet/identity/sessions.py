"""Sessions for people whose signer is a passkey, which cannot sign a request of its own accord.

A challenge is signed once and gives a token for some minutes. Nothing is on disk: after a restart a person
signs again. Nothing is kept of a challenge before it was answered, so that nobody can push out another one's by
asking for many, nor of somebody who is no subject.
"""

import secrets
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import Final

from ledger.api.identity import SessionAnswer
from ledger.service.challenges import (
    KEY_BYTES,
    Asker,
    Challenge,
    ChallengeError,
    ChallengeProofs,
    ProvenChallenge,
    session_text,
)
from wallet.identity.errors import NOT_A_SUBJECT, POSSESSION_UNPROVEN, IdentityError
from wallet.identity.possession_proofs import Texts

SESSION_SECONDS: Final = 900
_SESSIONS_OF_ONE: Final = 10
"""Of one signer at once; its own oldest goes first."""


class Sessions:
    """Hands out challenges and tokens; `authority` is the authority's address, `clock` in seconds since 1970."""

    def __init__(self, texts: Texts, authority: bytes, clock: Callable[[], float]) -> None:
        self._texts = texts
        self._authority = authority
        self._clock = clock
        self._proofs = ChallengeProofs(secrets.token_bytes(KEY_BYTES))
        self._used: dict[str, int] = {}
        """Nonces of challenges that were answered, and until when these would count."""
        self._sessions: dict[bytes, dict[bytes, int]] = {}
        """By signer: digests of tokens, and until when these count."""
        self._signers: dict[bytes, bytes] = {}

    def challenge(self, asker: Asker) -> Challenge:
        """Return a text for a signer to sign."""
        form = partial(session_text, asker, self._authority)
        return self._proofs.make(asker.signer, int(self._clock()), form)

    def verify(self, text: str, signer: bytes, signature: bytes) -> bytes:
        """Return the signer of a challenge, which is used up only when a session begins.

        Raises:
            IdentityError: It was not given to this signer, is used, too old or wrongly signed.
        """
        self._unused(text, signer)
        return self._texts.verify(text, signer, signature)

    def begin(self, text: str, signer: bytes) -> SessionAnswer:
        """Return a session for a subject's signer, whose challenge was verified; it is used up.

        Raises:
            IdentityError: It was used meanwhile.
        """
        challenge = self._unused(text, signer)
        self._used[challenge.nonce] = challenge.expires_at
        token = secrets.token_urlsafe(32)
        expires_at = int(self._clock()) + SESSION_SECONDS
        mine = self._sessions.setdefault(signer, {})
        if len(mine) >= _SESSIONS_OF_ONE:
            oldest = next(iter(mine))
            del mine[oldest], self._signers[oldest]
        mine[_digest(token)], self._signers[_digest(token)] = expires_at, signer
        return SessionAnswer(token=token, expires_at=expires_at)

    def signer(self, token: str) -> bytes:
        """Return whose session a token is; raises `IdentityError` if there is none, or it is over."""
        signer = self._signers.get(_digest(token), b"")
        if self._sessions.get(signer, {}).get(_digest(token), 0) <= self._clock():
            raise IdentityError(NOT_A_SUBJECT, "there is no such session, or it is over")
        return signer

    def _unused(self, text: str, signer: bytes) -> ProvenChallenge:
        now = int(self._clock())
        self._forget(now)
        try:
            challenge = self._proofs.verify(text, signer, now)
        except ChallengeError as error:
            raise IdentityError(POSSESSION_UNPROVEN, str(error)) from error
        if challenge.nonce in self._used:
            raise IdentityError(POSSESSION_UNPROVEN, "this challenge was used")
        return challenge

    def _forget(self, now: int) -> None:
        # All of it was answered rightly, oldest first.
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
