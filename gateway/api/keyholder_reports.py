"""What consumers report of keyholders, and what a regulator sees of it."""

from base64 import b64encode
from typing import Final

from fastapi import APIRouter, Request, Response

from gateway.api.dependencies import (
    body_schema,
    party_account,
    read_signed,
    require_role,
    services_of,
)
from ledger.api.forms import answer_of
from ledger.api.supervision import (
    KeyholderReportsAnswer,
    KeyholderReportShown,
    KeyholderReportTaken,
)
from ledger.crypto.released_parts import MAX_PROOF
from ledger.model import Roles

router = APIRouter(prefix="/v1", tags=["supervision"])

MAX_BODY: Final = MAX_PROOF * 4 // 3 + 1024


@router.post("/keyholder-reports", status_code=204, openapi_extra=body_schema(KeyholderReportTaken))
async def report(request: Request) -> Response:
    """Report a keyholder whose parts were wrong, for an access of one's own. Signed by the consumer.

    Words of three consumers raise an alert, one proof does; one consumer counts once, however often it reports.
    """
    reports = services_of(request).keyholder_reports
    consumer, taken = await read_signed(request, KeyholderReportTaken, MAX_BODY)
    await require_role(request, consumer, Roles.CONSUMER)
    if taken.proof is not None:
        await reports.take_proof(consumer, taken.access, taken.proof)
    elif taken.keyholder is not None:
        await reports.take_word(consumer, taken.access, taken.keyholder)
    return Response(status_code=204)


@router.get("/keyholder-reports")
async def get_reports(request: Request) -> KeyholderReportsAnswer:
    """List what is reported of keyholders, with the proofs; for a regulator."""
    await require_role(request, await party_account(request), Roles.REGULATOR)
    reports = await services_of(request).keyholder_reports.list()
    return KeyholderReportsAnswer(
        tuple(
            answer_of(KeyholderReportShown, report, proof=b64encode(report.proof or b"").decode())
            for report in reports
        )
    )
