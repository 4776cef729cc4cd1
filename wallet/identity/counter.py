"""An officer's acts at the counter on ids that exist: close, open, correct.

*Lost* is a recovery (`wallet.identity.recoveries`), *stolen* a closing: at once, and only the authority
and the current key together open the id again; the person gets a new one. A correction gives an id
to whom it belongs and ends all its links, so that a wrong one turns nothing back. Each act is noted,
with who ordered it and why, in the transaction that keeps it for the chain.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, insert

from ledger.chain import contract_calls
from ledger.chain.contract_calls import Approval, ContractCall
from ledger.chain.reverts import RevertError
from ledger.typed_data import SubjectOpening
from wallet.identity.database import counter_acts
from wallet.identity.errors import NOT_A_SUBJECT, IdentityError
from wallet.identity.outbox import Outbox
from wallet.identity.store import Order, Person, Store, SubjectRow, SubjectState
from wallet.identity.watch import Watcher

_CLOSED_ALREADY: Final = "SubjectIsClosed"


@dataclass(frozen=True, slots=True)
class Counter:
    """Carries out officers' acts.

    Every method raises `IdentityError` if an id is no registered one of the person, `RevertError` if the
    contract refuses, and `ChainUnavailableError` if the act is not on chain yet: ask again.
    """

    store: Store
    outbox: Outbox
    watcher: Watcher

    async def close(self, person: Person, wanted: Sequence[bytes], order: Order) -> list[bytes]:
        """Close ids of a person, all of them when none is named; return which."""
        closed = [row.subject for row in await self._of(person, wanted) if not row.closed]
        for subject in closed:
            try:
                call = contract_calls.close_subject(subject)
                await self._carry_out("close", subject, person, call, order)
            except RevertError as error:
                # Closed on chain already, as after a crash: it is what was wanted.
                if error.revert.name != _CLOSED_ALREADY:
                    raise
        await self.watcher.step()
        return closed

    async def open(
        self, person: Person, terms: SubjectOpening, approval: Approval, order: Order
    ) -> None:
        """Open a closed id with the word of its current key."""
        await self._of(person, (terms.subject,))
        call = contract_calls.open_subject(terms, approval)
        await self._carry_out("open", terms.subject, person, call, order)
        await self.watcher.step()

    async def correct(self, subject: bytes, person: Person, order: Order) -> None:
        """Note whose an id is, and end all links of it that were signed up to now."""
        row = await self.store.subject(subject)
        if row is None or row.state is not SubjectState.REGISTERED:
            detail = "it is no registered subject id of this authority"
            raise IdentityError(NOT_A_SUBJECT, detail)
        # The person first: what is signed from here on is right, and what was is ended after it.
        await self.store.give_to(subject, person.id)
        await self._carry_out("correct", subject, person, contract_calls.end_links(subject), order)

    async def _of(self, person: Person, wanted: Sequence[bytes]) -> list[SubjectRow]:
        mine = {
            row.subject: row
            for row in await self.store.subjects_of(person.id)
            if row.state is SubjectState.REGISTERED
        }
        if not mine or not set(wanted) <= mine.keys():
            raise IdentityError(NOT_A_SUBJECT, "it is no registered subject id of this person")
        return [mine[subject] for subject in wanted] if wanted else list(mine.values())

    async def _carry_out(
        self, kind: str, subject: bytes, person: Person, call: ContractCall, order: Order
    ) -> None:
        def note(connection: Connection, nonce: int) -> None:
            row = {
                "kind": kind,
                "subject": subject,
                "person": person.id,
                "officer": order.officer,
                "identification": order.identification,
                "created_at": order.at,
                "transaction": nonce,
            }
            connection.execute(insert(counter_acts).values(row))

        await self.outbox.carry_out(call, note)
