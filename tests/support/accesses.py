"""The gateway's access side on a real database, between a chain in memory and keyholders in memory."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.access.content import Bases, ReleaseContents
from gateway.access.keyholder_client import KeyholderClient
from gateway.access.keyholders import Keyholders
from gateway.access.links import Linking
from gateway.access.preflight import Preflight
from gateway.access.release import Releaser
from gateway.access.service import Accesses
from gateway.consent.statements import Statements
from gateway.errors import StoreUnavailableError, not_named
from gateway.publishing.ingest import UploadRules
from gateway.publishing.publications import Publications
from gateway.publishing.service import Limits, Publishing
from gateway.store.authorizations import StoredAuthorization
from gateway.store.database import Database
from gateway.store.links import KeptLink, LinkStore
from gateway.store.publications import PublicationStore, ServedPublication
from gateway.store.releases import ReleaseJournal
from gateway.store.uploads import UploadStore
from ledger.api import KeyedSubmission, RecordedAccess, SignedLink, Submission
from ledger.crypto import signatures
from ledger.crypto.records import EncryptedRecord
from ledger.crypto.secret_sharing import Roster
from ledger.crypto.statement import Names
from ledger.hexstr import keccak256
from ledger.index.rows import (
    BasisEntry,
    DatasetEntry,
    Head,
    Place,
    PublicationEntry,
    PurposeEntry,
    Snapshot,
)
from ledger.links import LinkBounds, make_link
from ledger.model import Class, Outcome
from ledger.release_rules import PUBLICATION_LAG
from ledger.service.rate_limit import RateLimit
from ledger.typed_data import Authorization, Domain, struct_hash
from scripts.answer_keys import DrawnKeys
from scripts.statements import TEXTS, pairs, stated
from tests.support.fake_keyholder import DOMAIN, ROSTER, FakeKeyholder, InMemory
from tests.support.uploads import EPOCHS, FIELDS, head_of, in_pieces, ndjson

NOW = 1_800_000_000
BANK_KEY = keccak256(b"bank")
BANK = signatures.address_of(BANK_KEY)
AUTHORITY = b"\x1d" * 20
LINKS = Domain(1, b"\x0e" * 20)
STRANGER_KEY = keccak256(b"stranger")
RECORDER = b"\x0e" * 20
SUBJECT = keccak256(b"subject")
PERSONAL = keccak256(b"personal dataset")
OPEN = keccak256(b"open dataset")


BANK_NAME = "City Bank"
PURPOSE = keccak256(b"purpose")
TITLE = "Real estate"
YEAR = 365 * 86_400
FIELD_NAMES = tuple(f"field {number}" for number in range(FIELDS))
NAMES = Names(BANK_NAME, TITLE, FIELD_NAMES, pairs(TEXTS), YEAR)


def dataset_entry(dataset: bytes, *, personal: bool) -> DatasetEntry:
    """A dataset of which nothing was published yet."""
    return DatasetEntry(
        id=dataset,
        provider=b"\x0d" * 20,
        code="personal" if personal else "open",
        title=TITLE,
        fields=FIELD_NAMES,
        personal=personal,
        sharing=Class.CONDITIONAL if personal else Class.UNCONDITIONAL,
        open=Class.NOT_SHARED,
        grade=2,
        update_cycle=0,
        withdrawn=False,
        version=0,
        published_at=0,
        registered_at=NOW,
    )


SNAPSHOT = Snapshot(
    head=Head(0, bytes(32), NOW, 0),
    parties={},
    datasets={
        PERSONAL: dataset_entry(PERSONAL, personal=True),
        OPEN: dataset_entry(OPEN, personal=False),
    },
    purposes={PURPOSE: PurposeEntry(PURPOSE, "loan", pairs(TEXTS), YEAR, 1000, 0, YEAR, True, {})},
    orders={},
    named={},
    successors={},
    ended_links={},
    erasures={},
)


def authorization_of(subject: bytes, item: bytes, *, number: int = 0) -> Authorization:
    record = Authorization(
        subject=subject,
        consumer=BANK,
        dataset=PERSONAL,
        item=item,
        purpose=PURPOSE,
        fields=(1 << FIELDS) - 1,
        case_reference=bytes(32),
        statement="",
        not_before=0,
        expires_at=NOW + YEAR,
        max_uses=1000,
        min_interval=0,
        nonce=number.to_bytes(32, "big"),
        deadline=NOW + 3600,
    )
    return stated(record, NAMES)


class FakeChain:
    """Decides and records in memory; speaks as recorder, index and register of parties."""

    def __init__(self) -> None:
        self.known: dict[bytes, BasisEntry] = {}
        self.outcomes: dict[bytes, Outcome] = {}
        self.recorded: dict[bytes, RecordedAccess] = {}
        self.block = 10
        self.problem: str | None = None
        """Why what is known of it cannot be relied on."""
        self.time = NOW
        self.authority = AUTHORITY
        self.links_from = 0
        self.granted = True
        self.down = False
        self.behind = False
        self.delay = 0.0
        self.unnamed: set[bytes] = set()
        """Consumers that have not named our recorder."""
        self.records: dict[bytes, StoredAuthorization] = {}
        """What people signed, as if it had been relayed here."""
        self.names: dict[bytes, str] = {}
        """Of consumers at the grant of an authorization, where it is another one."""
        self.snapshot = SNAPSHOT
        self.published: dict[tuple[bytes, int], int] = {}
        """When versions were published."""
        self.tombstones: set[tuple[bytes, bytes]] = set()

    @property
    def as_index(self) -> Any:
        """The index and the store of authorizations, as far as the parts ask them."""
        return self

    def publish(self, dataset: bytes, version: int) -> None:
        self.published[dataset, version] = self.time
        self.change(dataset, version=version, published_at=self.time)

    def change(self, dataset: bytes, **changes: object) -> None:
        entry = msgspec.structs.replace(self.snapshot.datasets[dataset], **changes)
        datasets = {**self.snapshot.datasets, dataset: entry}
        self.snapshot = msgspec.structs.replace(self.snapshot, datasets=datasets)

    def erase(self, dataset: bytes, item: bytes) -> None:
        self.tombstones.add((dataset, item))
        counts = Counter(one for one, _ in self.tombstones)
        self.snapshot = msgspec.structs.replace(self.snapshot, erasures=counts)

    async def publication(self, dataset: bytes, version: int) -> PublicationEntry | None:
        at = self.published.get((dataset, version))
        if at is None:
            return None
        place = Place(1, b"\x0b" * 32, at, b"\x0c" * 32)
        return PublicationEntry(dataset, version, bytes(32), 0, 0, bytes(32), place)

    async def erased(self, dataset: bytes, items: Sequence[bytes]) -> frozenset[bytes]:
        return frozenset(item for item in items if (dataset, item) in self.tombstones)

    def authorize(self, *, item: bytes = bytes(32), subject: bytes = SUBJECT) -> bytes:
        record = authorization_of(subject, item, number=len(self.known))
        basis = struct_hash(record)
        self.records[basis] = StoredAuthorization(basis, record, None, None, NOW)
        self.known[basis] = BasisEntry(basis, "authorization", PERSONAL, subject, item, True)
        return basis

    def open_dataset(self) -> bytes:
        self.known[OPEN] = BasisEntry(OPEN, "dataset", OPEN, None, bytes(32), False)
        return OPEN

    async def bases(self, ids: Sequence[bytes]) -> Mapping[bytes, BasisEntry]:
        return {id_: self.known[id_] for id_ in ids if id_ in self.known}

    async def names_at_grant(self, authorizations: Sequence[bytes]) -> Mapping[bytes, str]:
        known = self.known
        return {
            authorization: self.names.get(authorization, BANK_NAME)
            for authorization in authorizations
            if authorization in known
        }

    async def find(self, authorizations: Sequence[bytes]) -> Mapping[bytes, StoredAuthorization]:
        """As `AuthorizationStore`."""
        return {
            authorization: self.records[authorization]
            for authorization in authorizations
            if authorization in self.records
        }

    async def bring(self, authorization: bytes, record: Authorization, now: int) -> None:
        """As `AuthorizationStore`."""
        kept = StoredAuthorization(authorization, record, None, None, now)
        self.records.setdefault(authorization, kept)

    async def catch_up(self) -> bool:
        return not self.behind

    async def wait_for(self, number: int) -> None:
        """Nothing to wait for."""

    async def check(self, consumer: bytes) -> None:
        if consumer in self.unnamed:
            raise not_named(consumer, RECORDER)

    async def link_bounds(self, subject: bytes) -> LinkBounds:
        return LinkBounds((self.authority,), self.links_from)

    async def is_granted(self, subject: bytes, dataset: bytes) -> bool:
        return self.granted

    async def record(self, submission: Submission, access: bytes) -> RecordedAccess:
        if self.down:
            raise StoreUnavailableError("gone")
        await asyncio.sleep(self.delay)
        assert access == struct_hash(submission.request)
        assert access not in self.recorded, "recorded twice"
        sequence = len(self.recorded) + 1
        outcome = self.outcomes.get(submission.request.basis, Outcome.ALLOWED)
        self.recorded[access] = found = RecordedAccess(
            access, sequence, int(outcome), self.block, b"\x0b" * 32, self.time, b"\x0c" * 32, 0
        )
        return found


def statements_of(chain: FakeChain) -> Statements:
    return Statements(chain.as_index, chain.as_index, chain.catch_up, lambda: NOW)


class AccessDesk:
    """Everything from the signed request to the answer."""

    def __init__(self, database: Database) -> None:
        self.chain = FakeChain()
        self.holders = [FakeKeyholder(number) for number in (1, 2, 3)]
        self.store = PublicationStore(database)
        self.publications = Publications(self.store, tile_memory=1 << 20)
        self.publishing = Publishing(
            UploadStore(database),
            self.store,
            self.publications,
            limits=Limits(chunk_records=1000, chunk_bytes=1 << 22, line_bytes=1 << 16),
            clock=lambda: NOW,
        )
        self.links = LinkStore(database)
        self.journal = ReleaseJournal(database)
        self.answer_keys: dict[bytes, DrawnKeys] = {}
        self.accesses = self.restart()

    def restart(
        self, linking: Linking | None = None, rosters: Sequence[Roster] = (ROSTER,)
    ) -> Accesses:
        """A gateway that remembers nothing but what is in the database."""
        clients = [
            KeyholderClient(holder.address, InMemory(holder), DOMAIN) for holder in self.holders
        ]
        chain = self.chain.as_index
        statements = statements_of(self.chain)
        keyholders = Keyholders(clients, rosters, statements.find, hedge=5)
        bases = Bases(chain)
        judge = linking or Linking(self.links, chain, LINKS, None, window=3600)
        materials = ReleaseContents(self.publications, self.links, judge, chain)
        self.preflight = Preflight(
            self.publications,
            materials,
            chain,
            lag=PUBLICATION_LAG,
            clock=lambda: self.chain.time,
        )
        self.accesses = Accesses(
            domain=DOMAIN,
            recorder=self.chain,
            is_party=lambda address: address == BANK,
            bases=bases,
            statements=statements,
            materials=materials,
            preflight=self.preflight,
            releaser=Releaser(
                bases,
                materials,
                keyholders,
                self.journal,
                release_window=3600,
                newest_time=lambda: self.chain.time,
                clock=lambda: NOW,
                problem=lambda: self.chain.problem,
            ),
            keyholders=keyholders,
            journal=self.journal,
            newest_block=lambda: self.chain.block,
            throttle=RateLimit(1.0, 1_000),
        )
        return self.accesses

    async def publish(
        self, dataset: bytes, records: Sequence[EncryptedRecord], version: int = 1
    ) -> ServedPublication:
        """Upload, seal and serve a whole version, from the chain's next block on."""
        upload = await self.publishing.open(dataset, b"\x0d" * 20, 0)
        rules = UploadRules(FIELDS, personal=dataset == PERSONAL, is_delta=False, epochs=EPOCHS)
        await self.publishing.receive(upload, rules, 0, in_pieces(ndjson(records), 1 << 20))
        sealed = await self.publishing.seal(await self.publishing.get(upload.id))
        self.chain.block += 1
        self.chain.publish(dataset, version)
        return await self.publishing.publish(
            sealed, version, head_of(records), self.chain.block - 1
        )

    async def link(self, owner: bytes, subject: bytes = SUBJECT) -> None:
        link = make_link(subject, PERSONAL, owner, at=NOW, links_from=0)
        await self.links.put(KeptLink(SignedLink(link, bytes(65)), AUTHORITY), NOW)

    def submission(
        self,
        basis: bytes,
        *,
        fields: int = 0b101,
        item: bytes = bytes(32),
        key: bytes = BANK_KEY,
        consumer: bytes = BANK,
    ) -> KeyedSubmission:
        keys = self.answer_keys.setdefault(consumer, DrawnKeys(DOMAIN, consumer))
        return keys.submission(key, basis, fields=fields, item=item, deadline=NOW + 600)
