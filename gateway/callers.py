"""Who is somebody here: a party, the authority, or who signs for a person. Everybody else is a stranger.

Nothing is decided by it but whose bucket a request is counted in (`ledger.service.rate_limit`) and whether
the node is asked in a stranger's name: the contracts decide.
"""

import asyncio
from collections.abc import Hashable
from typing import Final

from gateway.freshness import Freshness
from ledger.gathering import Gatherer
from ledger.hexstr import keccak256
from ledger.index.index import Index
from ledger.service.rate_limit import STRANGERS

_REMEMBERED: Final = 10_000


class Callers:
    def __init__(
        self,
        index: Index,
        freshness: Freshness,
        authority: bytes,
    ) -> None:
        self._index = index
        self._freshness = freshness
        self._authority = authority
        self._people: Gatherer[bytes, bool] = Gatherer(index.people_who_sign)
        self._subjects: dict[bytes, asyncio.Task[frozenset[bytes]]] = {}
        self._as_of = -1
        """Block in which the subjects above are as they are."""

    async def bucket_of(self, signer: bytes) -> Hashable:
        """Return in whose bucket a signer's requests are counted: its own, or that of all strangers."""
        if self._is_named(signer) or signer in self._index.snapshot.parties:
            return signer
        # All who ask at one time share a read: who draws keys does not take the database from the others.
        return signer if signer in await self._people.get([signer]) else STRANGERS

    async def may_transact(self, account: bytes) -> bool:
        """Tell whether an account is somebody's who may transact, once the index has all that is final.

        Raises:
            UnavailableError: That cannot be told now.
        """
        await self._freshness.catch_up()
        return self.is_party(account)

    def is_party(self, account: bytes) -> bool:
        """Tell whether an account was ever named as a party, pending too, as a supervisor or as the authority.

        Raises:
            UnavailableError: That cannot be told now.
        """
        return self._is_named(account) or self._freshness.is_party(account)

    def _is_named(self, account: bytes) -> bool:
        return account == self._authority or account in self._index.snapshot.named

    async def signs_for(self, signer: bytes, subject: bytes) -> bool:
        """Tell whether a signer signs for a subject, as its own or as a guardian's, or did so once.

        A subject is looked up once a block, however many ask in its name.
        """
        head = self._index.head.number
        if head != self._as_of or len(self._subjects) >= _REMEMBERED:
            self._subjects, self._as_of = {}, head
        looking = self._subjects.get(subject)
        if looking is None:
            looking = asyncio.ensure_future(self._index.signer_hashes(subject))
            self._subjects[subject] = looking
        return keccak256(signer) in await asyncio.shield(looking)
