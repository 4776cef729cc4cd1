"""What ties owners to subjects: stored beside the authorizations, handed to keyholders, never on chain."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from sqlalchemy import and_, or_, select
from sqlalchemy.dialects import postgresql, sqlite

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
        insert = (sqlite.insert if database.is_sqlite else postgresql.insert)(subject_links)
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
