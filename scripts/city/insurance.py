"""The social security bureau and the housing fund centre: what people and employers pay each month."""

import datetime as dt
from collections.abc import Iterator
from random import Random
from typing import Final

from scripts.city.catalogue import HOUSING_FUND, SOCIAL_INSURANCE
from scripts.city.places import REFERENCE_DATE
from scripts.city.population import City, Livelihood, Resident
from scripts.city.randomness import cents, day_between, money, stream
from scripts.city.rows import Content
from scripts.city.sources import Source

EMPLOYEES: Final = "企业职工基本养老保险"
SELF_EMPLOYED: Final = "灵活就业人员基本养老保险"
RESIDENTS: Final = "城乡居民基本养老保险"

_YEARS: Final = (2024, 2025, 2026)
_MONTHS_OF_REFERENCE_YEAR: Final = REFERENCE_DATE.month - 1
_LOWEST_BASE: Final = 4_504_00
_HIGHEST_BASE: Final = 22_518_00
"""Bounds of the monthly contribution base of those who work, in cents."""

_RESIDENTS_BASE: Final = 500_00

_RATES: Final = {EMPLOYEES: (8, 16), SELF_EMPLOYED: (20, 0), RESIDENTS: (8, 0)}
"""Percent of the base that the person and the employer pay."""


