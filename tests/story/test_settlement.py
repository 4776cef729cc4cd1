"""The insurer's rule, to the cent."""

from decimal import Decimal

import pytest

from scripts.demo.settlement import Policy, Visit, settle

POLICY = Policy(deductible=Decimal(300), share=Decimal("0.8"), ceiling=Decimal(1000))


@pytest.mark.parametrize(
    ("self_paid", "paid"),
    [
        ("0.00", "0.00"),
        ("299.99", "0.00"),
        ("300.00", "0.00"),
        ("300.01", "0.01"),  # 0.008, rounded
        ("1300.00", "800.00"),
        ("1550.00", "1000.00"),
        ("5000.00", "1000.00"),
    ],
)
def test_a_share_above_the_deductible_up_to_the_ceiling(self_paid: str, paid: str) -> None:
    visit = Visit(total=Decimal(6000), self_paid=Decimal(self_paid))
    assert str(settle(POLICY, visit)) == paid


@pytest.mark.parametrize(("total", "self_paid"), [("100", "100.01"), ("100", "-0.01")])
def test_a_visit_that_contradicts_itself_is_refused(total: str, self_paid: str) -> None:
    with pytest.raises(ValueError, match="not a part of the total"):
        settle(POLICY, Visit(Decimal(total), Decimal(self_paid)))
