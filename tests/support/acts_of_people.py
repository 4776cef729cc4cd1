"""What is done by people and for them: the acts of `Authorizations`. See `tests.support.world`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from ledger.chain import contract_calls
from ledger.chain.events import (
    AccessVoided,
    Block,
    Confirmed,
    Event,
    Granted,
    GrantTerms,
    GuardianAppointed,
    GuardianDismissed,
    LinksEnded,
    RecoveryCompleted,
    RecoveryStarted,
    RecoveryVetoed,
    Revoked,
    SignerRotated,
    SubjectClosed,
    SubjectFrozen,
    SubjectOpened,
    SubjectRegistered,
    SubjectUnfrozen,
)
from ledger.chain.events.identifiers import agreement_id
from ledger.crypto import signatures
from ledger.crypto.statement import Names, StatementError, format_reference
from ledger.hexstr import keccak256
from ledger.model import ZERO_WORD, Roles, State, Subject, VoidGround, has_role
from ledger.model import Authorization as Kept
from ledger.plain_text import PlainTextError
from ledger.policy import (
    guardian_stop_until,
    is_registrar_active,
    is_subject_halted,
    liftable_after,
)
from ledger.typed_data import (
    Authorization,
    Confirmation,
    Freeze,
    GuardianAppointment,
    RecoveryVeto,
    Revocation,
    SignerRotation,
    SubjectOpening,
    struct_hash,
)
from scripts.statements import stated
from tests.support.world import (
    ITEMS,
    STRANGER,
    TEXTS,
    Attempt,
    Events,
    Hidden,
    World,
    approval,
    pick,
    remember,
)

DAY: Final = 86_400
KEYS: Final = tuple(keccak256(bytes([number])) for number in range(6))
SIGNERS: Final = tuple(map(signatures.address_of, KEYS))
HASHES: Final = tuple(map(keccak256, SIGNERS))
SHORT: Final = b"\x01" * 19
SUBJECTS: Final = (ZERO_WORD, *(bytes([number]) * 32 for number in (0x51, 0x52, 0x53)))

Signed = (
    Authorization
    | Revocation
    | Confirmation
    | Freeze
    | SignerRotation
    | RecoveryVeto
    | GuardianAppointment
    | SubjectOpening
)


def shaped(index: int) -> bytes:
    """A signer to put in place; the last one is too short."""
    return (*SIGNERS, SHORT)[index % (len(SIGNERS) + 1)]


def signer_for(world: World, subject: bytes, index: int) -> int:
    """Index of who signs: the subject's signer for zero, else somebody."""
    found = world.state.subjects.get(subject)
    if index == 0 and found is not None and found.signer in SIGNERS:
        return SIGNERS.index(found.signer)
    return index % len(SIGNERS)


def signed(
    world: World,
    record: Signed,
    index: int,
    *,
    forged: bool,
    once: bool,
    events: Events,
    hide_deadline: bool = True,
) -> Attempt:
    key = STRANGER.private_key if forged else KEYS[index]
    call = _call(record, approval(world, record, SIGNERS[index], key))
    digest = world.digest(record)

    def hidden(_state: State, now: int) -> bool:
        late = hide_deadline and record.deadline < now
        return forged or late or (once and digest in world.used)

    return Attempt(STRANGER.address, call, events, hidden, digest if once else b"")


def _call(record: Signed, by: contract_calls.Approval) -> contract_calls.ContractCall:
    match record:
        case Authorization():
            return contract_calls.grant(record, by)
        case Revocation():
            return contract_calls.revoke(record, by)
        case Confirmation():
            return contract_calls.confirm(record, by)
        case Freeze():
            return contract_calls.set_frozen(record, by)
        case SignerRotation():
            return contract_calls.rotate_signer(record, by)
        case RecoveryVeto():
            return contract_calls.veto_recovery(record, by)
        case GuardianAppointment():
            return contract_calls.appoint_guardian(record, by)
        case SubjectOpening():
            return contract_calls.open_subject(record, by)


