"""The people and the enterprises: who lives with whom, who works where."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto
from itertools import accumulate
from random import Random
from typing import Final

from faker import Faker

from scripts.city.errors import CityError
from scripts.city.ids import SEQUENCES_PER_SEX, Sex, make_credit_code, make_resident_id
from scripts.city.places import DISTRICTS, INDUSTRIES, REFERENCE_DATE, District, Industry
from scripts.city.randomness import day_between, stream

MINIMUM_PEOPLE: Final = 10
"""Fewer would leave datasets without anybody in them."""

ADULT_AGE: Final = 18
_STREETS_PER_DISTRICT: Final = 30
_BRAND_CHARACTERS: Final = (
    "泰华鑫隆宏瑞博远恒信达丰盛源安康嘉禾润泽天成汇通金石海岳云帆锦程德馨明湖"
)


class Livelihood(Enum):
    """Source of a resident's income."""

    EMPLOYED = auto()
    SELF_EMPLOYED = auto()
    RETIRED = auto()
    OTHER = auto()
    """Children, students, and adults without work."""


@dataclass(frozen=True, slots=True)
class Resident:
    """A person of the residents' register.

    Attributes:
        household: index of the household; its members share the address.
        employer: index of the enterprise, for the employed only.
        salary: cents a month, 0 without work.
        working_since: first day at the present work; the reference date without work.
        frailty: how often the person falls ill, relative to the others.
        health_insurance: what pays for hospital visits.
    """

    resident_id: str
    name: str
    sex: Sex
    phone: str
    birth_date: dt.date
    district: District
    address: str
    household: int
    livelihood: Livelihood = Livelihood.OTHER
    employer: int = -1
    salary: int = 0
    working_since: dt.date = REFERENCE_DATE
    frailty: float = 1.0
    health_insurance: str = "城乡居民医保"

    @property
    def age(self) -> int:
        """Completed years on the reference date."""
        return age_on(self.birth_date, REFERENCE_DATE)


@dataclass(frozen=True, slots=True)
class Enterprise:
    """An enterprise of the enterprises' register; `capital` in cents, `size` relative to the others."""

    credit_code: str
    name: str
    legal_representative: Resident
    capital: int
    established_on: dt.date
    district: District
    address: str
    industry: Industry
    size: float
    active: bool


@dataclass(frozen=True, slots=True)
class StreetPlan:
    """The streets of each district, in the order of `DISTRICTS`."""

    streets: tuple[tuple[str, ...], ...]

    def address(self, rng: Random, district: District) -> str:
        """Return a house in one of a district's streets."""
        street = rng.choice(self.streets[DISTRICTS.index(district)])
        return f"泉城市{district.name}{street}{rng.randrange(1, 400)}号"


@dataclass(frozen=True, slots=True)
class City:
    """Everybody in the city; `employees` counts each enterprise's, in the same order."""

    seed: int
    residents: tuple[Resident, ...]
    enterprises: tuple[Enterprise, ...]
    employees: tuple[int, ...]
    streets: StreetPlan

    def employer_of(self, resident: Resident) -> Enterprise | None:
        """Return whom the resident works for, if for anybody."""
        return self.enterprises[resident.employer] if resident.employer >= 0 else None


def age_on(birth_date: dt.date, day: dt.date) -> int:
    """Return the completed years of age on a day."""
    before_birthday = (day.month, day.day) < (birth_date.month, birth_date.day)
    return day.year - birth_date.year - before_birthday


def make_city(seed: int, people: int, enterprises: int) -> City:
    """Return the city of a seed; it is held in memory, about a kilobyte for each person.

    Raises:
        CityError: fewer than `MINIMUM_PEOPLE` people or than one enterprise.
    """
    if people < MINIMUM_PEOPLE or enterprises < 1:
        raise CityError(f"a city has at least {MINIMUM_PEOPLE} people and one enterprise")
    streets = _make_streets(seed)
    unemployed = list(_make_residents(stream(seed, "residents"), people, streets, seed))
    firms = tuple(
        _make_enterprises(stream(seed, "enterprises"), enterprises, tuple(unemployed), streets)
    )
    residents = tuple(_employ(stream(seed, "livelihoods"), unemployed, firms))
    employees = [0] * len(firms)
    for resident in residents:
        if resident.employer >= 0:
            employees[resident.employer] += 1
    return City(seed, residents, firms, tuple(employees), streets)


def make_flat(rng: Random) -> str:
    """Return a flat in a house: building, entrance and room."""
    floor, door = rng.randrange(1, 34), rng.randrange(1, 5)
    return f"{rng.randrange(1, 25)}号楼{rng.randrange(1, 5)}单元{floor}{door:02d}室"


