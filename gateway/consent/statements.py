"""Statements that are right: asked for before anything is relayed or recorded, and told to keyholders.

An authorization whose statement says something else than it authorizes is one that the person never saw.
Keyholders release nothing for it (`ledger.crypto.statement`), so a use of it would be spent for nothing.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from gateway.errors import ConflictError, UnavailableError
from gateway.store.authorizations import AuthorizationStore, StoredAuthorization
from ledger.crypto.statement import Names, verify_consent
from ledger.errors import LedgerError
from ledger.gathering import Gatherer
from ledger.index.index import Index
from ledger.index.rows import Snapshot
from ledger.typed_data import Authorization, struct_hash

_MOST: Final = 100_000
"""Authorizations that are remembered, by their ids: what is asked for at each access."""


class Statements:
    """Judges statements as keyholders do. For use in one event loop."""

    def __init__(
        self,
        store: AuthorizationStore,
        chain: Index,
        catch_up: Callable[[], Awaitable[bool]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`catch_up` waits until the index has what is final now, and tells whether it has: a name may be new."""
        self._store = store
        self._chain = chain
        self._catch_up = catch_up
        self._clock = clock
        self._names: Gatherer[bytes, str] = Gatherer(chain.names_at_grant)
        self._kept: Gatherer[bytes, StoredAuthorization] = Gatherer(store.find)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        """Authorizations on chain whose statement is right, and kept."""

    async def catch_up(self) -> None:
        """Wait until the index has what is final now, if that can be told."""
        await self._catch_up()

    async def verify(self, record: Authorization) -> None:
        """Check what is to be brought on chain: by the names of now, or of its grant if it is there already.

        Raises:
            ConflictError: The statement says something else.
            UnavailableError: That cannot be told now.
        """
        authorization = struct_hash(record)
        if not await self._catch_up():
            raise UnavailableError("the index does not have what is on chain yet", "index-behind")
        known = self._chain.snapshot  # now: after a chain lost blocks the index begins again
        name = (await self._names.get([authorization])).get(authorization)
        if name is None:
            party = known.parties.get(record.consumer)
            name = None if party is None else party.name
        names = None if name is None else _names_of(record, name, known)
        if names is None or not _is_right(record, authorization, names):
            # Not why: the reason may hold words of the statement, and the case number is among them.
            raise ConflictError(
                "the statement does not say what is authorized, by the names on chain now",
                "statement-mismatch",
            )

    async def require(self, authorization: bytes, brought: Authorization | None) -> None:
        """Check that there is a statement of an authorization on chain that keyholders will take.

        Raises:
            ConflictError: There is none.
            UnavailableError: That cannot be told now.
        """
        if authorization in self._right:
            return
        name = (await self._names.get([authorization])).get(authorization)
        if name is None:
            raise UnavailableError("the index does not have the authorization yet", "index-behind")
        kept = (await self._kept.get([authorization])).get(authorization)
        if kept is None or not self._is_right_on_chain(kept.record, authorization, name):
            if brought is None or not self._is_right_on_chain(brought, authorization, name):
                raise ConflictError(
                    "no right statement of the authorization is here: bring the signed record",
                    "statement-missing",
                )
            await self._store.bring(authorization, brought, int(self._clock()))
        self._right[authorization] = None
        while len(self._right) > _MOST:
            self._right.popitem(last=False)

    async def find(self, authorizations: Sequence[bytes]) -> Mapping[bytes, Authorization]:
        """Return the signed records of authorizations, for keyholders that ask for them.

        Raises:
            UnavailableError: They cannot be read now.
        """
        found = await self._store.find(authorizations)
        return {id_: kept.record for id_, kept in found.items()}

    def _is_right_on_chain(self, record: Authorization, authorization: bytes, name: str) -> bool:
        if struct_hash(record) != authorization:
            return False
        names = _names_of(record, name, self._chain.snapshot)
        if names is None:
            # Not for good: after a chain lost blocks the index begins again.
            raise UnavailableError(
                "the index does not know the dataset or the purpose", "index-behind"
            )
        return _is_right(record, authorization, names)


def _names_of(record: Authorization, consumer: str, known: Snapshot) -> Names | None:
    dataset, purpose = known.datasets.get(record.dataset), known.purposes.get(record.purpose)
    if dataset is None or purpose is None:
        return None
    return Names(consumer, dataset.title, dataset.fields, purpose.texts, purpose.retention)


def _is_right(record: Authorization, authorization: bytes, names: Names) -> bool:
    try:
        verify_consent(record, authorization, names)
    except LedgerError:
        return False
    return True