def contribution_base(resident: Resident, year: int) -> int:
    """Return the monthly base in cents: last year's salary (5 % less each year back), within bounds."""
    salary = round(resident.salary * 0.95 ** (REFERENCE_DATE.year - year))
    return min(max(salary // 100 * 100, _LOWEST_BASE), _HIGHEST_BASE)


def _contributions(city: City, rng: Random) -> Iterator[Content]:
    """Yield a record for each insured person and year; some years are short and some are missing."""
    for resident in city.residents:
        insurance = _insurance_of(resident, rng)
        if not insurance:
            continue
        for year in _YEARS:
            possible = _months_possible(resident, insurance, year)
            draw = rng.random()
            if possible <= 0 or draw < 0.04:
                continue
            short = draw < 0.16 and insurance != RESIDENTS
            months = rng.randrange(1, possible + 1) if short else possible
            yield _contribution(
                city, resident, insurance, year, months=months, complete=months == possible
            )


def _new_contributions(city: City, rng: Random) -> Iterator[Content]:
    """Yield the first month of the year after the reference date."""
    workers = [resident for resident in city.residents if resident.salary]
    while True:
        resident = rng.choice(workers)
        insurance = EMPLOYEES if resident.employer >= 0 else SELF_EMPLOYED
        yield _contribution(
            city, resident, insurance, REFERENCE_DATE.year + 1, months=1, complete=True
        )


def _insurance_of(resident: Resident, rng: Random) -> str:
    """Return the kind of insurance, nothing for those who have none."""
    if resident.livelihood is Livelihood.EMPLOYED:
        return EMPLOYEES
    if resident.livelihood is Livelihood.SELF_EMPLOYED:
        return SELF_EMPLOYED if rng.random() < 0.7 else ""
    if resident.livelihood is Livelihood.OTHER and resident.age >= 20:
        return RESIDENTS if rng.random() < 0.6 else ""
    return ""


def _months_possible(resident: Resident, insurance: str, year: int) -> int:
    """Return the months of a year since the person began to work, up to the reference date."""
    last = _MONTHS_OF_REFERENCE_YEAR if year == REFERENCE_DATE.year else 12
    if insurance == RESIDENTS:
        return last
    since = resident.working_since
    if since.year > year:
        return 0
    return last if since.year < year else last - since.month + 1


def _contribution(
    city: City, resident: Resident, insurance: str, year: int, *, months: int, complete: bool
) -> Content:
    employer = city.employer_of(resident) if insurance == EMPLOYEES else None
    base = _RESIDENTS_BASE if insurance == RESIDENTS else contribution_base(resident, year)
    personal, by_employer = _RATES[insurance]
    return Content(
        resident.resident_id,
        (
            resident.name,
            resident.district.name,
            insurance,
            str(year),
            employer.name if employer else "",
            employer.credit_code if employer else "",
            money(base),
            str(months),
            money(base * personal * months // 100),
            money(base * by_employer * months // 100),
            "正常缴费" if complete else "中断缴费",
        ),
    )


_TYPE: Final = SOCIAL_INSURANCE.field_index("insurance_type")
_BASE: Final = SOCIAL_INSURANCE.field_index("contribution_base")
_MONTHS: Final = SOCIAL_INSURANCE.field_index("months_paid")
_PERSONAL: Final = SOCIAL_INSURANCE.field_index("personal_paid")
_BY_EMPLOYER: Final = SOCIAL_INSURANCE.field_index("employer_paid")


def _change_base(values: tuple[str, ...], rng: Random) -> tuple[str, ...]:
    """Correct the contribution base, and with it what was paid."""
    base = cents(values[_BASE]) + rng.randrange(1, 40) * 10_00
    personal, by_employer = _RATES[values[_TYPE]]
    months = int(values[_MONTHS])
    changed = list(values)
    changed[_BASE] = money(base)
    changed[_PERSONAL] = money(base * personal * months // 100)
    changed[_BY_EMPLOYER] = money(base * by_employer * months // 100)
    return tuple(changed)


def _accounts(city: City, rng: Random) -> Iterator[Content]:
    """Yield the account of each employee whose enterprise pays into the fund."""
    for resident in city.residents:
        if resident.livelihood is Livelihood.EMPLOYED and _pays_fund(city.seed, resident.employer):
            yield _account(city, rng, resident, resident.working_since)


def _new_accounts(city: City, rng: Random) -> Iterator[Content]:
    """Yield accounts opened on the reference date, at enterprises that did not pay before."""
    employed = [resident for resident in city.residents if resident.employer >= 0]
    late = [resident for resident in employed if not _pays_fund(city.seed, resident.employer)]
    while True:
        yield _account(city, rng, rng.choice(late or employed), REFERENCE_DATE)


def _pays_fund(seed: int, employer: int) -> bool:
    """Tell whether an enterprise pays into the fund; nine of ten do."""
    return stream(seed, "pays-fund", str(employer)).random() < 0.9


def _account(city: City, rng: Random, resident: Resident, joined_on: dt.date) -> Content:
    employer = city.enterprises[resident.employer]
    opened_on = day_between(rng, joined_on, joined_on + dt.timedelta(days=27))
    opened_on = max(min(opened_on, REFERENCE_DATE), joined_on)
    base = contribution_base(resident, REFERENCE_DATE.year)
    rate = rng.choice((5, 8, 10, 12, 12))
    monthly = base * rate * 2 // 100
    sealed = rng.random() < 0.07
    months = (REFERENCE_DATE - opened_on).days // 31
    paid_months = rng.randrange(months + 1) if sealed else months
    last_deposit_on = max(
        opened_on, REFERENCE_DATE - dt.timedelta(days=10 + 31 * (months - paid_months))
    )
    loan = rng.randrange(5, 80) * 10**6 if rng.random() < 0.22 else 0
    withdrawn = rng.random() * 0.6 if loan or rng.random() < 0.3 else 0.0
    return Content(
        resident.resident_id,
        (
            resident.name,
            employer.name,
            employer.credit_code,
            opened_on.isoformat(),
            money(base),
            str(rate),
            money(monthly),
            last_deposit_on.isoformat(),
            money(round(monthly * paid_months * (1 - withdrawn))),
            "封存" if sealed else "正常",
            money(loan),
        ),
    )


_MONTHLY: Final = HOUSING_FUND.field_index("monthly_deposit")
_LAST_DEPOSIT: Final = HOUSING_FUND.field_index("last_deposit_on")
_BALANCE: Final = HOUSING_FUND.field_index("balance")
_STATUS: Final = HOUSING_FUND.field_index("status")


def _change_deposit(values: tuple[str, ...], rng: Random) -> tuple[str, ...]:
    """Book one more deposit; a sealed account becomes a normal one by it."""
    changed = list(values)
    last = dt.date.fromisoformat(values[_LAST_DEPOSIT])
    changed[_LAST_DEPOSIT] = (last + dt.timedelta(days=28 + rng.randrange(4))).isoformat()
    changed[_BALANCE] = money(cents(values[_BALANCE]) + cents(values[_MONTHLY]))
    changed[_STATUS] = "正常"
    return tuple(changed)


SOCIAL_INSURANCE_SOURCE: Final = Source(_contributions, _new_contributions, _change_base)
HOUSING_FUND_SOURCE: Final = Source(_accounts, _new_accounts, _change_deposit)
