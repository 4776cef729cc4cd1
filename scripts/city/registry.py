"""Which source makes which dataset."""

from typing import Final

from scripts.city import catalogue, health, housing, insurance, market
from scripts.city.catalogue import Dataset
from scripts.city.sources import Source

_SOURCES: Final = {
    catalogue.REAL_ESTATE.code: housing.REAL_ESTATE_SOURCE,
    catalogue.PARKING_LOTS.code: housing.PARKING_LOTS_SOURCE,
    catalogue.SOCIAL_INSURANCE.code: insurance.SOCIAL_INSURANCE_SOURCE,
    catalogue.HOUSING_FUND.code: insurance.HOUSING_FUND_SOURCE,
    catalogue.HOSPITAL_VISITS.code: health.HOSPITAL_VISITS_SOURCE,
    catalogue.EPIDEMIC_CASES.code: health.EPIDEMIC_CASES_SOURCE,
    catalogue.BUSINESS_REGISTRATION.code: market.BUSINESS_REGISTRATION_SOURCE,
    catalogue.ENTERPRISE_STATISTICS.code: market.ENTERPRISE_STATISTICS_SOURCE,
}


def source_of(dataset: Dataset) -> Source:
    """Return the source of one of the catalogue's datasets, in whatever format it is written."""
    return _SOURCES[dataset.code]
