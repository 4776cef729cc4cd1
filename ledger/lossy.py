"""A stream for logs that loses what cannot be written, instead of stopping whoever says it."""

from contextlib import suppress
from typing import Final, TextIO

_FAILURES: Final = (OSError, ValueError)
"""Of a stream; the second when it is closed."""


class LossyStream:
    """Writes to another stream as long as that works.

    A log on a full disk raises at every line. Where that goes up into what was being done, a line about
    a small trouble ends a task for good.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or lose it."""
        with suppress(*_FAILURES):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, as far as it goes."""
        with suppress(*_FAILURES):
            self._stream.flush()
