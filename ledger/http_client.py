"""Asking another process over HTTP, many times a second: one base URL, few connections, kept open.

aiohttp and urllib3 rather than httpx: a question costs 0.16 ms of processor time instead of 0.89, from
ordinary code 0.32 ms instead of 0.48, and an access takes several.
"""

import base64
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import unquote

import aiohttp
import urllib3

_HEADERS: Final = {"content-type": "application/json", "accept-encoding": "identity"}
_SKIPPED: Final = frozenset({"User-Agent", "Accept"})


class HttpError(Exception):
    """A question was not answered; it may have arrived."""


class HttpTimeoutError(HttpError):
    """The answer did not come in time."""


class AnswerTooLongError(HttpError):
    """The answer is longer than it may be; the rest of it was not read."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """Status and body."""

    status: int
    body: bytes


class HttpAsker(Protocol):
    """Somebody who can be asked. Belongs to one event loop; safe for concurrent use in it."""

    async def ask(self, method: str, path: str, body: bytes = b"") -> HttpAnswer:
        """Send a request and return the answer, whatever its status.

        Raises:
            HttpError: there is none, or it is too long.
        """
        ...

    async def close(self) -> None:
        """Close the connections. May be repeated."""
        ...


class HttpClient:
    """`HttpAsker` over the network. Nothing is opened before the first question."""

    def __init__(
        self, url: str, *, timeout: float, connections: int, most: int, idle: float
    ) -> None:
        """Take where to ask, and the bounds.

        Args:
            url: of the service; paths are added to it.
            timeout: seconds for one question and its whole answer.
            connections: open at a time at most; more questions wait for one.
            most: bytes of an answer at most.
            idle: seconds for which an unused connection is kept: less than the service keeps it, so
                that no question is sent on one that is being closed.
        """
        self._url = url
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._connections = connections
        self._most = most
        self._idle = idle
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, method: str, path: str, body: bytes = b"") -> HttpAnswer:
        """See `HttpAsker`."""
        session = self._session or self._open()
        try:
            async with session.request(method, self._url + path, data=body or None) as answer:
                return HttpAnswer(answer.status, await self._read(answer))
        except TimeoutError as error:  # aiohttp's own are of this kind too
            raise HttpTimeoutError("no answer in time") from error
        except ValueError as error:
            raise HttpError("not a URL to ask") from error  # its text may hold a password
        except (aiohttp.ClientError, OSError) as error:
            raise HttpError(str(error) or type(error).__name__) from error

    async def close(self) -> None:
        """See `HttpAsker`."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        if answer.content_length is not None and answer.content_length <= self._most:
            return await answer.read()
        body = bytearray()
        async for part in answer.content.iter_any():
            body += part
            if len(body) > self._most:
                raise AnswerTooLongError(f"more than {self._most} bytes")
        return bytes(body)

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=self._idle),
            timeout=self._timeout,
            headers=_HEADERS,
            skip_auto_headers=_SKIPPED,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        return self._session


class BlockingHttpClient:
    """The same for ordinary code. Safe to share between threads."""

    def __init__(self, url: str, *, timeout: float, connections: int, most: int) -> None:
        """Take where to ask, and the bounds; see `HttpClient`.

        A connection is looked at before it is used again, so that none is that the service closed.
        """
        self._url = url
        self._most = most
        self._timeout = urllib3.Timeout(total=timeout)
        self._pool = urllib3.PoolManager(1, maxsize=connections, block=True)

    def ask(self, method: str, path: str, body: bytes = b"") -> HttpAnswer:
        """See `HttpAsker`."""
        if not self._url.startswith(("http://", "https://")):
            raise HttpError("not a URL to ask")
        try:
            answer = self._pool.request(
                method,
                self._url + path,
                body=body or None,
                headers=_HEADERS | _authorization(self._url),
                timeout=self._timeout,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                return HttpAnswer(answer.status, self._read(answer))
            finally:
                answer.release_conn()
        except urllib3.exceptions.NewConnectionError as error:  # of the next kind, by its history
            raise HttpError(str(error)) from error
        except urllib3.exceptions.TimeoutError as error:
            raise HttpTimeoutError("no answer in time") from error
        except ValueError as error:
            raise HttpError("not a URL to ask") from error  # its text may hold a password
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise HttpError(str(error) or type(error).__name__) from error

    def close(self) -> None:
        """Close the connections. May be repeated."""
        self._pool.clear()

    def _read(self, answer: urllib3.BaseHTTPResponse) -> bytes:
        body = answer.read(self._most + 1)
        if len(body) > self._most:
            answer.close()
            raise AnswerTooLongError(f"more than {self._most} bytes")
        return body


def _authorization(url: str) -> dict[str, str]:
    """Return the header for user and password in a URL, as aiohttp sends it by itself."""
    auth = urllib3.util.parse_url(url).auth
    if auth is None:
        return {}
    return {"authorization": "Basic " + base64.b64encode(unquote(auth).encode()).decode()}
