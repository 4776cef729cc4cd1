"""Request bodies, read up to a limit."""

from starlette.requests import Request

from wallet.service.problems import TOO_LARGE, ProblemError


async def read_body(request: Request, most_bytes: int) -> bytes:
    """Return a request's body.

    Raises:
        ProblemError: It is longer; the rest of it is not read.
    """
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most_bytes:
        raise _too_large(most_bytes)
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > most_bytes:
            raise _too_large(most_bytes)
    return bytes(parts)


def _too_large(most_bytes: int) -> ProblemError:
    return ProblemError(TOO_LARGE, f"at most {most_bytes} bytes are taken")
