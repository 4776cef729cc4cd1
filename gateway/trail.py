"""The index as accesses, relays and supervision ask for it."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.errors import UnavailableError
from gateway.relays import Relayed
from ledger.enumerations import Roles
from ledger.gathering import Gatherer
from ledger.index.index import Index
from ledger.index.reader import Selection
from ledger.index.rows import Place, SubjectEntry
from ledger.links import LinkBounds

_PAGE = 1000
_MOST_REGISTRARS: Final = 100_000
_FAR = 20
"""Blocks behind which the index is not believed when it says that somebody is not there."""


class IndexTrail:
    """`LinkChain`, `PastActs`, `Subjects` and `Trail` over the index."""

    def __init__(
        self,
        index: Index,
        newest: Callable[[], int] = lambda: -1,
        catch_up: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        """Take an index.

        Args:
            index: What is asked.
            newest: Number of the newest final block that is known. After the chain lost blocks the index
                is made again from the first one; meanwhile nobody may be told for good that there is no
                such party.
            catch_up: Waits until the index has what is final now: a person may have enrolled a moment ago.
        """
        self._index = index
        self._catch_up = catch_up
        self._newest = newest
        self._registrars: OrderedDict[bytes, bytes] = OrderedDict()
        self._read_registrars: Gatherer[bytes, bytes] = Gatherer(index.registrars)

    def is_party(self, address: bytes) -> bool:
        """Whether an address was ever admitted in any role.

        Raises:
            UnavailableError: That cannot be told now.
        """
        return self._sure(there=address in self._index.snapshot.parties)

    @property
    def time(self) -> int:
        """See `gateway.linking.LinkChain`."""
        return self._index.head.timestamp

    async def subject(self, subject: bytes) -> SubjectEntry | None:
        """See `gateway.inbox.Subjects`."""
        found = await self._index.subject(subject)
        if found is None and self._catch_up is not None:
            await self._catch_up()
            found = await self._index.subject(subject)
        return found

    async def link_bounds(self, subject: bytes) -> LinkBounds:
        """See `gateway.linking.LinkChain`."""
        registrar = self._registrars.get(subject)
        if registrar is None:
            registrar = (await self._read_registrars.get([subject])).get(subject)
            if registrar is None and self._catch_up is not None:
                await self._catch_up()
                registrar = (await self._read_registrars.get([subject])).get(subject)
            if registrar is None:
                # Not for good: an embedded chain may have forgotten the registration, and gets it back.
                raise UnavailableError("the index does not know the subject", "index-behind")
            self._keep(subject, registrar)
        known = self._index.snapshot
        may = (registrar, known.successors.get(registrar, registrar))
        active = [one for one in may if known.party(one, Roles.IDENTITY_AUTHORITY) is not None]
        self._sure(there=bool(active))
        return LinkBounds(active, known.ended_links.get(subject, 0))

    def _keep(self, subject: bytes, registrar: bytes) -> None:
        # Who registered a subject never changes.
        self._registrars[subject] = registrar
        while len(self._registrars) > _MOST_REGISTRARS:
            self._registrars.popitem(last=False)

    async def is_granted(self, subject: bytes, dataset: bytes) -> bool:
        """See `gateway.linking.LinkChain`."""
        return await self._index.is_granted(subject, dataset)

    def _sure(self, *, there: bool) -> bool:
        if not there and self._index.head.number + _FAR < self._newest():
            raise UnavailableError("the index is behind the chain", "index-behind")
        return there

    async def granted(self, authorization: bytes) -> Relayed | None:
        """See `gateway.relays.PastActs`."""
        found = await self._index.authorization(authorization)
        return None if found is None else _relayed(found.place)

    async def granted_by(self, authorization: bytes) -> bytes | None:
        """See `gateway.relays.PastActs`."""
        found = await self._index.authorization(authorization)
        return None if found is None else found.signer_hash

    async def revoked(self, authorization: bytes) -> Relayed | None:
        """See `gateway.relays.PastActs`."""
        for event in await self._index.events(Selection(basis=authorization), limit=_PAGE):
            if event.name == "Revoked":
                return _relayed(event.place)
        return None


def _relayed(place: Place) -> Relayed:
    return Relayed(place.transaction, place.block_number, place.block_hash)