def not_the_registrar(caller: bytes, subject: bytes) -> Hidden:
    def hidden(state: State, _now: int) -> bool:
        active = has_role(state.parties.get(caller), Roles.IDENTITY_AUTHORITY)
        registrar = known(state, subject).registrar
        return not active or caller not in (registrar, state.successors.get(registrar))

    return hidden


def not_the_identity_authority(caller: bytes) -> Hidden:
    def hidden(state: State, _now: int) -> bool:
        return not has_role(state.parties.get(caller), Roles.IDENTITY_AUTHORITY)

    return hidden


def known(state: State, subject: bytes) -> Subject:
    return state.subjects.get(subject) or Subject(subject, 0, ZERO_WORD[:20], b"", ZERO_WORD)


def settled(world: World, index: int) -> bytes:
    """A subject: below zero one that is not under recovery."""
    found = world.state.subjects
    return pick(world.subjects, index, lambda id_: id_ in found and not found[id_].recovery_at)


def recovering(world: World, index: int) -> bytes:
    """A subject: below zero one under recovery."""
    found = world.state.subjects
    return pick(world.subjects, index, lambda id_: id_ in found and found[id_].recovery_at)


@dataclass(frozen=True)
class RegisterSubject:
    caller: int
    subject: int
    signer: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.caller, world.chain.parties.identity_authority.address)
        subject, signer = SUBJECTS[self.subject % len(SUBJECTS)], shaped(self.signer)
        remember(world.subjects, subject)

        def events(state: State, block: Block) -> Iterator[Event]:
            number = len(state.subjects) + 1
            place = world.numbered(block, "authorizations")
            yield SubjectRegistered(*place, subject, number, caller, signer)

        call = contract_calls.register_subjects([subject], [signer])
        return Attempt(caller, call, events, not_the_identity_authority(caller))


@dataclass(frozen=True)
class SetFrozen:
    subject: int
    frozen: bool
    signer: int
    deadline: int
    nonce: int
    forged: bool

    def attempt(self, world: World, now: int) -> Attempt:
        subject = pick(world.subjects, self.subject, world.state.subjects.__contains__)
        index = signer_for(world, subject, self.signer)
        record = Freeze(subject, self.frozen, bytes([self.nonce]) * 32, now + self.deadline)
        delay = world.chain.deployment.recovery_delay

        def events(state: State, block: Block) -> Iterator[Event]:
            place, found = world.numbered(block, "authorizations"), known(state, subject)
            if not self.frozen:
                yield SubjectUnfrozen(*place, subject, HASHES[index])
                return
            liftable = liftable_after(found, HASHES[index], block.timestamp, delay)
            liftable = max(liftable, found.liftable_at if found.frozen else 0)
            yield SubjectFrozen(*place, subject, HASHES[index], liftable)

        return signed(world, record, index, forged=self.forged, once=True, events=events)


@dataclass(frozen=True)
class RotateSigner:
    subject: int
    new_signer: int
    signer: int
    deadline: int
    nonce: int
    forged: bool

    def attempt(self, world: World, now: int) -> Attempt:
        subject, new = settled(world, self.subject), shaped(self.new_signer)
        index = signer_for(world, subject, self.signer)
        record = SignerRotation(subject, new, bytes([self.nonce]) * 32, now + self.deadline)

        def events(state: State, block: Block) -> Iterator[Event]:
            place, found = world.numbered(block, "authorizations"), known(state, subject)
            until = block.timestamp + 30 * DAY
            until = max(until, found.replaced.get(found.signer_hash, 0))
            yield SignerRotated(*place, subject, new, until)

        attempt = signed(world, record, index, forged=self.forged, once=True, events=events)
        return by_the_signer(attempt, subject, index)


