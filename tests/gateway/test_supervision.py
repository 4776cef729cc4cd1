from collections.abc import Iterable, Mapping, Sequence

import msgspec
import pytest

from gateway.errors import GatewayError, RefusedError, StoreUnavailableError, UnavailableError
from gateway.notifications import Topics
from gateway.store.alerts import AlertStore
from gateway.store.database import Database
from gateway.supervision.rules import (
    Bounds,
    Enforcement,
    Finding,
    ObservedAccess,
    all_rules,
    busy_authorities,
    observe_all,
    stale_datasets,
    suspending_rules,
    unreviewed_orders,
)
from gateway.supervision.watch import Watch
from ledger.chain.reverts import Revert
from ledger.index.rows import DatasetEntry, EventEntry, OrderEntry, Place, Snapshot
from ledger.model import Class, Outcome
from tests.support.accesses import SNAPSHOT, dataset_entry

NOON = 1_800_000_000 - 1_800_000_000 % 86_400 + 4 * 3600  # noon in Beijing
BANK, INSURER = b"\x0b" * 20, b"\x0c" * 20
BASIS = b"\x01" * 32
AGREEMENT = b"\x0e" * 32
BOUNDS = Bounds(rate=5, volume_least=20, denials=3, odd_least=4)


def accesses(
    times: Iterable[int],
    *,
    outcome: Outcome = Outcome.ALLOWED,
    consumer: bytes = BANK,
    basis: bytes = BASIS,
    first: int = 1,
) -> list[ObservedAccess]:
    return [
        ObservedAccess(first + place, time, consumer, basis, outcome)
        for place, time in enumerate(times)
    ]


def found(observed: Sequence[ObservedAccess], bounds: Bounds = BOUNDS) -> list[Finding]:
    return list(observe_all(all_rules(bounds), observed))


def rules_of(findings: Iterable[Finding]) -> set[str]:
    return {finding.rule for finding in findings}


def test_usual_use_raises_nothing() -> None:
    assert found(accesses(range(NOON, NOON + 6 * 3600, 60))) == []


def test_many_accesses_within_a_minute() -> None:
    assert found(accesses([NOON, NOON + 15, NOON + 30, NOON + 45, NOON + 60])) == []
    (finding,) = found(accesses([NOON, NOON + 15, NOON + 30, NOON + 45, NOON + 59]))
    assert (finding.rule, finding.consumer) == ("rate", BANK)
    assert (finding.first_sequence, finding.last_sequence) == (1, 5)


def test_two_consumers_are_not_taken_for_one() -> None:
    mine = accesses([NOON, NOON + 1, NOON + 2])
    theirs = accesses([NOON, NOON + 1, NOON + 2], consumer=INSURER, first=4)
    assert found([*mine, *theirs]) == []


def test_much_more_in_an_hour_than_usual() -> None:
    calm = [NOON + hour * 3600 + n * 600 for hour in range(4) for n in range(4)]
    rush = [NOON + 4 * 3600 + n * 100 for n in range(30)]
    findings = found(accesses([*calm, *rush]))
    assert rules_of(findings) == {"volume"}
    assert {finding.key for finding in findings} == {findings[0].key}  # one alert for the hour
    assert found(accesses(rush)) == []  # in its first hour nothing is usual


def test_denials_in_a_row() -> None:
    denied = Outcome.FIELDS_EXCEEDED
    times = [NOON, NOON + 100, NOON + 200]
    (finding,) = found(accesses(times, outcome=denied))
    assert finding.rule == "denials"
    assert "FieldsExceeded" in finding.text
    between = accesses([NOON + 150], first=3)
    assert found([*accesses(times[:2], outcome=denied), *between]) == []
    duplicates = accesses(times, outcome=Outcome.DUPLICATE_REQUEST)
    assert found(duplicates) == []


def test_odd_hours() -> None:
    night = NOON - 9 * 3600  # three in the morning
    (finding,) = found(accesses([night + n * 600 for n in range(6)]))
    assert finding.rule == "odd-hours"
    assert found(accesses([night + n * 86_400 for n in range(6)])) == []


