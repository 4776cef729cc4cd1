"""Types of settings that several services have."""

from typing import Annotated

from pydantic import AfterValidator

from ledger.chain.transactions import FeeRule
from ledger.errors import SettingError


def _checked(value: str) -> str:
    try:
        FeeRule.parse(value)
    except SettingError as error:
        raise ValueError(str(error)) from error
    return value


FeeText = Annotated[str, AfterValidator(_checked)]
"""A fee rule, as `FeeRule.parse` takes it."""