def _make_streets(seed: int) -> StreetPlan:
    """Return each district's streets; a name is used in one district only."""
    faker = _seeded_faker(seed, "streets")
    taken: set[str] = set()
    streets: list[tuple[str, ...]] = []
    for _ in DISTRICTS:
        names: list[str] = []
        while len(names) < _STREETS_PER_DISTRICT:
            name = faker.street_name()
            if name not in taken:
                taken.add(name)
                names.append(name)
        streets.append(tuple(names))
    return StreetPlan(tuple(streets))


@dataclass(frozen=True, slots=True)
class _Member:
    """One member of a kind of household: sex (None: either), youngest and oldest age."""

    sex: Sex | None
    ages: tuple[int, int]
    child: bool = False


_MAN: Final = _Member(Sex.MALE, (26, 58))
_WOMAN: Final = _Member(Sex.FEMALE, (24, 56))
_CHILD: Final = _Member(None, (0, 17), child=True)
_HOUSEHOLDS: Final = (
    (22, (_Member(None, (20, 40)),)),
    (20, (_MAN, _WOMAN)),
    (30, (_MAN, _WOMAN, _CHILD)),
    (12, (_MAN, _WOMAN, _CHILD, _CHILD)),
    (12, (_Member(Sex.MALE, (60, 85)), _Member(Sex.FEMALE, (58, 85)))),
    (4, (_Member(Sex.FEMALE, (62, 95)),)),
)


def _make_residents(rng: Random, people: int, streets: StreetPlan, seed: int) -> Iterator[Resident]:
    """Yield the residents, household by household, without work."""
    faker = _seeded_faker(seed, "names")
    ordinals: dict[tuple[str, dt.date, Sex], tuple[int, int]] = {}
    kinds = [members for _, members in _HOUSEHOLDS]
    weights = [weight for weight, _ in _HOUSEHOLDS]
    made = household = 0
    while made < people:
        members = rng.choices(kinds, weights)[0][: people - made]
        district = _choose_district(rng)
        address = streets.address(rng, district) + make_flat(rng)
        surname = faker.last_name()
        for place, member in enumerate(members):
            sex = member.sex or rng.choice((Sex.MALE, Sex.FEMALE))
            inherits = place == 0 or (member.child and rng.random() < 0.9)
            given = faker.first_name_male() if sex is Sex.MALE else faker.first_name_female()
            birth_date = _birth_date(rng, member.ages)
            yield Resident(
                resident_id=_next_resident_id(rng, district, birth_date, sex, ordinals),
                name=(surname if inherits else faker.last_name()) + given,
                sex=sex,
                phone=_phone(rng),
                birth_date=birth_date,
                district=district,
                address=address,
                household=household,
                frailty=rng.lognormvariate(0.0, 0.8),
            )
        made += len(members)
        household += 1


def _next_resident_id(
    rng: Random,
    home: District,
    birth_date: dt.date,
    sex: Sex,
    ordinals: dict[tuple[str, dt.date, Sex], tuple[int, int]],
) -> str:
    """Return an unused resident id; most people were born where they live."""
    birthplace = home if rng.random() < 0.8 else _choose_district(rng)
    for district in (birthplace, *DISTRICTS):
        birth = (district.code, birth_date, sex)
        first, count = ordinals.get(birth, (rng.randrange(SEQUENCES_PER_SEX), 0))
        if count < SEQUENCES_PER_SEX:
            ordinals[birth] = (first, count + 1)
            ordinal = (first + count) % SEQUENCES_PER_SEX
            return make_resident_id(district.code, birth_date, sex, ordinal)
    raise CityError(f"no resident ids are left for births on {birth_date}")


def _birth_date(rng: Random, ages: tuple[int, int]) -> dt.date:
    """Return a birth date that gives an age within `ages` on the reference date."""
    youngest, oldest = ages
    first = REFERENCE_DATE.replace(year=REFERENCE_DATE.year - oldest - 1) + dt.timedelta(days=1)
    return day_between(rng, first, REFERENCE_DATE.replace(year=REFERENCE_DATE.year - youngest))


def _phone(rng: Random) -> str:
    """Return a mobile number that looks real, of the block 154: no operator is known to have it."""
    return f"154{rng.randrange(10**8):08d}"


