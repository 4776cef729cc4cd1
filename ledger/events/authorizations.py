"""Events of `Authorizations`: subjects, keys, guardians, authorizations.

Signers are ERC-7913 bytes (`ledger.signing.parse_signer`).
Source: contracts/interfaces/ISubjects.sol and IAuthorizations.sol.
"""

from typing import Annotated, Final

import msgspec

from ledger.events.abi import (
    Bytes,
    Event,
    IndexedAddress,
    IndexedBytes32,
    Uint24,
    Uint32,
    Uint64,
)


class SubjectRegistered(Event, frozen=True, gc=False):
    """The identity authority registers a subject with its signer."""

    subject: IndexedBytes32
    number: Uint32
    """From 1, without a gap."""
    signer: Bytes


class SubjectFrozen(Event, frozen=True, gc=False):
    """Everything of a subject stops; `signer` asked for it."""

    subject: IndexedBytes32
    signer: Bytes


class SubjectUnfrozen(Event, frozen=True, gc=False):
    """A subject's authorizations count again; `signer` asked for it."""

    subject: IndexedBytes32
    signer: Bytes


class SignerRotated(Event, frozen=True, gc=False):
    """A subject's signer names its successor."""

    subject: IndexedBytes32
    old_signer: Bytes
    new_signer: Bytes


class GuardianAppointed(Event, frozen=True, gc=False):
    """A guardian may sign for a subject until a time, or until a recovery."""

    subject: IndexedBytes32
    guardian: Bytes
    expires_at: Uint64
    """Seconds since 1970, exclusive."""
    epoch: Uint24


class GuardianDismissed(Event, frozen=True, gc=False):
    """A guardian may not sign any more."""

    subject: IndexedBytes32
    guardian: Bytes


class RecoveryStarted(Event, frozen=True, gc=False):
    """The identity authority starts replacing a key; the subject is halted until it ends."""

    subject: IndexedBytes32
    new_signer: Bytes
    effective_at: Uint64
    """Seconds since 1970."""


class RecoveryVetoed(Event, frozen=True, gc=False):
    """The present signer stopped a recovery."""

    subject: IndexedBytes32
    new_signer: Bytes


class RecoveryCompleted(Event, frozen=True, gc=False):
    """The new signer counts; what the old one signed stays halted until confirmed."""

    subject: IndexedBytes32
    old_signer: Bytes
    new_signer: Bytes
    epoch: Uint24


GRANT_TERMS: Final = (
    "(bytes32,address,bytes32,bytes32,bytes32,uint256,bytes32,bytes32,"
    "uint64,uint64,uint32,uint32,bytes32,uint64)"
)


class GrantTerms(msgspec.Struct, frozen=True, gc=False):
    """An authorization as the chain sees it: the statement is there as its hash."""

    subject: bytes
    consumer: bytes
    dataset: bytes
    item: bytes
    """Root of the one record that may be read; zero for all."""
    purpose: bytes
    fields: int
    case_reference: bytes
    statement_hash: bytes
    """Keccak-256 of the statement."""
    not_before: int
    """Seconds since 1970, inclusive."""
    expires_at: int
    """Seconds since 1970, exclusive."""
    max_uses: int
    min_interval: int
    """Seconds."""
    nonce: bytes
    deadline: int
    """Seconds since 1970, inclusive."""


class Granted(Event, frozen=True, gc=False):
    """A subject authorizes; the indexed attributes repeat the terms."""

    authorization: IndexedBytes32
    subject: IndexedBytes32
    consumer: IndexedAddress
    terms: Annotated[GrantTerms, GRANT_TERMS]
    agreement: Uint32
    """Number of the agreement behind it."""
    epoch: Uint24
    signer: Bytes


class Revoked(Event, frozen=True, gc=False):
    """An authorization ends for good."""

    authorization: IndexedBytes32
    subject: IndexedBytes32
    signer: Bytes


class Confirmed(Event, frozen=True, gc=False):
    """An authorization that a replaced key signed counts again."""

    authorization: IndexedBytes32
    subject: IndexedBytes32
    epoch: Uint24
    signer: Bytes


EVENTS: Final[tuple[type[Event], ...]] = (
    SubjectRegistered,
    SubjectFrozen,
    SubjectUnfrozen,
    SignerRotated,
    GuardianAppointed,
    GuardianDismissed,
    RecoveryStarted,
    RecoveryVetoed,
    RecoveryCompleted,
    Granted,
    Revoked,
    Confirmed,
)
