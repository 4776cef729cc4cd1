"""Supervision of keyholders, and the index and journal as supervision asks for them."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from gateway.errors import BodyError, ConflictError, ForbiddenError, UnknownError
from gateway.notifications import Topics
from gateway.store.alerts import AlertStore, KeyholderReport, KeyholderReportStore
from gateway.store.releases import JournalEntry, ReleaseJournal, access_id
from gateway.supervision.rules import ObservedAccess, reported_keyholder
from gateway.supervision.watch import raise_alert
from ledger.crypto.released_parts import decode_wrong_parts, verify_wrong_parts
from ledger.crypto.secret_sharing import Roster
from ledger.errors import LedgerError
from ledger.index.index import Index
from ledger.index.rows import EventEntry, Snapshot
from ledger.model import Outcome
from ledger.typed_data import Domain, struct_hash


class KeyholderReports:
    """Takes reports and raises alerts. Safe for concurrent use in one event loop."""

    def __init__(
        self,
        reports: KeyholderReportStore,
        alerts: AlertStore,
        journal: ReleaseJournal,
        topics: Topics,
        *,
        rosters: Sequence[Roster],
        domain: Domain,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._reports = reports
        self._alerts = alerts
        self._journal = journal
        self._topics = topics
        self._rosters = tuple(rosters)
        self._domain = domain
        self._clock = clock

    async def take_word(self, consumer: bytes, access: bytes, keyholder: bytes) -> None:
        """Take a consumer's word that a keyholder's parts were wrong. Idempotent.

        Raises:
            UnknownError, ForbiddenError: There is no such access of the consumer here.
            ConflictError: Parts of this keyholder were not handed out for it.
            UnavailableError: Nothing can be kept now.
        """
        entry = await self._own(consumer, access)
        if entry.released is None or keyholder not in entry.released.holders:
            raise ConflictError("parts of this keyholder were not handed out for the access")
        await self._take(consumer, access, keyholder, None)

    async def take_proof(self, consumer: bytes, access: bytes, proof: bytes) -> None:
        """Take what shows that a keyholder's parts were wrong. Idempotent.

        Raises:
            BodyError: It shows nothing, or of another request.
            UnknownError, ForbiddenError: There is no such access of the consumer here.
            UnavailableError: Nothing can be kept now.
        """
        await self._own(consumer, access)
        try:
            wrong = decode_wrong_parts(proof)
            request = verify_wrong_parts(wrong, self._rosters, self._domain)
        except LedgerError as error:
            raise BodyError(f"the proof: {error}") from error
        if struct_hash(request) != access:
            raise BodyError("the proof is about another request")
        await self._take(consumer, access, wrong.holder, proof)

    async def list(self) -> tuple[KeyholderReport, ...]:
        return await self._reports.all()

    async def _own(self, consumer: bytes, access: bytes) -> JournalEntry:
        entry = (await self._journal.find([access])).get(access)
        if entry is None:
            raise UnknownError("access here")
        if entry.submission.request.consumer != consumer:
            raise ForbiddenError("a consumer reports about its own accesses")
        return entry

    async def _take(
        self, consumer: bytes, access: bytes, keyholder: bytes, proof: bytes | None
    ) -> None:
        now = int(self._clock())
        await self._reports.put(KeyholderReport(keyholder, consumer, access, proof, now))
        known = await self._reports.of(keyholder)
        finding = reported_keyholder(
            keyholder, len(known), is_shown=any(one.proof is not None for one in known)
        )
        if finding is not None:
            await raise_alert(finding, self._alerts, self._topics, now)


_PAGE: Final = 1000


class SupervisedTrail:
    def __init__(self, index: Index, journal: ReleaseJournal) -> None:
        self._index = index
        self._journal = journal

    @property
    def snapshot(self) -> Snapshot:
        return self._index.snapshot

    async def first_since(self, timestamp: int) -> int:
        first, after = 1, self._index.head.sequence + 1
        while first < after:
            middle = (first + after) // 2
            found = await self._index.accesses_after(middle - 1, 1)
            if not found or found[0].place.timestamp >= timestamp:
                after = middle
            else:
                first = found[0].sequence + 1
        return first

    async def observed(self, first_sequence: int, limit: int) -> Sequence[ObservedAccess]:
        if first_sequence > self._index.head.sequence:
            return ()  # without asking the database at every block
        entries = await self._index.accesses_after(first_sequence - 1, min(limit, _PAGE))
        bases = list({entry.basis for entry in entries})
        agreements = await self._index.agreements_behind(bases)
        reviewed = await self.reviewed(list(set(agreements.values())))
        ids = [access_id(entry) for entry in entries]
        signed = await self._journal.known(ids)
        refused = [entry.basis for entry in entries if entry.outcome is Outcome.REVOKED]
        revoked = await self._index.revocations(list(set(refused))) if refused else {}
        return [
            ObservedAccess(
                entry.sequence,
                entry.place.timestamp,
                entry.consumer,
                entry.basis,
                entry.outcome,
                agreement=(agreement := agreements.get(entry.basis)),
                reviewed_at=0 if agreement is None else reviewed.get(agreement, 0),
                subject=entry.subject,
                signed=id_ in signed,
                revoked_at=revoked.get(entry.basis, 0),
            )
            for entry, id_ in zip(entries, ids, strict=True)
        ]

    async def reviewed(self, agreements: Sequence[bytes]) -> Mapping[bytes, int]:
        return await self._index.suspension_reviews(agreements) if agreements else {}

    async def identity_acts(self, since: int) -> Mapping[bytes, int]:
        return await self._index.identity_acts(since)

    async def unfit(self, after: int) -> Sequence[EventEntry]:
        return await self._index.unfit_after(after)
