"""The housing bureau: real estate registration and public parking lots."""

import datetime as dt
from collections.abc import Iterator
from random import Random
from typing import Final

from scripts.city.catalogue import PARKING_LOTS, REAL_ESTATE
from scripts.city.places import DISTRICTS, REFERENCE_DATE
from scripts.city.population import ADULT_AGE, City, Resident, make_flat
from scripts.city.randomness import day_between, money
from scripts.city.rows import Content
from scripts.city.sources import Source

UNMORTGAGED: Final = "无抵押"
MORTGAGED: Final = "已抵押"

_OWNED: Final = ((0, 30), (1, 48), (2, 16), (3, 5), (5, 1))
"""How many properties a household has, and how many of a hundred households have so many."""

_USAGES: Final = (("住宅", 78), ("车位", 12), ("商业", 6), ("储藏室", 3), ("办公", 1))
_AREAS: Final = {
    "住宅": (45, 190),
    "车位": (11, 16),
    "商业": (20, 260),
    "储藏室": (4, 18),
    "办公": (40, 300),
}
_LOTS: Final = 300
_LOT_KINDS: Final = ("地下停车场", "路侧停车场", "立体停车楼", "公共停车场")
_LOT_PLACES: Final = (
    "泉水广场",
    "会展中心",
    "体育中心",
    "长途汽车站",
    "图书馆",
    "人民医院",
    "银座百货",
    "湿地公园",
    "政务大厅",
    "地铁换乘站",
)


def _real_estate(city: City, rng: Random) -> Iterator[Content]:
    """Yield what each household owns; what a couple owns together is a record for each of the two."""
    household: list[Resident] = []
    for resident in city.residents:
        if household and resident.household != household[0].household:
            yield from _holdings(city, rng, household)
            household = []
        if resident.age >= ADULT_AGE:
            household.append(resident)
    yield from _holdings(city, rng, household)


def _holdings(city: City, rng: Random, adults: list[Resident]) -> Iterator[Content]:
    counts = [count for count, _ in _OWNED]
    for ordinal in range(rng.choices(counts, [weight for _, weight in _OWNED])[0]):
        joint = len(adults) == 2 and rng.random() < 0.55
        owners = adults if joint else [rng.choice(adults)]
        usage = "住宅" if ordinal == 0 else _choose_usage(rng)
        of_age = max(owner.birth_date for owner in owners)
        first = max(of_age.replace(day=1, year=of_age.year + ADULT_AGE), dt.date(2004, 1, 1))
        registered_on = day_between(rng, first, REFERENCE_DATE)
        home = adults[0].address if ordinal == 0 else ""
        yield from _property(city, rng, owners, home=home, usage=usage, registered_on=registered_on)


def _purchases(city: City, rng: Random) -> Iterator[Content]:
    """Yield flats that a resident buys in the weeks after the reference date."""
    adults = [resident for resident in city.residents if resident.age >= ADULT_AGE]
    while True:
        day = REFERENCE_DATE + dt.timedelta(days=rng.randrange(1, 28))
        yield from _property(
            city, rng, [rng.choice(adults)], home="", usage="住宅", registered_on=day
        )


def _property(
    city: City,
    rng: Random,
    owners: list[Resident],
    *,
    home: str,
    usage: str,
    registered_on: dt.date,
) -> Iterator[Content]:
    """Yield a record for each owner of one property; `home` is its address when they live there."""
    district = owners[0].district if home or rng.random() < 0.7 else rng.choice(DISTRICTS)
    address = home or f"{city.streets.address(rng, district)}{make_flat(rng)}"
    smallest, largest = _AREAS[usage]
    area = round(rng.triangular(smallest, largest, smallest + (largest - smallest) * 0.35) * 100)
    mortgaged = rng.random() < (0.45 if registered_on.year >= 2014 else 0.12)
    amount = area * rng.randrange(40, 110) * 100 if mortgaged else 0
    # Division, cadastral zone, block, kind of right, parcel, building, unit: 28 places (GB/T 37346-2019).
    unit_number = (
        f"{district.code}{rng.randrange(1, 100):03d}{rng.randrange(1, 100):03d}GB"
        f"{rng.randrange(1, 10**5):05d}F{rng.randrange(1, 500):04d}{rng.randrange(1, 10**4):04d}"
    )
    seizure = "已查封" if rng.random() < 0.008 else "无查封"
    for owner in owners:
        certificate = f"鲁（{registered_on.year}）泉城市不动产权第{rng.randrange(1, 10**8):08d}号"
        yield Content(
            owner.resident_id,
            (
                unit_number,
                certificate,
                owner.name,
                district.name,
                address,
                usage,
                money(area),
                "单独所有" if len(owners) == 1 else "共同共有",
                registered_on.isoformat(),
                MORTGAGED if mortgaged else UNMORTGAGED,
                money(amount),
                seizure,
            ),
        )


def _choose_usage(rng: Random) -> str:
    usages = [usage for usage, _ in _USAGES]
    return rng.choices(usages, [weight for _, weight in _USAGES])[0]


_STATUS: Final = REAL_ESTATE.field_index("mortgage_status")
_AMOUNT: Final = REAL_ESTATE.field_index("mortgage_amount")


def _change_mortgage(values: tuple[str, ...], rng: Random) -> tuple[str, ...]:
    """Register a mortgage, or cancel the one there is."""
    changed = list(values)
    if values[_STATUS] == MORTGAGED:
        changed[_STATUS], changed[_AMOUNT] = UNMORTGAGED, money(0)
    else:
        changed[_STATUS], changed[_AMOUNT] = MORTGAGED, money(rng.randrange(20, 300) * 10**6)
    return tuple(changed)


def _parking_lots(city: City, rng: Random) -> Iterator[Content]:
    for _ in range(_LOTS):
        yield _parking_lot(city, rng)


def _new_parking_lots(city: City, rng: Random) -> Iterator[Content]:
    while True:
        yield _parking_lot(city, rng)


def _parking_lot(city: City, rng: Random) -> Content:
    district = rng.choice(DISTRICTS)
    location = city.streets.address(rng, district)
    name = f"{district.name[:-1]}{rng.choice(_LOT_PLACES)}{rng.choice(_LOT_KINDS)}"
    total = rng.randrange(20, 900)
    free = int(total * rng.betavariate(1.4, 2.6))
    return Content("", (name, district.name, location, str(total), str(free)))


_TOTAL: Final = PARKING_LOTS.field_index("total")
_FREE: Final = PARKING_LOTS.field_index("free")


def _change_free_places(values: tuple[str, ...], rng: Random) -> tuple[str, ...]:
    """Let cars come and go: another number of free places, none to all."""
    shift = rng.randrange(1, int(values[_TOTAL]) + 1)
    free = (int(values[_FREE]) + shift) % (int(values[_TOTAL]) + 1)
    return (*values[:_FREE], str(free), *values[_FREE + 1 :])


REAL_ESTATE_SOURCE: Final = Source(_real_estate, _purchases, _change_mortgage)
PARKING_LOTS_SOURCE: Final = Source(_parking_lots, _new_parking_lots, _change_free_places)
