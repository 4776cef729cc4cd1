"""How much is relayed for whom. What is relayed costs the gateway gas, so each has a bucket of its own.

Everything is counted after it is clear who signed, and only when it is about to be sent: nobody can use up
what is somebody else's, by sending in its name or by sending its old messages again. What stops something (a
revocation, a freeze; not the lift of one) is counted apart from everything else, and for each signer: a thief of
the current key can revoke ids that it made up as fast as it likes, and does not keep a guardian or the replaced
key from stopping the thief.
"""

from typing import Final

from gateway.callers import Callers
from ledger.hexstr import keccak256
from ledger.service.rate_limit import STRANGERS, RateLimit

_STOPS_RATE: Final = 1.0
_STOPS_BURST: Final = 500
_ACTS_RATE: Final = 1 / 60
_ACTS_BURST: Final = 60
_STRANGERS_RATE: Final = 20.0
_STRANGERS_BURST: Final = 40
_UNCHECKED: Final = "unchecked"
"""All together whose signatures only the contract can check; not with the strangers, who need no such verifier."""


class RelayLimits:
    """Buckets for parties' transactions, for people's stops, and for what else people sign."""

    def __init__(self, callers: Callers, rate: float, burst: int) -> None:
        self._callers = callers
        self._transactions = RateLimit(rate, burst)
        self._stops = RateLimit(_STOPS_RATE, _STOPS_BURST)
        self._acts = RateLimit(_ACTS_RATE, _ACTS_BURST)
        self._strangers = RateLimit(_STRANGERS_RATE, _STRANGERS_BURST)
        self._outlooks = RateLimit(_STRANGERS_RATE, _STRANGERS_BURST)

    async def is_party(self, account: bytes) -> bool:
        """Tell whether an account may have its transactions relayed.

        Raises:
            ThrottledError: Too many ask of whom nothing is known.
            UnavailableError: That cannot be told now.
        """
        if self._callers.is_party(account):
            return True
        self._strangers.take(STRANGERS)
        return await self._callers.may_transact(account)

    def count_transaction(self, party: bytes) -> None:
        """Count a transaction of a party.

        Raises:
            ThrottledError: It sends too many.
        """
        self._transactions.take(party)

    def check_outlook(self, account: bytes) -> None:
        """Let anybody ask where a party's account stands; where all others' do, only now and then.

        Raises:
            ThrottledError: Too many ask for addresses of which nothing is known.
        """
        if not self._callers.is_party(account):
            self._outlooks.take(STRANGERS)

    def count_spent(self) -> None:
        """Count a transaction whose place is taken: anybody can send an old one of somebody else.

        Raises:
            ThrottledError: There are too many.
        """
        self._strangers.take(STRANGERS)

    async def check_signer(self, signer: bytes, subject: bytes) -> None:
        """Let who signs for a subject pass; all others together may ask the node now and then.

        Raises:
            ThrottledError: Too many ask of whom nothing is known.
        """
        if not await self._callers.signs_for(signer, subject):
            self._strangers.take(STRANGERS)

    def check_stranger(self) -> None:
        """Count who signs with a verifier that only the contract knows, so that nobody here can check it.

        Raises:
            ThrottledError: Too many ask of whom nothing is known.
        """
        self._strangers.take(_UNCHECKED)

    def count_act(self, subject: bytes, signer: bytes, *, stops: bool) -> None:
        """Count what somebody signed for a subject, and the contract would take.

        Raises:
            ThrottledError: Too much was signed for the subject, or by this signer to stop something.
        """
        if stops:
            self._stops.take((subject, keccak256(signer)))
        else:
            self._acts.take(subject)
