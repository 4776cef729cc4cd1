"""HTTP to processes that are asked many times a second: few kept connections, answers in one piece."""

import asyncio
import ssl
from base64 import b64encode
from collections import deque
from dataclasses import dataclass
from typing import Final, Literal, Protocol, cast
from urllib.parse import SplitResult, unquote, urlsplit

import httptools
import urllib3


class HttpError(Exception):
    """A question was not answered; it may have arrived."""

    def __init__(self, message: str, kind: Literal["timeout", "too long", ""] = "") -> None:
        """Take a kind: too late, or longer than it may be; the rest of that was not read."""
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class HttpAnswer:
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

    @property
    def opened(self) -> int:
        """Number of connections so far: behind a new one somebody else may answer."""
        ...

    async def close(self) -> None:
        """Close the connections. May be repeated."""
        ...


_INTERIM: Final = 200
_MAX_BESIDES: Final = 65_536
"""Bytes of headers and chunks that an answer may have besides twice its body: they are kept, too."""
_FIXED: Final = frozenset((b"content-length", b"transfer-encoding"))
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class HttpClient:
    """`HttpAsker` over the network. Nothing is opened before the first question."""

    def __init__(self, url: str, timeout: float, connections: int, most: int, idle: float) -> None:
        """Take where to ask, and the bounds.

        Args:
            url: of the service, `http` or `https`, perhaps with user and password; paths are added to it.
            timeout: seconds for one question and its whole answer.
            connections: open at a time at most; more questions wait for one.
            most: bytes of an answer at most.
            idle: seconds for which an unused connection is kept: less than the service keeps it, so
                that no question is sent on one that is being closed.
        """
        self._url = url
        self._timeout = timeout
        self._most = most
        self._idle = idle
        self._room = asyncio.Semaphore(connections)
        self._service: _Service | None = None
        self._opened = 0
        self._unused: deque[_Connection] = deque()
        self._used: set[_Connection] = set()

    async def ask(self, method: str, path: str, body: bytes = b"") -> HttpAnswer:
        """See `HttpAsker`."""
        try:
            service = self._service = self._service or _Service(self._url)
            request = service.request(method, path, body)
            async with asyncio.timeout(self._timeout), self._room:
                connection = self._take() or await self._open(service)
                return await self._ask(connection, request)
        except TimeoutError as error:
            raise HttpError("no answer in time", "timeout") from error
        except OSError as error:  # before the next: a wrong certificate is of both kinds
            raise HttpError(str(error) or type(error).__name__) from error
        except ValueError as error:
            raise HttpError("not a URL to ask") from error  # its text may hold a password

    @property
    def opened(self) -> int:
        """See `HttpAsker`."""
        return self._opened

    async def close(self) -> None:
        """See `HttpAsker`."""
        for connection in (*self._unused, *self._used):
            connection.close()
        self._unused.clear()

    async def _ask(self, connection: "_Connection", request: bytes) -> HttpAnswer:
        self._used.add(connection)
        try:
            answer = await connection.ask(request)
        except BaseException:
            connection.close()  # what still comes is the answer to nothing
            raise
        finally:
            self._used.discard(connection)
        if connection.is_open:
            connection.unused_at = asyncio.get_running_loop().time()
            self._unused.append(connection)
        else:
            connection.close()
        return answer

    async def _open(self, service: "_Service") -> "_Connection":
        connection = await service.connect(self._most)
        self._opened += 1
        return connection

    def _take(self) -> "_Connection | None":
        """Return the connection that was used last, if it is still good."""
        oldest = asyncio.get_running_loop().time() - self._idle
        while self._unused:
            connection = self._unused.pop()
            if connection.is_open and connection.unused_at > oldest:
                return connection
            connection.close()
        return None


class _Service:
    """Where to connect to, and what each request begins with."""

    def __init__(self, url: str) -> None:
        """Take a URL apart. Raises `ValueError` if it is none."""
        parts = urlsplit(url)
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or not parts.netloc.isascii():
            raise ValueError("not an HTTP URL")
        self._host, self._port = parts.hostname, parts.port or _DEFAULT_PORTS[parts.scheme]
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._base, self._query = parts.path, f"?{parts.query}" if parts.query else ""
        place = parts.netloc.rpartition("@")[2]
        headers = {"host": place} | _authorization(parts) | _HEADERS
        lines = "\r\n".join(f"{name}: {value}" for name, value in headers.items())
        self._head = f" HTTP/1.1\r\n{lines}\r\ncontent-length: "
        _check(self._base + self._query + place)

    async def connect(self, most: int) -> "_Connection":
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: _Connection(most), self._host, self._port, ssl=self._tls
        )
        return connection

    def request(self, method: str, path: str, body: bytes) -> bytes:
        target = (self._base + path or "/") + self._query
        return f"{method} {_check(target)}{self._head}{len(body)}\r\n\r\n".encode() + body


