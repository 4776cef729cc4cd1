"""What the routes share: bodies, who sent the request, and the services behind it."""

from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import Request

from gateway.api.presenters import Presenter
from gateway.auth import Principal
from gateway.errors import ForbiddenError, UnknownError
from gateway.services import Services
from ledger.api.forms import Body
from ledger.api.supervision import AccessesAnswer
from ledger.hexstr import from_hex
from ledger.index.queries import Selection
from ledger.index.rows import DatasetEntry, PartyEntry, SubjectEntry
from ledger.model import Roles
from ledger.service import request_body

_PAGE: Final = 100

BodyT = TypeVar("BodyT", bound=Body)


_LOOK_AGAIN: Final = 5.0
"""Seconds after which a stream looks by itself: another gateway may have stored what is new, and a right may
have ended."""


class Listener:
    """Who hears a stream, and for how long."""

    def __init__(self, request: Request, principal: Principal | None = None) -> None:
        self._authenticator = services_of(request).authenticator
        self._topics = services_of(request).topics
        self._principal = self._authenticator.stranger() if principal is None else principal

    @property
    def is_over(self) -> bool:
        """Whether nothing more is told, whatever rights there are."""
        return self._authenticator.left(self._principal) <= 0

    async def wait(self, *topics: str) -> None:
        """Wait until one of these topics is touched, or it is time to look again."""
        left = self._authenticator.left(self._principal)
        await self._topics.wait(max(min(_LOOK_AGAIN, left), 0), *topics)


def services_of(request: Request) -> Services:
    """Return everything that the app works with."""
    found: Services = request.app.state.services
    return found


async def read_body(request: Request, limit: int) -> bytes:
    """Return a body. Raises as `ledger.service.request_body.read_body` does."""
    return await request_body.read_body(request, limit, services_of(request).settings.body_timeout)


async def read_model(request: Request, model: type[BodyT]) -> BodyT:
    """Return what a JSON body says.

    Raises:
        BodyError: It is too large, too slow, or not of this form.
    """
    settings = services_of(request).settings
    return await request_body.read_model(request, model, settings.body_limit, settings.body_timeout)


async def read_signed(
    request: Request, model: type[BodyT], limit: int | None = None
) -> tuple[bytes, BodyT]:
    """Return who signed a request (ERC-7913 bytes), and what its JSON body says.

    Raises:
        BodyError: The body is too large, too slow, or not of this form.
        UnauthenticatedError: The request is not rightly signed.
    """
    request_body.check_json(request)
    services = services_of(request)
    body = await read_body(request, limit or services.settings.body_limit)
    principal = await services.authenticator.principal(request, body)
    return principal.signer, request_body.parse_model(body, model)


async def principal_of(request: Request) -> Principal:
    """Return who sent a request without a body.

    Raises:
        UnauthenticatedError: The request is not rightly signed.
    """
    services = services_of(request)
    body = await read_body(request, services.settings.body_limit)
    return await services.authenticator.principal(request, body)


async def party_account(request: Request) -> bytes:
    """Return the account that signed a request without a body.

    Raises:
        UnauthenticatedError: The request is not rightly signed.
        ForbiddenError: A passkey signed it.
    """
    return (await principal_of(request)).account


async def subjects_of(request: Request, signer: bytes | None = None) -> tuple[SubjectEntry, ...]:
    """Return the subjects for which the signer of a request signs now.

    Raises:
        UnauthenticatedError: The request is not rightly signed.
        ForbiddenError: There are none.
    """
    signer = (await principal_of(request)).signer if signer is None else signer
    services = services_of(request)
    found = await services.index.subjects_of(signer)
    if not found:
        await services.freshness.catch_up()
        found = await services.index.subjects_of(signer)
    if not found:
        raise ForbiddenError("the signer does not sign for any subject now", "not-a-subject")
    return found


async def dataset_of(request: Request, dataset: str) -> DatasetEntry:
    """Return a dataset by its id in hex.

    Raises:
        UnknownError: There is none.
    """
    services = services_of(request)
    identifier = from_hex(dataset)
    found = await services.freshness.find(lambda: services.index.snapshot.datasets.get(identifier))
    if found is None:
        raise UnknownError("dataset")
    return found


async def party_in(request: Request, address: bytes, role: Roles) -> PartyEntry | None:
    """Return a party if it has a role now."""
    services = services_of(request)
    return await services.freshness.find(lambda: services.index.snapshot.party(address, role))


async def require_role(request: Request, address: bytes, role: Roles) -> bytes:
    """Return an address if it is a party's that has a role now, not only when it registered something.

    Raises:
        ForbiddenError: It is none.
    """
    if await party_in(request, address, role) is None:
        needed = str(role.name).lower().replace("_", " ")
        raise ForbiddenError(f"needs a party that is admitted now as {needed}", "role-missing")
    return address


async def access_page(
    services: Services, selection: Selection, cursor: int | None
) -> AccessesAnswer:
    """Return a page of accesses, the newest first, and which of them were handed out."""
    index = services.index
    entries = await index.accesses(selection, before=cursor, limit=_PAGE)
    releases, shower = await services.release_states(entries), Presenter(index.snapshot)
    return AccessesAnswer(
        accesses=tuple([shower.access(entry, releases) for entry in entries]),
        cursor=str(entries[-1].sequence) if len(entries) == _PAGE else None,
    )


def encode(answer: object) -> str:
    """Return an answer as the JSON of an event."""
    return msgspec.json.encode(answer).decode()


def body_schema(model: type[Body]) -> dict[str, Any]:
    """Return what OpenAPI is told of a JSON body that the route reads itself."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _inlined(schema)}},
        }
    }


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """Put definitions in the places that refer to them: no route adds components of its own."""
    definitions: dict[str, Any] = schema.pop("$defs", {})

    def replace(value: Any) -> Any:
        if isinstance(value, dict):
            name = str(value.get("$ref", "")).rpartition("/")[2]
            return (
                replace(definitions[name])
                if name in definitions
                else {key: replace(one) for key, one in value.items()}
            )
        return [replace(one) for one in value] if isinstance(value, list) else value

    found: dict[str, Any] = replace(schema)
    return found
