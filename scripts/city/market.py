"""The market regulator: business registration, and its own statistics of it."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Final

from scripts.city.catalogue import BUSINESS_REGISTRATION, ENTERPRISE_STATISTICS
from scripts.city.places import DISTRICTS, REFERENCE_DATE, District
from scripts.city.population import City, Enterprise
from scripts.city.randomness import cents, day_between, money
from scripts.city.rows import Content
from scripts.city.sources import Source

ACTIVE: Final = "存续"
BRANCH: Final = "有限责任公司分公司"

_MONTHS: Final = 24


def _registrations(city: City, rng: Random) -> Iterator[Content]:
    for enterprise, employees in zip(city.enterprises, city.employees, strict=True):
        shares = "股份有限公司" in enterprise.name
        natural = (
            "有限责任公司（自然人独资）"
            if rng.random() < 0.4
            else "有限责任公司（自然人投资或控股）"
        )
        established_on = enterprise.established_on
        limited = rng.random() < 0.5
        ends_on = established_on.replace(day=1, year=established_on.year + 30) if limited else None
        status = ACTIVE if enterprise.active else rng.choice(("注销", "吊销"))
        yield _registration(
            enterprise,
            name=enterprise.name,
            kind="股份有限公司（非上市）" if shares else natural,
            established_on=established_on,
            ends_on=ends_on,
            district=enterprise.district,
            address=enterprise.address,
            employees=employees,
            status=status,
        )


def _branches(city: City, rng: Random) -> Iterator[Content]:
    """Yield branches that enterprises open after the reference date, in any district."""
    parents = [enterprise for enterprise in city.enterprises if enterprise.active]
    while True:
        parent, district = rng.choice(parents), rng.choice(DISTRICTS)
        yield _registration(
            parent,
            name=f"{parent.name}{district.name}第{rng.randrange(1, 100)}分公司",
            kind=BRANCH,
            established_on=day_between(rng, REFERENCE_DATE, REFERENCE_DATE + dt.timedelta(days=20)),
            ends_on=None,
            district=district,
            address=city.streets.address(rng, district),
            employees=0,
            status=ACTIVE,
        )


def _registration(
    enterprise: Enterprise,
    *,
    name: str,
    kind: str,
    established_on: dt.date,
    ends_on: dt.date | None,
    district: District,
    address: str,
    employees: int,
    status: str,
) -> Content:
    return Content(
        enterprise.credit_code,
        (
            name,
            kind,
            enterprise.legal_representative.name,
            money(0 if kind == BRANCH else enterprise.capital),
            established_on.isoformat(),
            ends_on.isoformat() if ends_on else "",
            district.name,
            address,
            enterprise.industry.name,
            enterprise.industry.scope,
            str(employees),
            status,
        ),
    )


_CAPITAL: Final = BUSINESS_REGISTRATION.field_index("registered_capital")


def _raise_capital(values: tuple[str, ...], rng: Random) -> tuple[str, ...]:
    """Raise the registered capital by a round sum."""
    capital = cents(values[_CAPITAL]) + rng.randrange(1, 50) * 100_000 * 100
    return (*values[:_CAPITAL], money(capital), *values[_CAPITAL + 1 :])


def _statistics(city: City, _: Random) -> Iterator[Content]:
    """Yield the statistics of the full months before the reference date."""
    for months_ago in range(_MONTHS, 0, -1):
        yield from _month(city, _first_of_month(-months_ago))


def _new_statistics(city: City, _: Random) -> Iterator[Content]:
    months = 0
    while True:
        yield from _month(city, _first_of_month(months))
        months += 1


def _first_of_month(months: int) -> dt.date:
    """Return the first day of the month so many months from the reference date's."""
    ordinal = REFERENCE_DATE.year * 12 + REFERENCE_DATE.month - 1 + months
    return dt.date(ordinal // 12, ordinal % 12 + 1, 1)


def _month(city: City, first: dt.date) -> Iterator[Content]:
    following = (first + dt.timedelta(days=32)).replace(day=1)
    registered = [
        firm for firm in city.enterprises if firm.active and firm.established_on < following
    ]
    for district in DISTRICTS:
        firms = [firm for firm in registered if firm.district is district]
        industries = Counter(firm.industry.name for firm in firms).most_common(1)
        yield Content(
            "",
            (
                f"{first:%Y-%m}",
                district.name,
                str(len(firms)),
                str(sum(firm.established_on >= first for firm in firms)),
                money(sum(firm.capital for firm in firms)),
                industries[0][0] if industries else "",
            ),
        )


_ENTERPRISES: Final = ENTERPRISE_STATISTICS.field_index("enterprises")
_NEW: Final = ENTERPRISE_STATISTICS.field_index("newly_registered")


def _count_late_registrations(values: tuple[str, ...], rng: Random) -> tuple[str, ...]:
    """Count enterprises whose registration came in late."""
    late = rng.randrange(1, 4)
    changed = list(values)
    for index in (_ENTERPRISES, _NEW):
        changed[index] = str(int(values[index]) + late)
    return tuple(changed)


BUSINESS_REGISTRATION_SOURCE: Final = Source(_registrations, _branches, _raise_capital)
ENTERPRISE_STATISTICS_SOURCE: Final = Source(
    _statistics, _new_statistics, _count_late_registrations
)
