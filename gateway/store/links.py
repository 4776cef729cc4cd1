"""What ties owners to subjects: stored beside the authorizations, handed to keyholders, never on chain."""

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, and_, delete, or_, select, tuple_

from gateway.store.database import Database
from gateway.store.tables import subject_links
from ledger.api import SignedLink
from ledger.gathering import Gatherer
from ledger.typed_data import SubjectLink

Tie = tuple[bytes, bytes]
"""A subject and a dataset."""

_MAX_PARAMETERS: Final = 200
_MAX_KEPT: Final = 50_000
_KEPT: Final = 60.0
"""Seconds for which a link is kept in memory. Another gateway with the same database may put a newer one, when
this one was ended."""


class KeptLink(msgspec.Struct, frozen=True):
    signed: SignedLink
    signer: bytes


class LinkStore:
    """Where links are kept: the newest for each subject and dataset."""

    def __init__(self, database: Database) -> None:
        insert = database.upsert(subject_links)
        names = ("owner", "issued_at", "expires_at", "signature", "signer", "stored_at")
        changed = {name: insert.excluded[name] for name in names}
        self._database = database
        self._gatherer: Gatherer[Tie, KeptLink] = Gatherer(self._read)
        self._kept: OrderedDict[Tie, tuple[float, KeptLink]] = OrderedDict()
        # Whoever relays an authorization may still have an older one.
        self._put: Final = insert.on_conflict_do_update(
            index_elements=["subject", "dataset"],
            set_=changed,
            where=insert.excluded.issued_at >= subject_links.c.issued_at,
        )

    async def put(self, kept: KeptLink, now: int) -> None:
        """Keep a link that was verified, unless a newer one is there; durable when it returns."""
        link = kept.signed.link
        row = {
            "subject": link.subject,
            "dataset": link.dataset,
            "owner": link.owner,
            "issued_at": link.issued_at,
            "expires_at": link.expires_at,
            "signature": kept.signed.signature,
            "signer": kept.signer,
            "stored_at": now,
        }
        await self._database.run(self._put, row)
        self._kept.pop((link.subject, link.dataset), None)

    async def find(self, ties: Sequence[Tie]) -> Mapping[Tie, KeptLink]:
        """Return the links that are there, as of at most a minute ago."""
        found: dict[Tie, KeptLink] = {}
        missing = []
        now = time.monotonic()
        for tie in ties:
            until, kept = self._kept.get(tie, (now, None))
            if kept is None or until <= now:
                missing.append(tie)
            else:
                found[tie] = kept
        if missing:
            read = await self._gatherer.get(missing)
            for tie in missing:
                if tie in read:
                    found[tie] = read[tie]
                    self._kept[tie] = now + _KEPT, read[tie]
            while len(self._kept) > _MAX_KEPT:
                self._kept.popitem(last=False)
        return found

    async def _read(self, ties: Sequence[Tie]) -> Mapping[Tie, KeptLink]:
        columns = subject_links.c

        def read(connection: Connection) -> dict[Tie, KeptLink]:
            links: dict[Tie, KeptLink] = {}
            for start in range(0, len(ties), _MAX_PARAMETERS):
                wanted = or_(
                    *(
                        and_(columns.subject == subject, columns.dataset == dataset)
                        for subject, dataset in ties[start : start + _MAX_PARAMETERS]
                    )
                )
                for row in connection.execute(select(*_COLUMNS).where(wanted)):
                    kept = _kept(*row)
                    links[kept.signed.link.subject, kept.signed.link.dataset] = kept
            return links

        return await self._database.read(read)

    async def ending(
        self, before: int, after: tuple[int, bytes, bytes], limit: int
    ) -> Sequence[KeptLink]:
        """Return links that end before a time, by end, subject and dataset, after such a place."""
        columns = subject_links.c
        place = (columns.expires_at, columns.subject, columns.dataset)
        statement = (
            select(*_COLUMNS)
            .where(columns.expires_at < before, tuple_(*place) > after)
            .order_by(*place)
            .limit(limit)
        )
        return [_kept(*row) for row in await self._database.all(statement)]

    async def forget(self, link: SubjectLink) -> None:
        """Remove a link, unless a newer one took its place."""
        columns = subject_links.c
        which = and_(
            columns.subject == link.subject,
            columns.dataset == link.dataset,
            columns.issued_at == link.issued_at,
        )
        await self._database.run(delete(subject_links).where(which))
        self._kept.pop((link.subject, link.dataset), None)


_COLUMNS: Final[list[Any]] = [
    subject_links.c[name]
    for name in ("subject", "dataset", "owner", "issued_at", "expires_at", "signature", "signer")
]


def _kept(  # one argument a column
    subject: bytes,
    dataset: bytes,
    owner: bytes,
    issued_at: int,
    expires_at: int,
    signature: bytes,
    signer: bytes,
) -> KeptLink:
    link = SubjectLink(subject, dataset, owner, issued_at, expires_at)
    return KeptLink(SignedLink(link, signature), signer)
