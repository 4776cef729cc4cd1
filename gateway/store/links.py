"""What ties owners to subjects: stored beside the authorizations, handed to keyholders, never on chain."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from sqlalchemy import and_, or_, select

from gateway.gathering import Gatherer
from gateway.store.access_tables import subject_links
from gateway.store.database import Database
from ledger.exchange import SignedLink
from ledger.typed_data import SubjectLink

Tie = tuple[bytes, bytes]
"""A subject and a dataset."""

_MOST_PARAMETERS: Final = 200


class LinkStore(Protocol):
    """Where links are kept: the newest for each subject and dataset."""

    async def put(self, link: SignedLink, now: int) -> None:
        """Keep a link that was verified; durable when it returns, idempotent."""
        ...

    async def find(self, ties: Sequence[Tie]) -> Mapping[Tie, SignedLink]:
        """Return the links that are there."""
        ...


class SqlLinkStore:
    """`LinkStore` in the database."""

    def __init__(self, database: Database) -> None:
        insert = database.upsert(subject_links)
        changed = {name: insert.excluded[name] for name in ("owner", "signature", "stored_at")}
        self._database = database
        self._put: Final = insert.on_conflict_do_update(
            index_elements=["subject", "dataset"], set_=changed
        )

    async def put(self, link: SignedLink, now: int) -> None:
        """See `LinkStore`."""
        row = {
            "subject": link.link.subject,
            "dataset": link.link.dataset,
            "owner": link.link.owner,
            "signature": link.signature,
            "stored_at": now,
        }
        async with self._database.writing() as connection:
            await connection.execute(self._put, row)

    async def find(self, ties: Sequence[Tie]) -> Mapping[Tie, SignedLink]:
        """See `LinkStore`."""
        columns = subject_links.c
        found: dict[Tie, SignedLink] = {}
        async with self._database.reading() as connection:
            for start in range(0, len(ties), _MOST_PARAMETERS):
                wanted = or_(
                    *(
                        and_(columns.subject == subject, columns.dataset == dataset)
                        for subject, dataset in ties[start : start + _MOST_PARAMETERS]
                    )
                )
                statement = select(
                    columns.subject, columns.dataset, columns.owner, columns.signature
                ).where(wanted)
                for subject, dataset, owner, signature in await connection.execute(statement):
                    link = SubjectLink(subject=subject, dataset=dataset, owner=owner)
                    found[subject, dataset] = SignedLink(link, signature)
        return found


class KeptLinks:
    """`LinkStore` that reads for many at once and keeps what was used last.

    A person's owner in a dataset never changes, so another gateway's newer link says the same.
    """

    def __init__(self, store: LinkStore, *, most: int = 50_000) -> None:
        self._store = store
        self._most = most
        self._read: Gatherer[Tie, SignedLink] = Gatherer(store.find)
        self._kept: OrderedDict[Tie, SignedLink] = OrderedDict()

    async def put(self, link: SignedLink, now: int) -> None:
        """See `LinkStore`."""
        await self._store.put(link, now)
        self._kept.pop((link.link.subject, link.link.dataset), None)

    async def find(self, ties: Sequence[Tie]) -> Mapping[Tie, SignedLink]:
        """See `LinkStore`."""
        found: dict[Tie, SignedLink] = {}
        missing = []
        for tie in ties:
            kept = self._kept.get(tie)
            if kept is None:
                missing.append(tie)
            else:
                found[tie] = kept
        if missing:
            read = await self._read.get(missing)
            for tie in missing:
                if tie in read:
                    found[tie] = self._kept[tie] = read[tie]
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return found
