"""Makes resident ids and credit codes that pass the checks of `ledger.identifiers`."""

import datetime as dt
import re
from enum import Enum
from typing import Final

from ledger.identifiers import (
    CREDIT_CODE_ALPHABET,
    credit_check_character,
    resident_check_character,
    verify_credit_code,
    verify_resident_id,
)
from scripts.city.errors import CityError

__all__ = [
    "SEQUENCES_PER_SEX",
    "Sex",
    "make_credit_code",
    "make_resident_id",
    "verify_credit_code",
    "verify_resident_id",
]

SEQUENCES_PER_SEX: Final = 499
"""People of one sex, one division and one birth date that resident ids can tell apart."""

_ORGANIZATION_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ORGANIZATION_WEIGHTS: Final = (3, 7, 9, 10, 5, 8, 4, 2)


class Sex(Enum):
    """The sex in a resident id: its sequence is odd for men and even for women (GB 11643-1999)."""

    MALE = 1
    FEMALE = 0


def make_resident_id(division: str, birth_date: dt.date, sex: Sex, ordinal: int) -> str:
    """Return the resident id of a division's `ordinal`-th person of that sex and birth date.

    Args:
        division: the six digits of a district.
        birth_date: when the person was born.
        sex: decides whether the sequence is odd or even.
        ordinal: from 0 to `SEQUENCES_PER_SEX` - 1.

    Raises:
        CityError: `division` or `ordinal` is out of range.
    """
    if re.fullmatch(r"[1-9][0-9]{5}", division) is None or not 0 <= ordinal < SEQUENCES_PER_SEX:
        raise CityError(f"no resident id for division {division!r}, ordinal {ordinal}")
    sequence = 2 * ordinal + 1 if sex is Sex.MALE else 2 * ordinal + 2
    body = f"{division}{birth_date:%Y%m%d}{sequence:03d}"
    return body + resident_check_character(body)


def make_credit_code(division: str, ordinal: int) -> str:
    """Return the credit code of the `ordinal`-th enterprise that a market regulator (91) registered.

    Args:
        division: the six digits of a district.
        ordinal: at least 0; the organization code is "MA" and its six digits in base 31.

    Raises:
        CityError: `division` or `ordinal` is out of range.
    """
    base = len(CREDIT_CODE_ALPHABET)
    if re.fullmatch(r"[1-9][0-9]{5}", division) is None or not 0 <= ordinal < base**6:
        raise CityError(f"no credit code for division {division!r}, ordinal {ordinal}")
    digits = ""
    for _ in range(6):
        ordinal, digit = divmod(ordinal, base)
        digits = CREDIT_CODE_ALPHABET[digit] + digits
    organization = "MA" + digits
    body = f"91{division}{organization}{_organization_check(organization)}"
    return body + credit_check_character(body)


def _organization_check(organization: str) -> str:
    """Return the check character of an organization code's first 8 characters (GB 11714, MOD 11)."""
    total = sum(
        _ORGANIZATION_DIGITS.index(character) * weight
        for character, weight in zip(organization, _ORGANIZATION_WEIGHTS, strict=True)
    )
    return "0123456789X"[-total % 11]
