"""Challenges that prove themselves: a service keeps nothing of one before it was answered."""

import hmac
import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

from ledger.errors import LedgerError
from ledger.hexstr import ADDRESS_LENGTH, checksum_address, from_hex, to_hex
from ledger.plain_text import moment

CHALLENGE_LIFETIME: Final = 300
"""Seconds in which a challenge is answered, at every service; a wallet signs none that lasts longer."""

CHALLENGE_SKEW: Final = 60
"""Seconds by which the clocks of a wallet and of a service may differ."""

_TIME: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
_FORM: Final = "%Y-%m-%dT%H:%M:%SZ"
_SIGN_IN_END: Final = re.compile(
    rf"\nNonce: (?P<nonce>[0-9a-f]{{32}})\nIssued At: (?P<issued>{_TIME})"
    rf"\nExpiration Time: (?P<expires>{_TIME})\Z"
)
_SESSION_AUTHORITY: Final = re.compile(r"\nauthority (0x[0-9a-f]{40})\n")
_SESSION_END: Final = re.compile(
    rf"\nnonce (?P<nonce>[0-9a-f]{{32}})\nissued (?P<issued>{_TIME})\nexpires (?P<expires>{_TIME})\Z"
)


class ChallengeError(LedgerError):
    """A text is not the challenge of the service that handed it over. It must not be signed."""


class Asker(msgspec.Struct, frozen=True):
    """What both sides know of a challenge before it is made; `signer` is ERC-7913 bytes."""

    scheme: str
    host: str
    """As `@authority` in a signed request: lowercase, with the port unless usual."""
    chain_id: int
    signer: bytes


class Span(msgspec.Struct, frozen=True):
    """When a challenge counts, seconds since 1970."""

    issued_at: int
    expires_at: int


def challenge_span(now: int) -> Span:
    return Span(now, now + CHALLENGE_LIFETIME)


def sign_in_text(asker: Asker, nonce: str, span: Span) -> str:
    """Return a gateway's challenge: a message after EIP-4361, for a passkey with its bytes in it."""
    is_account = len(asker.signer) == ADDRESS_LENGTH
    who = checksum_address(asker.signer) if is_account else to_hex(asker.signer)
    kind = "Ethereum account" if is_account else "passkey"
    return "\n".join(
        (
            f"{asker.host} wants you to sign in with your {kind}:",
            who,
            "",
            "Sign in to Quancheng. 登录泉城数据网关。",
            "",
            f"URI: {asker.scheme}://{asker.host}",
            "Version: 1",
            f"Chain ID: {asker.chain_id}",
            f"Nonce: {nonce}",
            f"Issued At: {_iso(span.issued_at)}",
            f"Expiration Time: {_iso(span.expires_at)}",
        )
    )


def session_text(asker: Asker, authority: bytes, nonce: str, span: Span) -> str:
    """Return an identity authority's challenge."""
    return "\n".join(
        (
            "Quancheng session",
            f"chain {asker.chain_id}",
            f"authority {to_hex(authority)}",
            f"host {asker.host}",
            f"signer {to_hex(asker.signer)}",
            f"nonce {nonce}",
            f"issued {_iso(span.issued_at)}",
            f"expires {_iso(span.expires_at)}",
        )
    )


def verify_sign_in(text: str, asker: Asker, now: int) -> None:
    """Check that a text is the challenge of the gateway that was called, for now. Raises `ChallengeError`."""
    nonce, span = _end(_SIGN_IN_END, text)
    _verify_same(text, sign_in_text(asker, nonce, span))
    _verify_span(span, now)


def verify_session_text(text: str, asker: Asker, now: int) -> bytes:
    """Return the address of the identity authority whose challenge for now a text is.

    Whether it is an active one only the chain says. Raises `ChallengeError`.
    """
    nonce, span = _end(_SESSION_END, text)
    named = _SESSION_AUTHORITY.search(text)
    if named is None:
        raise ChallengeError("the text names no authority")
    authority = from_hex(named[1])
    _verify_same(text, session_text(asker, authority, nonce, span))
    _verify_span(span, now)
    return authority


def _end(form: re.Pattern[str], text: str) -> tuple[str, Span]:
    match = form.search(text)
    if match is None:
        raise ChallengeError("the text does not end with a nonce and times")
    return match["nonce"], Span(_seconds(match["issued"]), _seconds(match["expires"]))


def _verify_same(text: str, expected: str) -> None:
    if text == expected:
        return
    lines, wanted = text.split("\n"), expected.split("\n")
    differing = [line for line, own in zip(lines, wanted, strict=False) if line != own]
    # What a service sent is shown in `repr`, and only so much of it.
    shown = repr(differing[0][:80]) if differing else f"{len(lines)} lines"
    raise ChallengeError(f"the text is not this service's challenge for this signer: {shown}")


def _verify_span(span: Span, now: int) -> None:
    if not 0 < span.expires_at - span.issued_at <= CHALLENGE_LIFETIME:
        raise ChallengeError(f"a challenge lasts at most {CHALLENGE_LIFETIME} s")
    if not span.issued_at - CHALLENGE_SKEW <= now < span.expires_at + CHALLENGE_SKEW:
        raise ChallengeError("the challenge is not for now: it is over, or the clocks differ")


def _iso(seconds: int) -> str:
    return moment(seconds).strftime(_FORM)


def _seconds(text: str) -> int:
    try:
        return int(datetime.strptime(text, _FORM).replace(tzinfo=UTC).timestamp())
    except ValueError as error:
        raise ChallengeError("the text has a time that is none") from error


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
