"""Asking a person: look the person up (or take a handle), ask, wait, check what came back."""

from ledger.api.consent import ConsentRequest
from ledger.crypto.statement import Terms, select_templates, verify_statement
from ledger.errors import LedgerError
from ledger.hexstr import to_hex
from ledger.typed_data import Authorization, struct_hash
from wallet.client import datasets
from wallet.client.consent_requests import AskState, send_ask, wait_for_answer
from wallet.client.identity import Person, resolve
from wallet.client.party import ChainAccess
from wallet.client.retry import with_retries
from wallet.consumer.cases import Case
from wallet.errors import PartyError


async def ask_customer(person: Person, ask: ConsentRequest) -> Case:
    """Ask a person whom the consumer knows by name and number.

    The identity authority notes the look-up and shows it to the person.

    Raises:
        ProblemError: name and number do not belong together, the person is not enrolled, or the
            ask is outside the bounds of its purpose or agreement.
    """
    handle = await with_retries(resolve(person, ask.purpose, ask.case_number))
    return await ask_handle(handle.handle, ask)


async def ask_handle(handle: str, ask: ConsentRequest) -> Case:
    """Ask whoever handed over a handle; see `ask_customer`."""
    request = await with_retries(send_ask(handle, ask))
    return Case(request, ask)


async def wait(ledger: ChainAccess, case: Case, seconds: float) -> Case:
    """Wait for a person's answer; return the case with what was granted, checked.

    Raises:
        ClientError (NOT_ANSWERED): no answer in this time.
        PartyError: what came back is not what was asked for.
    """
    state = await wait_for_answer(case.request, seconds)
    return await settle(ledger, case, state)


async def settle(ledger: ChainAccess, case: Case, state: AskState) -> Case:
    """Return a case with a person's answer, checked against what was asked.

    A person may grant less: fewer fields, fewer uses, a nearer end; never something else.

    Raises:
        PartyError: it is something else, or the statement does not say what was granted.
    """
    granted = state.authorization
    if granted is None:
        return Case(case.request, case.ask, state.state)
    _check_same(case.ask, granted)
    await _check_statement(ledger, case.ask, granted, state.consumer_name)
    link = state.link
    if link is not None and (link.link.subject, link.link.dataset) != (
        granted.subject,
        granted.dataset,
    ):
        raise PartyError("GrantMismatch", "the link is for another subject or dataset")
    return Case(case.request, case.ask, state.state, granted, link)


def _check_same(ask: ConsentRequest, granted: Authorization) -> None:
    same = {
        "consumer": (ask.consumer, granted.consumer),
        "dataset": (ask.dataset, granted.dataset),
        "item": (ask.item, granted.item),
        "purpose": (ask.purpose, granted.purpose),
        "case": (ask.case_reference, granted.case_reference),
    }
    for name, (asked, got) in same.items():
        if asked != got:
            raise PartyError("GrantMismatch", f"another {name} than was asked for: {to_hex(got)}")
    within = (
        not granted.fields & ~ask.fields
        and granted.max_uses <= ask.max_uses
        and granted.min_interval >= ask.min_interval
        and granted.expires_at <= ask.expires_at
    )
    if not within:
        raise PartyError("GrantMismatch", "more was granted than was asked for")


async def _check_statement(
    ledger: ChainAccess, ask: ConsentRequest, granted: Authorization, gateways_name: str
) -> None:
    """Check that the sentence that the person signed says what it grants, by the names of then."""
    dataset = await datasets.registered(ledger, granted.dataset)
    purpose = await datasets.purpose_terms(ledger, granted.purpose)
    name = await datasets.name_at_grant(
        ledger, struct_hash(granted), granted.consumer, gateways_name
    )
    names = tuple(
        title for place, title in enumerate(dataset.fields) if granted.fields >> place & 1
    )
    terms = Terms(
        consumer=name,
        dataset=dataset.title,
        fields=names,
        item=granted.item,
        case_number=ask.case_number,
        max_uses=granted.max_uses,
        min_interval=granted.min_interval,
        not_before=granted.not_before,
        expires_at=granted.expires_at,
        retention=purpose.retention,
    )
    try:
        templates = select_templates((text.language, text.template) for text in purpose.texts)
        verify_statement(granted.statement, templates, terms)
    except LedgerError as error:
        raise PartyError("GrantMismatch", f"the signed statement: {error}") from error
