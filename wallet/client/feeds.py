"""What a consumer must hear: which of its authorizations ended, halted or go on."""

from typing import Final

from ledger.api.supervision import LogShown, RevocationLogs, RevocationsAnswer
from ledger.chain.contract_reads import event_state
from ledger.chain.deployment import Deployment
from ledger.chain.eth_methods import EventError, Log
from ledger.chain.events import (
    Confirmed,
    NumberedEvent,
    RecoveryCompleted,
    RecoveryStarted,
    RecoveryVetoed,
    Revoked,
    SubjectClosed,
    SubjectFrozen,
    SubjectOpened,
    SubjectUnfrozen,
)
from ledger.chain.events.decoder import EventDecoder
from ledger.hexstr import from_hex, keccak256, to_hex
from ledger.model import EventState
from wallet.client.calls import HttpCall, look, path, reader
from wallet.client.errors import ClientError

_ENDINGS: Final = frozenset(
    (
        *(Revoked, Confirmed, SubjectFrozen, SubjectUnfrozen, SubjectClosed, SubjectOpened),
        *(RecoveryStarted, RecoveryVetoed, RecoveryCompleted),
    )
)


def revocations(since: int = 0, cursor: int = 0) -> HttpCall[RevocationsAnswer]:
    """Ask what ended or halted authorizations, from a block on."""
    where = path("/v1/revocations", since=since, cursor=cursor)
    return HttpCall("GET", where, reader(RevocationsAnswer))


def revocation_logs(since: int = 0) -> HttpCall[RevocationLogs]:
    """Ask for every log of `Authorizations` in some blocks, from one on."""
    return HttpCall("GET", path("/v1/revocations/logs", since=since), reader(RevocationLogs))


class CheckedEndings:
    """Follows what ends or halts authorizations without believing the gateway that tells of it.

    Every event of `Authorizations` has a number, and the contract keeps a running hash over them. Keep this
    object as long as the feed is followed.
    """

    def __init__(
        self,
        deployment: Deployment,
        state: EventState = EventState(0, bytes(24)),
        last_block: int | None = None,
    ) -> None:
        """Begin with the deployment, or go on where another one was.

        Args:
            deployment: The contracts.
            state: That one's.
            last_block: That one's.
        """
        self._address = to_hex(deployment.contracts.authorizations)
        self._decoder = EventDecoder(deployment.contracts)
        self._next = deployment.block_number if last_block is None else last_block + 1
        self._state = state

    @property
    def state(self) -> EventState:
        """Count and running hash so far: what `Authorizations.state()` must say at `last_block`."""
        return self._state

    @property
    def last_block(self) -> int:
        """Up to which it has everything, as the gateway says."""
        return self._next - 1

    async def more(self) -> tuple[NumberedEvent, ...]:
        """Return what ended, halted or goes on in the next blocks, all of it; nothing for no news.

        Raises:
            ClientError: An event is missing, or one was added or changed.
            ClientError: The gateway does not answer.
        """
        page = await revocation_logs(self._next)
        if page.last_block < self._next:
            return ()
        if page.first_block != self._next:
            raise ClientError(f"blocks from {self._next} on, not from {page.first_block}")
        events, state = [], self._state
        for log in page.logs:
            event = self._decoded(log, page)
            if event.number != state.count + 1:
                raise ClientError(f"event {state.count + 1} is missing before {event.number}")
            state = EventState(event.number, keccak256(state.head + event.link)[:24])
            if type(event) in _ENDINGS:
                events.append(event)
        self._state, self._next = state, page.last_block + 1
        return tuple(events)

    def verify(self, state: EventState) -> None:
        """Compare with what the contract says of itself at `last_block`, from a source that is trusted.

        Raises:
            ClientError: It says something else: what was told is not what happened.
        """
        if state != self._state:
            problem = f"{self._state.count} events were told, the contract has {state.count}"
            raise ClientError(f"{problem}, or one was changed")

    async def verify_with_node(self) -> None:
        """Do as `verify`, with the party's own node.

        Raises:
            ClientError: As `verify`.
            NodeError: The node cannot be asked, or does not have the state of that block any more.
        """
        asked = event_state(from_hex(self._address), self.last_block)
        if (await look(asked)) != self._state:
            # A node that makes a block just then may have answered by that one; this one is old by now.
            self.verify(await look(asked))

    def _decoded(self, log: LogShown, page: RevocationLogs) -> NumberedEvent:
        if not page.first_block <= log.block_number <= page.last_block:
            raise ClientError(f"an event of block {log.block_number}, which was not told of")
        raw = Log(
            hex(log.block_number),
            log.block_hash,
            log.transaction,
            hex(log.log_index),
            self._address,
            log.topics,
            log.data,
            hex(log.at),
        )
        try:
            event = self._decoder.decode(raw)
        except EventError as error:
            raise ClientError(str(error)) from error
        if not isinstance(event, NumberedEvent):
            raise ClientError(f"{event.name} has no number")
        return event
