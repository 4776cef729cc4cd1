"""From what a consumer asks to what a person would sign, word by word.

The statement is made here, on the person's side, from the purpose's text (checked against the purpose's
id, which is the hash of its terms), the names on chain and the ask; a consumer's own words are shown
apart. A person may grant less than was asked: fewer fields, fewer uses, a nearer end.
"""

import secrets
from collections.abc import Sequence

import msgspec

from ledger.chain.events import DatasetTerms, PurposeTerms
from ledger.crypto.statement import Statement, Templates, Terms, make_statement, select_templates
from ledger.encoding import Schema
from ledger.errors import LedgerError
from ledger.policy import LATEST_START
from ledger.typed_data import Authorization
from wallet.client import datasets
from wallet.client.consent_requests import Asked
from wallet.client.errors import ClientError, ErrorKind, VerificationError
from wallet.client.party import ChainAccess
from wallet.client.signers import MAX_TIME_TO_RELAY
from wallet.errors import ProposalError


class Less(msgspec.Struct, frozen=True):
    """What a person takes off an ask; None leaves it as it is."""

    fields: int | None = None
    max_uses: int | None = None
    expires_at: int | None = None


class Proposal(msgspec.Struct, frozen=True):
    """What a person sees before signing.

    Attributes:
        asked: the ask.
        consumer_name: who asks, as admitted on chain.
        dataset: whose names the statement has.
        purpose: text and bounds.
        statement: the exact sentence, in both languages.
        authorization: what is signed.
        on_own_node: whether names and purpose were read on a node of the person's own; otherwise
            the consumer's and the dataset's names are the gateway's word.
    """

    asked: Asked
    consumer_name: str
    dataset: DatasetTerms
    purpose: PurposeTerms
    statement: Statement
    authorization: Authorization
    on_own_node: bool

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields that would be granted."""
        return field_names(self.dataset, self.authorization.fields)


class Unspeakable(msgspec.Struct, frozen=True):
    """An ask that cannot be put into words, and why."""

    asked: Asked
    why: str


async def propose(
    ledger: ChainAccess, asked: Asked, now: int, less: Less | None = None
) -> Proposal:
    """Make what a person would sign for an ask.

    Args:
        ledger: the contracts.
        asked: the ask, from the inbox.
        now: seconds since 1970.
        less: what the person takes off.

    Raises:
        ProposalError: the ask is outside its purpose's bounds, over, or cannot be put into words.
        ClientError (UNKNOWN_NAME): consumer, dataset or purpose are not registered.
        VerificationError: the purpose's text is not the registered one.
    """
    ask = asked.ask
    name = await datasets.party_name(ledger, ask.consumer)
    dataset = await datasets.registered(ledger, ask.dataset)
    purpose = await datasets.purpose_terms(ledger, ask.purpose)
    return compose(asked, name, dataset, purpose, now, less, on_own_node=ledger.own_node)


async def propose_each(
    ledger: ChainAccess, waiting: Sequence[Asked], now: int
) -> tuple[Proposal | Unspeakable, ...]:
    """Make what a person would sign for each ask of an inbox; see `propose`.

    An ask that cannot be put into words hides no other.
    """
    proposals: list[Proposal | Unspeakable] = []
    for asked in waiting:
        try:
            proposals.append(await propose(ledger, asked, now))
        except (ProposalError, VerificationError) as error:
            proposals.append(Unspeakable(asked, str(error)))
        except ClientError as error:
            if error.kind != ErrorKind.UNKNOWN_NAME:
                raise
            proposals.append(Unspeakable(asked, str(error)))
    return tuple(proposals)


def compose(
    asked: Asked,
    consumer_name: str,
    dataset: DatasetTerms,
    purpose: PurposeTerms,
    now: int,
    less: Less | None = None,
    *,
    on_own_node: bool = False,
) -> Proposal:
    """Make a proposal of what is known; pure but for the nonce. See `propose`."""
    ask, taken = asked.ask, less or Less()
    fields = ask.fields if taken.fields is None else taken.fields
    max_uses = ask.max_uses if taken.max_uses is None else taken.max_uses
    expires_at = ask.expires_at if taken.expires_at is None else taken.expires_at
    if fields & ~ask.fields or max_uses > ask.max_uses or expires_at > ask.expires_at:
        raise ProposalError("a person can grant less than is asked for, not more")
    terms = Terms(
        consumer=consumer_name,
        dataset=dataset.title,
        fields=field_names(dataset, fields),
        item=ask.item,
        case_number=ask.case_number,
        max_uses=max_uses,
        min_interval=ask.min_interval,
        not_before=ask.not_before,
        expires_at=expires_at,
        retention=purpose.retention,
    )
    statement = _statement(_templates(purpose), terms, ask.reference)
    authorization = Authorization(
        subject=asked.subject,
        consumer=ask.consumer,
        dataset=ask.dataset,
        item=ask.item,
        purpose=ask.purpose,
        fields=fields,
        case_reference=ask.case_reference,
        statement=statement.text,
        not_before=ask.not_before,
        expires_at=expires_at,
        max_uses=max_uses,
        min_interval=ask.min_interval,
        nonce=secrets.token_bytes(32),
        deadline=now + MAX_TIME_TO_RELAY,
    )
    _check_bounds(authorization, purpose, now)
    return Proposal(asked, consumer_name, dataset, purpose, statement, authorization, on_own_node)


def field_names(dataset: DatasetTerms, fields: int) -> tuple[str, ...]:
    """Return the names of some fields of a dataset.

    Raises:
        ProposalError: the bitmap names none, or one that the dataset does not have.
    """
    try:
        indices = Schema(bytes(32), dataset.fields).indices(fields)
    except LedgerError as error:
        raise ProposalError(str(error)) from error
    return tuple(dataset.fields[index] for index in indices)


def _templates(purpose: PurposeTerms) -> Templates:
    try:
        return select_templates((text.language, text.template) for text in purpose.texts)
    except LedgerError as error:
        raise ProposalError(f"the purpose {purpose.code} has no usable text: {error}") from error


def _statement(templates: Templates, terms: Terms, reference: str) -> Statement:
    try:
        return make_statement(templates, terms, reference)
    except LedgerError as error:
        raise ProposalError(f"the ask cannot be put into words: {error}") from error


def _check_bounds(record: Authorization, purpose: PurposeTerms, now: int) -> None:
    # 0 is "from the grant's block on".
    validity = record.expires_at - max(record.not_before, now)
    problem = None
    if record.expires_at <= now:
        problem = "it would be over already"
    elif record.not_before > now + LATEST_START:
        problem = "it would begin more than a day from now"
    elif not 0 < validity <= purpose.max_validity:
        problem = f"it would last {validity} s, the purpose allows {purpose.max_validity} s"
    elif not 0 < record.max_uses <= purpose.max_uses:
        problem = f"{record.max_uses} uses, the purpose allows {purpose.max_uses}"
    elif record.min_interval < purpose.min_interval:
        problem = (
            f"uses every {record.min_interval} s, the purpose asks for {purpose.min_interval} s"
        )
    if problem:
        raise ProposalError(f"the ask is outside the bounds of {purpose.code}: {problem}")
