"""What the routes of inbox, relays, subjects and regulator take and give, as JSON.

Bytes are 0x strings in lowercase, times seconds since 1970, sets of fields decimal strings. EIP-712
records are JSON objects as in `ledger.typed_data`.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from ledger.chain.transactions import MAX_RAW
from ledger.plain_text import MAX_MESSAGE, verify_optional_text
from ledger.typed_data import (
    Authorization,
    Confirmation,
    Freeze,
    GuardianAppointment,
    RecoveryVeto,
    Revocation,
    SignerRotation,
    SubjectLink,
    json_schema,
)

Hash = Annotated[str, Field(pattern="^0x[0-9a-f]{64}$")]
Address = Annotated[str, Field(pattern="^0x[0-9a-f]{40}$")]
Bytes = Annotated[str, Field(pattern="^0x([0-9a-f]{2})*$", max_length=20_000)]
SignedObject = dict[str, str | int | bool]
"""An EIP-712 record as a JSON object; `record_from_object` says what is wrong with it."""
AskId = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]


class Taken(BaseModel):
    """A body: unknown members are refused, and so is a number in quotes or a truth for a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Approval(Taken):
    """Who signs for a subject (ERC-7913 bytes), and the signature."""

    signer: Bytes
    signature: Bytes


# Relays


class AuthorizationToRelay(Taken):
    """A signed authorization with the link of its subject to the dataset."""

    authorization: Annotated[SignedObject, WithJsonSchema(json_schema(Authorization))]
    approval: Approval
    link: Annotated[SignedObject, WithJsonSchema(json_schema(SubjectLink))]
    link_signature: Bytes
    request: AskId | None = None


class RevocationToRelay(Taken):
    """A signed revocation."""

    revocation: Annotated[SignedObject, WithJsonSchema(json_schema(Revocation))]
    approval: Approval


class ConfirmationToRelay(Taken):
    """A signed confirmation by the new key."""

    confirmation: Annotated[SignedObject, WithJsonSchema(json_schema(Confirmation))]
    approval: Approval


class FreezeToRelay(Taken):
    """A signed freeze, or its end."""

    freeze: Annotated[SignedObject, WithJsonSchema(json_schema(Freeze))]
    approval: Approval


class RotationToRelay(Taken):
    """A signed change of the signer."""

    rotation: Annotated[SignedObject, WithJsonSchema(json_schema(SignerRotation))]
    approval: Approval


class VetoToRelay(Taken):
    """The old key's veto against a recovery."""

    veto: Annotated[SignedObject, WithJsonSchema(json_schema(RecoveryVeto))]
    approval: Approval


class GuardianToRelay(Taken):
    """A signed appointment or dismissal of a guardian."""

    appointment: Annotated[SignedObject, WithJsonSchema(json_schema(GuardianAppointment))]
    approval: Approval


class RawTransaction(Taken):
    """A transaction that a party signed."""

    raw: Annotated[str, Field(pattern="^0x([0-9a-f]{2})*$", max_length=2 + 2 * MAX_RAW)]


class RelayedAnswer(BaseModel):
    """Where it is on chain, in a final block."""

    transaction: Hash
    block_number: int
    block_hash: Hash
    id: Hash | None = None
    """Of the authorization that was granted, confirmed or revoked."""


class TransactionTerms(BaseModel):
    """What a party needs to sign its next transaction."""

    nonce: int
    chain_id: int
    gas_price: str
    """Wei, decimal."""
    max_gas: int


# Inbox


class HandleWanted(Taken):
    """For which subject."""

    subject: Hash


class HandleAnswer(BaseModel):
    """Shown once; only its hash is kept."""

    handle: Hash
    expires_at: int


class AskTaken(Taken):
    """An ask for the person that a handle leads to."""

    handle: Hash
    ask: dict[str, str | int]
    """See `gateway.consent.inbox.Ask`."""
    signature: Bytes | None = None
    """Not needed: the request itself is signed."""


class AskCreated(BaseModel):
    """Under which id to ask for the answer."""

    request: AskId


class AskAnswer(BaseModel):
    """How an ask stands; what comes with a grant is null before."""

    request: AskId
    state: str
    """pending, granted, refused or expired."""
    reason: str
    created_at: int
    expires_at: int
    subject: Hash | None = None
    authorization_id: Hash | None = None
    authorization: dict[str, Any] | None = None
    approval: dict[str, str] | None = None
    consumer_name: str | None = None
    """As of the grant's place on chain: what the statement says."""
    link: dict[str, Any] | None = None
    link_signature: str | None = None
    transaction: Hash | None = None


class InboxEntry(BaseModel):
    """An ask as the person sees it."""

    request: AskId
    subject: Hash
    consumer: Address
    consumer_name: str
    ask: dict[str, Any]
    created_at: int
    expires_at: int


class InboxAnswer(BaseModel):
    """What waits, the newest first."""

    requests: list[InboxEntry]


def _plain(text: str) -> str:
    return verify_optional_text("the reason", text, MAX_MESSAGE)


class RefusalTaken(Taken):
    """Why; shown to the consumer."""

    reason: Annotated[str, Field(max_length=MAX_MESSAGE), AfterValidator(_plain)] = ""


# Histories


