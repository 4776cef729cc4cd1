"""Supervision of keyholders: what consumers report of them.

One consumer's word counts for nothing, as it may lie: an alert takes the words of several, each about an access of its
own for which this gateway handed out that keyholder's parts, or what shows it to everybody.
"""

import time
from collections.abc import Callable, Sequence

from gateway.errors import BodyError, ConflictError, ForbiddenError, UnknownError
from gateway.store.alerts import AlertStore
from gateway.store.keyholder_reports import KeyholderReport, KeyholderReportStore
from gateway.store.releases import JournalEntry, ReleaseJournal
from gateway.supervision.rules import reported_keyholder
from gateway.supervision.watch import raise_alert
from gateway.topics import Topics
from ledger.crypto.released_parts import decode_wrong_parts, verify_wrong_parts
from ledger.crypto.secret_sharing import Roster
from ledger.errors import LedgerError
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
