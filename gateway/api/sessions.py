"""Sessions for browsers: a challenge, an answer, a token that lasts a quarter of an hour."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from gateway.api.dependencies import body_schema, read_model, services_of
from gateway.api.models import Bytes, Taken
from ledger.hexstr import from_hex

router = APIRouter(prefix="/v1", tags=["sessions"])


class ChallengeWanted(Taken):
    """Whose session: ERC-7913 bytes of an account or a passkey."""

    signer: Bytes


class ChallengeAnswer(BaseModel):
    """The text to sign (EIP-191; for a passkey its digest is the challenge)."""

    challenge: str
    expires_at: int


class SessionWanted(Taken):
    """A challenge and its signature."""

    challenge: Annotated[str, Field(max_length=2000)]
    signer: Bytes
    signature: Bytes


class SessionAnswer(BaseModel):
    """Send the token as `Authorization: Bearer`."""

    token: str
    expires_at: int


@router.post("/sessions/challenge", status_code=201, openapi_extra=body_schema(ChallengeWanted))
async def give_challenge(request: Request) -> ChallengeAnswer:
    """Give a text to sign."""
    taken = await read_model(request, ChallengeWanted)
    challenge = services_of(request).authenticator.challenge(from_hex(taken.signer), request)
    return ChallengeAnswer(challenge=challenge.text, expires_at=challenge.expires_at)


@router.post("/sessions", status_code=201, openapi_extra=body_schema(SessionWanted))
async def begin_session(request: Request) -> SessionAnswer:
    """Begin a session with a signed challenge."""
    taken = await read_model(request, SessionWanted)
    session = await services_of(request).authenticator.begin_session(
        taken.challenge, from_hex(taken.signer), from_hex(taken.signature)
    )
    return SessionAnswer(token=session.token, expires_at=session.expires_at)
