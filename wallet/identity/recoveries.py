"""Replacing lost keys: an officer identifies the person, the chain freezes the ids and waits.

The new keys take effect after the deployment's delay unless the old one vetoes; this service completes
them then. Each start is in the database before it is on the chain, and goes on after a crash.
"""

import asyncio
import hmac
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update

from ledger.api.identity import RecoveredAnswer
from ledger.chain import contract_calls, eth_methods
from ledger.chain.contract_calls import ContractCall
from ledger.chain.reverts import RevertError
from ledger.chain.rpc import AsyncRpc, RpcError
from ledger.errors import LedgerError
from ledger.hexstr import to_hex
from ledger.service.logs import get_logger
from wallet.identity.database import Database, recovered, recoveries, transactions
from wallet.identity.errors import (
    RECOVERY_PENDING,
    SIGNERS_MISSING,
    ChainUnavailableError,
    IdentityError,
)
from wallet.identity.outbox import Outbox
from wallet.identity.store import Order, Person, Store, SubjectState
from wallet.identity.watch import RecoveryState, Watcher

_POLL: Final = 0.5
_LOOK_AGAIN: Final = 0.05
_OPEN: Final = (RecoveryState.WAITING.value, RecoveryState.PENDING.value)
_log = get_logger()


class Recoveries:
    """Starts and completes recoveries; those of one person's ids are started within `spread` seconds."""

    def __init__(
        self,
        database: Database,
        store: Store,
        outbox: Outbox,
        watcher: Watcher,
        rpc: AsyncRpc,
        spread: float,
    ) -> None:
        self._database = database
        self._store = store
        self._outbox = outbox
        self._watcher = watcher
        self._rpc = rpc
        self._spread = spread
        self._wanted = asyncio.Event()

    async def start(self, person: Person, signers: Sequence[bytes], order: Order) -> str:
        """Note that all of a person's ids get new signers, in the order of the ids; return the id.

        Raises:
            IdentityError: There are more or fewer signers than ids, a signer belongs to a subject already, or a
                recovery is under way.
        """
        subjects = [
            row.subject
            for row in await self._store.subjects_of(person.id)
            if row.state is SubjectState.REGISTERED and not row.closed
        ]
        if len(signers) != len(subjects):
            raise IdentityError(
                SIGNERS_MISSING,
                f"the person has {len(subjects)} subject ids: {len(subjects)} signers are needed",
            )
        await self._store.check_signers(signers)
        recovery = secrets.token_urlsafe(32)
        head = {
            "id": recovery,
            "person": person.id,
            "officer": order.officer,
            "identification": order.identification,
            "created_at": order.at,
        }
        rows = [
            {
                "recovery": recovery,
                "subject": subject,
                "new_signer": signer,
                "state": RecoveryState.WAITING.value,
            }
            for subject, signer in zip(subjects, signers, strict=True)
        ]
        begun = select(recovered.c.id).where(
            recovered.c.subject.in_(subjects), recovered.c.state.in_(_OPEN)
        )

        def begin(connection: Connection) -> None:
            if connection.execute(begun.limit(1)).first() is not None:
                raise IdentityError(RECOVERY_PENDING, "a recovery of this person is under way")
            connection.execute(insert(recoveries).values(head))
            connection.execute(insert(recovered), rows)

        await self._database.write(begin)
        self._wanted.set()
        return recovery

    async def of(self, recovery: str) -> list[RecoveredAnswer]:
        """Return how a recovery stands; nothing for an unknown one."""
        query = (
            select(recovered, transactions.c.hash)
            .outerjoin(transactions, recovered.c.transaction == transactions.c.nonce)
            .where(recovered.c.recovery == recovery)
            .order_by(recovered.c.id)
        )
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [
            RecoveredAnswer(
                subject=to_hex(row.subject),
                new_signer=to_hex(row.new_signer),
                state=row.state,
                effective_at=row.effective_at,
                transaction=None if row.hash is None else to_hex(row.hash),
            )
            for row in rows
        ]

    async def wait(self, recovery: str, patience: float) -> list[RecoveredAnswer]:
        """Return how a recovery stands once all of it is on chain, or `patience` seconds are over."""
        loop = asyncio.get_running_loop()
        until = loop.time() + patience
        while True:
            answers = await self.of(recovery)
            begun = all(each.state != RecoveryState.WAITING for each in answers)
            if begun or loop.time() >= until:
                return answers
            await asyncio.sleep(_LOOK_AGAIN)

    async def run(self) -> None:
        """Start what waits and complete what is due, until cancelled."""
        while True:
            try:
                await self.step()
            except (IdentityError, LedgerError) as error:
                _log.warning("recovery_delayed", problem=str(error))
            self._wanted.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL):
                    await self._wanted.wait()

    async def step(self) -> None:
        """Start what waits, and complete what is due.

        Raises:
            IdentityError, LedgerError: The chain or the database does not let it; it stays as it was.
        """
        rows, ids = await self._database.read(_open)
        starts = start_times(ids, self._spread)
        now = await self._chain_time() if rows else 0
        for row in sorted(rows, key=lambda row: starts[row.recovery, row.subject]):
            if row.state == RecoveryState.WAITING.value:
                if row.created_at + starts[row.recovery, row.subject] > time.time():
                    continue
                await self._carry_out(
                    row.id, contract_calls.start_recovery(row.subject, row.new_signer), starts=True
                )
            elif row.effective_at is not None and row.effective_at <= now:
                call = contract_calls.complete_recovery(row.subject)
                await self._carry_out(row.id, call, starts=False)
        if rows:
            await self._watcher.step()

    async def _carry_out(self, row: int, call: ContractCall, *, starts: bool) -> None:
        def note(connection: Connection, nonce: int) -> None:
            if starts:
                connection.execute(
                    update(recovered).where(recovered.c.id == row).values(transaction=nonce)
                )

        try:
            await self._outbox.carry_out(call, note)
        except RevertError as error:
            _log.warning("recovery_refused", reason=error.revert.name, starts=starts)
            # A completion that is refused was vetoed or completed by somebody: the watcher sees it.
            if not starts:
                return
            # Unless the chain has it already, which the watcher would see now.
            await self._watcher.step()
            waiting = (recovered.c.id == row) & (recovered.c.state == RecoveryState.WAITING.value)
            refused = update(recovered).where(waiting).values(state=RecoveryState.REFUSED.value)
            await self._database.write(lambda connection: connection.execute(refused))

    async def _chain_time(self) -> int:
        try:
            newest = await self._rpc.send(eth_methods.block("latest"))
        except RpcError as error:
            raise ChainUnavailableError(str(error)) from error
        return 0 if newest is None else newest.timestamp


