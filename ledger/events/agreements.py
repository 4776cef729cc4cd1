"""Events of `Agreements`: purposes, applications, agreements. Source: contracts/interfaces/IAgreements.sol."""

from typing import Annotated, Final

import msgspec

from ledger.events.abi import (
    Bytes32,
    Event,
    IndexedAddress,
    IndexedBytes32,
    String,
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
    """Longest time from `not_before` to `expires_at`, seconds."""
    max_uses: int
    min_interval: int
    """Least time between two uses that an authorization must ask for, seconds."""
    retention: int
    """How long the consumer may keep the data, seconds."""


class PurposeRegistered(Event, frozen=True, gc=False):
    """The authority sets a purpose, for ever."""

    purpose: IndexedBytes32
    terms: Annotated[PurposeTerms, "(string,(string,string)[],uint64,uint32,uint32,uint64)"]


class PurposeFieldsBound(Event, frozen=True, gc=False):
    """Which fields of a dataset a purpose may ever use; set once."""

    purpose: IndexedBytes32
    dataset: IndexedBytes32
    fields: Uint256


class PurposeRetired(Event, frozen=True, gc=False):
    """Nothing new can name the purpose any more."""

    purpose: IndexedBytes32


class Applied(Event, frozen=True, gc=False):
    """A consumer applies for fields of a dataset and a purpose."""

    application: IndexedBytes32
    consumer: IndexedAddress
    dataset: IndexedBytes32
    purpose: Bytes32
    fields: Uint256
    justification: String
    nonce: Bytes32


class ApplicationDeclined(Event, frozen=True, gc=False):
    """The provider declines an application."""

    application: IndexedBytes32
    reason: String


class AgreementApproved(Event, frozen=True, gc=False):
    """The provider approves an application, of all its fields or fewer."""

    agreement: IndexedBytes32
    application: IndexedBytes32
    number: Uint32
    """Short name of the agreement, from 1."""
    fields: Uint256
    expires_at: Uint64
    """Seconds since 1970, exclusive."""


class ConfidentialitySigned(Event, frozen=True, gc=False):
    """The consumer signed the confidentiality agreement of an application."""

    application: IndexedBytes32
    consumer: IndexedAddress
    text_hash: Bytes32
    """Keccak-256 of the text."""
    nonce: Bytes32


class AgreementWithdrawn(Event, frozen=True, gc=False):
    """Provider or consumer ends an agreement."""

    agreement: IndexedBytes32
    by: IndexedAddress
    reason: String


EVENTS: Final[tuple[type[Event], ...]] = (
    PurposeRegistered,
    PurposeFieldsBound,
    PurposeRetired,
    Applied,
    ApplicationDeclined,
    AgreementApproved,
    ConfidentialitySigned,
    AgreementWithdrawn,
)
