"""What a transaction offers: as the node suggests, or what an operator settled. Pure."""

import re
from typing import Final, Self

import msgspec

from ledger.errors import SettingError
from ledger.transactions import Fee

_FORM: Final = re.compile(r"([0-9]{1,38})(?::([0-9]{1,38}))?")
_SUGGESTED: Final = "node"


class FeeRule(msgspec.Struct, frozen=True):
    """How much to offer."""

    fixed: Fee | None = None
    """None: what the node suggests."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the rule that a setting names: `node`, `PRICE`, or `MOST:PRIORITY`, in wei per gas.

        Raises:
            SettingError: It is none of these, or the priority is more than the most.
        """
        if text == _SUGGESTED:
            return cls()
        match = _FORM.fullmatch(text)
        if match is None:
            raise SettingError("a fee is node, PRICE or MOST:PRIORITY, in wei per gas").labelled(
                "Fee"
            )
        most = int(match[1])
        priority = most if match[2] is None else int(match[2])
        if priority > most:
            raise SettingError("of a fee MOST:PRIORITY the priority is at most the whole").labelled(
                "Fee"
            )
        return cls(Fee(most, priority))

    def offer(self, base_fee: int | None, gas_price: int) -> Fee:
        """Return what to offer now.

        Args:
            base_fee: of the newest block; None on a chain without.
            gas_price: what the node suggests; base fee and a tip together.
        """
        if self.fixed is not None:
            return self.fixed
        if not base_fee:
            return Fee(gas_price, gas_price)
        tip = max(gas_price - base_fee, 0)
        # Twice the base fee still suffices after six full blocks in a row (an eighth more each).
        return Fee(2 * base_fee + tip, tip)


AS_SUGGESTED: Final = FeeRule()
