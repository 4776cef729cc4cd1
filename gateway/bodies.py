"""Request bodies: read up to a limit, not slower than allowed, and understood strictly."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from gateway.errors import (
    BodyTooLargeError,
    MalformedBodyError,
    MediaTypeError,
    MissingBodyError,
    SlowBodyError,
)
from ledger.strict_json import JsonError, parse_json

ModelT = TypeVar("ModelT", bound=BaseModel)

_JSON: Final = "application/json"
_PROBLEMS_TOLD: Final = 5


async def stream_body(request: Request, limit: int, patience: float) -> AsyncIterator[bytes]:
    """Yield the pieces of a body.

    Args:
        request: Whose.
        limit: Bytes at most.
        patience: Seconds to wait for the next piece.

    Raises:
        BodyTooLargeError: It is longer; the rest is not read.
        SlowBodyError: A piece did not come in time, or the client is gone.
    """
    length = request.headers.get("content-length", "")
    if length.isdecimal() and (len(length) > 18 or int(length) > limit):
        raise BodyTooLargeError(limit)
    size = 0
    pieces = request.stream().__aiter__()
    while True:
        try:
            async with asyncio.timeout(patience):
                piece = await anext(pieces, None)
        except (TimeoutError, ClientDisconnect) as error:
            raise SlowBodyError("the body did not come in time") from error
        if piece is None:
            return
        size += len(piece)
        if size > limit:
            raise BodyTooLargeError(limit)
        yield piece


async def read_whole(request: Request, limit: int, patience: float) -> bytes:
    """Return a body. Raises as `stream_body` does."""
    return b"".join([piece async for piece in stream_body(request, limit, patience)])


def check_json(request: Request) -> None:
    """Check that a body says that it is JSON.

    Raises:
        MediaTypeError: It says something else.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != _JSON:
        raise MediaTypeError(_JSON)


def parse_model(body: bytes, model: type[ModelT]) -> ModelT:
    """Return what a JSON body says.

    Raises:
        MissingBodyError: There is none.
        MalformedBodyError: It is not strict JSON, or not of this form; the message shows no value.
    """
    if not body:
        raise MissingBodyError("a body is needed")
    try:
        return model.model_validate(parse_json(body))
    except JsonError as error:
        raise MalformedBodyError(str(error)) from error
    except ValidationError as error:
        told = error.errors(include_url=False, include_input=False)[:_PROBLEMS_TOLD]
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in told)
        raise MalformedBodyError(problems) from error
