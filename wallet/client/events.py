"""Server-sent events, read line by line.

Source: WHATWG HTML, section 9.2.6 (interpreting an event stream).
"""

from typing import Final

import msgspec

from wallet.client.errors import ClientError

MOST_EVENT: Final = 2**20
"""Characters of one event at most."""


class ServerEvent(msgspec.Struct, frozen=True):
    """One event."""

    event: str
    data: str
    id: str


class EventReader:
    """Puts lines together to events."""

    def __init__(self) -> None:
        self._event = ""
        self._data: list[str] = []
        self._size = 0
        self._id = ""

    def feed(self, line: str) -> ServerEvent | None:
        """Take the next line, without its end; return the event that it completes.

        Raises:
            ClientError: an event is too long.
        """
        if not line:
            return self._complete()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        self._size += len(value)
        if self._size > MOST_EVENT:
            raise ClientError("an event is too long")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        return None

    def _complete(self) -> ServerEvent | None:
        data, event = self._data, self._event or "message"
        self._event, self._data, self._size = "", [], 0
        return ServerEvent(event, "\n".join(data), self._id) if data else None
