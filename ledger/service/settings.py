"""What settings of several services have: types, and names that they had before."""

import os
from collections.abc import Mapping
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


def refuse_renamed(prefix: str, renamed: Mapping[str, str]) -> None:
    """Refuse an environment with a variable's former name: its value would be ignored in silence.

    Raises:
        SettingError: There is one; the message says what it is called now.
    """
    for former, present in renamed.items():
        if prefix + former in os.environ:
            raise SettingError(f"{prefix}{former} is called {prefix}{present} now")
