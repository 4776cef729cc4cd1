"""No recorded access is missing from the journal of releases, also when the database could not take it just then.

`make faults` found it: a denied access whose note failed was final for the caller, so nobody asked again, and its
signature was in no journal that the regulator gets until the gateway was started anew.
"""

import sqlite3
from pathlib import Path
from typing import cast

import pytest

from gateway.access.recorder import Recording, make_up
from gateway.chain.accounts import Namings
from gateway.errors import StoreUnavailableError
from gateway.store.database import Database, migrate
from gateway.store.releases import JournalEntry, ReleaseJournal
from ledger.chain.transactions import Fee, Transaction, sign_transaction
from ledger.journal import Journal
from ledger.model import Outcome
from ledger.recorder.batch import call_of, make_entry
from ledger.recorder.journal import Sent, Settled, encode_records
from ledger.recorder.recorder import Recorder
from tests.gateway.test_access_stores import entry
from tests.support.problems import refused_as
from tests.support.recording import until


async def test_what_could_not_be_noted_is_noted_when_the_database_works_again(
    tmp_path: Path,
) -> None:
    file = tmp_path / "gateway.db"
    database = Database(f"sqlite:///{file}", timeout=0.2)
    await migrate(database)
    journal = ReleaseJournal(database)
    denied, released = entry(1, outcome=16), entry(2, released=True)
    locker = sqlite3.connect(file, isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError):
        await journal.write([denied, released])
    assert journal.unwritten == 2
    locker.execute("ROLLBACK")
    locker.close()
    await until(lambda: not journal.unwritten)
    # The caller was told that nothing is written, so nothing was handed out.
    kept = [one async for one in journal.read(0)]
    assert [(one.recorded, one.released) for one in kept] == [
        (denied.recorded, None),
        (released.recorded, None),
    ]
    await journal.close()
    await database.close()


def transaction_of(nonce: int, noted: list[JournalEntry], outcomes: bytes) -> list[Sent | Settled]:
    """What the recorder's journal says of a transaction that recorded these accesses."""
    entries = [
        make_entry(one.submission.request, one.submission.signature, one.recorded.access)
        for one in noted
    ]
    content = Transaction(1, nonce, 1_000_000, Fee(0), bytes(20), call_of(entries).data)
    signed = sign_transaction(content, b"\1" * 32)
    first = noted[0].recorded
    ids = b"".join(one.access for one in entries)
    signatures = b"".join(one.signature for one in entries)
    return [
        Sent(signed.sender, nonce, signed.hash, signed.raw, ids, signatures),
        Settled(
            signed.hash,
            *(first.block_number, first.block_hash, first.timestamp, 0, True),
            *(first.sequence, first.log_index, outcomes, bytes(32)),
        ),
    ]


async def test_what_a_crash_kept_from_the_journal_is_made_up_for_at_the_next_start(
    tmp_path: Path,
) -> None:
    database = Database(f"sqlite:///{tmp_path / 'gateway.db'}")
    await migrate(database)
    journal = ReleaseJournal(database)
    lost, again, handed_out = entry(1), entry(2), entry(3, released=True)
    await journal.write([handed_out])
    records = Journal.open(tmp_path / "journal")
    duplicate = Outcome.DUPLICATE_REQUEST
    records.begin_segment(
        encode_records(
            [
                *transaction_of(0, [lost, again], bytes((Outcome.ALLOWED, duplicate))),
                *transaction_of(1, [handed_out], bytes((Outcome.ALLOWED,))),
            ]
        )
    )
    records.close()
    assert await make_up(tmp_path / "journal", journal) == 1
    ids = [one.recorded.access for one in (lost, again, handed_out)]
    found = await journal.find(ids)
    assert set(found) == {lost.recorded.access, handed_out.recorded.access}
    assert found[lost.recorded.access].submission == lost.submission
    assert found[lost.recorded.access].recorded.sequence == 1
    assert found[handed_out.recorded.access] == handed_out
    assert await journal.known([*ids, bytes(32)]) == set(found)
    assert await make_up(tmp_path / "journal", journal) == 0
    await database.close()


async def test_nothing_new_is_recorded_while_too_much_is_not_noted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.access.recorder._MAX_UNNOTED", 0)
    database = Database("postgresql+psycopg://nobody@127.0.0.1:1/none", timeout=0.2)
    journal = ReleaseJournal(database)
    recording = Recording(cast("Recorder", object()), cast("Namings", object()), journal)
    waiting, new = entry(1), entry(2)
    journal.write_later(waiting.submission, waiting.recorded)
    with refused_as("cannot-record"):
        await recording.record(new.submission, new.recorded.access)
    await journal.close()
    await database.close()
