"""The datasets of the city's departments, as `datasets.json` beside this file describes them.

They are written to a city's own `datasets.json` (`scripts.city.manifest`), from which departments publish. A file's
columns are the key (unless there is none), the record number, then the fields in schema order.
"""

from pathlib import Path
from typing import Final

import msgspec

from scripts.city.errors import CityError
from wallet.provider.description import Department, Description


class Dataset(Description, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One dataset and the file that holds it.

    Record numbers in `number_column` are unique in a file, ascending, and less than 2^63.
    """

    department: Department

    def field_index(self, name: str) -> int:
        """Return the place of a field in the schema.

        Raises:
            CityError: there is no such field.
        """
        for index, field in enumerate(self.fields):
            if field.name == name:
                return index
        raise CityError(f"{self.code} has no field {name}")


class _Catalogue(msgspec.Struct):
    datasets: tuple[Dataset, ...]


DATASETS: Final = msgspec.json.decode(
    Path(__file__).with_name("datasets.json").read_bytes(), type=_Catalogue
).datasets
(
    REAL_ESTATE,
    SOCIAL_INSURANCE,
    HOUSING_FUND,
    HOSPITAL_VISITS,
    BUSINESS_REGISTRATION,
    ENTERPRISE_STATISTICS,
    PARKING_LOTS,
    EPIDEMIC_CASES,
) = DATASETS


class Register(msgspec.Struct, frozen=True):
    """A file of the identity authority: everybody whom it can enrol."""

    code: str
    file: str
    key_column: str
    columns: tuple[str, ...]
    records: int = 0
    """Lines that follow its header, once it is written."""


RESIDENTS: Final = Register(
    code="residents",
    file="identity/residents.csv",
    key_column="resident_id",
    columns=("name", "resident_id", "phone", "birth_date", "address"),
)

ENTERPRISES: Final = Register(
    code="enterprises",
    file="identity/enterprises.csv",
    key_column="credit_code",
    columns=("name", "credit_code", "legal_representative_id"),
)