def refused(times: Iterable[int], *, revoked_at: int, persons: int) -> list[ObservedAccess]:
    """Signed attempts on authorizations that persons had revoked, by turns."""
    return [
        ObservedAccess(
            1 + place,
            time,
            BANK,
            bytes([place % persons]) * 32,
            Outcome.REVOKED,
            agreement=AGREEMENT,
            subject=bytes([place % persons]) * 32,
            signed=True,
            revoked_at=revoked_at,
        )
        for place, time in enumerate(times)
    ]


def test_attempts_long_after_five_persons_revoked_are_grave() -> None:
    tried = refused([NOON + 700 + n for n in range(9)], revoked_at=NOON, persons=5)
    (finding,) = [one for one in found(tried) if one.rule == "after-revocation"]
    assert (finding.severity, finding.agreement) == ("grave", None)


def test_a_revocation_that_crosses_requests_raises_nothing() -> None:
    crossed = refused([NOON + n for n in range(200)], revoked_at=NOON, persons=200)
    assert "after-revocation" not in rules_of(found(crossed))


def test_one_customers_revocation_raises_nothing_however_often_it_is_tried() -> None:
    tried = refused([NOON + 700 + n for n in range(200)], revoked_at=NOON, persons=1)
    assert "after-revocation" not in rules_of(found(tried))


def test_attempts_that_nobody_signed_say_nothing_of_the_consumer() -> None:
    tried = refused([NOON + 700 + n for n in range(50)], revoked_at=NOON, persons=50)
    invented = [msgspec.structs.replace(one, signed=False) for one in tried]
    assert "after-revocation" not in rules_of(found(invented))


def test_what_suspends_counts_only_what_nobody_but_the_consumer_can_make() -> None:
    rules = ("rate",)
    used = [
        ObservedAccess(
            1 + n, NOON + n, BANK, BASIS, Outcome.ALLOWED, agreement=AGREEMENT, signed=True
        )
        for n in range(5)
    ]
    (finding,) = observe_all(suspending_rules(BOUNDS, rules), used)
    assert (finding.rule, finding.consumer, finding.agreement) == ("rate", BANK, AGREEMENT)
    for change in ({"signed": False}, {"outcome": Outcome.EXPIRED}, {"agreement": None}):
        others = [msgspec.structs.replace(one, **change) for one in used]
        assert list(observe_all(suspending_rules(BOUNDS, rules), others)) == []


def order(**changes: object) -> OrderEntry:
    """One that was in force and nobody reviewed."""
    entry = OrderEntry(
        *(b"\x07" * 32, b"\x05" * 32, bytes(32), Class.CONDITIONAL, 1, 0, NOON),
        *("flood", True, False, ""),
    )
    return msgspec.structs.replace(entry, **changes)


def dataset(**changes: object) -> DatasetEntry:
    entry = dataset_entry(b"\x05" * 32, personal=True)
    return msgspec.structs.replace(entry, registered_at=NOON, **changes)


def test_an_order_that_nobody_reviewed_is_due_after_a_week() -> None:
    due = order(ends_at=NOON)
    others = [order(reviewed=True), order(countersigned=False), order(starts_at=NOON + 1)]
    week = 7 * 86_400
    assert list(unreviewed_orders([due], BOUNDS, NOON + week - 1)) == []
    (finding,) = unreviewed_orders([due, *others], BOUNDS, NOON + week)
    assert (finding.rule, finding.dataset) == ("order-review", due.dataset)


def test_more_closings_and_recoveries_than_a_counter_does_are_grave() -> None:
    acts = {BANK: 20, INSURER: 21}
    (finding,) = busy_authorities(acts, BOUNDS, NOON)
    assert (finding.rule, finding.severity) == ("identity-acts", "grave")
    assert INSURER.hex() in finding.text


