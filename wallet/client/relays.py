"""Calls by which a person's signed records reach the chain, and what a person sees of its past."""

import msgspec

from ledger.api import SignedLink
from ledger.chain.contract_calls import Approval
from ledger.hexstr import to_hex
from ledger.jsonio import parse_json
from ledger.plain_text import escape_json
from ledger.typed_data import (
    Authorization,
    Confirmation,
    Freeze,
    GuardianAppointment,
    JsonScalar,
    RecoveryVeto,
    Revocation,
    SignedRecord,
    SignerRotation,
    record_from_object,
    record_to_object,
)
from wallet.client.calls import Answer, Bitmap, Credential, HttpCall, OptionalBitmap, path, reader
from wallet.client.errors import ProblemError
from wallet.client.retry import with_retries
from wallet.client.transactions import Mined, read_mined, refusal_in

Act = Revocation | Confirmation | Freeze | SignerRotation | RecoveryVeto | GuardianAppointment

_ROUTES: dict[type[SignedRecord], tuple[str, str]] = {
    Revocation: ("/v1/revocations", "revocation"),
    Confirmation: ("/v1/confirmations", "confirmation"),
    Freeze: ("/v1/freezes", "freeze"),
    SignerRotation: ("/v1/rotations", "rotation"),
    RecoveryVeto: ("/v1/vetoes", "veto"),
    GuardianAppointment: ("/v1/guardians", "appointment"),
}


class Granted(msgspec.Struct, frozen=True):
    """An authorization of a subject, with its state on chain. Ids are 0x strings."""

    id: str
    subject: str
    consumer: str
    dataset: str
    purpose: str
    fields: Bitmap
    """Bitmap, in decimal."""
    not_before: int
    expires_at: int
    max_uses: int
    min_interval: int
    uses: int
    revoked: bool
    halted: bool
    """Frozen, under recovery, or waiting for the new key's confirmation."""
    at: int
    consumer_name: str = ""
    dataset_title: str = ""
    purpose_code: str = ""
    item: str = ""
    last_use: int = 0
    authorization: dict[str, JsonScalar] | None = None
    """As it was signed; None where another gateway relayed it."""

    @property
    def record(self) -> Authorization | None:
        """The record as it was signed, with the statement."""
        signed = self.authorization
        return None if signed is None else record_from_object(Authorization, signed)


class GrantedPage(msgspec.Struct, frozen=True):
    """Some of a subject's authorizations, the newest first."""

    authorizations: tuple[Granted, ...]
    elsewhere: tuple[Granted, ...] = ()
    """Those whose signed record this gateway does not have."""
    cursor: str | None = None


class HistoryEntry(msgspec.Struct, frozen=True):
    """One thing that happened around a subject, as the gateway tells it."""

    kind: str
    at: int
    block_number: int = 0
    subject: str = ""
    authorization: str = ""
    consumer: str = ""
    consumer_name: str = ""
    dataset: str = ""
    dataset_title: str = ""
    fields: OptionalBitmap = ""
    outcome: str = ""
    sequence: int = 0
    access: str = ""
    transaction: str = ""
    release: str = ""
    """Of an allowed access, as far as the gateway's journal knows: `handed-out`, `open` or
    `never-handed-out`."""
    voided: bool = False
    """Whether a regulator gave the use back."""


class HistoryPage(msgspec.Struct, frozen=True):
    """Some of a subject's history, the newest first."""

    entries: tuple[HistoryEntry, ...]
    cursor: str | None = None


def relay_authorization(
    record: Authorization, approval: Approval, link: SignedLink, request: str | None
) -> HttpCall[Mined]:
    """Bring a signed authorization on chain; `request` is the id of the consent request that it answers."""
    body = {
        "authorization": record_to_object(record),
        "approval": _approval(approval),
        "link": record_to_object(link.link),
        "link_signature": to_hex(link.signature),
        "request": request,
    }
    return HttpCall("POST", "/v1/authorizations", read_mined, body=msgspec.json.encode(body))


def relay_act(act: Act, approval: Approval) -> HttpCall[Mined]:
    """Bring another signed record of a person on chain."""
    where, name = _ROUTES[type(act)]
    body = {name: record_to_object(act), "approval": _approval(approval)}
    return HttpCall("POST", where, read_mined, body=msgspec.json.encode(body))


async def relayed(call: HttpCall[Mined]) -> Mined:
    """Relay, as often as it takes; it may be repeated.

    Raises:
        RefusedError: the contract refuses; `error` says why.
        ClientError: it could not be relayed.
    """
    try:
        return await with_retries(call)
    except ProblemError as error:
        raise refusal_in(error) from error


def my_authorizations(cursor: str | None = None) -> HttpCall[GrantedPage]:
    """Ask for what a subject granted, the newest first."""
    where = path("/v1/authorizations", cursor=cursor)
    return HttpCall("GET", where, reader(GrantedPage), credential=Credential.SIGNATURE)


def my_history(cursor: str | None = None) -> HttpCall[HistoryPage]:
    """Ask for what happened around a subject."""
    where = path("/v1/history", cursor=cursor)
    return HttpCall("GET", where, reader(HistoryPage), credential=Credential.SIGNATURE)


def my_receipt(access: bytes) -> HttpCall[bytes]:
    """Ask for the receipt of an access (ISO/IEC TS 27560), as JSON that is plain text."""

    def read(answer: Answer) -> bytes:
        parse_json(answer.body)  # deep, it would be laid out over gigabytes of blanks
        return escape_json(answer.body.decode()).encode()

    where = path("/v1/receipts/{}", access)
    return HttpCall("GET", where, read, credential=Credential.SIGNATURE)


def _approval(approval: Approval) -> dict[str, str]:
    return {"signer": to_hex(approval.signer), "signature": to_hex(approval.signature)}
