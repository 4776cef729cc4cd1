"""What an access rests on, as the gateway needs to know it to find the records."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from gateway.gathering import Gatherer

NO_ITEM = bytes(32)
"""The item that stands for all that a basis covers."""


class Kind(StrEnum):
    """What the id of a basis names."""

    AUTHORIZATION = "authorization"
    AGREEMENT = "agreement"
    ORDER = "order"
    DATASET = "dataset"


class Basis(msgspec.Struct, frozen=True):
    """One basis. Nothing here ever changes after it came on chain.

    Attributes:
        id: 32 bytes.
        kind: What it is.
        dataset: Whose records it opens.
        subject: Of an authorization; None otherwise.
        item: Root of the one record that an authorization is bound to; `NO_ITEM` otherwise.
        personal: Whether the dataset is about people.
    """

    id: bytes
    kind: Kind
    dataset: bytes
    subject: bytes | None
    item: bytes
    personal: bool


class BasisSource(Protocol):
    """Where bases are looked up: the index of the chain's events, up to the newest final block."""

    async def bases(self, ids: Sequence[bytes]) -> Mapping[bytes, Basis]:
        """Return what these ids name; unknown ones are left out.

        Raises:
            UnavailableError: It cannot be looked up now.
        """
        ...


class Bases:
    """Looks bases up, and keeps those used last."""

    def __init__(self, source: BasisSource, *, most: int = 50_000) -> None:
        self._source: Gatherer[bytes, Basis] = Gatherer(source.bases)
        self._most = most
        self._kept: OrderedDict[bytes, Basis] = OrderedDict()

    async def find(self, ids: Sequence[bytes]) -> Mapping[bytes, Basis]:
        """Return what these ids name; unknown ones are left out.

        Raises:
            UnavailableError: It cannot be looked up now.
        """
        found: dict[bytes, Basis] = {}
        missing = []
        for wanted in dict.fromkeys(ids):
            kept = self._kept.get(wanted)
            if kept is None:
                missing.append(wanted)
            else:
                found[wanted] = kept
        if missing:
            read = await self._source.get(missing)
            new = {one: read[one] for one in missing if one in read}
            found.update(new)
            self._keep(new)
        return found

    def _keep(self, new: Mapping[bytes, Basis]) -> None:
        self._kept.update(new)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
