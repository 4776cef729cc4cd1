"""The synthetic city is consistent in itself: its people, its enterprises, its records."""

from collections import Counter, defaultdict
from pathlib import Path

from scripts.city import catalogue
from scripts.city.catalogue import (
    DATASETS,
    Dataset,
)
from scripts.city.ids import (
    verify_credit_code,
    verify_resident_id,
)
from scripts.city.places import DIAGNOSES, DISTRICTS, REFERENCE_DATE
from scripts.city.population import City, Livelihood
from scripts.city.randomness import cents
from tests.scripts.city_files import SIZE, named, read_table, records

# The people


def test_nobody_in_the_registers_can_be_real_or_twice(directory: Path) -> None:
    residents = read_table(directory / "identity/residents.csv")
    enterprises = read_table(directory / "identity/enterprises.csv")
    divisions = {district.code for district in DISTRICTS}
    numbers = [verify_resident_id(line["resident_id"]) for line in residents]
    codes = [verify_credit_code(line["credit_code"]) for line in enterprises]
    assert len(set(numbers)) == len(numbers)
    assert len(set(codes)) == len(codes)
    assert {number[:6] for number in numbers} <= divisions
    assert {code[2:8] for code in codes} <= divisions
    assert len({line["name"] for line in enterprises}) == len(codes)
    assert {line["legal_representative_id"] for line in enterprises} <= set(numbers)
    for line in residents:
        assert line["birth_date"].replace("-", "") == line["resident_id"][6:14]


def test_lives_are_possible(city: City) -> None:
    adults = 0
    for resident in city.residents:
        assert 0 <= resident.age <= 100
        adults += resident.age >= 18
        employer = city.employer_of(resident)
        assert (employer is not None) is (resident.livelihood is Livelihood.EMPLOYED)
        if employer:
            assert employer.active
            assert employer.established_on <= resident.working_since <= REFERENCE_DATE
    assert sum(city.employees) == sum(r.employer >= 0 for r in city.residents)
    assert 0.6 < adults / len(city.residents) < 0.9


# The datasets, each with the others


def test_names_and_districts_agree_everywhere(directory: Path) -> None:
    residents = read_table(directory / "identity/residents.csv")
    names = {line["resident_id"]: line["name"] for line in residents}
    employers = {
        line["credit_code"]: line["name"]
        for line in read_table(directory / "identity/enterprises.csv")
    }
    districts = {district.name for district in DISTRICTS}
    for dataset in DATASETS:
        for row in records(directory, dataset):
            values = named(dataset, row)
            if dataset.personal:
                assert values[name_column(dataset)] == names[row.key]
            if values.get("employer_name"):
                assert employers[values["employer_credit_code"]] == values["employer_name"]
            assert values.get("district", DISTRICTS[0].name) in districts


def name_column(dataset: Dataset) -> str:
    return next(
        field.name
        for field in dataset.fields
        if field.name in {"owner_name", "insured_name", "holder_name", "patient_name"}
    )


def test_some_own_nothing_some_own_several_some_own_together(directory: Path) -> None:
    rows = records(directory, catalogue.REAL_ESTATE)
    owned = Counter(row.key for row in rows)
    assert 0.2 < len(owned) / SIZE.people < 0.9
    assert max(owned.values()) >= 3
    owners: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        values = named(catalogue.REAL_ESTATE, row)
        owners[values["unit_number"]].append(values["ownership"])
        assert len(values["unit_number"]) == 28
        assert (values["mortgage_status"] == "已抵押") is (cents(values["mortgage_amount"]) > 0)
    for shares in owners.values():
        assert set(shares) == ({"单独所有"} if len(shares) == 1 else {"共同共有"})


def test_contributions_follow_from_base_and_months(directory: Path) -> None:
    short = 0
    years: dict[str, set[str]] = defaultdict(set)
    for row in records(directory, catalogue.SOCIAL_INSURANCE):
        values = named(catalogue.SOCIAL_INSURANCE, row)
        rates = {"企业职工基本养老保险": (8, 16), "灵活就业人员基本养老保险": (20, 0)}
        personal, employer = rates.get(values["insurance_type"], (8, 0))
        paid = cents(values["contribution_base"]) * int(values["months_paid"])
        assert cents(values["personal_paid"]) == paid * personal // 100
        assert cents(values["employer_paid"]) == paid * employer // 100
        assert bool(values["employer_name"]) is (employer > 0)
        short += values["status"] == "中断缴费"
        assert values["year"] not in years[row.key]
        years[row.key].add(values["year"])
    assert short > 0
    assert 0.3 < len(years) / SIZE.people < 0.9


def test_one_account_a_person_in_the_housing_fund(directory: Path) -> None:
    rows = records(directory, catalogue.HOUSING_FUND)
    assert len({row.key for row in rows}) == len(rows)
    for row in rows:
        values = named(catalogue.HOUSING_FUND, row)
        opened, last = values["opened_on"], values["last_deposit_on"]
        assert opened <= last <= REFERENCE_DATE.isoformat()


def test_visits_are_medically_and_financially_possible(directory: Path, city: City) -> None:
    residents = {resident.resident_id: resident for resident in city.residents}
    diagnoses = {diagnosis.code: diagnosis for diagnosis in DIAGNOSES}
    rows = records(directory, catalogue.HOSPITAL_VISITS)
    for row in rows:
        values = named(catalogue.HOSPITAL_VISITS, row)
        resident, diagnosis = residents[row.key], diagnoses[values["diagnosis_code"]]
        total, covered = cents(values["total_amount"]), cents(values["covered_amount"])
        assert total == covered + cents(values["self_paid_amount"])
        assert 0 <= covered < total
        assert covered == 0 or values["insurance_type"] != "自费"
        assert diagnosis.sex in {None, resident.sex}
        dates = [values["admitted_on"], values["discharged_on"], values["settled_on"]]
        assert dates == sorted(dates)
        assert resident.birth_date.isoformat() <= dates[0]
        assert dates[-1] <= REFERENCE_DATE.isoformat()
    assert max(Counter(row.key for row in rows).values()) > 5


def test_the_market_regulators_figures_agree(directory: Path, city: City) -> None:
    registered = records(directory, catalogue.BUSINESS_REGISTRATION)
    assert [row.key for row in registered] == [firm.credit_code for firm in city.enterprises]
    insured = catalogue.BUSINESS_REGISTRATION.field_index("insured_employees")
    assert sum(int(row.values[insured]) for row in registered) == sum(city.employees)
    active = Counter(firm.district.name for firm in city.enterprises if firm.active)
    last = records(directory, catalogue.ENTERPRISE_STATISTICS)[-len(DISTRICTS) :]
    for row in last:
        values = named(catalogue.ENTERPRISE_STATISTICS, row)
        assert int(values["enterprises"]) == active[values["district"]]


def test_no_parking_lot_has_more_free_places_than_places(directory: Path) -> None:
    for row in records(directory, catalogue.PARKING_LOTS):
        values = named(catalogue.PARKING_LOTS, row)
        assert 0 <= int(values["free"]) <= int(values["total"])
