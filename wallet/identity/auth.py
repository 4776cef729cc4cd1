"""The callers, each an officer, a party or a subject, and the bodies that they send."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from starlette.requests import Request

from ledger.api.forms import Body
from ledger.service.app import FORBIDDEN, ProblemError
from ledger.service.request_body import parse_model, read_body
from wallet.identity.errors import NOT_A_SUBJECT, IdentityError
from wallet.identity.services import Services
from wallet.identity.store import SubjectRow

BodyT = TypeVar("BodyT", bound=Body)

MAX_BYTES = 256 * 1024
_BEARER = "bearer "


async def signed(
    services: Services,
    request: Request,
    model: type[BodyT],
    admit: Callable[[bytes], Awaitable[object]],
) -> tuple[bytes, BodyT]:
    """Return who signed a request, and its body; raises as `Authenticator.signer` and `parse_model`."""
    address, body = await services.authenticator.signer(request, MAX_BYTES, admit)
    return address, parse_model(body, model)


async def by_officer(
    services: Services, request: Request, model: type[BodyT]
) -> tuple[bytes, BodyT]:
    """Return which officer signed a request, and its body; raises as `signed`, `verify_officer`."""
    return await signed(services, request, model, partial(verify_officer, services))


async def verify_officer(services: Services, address: bytes) -> None:
    """Raises `ProblemError` for an address that is no officer's."""
    if address not in services.settings.officer_addresses:
        raise ProblemError(FORBIDDEN, "only an officer of the identity authority does this")


async def by_subject(services: Services, request: Request) -> tuple[SubjectRow, bytes]:
    """Return which subject calls, by a signed request or by a session, and the body.

    The signer is the one that the chain names now: one that was rotated away or replaced is nobody's.

    Raises:
        HttpSignatureError, IdentityError, ProblemError: It is nobody who is a subject.
    """
    authorization = request.headers.get("authorization", "")
    if authorization.lower().startswith(_BEARER):
        signer = services.sessions.signer(authorization[len(_BEARER) :].strip())
        row = await _subject_of(services, signer)
        body = await read_body(request, MAX_BYTES)
    else:
        rows: list[SubjectRow] = []

        async def admit(signer: bytes) -> None:
            rows.append(await _subject_of(services, signer))

        _, body = await services.authenticator.signer(request, MAX_BYTES, admit)
        (row,) = rows
    services.limits.subjects.take(row.subject)
    return row, body


async def _subject_of(services: Services, signer: bytes) -> SubjectRow:
    for row in await services.store.subjects_signed_by(signer):
        state = await services.chain.subject(row.subject)
        # A closed id was stolen: its key gets neither links nor lists, nor ids that hang on it.
        if state.signer == signer and not state.closed:
            return row
    raise IdentityError(NOT_A_SUBJECT, "the signer is no registered subject's")
