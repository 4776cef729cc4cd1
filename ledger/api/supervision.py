"""People, consumers, providers, regulators and gateway: what happened, what is granted, what was noticed."""

from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import Base64Bytes, model_validator

from ledger.api.forms import Address, Bitmap, Body, Hash, OptionalBitmap, Text20, Text32

ReleaseState = Literal["", "handed-out", "open", "never-handed-out"]
"""Of an allowed access, as far as this gateway's journal knows: handed out; not yet, and its release window
is open; never, and the window is over. Empty for a denied one."""


@dataclass(frozen=True, slots=True)
class AccessShown:
    """One access on chain, with names. What there is not is an empty string."""

    access: Text32
    """Id of the access: struct hash of its request."""
    sequence: int
    outcome: str
    """`Allowed`, or why not."""
    outcome_number: int
    release: ReleaseState
    voided: bool
    """Whether a regulator gave the use back."""
    at: int
    consumer: Text20
    consumer_name: str
    basis: Text32
    kind: str
    """authorization, agreement, order, dataset or unknown."""
    dataset: str
    dataset_title: str
    subject: str
    item: str
    fields: Bitmap
    nonce: str
    deadline: int
    block_number: int
    block_hash: Text32
    transaction: Text32
    log_index: int


@dataclass(frozen=True, slots=True)
class EventShown:
    """One event that is not an access."""

    key: int
    name: str
    at: int
    block_number: int
    transaction: Text32
    log_index: int
    members: dict[str, Any]


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One thing that happened around a subject. What does not apply is an empty string or zero."""

    kind: str
    """access, or the event's name: Granted, Revoked, SubjectFrozen..."""
    at: int
    block_number: int
    transaction: Text32
    subject: str = ""
    authorization: str = ""
    consumer: str = ""
    consumer_name: str = ""
    dataset: str = ""
    dataset_title: str = ""
    fields: OptionalBitmap = ""
    outcome: str = ""
    sequence: int = 0
    """Number of the access, or of the one that was voided."""
    access: str = ""
    release: ReleaseState = ""
    voided: bool = False
    """Of an access: whether a regulator gave the use back (`AccessVoided` tells when)."""


@dataclass(frozen=True, slots=True)
class HistoryAnswer:
    """Newest first; `cursor` leads to the next page, null at the end."""

    entries: tuple[HistoryEntry, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class AccessesAnswer:
    """Newest first; `cursor` leads to the next page, null at the end."""

    accesses: tuple[AccessShown, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class AuthorizationShown:
    """An authorization with its state, and the signed record where this gateway relayed it."""

    id: Text32
    authorization: dict[str, Any] | None
    subject: Text32
    consumer: Text20
    consumer_name: str
    dataset: Text32
    dataset_title: str
    item: str
    purpose: Text32
    purpose_code: str
    fields: Bitmap
    not_before: int
    expires_at: int
    max_uses: int
    min_interval: int
    uses: int
    last_use: int
    revoked: bool
    halted: bool
    at: int
    transaction: Text32


@dataclass(frozen=True, slots=True)
class AuthorizationsAnswer:
    """Newest first; `cursor` leads to the next page, null at the end."""

    authorizations: tuple[AuthorizationShown, ...]
    elsewhere: tuple[AuthorizationShown, ...]
    """Those whose signed record this gateway does not have."""
    cursor: str | None


@dataclass(frozen=True, slots=True)
class TraceAnswer:
    """Everything about one thing, newest first."""

    accesses: tuple[AccessShown, ...]
    events: tuple[EventShown, ...]
    authorizations: tuple[AuthorizationShown, ...]
    next_access: int | None
    next_event: int | None


@dataclass(frozen=True, slots=True)
class RevocationShown:
    """Something that ends or halts a consumer's authorizations, or lets them go on."""

    key: int
    name: str
    """Revoked, Confirmed, SubjectFrozen, SubjectUnfrozen, SubjectClosed, SubjectOpened, RecoveryStarted,
    RecoveryVetoed or RecoveryCompleted."""
    authorization: str
    subject: str
    block_number: int
    at: int
    transaction: Text32


@dataclass(frozen=True, slots=True)
class RevocationsAnswer:
    """In the order of the chain; `block_number` is how far the index is, `next` the cursor."""

    revocations: tuple[RevocationShown, ...]
    block_number: int
    next: int


@dataclass(frozen=True, slots=True)
class LogShown:
    """One log of a contract, as a node has it."""

    block_number: int
    block_hash: Text32
    at: int
    transaction: Text32
    log_index: int
    topics: tuple[Text32, ...]
    data: str
    """0x string; its first word is the event's number."""


@dataclass(frozen=True, slots=True)
class RevocationLogs:
    """All logs of the contract `Authorizations` in some blocks, in order; the next ones begin after `last_block`."""

    logs: tuple[LogShown, ...]
    first_block: int
    last_block: int


@dataclass(frozen=True, slots=True)
class ApplicationShown:
    """An application."""

    application: Text32
    consumer: Text20
    consumer_name: str
    dataset: Text32
    purpose: Text32
    purpose_code: str
    fields: Bitmap
    justification: str
    state: str
    """pending, approved or declined."""
    decided: bool
    reason: str
    signed: bool
    at: int
    transaction: Text32


@dataclass(frozen=True, slots=True)
class ApplicationsAnswer:
    """Newest first."""

    applications: tuple[ApplicationShown, ...]


@dataclass(frozen=True, slots=True)
class AlertShown:
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


@dataclass(frozen=True, slots=True)
class AlertsAnswer:
    """In order of raising."""

    alerts: tuple[AlertShown, ...]


class KeyholderReportTaken(Body):
    """Either whose parts were wrong, by the consumer's word, or what shows it."""

    access: Hash
    """Id of the consumer's access."""
    keyholder: Address | None = None
    """Its address."""
    proof: Base64Bytes | None = None
    """Wrong parts (docs/spec/custody.md); base64."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.keyholder is None) == (self.proof is None):
            raise ValueError("either keyholder or proof")
        return self


@dataclass(frozen=True, slots=True)
class KeyholderReportShown:
    """A report."""

    keyholder: str
    consumer: str
    access: str
    proof: str
    """Base64; empty for a word."""
    reported_at: int


@dataclass(frozen=True, slots=True)
class KeyholderReportsAnswer:
    """All reports."""

    reports: tuple[KeyholderReportShown, ...]
