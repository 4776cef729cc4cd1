"""What is done by people and for them: the acts of `Authorizations`. See `tests.support.world`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from ledger import contracts, signing
from ledger.entities import NOTHING, State, Subject
from ledger.entities import Authorization as Kept
from ledger.enumerations import Roles
from ledger.events import (
    Block,
    Confirmed,
    Event,
    Granted,
    GrantTerms,
    GuardianAppointed,
    GuardianDismissed,
    RecoveryCompleted,
    RecoveryStarted,
    RecoveryVetoed,
    Revoked,
    SignerRotated,
    SubjectFrozen,
    SubjectRegistered,
    SubjectUnfrozen,
    agreement_id,
)
from ledger.keccak import keccak256
from ledger.policy import has_role
from ledger.typed_data import (
    Authorization,
    Confirmation,
    Freeze,
    GuardianAppointment,
    RecoveryVeto,
    Revocation,
    SignerRotation,
    struct_hash,
)
from tests.support.world import (
    ITEMS,
    STRANGER,
    Attempt,
    Events,
    Hidden,
    World,
    approval,
    pick,
    remember,
)

KEYS: Final = tuple(keccak256(bytes([number])) for number in range(6))
SIGNERS: Final = tuple(map(signing.address_of, KEYS))
SHORT: Final = b"\x01" * 19
SUBJECTS: Final = (NOTHING, *(bytes([number]) * 32 for number in (0x51, 0x52, 0x53)))

Signed = (
    Authorization
    | Revocation
    | Confirmation
    | Freeze
    | SignerRotation
    | RecoveryVeto
    | GuardianAppointment
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
    """Put together the relaying of a signed record."""
    key = STRANGER.private_key if forged else KEYS[index]
    call = _call(record, approval(world, record, SIGNERS[index], key))
    digest = world.digest(record)

    def hidden(_state: State, now: int) -> bool:
        late = hide_deadline and record.deadline < now
        return forged or late or (once and digest in world.used)

    return Attempt(STRANGER.address, call, events, hidden, digest if once else b"")


def _call(record: Signed, by: contracts.Approval) -> contracts.ContractCall:
    match record:
        case Authorization():
            return contracts.grant(record, by)
        case Revocation():
            return contracts.revoke(record, by)
        case Confirmation():
            return contracts.confirm(record, by)
        case Freeze():
            return contracts.set_frozen(record, by)
        case SignerRotation():
            return contracts.rotate_signer(record, by)
        case RecoveryVeto():
            return contracts.veto_recovery(record, by)
        case GuardianAppointment():
            return contracts.appoint_guardian(record, by)


def not_the_identity_authority(caller: bytes) -> Hidden:
    def hidden(state: State, _now: int) -> bool:
        return not has_role(state.parties.get(caller), Roles.IDENTITY_AUTHORITY)

    return hidden


def known(state: State, subject: bytes) -> Subject:
    """The subject, or one that nobody registered."""
    return state.subjects.get(subject) or Subject(subject, 0, b"")


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
            yield SubjectRegistered(*world.place(block, "authorizations"), subject, number, signer)

        call = contracts.register_subjects([subject], [signer])
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
        subject = settled(world, self.subject)
        index = signer_for(world, subject, self.signer)
        record = Freeze(subject, self.frozen, bytes([self.nonce]) * 32, now + self.deadline)

        def events(_state: State, block: Block) -> Iterator[Event]:
            place = world.place(block, "authorizations")
            event = SubjectFrozen if self.frozen else SubjectUnfrozen
            yield event(*place, subject, SIGNERS[index])

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

        def events(_state: State, block: Block) -> Iterator[Event]:
            place = world.place(block, "authorizations")
            yield SignerRotated(*place, subject, SIGNERS[index], new)

        return signed(world, record, index, forged=self.forged, once=True, events=events)


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

        def events(state: State, block: Block) -> Iterator[Event]:
            place = world.place(block, "authorizations")
            if self.dismiss:
                yield GuardianDismissed(*place, subject, guardian)
            else:
                epoch = known(state, subject).epoch
                yield GuardianAppointed(*place, subject, guardian, until, epoch)

        # Neither event shows who signed: it must be the subject's own signer.
        attempt = signed(world, record, index, forged=self.forged, once=True, events=events)

        def hidden(state: State, now: int) -> bool:
            return attempt.hidden(state, now) or known(state, subject).signer != SIGNERS[index]

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
            place = world.place(block, "authorizations")
            yield RecoveryStarted(*place, subject, new, block.timestamp + delay)

        call = contracts.start_recovery(subject, new)
        return Attempt(caller, call, events, not_the_identity_authority(caller))


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

        def events(_state: State, block: Block) -> Iterator[Event]:
            yield RecoveryVetoed(*world.place(block, "authorizations"), subject, new)

        attempt = signed(world, record, index, forged=self.forged, once=True, events=events)

        def hidden(state: State, now: int) -> bool:
            return attempt.hidden(state, now) or known(state, subject).signer != SIGNERS[index]

        return Attempt(attempt.caller, attempt.call, events, hidden, attempt.digest)


@dataclass(frozen=True)
class CompleteRecovery:
    subject: int

    def attempt(self, world: World, now: int) -> Attempt:
        subject = recovering(world, self.subject)

        def events(state: State, block: Block) -> Iterator[Event]:
            found = known(state, subject)
            place = world.place(block, "authorizations")
            yield RecoveryCompleted(
                *place, subject, found.signer, found.pending_signer, found.epoch + 1
            )

        return Attempt(STRANGER.address, contracts.complete_recovery(subject), events)


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
            dataset=found.dataset.id if found else NOTHING,
            item=ITEMS[self.item],
            purpose=found.purpose if found else NOTHING,
            fields=self.fields,
            case_reference=NOTHING,
            statement="I let somebody read something.",
            not_before=now + self.offset,
            expires_at=now + self.offset + self.validity,
            max_uses=self.uses,
            min_interval=self.interval,
            nonce=bytes([self.nonce]) * 32,
            deadline=now + self.deadline,
        )
        authorization = remember(world.authorizations, struct_hash(record))

        def events(state: State, block: Block) -> Iterator[Event]:
            terms = state.agreements.get(
                agreement_id(record.consumer, record.dataset, record.purpose)
            )
            yield Granted(
                *world.place(block, "authorizations"),
                authorization,
                subject,
                record.consumer,
                grant_terms(record),
                terms.number if terms else 0,
                known(state, subject).epoch,
                SIGNERS[index],
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

        def events(_state: State, block: Block) -> Iterator[Event]:
            place = world.place(block, "authorizations")
            yield Revoked(*place, authorization, subject, SIGNERS[index])

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
            place = world.place(block, "authorizations")
            epoch = known(state, subject).epoch
            yield Confirmed(*place, authorization, subject, epoch, SIGNERS[index])

        return signed(world, record, index, forged=self.forged, once=True, events=events)


def is_of_another_epoch(found: Kept) -> bool:
    """Whether it waits for a confirmation that may come."""
    return (
        found.epoch != found.subject.epoch and not found.revoked and not found.subject.recovery_at
    )


def is_not_revoked(found: Kept) -> bool:
    return not found.revoked


def owner(
    world: World, authorization: int, subject: int, signer: int, fits: Callable[[Kept], bool]
) -> tuple[bytes, bytes, int]:
    """An authorization, its subject (for zero) or another one, and who signs."""
    known = world.state.authorizations
    id_ = pick(world.authorizations, authorization, lambda id_: id_ in known and fits(known[id_]))
    found = known.get(id_)
    of = found.subject.id if found and subject == 0 else pick(world.subjects, subject)
    return id_, of, signer_for(world, of, signer)


def grant_terms(record: Authorization) -> GrantTerms:
    """An authorization as the chain sees it."""
    values = list(msgspec.structs.astuple(record))
    values[7] = keccak256(record.statement.encode())
    return GrantTerms(*values)