def by_the_signer(attempt: Attempt, subject: bytes, index: int) -> Attempt:
    """An act that the subject's own signer must sign, which its event does not show."""

    def hidden(state: State, now: int) -> bool:
        return attempt.hidden(state, now) or known(state, subject).signer != SIGNERS[index]

    return Attempt(attempt.caller, attempt.call, attempt.events, hidden, attempt.digest)


@dataclass(frozen=True)
class Close:
    caller: int
    subject: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.caller, world.chain.parties.identity_authority.address)
        subject = settled(world, self.subject)

        events = world.event("authorizations", SubjectClosed, subject)
        hidden = not_the_registrar(caller, subject)
        return Attempt(caller, contract_calls.close_subject(subject), events, hidden)


@dataclass(frozen=True)
class Open:
    caller: int
    subject: int
    signer: int
    deadline: int
    nonce: int
    forged: bool

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.caller, world.chain.parties.identity_authority.address)
        found = world.state.subjects
        subject = pick(world.subjects, self.subject, lambda id_: id_ in found and found[id_].closed)
        index = signer_for(world, subject, self.signer)
        record = SubjectOpening(subject, bytes([self.nonce]) * 32, now + self.deadline)

        events = world.event("authorizations", SubjectOpened, subject)
        attempt = signed(world, record, index, forged=self.forged, once=True, events=events)
        attempt = by_the_signer(attempt, subject, index)
        registrar = not_the_registrar(caller, subject)

        def hidden(state: State, now: int) -> bool:
            return attempt.hidden(state, now) or registrar(state, now)

        return Attempt(caller, attempt.call, events, hidden, attempt.digest)


@dataclass(frozen=True)
class EndLinks:
    caller: int
    subject: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.caller, world.chain.parties.identity_authority.address)
        subject = pick(world.subjects, self.subject, world.state.subjects.__contains__)

        def events(_state: State, block: Block) -> Iterator[Event]:
            place = world.numbered(block, "authorizations")
            yield LinksEnded(*place, subject, block.timestamp)

        hidden = not_the_registrar(caller, subject)
        return Attempt(caller, contract_calls.end_links(subject), events, hidden)


@dataclass(frozen=True)
class AppointGuardian:
    subject: int
    new_signer: int
    offset: int
    dismiss: bool
    signer: int
    deadline: int
    nonce: int
    forged: bool

    def attempt(self, world: World, now: int) -> Attempt:
        subject, guardian = settled(world, self.subject), shaped(self.new_signer)
        index = signer_for(world, subject, self.signer)
        until = 0 if self.dismiss else now + self.offset
        nonce, deadline = bytes([self.nonce]) * 32, now + self.deadline
        record = GuardianAppointment(subject, guardian, until, nonce, deadline)

        delay = world.chain.deployment.recovery_delay

        def events(state: State, block: Block) -> Iterator[Event]:
            place, hash_ = world.numbered(block, "authorizations"), keccak256(guardian)
            if self.dismiss:
                may = guardian_stop_until(known(state, subject), hash_, delay) > block.timestamp
                stops = block.timestamp + delay if may else 0
                yield GuardianDismissed(*place, subject, hash_, stops)
            else:
                yield GuardianAppointed(*place, subject, hash_, until)

        attempt = signed(world, record, index, forged=self.forged, once=True, events=events)
        attempt = by_the_signer(attempt, subject, index)

        def hidden(state: State, now: int) -> bool:
            return attempt.hidden(state, now) or guardian == SHORT

        return Attempt(attempt.caller, attempt.call, events, hidden, attempt.digest)


@dataclass(frozen=True)
class StartRecovery:
    caller: int
    subject: int
    new_signer: int

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.caller, world.chain.parties.identity_authority.address)
        subject, new = settled(world, self.subject), shaped(self.new_signer)
        delay = world.chain.deployment.recovery_delay

        def events(_state: State, block: Block) -> Iterator[Event]:
            place = world.numbered(block, "authorizations")
            yield RecoveryStarted(*place, subject, new, block.timestamp + delay)

        call = contract_calls.start_recovery(subject, new)
        return Attempt(caller, call, events, not_the_registrar(caller, subject))


