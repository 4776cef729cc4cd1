"""What the events of `Registry` do to the state. Source: contracts/Registry.sol."""

from ledger.chain.events import (
    AdmissionAnnounced,
    AdmissionRetracted,
    AdmissionVetoed,
    ChangeAnnounced,
    ChangeMade,
    ChangeRetracted,
    ChangeVetoed,
    ConsumerRestricted,
    ContractAnnounced,
    EncryptionKeySet,
    Event,
    PartyAdmitted,
    PartyWithdrawn,
    RecorderDismissed,
    RecorderNamed,
    RestrictionAppealed,
    RestrictionLifted,
)
from ledger.model import ALL_ROLES, ZERO_ADDRESS, Admission, Change, Party, Roles, State, has_role
from ledger.policy import is_pending
from ledger.state.errors import ImpossibleEventError, require, require_role

_ANNOUNCED_ROLES = int(Roles.REGULATOR | Roles.IDENTITY_AUTHORITY)
_REGULATOR = int(Roles.REGULATOR)
_LONGEST_RESTRICTION = 5 * 365 * 86_400
_ESCAPE = "\\"


def party_admitted(state: State, event: PartyAdmitted) -> None:
    """A party that is admitted again changes roles and name; a restriction stays."""
    roles, now = event.roles, event.block.timestamp
    _require_roles(state, event, event.party, roles)
    _require_name(state, event, event.party, event.title)
    _require_other_regulator(state, event, event.party, roles)
    before, party = _roles_now(state, event.party), state.parties.get(event.party)
    pending = state.admissions.get(event.party)
    if pending is not None and is_pending(pending.effective_at, state.delays.admission, now):
        announced = (pending.roles, pending.name) == (roles, event.title)
        require(announced and pending.effective_at <= now, event, "not as announced, or not due")
    elif roles & ~before & _ANNOUNCED_ROLES and event.transaction != state.founding:
        require(not state.delays.admission, event, "it was not announced")
    if before & ~roles & _REGULATOR:
        _keep_veto(state, event.party, now)
    state.admissions.pop(event.party, None)
    state.names.setdefault(event.title, event.party)
    if party is None:
        state.parties[event.party] = Party(event.title, roles)
    else:
        party.name, party.roles, party.active = event.title, roles, True


def admission_announced(state: State, event: AdmissionAnnounced) -> None:
    """It replaces one that lapsed."""
    _require_roles(state, event, event.party, event.roles)
    _require_name(state, event, event.party, event.title)
    new = event.roles & ~_roles_now(state, event.party) & _ANNOUNCED_ROLES
    waits = event.effective_at > event.block.timestamp
    require(new and waits, event, "nothing of it needs to be announced")
    before = state.admissions.get(event.party)
    _require_not_pending(state, event, before.effective_at if before else 0)
    _require_delay(state, event, event.effective_at - event.block.timestamp)
    state.names.setdefault(event.title, event.party)
    state.admissions[event.party] = Admission(event.roles, event.title, event.effective_at)


def admission_vetoed(state: State, event: AdmissionVetoed) -> None:
    _require_veto(state, event, event.regulator, event.reason)
    pending = state.admissions.get(event.party)
    if pending is None or pending.effective_at <= event.block.timestamp:
        raise ImpossibleEventError(event, "nothing is announced, or it is due")
    del state.admissions[event.party]


def admission_retracted(state: State, event: AdmissionRetracted) -> None:
    pending = state.admissions.get(event.party)
    _require_pending(state, event, pending.effective_at if pending else 0)
    del state.admissions[event.party]


def party_withdrawn(state: State, event: PartyWithdrawn) -> None:
    party = _admitted(state, event, event.party)
    _require_other_regulator(state, event, event.party, 0)
    if party.roles & _REGULATOR:
        _keep_veto(state, event.party, event.block.timestamp)
    state.admissions.pop(event.party, None)
    party.active = False


def change_announced(state: State, event: ChangeAnnounced) -> None:
    """It replaces the same one if that lapsed."""
    _require_change(state, event)
    _require_not_pending(state, event, state.changes.get(_change(event), 0))
    _require_delay(state, event, event.effective_at - event.block.timestamp)
    state.changes[_change(event)] = event.effective_at


def change_vetoed(state: State, event: ChangeVetoed) -> None:
    _require_veto(state, event, event.regulator, event.reason)
    due = state.changes.get(_change(event))
    require(due is not None and due > event.block.timestamp, event, "not announced, or due")
    del state.changes[_change(event)]


def change_retracted(state: State, event: ChangeRetracted) -> None:
    require(event.change is not Change.AUTHORITY, event, "a hand-over stands")
    _require_pending(state, event, state.changes.get(_change(event), 0))
    del state.changes[_change(event)]


def change_made(state: State, event: ChangeMade) -> None:
    """A change of the deployment, or one that was announced and is due."""
    if not state.founding:
        require(event.change is Change.AUTHORITY, event, "the registry's deployment is missing")
        state.founding = event.transaction
    elif event.transaction != state.founding:
        due = state.changes.get(_change(event), 0)
        _require_pending(state, event, due)
        require(due <= event.block.timestamp, event, "not due")
        _require_change(state, event)
        del state.changes[_change(event)]
    if event.change is Change.AUTHORITY:
        state.authority = event.first
        # What one authority announced, its successor did not.
        state.admissions.clear()
        state.changes.clear()
    elif event.change is Change.VERIFIER:
        state.verifiers.add(event.first)
    else:
        state.successors[event.first] = event.second


