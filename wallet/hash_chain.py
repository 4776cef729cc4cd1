"""JSON lines that follow each other: each ends with a running hash over all lines up to it.

    body    = {"kind":..., ...}
    head(n) = SHA-256(head(n-1) | body of line n), head(0) = 32 zero bytes
    line n  = body without its last brace | ,"head":"0x | head(n) in 64 digits | "} | line feed

Whoever writes such lines and whoever is handed them share this. Source: docs/spec/journals.md.
"""

import re
from hashlib import sha256
from typing import Final

from wallet.errors import WalletError

FIRST_HEAD: Final = bytes(32)
"""The head before the first line."""

_TAIL: Final = re.compile(rb',"head":"0x([0-9a-f]{64})"}\n')
_TAIL_SIZE: Final = len(',"head":"0x"}\n') + 64


def with_head(body: bytes, before: bytes) -> tuple[bytes, bytes]:
    """Return the line of a body, and the head after it.

    Args:
        body: A JSON object with members.
        before: The head after the line before.
    """
    head = sha256(before + body).digest()
    return body[:-1] + b',"head":"0x%b"}\n' % head.hex().encode("ascii"), head


def split_head(line: bytes) -> tuple[bytes, bytes]:
    """Return a line's body and the head that it states.

    Raises:
        WalletError: it has none.
    """
    found = _TAIL.fullmatch(line, max(len(line) - _TAIL_SIZE, 0))
    if found is None:
        raise WalletError("the line has no head")
    return line[: found.start()] + b"}", bytes.fromhex(found[1].decode("ascii"))
