"""What keyholders would refuse, the gateway refuses before it records: nobody's use is spent for nothing."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import pytest
from sqlalchemy import event

from gateway.access.content import MAX_RECORDS
from gateway.store.database import Database
from ledger.api import KeyedSubmission
from ledger.crypto.hpke import DecryptionKey
from ledger.crypto.secret_sharing import Roster
from ledger.links import MAX_LINK_LIFETIME
from ledger.model import Outcome
from ledger.release_rules import PUBLICATION_LAG, Reason
from tests.gateway.test_accesses import OWN, OWNER, RECORDS, committed, released
from tests.support.accesses import OPEN, PERSONAL, STRANGER_KEY, AccessDesk
from tests.support.fake_keyholder import ROSTER
from tests.support.problems import slug
from tests.support.uploads import make_record, make_records

ITEM: Final = OWN[1].entry().root
NEWER: Final = make_records(owners=20, version=2)


@pytest.fixture
async def desk(database: Database) -> AccessDesk:
    desk = AccessDesk(database)
    await desk.publish(PERSONAL, RECORDS)
    await desk.link(OWNER)
    return desk


async def hardly_any_field(desk: AccessDesk) -> KeyedSubmission:
    """Zero is within every basis, and no keyholder's schema has it."""
    return desk.submission(desk.chain.authorize(), fields=0)


async def equal_field_names(desk: AccessDesk) -> KeyedSubmission:
    r"""A byte 0xFF beside the text `\xff`: the contract takes both, and escaped they are equal."""
    names = [f"field {number}" for number in range(10)]
    desk.chain.change(OPEN, fields=(*names, "\\xff", "\\xff"))
    await desk.publish(OPEN, [make_record(bytes(32), 0)])
    return desk.submission(desk.chain.open_dataset(), fields=1)


async def superseded(desk: AccessDesk) -> KeyedSubmission:
    """The provider published, and hands nothing over."""
    basis = desk.chain.authorize()
    released(await desk.accesses.answer(desk.submission(basis)))
    desk.chain.recorded.clear()
    desk.chain.publish(PERSONAL, 2)
    desk.chain.time += PUBLICATION_LAG
    return desk.submission(basis)


async def superseded_twice(desk: AccessDesk) -> KeyedSubmission:
    """Which one counts is the version after the one that is served, not the newest."""
    desk.chain.publish(PERSONAL, 2)
    desk.chain.time += PUBLICATION_LAG
    desk.chain.publish(PERSONAL, 3)
    return desk.submission(desk.chain.authorize())


async def superseded_item(desk: AccessDesk) -> KeyedSubmission:
    """Served is the newest, and the one record of the authorization stands in an older version alone."""
    await desk.publish(PERSONAL, NEWER, version=2)
    desk.chain.time += PUBLICATION_LAG
    return desk.submission(desk.chain.authorize(item=ITEM))


async def forgotten_item(desk: AccessDesk) -> KeyedSubmission:
    for version in range(2, 8):
        await desk.publish(PERSONAL, make_records(owners=20, version=version), version=version)
    return desk.submission(desk.chain.authorize(item=ITEM))


async def foreign_item(desk: AccessDesk) -> KeyedSubmission:
    foreign = next(record for record in RECORDS if record.owner != OWNER)
    return desk.submission(desk.chain.authorize(), item=foreign.entry().root)


async def unserved(desk: AccessDesk) -> KeyedSubmission:
    """The index begins again, and has not got to what is served."""
    desk.chain.change(PERSONAL, version=0)
    return desk.submission(desk.chain.authorize())


async def erased_item(desk: AccessDesk) -> KeyedSubmission:
    """A tombstone that nobody told the gateway of."""
    basis = desk.chain.authorize(item=ITEM)
    released(await desk.accesses.answer(desk.submission(basis)))
    desk.chain.recorded.clear()
    desk.chain.erase(PERSONAL, ITEM)
    return desk.submission(basis)


async def erased_everything(desk: AccessDesk) -> KeyedSubmission:
    for record in OWN:
        desk.chain.erase(PERSONAL, record.entry().root)
    return desk.submission(desk.chain.authorize())


async def erased_open_item(desk: AccessDesk) -> KeyedSubmission:
    records = [make_record(bytes(32), number) for number in range(3)]
    await desk.publish(OPEN, records)
    desk.chain.erase(OPEN, records[1].entry().root)
    return desk.submission(desk.chain.open_dataset(), item=records[1].entry().root)


async def too_many_of_one_owner(desk: AccessDesk) -> KeyedSubmission:
    many = [make_record(OWNER, number) for number in range(MAX_RECORDS + 1)]
    await desk.publish(PERSONAL, many, version=2)
    return desk.submission(desk.chain.authorize())