ReleaseState = Literal["", "handed-out", "open", "never-handed-out"]
"""Of an allowed access, as far as this gateway's journal knows: handed out; not yet, and its release window
is open; never, and the window is over. Empty for a denied one."""


class AccessShown(BaseModel):
    """One access on chain, with names. What there is not is an empty string."""

    access: Hash
    """Id of the access: struct hash of its request."""
    sequence: int
    outcome: str
    """`Allowed`, or why not."""
    outcome_number: int
    release: ReleaseState
    voided: bool
    """Whether a regulator gave the use back."""
    at: int
    consumer: Address
    consumer_name: str
    basis: Hash
    kind: str
    """authorization, agreement, order, dataset or unknown."""
    dataset: str
    dataset_title: str
    subject: str
    item: str
    fields: str
    nonce: str
    deadline: int
    block_number: int
    block_hash: Hash
    transaction: Hash
    log_index: int


class EventShown(BaseModel):
    """One event that is not an access."""

    key: int
    name: str
    at: int
    block_number: int
    transaction: Hash
    log_index: int
    members: dict[str, Any]


class HistoryEntry(BaseModel):
    """One thing that happened around a subject. What does not apply is an empty string or zero."""

    kind: str
    """access, or the event's name: Granted, Revoked, SubjectFrozen..."""
    at: int
    block_number: int
    transaction: Hash
    subject: str = ""
    authorization: str = ""
    consumer: str = ""
    consumer_name: str = ""
    dataset: str = ""
    dataset_title: str = ""
    fields: str = ""
    outcome: str = ""
    sequence: int = 0
    """Number of the access, or of the one that was voided."""
    access: str = ""
    release: ReleaseState = ""
    voided: bool = False
    """Of an access: whether a regulator gave the use back (`AccessVoided` tells when)."""


class HistoryAnswer(BaseModel):
    """Newest first; `cursor` leads to the next page, null at the end."""

    entries: list[HistoryEntry]
    cursor: str | None


class AccessesAnswer(BaseModel):
    """Newest first; `cursor` leads to the next page, null at the end."""

    accesses: list[AccessShown]
    cursor: str | None


class AuthorizationShown(BaseModel):
    """An authorization with its state, and the signed record where this gateway relayed it."""

    id: Hash
    authorization: dict[str, Any] | None
    subject: Hash
    consumer: Address
    consumer_name: str
    dataset: Hash
    dataset_title: str
    item: str
    purpose: Hash
    purpose_code: str
    fields: str
    not_before: int
    expires_at: int
    max_uses: int
    min_interval: int
    uses: int
    last_use: int
    revoked: bool
    halted: bool
    at: int
    transaction: Hash


class AuthorizationsAnswer(BaseModel):
    """Newest first; `cursor` leads to the next page, null at the end."""

    authorizations: list[AuthorizationShown]
    elsewhere: list[AuthorizationShown]
    """Those whose signed record this gateway does not have."""
    cursor: str | None


class TraceAnswer(BaseModel):
    """Everything about one thing, newest first."""

    accesses: list[AccessShown]
    events: list[EventShown]
    authorizations: list[AuthorizationShown]
    next_access: int | None
    next_event: int | None


class RevocationShown(BaseModel):
    """Something that ends or halts a consumer's authorizations, or lets them go on."""

    key: int
    name: str
    """Revoked, Confirmed, SubjectFrozen, SubjectUnfrozen, SubjectClosed, SubjectOpened, RecoveryStarted,
    RecoveryVetoed or RecoveryCompleted."""
    authorization: str
    subject: str
    block_number: int
    at: int
    transaction: Hash


class RevocationsAnswer(BaseModel):
    """In the order of the chain; `block_number` is how far the index is, `next` the cursor."""

    revocations: list[RevocationShown]
    block_number: int
    next: int


class LogShown(BaseModel):
    """One log of a contract, as a node has it."""

    block_number: int
    block_hash: Hash
    at: int
    transaction: Hash
    log_index: int
    topics: list[Hash]
    data: str
    """0x string; its first word is the event's number."""


class RevocationLogs(BaseModel):
    """All logs of the contract `Authorizations` in some blocks, in order; the next ones begin after `last_block`."""

    logs: list[LogShown]
    first_block: int
    last_block: int


class ApplicationShown(BaseModel):
    """An application."""

    application: Hash
    consumer: Address
    consumer_name: str
    dataset: Hash
    purpose: Hash
    purpose_code: str
    fields: str
    justification: str
    state: str
    """pending, approved or declined."""
    decided: bool
    reason: str
    signed: bool
    at: int
    transaction: Hash


class ApplicationsAnswer(BaseModel):
    """Newest first."""

    applications: list[ApplicationShown]


class AlertShown(BaseModel):
    """What supervision found. Empty strings where it is not about a consumer or a dataset."""

    id: int
    rule: str
    severity: str
    """notice, warning or grave."""
    consumer: str
    consumer_name: str
    dataset: str
    first_sequence: int
    last_sequence: int
    text: str
    raised_at: int
    agreement: str
    """Which it would suspend; empty for what is an alert and nothing else."""
    suspended_until: int | None
    transaction: str
    """Of the suspension that it led to."""
    suspension_refused: str
    """Why it led to none and is not tried again; empty otherwise."""


class AlertsAnswer(BaseModel):
    """In order of raising."""

    alerts: list[AlertShown]
