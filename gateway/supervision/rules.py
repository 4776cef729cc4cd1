"""The rules: pure, one small class each. Accesses go in, in order; findings come out.

A finding's key says what it is about and in which stretch of time, so that reading the same accesses
again after a restart raises nothing twice. Times are seconds since 1970 by the block's clock, so
the rules give the same result whenever they run.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta, timezone
from typing import Final, Protocol

import msgspec

from ledger.hexstr import to_hex
from ledger.index.rows import DatasetEntry, EventEntry, OrderEntry
from ledger.model import Outcome
from ledger.plain_text import moment
from ledger.policy import was_in_force

_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR
_BEIJING: Final = timezone(timedelta(hours=8))


class Enforcement(msgspec.Struct, frozen=True):
    """Which rules suspend, as a regulator named them."""

    rules: tuple[str, ...]
    appeal: str
    """Where to appeal, for the reason."""


class ObservedAccess(msgspec.Struct, frozen=True):
    sequence: int
    timestamp: int
    consumer: bytes
    basis: bytes
    outcome: Outcome
    agreement: bytes | None = None
    """Id of the agreement behind it; None where there is none."""
    subject: bytes | None = None
    signed: bool = False
    """Whether this gateway's journal has the consumer's signature: nobody else can make such an access."""
    reviewed_at: int = 0
    """When a regulator looked last at a suspension of that agreement; zero for never."""
    revoked_at: int = 0
    """Of an authorization that is revoked: when, by the block's clock; zero otherwise."""


class Finding(msgspec.Struct, frozen=True):
    """What a rule found.

    Attributes:
        key: There is one alert for each key.
        rule: Name of the rule.
        severity: notice, warning or grave.
        consumer: Whom it is about, if it is about one.
        dataset: What it is about, if it is about one.
        first_sequence: First access that it rests on; zero for none.
        last_sequence: Last one.
        text: For people.
        agreement: Which it would suspend; None for what is an alert and nothing else.
    """

    key: str
    rule: str
    severity: str
    text: str
    consumer: bytes | None = None
    dataset: bytes | None = None
    first_sequence: int = 0
    last_sequence: int = 0
    agreement: bytes | None = None


class Bounds(msgspec.Struct, frozen=True):
    """From when on something is worth an alert."""

    rate: int = 600
    """Accesses of one consumer in a minute."""
    volume_factor: float = 5.0
    """Accesses in an hour, against the usual of the hours before."""
    volume_least: int = 200
    """Accesses in an hour below which no volume is unusual."""
    denials: int = 10
    """Denials of one consumer in a row."""
    odd_from: int = 0
    """First of the odd hours, Beijing time."""
    odd_until: int = 6
    """First hour that is not odd any more."""
    odd_least: int = 20
    """Accesses of one consumer in the odd hours of a day."""
    after_revocation: int = 5
    """Persons on whose revoked authorizations one consumer tried within a day."""
    revocation_known: int = 600
    """Seconds after a revocation from which on an attempt counts: before that it may have crossed it."""
    identity_acts: int = 20
    """Closings and recoveries of one identity authority within a day."""
    review_within: int = 7 * _DAY
    """Seconds after an order's end within which a regulator reviews it."""
    stale_factor: float = 1.5
    """Update cycles after which a dataset is stale."""


class Rule(Protocol):
    def observe(self, access: ObservedAccess) -> Finding | None: ...


class RateRule:
    """Many accesses of one consumer within a minute."""

    def __init__(self, bounds: Bounds) -> None:
        self._most = bounds.rate
        self._recent: dict[bytes, deque[ObservedAccess]] = {}

    def observe(self, access: ObservedAccess) -> Finding | None:
        recent = self._recent.setdefault(access.consumer, deque(maxlen=self._most))
        recent.append(access)
        if len(recent) < self._most or access.timestamp - recent[0].timestamp >= 60:
            return None
        return _about(
            "rate",
            "warning",
            recent,
            period=access.timestamp // _HOUR,
            text=f"{self._most} accesses within a minute",
        )


