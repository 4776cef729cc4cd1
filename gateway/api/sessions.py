"""Sessions for browsers: a challenge, an answer, a token that lasts a quarter of an hour."""

from fastapi import APIRouter, Request

from gateway.api.dependencies import body_schema, read_model, services_of
from ledger.api.identity import ChallengeAnswer, ChallengeWanted, SessionAnswer, SessionWanted

router = APIRouter(prefix="/v1", tags=["sessions"])


@router.post("/sessions/challenge", status_code=201, openapi_extra=body_schema(ChallengeWanted))
async def give_challenge(request: Request) -> ChallengeAnswer:
    """Give a text to sign."""
    taken = await read_model(request, ChallengeWanted)
    challenge = services_of(request).authenticator.challenge(taken.signer, request)
    return ChallengeAnswer(challenge=challenge.text, expires_at=challenge.expires_at)


@router.post("/sessions", status_code=201, openapi_extra=body_schema(SessionWanted))
async def begin_session(request: Request) -> SessionAnswer:
    """Begin a session with a signed challenge."""
    taken = await read_model(request, SessionWanted)
    session = await services_of(request).authenticator.begin_session(
        taken.challenge, taken.signer, taken.signature
    )
    return SessionAnswer(token=session.token, expires_at=session.expires_at)
