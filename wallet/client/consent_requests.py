"""Asking a person for an authorization, and hearing what the person says.

What is asked is kept as it is signed later: dataset, fields, purpose, number of uses, times. The case
number travels to the person in clear and reaches the chain as a salted hash.
"""

import secrets
import time
from typing import Any, Final

import msgspec

from ledger.api import SignedLink
from ledger.crypto.statement import case_reference, new_reference
from ledger.hexstr import from_hex, to_hex
from ledger.plain_text import MAX_MESSAGE, verify_case_number, verify_optional_text
from ledger.typed_data import Authorization, JsonScalar, SubjectLink, record_from_object
from wallet.client.calls import (
    Answer,
    Credential,
    HttpCall,
    Listen,
    ServerEvent,
    nothing,
    path,
    pause,
    reader,
)
from wallet.client.errors import ClientError, ErrorKind
from wallet.client.retry import with_retries

_SALT_SIZE: Final = 32
_POLL_INTERVAL: Final = 2.0
ALL: Final = bytes(32)


class ConsentRequest(msgspec.Struct, frozen=True):
    """What a consumer asks a person for."""

    consumer: bytes
    dataset: bytes
    item: bytes
    """Root of one record; zeros for all."""
    purpose: bytes
    fields: int
    """Bitmap over the dataset's schema."""
    case_number: str
    case_salt: bytes
    reference: str
    """Reference number of the statement: 128 random bits."""
    not_before: int
    expires_at: int
    max_uses: int
    min_interval: int
    deadline: int
    """Until when the person may answer, seconds since 1970."""
    message: str = ""

    @property
    def case_reference(self) -> bytes:
        """What the chain sees of the case number."""
        return case_reference(self.case_number, self.case_salt)


class AskState(msgspec.Struct, frozen=True):
    """How an ask stands."""

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


def new_ask(
    *,
    consumer: bytes,
    dataset: bytes,
    purpose: bytes,
    fields: int,
    case_number: str,
    expires_at: int,
    max_uses: int = 1,
    min_interval: int = 0,
    not_before: int = 0,
    deadline: int | None = None,
    item: bytes = ALL,
    message: str = "",
    now: int | None = None,
) -> ConsentRequest:
    """Make an ask, with a fresh reference number and a fresh salt for its case number.

    Args:
        consumer: who asks.
        dataset: of which dataset.
        purpose: what for.
        fields: bitmap over the schema.
        case_number: the consumer's own.
        expires_at: end of the authorization, seconds since 1970.
        max_uses: how often.
        min_interval: seconds between two uses.
        not_before: begin of the authorization, at most a day ahead; zero for the grant's block.
        deadline: until when the person may answer; a week from now if not given, at most the end.
        item: root of one record.
        message: for the person, plain text.
        now: seconds since 1970.

    Raises:
        PlainTextError: the case number is none, or the message is not plain.
    """
    verify_case_number(case_number)
    verify_optional_text("the message", message, MAX_MESSAGE)
    present = int(time.time()) if now is None else now
    answer_by = min(expires_at, present + 7 * 86_400) if deadline is None else deadline
    return ConsentRequest(
        consumer=consumer,
        dataset=dataset,
        item=item,
        purpose=purpose,
        fields=fields,
        case_number=case_number,
        case_salt=secrets.token_bytes(_SALT_SIZE),
        reference=new_reference(),
        not_before=not_before,
        expires_at=expires_at,
        max_uses=max_uses,
        min_interval=min_interval,
        deadline=answer_by,
        message=message,
    )


# JSON


class AskText(msgspec.Struct, forbid_unknown_fields=True):
    """An ask as it travels."""

    consumer: str
    dataset: str
    item: str
    purpose: str
    fields: str
    case_number: str
    case_salt: str
    case_reference: str
    reference: str
    not_before: int
    expires_at: int
    max_uses: int
    min_interval: int
    deadline: int
    message: str = ""


def ask_to_text(ask: ConsentRequest) -> AskText:
    """Return an ask as it travels."""
    members: dict[str, Any] = {
        name: to_hex(value) if isinstance(value, bytes) else value
        for name, value in msgspec.structs.asdict(ask).items()
    }
    members |= {"fields": str(ask.fields), "case_reference": to_hex(ask.case_reference)}
    return AskText(**members)


