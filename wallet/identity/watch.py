"""Watching the chain for changes of a subject's signer: rotations and recoveries.

A person may rotate a key at the gateway without this service; it must still be recognized here. So all
events of the contract are read, by their numbers: if one is missing, the node lies or lacks events, and
this service stops, rather than take a key that was rotated away for the person's.
"""

import asyncio
from contextlib import suppress
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from ledger.chain import contract_reads
from ledger.chain.deploy import verify_deployment
from ledger.chain.deployment import Deployment
from ledger.chain.eth_methods import Block
from ledger.chain.events import (
    Event,
    NumberedEvent,
    RecoveryCompleted,
    RecoveryStarted,
    RecoveryVetoed,
    SignerRotated,
    SubjectClosed,
    SubjectOpened,
)
from ledger.chain.events.decoder import EventDecoder
from ledger.chain.finality import BlockRef, ChainError, Finality
from ledger.chain.follow import final_block, verify_descends
from ledger.chain.log_reader import LogReader, logs_between_async
from ledger.chain.rpc import AsyncRpc
from ledger.errors import LedgerError
from ledger.service.logs import get_logger
from wallet.identity.database import Database, recovered, subjects, watched
from wallet.identity.errors import ChainUnavailableError, IdentityError

_OF_SUBJECTS: Final = (
    SignerRotated,
    RecoveryStarted,
    RecoveryVetoed,
    RecoveryCompleted,
    SubjectClosed,
    SubjectOpened,
)
_ONE: Final = 1
_log = get_logger()


class RecoveryState(StrEnum):
    """How far replacing one subject's key has got."""

    WAITING = "waiting"
    """Not on chain yet."""
    PENDING = "pending"
    """The subject is frozen; the old key may veto until the delay is over."""
    VETOED = "vetoed"
    COMPLETED = "completed"
    ENDED = "ended"
    """The subject was closed while it was pending."""
    REFUSED = "refused"
    """The contract did not take it."""


_TRIES: Final = 3


class Watcher:
    """Keeps signers and recoveries in the database as they are in final blocks; looks every `poll` seconds."""

    def __init__(
        self,
        database: Database,
        rpc: AsyncRpc,
        deployment: Deployment,
        *,
        finality: Finality,
        poll: float,
    ) -> None:
        self._database = database
        self._rpc = rpc
        self._deployment = deployment
        self._finality = finality
        self._poll = poll
        self._decoder = EventDecoder(deployment.contracts)
        self._reader = LogReader([deployment.contracts.authorizations])
        self._verified = False
        self._turn = asyncio.Lock()
        self._problem = "the node was not asked yet"
        self.newest: Block | None = None
        """The newest final block seen."""

    def require(self) -> Block:
        """Return the newest final block.

        Raises:
            ChainUnavailableError: The last look at the node failed; the message says why.
        """
        if self._problem or self.newest is None:
            raise ChainUnavailableError(self._problem)
        return self.newest

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            with suppress(IdentityError):
                await self.step()
            await asyncio.sleep(self._poll)

    async def step(self) -> None:
        """Read what became final since the last look.

        Raises:
            ChainUnavailableError: The node does not answer, or has another chain.
            IdentityError: It cannot be stored.
        """
        async with self._turn:
            try:
                await self._step()
            except LedgerError as error:
                if str(error) != self._problem:
                    _log.warning("node_not_followed", problem=str(error))
                self._problem, self._verified = str(error), False
                raise ChainUnavailableError(str(error)) from error
            self._problem = ""

    async def _step(self) -> None:
        if not self._verified:
            await verify_deployment(self._rpc, self._deployment)
            self._verified = True
        newest = await final_block(self._rpc, self._finality)
        known, count = await self._known()
        if newest is None:
            return
        if known is not None and newest.hash != known.hash:
            try:
                await verify_descends(self._rpc, known, newest)
            except ChainError as error:  # nothing counts any more: everything is read again
                _log.error("chain_changed", problem=str(error))
                known = None
        if known is None:
            await self._read(self._deployment.block_number, newest, 0)
        elif newest.number > known.number:
            await self._read(known.number + 1, newest, count)
        self.newest = newest

    async def _known(self) -> tuple[BlockRef | None, int]:
        """Return up to which block events were read, and how many they are."""
        row = await self._database.read(
            lambda connection: connection.execute(select(watched)).first()
        )
        if row is None:
            return None, 0
        return BlockRef(row.block_number, row.block_hash), row.events

    async def _read(self, first: int, newest: Block, count: int) -> None:
        events: list[Event] = []
        async for part in logs_between_async(self._rpc, self._reader, first, newest.number):
            for event in self._decoder.decode_all(part.logs):
                if not isinstance(event, NumberedEvent) or event.number != count + 1:
                    raise ChainError(f"after event {count} comes another than the next")
                count = event.number
                if isinstance(event, _OF_SUBJECTS):
                    events.append(event)
        contract = self._deployment.contracts.authorizations
        # A node that makes a block just then may answer by that one, so it is asked again.
        for _ in range(_TRIES):
            state = await self._rpc.send(contract_reads.event_state(contract, newest.number))
            if state.count == count:
                break
        else:
            raise ChainError(f"{state.count} events, the node told of {count}")
        values = {"block_number": newest.number, "block_hash": newest.hash, "events": count}

        def apply(connection: Connection) -> None:
            for event in events:
                _apply(connection, event)
            if not connection.execute(update(watched).values(values)).rowcount:
                connection.execute(insert(watched).values(one=_ONE, **values))

        await self._database.write(apply)


def _apply(connection: Connection, event: Event) -> None:
    """Apply one event; subjects of other authorities are not in the database and stay out of it."""
    match event:
        case SubjectClosed(subject=subject):
            _change_subject(connection, subject, {"closed": True})
            connection.execute(
                update(recovered)
                .where(
                    recovered.c.subject == subject,
                    recovered.c.state == RecoveryState.PENDING.value,
                )
                .values(state=RecoveryState.ENDED.value)
            )
        case SubjectOpened(subject=subject):
            _change_subject(connection, subject, {"closed": False})
        case SignerRotated(subject=subject, new_signer=signer):
            values = {"signer": signer, "signer_since": event.block.number}
            _change_subject(connection, subject, values)
        case RecoveryStarted(subject=subject, new_signer=signer, effective_at=at):
            values = {"state": RecoveryState.PENDING.value, "effective_at": at}
            _change_recovery(connection, subject, signer, values)
        case RecoveryVetoed(subject=subject, new_signer=signer):
            values = {"state": RecoveryState.VETOED.value}
            _change_recovery(connection, subject, signer, values)
        case RecoveryCompleted(subject=subject, new_signer=signer):
            values = {"state": RecoveryState.COMPLETED.value}
            _change_recovery(connection, subject, signer, values)
            values = {"signer": signer, "signer_since": event.block.number}
            _change_subject(connection, subject, values)


def _change_subject(connection: Connection, subject: bytes, values: dict[str, Any]) -> None:
    connection.execute(update(subjects).where(subjects.c.subject == subject).values(values))


def _change_recovery(
    connection: Connection, subject: bytes, signer: bytes, values: dict[str, Any]
) -> None:
    newest = (
        select(recovered.c.id)
        .where(recovered.c.subject == subject, recovered.c.new_signer == signer)
        .order_by(recovered.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    connection.execute(update(recovered).where(recovered.c.id == newest).values(values))
