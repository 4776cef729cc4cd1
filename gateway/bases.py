"""What an access rests on, as the gateway needs to know it to find the records."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from gateway.errors import UnavailableError
from ledger.gathering import Gatherer
from ledger.index.rows import BasisEntry

NO_ITEM: Final = bytes(32)
"""The item that stands for all that a basis covers."""


class BasisSource(Protocol):
    """Where bases are looked up: the index of the chain's events (`ledger.index`)."""

    async def bases(self, ids: Sequence[bytes]) -> Mapping[bytes, BasisEntry]:
        """Return what these ids name; unknown ones are left out."""
        ...

    async def wait_for(self, number: int) -> object:
        """Wait until the block with this number is in the index."""
        ...


class Bases:
    """Looks bases up, and keeps those used last: nothing of them changes once it is on chain."""

    def __init__(self, source: BasisSource, *, patience: float = 5.0, most: int = 50_000) -> None:
        """Take a source.

        Args:
            source: The index.
            patience: Seconds to wait for a block in it.
            most: Bases kept.
        """
        self._source = source
        self._read: Gatherer[bytes, BasisEntry] = Gatherer(source.bases)
        self._patience = patience
        self._most = most
        self._kept: OrderedDict[bytes, BasisEntry] = OrderedDict()

    async def find(self, ids: Sequence[bytes]) -> Mapping[bytes, BasisEntry]:
        """Return what these ids name; unknown ones are left out.

        Raises:
            UnavailableError: It cannot be looked up now.
        """
        found: dict[bytes, BasisEntry] = {}
        missing = []
        for wanted in dict.fromkeys(ids):
            kept = self._kept.get(wanted)
            if kept is None:
                missing.append(wanted)
            else:
                found[wanted] = kept
        if missing:
            read = await self._read.get(missing)
            new = {one: read[one] for one in missing if one in read}
            found.update(new)
            self._keep(new)
        return found

    async def find_in_block(self, ids: Sequence[bytes], number: int) -> Mapping[bytes, BasisEntry]:
        """Do as `find`, as of a block: an access may be final before the index has its basis.

        Raises:
            UnavailableError: The index does not get that far in time.
            UnavailableError: It cannot be looked up now.
        """
        found = await self.find(ids)
        if all(one in found for one in ids):
            return found
        try:
            async with asyncio.timeout(self._patience):
                await self._source.wait_for(number)
        except TimeoutError as error:
            raise UnavailableError(
                f"the index does not have block {number} yet", "index-behind"
            ) from error
        return await self.find(ids)

    def _keep(self, new: Mapping[bytes, BasisEntry]) -> None:
        self._kept.update(new)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
