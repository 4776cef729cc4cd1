"""Signed requests: RFC 9421 signatures over the whole of each, accepted once."""

import heapq
from collections.abc import Awaitable, Callable, Collection

from starlette.requests import Request

from ledger.service.app import REPLAYED, UNAUTHENTICATED, ProblemError
from ledger.service.http_signatures import (
    CLOCK_SKEW,
    MAX_LIFETIME,
    RequestTarget,
    VerifiedRequest,
    authority_of,
    received_headers,
    verify_request,
)
from ledger.service.request_body import read_body


class ReplayMemory:
    """Remembers signed requests until they expire: O(1) a request, nothing on disk.

    What was signed before the memory began is refused, so that a restart forgets nothing that
    matters: a client whose request comes right after a restart signs it again.

    Args:
        now: The present, seconds since 1970.
    """

    def __init__(self, now: int) -> None:
        self._began = now
        self._seen: set[tuple[bytes, str]] = set()
        self._expiries: list[tuple[int, bytes, str]] = []

    def note(self, request: VerifiedRequest, now: int) -> None:
        """Raises `ProblemError` for a request that was, or may have been, here before."""
        while self._expiries and self._expiries[0][0] <= now:
            _, address, nonce = heapq.heappop(self._expiries)
            self._seen.discard((address, nonce))
        if request.created < self._began:
            raise ProblemError(REPLAYED, "signed before this service started: sign it again")
        key = (request.address, request.nonce)
        if key in self._seen:
            raise ProblemError(REPLAYED, "the nonce was used before: sign the request again")
        self._seen.add(key)
        heapq.heappush(self._expiries, (request.expires, *key))


class Authenticator:
    """Tells which account signed a request.

    Args:
        chain_id: Of the deployment.
        authorities: Names (host, port) under which clients know this service; a request signed for
            another one is refused, so that it cannot be carried from service to service. Empty: any.
        clock: Gives the present, seconds since 1970.
    """

    def __init__(
        self, chain_id: int, authorities: Collection[str], clock: Callable[[], float]
    ) -> None:
        self._chain_id = chain_id
        self._authorities = frozenset(authorities)
        self._clock = clock
        self._memory = ReplayMemory(int(clock()))

    async def signer(
        self, request: Request, most_bytes: int, admit: Callable[[bytes], Awaitable[object]]
    ) -> tuple[bytes, bytes]:
        """Return the address that signed a request, and the request's body.

        Limits are taken after this: then it is clear who asks, and that the request is new.

        Args:
            request: As it came.
            most_bytes: Of the body.
            admit: Raises unless the address may ask. Nothing is remembered of others, or anybody could
                fill the memory with requests by keys that it draws.

        Raises:
            HttpSignatureError: It is not (rightly) signed.
            ProblemError: It is signed for another service, was here before, or is too large.
            Exception: As `admit` raised it.
        """
        headers = received_headers(request.headers.items())
        body = await read_body(request, most_bytes)
        now = int(self._clock())
        verified = verify_request(
            self._target(request),
            body,
            headers,
            chain_id=self._chain_id,
            now=now,
            max_lifetime=MAX_LIFETIME,
            clock_skew=CLOCK_SKEW,
        )
        await admit(verified.address)
        self._memory.note(verified, now)
        return verified.address, body

    def authority(self, request: Request) -> str:
        """Return the host that a request is for, as its signature would name it.

        Raises:
            ProblemError: It is not one of this service's.
        """
        authority = authority_of(request.headers.get("host", ""), request.url.scheme)
        if self._authorities and authority not in self._authorities:
            raise ProblemError(UNAUTHENTICATED, "the request is for another service")
        return authority

    def _target(self, request: Request) -> RequestTarget:
        authority = self.authority(request)
        raw_path: bytes = request.scope.get("raw_path") or request.url.path.encode("ascii")
        query: bytes = request.scope.get("query_string", b"")
        return RequestTarget(
            method=request.method,
            authority=authority,
            path=raw_path.partition(b"?")[0].decode("ascii", "replace"),
            query=query.decode("ascii", "replace"),
        )