def _open(connection: Connection) -> tuple[Sequence[Row[Any]], list[tuple[str, bytes]]]:
    """Return the subjects whose recovery is under way, and all ids (recovery, subject) of these recoveries."""
    query = (
        select(recovered, recoveries.c.created_at)
        .join(recoveries, recovered.c.recovery == recoveries.c.id)
        .where(recovered.c.state.in_(_OPEN))
    )
    rows = connection.execute(query).all()
    ids = select(recovered.c.recovery, recovered.c.subject).where(
        recovered.c.recovery.in_({row.recovery for row in rows})
    )
    return rows, [(row.recovery, row.subject) for row in connection.execute(ids)]


def start_times(
    ids: Sequence[tuple[str, bytes]], spread: float
) -> Mapping[tuple[str, bytes], float]:
    """Return how many seconds after its beginning a recovery is started for each subject.

    The first at once, the others at random within `spread`; always the same, also after a crash, and known to nobody who
    does not know the recovery's id, which is secret and random.

    Args:
        ids: Recovery and subject.
        spread: Seconds.
    """
    drawn = {
        (recovery, subject): int.from_bytes(
            hmac.digest(recovery.encode(), subject, "sha256")[:4], "big"
        )
        / 2**32
        for recovery, subject in ids
    }
    first: dict[str, float] = {}
    for (recovery, _), place in drawn.items():
        first[recovery] = min(place, first.get(recovery, place))
    return {key: 0.0 if place == first[key[0]] else place * spread for key, place in drawn.items()}
