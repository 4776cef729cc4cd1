"""Those of the authority's acts that are more than one transaction of `ledger.chain.contract_calls`."""

import secrets
from typing import Final

import msgspec

from ledger.chain import contract_calls, contract_reads
from ledger.chain.events import OrderTerms, PurposeTerms
from ledger.chain.events.identifiers import order_id
from ledger.crypto.statement import Terms, make_statement, new_reference, select_templates
from ledger.errors import LedgerError
from ledger.model import Change, Class, Roles
from ledger.policy import lapse_of
from wallet.client.calls import look
from wallet.client.names import require_free_name
from wallet.client.party import ChainAccess, PartyKey
from wallet.client.transactions import Mined, transact
from wallet.errors import PartyError

_ANNOUNCED: Final = Roles.REGULATOR | Roles.IDENTITY_AUTHORITY
"""Roles that a party gets only after the admission delay."""

_SAMPLE: Final = Terms(
    consumer="使用方 / Consumer",
    dataset="数据目录 / Dataset",
    fields=("字段 / Field",),
    item=bytes(32),
    case_number="1",
    max_uses=1,
    min_interval=0,
    not_before=0,
    expires_at=1,
    retention=0,
)


class Registered(msgspec.Struct, frozen=True):
    """A purpose or an order that is on chain, by its id."""

    id: bytes
    mined: Mined


class Announced(msgspec.Struct, frozen=True):
    """What the authority said, and from when it counts."""

    mined: Mined
    effective_at: int | None
    """Seconds since 1970, when anybody can make it effective unless a regulator vetoes; zero for
    at once; None if only the gateway told of it and the deployment has a delay."""
    lapses_at: int | None
    """Seconds since 1970, exclusive, until when; zero and None as above."""


async def admit(
    ledger: ChainAccess, key: PartyKey, party: bytes, roles: Roles, name: str
) -> Announced:
    """Admit a party with exactly these roles, or change roles and name of one admitted before.

    A regulator or an identity authority is announced only: `contracts.activate` it later.

    The name is "中文 / English"; people see it when the party asks for something.

    Raises:
        PartyError: Authority: the name cannot stand in a statement.
        ClientError (AMBIGUOUS_NAME): people would take it for another's.
        RefusedError: the contract refuses; `error` says why.
    """
    check_name(name)
    await require_free_name(ledger, party, name)
    mined = await transact(ledger, key, contract_calls.admit(party, roles, name))
    if not roles & _ANNOUNCED or not ledger.deployment.admission_delay:
        return Announced(mined, 0, 0)
    if not ledger.own_node:
        return Announced(mined, None, None)
    pending = await look(contract_reads.admission_of(ledger.deployment.contracts, party))
    return _announced(ledger, mined, pending.effective_at)


async def register_purpose(ledger: ChainAccess, key: PartyKey, terms: PurposeTerms) -> Registered:
    """Set a purpose for ever: its texts and its bounds.

    Raises:
        PartyError: Authority: no statement can be made of its texts.
        RefusedError: the contract refuses; `error` says why.
    """
    try:
        templates = select_templates((text.language, text.template) for text in terms.texts)
        make_statement(templates, _SAMPLE, new_reference())
    except LedgerError as error:
        raise PartyError("Authority", f"purpose {terms.code}: {error}") from error
    mined = await transact(ledger, key, contract_calls.register_purpose(terms))
    return Registered(contract_calls.purpose_id(terms), mined)


async def issue_order(
    ledger: ChainAccess,
    key: PartyKey,
    *,
    dataset: bytes,
    purpose: bytes,
    sharing: Class,
    fields: int,
    starts_at: int,
    ends_at: int,
    reason: str,
) -> Registered:
    """Re-classify a dataset for a time; a regulator must review it afterwards.

    One that closes the dataset is in force at once, one that opens it from a regulator's
    countersignature on. It starts within a day, and lasts at most 30 days if it opens.

    Args:
        ledger: the contracts.
        key: the authority's.
        dataset: 32 bytes.
        purpose: 32 bytes; only fields that are bound to it are opened. Consumers need an agreement
            for it when `sharing` is conditional.
        sharing: class while the order is in force.
        fields: bitmap of the fields that it opens.
        starts_at: inclusive, seconds since 1970.
        ends_at: exclusive.
        reason: public for ever.
    """
    nonce = secrets.token_bytes(32)
    terms = OrderTerms(dataset, purpose, sharing, fields, starts_at, ends_at, reason, nonce)
    mined = await transact(ledger, key, contract_calls.issue_order(terms))
    return Registered(order_id(terms), mined)


async def announce_change(
    ledger: ChainAccess, key: PartyKey, change: Change, first: bytes, second: bytes = bytes(20)
) -> Announced:
    """Announce the next authority, a verifier of signatures, or an identity authority's successor.

    Args:
        ledger: the contracts.
        key: the authority's.
        change: one of the three.
        first: the next authority; the verifier; the identity authority that is succeeded.
        second: its successor; else zeros.
    """
    mined = await transact(ledger, key, contract_calls.announce_change(change, first, second))
    if not ledger.own_node:
        due = None if ledger.deployment.admission_delay else 0
        return Announced(mined, due, due)
    at = ledger.deployment.contracts
    due = await look(contract_reads.change_due_at(at, change, first, second))
    return _announced(ledger, mined, due)


def check_name(name: str) -> None:
    """Refuse a party's name that cannot stand in a statement (PartyError: Authority)."""
    templates = select_templates(
        (language, "{consumer}{dataset}{fields}{uses}{case}{until}{retention}")
        for language in ("zh", "en")
    )
    try:
        make_statement(templates, msgspec.structs.replace(_SAMPLE, consumer=name), new_reference())
    except LedgerError as error:
        raise PartyError("Authority", f"the name cannot stand in a statement: {error}") from error


def _announced(ledger: ChainAccess, mined: Mined, due: int) -> Announced:
    return Announced(mined, due, due and lapse_of(due, ledger.deployment.admission_delay))
