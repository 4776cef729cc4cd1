"""How an ask reaches a person: handle, inbox, answer.

A consumer never learns the subject id before it is granted something: it holds a handle, which is
opaque, for one consumer and for a time. The gateway keeps what is asked, not who is asked in the
sense of a name: a subject is a random number here.

What was given or asked before an id was closed, or given to the person whose it is, was meant for somebody
else: neither handle nor ask outlives that. Both bear block times, so that no clock decides it.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from gateway.access.read_after_write import Freshness
from gateway.errors import BodyError, ForbiddenError, RefusedError, UnavailableError, UnknownError
from gateway.store.authorizations import AuthorizationStore, StoredAuthorization
from gateway.store.inbox import InboxStore, StoredAsk
from ledger.api.consent import ConsentRequest, HandleAnswer
from ledger.chain import eth_methods
from ledger.chain.contract_calls import encode_call
from ledger.chain.reverts import revert_in
from ledger.chain.rpc import AsyncRpc, CallError, RpcError
from ledger.crypto.statement import format_reference, parse_reference
from ledger.errors import LedgerError
from ledger.hexstr import to_hex
from ledger.index.rows import SubjectEntry
from ledger.plain_text import MAX_MESSAGE, verify_optional_text
from ledger.policy import LATEST_START

HANDLE_LIFETIME: Final = 24 * 3600
"""Seconds for which a handle can be used."""

_HANDLE: Final = 32
_LONGEST: Final = 31 * 24 * 3600
"""Seconds for which an ask may wait."""


class GrantedAsk(msgspec.Struct, frozen=True):
    ask: StoredAsk
    state: str
    authorization: StoredAuthorization | None


class Inbox:
    """Takes asks and hands them over. Safe for concurrent use in one event loop."""

    def __init__(
        self,
        store: InboxStore,
        authorizations: AuthorizationStore,
        freshness: Freshness,
        rpc: AsyncRpc,
        agreements: bytes,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._freshness = freshness
        self._rpc = rpc
        self._agreements = agreements
        self._store = store
        self._authorizations = authorizations
        self._clock = clock

    async def give_handle(self, signer: bytes, subject: bytes) -> HandleAnswer:
        """Return a new handle for a subject, to the subject itself or to its identity authority.

        Raises:
            ForbiddenError: The signer is neither, or the id is closed.
            UnavailableError: That cannot be told now.
        """
        at = self._freshness.time  # first: what ends the handle comes in a later block
        known = await self._freshness.subject(subject)
        if known is None or (
            signer != known.signer
            and signer not in (await self._freshness.link_bounds(subject)).authorities
        ):
            raise ForbiddenError("a handle is given to a subject and to its identity authority")
        if known.closed:
            raise ForbiddenError("the subject id is closed")
        handle, expires_at = secrets.token_bytes(_HANDLE), at + HANDLE_LIFETIME
        await self._store.put_handle(handle, subject, expires_at)
        return HandleAnswer(to_hex(handle), expires_at)

    async def ask(
        self, consumer: bytes, handle: bytes, members: Mapping[str, str | int]
    ) -> StoredAsk:
        """Put an ask into the inbox that a handle leads to. Idempotent by its reference number.

        Raises:
            BodyError: A member of the ask does not have its form.
            ForbiddenError: It is in another consumer's name.
            RefusedError: It is outside the bounds of its purpose or agreement.
            UnknownError, ConflictError: The handle cannot be used.
            ConflictError: Something else was asked under this reference number.
        """
        now, at = int(self._clock()), self._freshness.time
        ask = check_ask(members, now)
        if ask.consumer != consumer:
            raise ForbiddenError("an ask is in the name of whoever signs the request")
        await self._check_bounds(ask)
        used = await self._store.use_handle(handle, consumer, now)
        known = await self._freshness.subject(used.subject)
        if not _is_for(known, used.expires_at - HANDLE_LIFETIME):
            raise UnknownError("handle any more: the id was closed, or is another person's")
        kept = StoredAsk(
            id=secrets.token_hex(16),
            consumer=consumer,
            reference=format_reference(parse_reference(ask.reference)),
            subject=used.subject,
            state="pending",
            body=ask.encode(),
            reason="",
            authorization=None,
            created_at=at,
            expires_at=ask.deadline,
        )
        return await self._store.put(kept)

    async def state(self, consumer: bytes, ask: str) -> GrantedAsk:
        """Return how an ask stands, to the consumer that made it.

        Raises:
            UnknownError: There is no such ask of this consumer.
        """
        kept = await self._store.get(ask)
        if kept.consumer != consumer:
            raise UnknownError("request")
        granted = None
        if kept.authorization is not None:
            granted = await self._authorizations.get(kept.authorization)
        state = kept.state_at(int(self._clock()))
        if state == "pending":
            known = await self._freshness.subject(kept.subject)
            state = state if _is_for(known, kept.created_at) else "expired"
        return GrantedAsk(kept, state, granted)

    async def waiting(self, subjects: Sequence[SubjectEntry]) -> tuple[StoredAsk, ...]:
        """Return what waits for these subjects, the newest first."""
        known = {subject.id: subject for subject in subjects}
        found = await self._store.of_subjects(tuple(known), int(self._clock()))
        return tuple(one for one in found if _is_for(known[one.subject], one.created_at))

    async def refuse(self, subjects: Sequence[SubjectEntry], ask: str, reason: str) -> StoredAsk:
        """Refuse an ask in the name of one of these subjects.

        Raises:
            UnknownError: There is no such ask to them.
            ConflictError: It was granted.
        """
        kept = await self._store.get(ask)
        known = {subject.id: subject for subject in subjects}
        if not _is_for(known.get(kept.subject), kept.created_at):
            raise UnknownError("request")
        return await self._store.refuse(ask, reason)

    async def _check_bounds(self, ask: ConsentRequest) -> None:
        data = encode_call(
            "Agreements",
            "requireWithinBounds",
            ask.consumer,
            ask.dataset,
            ask.purpose,
            ask.fields,
            # Zero begins with the grant, which is not before now.
            max(ask.expires_at - max(ask.not_before, int(self._clock())), 0),
            ask.max_uses,
            ask.min_interval,
        )
        try:
            await self._rpc.send(eth_methods.call(self._agreements, data))
        except CallError as error:
            found = revert_in(error)
            if found is None:
                raise UnavailableError(
                    "the node does not answer as it should", "chain-unavailable"
                ) from error
            raise RefusedError(found.revert) from error
        except RpcError as error:
            raise UnavailableError("the node cannot be asked", "chain-unavailable") from error


def _is_for(subject: SubjectEntry | None, at: int) -> bool:
    """Tell whether what was given or asked in a block of this time is still meant for who has the id."""
    return subject is not None and not subject.closed and at > subject.links_from


def check_ask(members: Mapping[str, str | int], now: int) -> ConsentRequest:
    """Return what a consumer asks for, whose members stand in JSON as in `ConsentRequest`.

    Raises:
        BodyError: A member does not have its form; the message says which.
    """
    try:
        ask = ConsentRequest.parse(msgspec.json.encode(members))
        parse_reference(ask.reference)
        verify_optional_text("the message", ask.message, MAX_MESSAGE)
    except LedgerError as error:
        raise BodyError(f"the ask: {error}") from error
    problem = _problem(ask, now)
    if problem:
        raise BodyError(f"the ask: {problem}")
    return ask


def _problem(ask: ConsentRequest, now: int) -> str | None:
    if not 0 <= ask.not_before < ask.expires_at < 1 << 32:
        return "not_before lies before expires_at, both within 32 bits"
    if ask.not_before > ask.deadline + LATEST_START:
        return "not_before lies at most a day after the last moment to answer"
    if not 0 < ask.max_uses < 1 << 32 or not 0 <= ask.min_interval < 1 << 32:
        return "max_uses is at least 1, min_interval at least 0, both within 32 bits"
    if not now < ask.deadline <= now + _LONGEST:
        return f"deadline lies in the future, at most {_LONGEST} seconds"
    if not 0 < ask.fields < 1 << 256:
        return "fields is a bitmap in decimal, not zero"
    return None
