"""The numbers by which departments know people and enterprises, checked.

A resident id is the citizen identification number of GB 11643-1999, a credit code the unified social
credit identifier of GB 32100-2015. Both end in a check character, so that a mistyped number is found
before anything is published under it. No message here holds the number: it would end up in a log.
"""

import datetime as dt
import re
from typing import Final

from ledger.errors import LedgerError

CREDIT_CODE_ALPHABET: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"
"""The 31 characters of GB 32100-2015: digits and capitals without I, O, S, V and Z."""

_RESIDENT_ID: Final = re.compile(r"[1-9][0-9]{16}[0-9X]")
_CREDIT_CODE: Final = re.compile(
    rf"[{CREDIT_CODE_ALPHABET}]{{2}}[0-9]{{6}}[{CREDIT_CODE_ALPHABET}]{{10}}"
)

# GB 11643-1999 (ISO 7064, MOD 11-2): weight of place i (from the right, check character 1)
# is 2^(i-1) mod 11; the character at the remainder's index is the check character.
_RESIDENT_WEIGHTS: Final = tuple(pow(2, 17 - place, 11) for place in range(17))
_RESIDENT_CHECKS: Final = "10X98765432"

# GB 32100-2015 (MOD 31): weight of place i (from the left, starting at 1) is 3^(i-1) mod 31.
_CREDIT_WEIGHTS: Final = tuple(pow(3, place, 31) for place in range(17))


class IdentifierError(LedgerError, ValueError):
    """A text is not the identifier that it is said to be.

    Where only the check character does not belong to those before it, one of them all is mistyped.
    """

    def __init__(self, problem: str, *, wrong_check_character: bool = False) -> None:
        super().__init__(problem)
        self.wrong_check_character = wrong_check_character


def resident_check_character(body: str) -> str:
    """Return the check character of a resident id's first 17 digits; `IdentifierError` if they are none."""
    if re.fullmatch(r"[0-9]{17}", body) is None:
        raise IdentifierError("the body of a resident id is 17 digits")
    total = sum(int(digit) * weight for digit, weight in zip(body, _RESIDENT_WEIGHTS, strict=True))
    return _RESIDENT_CHECKS[total % 11]


def credit_check_character(body: str) -> str:
    """Return the check character of a credit code's first 17 characters; `IdentifierError` if they are none."""
    if re.fullmatch(rf"[{CREDIT_CODE_ALPHABET}]{{17}}", body) is None:
        raise IdentifierError("the body of a credit code is 17 characters of its alphabet")
    total = sum(
        CREDIT_CODE_ALPHABET.index(character) * weight
        for character, weight in zip(body, _CREDIT_WEIGHTS, strict=True)
    )
    return CREDIT_CODE_ALPHABET[-total % 31]


def verify_resident_id(text: str) -> str:
    """Return the resident id in `text`, without blanks around it and with a capital X.

    The division's six digits are not looked up: divisions are renamed and merged while people keep
    their numbers, and the permanent residence cards of foreigners (since 2023) use them otherwise.
    Raises `IdentifierError`, also for a date that is none.
    """
    number = text.strip().upper()
    if _RESIDENT_ID.fullmatch(number) is None:
        raise IdentifierError("a resident id is 17 digits and a digit or X")
    try:
        dt.date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        # `from None`: the cause's text would repeat a part of the number.
        raise IdentifierError("a resident id's places 7 to 14 are a date") from None
    if resident_check_character(number[:17]) != number[17]:
        raise IdentifierError(
            "the resident id's check character is wrong", wrong_check_character=True
        )
    return number


def verify_credit_code(text: str) -> str:
    """Return the credit code in `text`, without blanks around it and in capitals. Raises `IdentifierError`.

    The check character of the organization code inside it (GB 11714) is not looked at: the last one
    covers it.
    """
    code = text.strip().upper()
    if _CREDIT_CODE.fullmatch(code) is None:
        raise IdentifierError(
            "a credit code is 18 digits and capitals (none of I, O, S, V, Z), six digits from place 3"
        )
    if credit_check_character(code[:17]) != code[17]:
        raise IdentifierError(
            "the credit code's check character is wrong", wrong_check_character=True
        )
    return code
