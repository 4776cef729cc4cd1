"""Events of `Authorizations`: subjects, keys, guardians, authorizations.

A subject's own signers are ERC-7913 bytes (`ledger.signing.parse_signer`); who signed something is there as
the Keccak-256 of such bytes.
Source: contracts/interfaces/ISubjects.sol and IAuthorizations.sol.
"""

from typing import Annotated, Final

import msgspec

from ledger.enumerations import VoidGround
from ledger.events.abi import (
    Address,
    Bytes,
    Bytes32,
    IndexedAddress,
    IndexedBytes32,
    IndexedUint256,
    NumberedEvent,
    String,
    Uint16,
    Uint24,
    Uint32,
    Uint64,
)

Ground = Annotated[VoidGround, "uint8"]


class SubjectRegistered(NumberedEvent, frozen=True, gc=False):
    """The identity authority registers a subject with its signer."""

    subject: IndexedBytes32
    subject_number: Uint32
    """From 1, without a gap."""
    registrar: Address
    """The identity authority."""
    signer: Bytes


class SubjectFrozen(NumberedEvent, frozen=True, gc=False):
    """Everything of a subject stops."""

    subject: IndexedBytes32
    signer_hash: Bytes32
    liftable_at: Uint64
    """When the current key may lift it, seconds since 1970."""


class SubjectUnfrozen(NumberedEvent, frozen=True, gc=False):
    """A subject's authorizations count again."""

    subject: IndexedBytes32
    signer_hash: Bytes32


class SignerRotated(NumberedEvent, frozen=True, gc=False):
    """A subject's signer names its successor; all guardians end."""

    subject: IndexedBytes32
    new_signer: Bytes
    stop_until: Uint64
    """Until when the replaced key may stop, seconds since 1970, exclusive."""


class GuardianAppointed(NumberedEvent, frozen=True, gc=False):
    """A guardian may sign for a subject until a time, or until all guardians end."""

    subject: IndexedBytes32
    guardian_hash: Bytes32
    expires_at: Uint64
    """Seconds since 1970, exclusive."""


class GuardianDismissed(NumberedEvent, frozen=True, gc=False):
    """A guardian may not consent any more, and stop for a while."""

    subject: IndexedBytes32
    guardian_hash: Bytes32
    stop_until: Uint64
    """Seconds since 1970, exclusive; zero for who was no guardian."""


class RecoveryStarted(NumberedEvent, frozen=True, gc=False):
    """The identity authority starts replacing a key; the subject is halted until it ends."""

    subject: IndexedBytes32
    new_signer: Bytes
    effective_at: Uint64
    """Seconds since 1970."""


class RecoveryVetoed(NumberedEvent, frozen=True, gc=False):
    """The present signer stopped a recovery."""

    subject: IndexedBytes32
    new_signer: Bytes


class RecoveryCompleted(NumberedEvent, frozen=True, gc=False):
    """The new signer counts; what the old one signed stays halted until confirmed; all guardians end."""

    subject: IndexedBytes32
    new_signer: Bytes
    epoch: Uint24
    stop_until: Uint64
    """Until when the replaced key may stop, seconds since 1970, exclusive."""


class SubjectClosed(NumberedEvent, frozen=True, gc=False):
    """The registrar closes a stolen id: no grant, no use, no recovery."""

    subject: IndexedBytes32


class SubjectOpened(NumberedEvent, frozen=True, gc=False):
    """Registrar and current key together open a closed id."""

    subject: IndexedBytes32


class LinksEnded(NumberedEvent, frozen=True, gc=False):
    """Links of an id that were issued up to now count no more."""

    subject: IndexedBytes32
    links_from: Uint64
    """The block's time."""


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


class Granted(NumberedEvent, frozen=True, gc=False):
    """A subject authorizes; the indexed attributes repeat the terms."""

    authorization: IndexedBytes32
    subject: IndexedBytes32
    consumer: IndexedAddress
    terms: Annotated[GrantTerms, GRANT_TERMS]
    agreement: Uint32
    """Number of the agreement behind it."""
    round: Uint16
    """The agreement's."""
    epoch: Uint24
    signer_hash: Bytes32


class Revoked(NumberedEvent, frozen=True, gc=False):
    """An authorization ends for good, or never begins: it may come before the grant.

    Of `subject` alone: of an authorization that is another subject's it says nothing.
    """

    authorization: IndexedBytes32
    subject: IndexedBytes32
    signer_hash: Bytes32


class Confirmed(NumberedEvent, frozen=True, gc=False):
    """An authorization that a replaced key signed counts again."""

    authorization: IndexedBytes32
    subject: IndexedBytes32
    epoch: Uint24
    signer_hash: Bytes32


class AccessVoided(NumberedEvent, frozen=True, gc=False):
    """A regulator gives a use back that was recorded and never served."""

    authorization: IndexedBytes32
    sequence: IndexedUint256
    """Of the access."""
    regulator: IndexedAddress
    last_use: Uint32
    """Of the authorization from now on; zero for never."""
    ground: Ground
    reason: String


EVENTS: Final[tuple[type[NumberedEvent], ...]] = (
    SubjectRegistered,
    SubjectFrozen,
    SubjectUnfrozen,
    SignerRotated,
    GuardianAppointed,
    GuardianDismissed,
    RecoveryStarted,
    RecoveryVetoed,
    RecoveryCompleted,
    SubjectClosed,
    SubjectOpened,
    LinksEnded,
    Granted,
    Revoked,
    Confirmed,
    AccessVoided,
)
