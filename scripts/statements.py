"""Authorizations that nobody was asked for, with true statements: those of benches, faults and tests.

record = stated(record, Names("Quancheng Bank", "Real estate", FIELDS, pairs(TEXTS), YEAR))
"""

import secrets
from typing import Final

import msgspec

from ledger.chain.events import Text
from ledger.crypto.statement import Names, Terms, make_statement, new_reference, select_templates
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
    return tuple((text.language, text.template) for text in texts)


def unstated(
    subject: bytes,
    consumer: bytes,
    dataset: bytes,
    purpose: bytes,
    *,
    now: int,
    fields: int,
    item: bytes = bytes(32),
    max_uses: int = 1,
    min_interval: int = 0,
    earlier: int = 60,
    validity: int = 30 * 86_400,
    lifetime: int = 3600,
) -> Authorization:
    """Return a new authorization without its statement.

    It holds from `earlier` seconds before `now` on for `validity` seconds, and may be granted for
    `lifetime` seconds.
    """
    return Authorization(
        subject=subject,
        consumer=consumer,
        dataset=dataset,
        item=item,
        purpose=purpose,
        fields=fields,
        case_reference=secrets.token_bytes(32),
        statement="",
        not_before=now - earlier,
        expires_at=now - earlier + validity,
        max_uses=max_uses,
        min_interval=min_interval,
        nonce=secrets.token_bytes(32),
        deadline=now + lifetime,
    )


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