def ask_from_text(text: AskText) -> ConsentRequest:
    """Return the ask that travelled.

    Raises:
        LedgerError: a member does not have its form.
        msgspec.ValidationError: as well; or the case reference is not that of the case number.
    """
    if not text.fields.isascii() or not text.fields.isdigit() or len(text.fields) > 78:
        raise msgspec.ValidationError("fields is no bitmap in decimal")
    members = msgspec.structs.asdict(text)
    reference = members.pop("case_reference")
    for name in ("dataset", "item", "purpose", "case_salt"):
        members[name] = from_hex(members[name], 32)
    members |= {"consumer": from_hex(text.consumer, 20), "fields": int(text.fields)}
    ask = ConsentRequest(**members)
    if to_hex(ask.case_reference) != reference:
        raise msgspec.ValidationError("the case reference is not that of the case number")
    return ask


class _Sent(msgspec.Struct):
    request: str


class _State(msgspec.Struct):
    state: str
    authorization: dict[str, JsonScalar] | None = None
    consumer_name: str | None = None
    link: dict[str, JsonScalar] | None = None
    link_signature: str | None = None
    reason: str = ""


class _Entry(msgspec.Struct):
    request: str
    subject: str
    ask: AskText
    created_at: int = 0


class _Inbox(msgspec.Struct):
    requests: list[_Entry]


# Consumers


def send_ask(handle: str, ask: ConsentRequest) -> HttpCall[str]:
    """Put an ask into the inbox that a handle leads to; the answer is the request's id."""
    body = msgspec.json.encode({"handle": handle, "ask": ask_to_text(ask)})

    def read(answer: Answer) -> str:
        return msgspec.json.decode(answer.body, type=_Sent).request

    return HttpCall("POST", "/v1/requests", read, body=body, credential=Credential.SIGNATURE)


def ask_state(request: str) -> HttpCall[AskState]:
    """Ask how an ask stands."""

    def read(answer: Answer) -> AskState:
        found = msgspec.json.decode(answer.body, type=_State)
        granted = found.authorization
        return AskState(
            request=request,
            state=found.state,
            authorization=record_from_object(Authorization, granted) if granted else None,
            consumer_name=found.consumer_name or "",
            link=_link(found.link, found.link_signature),
            reason=found.reason,
        )

    where = path("/v1/requests/{}", request)
    return HttpCall("GET", where, read, credential=Credential.SIGNATURE)


async def wait_for_answer(request: str, seconds: float) -> AskState:
    """Wait until a person has answered: by events, or by asking where they break off.

    Raises:
        ClientError (NOT_ANSWERED): no answer in this time; the ask still waits.
    """
    until = time.monotonic() + seconds
    where = path("/v1/requests/{}/events", request)
    call = HttpCall("GET", where, nothing, credential=Credential.SIGNATURE)
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


def _link(link: dict[str, JsonScalar] | None, signature: str | None) -> SignedLink | None:
    if link is None or signature is None:
        return None
    return SignedLink(record_from_object(SubjectLink, link), from_hex(signature, 65))


# People


def my_inbox() -> HttpCall[tuple[Asked, ...]]:
    """Ask what waits for a subject."""

    def read(answer: Answer) -> tuple[Asked, ...]:
        return tuple(
            Asked(
                entry.request,
                from_hex(entry.subject, 32),
                ask_from_text(entry.ask),
                entry.created_at,
            )
            for entry in msgspec.json.decode(answer.body, type=_Inbox).requests
        )

    return HttpCall("GET", "/v1/inbox", read, credential=Credential.SIGNATURE)


class NewHandle(msgspec.Struct, frozen=True):
    """A handle to hand over in person: a code, a QR."""

    handle: str
    expires_at: int


def new_handle(subject: bytes) -> HttpCall[NewHandle]:
    """Get a handle to a subject's inbox; the subject itself."""
    body = msgspec.json.encode({"subject": to_hex(subject)})
    return HttpCall(
        "POST", "/v1/handles", reader(NewHandle), body=body, credential=Credential.SIGNATURE
    )


def refuse_ask(request: str, reason: str = "") -> HttpCall[None]:
    """Refuse what a consumer asks for.

    Raises:
        PlainTextError: the reason is not plain.
    """
    verify_optional_text("the reason", reason, MAX_MESSAGE)
    body = msgspec.json.encode({"reason": reason})
    where = path("/v1/inbox/{}/refusal", request)
    return HttpCall("POST", where, nothing, body=body, credential=Credential.SIGNATURE)
