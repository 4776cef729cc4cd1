"""The health commission: hospital visits with their settlements, and the weekly epidemic report."""

import datetime as dt
from collections.abc import Iterator
from itertools import accumulate
from random import Random
from typing import Final

from scripts.city.catalogue import EPIDEMIC_CASES, HOSPITAL_VISITS
from scripts.city.places import (
    DIAGNOSES,
    DISTRICTS,
    HEAVIEST_MONTHS,
    HOSPITALS,
    PLANNED_DEPARTMENTS,
    REFERENCE_DATE,
    Diagnosis,
    Hospital,
)
from scripts.city.population import City, Resident, age_on
from scripts.city.randomness import cents, day_between, money
from scripts.city.rows import Content
from scripts.city.sources import Source

STAY: Final = "住院"

_FIRST_DAY: Final = dt.date(2023, 1, 1)
_DIAGNOSIS_WEIGHTS: Final = list(accumulate(diagnosis.weight for diagnosis in DIAGNOSES))
_COVERED: Final = {"职工医保": (55, 82), "城乡居民医保": (40, 65), "自费": (0, 0)}
"""Percent that the insurance covers of a visit without and with a stay, above what it never covers."""

_DISEASES: Final = (("流行性感冒", 60), ("手足口病", 14), ("诺如病毒感染性腹泻", 9))
_WEEKS: Final = 52


def _visits(city: City, rng: Random) -> Iterator[Content]:
    """Yield as many visits as there are residents; the old and the frail have most of them."""
    weights = _illness_weights(city)
    for _ in city.residents:
        resident = rng.choices(city.residents, cum_weights=weights)[0]
        first = max(_FIRST_DAY, resident.birth_date)
        admitted_on = day_between(rng, first, REFERENCE_DATE)
        yield _visit(rng, resident, admitted_on, REFERENCE_DATE)


def _new_visits(city: City, rng: Random) -> Iterator[Content]:
    """Yield visits of the week after the reference date."""
    weights = _illness_weights(city)
    while True:
        resident = rng.choices(city.residents, cum_weights=weights)[0]
        admitted_on = REFERENCE_DATE + dt.timedelta(days=rng.randrange(1, 8))
        yield _visit(rng, resident, admitted_on, admitted_on + dt.timedelta(days=21))


def _illness_weights(city: City) -> list[float]:
    """Return the residents' frailty, by age, cumulated."""
    return list(
        accumulate(
            resident.frailty * (1.6 if resident.age < 7 else 0.6 + resident.age / 45)
            for resident in city.residents
        )
    )


def _visit(rng: Random, resident: Resident, admitted_on: dt.date, latest: dt.date) -> Content:
    """Return a visit that ends on `latest` or before."""
    age = age_on(resident.birth_date, admitted_on)
    diagnosis = _diagnose(rng, resident, age)
    stays = rng.randrange(100) < diagnosis.inpatient
    nights = min(2 + int(rng.expovariate(1 / 5)), (latest - admitted_on).days) if stays else 0
    discharged_on = admitted_on + dt.timedelta(days=nights)
    hospital = _choose_hospital(rng, resident, diagnosis, age)
    usual = diagnosis.stay_cost if stays else diagnosis.cost
    total = max(round(usual * rng.lognormvariate(0.0, 0.4) * 100), 10_00)
    covered = _covered(rng, resident, total, stays)
    emergency = diagnosis.department not in PLANNED_DEPARTMENTS and rng.random() < 0.08
    return Content(
        resident.resident_id,
        (
            resident.name,
            hospital.name,
            hospital.district,
            hospital.level,
            diagnosis.department,
            STAY if stays else "急诊" if emergency else "门诊",
            admitted_on.isoformat(),
            discharged_on.isoformat(),
            diagnosis.code,
            diagnosis.name,
            resident.health_insurance,
            money(total),
            money(covered),
            money(total - covered),
            discharged_on.isoformat(),
        ),
    )


def _diagnose(rng: Random, resident: Resident, age: int) -> Diagnosis:
    """Return a diagnosis that someone of that age and sex can have."""
    while True:
        diagnosis = rng.choices(DIAGNOSES, cum_weights=_DIAGNOSIS_WEIGHTS)[0]
        youngest, oldest = diagnosis.ages
        if youngest <= age <= oldest and diagnosis.sex in {None, resident.sex}:
            return diagnosis


