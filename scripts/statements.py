"""True statements for authorizations that nobody was asked for: those of benches, faults and tests.

record = stated(record, Names("Quancheng Bank", "Real estate", FIELDS, pairs(TEXTS), YEAR))
"""

from typing import Final

import msgspec

from ledger.consents import Names
from ledger.events import Text
from ledger.statement import Terms, make_statement, new_reference, select_templates
from ledger.typed_data import Authorization

TEXTS: Final = (
    Text(
        "zh",
        "我同意{consumer}查询我的{dataset}中的 {fields}，{uses}，{interval}，用于案件{case}，"
        "有效期至 {until}，{retention}。",
    ),
    Text(
        "en",
        "I let {consumer} read {fields} of my {dataset} {uses}, {interval}, for the case {case}, "
        "until {until}, {retention}.",
    ),
)
"""Of a purpose that needs no words of its own."""

CASE_NUMBER: Final = "CASE-4711"


def pairs(texts: tuple[Text, ...]) -> tuple[tuple[str, str], ...]:
    """Return a purpose's texts as `Names` has them."""
    return tuple((one.language, one.template) for one in texts)


def stated(
    record: Authorization, names: Names, case_number: str = CASE_NUMBER, reference: str = ""
) -> Authorization:
    """Return an authorization with the statement that says what it authorizes.

    Raises:
        StatementError: it cannot be put into words.
    """
    terms = Terms(
        consumer=names.consumer,
        dataset=names.dataset,
        fields=tuple(name for place, name in enumerate(names.fields) if record.fields >> place & 1),
        item=record.item,
        case_number=case_number,
        max_uses=record.max_uses,
        min_interval=record.min_interval,
        not_before=record.not_before,
        expires_at=record.expires_at,
        retention=names.retention,
    )
    statement = make_statement(select_templates(names.texts), terms, reference or new_reference())
    return msgspec.structs.replace(record, statement=statement.text)
