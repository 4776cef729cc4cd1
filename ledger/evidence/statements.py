"""Reading the statement that a person signed, against what is on chain."""

import re
from typing import Final

from ledger.events import GrantTerms
from ledger.evidence.facts import Names
from ledger.statement import (
    StatementMismatchError,
    Terms,
    format_reference,
    make_statement,
    parse_reference,
    select_templates,
    verify_statement,
)

_STANDING_IN: Final = "CASE-NUMBER-STANDING-IN"
REFERENCE_LENGTH: Final = 30
"""Characters of a reference number, hyphens included: a statement ends with one."""
_CASE_NUMBER: Final = r"(?P<case>[^「」]{1,64})"


def case_number_in(text: str, terms: GrantTerms, names: Names) -> str:
    """Check that a statement says what its terms say, in the purpose's words, in both languages.

    All of it is on chain but the case number and the reference, which only the statement itself has:
    the case number must be the same in both languages.

    Returns:
        The case number.

    Raises:
        LedgerError: it says something else.
    """
    templates = select_templates(names.texts)
    fields = tuple(name for place, name in enumerate(names.fields) if terms.fields >> place & 1)

    def with_case(case_number: str) -> Terms:
        return Terms(
            consumer=names.consumer,
            dataset=names.dataset,
            fields=fields,
            item=terms.item,
            case_number=case_number,
            max_uses=terms.max_uses,
            min_interval=terms.min_interval,
            not_before=terms.not_before,
            expires_at=terms.expires_at,
            retention=names.retention,
        )

    reference = format_reference(parse_reference(text[-REFERENCE_LENGTH:]))
    standing_in = make_statement(templates, with_case(_STANDING_IN), reference)
    pattern = re.escape(standing_in.zh).replace(re.escape(_STANDING_IN), _CASE_NUMBER, 1)
    found = re.match(pattern.replace(re.escape(_STANDING_IN), "(?P=case)"), text)
    if found is None:
        raise StatementMismatchError("the statement does not say what was authorized")
    verify_statement(text, templates, with_case(found["case"]))
    return found["case"]