class VolumeRule:
    """Many more accesses of one consumer in an hour than is usual for it."""

    def __init__(self, bounds: Bounds) -> None:
        self._factor = bounds.volume_factor
        self._least = bounds.volume_least
        self._hours: dict[bytes, tuple[int, int, float]] = {}
        self._first: dict[bytes, int] = {}

    def observe(self, access: ObservedAccess) -> Finding | None:
        hour = access.timestamp // _HOUR
        last, count, usual = self._hours.get(access.consumer, (hour, 0, -1.0))
        if hour != last:
            usual = _smoothed(usual, count, hour - last)
            count = 0
        if count == 0:
            self._first[access.consumer] = access.sequence
        count += 1
        self._hours[access.consumer] = (hour, count, usual)
        # In the first hour of a consumer nothing is usual yet.
        if usual < 0 or count < self._least or count < self._factor * max(usual, 1.0):
            return None
        return Finding(
            key=f"volume/{to_hex(access.consumer)}/{hour}",
            rule="volume",
            severity="warning",
            consumer=access.consumer,
            first_sequence=self._first[access.consumer],
            last_sequence=access.sequence,
            text=f"{count} accesses in an hour, usually {usual:.0f}",
        )


class DenialsRule:
    """Denials of one consumer in a row."""

    def __init__(self, bounds: Bounds) -> None:
        self._most = bounds.denials
        self._denied: dict[bytes, list[ObservedAccess]] = {}

    def observe(self, access: ObservedAccess) -> Finding | None:
        if access.outcome == Outcome.ALLOWED:
            self._denied.pop(access.consumer, None)
            return None
        # A retry that reached the chain says nothing of its sender.
        if access.outcome == Outcome.DUPLICATE_REQUEST:
            return None
        denied = self._denied.setdefault(access.consumer, [])
        denied.append(access)
        if len(denied) < self._most:
            return None
        del self._denied[access.consumer]
        reasons = sorted({each.outcome.title for each in denied})
        return _about(
            "denials",
            "warning",
            denied,
            period=access.sequence,
            text=f"{len(denied)} denials in a row: {', '.join(reasons)}",
        )


class OddHoursRule:
    """Accesses at hours at which nobody usually works."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._nights: dict[bytes, tuple[int, list[ObservedAccess]]] = {}

    def observe(self, access: ObservedAccess) -> Finding | None:
        local = moment(access.timestamp).astimezone(_BEIJING)
        if not self._bounds.odd_from <= local.hour < self._bounds.odd_until:
            return None
        day = local.toordinal()
        night, seen = self._nights.get(access.consumer, (day, []))
        if night != day:
            seen = []
        if len(seen) >= self._bounds.odd_least:  # was raised
            return None
        seen.append(access)
        self._nights[access.consumer] = (day, seen)
        if len(seen) < self._bounds.odd_least:
            return None
        hours = f"{self._bounds.odd_from}:00 to {self._bounds.odd_until}:00"
        return _about(
            "odd-hours", "notice", seen, period=day, text=f"{len(seen)} accesses from {hours}"
        )


class AfterRevocationRule:
    """Attempts on authorizations of several persons, each long after the person revoked.

    One customer's revocation and a bank's request may cross, and a queue may send yesterday's signature; so neither the
    first minutes nor a few persons say anything. An attempt that no signature is known for says nothing of the bank.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._most = bounds.after_revocation
        self._known = bounds.revocation_known
        self._tried: dict[tuple[bytes, int], dict[bytes, ObservedAccess]] = {}

    def observe(self, access: ObservedAccess) -> Finding | None:
        late = access.revoked_at and access.timestamp > access.revoked_at + self._known
        if access.outcome != Outcome.REVOKED or not access.signed or not late:
            return None
        day = access.timestamp // _DAY
        tried = self._tried.setdefault((access.consumer, day), {})
        known = len(tried)
        tried.setdefault(access.subject or access.basis, access)
        if len(tried) != self._most or known == len(tried):
            return None
        return _about(
            "after-revocation",
            "grave",
            list(tried.values()),
            period=day,
            text=f"tried to use authorizations that {self._most} persons had revoked",
        )


class AgreementRule:
    """A rule over the accesses of one agreement, for what may suspend that agreement.

    Only accesses count that were allowed and whose signature is in the journal: nobody but the consumer
    can make these, so nobody can shut a consumer out with them. And only what came after the last time that a
    regulator looked at a suspension of it: what the regulator knew then suspends nothing again.
    """

    def __init__(self, rule: Rule) -> None:
        self._rule = rule

    def observe(self, access: ObservedAccess) -> Finding | None:
        agreement = access.agreement
        if agreement is None or not access.signed or access.outcome != Outcome.ALLOWED:
            return None
        if access.timestamp <= access.reviewed_at:
            return None
        # With the time of the look, so that the rule begins anew after it.
        counted_by = agreement + access.reviewed_at.to_bytes(8, "big")
        found = self._rule.observe(msgspec.structs.replace(access, consumer=counted_by))
        if found is None:
            return None
        return msgspec.structs.replace(
            found, key=f"agreement/{found.key}", consumer=access.consumer, agreement=agreement
        )


