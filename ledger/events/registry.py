"""Events of `Registry`: parties, restrictions, the authority. Source: contracts/interfaces/IRegistry.sol."""

from typing import Annotated, Final

from ledger.enumerations import Change
from ledger.events.abi import (
    INDEXED,
    Address,
    Bytes,
    IndexedAddress,
    NumberedEvent,
    String,
    Uint8,
    Uint64,
)

IndexedChange = Annotated[Change, "uint8", INDEXED]


class PartyAdmitted(NumberedEvent, frozen=True, gc=False):
    """A party is admitted with exactly these roles, or its roles and name change."""

    party: IndexedAddress
    roles: Uint8
    """`ledger.enumerations.Roles` as a number."""
    title: String
    """The party's name."""


class AdmissionAnnounced(NumberedEvent, frozen=True, gc=False):
    """A party is to be admitted with a role that a regulator may veto."""

    party: IndexedAddress
    roles: Uint8
    title: String
    effective_at: Uint64
    """Seconds since 1970."""


class AdmissionVetoed(NumberedEvent, frozen=True, gc=False):
    """A regulator stopped an announced admission."""

    party: IndexedAddress
    regulator: IndexedAddress
    reason: String


class AdmissionRetracted(NumberedEvent, frozen=True, gc=False):
    """The authority took an announced admission back."""

    party: IndexedAddress


class PartyWithdrawn(NumberedEvent, frozen=True, gc=False):
    """A party may do nothing any more; an admission that was announced for it ends too."""

    party: IndexedAddress


class ChangeAnnounced(NumberedEvent, frozen=True, gc=False):
    """A change of the registry is to come that a regulator may veto."""

    change: IndexedChange
    first: IndexedAddress
    second: IndexedAddress
    effective_at: Uint64
    """Seconds since 1970."""


class ChangeVetoed(NumberedEvent, frozen=True, gc=False):
    """A regulator stopped an announced change."""

    change: IndexedChange
    first: IndexedAddress
    second: IndexedAddress
    regulator: Address
    reason: String


class ChangeRetracted(NumberedEvent, frozen=True, gc=False):
    """The authority took an announced change back."""

    change: IndexedChange
    first: IndexedAddress
    second: IndexedAddress


class ChangeMade(NumberedEvent, frozen=True, gc=False):
    """A change took effect; the first ones at the deployment."""

    change: IndexedChange
    first: IndexedAddress
    second: IndexedAddress


class RecorderNamed(NumberedEvent, frozen=True, gc=False):
    """A consumer lets a recorder record its requests."""

    consumer: IndexedAddress
    recorder: IndexedAddress


class RecorderDismissed(NumberedEvent, frozen=True, gc=False):
    """A consumer takes that back."""

    consumer: IndexedAddress
    recorder: IndexedAddress


class EncryptionKeySet(NumberedEvent, frozen=True, gc=False):
    """A party names its HPKE public key: suite byte, then the key."""

    party: IndexedAddress
    key: Bytes


class ConsumerRestricted(NumberedEvent, frozen=True, gc=False):
    """A regulator denies a consumer's accesses until a time."""

    consumer: IndexedAddress
    regulator: IndexedAddress
    until: Uint64
    """Seconds since 1970, exclusive."""
    reason: String


class RestrictionAppealed(NumberedEvent, frozen=True, gc=False):
    """A restricted consumer appeals."""

    consumer: IndexedAddress
    statement: String


class RestrictionLifted(NumberedEvent, frozen=True, gc=False):
    """A regulator ends a restriction before its time."""

    consumer: IndexedAddress
    regulator: IndexedAddress
    reason: String


class ContractAnnounced(NumberedEvent, frozen=True, gc=False):
    """The authority announces where one of the system's contracts is."""

    deployed: IndexedAddress
    contract_name: String


EVENTS: Final[tuple[type[NumberedEvent], ...]] = (
    PartyAdmitted,
    AdmissionAnnounced,
    AdmissionVetoed,
    AdmissionRetracted,
    PartyWithdrawn,
    ChangeAnnounced,
    ChangeVetoed,
    ChangeRetracted,
    ChangeMade,
    RecorderNamed,
    RecorderDismissed,
    EncryptionKeySet,
    ConsumerRestricted,
    RestrictionAppealed,
    RestrictionLifted,
    ContractAnnounced,
)