async def no_link(desk: AccessDesk) -> KeyedSubmission:
    return desk.submission(desk.chain.authorize(subject=b"\x08" * 32))


async def link_over(desk: AccessDesk) -> KeyedSubmission:
    desk.chain.time += MAX_LINK_LIFETIME
    return desk.submission(desk.chain.authorize())


async def link_of_nobody(desk: AccessDesk) -> KeyedSubmission:
    desk.chain.authority = b"\x99" * 20
    return desk.submission(desk.chain.authorize())


async def no_statement(desk: AccessDesk) -> KeyedSubmission:
    basis = desk.chain.authorize()
    del desk.chain.records[basis]
    return desk.submission(basis)


async def wrong_statement(desk: AccessDesk) -> KeyedSubmission:
    basis = desk.chain.authorize()
    desk.chain.names[basis] = "Another Bank"
    return desk.submission(basis)


async def forged(desk: AccessDesk) -> KeyedSubmission:
    return desk.submission(desk.chain.authorize(), key=STRANGER_KEY)


async def other_key(desk: AccessDesk) -> KeyedSubmission:
    key = DecryptionKey.generate().encryption_key.to_bytes()
    return msgspec.structs.replace(desk.submission(desk.chain.authorize()), key=key)


async def unusable_key(desk: AccessDesk) -> KeyedSubmission:
    return committed(desk, b"\x01" + bytes(32))


async def epoch_of_keyholders_who_are_away(desk: AccessDesk) -> KeyedSubmission:
    away = tuple(bytes([number]) * 20 for number in (7, 8, 9))
    desk.restart(rosters=(Roster(1, 2, away), Roster(2, 2, ROSTER.members)))
    return desk.submission(desk.chain.authorize())


@dataclass(frozen=True)
class Case:
    """What a keyholder would refuse, and how the gateway refuses it first."""

    make: Callable[[AccessDesk], Awaitable[KeyedSubmission]]
    kind: str


_THE_RECORD: Final = "is about the record itself, which is not there before it is made"
_LATER: Final = "what happens on chain between the record and the release cannot be foreseen"
_OWN_TASK: Final = (
    "the gateway puts the task together from what it verified at the upload and the relay"
)

REASONS: Final[dict[Reason, tuple[Case, ...] | str]] = {
    Reason.ACCESS_NOT_FINAL: _THE_RECORD,
    Reason.ACCESS_UNKNOWN: _THE_RECORD,
    Reason.ACCESS_DIFFERS: _THE_RECORD,
    Reason.ACCESS_DENIED: "the chain denies it, and no use is counted",
    Reason.RELEASE_OVER: _LATER,
    Reason.RELEASE_STOPPED: f"the chain denies by what stands before the record; {_LATER}",
    Reason.DATASET_MISMATCH: _OWN_TASK,
    Reason.LINK_MISMATCH: _OWN_TASK,
    Reason.PROOF_INVALID: _OWN_TASK,
    Reason.RECORD_UNPROVEN: _OWN_TASK,
    Reason.PUBLICATION_LATER: "served is what was final in a block before; the access comes in a later one",
    Reason.SIGNATURE_INVALID: (Case(forged, "wrong-signature"),),
    Reason.KEY_MISMATCH: (Case(other_key, "answer-key"),),
    Reason.KEY_UNUSABLE: (Case(unusable_key, "answer-key"),),
    Reason.BASIS_UNKNOWN: (Case(equal_field_names, "field-names"),),
    Reason.STATEMENT_WANTED: (Case(no_statement, "statement-missing"),),
    Reason.STATEMENT_WRONG: (Case(wrong_statement, "statement-missing"),),
    Reason.FIELDS_OUTSIDE: (Case(hardly_any_field, "malformed"),),
    Reason.PUBLICATION_UNKNOWN: (Case(unserved, "index-behind"),),
    Reason.PUBLICATION_SUPERSEDED: (
        Case(superseded, "publication-superseded"),
        Case(superseded_twice, "publication-superseded"),
        Case(superseded_item, "publication-superseded"),
    ),
    Reason.RECORDS_MISSING: (Case(too_many_of_one_owner, "too-many-records"),),
    Reason.ITEM_MISMATCH: (Case(forgotten_item, "not-found"),),
    Reason.OWNER_MISMATCH: (Case(foreign_item, "not-found"),),
    Reason.LINK_MISSING: (Case(no_link, "link-missing"),),
    # A keyholder may pin fewer authorities than the chain has: of that it tells nobody who asks for parts.
    Reason.LINK_INVALID: (Case(link_of_nobody, "link-refused"),),
    Reason.LINK_OVER: (Case(link_over, "link-refused"),),
    Reason.RECORD_ERASED: (
        Case(erased_item, "erased"),
        Case(erased_everything, "erased"),
        Case(erased_open_item, "erased"),
    ),
    Reason.EPOCH_UNKNOWN: (Case(epoch_of_keyholders_who_are_away, "cannot-record"),),
}
"""Each reason of a keyholder: what shows that the gateway refuses before, or why it cannot."""

