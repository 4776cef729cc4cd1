"""Asking a person for an authorization, and hearing what the person says."""

import time
from typing import Final

import msgspec

from ledger.api import SignedLink, read_link
from ledger.api.consent import (
    AskAnswer,
    AskCreated,
    AskTaken,
    ConsentRequest,
    HandleAnswer,
    HandleWanted,
    InboxAnswer,
    RefusalTaken,
)
from ledger.crypto.signatures import SIGNATURE_LENGTH
from ledger.hexstr import from_hex
from ledger.jsonio import parse_json
from ledger.plain_text import MAX_MESSAGE, verify_optional_text
from ledger.typed_data import Authorization, record_from_object
from wallet.client.calls import (
    Answer,
    HttpCall,
    Listen,
    ServerEvent,
    body_of,
    nothing,
    path,
    pause,
    reader,
    signed_get,
    signed_post,
)
from wallet.client.errors import ClientError, ErrorKind
from wallet.client.retry import with_retries

_POLL_INTERVAL: Final = 2.0
_created = reader(AskCreated)
_answered = reader(AskAnswer)
_inbox = reader(InboxAnswer)


class AskState(msgspec.Struct, frozen=True):
    """How an ask stands, with the records of a grant."""

    request: str
    state: str
    """pending, granted, refused or expired."""
    authorization: Authorization | None = None
    link: SignedLink | None = None
    reason: str = ""
    """Of a refusal, if the person gave one."""
    consumer_name: str = ""
    """As of the grant's place on chain, by the gateway's word; empty where it does not know."""


class Asked(msgspec.Struct, frozen=True):
    """An ask as it lies in a person's inbox."""

    request: str
    subject: bytes
    """The id of the person's to which it came."""
    ask: ConsentRequest
    created_at: int


# Consumers


def send_ask(handle: str, ask: ConsentRequest) -> HttpCall[str]:
    """Put an ask into the inbox that a handle leads to; the answer is the request's id."""
    body = body_of(AskTaken, {"handle": handle, "ask": parse_json(ask.encode())})
    return signed_post("/v1/requests", body, lambda answer: _created(answer).request)


def ask_state(request: str) -> HttpCall[AskState]:
    """Ask how an ask stands."""

    def read(answer: Answer) -> AskState:
        shown = _answered(answer)
        granted = shown.authorization
        return AskState(
            request=request,
            state=shown.state,
            authorization=record_from_object(Authorization, granted) if granted else None,
            consumer_name=shown.consumer_name or "",
            link=read_link(shown.link, shown.link_signature, SIGNATURE_LENGTH),
            reason=shown.reason,
        )

    return signed_get(path("/v1/requests/{}", request), read)


async def wait_for_answer(request: str, seconds: float) -> AskState:
    """Wait until a person has answered: by events, or by asking where they break off.

    Raises:
        ClientError (NOT_ANSWERED): no answer in this time; the ask still waits.
    """
    until = time.monotonic() + seconds
    where = path("/v1/requests/{}/events", request)
    call = signed_get(where, nothing)
    while True:
        state = await with_retries(ask_state(request))
        if state.state != "pending":
            return state
        left = until - time.monotonic()
        if left <= 0:
            raise ClientError(f"no answer to request {request} yet", ErrorKind.NOT_ANSWERED)
        try:
            await Listen(call, _changed, left)
        except ClientError as error:
            if not error.passes:
                raise
            await pause(min(_POLL_INTERVAL, max(left, 0)))


def _changed(event: ServerEvent) -> bool | None:
    """Whether an event may mean that the ask was answered; the state is asked for then."""
    return None if '"pending"' in event.data else True


# People


def my_inbox() -> HttpCall[tuple[Asked, ...]]:
    """Ask what waits for a subject."""

    def read(answer: Answer) -> tuple[Asked, ...]:
        return tuple(
            Asked(
                entry.request,
                from_hex(entry.subject, 32),
                ConsentRequest.parse(msgspec.json.encode(entry.ask)),
                entry.created_at,
            )
            for entry in _inbox(answer).requests
        )

    return signed_get("/v1/inbox", read)


def new_handle(subject: bytes) -> HttpCall[HandleAnswer]:
    """Get a handle to a subject's inbox, to hand over in person; the subject itself."""
    return signed_post("/v1/handles", HandleWanted(subject=subject), reader(HandleAnswer))


def refuse_ask(request: str, reason: str = "") -> HttpCall[None]:
    """Refuse what a consumer asks for.

    Raises:
        PlainTextError: the reason is not plain.
    """
    verify_optional_text("the reason", reason, MAX_MESSAGE)
    where = path("/v1/inbox/{}/refusal", request)
    return signed_post(where, RefusalTaken(reason=reason), nothing)