def test_stale_datasets() -> None:
    due = dataset(update_cycle=86_400, published_at=NOON)
    others = [dataset(update_cycle=0), dataset(update_cycle=86_400, withdrawn=True)]
    assert list(stale_datasets([due, *others], BOUNDS, NOON + 86_400)) == []
    (finding,) = stale_datasets([due, *others], BOUNDS, NOON + 3 * 86_400)
    assert (finding.rule, finding.dataset) == ("stale", due.id)


class RecordedTrail:
    def __init__(self, observed: list[ObservedAccess]) -> None:
        self.observed_accesses = observed
        self.away = False
        self.reviews: dict[bytes, int] = {}

    async def first_since(self, timestamp: int) -> int:
        if self.away:
            raise StoreUnavailableError("gone")
        later = [a.sequence for a in self.observed_accesses if a.timestamp >= timestamp]
        return min(later, default=len(self.observed_accesses) + 1)

    async def observed(self, first_sequence: int, limit: int) -> Sequence[ObservedAccess]:
        later = [a for a in self.observed_accesses if a.sequence >= first_sequence]
        return [
            msgspec.structs.replace(a, reviewed_at=self.reviews.get(a.agreement or b"", 0))
            for a in later[: min(limit, 2)]
        ]

    async def reviewed(self, agreements: Sequence[bytes]) -> Mapping[bytes, int]:
        return {each: self.reviews[each] for each in agreements if each in self.reviews}

    @property
    def snapshot(self) -> Snapshot:
        stale = dataset(update_cycle=60, published_at=NOON - 86_400)
        return msgspec.structs.replace(SNAPSHOT, datasets={stale.id: stale})

    async def identity_acts(self, since: int) -> Mapping[bytes, int]:
        return {}

    async def unfit(self, after: int) -> Sequence[EventEntry]:
        place = Place(7, bytes(32), NOON, bytes(32))
        return [EventEntry(3, place, 0, "Applied", True, "{}")] if after < 3 else []


class Suspensions:
    def __init__(self) -> None:
        self.made: list[tuple[bytes, str]] = []
        self.refuses: GatewayError | None = None

    async def suspend(self, agreement: bytes, reason: str) -> bytes:
        if self.refuses is not None:
            raise self.refuses
        self.made.append((agreement, reason))
        return b"\x0a" * 32


@pytest.fixture
def trail() -> RecordedTrail:
    times = [NOON + n * 100 for n in range(4)]
    return RecordedTrail(accesses(times, outcome=Outcome.REVOKED))


async def test_each_alert_is_raised_once_whoever_reads(
    database: Database, trail: RecordedTrail
) -> None:
    store = AlertStore(database)
    for _ in range(2):  # another gateway, or the same one after a restart
        watch = Watch(trail, store, Topics(), bounds=BOUNDS, clock=lambda: NOON + 400)
        await watch.step()
        assert await watch.step() == 0
    alerts = await store.list(0, 10)
    assert [alert.rule for alert in alerts] == ["denials", "stale", "unfit-text"]


def of_agreement(observed: Iterable[ObservedAccess]) -> list[ObservedAccess]:
    return [msgspec.structs.replace(a, agreement=AGREEMENT, signed=True) for a in observed]


def rush() -> RecordedTrail:
    return RecordedTrail(of_agreement(accesses(range(NOON, NOON + 5))))


def suspending(trail: RecordedTrail, store: AlertStore, suspensions: Suspensions) -> Watch:
    return Watch(
        trail,
        store,
        Topics(),
        bounds=BOUNDS,
        enforcement=Enforcement(("rate",), "appeal@regulator"),
        suspending=suspensions,
        clock=lambda: NOON + 30,
    )


async def test_nothing_is_suspended_unless_a_regulator_named_the_rule(database: Database) -> None:
    suspensions = Suspensions()
    watch = Watch(
        rush(),
        AlertStore(database),
        Topics(),
        bounds=BOUNDS,
        enforcement=Enforcement((), "appeal@regulator"),
        suspending=suspensions,
        clock=lambda: NOON + 5,
    )
    await watch.step()
    assert suspensions.made == []