class _Connection(asyncio.Protocol):
    """One connection, on which one question at a time is asked."""

    def __init__(self, most: int) -> None:
        self.is_open = True
        self.unused_at = 0.0
        self._most = most
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[HttpAnswer] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._size = 0
        self._received = 0
        self._is_begun = False
        self._until_closed = True
        """As long as no header says where the answer ends."""

    async def ask(self, request: bytes) -> HttpAnswer:
        """Send a request and return its answer. Raises `HttpError`."""
        if self._transport is None or not self.is_open:
            raise HttpError("the connection was closed")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Close it at once; whoever waits for an answer gets an error."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._received > 2 * self._most + _MAX_BESIDES:
            self._fail(HttpError(f"much more than {self._most} bytes", "too long"))
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(HttpError("the service changes the protocol"))
        except httptools.HttpParserError:
            self._fail(HttpError("what comes back is no HTTP"))

    def connection_lost(self, exc: Exception | None) -> None:
        if self.is_open and exc is None and self._is_begun and self._until_closed:
            self._finish()  # closed by the service, not by us
        self.is_open = False
        self._fail(HttpError("the connection was closed before the answer"))

    # httptools

    def on_message_begin(self) -> None:
        if self._answer is None:
            self.close()  # an answer to nothing

    def on_header(self, name: bytes, value: bytes) -> None:
        del value
        self._until_closed = self._until_closed and name.lower() not in _FIXED

    def on_headers_complete(self) -> None:
        self._is_begun = True

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > self._most:
            self._fail(HttpError(f"more than {self._most} bytes", "too long"))
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() >= _INTERIM:
            self.is_open = self.is_open and bool(self._parser.should_keep_alive())
            self._finish()
        else:
            self._begin()

    def _begin(self) -> None:
        self._body, self._size, self._received = [], 0, 0
        self._is_begun, self._until_closed = False, True

    def _finish(self) -> None:
        waiting, self._answer = self._answer, None
        if waiting is not None and not waiting.done():
            waiting.set_result(HttpAnswer(self._parser.get_status_code(), b"".join(self._body)))
        self._begin()

    def _fail(self, error: HttpError) -> None:
        waiting, self._answer = self._answer, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)
        self.close()


def _check(target: str) -> str:
    """Return what may stand in a request's first lines. Raises `ValueError` for anything else."""
    if not target.isascii() or not target.isprintable() or " " in target:
        raise ValueError("not a part of a URL")
    return target


def _authorization(parts: SplitResult) -> dict[str, str]:
    """Return the header for user and password in a URL."""
    if parts.username is None:
        return {}
    user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"authorization": f"Basic {b64encode(user.encode()).decode()}"}


_HEADERS: Final = {"content-type": "application/json", "accept-encoding": "identity"}


class BlockingHttpClient:
    """`HttpClient` for ordinary code: `ask` keeps its thread waiting. Safe to share between threads."""

    def __init__(self, url: str, timeout: float, connections: int, most: int) -> None:
        """Take where to ask, and the bounds; see `HttpClient`.

        A connection is looked at before it is used again, so that none is that the service closed.
        """
        self._url = url
        self._most = most
        self._timeout = urllib3.Timeout(total=timeout)
        self._pool = urllib3.PoolManager(1, maxsize=connections, block=True)

    async def ask(self, method: str, path: str, body: bytes = b"") -> HttpAnswer:
        """See `HttpAsker`."""
        if not self._url.startswith(("http://", "https://")):
            raise HttpError("not a URL to ask")
        try:
            answer = self._pool.request(
                method,
                self._url + path,
                body=body or None,
                headers=_HEADERS | _authorization(urlsplit(self._url)),
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
            raise HttpError("no answer in time", "timeout") from error
        except ValueError as error:
            raise HttpError("not a URL to ask") from error  # its text may hold a password
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise HttpError(str(error) or type(error).__name__) from error

    async def close(self) -> None:
        """Close the connections. May be repeated."""
        self._pool.clear()

    def _read(self, answer: urllib3.BaseHTTPResponse) -> bytes:
        body = answer.read(self._most + 1)
        if len(body) > self._most:
            answer.close()
            raise HttpError(f"more than {self._most} bytes", "too long")
        return body