CASES: Final = [case for cases in REASONS.values() if not isinstance(cases, str) for case in cases]


def test_every_reason_of_a_keyholder_is_judged() -> None:
    assert REASONS.keys() == set(Reason)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.make.__name__)
async def test_what_keyholders_would_refuse_is_refused_before_the_record(
    desk: AccessDesk, case: Case
) -> None:
    submission = await case.make(desk)
    answer = await desk.accesses.answer(submission)
    assert slug(answer.problem) == case.kind
    assert desk.chain.recorded == {}


@pytest.mark.parametrize("late", [0, 120])
async def test_a_superseded_version_answers_for_as_long_as_keyholders_let(
    desk: AccessDesk, late: int
) -> None:
    desk.chain.publish(PERSONAL, 2)
    desk.chain.time += PUBLICATION_LAG - 120 + late
    answer = await desk.accesses.answer(desk.submission(desk.chain.authorize()))
    assert slug(answer.problem) == ("publication-superseded" if late else None)
    await desk.publish(PERSONAL, NEWER, version=2)
    answer = await desk.accesses.answer(desk.submission(desk.chain.authorize()))
    assert released(answer).publication == 2


async def test_a_record_with_a_tombstone_is_left_out_though_nobody_had_it_erased_here(
    desk: AccessDesk,
) -> None:
    """Keyholders refuse all of a person's records if one of them has a tombstone."""
    basis = desk.chain.authorize()
    assert len(released(await desk.accesses.answer(desk.submission(basis))).records) == len(OWN)
    desk.chain.erase(PERSONAL, ITEM)
    release = released(await desk.accesses.answer(desk.submission(basis)))
    assert release.records == (OWN[0].excerpt((0, 2)),)
    records = [make_record(bytes(32), number) for number in range(3)]
    await desk.publish(OPEN, records)
    desk.chain.erase(OPEN, records[1].entry().root)
    release = released(await desk.accesses.answer(desk.submission(desk.chain.open_dataset())))
    assert len(release.records) == 2


async def test_an_access_that_the_chain_denies_is_recorded_as_ever(desk: AccessDesk) -> None:
    basis = desk.chain.authorize()
    desk.chain.outcomes[basis] = Outcome.REVOKED
    answer = await desk.accesses.answer(desk.submission(basis))
    assert answer.recorded is not None
    assert answer.recorded.outcome == Outcome.REVOKED


# What it costs


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """The SQL that is carried out meanwhile."""
    found: list[str] = []

    def note(_c: Any, _u: Any, statement: str, *_: Any) -> None:
        if not statement.startswith(("PRAGMA", "BEGIN", "COMMIT")):
            found.append(statement)

    engines = {database._writer.engine, database._reader.engine}
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)


async def test_of_what_was_looked_at_nothing_is_asked_again(
    desk: AccessDesk, database: Database
) -> None:
    """Neither of the same authorization, nor of another one that opens the same records."""
    await desk.publish(OPEN, [make_record(bytes(32), number) for number in range(30)])
    bases = [desk.chain.authorize(), desk.chain.authorize(item=ITEM), desk.chain.open_dataset()]
    entries = [desk.chain.known[basis] for basis in (*bases, desk.chain.authorize())]
    for entry in entries[:-1]:
        with statements(database) as asked:
            await desk.preflight.require(b"", entry, bytes(32), desk.chain.block)
        assert asked  # control: what is counted is there
    with statements(database) as asked:
        for entry in entries:
            await desk.preflight.require(b"", entry, bytes(32), desk.chain.block)
    assert asked == []


async def test_while_a_version_is_waited_for_one_question_is_asked_for_each_access(
    desk: AccessDesk, database: Database
) -> None:
    entry = desk.chain.known[desk.chain.authorize()]
    await desk.preflight.require(b"", entry, bytes(32), desk.chain.block)
    desk.chain.publish(PERSONAL, 2)
    with statements(database) as asked:
        await desk.preflight.require(b"", entry, bytes(32), desk.chain.block)
    assert len(asked) == 1
