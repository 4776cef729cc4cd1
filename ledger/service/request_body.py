"""Request bodies: never more than a limit, never slower than a rate, understood in one way only.

The only way in which a service of ours reads a body: a framework holds whatever comes, for as long
as it comes.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final, TypeVar

from starlette.requests import Request
from starlette.types import Receive

from ledger.api.forms import Body
from ledger.errors import LedgerError
from ledger.jsonio import parse_json
from ledger.service.errors import BodyError, BodyFault, ThrottledError, body_too_large

BodyT = TypeVar("BodyT", bound=Body)

USUAL_TIMEOUT: Final = 20.0
"""Seconds for which a body may be behind its least rate."""

MIN_RATE: Final = 32 * 1024
"""Bytes per second that a body comes with at least, on average: who sends a byte now and then holds a
connection for as long as it likes otherwise."""

SMALL: Final = 64 * 1024
"""Bytes of a body that always has room: as many as there may be connections, they do not fill the memory."""

MAX_HELD: Final = 256 * 1024 * 1024
"""Bytes that all larger bodies may hold together while they come."""

_JSON: Final = "application/json"

_held = 0


async def read_pieces(receive: Receive, limit: int, patience: float) -> AsyncIterator[bytes]:
    """Yield the pieces of a body, which may be behind `MIN_RATE` for `patience` seconds.

    Raises:
        BodyError: It is longer than `limit` bytes (the rest is not read), it comes too slowly,
            or the client is gone.
    """
    size, began = 0, time.monotonic()
    while True:
        left = began + patience + size / MIN_RATE - time.monotonic()
        try:
            async with asyncio.timeout(left):
                message = await receive()
        except TimeoutError as error:
            raise BodyError("the body did not come in time", BodyFault.TOO_SLOW) from error
        if message["type"] == "http.disconnect":
            raise BodyError("the client is gone", BodyFault.TOO_SLOW)
        piece: bytes = message.get("body", b"")
        size += len(piece)
        if size > limit:
            raise body_too_large(limit)
        if piece:
            yield piece
        if not message.get("more_body"):
            return


async def stream_body(request: Request, limit: int, patience: float) -> AsyncIterator[bytes]:
    """Yield the pieces of a body; one that says that it is too long is not begun. See `read_pieces`."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and (len(length) > 18 or int(length) > limit):
        raise body_too_large(limit)
    async for piece in read_pieces(request.receive, limit, patience):
        yield piece


async def read_body(request: Request, limit: int, patience: float = USUAL_TIMEOUT) -> bytes:
    """Return a body. Raises as `stream_body` does, or `ThrottledError` as `collect`."""
    return await collect(stream_body(request, limit, patience))


async def collect(pieces: AsyncIterator[bytes]) -> bytes:
    """Return a body in one piece; `ThrottledError` if it is large, and too many large ones are on their way."""
    global _held  # noqa: PLW0603  the memory is the process's
    body, held = bytearray(), 0
    try:
        async for piece in pieces:
            body += piece
            if len(body) > SMALL:
                if _held + len(body) - held > MAX_HELD:
                    raise ThrottledError(1, "too many large bodies are on their way")
                _held, held = _held + len(body) - held, len(body)
        return bytes(body)
    finally:
        _held -= held


async def read_model(
    request: Request, model: type[BodyT], limit: int, patience: float = USUAL_TIMEOUT
) -> BodyT:
    """Return what a JSON body says. Raises `BodyError`."""
    check_json(request)
    return parse_model(await read_body(request, limit, patience), model)


def check_json(request: Request) -> None:
    """Check that a body says that it is JSON; else `BodyError`."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != _JSON:
        raise BodyError(f"send {_JSON}", BodyFault.MEDIA_TYPE)


def parse_model(body: bytes, model: type[BodyT]) -> BodyT:
    """Return what a JSON body says.

    Raises:
        BodyError: There is none, or it is not strict JSON of this form; the message shows no
            value.
    """
    if not body:
        raise BodyError("a body is needed", BodyFault.MISSING)
    try:
        parse_json(body)  # refuses repeats and depth
        return model.parse(body)
    except LedgerError as error:
        raise BodyError(str(error)) from error
