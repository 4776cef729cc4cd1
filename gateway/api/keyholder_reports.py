"""What consumers report of keyholders, and what a regulator sees of it."""

from base64 import b64encode
from typing import Annotated, Final, Self

from fastapi import APIRouter, Request, Response
from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, model_validator

from gateway.api.dependencies import (
    body_schema,
    party_account,
    read_signed,
    require_role,
    services_of,
)
from ledger.crypto.released_parts import MAX_PROOF
from ledger.hexstr import from_hex, to_hex
from ledger.model import Roles

router = APIRouter(prefix="/v1", tags=["supervision"])

MAX_BODY: Final = MAX_PROOF * 4 // 3 + 1024


class KeyholderReportTaken(BaseModel):
    """Either whose parts were wrong, by the consumer's word, or what shows it."""

    model_config = ConfigDict(extra="forbid")

    access: Annotated[str, Field(pattern="^0x[0-9a-f]{64}$")]
    """Id of the consumer's access."""
    keyholder: Annotated[str, Field(pattern="^0x[0-9a-f]{40}$")] | None = None
    """Its address."""
    proof: Base64Bytes | None = None
    """Wrong parts (docs/spec/custody.md); base64."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.keyholder is None) == (self.proof is None):
            raise ValueError("either keyholder or proof")
        return self


class KeyholderReportShown(BaseModel):
    """A report."""

    keyholder: str
    consumer: str
    access: str
    proof: str
    """Base64; empty for a word."""
    reported_at: int


class KeyholderReportsAnswer(BaseModel):
    """All reports."""

    reports: list[KeyholderReportShown]


@router.post("/keyholder-reports", status_code=204, openapi_extra=body_schema(KeyholderReportTaken))
async def report(request: Request) -> Response:
    """Report a keyholder whose parts were wrong, for an access of one's own. Signed by the consumer.

    Words of three consumers raise an alert, one proof does; one consumer counts once, however often it reports.
    """
    reports = services_of(request).keyholder_reports
    consumer, taken = await read_signed(request, KeyholderReportTaken, MAX_BODY)
    await require_role(request, consumer, Roles.CONSUMER)
    access = from_hex(taken.access)
    if taken.proof is not None:
        await reports.take_proof(consumer, access, taken.proof)
    elif taken.keyholder is not None:
        await reports.take_word(consumer, access, from_hex(taken.keyholder))
    return Response(status_code=204)


@router.get("/keyholder-reports")
async def get_reports(request: Request) -> KeyholderReportsAnswer:
    """List what is reported of keyholders, with the proofs; for a regulator."""
    await require_role(request, await party_account(request), Roles.REGULATOR)
    found = await services_of(request).keyholder_reports.list()
    return KeyholderReportsAnswer(
        reports=[
            KeyholderReportShown(
                keyholder=to_hex(one.keyholder),
                consumer=to_hex(one.consumer),
                access=to_hex(one.access),
                proof=b64encode(one.proof or b"").decode("ascii"),
                reported_at=one.reported_at,
            )
            for one in found
        ]
    )
