"""No recorded access is missing from the journal of releases, also when the database could not take it just then.

`make faults` found it: a denied access whose note failed was final for the caller, so nobody asked again, and its
signature was in no journal that the regulator gets until the gateway was started anew.
"""

import sqlite3
from pathlib import Path
from typing import cast

import pytest

from gateway.accesses import CannotRecordError
from gateway.errors import StoreUnavailableError
from gateway.recording import NotedInTheEnd, Recording, Unclaimed
from gateway.store.database import Database
from gateway.store.migrate import migrate
from gateway.store.releases import SqlReleaseJournal
from ledger.recorder.recorder import Recorder
from tests.gateway.test_access_stores import entry
from tests.support.recording import until


async def test_what_could_not_be_noted_is_noted_when_the_database_works_again(
    tmp_path: Path,
) -> None:
    file = tmp_path / "gateway.db"
    database = Database(f"sqlite+aiosqlite:///{file}", timeout=0.2)
    await migrate(database)
    journal = SqlReleaseJournal(database)
    unclaimed = Unclaimed(journal)
    denied, released = entry(1, outcome=16), entry(2, released=True)
    locker = sqlite3.connect(file, isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError):
        await NotedInTheEnd(journal, unclaimed).write([denied, released])
    assert unclaimed.waiting == 2
    locker.execute("ROLLBACK")
    locker.close()
    await until(lambda: not unclaimed.waiting)
    # The caller was told that nothing is written, so nothing was handed out.
    kept = [one async for one in journal.read(0)]
    assert [(one.recorded, one.released) for one in kept] == [
        (denied.recorded, None),
        (released.recorded, None),
    ]
    await unclaimed.close()
    await database.close()


async def test_nothing_new_is_recorded_while_too_much_is_not_noted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.recording._MOST_UNNOTED", 0)
    database = Database("postgresql+asyncpg://nobody@127.0.0.1:1/none", timeout=0.2)
    unclaimed = Unclaimed(SqlReleaseJournal(database))
    recording = Recording(cast("Recorder", None), unclaimed)
    waiting, new = entry(1), entry(2)
    unclaimed(waiting.submission, waiting.recorded)
    with pytest.raises(CannotRecordError):
        await recording.record(new.submission, new.recorded.access)
    await unclaimed.close()
    await database.close()
