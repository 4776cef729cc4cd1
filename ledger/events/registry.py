"""Events of `Registry`: parties, restrictions, the authority. Source: contracts/interfaces/IRegistry.sol."""

from typing import Final

from ledger.events.abi import Bytes, Event, IndexedAddress, String, Uint8, Uint64


class PartyAdmitted(Event, frozen=True, gc=False):
    """A party is admitted with exactly these roles, or its roles and name change."""

    party: IndexedAddress
    roles: Uint8
    """`ledger.enumerations.Roles` as a number."""
    title: String
    """The party's name."""


class PartyWithdrawn(Event, frozen=True, gc=False):
    """A party may do nothing any more."""

    party: IndexedAddress


class EncryptionKeySet(Event, frozen=True, gc=False):
    """A party names its HPKE public key: suite byte, then the key."""

    party: IndexedAddress
    key: Bytes


class ConsumerRestricted(Event, frozen=True, gc=False):
    """A regulator denies a consumer's accesses until a time."""

    consumer: IndexedAddress
    regulator: IndexedAddress
    until: Uint64
    """Seconds since 1970, exclusive."""
    reason: String


class RestrictionAppealed(Event, frozen=True, gc=False):
    """A restricted consumer appeals."""

    consumer: IndexedAddress
    statement: String


class RestrictionLifted(Event, frozen=True, gc=False):
    """A regulator ends a restriction before its time."""

    consumer: IndexedAddress
    regulator: IndexedAddress
    reason: String


class ContractAnnounced(Event, frozen=True, gc=False):
    """The authority announces where one of the system's contracts is."""

    contract_name: String
    deployed: IndexedAddress


class OwnershipTransferStarted(Event, frozen=True, gc=False):
    """The authority offers its place to another account."""

    previous_owner: IndexedAddress
    new_owner: IndexedAddress


class OwnershipTransferred(Event, frozen=True, gc=False):
    """The authority is another account from now on; at the deployment the previous one is zero."""

    previous_owner: IndexedAddress
    new_owner: IndexedAddress


EVENTS: Final[tuple[type[Event], ...]] = (
    PartyAdmitted,
    PartyWithdrawn,
    EncryptionKeySet,
    ConsumerRestricted,
    RestrictionAppealed,
    RestrictionLifted,
    ContractAnnounced,
    OwnershipTransferStarted,
    OwnershipTransferred,
)
