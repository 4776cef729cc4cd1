"""Registering subject ids on chain, many people's in one transaction and in random order.

What comes in within a moment travels together, so that the chain does not show which ids were handed in
by one person. The longer the moment, the less it shows: a city sets hours.
"""

import asyncio
import random
from contextlib import suppress
from typing import Final

from sqlalchemy import Connection, select, update

from ledger.chain import contract_calls
from ledger.errors import LedgerError
from ledger.service.logs import get_logger
from wallet.identity.database import Database, subjects
from wallet.identity.errors import IdentityError
from wallet.identity.outbox import Outbox
from wallet.identity.store import SubjectState

MAX_AT_ONCE: Final = 100
"""Subjects in a transaction: with passkeys each takes 130,000 gas of the 16.7 million."""

_RETRY: Final = 1.0
_log = get_logger()


class Registrar:
    """Registers what waits.

    Args:
        database: Holds the waiting subjects.
        outbox: Carries out the transactions.
        batch_seconds: How long to gather before a transaction.
    """

    def __init__(self, database: Database, outbox: Outbox, batch_seconds: float) -> None:
        self._database = database
        self._outbox = outbox
        self._batch_seconds = batch_seconds
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._registered = asyncio.Condition()
        self._random = random.SystemRandom()
        self.problem = ""
        """Why nothing is registered just now."""

    def hurry(self) -> None:
        """Say that something waits."""
        self._wanted.set()

    async def registered(self, patience: float) -> None:
        """Wait until a transaction was carried out, at most `patience` seconds."""
        async with self._registered:
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._registered.wait()

    async def run(self) -> None:
        """Register until cancelled; what cannot be registered now is tried again."""
        while True:
            await self._wanted.wait()
            await asyncio.sleep(self._batch_seconds)
            self._wanted.clear()
            try:
                while await self.step():
                    async with self._registered:
                        self._registered.notify_all()
                self.problem = ""
            except (IdentityError, LedgerError) as error:
                if str(error) != self.problem:
                    _log.warning("not_registered", problem=str(error))
                self.problem = str(error)
                self._wanted.set()
                await asyncio.sleep(_RETRY)

    async def step(self) -> bool:
        """Register some of what waits; tell whether there was any.

        Raises:
            IdentityError, RevertError: It did not work; it still waits, or is on its way.
        """
        chosen = await self._choose()
        if not chosen:
            return False
        call = contract_calls.register_subjects(
            [subject for subject, _ in chosen], [signer for _, signer in chosen]
        )

        def note(connection: Connection, nonce: int) -> None:
            ids = [subject for subject, _ in chosen]
            connection.execute(
                update(subjects)
                .where(subjects.c.subject.in_(ids))
                .values(state=SubjectState.SENT.value, transaction=nonce)
            )

        await self._outbox.carry_out(call, note)
        return True

    async def _choose(self) -> list[tuple[bytes, bytes]]:
        query = (
            select(subjects.c.subject, subjects.c.signer)
            .where(subjects.c.state == SubjectState.WAITING.value)
            .order_by(subjects.c.place)
            .limit(MAX_AT_ONCE)
        )
        rows = await self._database.read(
            lambda connection: [(row.subject, row.signer) for row in connection.execute(query)]
        )
        self._random.shuffle(rows)
        return rows
