"""Events of `Agreements`: purposes, applications, agreements. Source: contracts/interfaces/IAgreements.sol."""

from typing import Annotated, Final

import msgspec

from ledger.events.abi import (
    Bytes32,
    IndexedAddress,
    IndexedBytes32,
    NumberedEvent,
    String,
    Uint16,
    Uint32,
    Uint64,
    Uint256,
)


class Text(msgspec.Struct, frozen=True, gc=False):
    """The sentence that a person signs, in one language."""

    language: str
    """BCP 47 tag ("zh", "en")."""
    template: str
    """With placeholders: `ledger.statement`."""


class PurposeTerms(msgspec.Struct, frozen=True, gc=False):
    """A purpose: fixed texts and the bounds that no authorization for it exceeds."""

    code: str
    texts: tuple[Text, ...]
    max_validity: int
    """Longest time from the later of `not_before` and the grant's block to `expires_at`, seconds."""
    max_uses: int
    min_interval: int
    """Least time between two uses that an authorization must ask for, seconds."""
    retention: int
    """How long the consumer may keep the data, seconds."""


class PurposeRegistered(NumberedEvent, frozen=True, gc=False):
    """The authority sets a purpose, for ever."""

    purpose: IndexedBytes32
    terms: Annotated[PurposeTerms, "(string,(string,string)[],uint64,uint32,uint32,uint64)"]


class PurposeFieldsBound(NumberedEvent, frozen=True, gc=False):
    """Which fields of a dataset a purpose may ever use; set once."""

    purpose: IndexedBytes32
    dataset: IndexedBytes32
    fields: Uint256


class PurposeRetired(NumberedEvent, frozen=True, gc=False):
    """Nothing new can name the purpose any more."""

    purpose: IndexedBytes32


class Applied(NumberedEvent, frozen=True, gc=False):
    """A consumer applies for fields of a dataset and a purpose."""

    application: IndexedBytes32
    consumer: IndexedAddress
    dataset: IndexedBytes32
    purpose: Bytes32
    fields: Uint256
    justification: String
    nonce: Bytes32


class ApplicationDeclined(NumberedEvent, frozen=True, gc=False):
    """The provider declines an application."""

    application: IndexedBytes32
    reason: String


class AgreementApproved(NumberedEvent, frozen=True, gc=False):
    """The provider approves an application, of all its fields or fewer."""

    agreement: IndexedBytes32
    application: IndexedBytes32
    agreement_number: Uint32
    """Short name of the agreement, from 1."""
    round: Uint16
    """Number of times that it was approved anew after a withdrawal."""
    fields: Uint256
    expires_at: Uint64
    """Seconds since 1970, exclusive."""


class ConfidentialitySigned(NumberedEvent, frozen=True, gc=False):
    """The consumer signed the confidentiality agreement of an application."""

    application: IndexedBytes32
    consumer: IndexedAddress
    text_hash: Bytes32
    """Keccak-256 of the text."""
    nonce: Bytes32


class AgreementWithdrawn(NumberedEvent, frozen=True, gc=False):
    """Provider or consumer ends an agreement."""

    agreement: IndexedBytes32
    by: IndexedAddress
    reason: String


class SupervisorAppointed(NumberedEvent, frozen=True, gc=False):
    """A regulator lets a machine suspend agreements."""

    supervisor: IndexedAddress
    regulator: IndexedAddress


class SupervisorDismissed(NumberedEvent, frozen=True, gc=False):
    """A regulator takes that back."""

    supervisor: IndexedAddress
    regulator: IndexedAddress


class AgreementSuspended(NumberedEvent, frozen=True, gc=False):
    """A supervisor suspends an agreement for half an hour."""

    agreement: IndexedBytes32
    supervisor: IndexedAddress
    until: Uint64
    """Seconds since 1970, exclusive."""
    reason: String


class SuspensionReviewed(NumberedEvent, frozen=True, gc=False):
    """A regulator looked at a suspension."""

    agreement: IndexedBytes32
    regulator: IndexedAddress
    until: Uint64
    """When it ends from now on, seconds since 1970, exclusive."""
    findings: String


EVENTS: Final[tuple[type[NumberedEvent], ...]] = (
    PurposeRegistered,
    PurposeFieldsBound,
    PurposeRetired,
    Applied,
    ApplicationDeclined,
    AgreementApproved,
    ConfidentialitySigned,
    AgreementWithdrawn,
    SupervisorAppointed,
    SupervisorDismissed,
    AgreementSuspended,
    SuspensionReviewed,
)
