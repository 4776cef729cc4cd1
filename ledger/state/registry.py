"""What the events of `Registry` do to the state. Source: contracts/Registry.sol."""

from ledger.entities import Party, State
from ledger.enumerations import ALL_ROLES, Roles
from ledger.events.abi import Event
from ledger.events.registry import (
    ConsumerRestricted,
    ContractAnnounced,
    EncryptionKeySet,
    OwnershipTransferred,
    OwnershipTransferStarted,
    PartyAdmitted,
    PartyWithdrawn,
    RestrictionAppealed,
    RestrictionLifted,
)
from ledger.policy import has_role
from ledger.state.errors import ImpossibleEventError, require

_NOBODY = bytes(20)


def party_admitted(state: State, event: PartyAdmitted) -> None:
    """Admit a party, or change its roles and name; a restriction stays."""
    require(event.roles and not event.roles & ~ALL_ROLES, event, "no roles, or unknown ones")
    require(event.title, event, "no name")
    party = state.parties.get(event.party)
    if party is None:
        state.parties[event.party] = Party(event.title, event.roles)
    else:
        party.name, party.roles, party.active = event.title, event.roles, True


def party_withdrawn(state: State, event: PartyWithdrawn) -> None:
    """Withdraw a party."""
    _admitted(state, event, event.party).active = False


def encryption_key_set(state: State, event: EncryptionKeySet) -> None:
    """Set a party's encryption key."""
    party = _admitted(state, event, event.party)
    require(len(event.key) > 1, event, "no key")
    party.encryption_key = event.key


def consumer_restricted(state: State, event: ConsumerRestricted) -> None:
    """Restrict a consumer."""
    _require_regulator(state, event, event.regulator)
    party = state.parties.get(event.consumer)
    if party is None or not party.roles & Roles.CONSUMER:
        raise ImpossibleEventError(event, "not a consumer")
    require(event.until > event.block.timestamp, event, "ends before it starts")
    require(event.reason, event, "no reason")
    party.restricted_until = event.until


def restriction_appealed(state: State, event: RestrictionAppealed) -> None:
    """Check that there is something to appeal against."""
    _restricted(state, event, event.consumer)
    require(event.statement, event, "no statement")


def restriction_lifted(state: State, event: RestrictionLifted) -> None:
    """End a restriction."""
    _require_regulator(state, event, event.regulator)
    party = _restricted(state, event, event.consumer)
    require(event.reason, event, "no reason")
    party.restricted_until = 0


def contract_announced(state: State, event: ContractAnnounced) -> None:
    """Remember where a contract is."""
    require(event.contract_name, event, "no name")
    state.announced[event.contract_name] = event.deployed


def ownership_transfer_started(state: State, event: OwnershipTransferStarted) -> None:
    """Offer the authority to a successor."""
    require(event.previous_owner == state.authority, event, "not the authority's")
    state.successor = event.new_owner


def ownership_transferred(state: State, event: OwnershipTransferred) -> None:
    """Hand the authority over; the first time at the deployment."""
    if state.authority is None:
        require(event.previous_owner == _NOBODY, event, "the registry's deployment is missing")
    else:
        require(event.previous_owner == state.authority, event, "not the authority's")
        require(event.new_owner == state.successor, event, "nobody offered it")
    state.authority, state.successor = event.new_owner, None


def _admitted(state: State, event: Event, address: bytes) -> Party:
    party = state.parties.get(address)
    if party is None or not party.active:
        raise ImpossibleEventError(event, "the party is not admitted")
    return party


def _restricted(state: State, event: Event, consumer: bytes) -> Party:
    party = state.parties.get(consumer)
    if party is None or party.restricted_until <= event.block.timestamp:
        raise ImpossibleEventError(event, "the consumer is not restricted")
    return party


def _require_regulator(state: State, event: Event, regulator: bytes) -> None:
    holds = has_role(state.parties.get(regulator), Roles.REGULATOR)
    require(holds, event, "not by an active regulator")
