"""What goes wrong when bytes of others are decoded."""

from typing import Final

import msgspec

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoders raise. `RecursionError` also where they only skip a member that is nested deep."""
