"""Who sent a request, and what that sender is here: a party, the authority, who signs for a person, a stranger."""

import asyncio
import secrets
import time
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Final

from starlette.requests import Request

from gateway.access.read_after_write import Freshness
from gateway.chain.contract_accounts import ContractAccounts
from gateway.errors import ForbiddenError, UnauthenticatedError
from gateway.store.sessions import NewSession, NonceMemory, SessionStore
from ledger.crypto.signatures import personal_digest, verify_signer
from ledger.errors import LedgerError
from ledger.gathering import Gatherer
from ledger.hexstr import ADDRESS_LENGTH, keccak256
from ledger.index.index import Index
from ledger.service.challenges import (
    Asker,
    Challenge,
    ChallengeError,
    ChallengeProofs,
    sign_in_text,
)
from ledger.service.http_signatures import (
    HttpSignatureError,
    RequestSignerError,
    RequestTarget,
    VerifiedRequest,
    authority_of,
    received_headers,
    verify_content,
    verify_request_head,
)
from ledger.service.rate_limit import STRANGERS, RateLimit

_REMEMBERED: Final = 10_000


class Callers:
    def __init__(
        self,
        index: Index,
        freshness: Freshness,
        authority: bytes,
    ) -> None:
        self._index = index
        self._freshness = freshness
        self._authority = authority
        self._people: Gatherer[bytes, bool] = Gatherer(index.people_who_sign)
        self._subjects: dict[bytes, asyncio.Task[frozenset[bytes]]] = {}
        self._as_of = -1
        """Block in which the subjects above are as they are."""

    async def bucket_of(self, signer: bytes) -> Hashable:
        """Return in whose bucket a signer's requests are counted: its own, or that of all strangers."""
        if self._is_named(signer) or signer in self._index.snapshot.parties:
            return signer
        # All who ask at one time share a read: who draws keys does not take the database from the others.
        return signer if signer in await self._people.get([signer]) else STRANGERS

    async def may_transact(self, account: bytes) -> bool:
        """Tell whether an account is somebody's who may transact, once the index has all that is final.

        Raises:
            UnavailableError: That cannot be told now.
        """
        await self._freshness.catch_up()
        return self.is_party(account)

    def is_party(self, account: bytes) -> bool:
        """Tell whether an account was ever named as a party, pending too, as a supervisor or as the authority.

        Raises:
            UnavailableError: That cannot be told now.
        """
        return self._is_named(account) or self._freshness.is_party(account)

    def _is_named(self, account: bytes) -> bool:
        return account == self._authority or account in self._index.snapshot.named

    async def signs_for(self, signer: bytes, subject: bytes) -> bool:
        """Tell whether a signer signs for a subject, as its own or as a guardian's, or did so once.

        A subject is looked up once a block, however many ask in its name.
        """
        head = self._index.head.number
        if head != self._as_of or len(self._subjects) >= _REMEMBERED:
            self._subjects, self._as_of = {}, head
        looking = self._subjects.get(subject)
        if looking is None:
            looking = asyncio.ensure_future(self._index.signer_hashes(subject))
            self._subjects[subject] = looking
        return keccak256(signer) in await asyncio.shield(looking)


_TOKEN_BYTES: Final = 32
_BEARER: Final = "bearer "
_MAX_SIGNER: Final = 256


