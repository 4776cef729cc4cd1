"""Ports for services that are started a moment later, and again after they were killed."""

import secrets
import socket
from typing import Final

_FIRST: Final = 12_000
_COUNT: Final = 20_000
"""Below the ports from which systems take those of outgoing connections: one of these could be such a port by then."""


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    while True:
        port = _FIRST + secrets.randbelow(_COUNT)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