async def test_an_alert_suspends_one_agreement_once_with_reason_and_appeal(
    database: Database,
) -> None:
    suspensions = Suspensions()
    suspensions.refuses = UnavailableError("away", "chain-unavailable")
    store = AlertStore(database)
    watch = Watch(
        rush(),
        store,
        Topics(),
        bounds=BOUNDS,
        enforcement=Enforcement(("rate",), "appeal@regulator"),
        suspending=suspensions,
        clock=lambda: NOON + 5,
    )
    await watch.step()
    assert suspensions.made == []
    suspensions.refuses = None  # what failed is tried again
    for _ in range(2):
        await watch.step()
    ((agreement, reason),) = suspensions.made
    assert agreement == AGREEMENT
    assert reason.startswith("rate: ")
    assert "appeal@regulator" in reason
    (alert,) = [one for one in await store.list(0, 10) if one.agreement]
    assert (alert.suspended_until, alert.transaction) == (NOON + 5 + 1800, b"\x0a" * 32)


UNSEEN = RefusedError(Revert("SuspensionUnseen", (), b""))


@pytest.mark.parametrize("restarted", [False, True])
async def test_an_alert_that_the_contract_refuses_is_settled(
    database: Database, restarted: bool
) -> None:
    suspensions, store, trail = Suspensions(), AlertStore(database), rush()

    def watch() -> Watch:
        return suspending(trail, store, suspensions)

    watching = watch()
    suspensions.refuses = UNSEEN
    await watching.step()
    suspensions.refuses = None
    watching = watch() if restarted else watching
    await watching.step()
    assert suspensions.made == []
    (alert,) = [each for each in await store.list(0, 10) if each.agreement]
    assert alert.transaction is None
    assert (alert.suspension_refused or "").startswith("SuspensionUnseen")


@pytest.mark.parametrize("looked_at", [NOON + 3, NOON + 4, NOON + 6])
async def test_what_came_before_a_look_suspends_nothing_after_it(
    database: Database, looked_at: int
) -> None:
    """An alert that waited for the node, and a gateway that reads only now: both rest on what the regulator saw."""
    suspensions, store, trail = Suspensions(), AlertStore(database), rush()
    suspensions.refuses = UnavailableError("away", "chain-unavailable")
    waiting = suspending(trail, store, suspensions)
    await waiting.step()
    suspensions.refuses = None
    trail.reviews[AGREEMENT] = looked_at
    await waiting.step()
    await suspending(trail, store, suspensions).step()
    assert suspensions.made == []


async def test_a_second_suspension_rests_on_what_came_after_the_look_alone(
    database: Database,
) -> None:
    suspensions, store, trail = Suspensions(), AlertStore(database), rush()
    watch = suspending(trail, store, suspensions)
    await watch.step()
    assert len(suspensions.made) == 1
    trail.reviews[AGREEMENT] = NOON + 5
    one_less = range(NOON + 6, NOON + 5 + BOUNDS.rate)
    trail.observed_accesses += of_agreement(accesses(one_less, first=6))
    await watch.step()
    assert len(suspensions.made) == 1, "the last of five within a minute, but not since the look"
    trail.observed_accesses += of_agreement(accesses([NOON + 20], first=10))
    await watch.step()
    assert len(suspensions.made) == 2, "in the same hour"
    last = (await store.list(0, 10))[-1]
    assert (last.first_sequence, last.last_sequence) == (6, 10)


async def test_what_goes_wrong_once_is_tried_again(
    database: Database, trail: RecordedTrail
) -> None:
    store = AlertStore(database)
    watch = Watch(trail, store, Topics(), bounds=BOUNDS, clock=lambda: NOON + 400)
    trail.away = True
    with pytest.raises(StoreUnavailableError):
        await watch.step()
    trail.away = False
    assert await watch.step() == 3