@dataclass(frozen=True, slots=True)
class Principal:
    signer: bytes
    """ERC-7913 bytes: 20 of an account, more of a passkey."""
    until: int
    """Seconds since 1970 until when the request entitles to hear: the session's end, or a session's length
    after a signed request."""

    @property
    def account(self) -> bytes:
        """The account.

        Raises:
            ForbiddenError: It is a passkey: parties have accounts.
        """
        if len(self.signer) != ADDRESS_LENGTH:
            raise ForbiddenError("a party signs with its account")
        return self.signer


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as signed.

    Attributes:
        chain_id: Of the deployment.
        authorities: Hosts under which this gateway is itself.
        scheme: Of the clients' URLs.
        lifetime: Seconds for which a request may be signed.
        clock_skew: Seconds by which a client's clock may be ahead.
        session_lifetime: Seconds for which a session lasts.
    """

    chain_id: int
    authorities: Collection[str]
    scheme: str
    lifetime: int
    clock_skew: int
    session_lifetime: int


@dataclass(frozen=True, slots=True)
class Session:
    """A session, whose token is shown once."""

    token: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class CallerLimits:
    """How much is taken from whom."""

    callers: Callers
    requests: RateLimit
    sign_ins: RateLimit


class Authenticator:
    """Tells who sent a request. Safe for concurrent use in one event loop."""

    def __init__(
        self,
        rules: Rules,
        nonces: NonceMemory,
        sessions: SessionStore,
        proofs: ChallengeProofs,
        webauthn_verifiers: Collection[bytes],
        limits: CallerLimits,
        contracts: ContractAccounts,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._rules = rules
        self._nonces = nonces
        self._sessions = sessions
        self._proofs = proofs
        self._verifiers = frozenset(webauthn_verifiers)
        self._limits = limits
        self._contracts = contracts
        self._clock = clock

    async def principal(self, request: Request, body: bytes) -> Principal:
        """Return who sent a request that is here in full.

        Raises:
            UnauthenticatedError: It is not rightly signed, was here before, or its session is over.
            ThrottledError: The signer sends too many.
            StoreUnavailableError: It cannot be remembered.
        """
        bearer = request.headers.get("authorization", "")
        if bearer.lower().startswith(_BEARER):
            return await self._of_session(bearer[len(_BEARER) :].strip())
        head = await self.verify_head(request, has_body=bool(body))
        if body:
            self.verify_body(head, body)
        return await self.remember(head)

    async def verify_head(self, request: Request, *, has_body: bool) -> VerifiedRequest:
        """Return who signed a request whose body is still to come.

        Raises:
            UnauthenticatedError: It is not rightly signed, or for another host.
            UnavailableError: The account may be a contract, and the chain cannot be asked.
        """
        rules = self._rules
        try:
            return verify_request_head(
                self._target(request),
                received_headers(request.headers.items()),
                has_body=has_body,
                chain_id=rules.chain_id,
                now=int(self._clock()),
                max_lifetime=rules.lifetime,
                clock_skew=rules.clock_skew,
            )
        except RequestSignerError as error:
            await self._contracts.verify(error.request.address, error.digest, error.signature)
            return error.request
        except HttpSignatureError as error:
            raise UnauthenticatedError(str(error)) from error

    @staticmethod
    def verify_body(head: VerifiedRequest, body: bytes) -> None:
        """Check that a body is the one that was signed.

        Raises:
            UnauthenticatedError: It is another one.
        """
        verify_digest(head, sha256(body).digest())

    async def remember(self, head: VerifiedRequest) -> Principal:
        """Accept a verified request, once.

        Raises:
            UnauthenticatedError: It came before.
            ThrottledError: The signer sends too many, or too many do of whom nothing is known.
            StoreUnavailableError: It cannot be remembered.
        """
        bucket = await self._limits.callers.bucket_of(head.address)
        # Looked at before, so that who sends too many costs no write; taken after, so that nobody can
        # use up another one's bucket with what that one once signed.
        self._limits.requests.check(bucket)
        await self._nonces.remember(head.address, head.nonce, head.expires)
        self._limits.requests.take(bucket)
        return Principal(head.address, int(self._clock()) + self._rules.session_lifetime)

    def challenge(self, signer: bytes, request: Request) -> Challenge:
        """Return what a signer has to sign to begin a session. Nothing is kept of it.

        It names the host that the request is for: a wallet signs it for no other one.

        Raises:
            UnauthenticatedError: It is no signer; the request is for another host.
        """
        if not ADDRESS_LENGTH <= len(signer) <= _MAX_SIGNER:
            raise UnauthenticatedError("not the ERC-7913 bytes of a signer", "challenge")
        rules = self._rules
        asker = Asker(rules.scheme, self._authority(request), rules.chain_id, signer)
        return self._proofs.make(signer, int(self._clock()), partial(sign_in_text, asker))

    async def begin_session(self, message: str, signer: bytes, signature: bytes) -> Session:
        """Begin a session for whoever signed a challenge; each challenge counts once.

        Raises:
            UnauthenticatedError: The challenge is none of ours, used, over or another signer's, or the
                signature does not hold.
            ThrottledError: The signer begins too many, or too many do of whom nothing is known.
            StoreUnavailableError: The session cannot be kept.
        """
        now = int(self._clock())
        try:
            challenge = self._proofs.verify(message, signer, now)
        except ChallengeError as error:
            raise UnauthenticatedError(str(error), "challenge") from error
        await self._verify_signer(signer, personal_digest(message.encode()), signature)
        bucket = await self._limits.callers.bucket_of(signer)
        self._limits.sign_ins.check(bucket)
        session = Session(secrets.token_urlsafe(_TOKEN_BYTES), now + self._rules.session_lifetime)
        begun = NewSession(session.token, signer, session.expires_at)
        if not await self._sessions.begin(challenge, begun):
            raise UnauthenticatedError("the challenge was used", "challenge")
        self._limits.sign_ins.take(bucket)
        return session

    async def _verify_signer(self, signer: bytes, digest: bytes, signature: bytes) -> None:
        try:
            verify_signer(signer, digest, signature, self._verifiers)
        except LedgerError as error:
            refused = UnauthenticatedError("the challenge is not signed by its signer", "challenge")
            if len(signer) != ADDRESS_LENGTH:
                raise refused from error
            try:
                await self._contracts.verify(signer, digest, signature)
            except UnauthenticatedError:
                raise refused from error

    async def _of_session(self, token: str) -> Principal:
        session = await self._sessions.find(token, int(self._clock()))
        if session is None:
            raise UnauthenticatedError("the session is unknown or over", "session")
        self._limits.requests.take(await self._limits.callers.bucket_of(session.signer))
        return Principal(session.signer, session.expires_at)

    def left(self, principal: Principal) -> float:
        """Return for how many seconds a principal may still be told news; zero or less for no more."""
        return principal.until - self._clock()

    def stranger(self) -> Principal:
        """Return nobody, who may hear what is public for as long as a session lasts."""
        return Principal(b"", int(self._clock()) + self._rules.session_lifetime)

    def _authority(self, request: Request) -> str:
        authority = authority_of(request.headers.get("host", ""), self._rules.scheme)
        if authority not in self._rules.authorities:
            raise UnauthenticatedError(
                "the request is for another host than this gateway", "wrong-authority"
            )
        return authority

    def _target(self, request: Request) -> RequestTarget:
        authority = self._authority(request)
        raw_path: bytes = request.scope.get("raw_path") or request.url.path.encode()
        query: bytes = request.scope.get("query_string", b"")
        return RequestTarget(
            method=request.method,
            authority=authority,
            path=raw_path.partition(b"?")[0].decode("latin-1"),
            query=query.decode("latin-1"),
        )


def verify_digest(head: VerifiedRequest, digest: bytes) -> None:
    """Check that a body's SHA-256 is the one that was signed.

    Raises:
        UnauthenticatedError: It is not.
    """
    try:
        verify_content(head, digest)
    except HttpSignatureError as error:
        raise UnauthenticatedError(str(error)) from error
