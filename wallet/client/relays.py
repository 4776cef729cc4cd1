"""Calls by which a person's signed records reach the chain, and what a person sees of its past."""

from typing import Final

from ledger.api import SignedLink, relay
from ledger.api.forms import Body
from ledger.api.supervision import AuthorizationsAnswer, HistoryAnswer
from ledger.chain.contract_calls import Approval
from ledger.jsonio import parse_json
from ledger.plain_text import escape_json
from ledger.typed_data import (
    Authorization,
    Confirmation,
    Freeze,
    GuardianAppointment,
    RecoveryVeto,
    Revocation,
    SignedRecord,
    SignerRotation,
)
from wallet.client.calls import Answer, HttpCall, path, reader, signed_get
from wallet.client.errors import ProblemError
from wallet.client.retry import with_retries
from wallet.client.transactions import Mined, read_mined, refusal_in

Act = Revocation | Confirmation | Freeze | SignerRotation | RecoveryVeto | GuardianAppointment

_ROUTES: Final[dict[type[SignedRecord], tuple[str, type[Body], str]]] = {
    Revocation: ("/v1/revocations", relay.RevocationToRelay, "revocation"),
    Confirmation: ("/v1/confirmations", relay.ConfirmationToRelay, "confirmation"),
    Freeze: ("/v1/freezes", relay.FreezeToRelay, "freeze"),
    SignerRotation: ("/v1/rotations", relay.RotationToRelay, "rotation"),
    RecoveryVeto: ("/v1/vetoes", relay.VetoToRelay, "veto"),
    GuardianAppointment: ("/v1/guardians", relay.GuardianToRelay, "appointment"),
}
"""Path, body, and the body's member for the record."""


def relay_authorization(
    record: Authorization, approval: Approval, link: SignedLink, request: str | None
) -> HttpCall[Mined]:
    """Bring a signed authorization on chain; `request` is the id of the consent request that it answers."""
    body = relay.AuthorizationToRelay(
        authorization=record,
        approval=_approval(approval),
        link=link.link,
        link_signature=link.signature,
        request=request,
    )
    return HttpCall("POST", "/v1/authorizations", read_mined, body=body.encode())


def relay_act(act: Act, approval: Approval) -> HttpCall[Mined]:
    """Bring another signed record of a person on chain."""
    where, kind, member = _ROUTES[type(act)]
    body = kind.of({member: act, "approval": _approval(approval)})
    return HttpCall("POST", where, read_mined, body=body.encode())


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


def my_authorizations(cursor: str | None = None) -> HttpCall[AuthorizationsAnswer]:
    """Ask for what a subject granted, the newest first."""
    return signed_get(path("/v1/authorizations", cursor=cursor), reader(AuthorizationsAnswer))


def my_history(cursor: str | None = None) -> HttpCall[HistoryAnswer]:
    """Ask for what happened around a subject."""
    return signed_get(path("/v1/history", cursor=cursor), reader(HistoryAnswer))


def my_receipt(access: bytes) -> HttpCall[bytes]:
    """Ask for the receipt of an access (ISO/IEC TS 27560), as JSON that is plain text."""

    def read(answer: Answer) -> bytes:
        parse_json(answer.body)  # deep, it would be laid out over gigabytes of blanks
        return escape_json(answer.body.decode()).encode()

    return signed_get(path("/v1/receipts/{}", access), read)


def _approval(approval: Approval) -> relay.Approval:
    return relay.Approval(signer=approval.signer, signature=approval.signature)
