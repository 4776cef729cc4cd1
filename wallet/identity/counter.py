"""What an officer does at the counter with ids that exist: close, open, correct.

*Lost* is a recovery (`wallet.identity.recoveries`), *stolen* a closing: at once, and only the authority
and the current key together open the id again; the person gets a new one. A correction gives an id
to whom it belongs and ends all its links, so that a wrong one turns nothing back. Each act is noted,
with who ordered it and why, in the transaction that keeps it for the chain.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import contracts
from ledger.contracts import Approval, ContractCall
from ledger.reverts import RevertError
from ledger.typed_data import SubjectOpening
from wallet.identity.errors import NotASubjectError
from wallet.identity.outbox import Outbox
from wallet.identity.selection import SubjectRow, SubjectState
from wallet.identity.store import Person, Store
from wallet.identity.tables import counter_acts
from wallet.identity.watching import Watcher

_CLOSED_ALREADY: Final = "SubjectIsClosed"


class ActKind(StrEnum):
    """What was done with a subject id."""

    CLOSE = "close"
    OPEN = "open"
    CORRECT = "correct"


class Order(msgspec.Struct, frozen=True):
    """Who ordered an act, and on what ground."""

    officer: bytes
    identification: str
    at: int


class Counter:
    """Carries out officers' acts.

    Args:
        store: Says whose an id is.
        outbox: Carries out the transactions.
        watcher: Sees what became of them.
    """

    def __init__(self, store: Store, outbox: Outbox, watcher: Watcher) -> None:
        self._store = store
        self._outbox = outbox
        self._watcher = watcher

    async def close(self, person: Person, wanted: Sequence[bytes], order: Order) -> list[bytes]:
        """Close ids of a person, all of them when none is named; return which.

        Raises:
            NotASubjectError: One is not a registered id of the person.
            RevertError: The contract refuses.
            ChainUnavailableError: It is not on chain yet; ask again.
        """
        closed = [one.subject for one in await self._of(person, wanted) if not one.closed]
        for subject in closed:
            call = contracts.close_subject(subject)
            try:
                await self._carry_out(ActKind.CLOSE, subject, person, call, order)
            except RevertError as error:
                # Closed on chain already, as after a crash: it is what was wanted.
                if error.revert.name != _CLOSED_ALREADY:
                    raise
        await self._watcher.step()
        return closed

    async def open(
        self, person: Person, terms: SubjectOpening, approval: Approval, order: Order
    ) -> None:
        """Open a closed id with the word of its current key.

        Raises:
            NotASubjectError: It is not a registered id of the person.
            RevertError: The contract refuses: the signature is not the key's, or it is not closed.
            ChainUnavailableError: It is not on chain yet; ask again.
        """
        await self._of(person, (terms.subject,))
        call = contracts.open_subject(terms, approval)
        await self._carry_out(ActKind.OPEN, terms.subject, person, call, order)
        await self._watcher.step()

    async def correct(self, subject: bytes, person: Person, order: Order) -> None:
        """Note whose an id is, and end all links of it that were signed up to now.

        Raises:
            NotASubjectError: It is no registered id of this authority.
            RevertError: The contract refuses.
            ChainUnavailableError: It is not on chain yet; ask again.
        """
        found = await self._store.subject(subject)
        if found is None or found.state is not SubjectState.REGISTERED:
            raise NotASubjectError("it is no registered subject id of this authority")
        # The person first: what is signed from here on is right, and what was is ended after it.
        await self._store.give_to(subject, person.id)
        await self._carry_out(ActKind.CORRECT, subject, person, contracts.end_links(subject), order)

    async def _of(self, person: Person, wanted: Sequence[bytes]) -> list[SubjectRow]:
        mine = {
            one.subject: one
            for one in await self._store.subjects_of(person.id)
            if one.state is SubjectState.REGISTERED
        }
        if not mine or not set(wanted) <= mine.keys():
            raise NotASubjectError("it is no registered subject id of this person")
        return [mine[one] for one in wanted] if wanted else list(mine.values())

    async def _carry_out(
        self, kind: ActKind, subject: bytes, person: Person, call: ContractCall, order: Order
    ) -> None:
        async def note(connection: AsyncConnection, nonce: int) -> None:
            row = {
                "kind": kind.value,
                "subject": subject,
                "person": person.id,
                "officer": order.officer,
                "identification": order.identification,
                "created_at": order.at,
                "transaction": nonce,
            }
            await connection.execute(insert(counter_acts).values(row))

        await self._outbox.carry_out(call, note)
