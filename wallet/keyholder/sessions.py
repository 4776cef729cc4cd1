"""Sealing sessions, one for each answer key: a bank that asks 256 times with one needs one exchange of keys."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from ledger.crypto.hpke import EncryptionKey, Session

LIFETIME: Final = 60.0
"""Seconds for which a session is used: what one key that became known would open."""

_MOST: Final = 1_000


class Sessions:
    """The session with each answer key, a new one every minute. For one event loop.

    Args:
        clock: Steady seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, Session]] = OrderedDict()

    def to(self, recipient: EncryptionKey) -> Session:
        """Return a session with a recipient that may seal at least one message.

        Raises:
            MalformedError: Nothing can be sealed to the recipient's key.
        """
        name, now = recipient.to_bytes(), self._clock()
        until, session = self._known.get(name, (now, None))
        if session is None or until <= now or not session.left:
            session = Session(recipient)
            self._known[name] = (now + LIFETIME, session)
            self._known.move_to_end(name)
            if len(self._known) > _MOST:
                self._known.popitem(last=False)
        return session
