"""A consumer's word counts for nothing, three consumers' do, and so does what shows it."""

import msgspec
import pytest

from gateway.errors import BodyError, ConflictError, ForbiddenError, UnknownError
from gateway.notifications import Topics
from gateway.store.alerts import AlertStore, KeyholderReportStore, StoredAlert
from gateway.store.database import Database
from gateway.store.releases import JournalEntry, Released, ReleaseJournal
from gateway.supervision.keyholder_reports import KeyholderReports
from ledger.api import RecordedAccess, Submission
from ledger.crypto.released_parts import encode_wrong_parts
from ledger.crypto.secret_sharing import Sharing
from ledger.hexstr import to_hex
from ledger.typed_data import AccessRequest, struct_hash
from tests.ledger.test_parts_statements import DOMAIN, REQUEST, Party
from tests.support.lying_keyholder import noise

PARTY = Party(Sharing(2, 3))
FIRST, SECOND, THIRD = PARTY.roster.members
BANK, STRANGER = REQUEST.consumer, bytes([4]) * 20


class Office:
    """Supervision with a journal of accesses."""

    def __init__(self, database: Database) -> None:
        self.alerts = AlertStore(database)
        self.journal = ReleaseJournal(database)
        self.store = KeyholderReportStore(database)
        self.reports = KeyholderReports(
            self.store,
            self.alerts,
            self.journal,
            Topics(),
            rosters=[PARTY.roster],
            domain=DOMAIN,
            clock=lambda: 1_800_000_000,
        )

    async def access(
        self, consumer: bytes, holders: tuple[bytes, ...] = PARTY.roster.members, nonce: int = 1
    ) -> bytes:
        request = msgspec.structs.replace(REQUEST, consumer=consumer, nonce=nonce)
        return await self.record(request, holders)

    async def record(self, request: AccessRequest, holders: tuple[bytes, ...]) -> bytes:
        access = struct_hash(request)
        recorded = RecordedAccess(access, 1, 0, 1, bytes(32), 1, bytes(32), 0)
        released = Released(bytes(32), 1, (1,), holders, b"key", 1)
        entry = JournalEntry(Submission(request, bytes(65)), recorded, released)
        await self.journal.write([entry])
        return access

    async def raised(self) -> tuple[StoredAlert, ...]:
        return await self.alerts.list(0, 100)


@pytest.fixture
async def office(database: Database) -> Office:
    return Office(database)


async def test_one_consumer_that_names_a_keyholder_three_times_counts_once(office: Office) -> None:
    for nonce in range(3):
        await office.reports.take_word(BANK, await office.access(BANK, nonce=nonce), FIRST)
    assert await office.raised() == ()
    (report,) = await office.reports.list()
    assert (report.keyholder, report.consumer, report.proof) == (FIRST, BANK, None)


async def test_three_consumers_that_name_a_keyholder_raise_one_alert(office: Office) -> None:
    for number in range(1, 6):
        consumer = bytes([number]) * 20
        await office.reports.take_word(consumer, await office.access(consumer), FIRST)
        await office.reports.take_word(
            consumer, await office.access(consumer), SECOND if number < 3 else FIRST
        )
        assert len(await office.raised()) == (number >= 3)
    (alert,) = await office.raised()
    assert (alert.rule, alert.severity, alert.consumer) == ("keyholder", "grave", None)
    assert to_hex(FIRST) in alert.text
    assert "3 consumers" in alert.text


async def test_a_proof_raises_an_alert_at_once_and_a_word_does_not_take_it_away(
    office: Office,
) -> None:
    access = await office.record(REQUEST, PARTY.roster.members)
    proof = PARTY.proof(3, PARTY.tells(1), PARTY.tells(2), PARTY.tells(3, noise))
    for _ in range(2):
        await office.reports.take_proof(BANK, access, encode_wrong_parts(proof))
        await office.reports.take_word(BANK, access, THIRD)
    (alert,) = await office.raised()
    assert to_hex(THIRD) in alert.text
    (report,) = await office.reports.list()
    assert report.proof == encode_wrong_parts(proof)


async def test_a_consumer_that_lies_raises_nothing(office: Office) -> None:
    access = await office.record(REQUEST, (FIRST, SECOND))
    with pytest.raises(ConflictError):
        await office.reports.take_word(BANK, access, THIRD)
    with pytest.raises(ForbiddenError):
        await office.reports.take_word(STRANGER, access, FIRST)
    with pytest.raises(UnknownError):
        await office.reports.take_word(BANK, bytes(32), FIRST)
    told = [PARTY.tells(1), PARTY.tells(2), PARTY.tells(3, noise)]
    forged = [
        b"",
        encode_wrong_parts(PARTY.proof(1, *told)),
        encode_wrong_parts(PARTY.proof(3, *told[1:])),
        encode_wrong_parts(PARTY.proof(3, *told))[:-1] + b"\x00",
        encode_wrong_parts(
            PARTY.proof(3, *told, msgspec.structs.replace(told[0], holder=STRANGER))
        ),
    ]
    for proof in forged:
        with pytest.raises(BodyError):
            await office.reports.take_proof(BANK, access, proof)
    right = encode_wrong_parts(PARTY.proof(3, *told))
    with pytest.raises(BodyError, match="another request"):
        await office.reports.take_proof(BANK, await office.access(BANK, nonce=77), right)
    with pytest.raises(ForbiddenError):
        await office.reports.take_proof(STRANGER, access, right)
    assert await office.raised() == ()
    assert await office.reports.list() == ()