SUSPENDING: Final = ("odd-hours", "rate", "volume")
"""Rules that a regulator may let suspend."""


def suspending_rules(bounds: Bounds, names: Iterable[str]) -> tuple[Rule, ...]:
    """Return rules whose findings suspend an agreement, by name."""
    made: dict[str, Callable[[Bounds], Rule]] = {
        "odd-hours": OddHoursRule,
        "rate": RateRule,
        "volume": VolumeRule,
    }
    return tuple(AgreementRule(made[name](bounds)) for name in names)


def all_rules(bounds: Bounds) -> tuple[Rule, ...]:
    return (
        RateRule(bounds),
        VolumeRule(bounds),
        DenialsRule(bounds),
        OddHoursRule(bounds),
        AfterRevocationRule(bounds),
    )


def observe_all(rules: Sequence[Rule], accesses: Iterable[ObservedAccess]) -> Iterator[Finding]:
    """Show accesses, in order, to all rules; yield what they find."""
    for access in accesses:
        for rule in rules:
            finding = rule.observe(access)
            if finding is not None:
                yield finding


def stale_datasets(datasets: Iterable[DatasetEntry], bounds: Bounds, now: int) -> Iterator[Finding]:
    """Find datasets that were not published for longer than their update cycle allows."""
    for dataset in datasets:
        published_at = dataset.published_at or dataset.registered_at
        allowed = int(dataset.update_cycle * bounds.stale_factor)
        if not dataset.update_cycle or dataset.withdrawn or now - published_at <= allowed:
            continue
        yield Finding(
            key=f"stale/{to_hex(dataset.id)}/{published_at}",
            rule="stale",
            severity="notice",
            dataset=dataset.id,
            text=f"{dataset.title}: not updated for {(now - published_at) // _DAY} days",
        )


def unreviewed_orders(orders: Iterable[OrderEntry], bounds: Bounds, now: int) -> Iterator[Finding]:
    """Find orders that were in force, are over for long enough and were not reviewed."""
    for order in orders:
        age = now - order.ends_at
        if order.reviewed or not was_in_force(order) or age < bounds.review_within:
            continue
        yield Finding(
            key=f"order-review/{to_hex(order.id)}",
            rule="order-review",
            severity="warning",
            dataset=order.dataset,
            text=f"the order {to_hex(order.id)} ended {age // _DAY} days ago and was not reviewed",
        )


def busy_authorities(acts: Mapping[bytes, int], bounds: Bounds, now: int) -> Iterator[Finding]:
    """Find identity authorities that close or recover more ids than a counter does in a day."""
    for authority, count in acts.items():
        if count > bounds.identity_acts:
            yield Finding(
                key=f"identity-acts/{to_hex(authority)}/{now // _DAY}",
                rule="identity-acts",
                severity="grave",
                text=f"{to_hex(authority)} closed or recovered {count} ids within a day",
            )


def unfit_texts(events: Iterable[EventEntry]) -> Iterator[Finding]:
    for event in events:
        yield Finding(
            key=f"unfit-text/{event.place.block_number}/{event.key}",
            rule="unfit-text",
            severity="notice",
            text=f"{event.name} in block {event.place.block_number} has a text that is not plain",
        )


CONSUMERS_BELIEVED: Final = 3
"""Consumers that name a keyholder before that counts: one may lie."""


def reported_keyholder(keyholder: bytes, consumers: int, *, is_shown: bool) -> Finding | None:
    """Find a keyholder that enough consumers name, or of which one showed that its parts were wrong."""
    if not is_shown and consumers < CONSUMERS_BELIEVED:
        return None
    name = to_hex(keyholder)
    text = f"{consumers} consumers say that {name} gave wrong parts"
    if is_shown:
        text = f"the keyholder {name} gave wrong parts, as its own signature shows"
    return Finding(
        key=f"keyholder/{name}",
        rule="keyholder",
        severity="grave",
        text=text,
    )


def _smoothed(usual: float, count: int, hours: int) -> float:
    """Return the mean of the hours before, the last ones counting most; silent hours count too."""
    mean = float(count) if usual < 0 else usual + (count - usual) / 8
    return mean * (7 / 8) ** min(hours - 1, 100)


def _about(
    rule: str,
    severity: str,
    accesses: Sequence[ObservedAccess],
    *,
    period: int | str,
    text: str,
) -> Finding:
    consumer = accesses[-1].consumer
    return Finding(
        key=f"{rule}/{to_hex(consumer)}/{period}",
        rule=rule,
        severity=severity,
        consumer=consumer,
        first_sequence=accesses[0].sequence,
        last_sequence=accesses[-1].sequence,
        text=text,
    )
