"""Consumers, people and gateway: handles, consent requests, the inbox."""

import secrets
import time
from dataclasses import dataclass
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, Field, GetPydanticSchema, model_validator
from pydantic_core import core_schema

from ledger.api.forms import Address, Body, Bytes, Hash, Text20, Text32
from ledger.api.relay import ConsentRequestId
from ledger.crypto.statement import case_reference, new_reference
from ledger.plain_text import MAX_MESSAGE, verify_case_number, verify_optional_text

ALL: Final = bytes(32)
"""For `item`: every record that the basis covers."""

_SALT_SIZE: Final = 32
_WEEK: Final = 7 * 86_400


def _bitmap(_type: Any, _handler: Any) -> core_schema.CoreSchema:
    text = core_schema.no_info_after_validator_function(
        int, core_schema.str_schema(pattern=r"^[0-9]{1,78}$")
    )
    return core_schema.json_or_python_schema(
        json_schema=text,
        python_schema=core_schema.union_schema([core_schema.int_schema(), text]),
        serialization=core_schema.plain_serializer_function_ser_schema(str, when_used="json"),
    )


class ConsentRequest(Body):
    """What a consumer asks a person for. The case number reaches the chain as a salted hash only."""

    consumer: Address
    dataset: Hash
    item: Hash
    """Root of one record; zeros for all."""
    purpose: Hash
    fields: Annotated[int, GetPydanticSchema(_bitmap)]
    """Bitmap over the dataset's schema."""
    case_number: str
    case_salt: Hash
    case_reference: Hash
    """What the chain sees of the case number."""
    reference: str
    """128 random bits (`ledger.crypto.statement.new_reference`), which end the statement."""
    not_before: int
    expires_at: int
    max_uses: int
    min_interval: int
    deadline: int
    """Until when the person may answer, seconds since 1970."""
    message: str = ""

    @model_validator(mode="after")
    def _check_case(self) -> Self:
        if case_reference(self.case_number, self.case_salt) != self.case_reference:
            raise ValueError("case_reference is not that of the case number and its salt")
        return self


def new_consent_request(
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
    """Make a consent request, with a fresh reference number and a fresh salt for its case number.

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
        MalformedError: a member is of another type.
    """
    verify_case_number(case_number)
    verify_optional_text("the message", message, MAX_MESSAGE)
    present = int(time.time()) if now is None else now
    salt = secrets.token_bytes(_SALT_SIZE)
    members = {
        "consumer": consumer,
        "dataset": dataset,
        "item": item,
        "purpose": purpose,
        "fields": fields,
        "case_number": case_number,
        "case_salt": salt,
        "case_reference": case_reference(case_number, salt),
        "reference": new_reference(),
        "not_before": not_before,
        "expires_at": expires_at,
        "max_uses": max_uses,
        "min_interval": min_interval,
        "deadline": min(expires_at, present + _WEEK) if deadline is None else deadline,
        "message": message,
    }
    return ConsentRequest.of(members)


class HandleWanted(Body):
    """For which subject."""

    subject: Hash


@dataclass(frozen=True, slots=True)
class HandleAnswer:
    """Shown once; only its hash is kept."""

    handle: Text32
    expires_at: int


class AskTaken(Body):
    """An ask for the person that a handle leads to."""

    handle: Hash
    ask: dict[str, str | int]
    """See `ConsentRequest`."""
    signature: Bytes | None = None
    """Not needed: the request itself is signed."""


@dataclass(frozen=True, slots=True)
class AskCreated:
    """Under which id to ask for the answer."""

    request: ConsentRequestId


@dataclass(frozen=True, slots=True)
class AskAnswer:
    """How an ask stands; what comes with a grant is null before."""

    request: ConsentRequestId
    state: str
    """pending, granted, refused or expired."""
    reason: str
    created_at: int
    expires_at: int
    subject: Text32 | None = None
    authorization_id: Text32 | None = None
    authorization: dict[str, Any] | None = None
    approval: dict[str, str] | None = None
    consumer_name: str | None = None
    """As of the grant's place on chain: what the statement says."""
    link: dict[str, Any] | None = None
    link_signature: str | None = None
    transaction: Text32 | None = None


@dataclass(frozen=True, slots=True)
class InboxEntry:
    """An ask as the person sees it."""

    request: ConsentRequestId
    subject: Text32
    consumer: Text20
    consumer_name: str
    ask: dict[str, Any]
    created_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class InboxAnswer:
    """What waits, the newest first."""

    requests: tuple[InboxEntry, ...]


def _plain(text: str) -> str:
    return verify_optional_text("the reason", text, MAX_MESSAGE)


class RefusalTaken(Body):
    """Why; shown to the consumer."""

    reason: Annotated[str, Field(max_length=MAX_MESSAGE), AfterValidator(_plain)] = ""