@dataclass(frozen=True)
class VetoRecovery:
    subject: int
    new_signer: int
    signer: int
    deadline: int
    nonce: int
    forged: bool

    def attempt(self, world: World, now: int) -> Attempt:
        subject = recovering(world, self.subject)
        pending = known(world.state, subject).pending_signer
        new = pending if self.new_signer == 0 else shaped(self.new_signer)
        index = signer_for(world, subject, self.signer)
        record = RecoveryVeto(subject, new, bytes([self.nonce]) * 32, now + self.deadline)

        events = world.event("authorizations", RecoveryVetoed, subject, new)
        attempt = signed(world, record, index, forged=self.forged, once=True, events=events)
        return by_the_signer(attempt, subject, index)


@dataclass(frozen=True)
class CompleteRecovery:
    subject: int
    caller: int = 9
    """A stranger, unless it says otherwise."""

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.caller, world.chain.parties.identity_authority.address)
        subject = recovering(world, self.subject)
        not_registrar = not_the_registrar(caller, subject)

        def hidden(state: State, now: int) -> bool:
            found = known(state, subject)
            return not is_registrar_active(state, found) and not_registrar(state, now)

        def events(state: State, block: Block) -> Iterator[Event]:
            found = known(state, subject)
            place = world.numbered(block, "authorizations")
            until = block.timestamp + 365 * DAY
            until = max(until, found.replaced.get(found.signer_hash, 0))
            yield RecoveryCompleted(*place, subject, found.pending_signer, found.epoch + 1, until)

        return Attempt(caller, contract_calls.complete_recovery(subject), events, hidden)


@dataclass(frozen=True)
class Grant:
    subject: int
    agreement: int
    consumer: int
    fields: int
    item: int
    offset: int
    validity: int
    uses: int
    interval: int
    signer: int
    deadline: int
    nonce: int
    forged: bool

    def attempt(self, world: World, now: int) -> Attempt:
        subject = settled(world, self.subject)
        agreements = world.state.agreements

        def usable(id_: bytes) -> bool:
            return id_ in agreements and agreements[id_].dataset.personal

        found = agreements.get(pick(world.agreements, self.agreement, usable))
        right = found.consumer if found else STRANGER.address
        index = signer_for(world, subject, self.signer)
        record = Authorization(
            subject=subject,
            consumer=world.caller(self.consumer, right),
            dataset=found.dataset.id if found else ZERO_WORD,
            item=ITEMS[self.item],
            purpose=found.purpose if found else ZERO_WORD,
            fields=self.fields,
            case_reference=ZERO_WORD,
            statement="",
            not_before=0 if self.offset == 2 else now + self.offset,
            expires_at=now + self.offset + self.validity,
            max_uses=self.uses,
            min_interval=self.interval,
            nonce=bytes([self.nonce]) * 32,
            deadline=now + self.deadline,
        )
        record = said(world, record)
        authorization = remember(world.authorizations, struct_hash(record))
        world.granted[authorization] = record

        def events(state: State, block: Block) -> Iterator[Event]:
            terms = state.agreements.get(
                agreement_id(record.consumer, record.dataset, record.purpose)
            )
            yield Granted(
                *world.numbered(block, "authorizations"),
                authorization,
                subject,
                record.consumer,
                grant_terms(record),
                terms.number if terms else 0,
                terms.round if terms else 0,
                known(state, subject).epoch,
                HASHES[index],
            )

        return signed(
            world,
            record,
            index,
            forged=self.forged,
            once=False,
            events=events,
            hide_deadline=False,
        )


@dataclass(frozen=True)
class Revoke:
    authorization: int
    subject: int
    signer: int
    deadline: int
    forged: bool

    def attempt(self, world: World, now: int) -> Attempt:
        authorization, subject, index = owner(
            world, self.authorization, self.subject, self.signer, is_not_revoked
        )
        record = Revocation(subject, authorization, now + self.deadline)

        events = world.event("authorizations", Revoked, authorization, subject, HASHES[index])
        return signed(world, record, index, forged=self.forged, once=False, events=events)