def recorder_named(state: State, event: RecorderNamed) -> None:
    party = _admitted(state, event, event.consumer)
    fresh = event.recorder != ZERO_ADDRESS and event.recorder not in party.recorders
    require(fresh, event, "nobody, or named before")
    party.recorders.add(event.recorder)


def recorder_dismissed(state: State, event: RecorderDismissed) -> None:
    party = state.parties.get(event.consumer)
    if party is None or event.recorder not in party.recorders:
        raise ImpossibleEventError(event, "the recorder is not named")
    party.recorders.discard(event.recorder)


def encryption_key_set(state: State, event: EncryptionKeySet) -> None:
    party = _admitted(state, event, event.party)
    require(len(event.key) > 1, event, "no key")
    party.encryption_key = event.key


def consumer_restricted(state: State, event: ConsumerRestricted) -> None:
    require_role(state, event, event.regulator, Roles.REGULATOR)
    party = state.parties.get(event.consumer)
    if party is None or not party.roles & Roles.CONSUMER:
        raise ImpossibleEventError(event, "not a consumer")
    length = event.until - event.block.timestamp
    require(0 < length <= _LONGEST_RESTRICTION, event, "ends before it starts, or too late")
    require(event.reason, event, "no reason")
    party.restricted_until = event.until


def restriction_appealed(state: State, event: RestrictionAppealed) -> None:
    _restricted(state, event, event.consumer)
    require(event.statement, event, "no statement")


def restriction_lifted(state: State, event: RestrictionLifted) -> None:
    require_role(state, event, event.regulator, Roles.REGULATOR)
    party = _restricted(state, event, event.consumer)
    require(event.reason, event, "no reason")
    party.restricted_until = 0


def contract_announced(state: State, event: ContractAnnounced) -> None:
    require(event.contract_name, event, "no name")
    state.announced[event.contract_name] = event.deployed


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


def _require_veto(state: State, event: Event, regulator: bytes, reason: str) -> None:
    active = has_role(state.parties.get(regulator), Roles.REGULATOR)
    held = state.veto_until.get(regulator, 0) > event.block.timestamp
    require(active or held, event, "not by a regulator, nor by one withdrawn lately")
    require(reason, event, "no reason")


def _require_roles(state: State, event: Event, party: bytes, roles: int) -> None:
    require(roles and not roles & ~ALL_ROLES, event, "no roles, or unknown ones")
    alone = roles == _REGULATOR and party != state.authority
    require(not roles & _REGULATOR or alone, event, "a regulator that is not independent")
    apart = not roles & Roles.IDENTITY_AUTHORITY or not roles & (Roles.PROVIDER | Roles.CONSUMER)
    require(apart, event, "an identity authority that is not independent")


def _require_name(state: State, event: Event, party: bytes, name: str) -> None:
    require(name, event, "no name")
    # Text that was escaped when it was read may look like another one.
    taken = _ESCAPE not in name and state.names.get(name, party) != party
    require(not taken, event, "another party's name")


def _require_delay(state: State, event: Event, delay: int) -> None:
    require(delay == state.delays.admission, event, "another delay")


def _require_pending(state: State, event: Event, effective_at: int) -> None:
    pending = is_pending(effective_at, state.delays.admission, event.block.timestamp)
    require(pending, event, "not announced, or lapsed")


def _require_not_pending(state: State, event: Event, effective_at: int) -> None:
    pending = is_pending(effective_at, state.delays.admission, event.block.timestamp)
    require(not pending, event, "announced before")


def _require_other_regulator(state: State, event: Event, party: bytes, roles: int) -> None:
    """Check that another regulator stays when a party is left with these roles."""
    if not _roles_now(state, party) & ~roles & _REGULATOR:
        return
    others = (each for each in state.parties if each != party)
    stays = any(_roles_now(state, each) & _REGULATOR for each in others)
    require(stays, event, "the last regulator")


def _keep_veto(state: State, regulator: bytes, now: int) -> None:
    """Let a regulator who is none any more veto for a while."""
    state.veto_until[regulator] = now + state.delays.admission


def _require_change(state: State, event: ChangeAnnounced | ChangeMade) -> None:
    """Check who a change is about; that a verifier has code is not in any event."""
    first = state.parties.get(event.first)
    if event.change is Change.SUCCESSOR:
        registrar = first is not None and first.roles & Roles.IDENTITY_AUTHORITY
        successor = has_role(state.parties.get(event.second), Roles.IDENTITY_AUTHORITY)
        require(registrar and successor, event, "not of an identity authority, or to none")
        return
    require(event.second == ZERO_ADDRESS, event, "it is about one address")
    if event.change is Change.AUTHORITY:
        independent = first is None or not first.roles & _REGULATOR
        other = event.first not in (ZERO_ADDRESS, state.authority)
        require(other and independent, event, "nobody, the same, or a regulator")


def _change(
    event: ChangeAnnounced | ChangeVetoed | ChangeRetracted | ChangeMade,
) -> tuple[Change, bytes, bytes]:
    return event.change, event.first, event.second


def _roles_now(state: State, party: bytes) -> int:
    known = state.parties.get(party)
    return known.roles if known is not None and known.active else 0