def _choose_hospital(rng: Random, resident: Resident, diagnosis: Diagnosis, age: int) -> Hospital:
    """Return a specialists' hospital, one of the home district, or any by size."""
    treating = [hospital for hospital in HOSPITALS if _treats(hospital, diagnosis, age)]
    special = [hospital for hospital in treating if hospital.only]
    near = [hospital for hospital in treating if hospital.district == resident.district.name]
    draw = rng.random()
    if special and draw < 0.5:
        return rng.choice(special)
    if near and draw > 0.6:
        return rng.choice(near)
    return rng.choices(treating, [hospital.weight for hospital in treating])[0]


def _treats(hospital: Hospital, diagnosis: Diagnosis, age: int) -> bool:
    return age <= hospital.oldest and (not hospital.only or diagnosis.department in hospital.only)


def _covered(rng: Random, resident: Resident, total: int, stays: bool) -> int:
    """Return the cents that the insurance pays: a share of what is above the deductible."""
    share = _COVERED[resident.health_insurance][1 if stays else 0]
    deductible = 800_00 if stays else 50_00
    eligible = max(0, round(total * rng.uniform(0.75, 1.0)) - deductible)
    return eligible * share // 100


_TOTAL: Final = HOSPITAL_VISITS.field_index("total_amount")
_COVERED_AMOUNT: Final = HOSPITAL_VISITS.field_index("covered_amount")
_SELF_PAID: Final = HOSPITAL_VISITS.field_index("self_paid_amount")
_SETTLED: Final = HOSPITAL_VISITS.field_index("settled_on")


def _settle_again(values: tuple[str, ...], rng: Random) -> tuple[str, ...]:
    """Settle once more, up to a month later; the insurance takes over a part of what was self-paid."""
    changed = list(values)
    settled = dt.date.fromisoformat(values[_SETTLED])
    changed[_SETTLED] = (settled + dt.timedelta(days=1 + rng.randrange(30))).isoformat()
    self_paid = cents(values[_SELF_PAID]) * rng.randrange(60, 96) // 100
    changed[_SELF_PAID] = money(self_paid)
    changed[_COVERED_AMOUNT] = money(cents(values[_TOTAL]) - self_paid)
    return tuple(changed)


def _reports(_: City, rng: Random) -> Iterator[Content]:
    """Yield a report for each of the weeks before the reference date, district and disease."""
    monday = REFERENCE_DATE - dt.timedelta(days=REFERENCE_DATE.weekday() + 7 * _WEEKS)
    for week in range(_WEEKS):
        yield from _week(rng, monday + dt.timedelta(days=7 * week))


def _new_reports(_: City, rng: Random) -> Iterator[Content]:
    """Yield the reports of the weeks from the reference date on."""
    monday = REFERENCE_DATE - dt.timedelta(days=REFERENCE_DATE.weekday())
    while True:
        yield from _week(rng, monday)
        monday += dt.timedelta(days=7)


def _week(rng: Random, monday: dt.date) -> Iterator[Content]:
    season = 1.8 if monday.month in HEAVIEST_MONTHS else 0.7
    for district in DISTRICTS:
        for disease, usual in _DISEASES:
            cases = max(0, round(rng.gauss(usual, usual / 4) * season * district.weight / 8))
            hospitalized = sum(rng.random() < 0.06 for _ in range(cases))
            severe = sum(rng.random() < 0.1 for _ in range(hospitalized))
            counts = (cases, hospitalized, severe, rng.randrange(20, 400))
            yield Content(
                "", (monday.isoformat(), district.name, disease, *(str(count) for count in counts))
            )


_NEW_CASES: Final = EPIDEMIC_CASES.field_index("new_cases")


def _add_late_cases(values: tuple[str, ...], rng: Random) -> tuple[str, ...]:
    """Add cases that were reported late."""
    cases = int(values[_NEW_CASES]) + rng.randrange(1, 6)
    return (*values[:_NEW_CASES], str(cases), *values[_NEW_CASES + 1 :])


HOSPITAL_VISITS_SOURCE: Final = Source(_visits, _new_visits, _settle_again)
EPIDEMIC_CASES_SOURCE: Final = Source(_reports, _new_reports, _add_late_cases)