@dataclass(frozen=True)
class Confirm:
    authorization: int
    subject: int
    signer: int
    deadline: int
    forged: bool

    def attempt(self, world: World, now: int) -> Attempt:
        authorization, subject, index = owner(
            world, self.authorization, self.subject, self.signer, is_of_another_epoch
        )
        record = Confirmation(subject, authorization, now + self.deadline)

        def events(state: State, block: Block) -> Iterator[Event]:
            place = world.numbered(block, "authorizations")
            epoch = known(state, subject).epoch
            yield Confirmed(*place, authorization, subject, epoch, HASHES[index])

        return signed(world, record, index, forged=self.forged, once=True, events=events)


@dataclass(frozen=True)
class VoidAccess:
    regulator: int
    authorization: int
    sequence: int
    offset: int
    uses: int
    text: int
    seen: int = 0

    def attempt(self, world: World, now: int) -> Attempt:
        caller = world.caller(self.regulator, world.chain.parties.regulator.address)
        authorization = pick(
            world.authorizations, self.authorization, world.state.authorizations.__contains__
        )
        record = world.granted.get(authorization) or Authorization(
            *(ZERO_WORD, ZERO_WORD[:20], ZERO_WORD, ZERO_WORD, ZERO_WORD, 1, ZERO_WORD, "text"),
            *(0, 1, 1, 0, ZERO_WORD, 1),
        )
        found, reason = world.state.authorizations.get(authorization), TEXTS[self.text]
        sequence = max(world.state.sequence - self.sequence, 0)
        last_use = 0 if self.offset < 0 else (found.last_use if found else 0) + self.offset
        ground = VoidGround(self.uses % 2)
        seen = max((found.last_use if found else 0) + self.seen, 0)

        def events(_state: State, block: Block) -> Iterator[Event]:
            place = world.numbered(block, "authorizations")
            yield AccessVoided(
                *place, struct_hash(record), sequence, caller, last_use, ground, reason
            )

        def hidden(state: State, _now: int) -> bool:
            at_last = state.authorizations.get(struct_hash(record))
            return at_last is not None and at_last.last_use != seen

        call = contract_calls.void_access(sequence, record, seen, last_use, ground, reason)
        return Attempt(caller, call, events, hidden)


def said(world: World, record: Authorization) -> Authorization:
    """The record with the statement that says what it authorizes, by what is on chain; where it
    authorizes nothing that could be said, without one."""
    state = world.state
    consumer, dataset = state.parties.get(record.consumer), state.datasets.get(record.dataset)
    purpose = state.purposes.get(record.purpose)
    if consumer is None or dataset is None or purpose is None:
        return record
    names = Names(consumer.name, dataset.title, dataset.fields, purpose.texts, purpose.retention)
    reference = format_reference(record.nonce[:16])  # drawn, so the same in every run
    try:
        return stated(record, names, reference=reference)
    except (StatementError, PlainTextError):
        return record


def is_of_another_epoch(found: Kept) -> bool:
    waits = found.epoch != found.subject.epoch and not found.revoked
    return waits and not is_subject_halted(found.subject)


def is_not_revoked(found: Kept) -> bool:
    return not found.revoked


def owner(
    world: World, authorization: int, subject: int, signer: int, fits: Callable[[Kept], bool]
) -> tuple[bytes, bytes, int]:
    known = world.state.authorizations
    id_ = pick(world.authorizations, authorization, lambda id_: id_ in known and fits(known[id_]))
    found = known.get(id_)
    of = found.subject.id if found and subject == 0 else pick(world.subjects, subject)
    return id_, of, signer_for(world, of, signer)


def grant_terms(record: Authorization) -> GrantTerms:
    values = list(msgspec.structs.astuple(record))
    values[7] = keccak256(record.statement.encode())
    return GrantTerms(*values)
