"""The insurer's rule: what a policy pays for one hospital visit. Pure, in exact decimals of a yuan."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

_CENT: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Policy:
    """Terms agreed with the insured person."""

    deductible: Decimal = Decimal(300)
    """Yuan of a visit that the person bears alone."""
    share: Decimal = Decimal("0.8")
    """Of what is above the deductible."""
    ceiling: Decimal = Decimal(50_000)
    """Yuan that a visit is paid at most."""


@dataclass(frozen=True, slots=True)
class Visit:
    """Amounts of a visit, in yuan."""

    total: Decimal
    self_paid: Decimal


def settle(policy: Policy, visit: Visit) -> Decimal:
    """Return what is paid for a visit.

    Raises:
        ValueError: the person cannot have paid that part of the total.
    """
    if not 0 <= visit.self_paid <= visit.total:
        raise ValueError("the part paid by the patient is not a part of the total")
    above = max(visit.self_paid - policy.deductible, Decimal(0))
    return min(above * policy.share, policy.ceiling).quantize(_CENT, ROUND_HALF_UP)