def _make_enterprises(
    rng: Random, count: int, residents: tuple[Resident, ...], streets: StreetPlan
) -> Iterator[Enterprise]:
    """Yield the enterprises; every legal representative is an adult of the city."""
    founders = [resident for resident in residents if 25 <= resident.age <= 70]
    founders = founders or [resident for resident in residents if resident.age >= ADULT_AGE]
    industry_weights = [industry.weight for industry in INDUSTRIES]
    names: set[str] = set()
    for ordinal in range(count):
        industry = rng.choices(INDUSTRIES, industry_weights)[0]
        district = _choose_district(rng)
        founder = rng.choice(founders)
        grown_up = founder.birth_date.replace(day=1, year=founder.birth_date.year + ADULT_AGE)
        first, last = max(grown_up, dt.date(1995, 1, 1)), dt.date(2026, 9, 30)
        capital = rng.choice((30, 50, 100, 100, 200, 300, 500, 500, 1000, 2000, 5000))
        yield Enterprise(
            # The organization code does not count up: 700,001 has no common divisor with 31^6.
            credit_code=make_credit_code(district.code, (ordinal + 1) * 700_001 % 31**6),
            name=_enterprise_name(rng, industry, names),
            legal_representative=founder,
            capital=capital * 10_000 * 100,
            established_on=max(day_between(rng, first, last) for _ in range(3)),
            district=district,
            address=f"{streets.address(rng, district)}{rng.randrange(1, 29)}层",
            industry=industry,
            size=rng.paretovariate(1.1),
            active=ordinal == 0 or rng.random() < 0.94,
        )


def _enterprise_name(rng: Random, industry: Industry, taken: set[str]) -> str:
    """Return a name that no other enterprise has; brands get longer when the short ones run out."""
    length = 2
    while True:
        brand = "".join(rng.choices(_BRAND_CHARACTERS, k=length))
        form = "股份有限公司" if rng.random() < 0.04 else "有限公司"
        name = f"泉城{brand}{rng.choice(industry.words)}{form}"
        if name not in taken:
            taken.add(name)
            return name
        length += 1


def _employ(
    rng: Random, residents: list[Resident], enterprises: tuple[Enterprise, ...]
) -> Iterator[Resident]:
    """Yield the residents with what they live on."""
    sizes = list(accumulate(firm.size if firm.active else 0.0 for firm in enterprises))
    indexes = range(len(enterprises))
    for resident in residents:
        retirement_age = 60 if resident.sex is Sex.MALE else 55
        draw = rng.random()
        if resident.age >= retirement_age:
            insurance = "职工医保" if draw < 0.6 else "城乡居民医保"
            yield replace(resident, livelihood=Livelihood.RETIRED, health_insurance=insurance)
        elif resident.age >= 20 and draw < 0.66:
            employer = rng.choices(indexes, cum_weights=sizes)[0]
            yield _employed(rng, resident, employer, enterprises[employer])
        elif resident.age >= 20 and draw < 0.84:
            yield _self_employed(rng, resident)
        else:
            yield replace(resident, health_insurance="自费" if draw > 0.985 else "城乡居民医保")


def _employed(rng: Random, resident: Resident, employer: int, firm: Enterprise) -> Resident:
    experience = 1 + min(resident.age - 20, 25) * 0.018
    salary = firm.industry.monthly_salary * experience * rng.lognormvariate(0.0, 0.35)
    return replace(
        resident,
        livelihood=Livelihood.EMPLOYED,
        employer=employer,
        salary=round(salary) * 100,
        working_since=_first_working_day(rng, resident, firm.established_on),
        health_insurance="职工医保",
    )


def _self_employed(rng: Random, resident: Resident) -> Resident:
    return replace(
        resident,
        livelihood=Livelihood.SELF_EMPLOYED,
        salary=round(5200 * rng.lognormvariate(0.0, 0.5)) * 100,
        working_since=_first_working_day(rng, resident, dt.date(2005, 1, 1)),
        health_insurance="职工医保" if rng.random() < 0.5 else "城乡居民医保",
    )


def _first_working_day(rng: Random, resident: Resident, not_before: dt.date) -> dt.date:
    """Return the first of a month, at the age of 18 or more, most often in the last ten years."""
    of_age = resident.birth_date.replace(day=1, year=resident.birth_date.year + ADULT_AGE)
    first = max(of_age, not_before, dt.date(2016, 1, 1))
    day = day_between(rng, first, REFERENCE_DATE - dt.timedelta(days=1))
    following = (day.replace(day=1) + dt.timedelta(days=32)).replace(day=1)
    return min(following, REFERENCE_DATE)


def _choose_district(rng: Random) -> District:
    return rng.choices(DISTRICTS, cum_weights=_DISTRICT_WEIGHTS)[0]


_DISTRICT_WEIGHTS: Final = list(accumulate(district.weight for district in DISTRICTS))


def _seeded_faker(seed: int, purpose: str) -> Faker:
    """Return a generator of Chinese names and streets of its own, whatever else uses Faker."""
    faker = Faker("zh_CN")
    faker.seed_instance(stream(seed, purpose).getrandbits(64))
    return faker
