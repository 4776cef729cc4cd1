"""Replacing lost keys: an officer identifies the person, the chain freezes the ids and waits.

The new keys take effect after the deployment's delay unless the old one vetoes; this service completes
them then. What is started is in the database before it is on the chain, and goes on after a crash.
"""

import asyncio
import hmac
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import msgspec
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import contracts, queries
from ledger.contracts import ContractCall
from ledger.errors import LedgerError
from ledger.logs import get_logger
from ledger.reverts import RevertError
from ledger.rpc import AsyncRpc, RpcError
from wallet.identity.database import Database
from wallet.identity.errors import (
    ChainUnavailableError,
    IdentityError,
    RecoveryPendingError,
    SignersMissingError,
)
from wallet.identity.outbox import Outbox
from wallet.identity.selection import SubjectRow, SubjectState
from wallet.identity.store import Person, Store
from wallet.identity.tables import recovered, recoveries, transactions
from wallet.identity.watching import RecoveryState, Watcher

_POLL: Final = 0.5
_LOOK_AGAIN: Final = 0.05
_OPEN: Final = (RecoveryState.WAITING.value, RecoveryState.PENDING.value)
_log = get_logger()


class RecoveredSubject(msgspec.Struct, frozen=True):
    """One subject id whose key is replaced."""

    subject: bytes
    new_signer: bytes
    state: RecoveryState
    effective_at: int | None
    """When the new key takes effect, seconds since 1970."""
    transaction: bytes | None
    """Hash of the transaction that started it."""


class Recoveries:
    """Starts and completes recoveries.

    Args:
        database: Holds them.
        store: Holds the subjects.
        outbox: Carries out the transactions.
        watcher: Sees what became of them.
        rpc: The authority's node.
        spread: Seconds over which the recoveries of one person's ids are started.
    """

    def __init__(
        self,
        database: Database,
        store: Store,
        outbox: Outbox,
        watcher: Watcher,
        rpc: AsyncRpc,
        *,
        spread: float,
    ) -> None:
        self._database = database
        self._store = store
        self._outbox = outbox
        self._watcher = watcher
        self._rpc = rpc
        self._spread = spread
        self._wanted = asyncio.Event()

    async def start(
        self,
        person: Person,
        signers: Sequence[bytes],
        *,
        officer: bytes,
        identification: str,
        now: int,
    ) -> str:
        """Note that all of a person's ids get new signers, in the order of the ids; return the id.

        Raises:
            SignersMissingError: There are more or fewer signers than ids.
            SignerInUseError: A signer belongs to a subject already.
            RecoveryPendingError: A recovery is under way.
        """
        subjects = await self._registered(person)
        if len(signers) != len(subjects):
            raise SignersMissingError(
                f"the person has {len(subjects)} subject ids: {len(subjects)} signers are needed"
            )
        await self._store.check_signers(signers)
        recovery = secrets.token_urlsafe(32)
        rows = [
            {
                "recovery": recovery,
                "subject": one.subject,
                "new_signer": signer,
                "state": RecoveryState.WAITING.value,
            }
            for one, signer in zip(subjects, signers, strict=True)
        ]
        head = {
            "id": recovery,
            "person": person.id,
            "officer": officer,
            "identification": identification,
            "created_at": now,
        }
        async with self._database.begin() as connection:
            await self._check_none_open(connection, [one.subject for one in subjects])
            await connection.execute(insert(recoveries).values(head))
            await connection.execute(insert(recovered), rows)
        self._wanted.set()
        return recovery

    async def of(self, recovery: str) -> list[RecoveredSubject]:
        """Return how a recovery stands; nothing for an unknown one."""
        query = (
            select(recovered, transactions.c.hash)
            .outerjoin(transactions, recovered.c.transaction == transactions.c.nonce)
            .where(recovered.c.recovery == recovery)
            .order_by(recovered.c.id)
        )
        async with self._database.begin() as connection:
            rows = (await connection.execute(query)).all()
        return [
            RecoveredSubject(
                row.subject, row.new_signer, RecoveryState(row.state), row.effective_at, row.hash
            )
            for row in rows
        ]

    async def wait(self, recovery: str, patience: float) -> list[RecoveredSubject]:
        """Return how a recovery stands once all of it is on chain, or patience is over."""
        loop = asyncio.get_running_loop()
        until = loop.time() + patience
        while True:
            found = await self.of(recovery)
            begun = all(one.state is not RecoveryState.WAITING for one in found)
            if begun or loop.time() >= until:
                return found
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
        query = (
            select(recovered, recoveries.c.created_at)
            .join(recoveries, recovered.c.recovery == recoveries.c.id)
            .where(recovered.c.state.in_(_OPEN))
        )
        async with self._database.begin() as connection:
            rows = (await connection.execute(query)).all()
            mine = select(recovered.c.recovery, recovered.c.subject).where(
                recovered.c.recovery.in_({row.recovery for row in rows})
            )
            ids = [(one.recovery, one.subject) for one in await connection.execute(mine)]
        starts = start_times(ids, self._spread)
        now = await self._chain_time() if rows else 0
        for row in sorted(rows, key=lambda row: starts[row.recovery, row.subject]):
            if row.state == RecoveryState.WAITING.value:
                if row.created_at + starts[row.recovery, row.subject] > time.time():
                    continue
                await self._carry_out(
                    row.id, contracts.start_recovery(row.subject, row.new_signer), starts=True
                )
            elif row.effective_at is not None and row.effective_at <= now:
                call = contracts.complete_recovery(row.subject)
                await self._carry_out(row.id, call, starts=False)
        if rows:
            await self._watcher.step()

    async def _carry_out(self, row: int, call: ContractCall, *, starts: bool) -> None:
        async def note(connection: AsyncConnection, nonce: int) -> None:
            if starts:
                await connection.execute(
                    update(recovered).where(recovered.c.id == row).values(transaction=nonce)
                )

        try:
            await self._outbox.carry_out(call, note)
        except RevertError as error:
            _log.warning("recovery_refused", reason=error.revert.name, starts=starts)
            # A completion that is refused was vetoed or completed by somebody: the watcher sees it.
            if starts:
                await self._refuse(row)

    async def _refuse(self, row: int) -> None:
        """Note that the chain does not take a recovery, unless it already has it."""
        waiting = (recovered.c.id == row) & (recovered.c.state == RecoveryState.WAITING.value)
        await self._watcher.step()
        async with self._database.begin() as connection:
            await connection.execute(
                update(recovered).where(waiting).values(state=RecoveryState.REFUSED.value)
            )

    async def _registered(self, person: Person) -> list[SubjectRow]:
        found = await self._store.subjects_of(person.id)
        registered = SubjectState.REGISTERED
        return [one for one in found if one.state is registered and not one.closed]

    async def _check_none_open(
        self, connection: AsyncConnection, subjects: Sequence[bytes]
    ) -> None:
        query = select(recovered.c.id).where(
            recovered.c.subject.in_(subjects), recovered.c.state.in_(_OPEN)
        )
        if (await connection.execute(query.limit(1))).first() is not None:
            raise RecoveryPendingError("a recovery of this person is under way")

    async def _chain_time(self) -> int:
        try:
            newest = await self._rpc.send(queries.block("latest"))
        except RpcError as error:
            raise ChainUnavailableError(str(error)) from error
        return 0 if newest is None else newest.timestamp


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
    return {one: 0.0 if place == first[one[0]] else place * spread for one, place in drawn.items()}
