"""Whether an authorization's statement says what it authorizes, word for word.

The chain has only a statement's hash, but all that its words must be made of: the purpose's text,
the dataset's names, the bounds, and the consumer's name as of the grant, so that one that is
renamed keeps its grants. Only case number and reference are the statement's own. So gateways,
keyholders and replay, handed the signed record, refuse one whose person did not see what is
enforced.

Source: DESIGN 3.2; docs/spec/statement.md "Who checks it".
"""

from functools import lru_cache
from typing import Final

import msgspec

from ledger import entities
from ledger.entities import State
from ledger.events import GrantTerms
from ledger.plain_text import verify_case_number
from ledger.statement import (
    StatementError,
    Terms,
    format_reference,
    make_statement,
    parse_reference,
    select_templates,
)
from ledger.typed_data import Authorization, struct_hash

_REFERENCE_TEXT_LENGTH: Final = 30
"""Characters, hyphens included: a statement ends with one."""
_CASE_NUMBER_ENDS: Final = "」"
_TEMPLATES_REMEMBERED: Final = 256
_templates = lru_cache(maxsize=_TEMPLATES_REMEMBERED)(select_templates)


class Names(msgspec.Struct, frozen=True):
    """What the person was shown when granting, as the chain had it then."""

    consumer: str
    dataset: str
    fields: tuple[str, ...]
    """Of the whole schema."""
    texts: tuple[tuple[str, str], ...]
    """Of the purpose: language and template."""
    retention: int


def verify_consent(record: Authorization, authorization: bytes, names: Names) -> None:
    """Check that a record is the authorization of this id, and that its statement says what it authorizes.

    Raises:
        LedgerError: It is another record, or its statement says something else.
    """
    if struct_hash(record) != authorization:
        raise StatementError("it is another authorization's record")
    case_number_in(record.statement, record, names)


def names_at_grant(state: State, authorization: entities.Authorization) -> Names:
    """Return what a person was shown, from a state that has the grant."""
    agreement = authorization.terms.agreement
    dataset, purpose = agreement.dataset, state.purposes[agreement.purpose]
    return Names(
        consumer=authorization.consumer_name,
        dataset=dataset.title,
        fields=dataset.fields,
        texts=purpose.texts,
        retention=purpose.retention,
    )


def case_number_in(text: str, bounds: Authorization | GrantTerms, names: Names) -> str:
    """Return the case number of a statement that says what its terms say, in both languages.

    Raises:
        LedgerError: it says something else, or two case numbers.
    """
    if bounds.fields >> len(names.fields):
        raise StatementError("fields are authorized that have no name")
    templates = _templates(names.texts)
    fields = tuple(name for place, name in enumerate(names.fields) if bounds.fields >> place & 1)

    reference = format_reference(parse_reference(text[-_REFERENCE_TEXT_LENGTH:]))
    # With the reference in it no name can be this text: names were on chain before it was drawn.
    standing_in = f"CASE-{reference}"
    terms = Terms(
        consumer=names.consumer,
        dataset=names.dataset,
        fields=fields,
        item=bounds.item,
        case_number=standing_in,
        max_uses=bounds.max_uses,
        min_interval=bounds.min_interval,
        not_before=bounds.not_before,
        expires_at=bounds.expires_at,
        retention=names.retention,
    )
    expected = make_statement(templates, terms, reference).text
    before = expected.partition(standing_in)[0]
    case_number = text[len(before) :].partition(_CASE_NUMBER_ENDS)[0]
    if not case_number or expected.replace(standing_in, case_number) != text:
        raise StatementError("the statement does not say what was authorized")
    return verify_case_number(case_number)
