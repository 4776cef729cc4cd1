"""Every view of the contracts, and what the rebuilt state says that it returns."""

from collections.abc import Iterator
from typing import Any

import msgspec

from ledger.chain import contract_reads
from ledger.chain.rpc import Call
from ledger.model import ZERO_WORD, Change, Class, EventState, Roles, State
from ledger.policy import (
    consent_until,
    is_agreed,
    is_closed_by_order,
    is_halted,
    is_in_force,
    is_pending,
    is_shared,
    stop_until,
)
from tests.support import more_views
from tests.support.acts_of_parties import changed
from tests.support.acts_of_people import HASHES, SIGNERS
from tests.support.world import World

NOBODY = bytes(20)
Check = tuple[Call[Any], object]


def differences(world: World) -> list[str]:
    """Ask the contracts everything; return where they and the state differ."""
    checks = list(_all(world))
    answers = world.chain.rpc.send_many([call for call, _ in checks])
    return [
        f"{call.params}: the contracts say {answer}, the state {expected}"
        for (call, expected), answer in zip(checks, answers, strict=True)
        if answer != expected
    ]


def _all(world: World) -> Iterator[Check]:
    yield from _parties(world, world.state)
    yield from _datasets(world, world.state)
    yield from _orders(world, world.state)
    yield from _purposes(world, world.state)
    yield from _agreements(world, world.state)
    yield from _subjects(world, world.state)
    yield from _authorizations(world, world.state)
    at, state = world.chain.contracts, world.state
    yield contract_reads.log_state(at), contract_reads.LogState(state.sequence, state.head)
    for contract, chain in state.chains.items():
        yield (
            contract_reads.event_state(contract),
            EventState(chain.count, chain.head),
        )
    for authorization in state.authorizations:
        for sequence in range(1, state.sequence + 1):
            void = (authorization, sequence)
            yield more_views.is_voided(at, *void), void in state.voided
    for party in world.parties[3:5]:
        for nonce in (*range(4), 255, 256, 257, 300):
            used = state.nonce_used(party.address, nonce)
            yield more_views.nonce_used(at, party.address, nonce), used


def _parties(world: World, state: State) -> Iterator[Check]:
    at = world.chain.contracts
    yield contract_reads.authority(at), state.authority
    for change in Change:
        about = changed(world, change, 0, 0)
        due = state.changes.get((change, *about), 0)
        due = due if is_pending(due, state.delays.admission, world.now) else 0
        yield contract_reads.change_due_at(at, change, *about), due
    for party in world.parties:
        found = state.parties.get(party.address)
        standing = (Roles(0), False, 0)
        if found:
            standing = (Roles(found.roles), found.active, found.restricted_until)
        yield _standing(world, party.address), standing
        for other in world.parties:
            named = found is not None and other.address in found.recorders
            yield contract_reads.may_record(at, party.address, other.address), named
        pending = state.admissions.get(party.address)
        admission = contract_reads.Admission(Roles(0), 0, "")
        if pending and is_pending(pending.effective_at, state.delays.admission, world.now):
            admission = contract_reads.Admission(
                Roles(pending.roles), pending.effective_at, pending.name
            )
        yield contract_reads.admission_of(at, party.address), admission
        successor = state.successors.get(party.address, NOBODY)
        yield contract_reads.successor_of(at, party.address), successor
        regulator = state.supervisors.get(party.address, NOBODY)
        yield more_views.supervisor_of(at, party.address), regulator
        key = found.encryption_key if found else b""
        yield contract_reads.encryption_key_of(at, party.address), key


def _standing(world: World, party: bytes) -> Call[Any]:
    """What a standing says beside the recorder, which `may_record` says of each."""
    call = contract_reads.standing_of(world.chain.contracts, party)

    def read(raw: msgspec.Raw) -> object:
        found = call.read(raw)
        return found.roles, found.active, found.restricted_until

    return Call(call.method, call.params, read)


def _datasets(world: World, state: State) -> Iterator[Check]:
    at = world.chain.contracts
    for id_ in world.datasets:
        found = state.datasets.get(id_)
        expected = contract_reads.DatasetState(
            NOBODY, False, False, False, 0, Class.UNCONDITIONAL, Class.UNCONDITIONAL, 0, 0
        )
        if found:
            expected = contract_reads.DatasetState(
                provider=found.provider,
                active=not found.withdrawn,
                shared=is_shared(found, world.now),
                personal=found.personal,
                field_count=len(found.fields),
                sharing=found.sharing,
                open=found.open,
                grade=found.grade,
                publications=len(found.publications),
            )
        yield contract_reads.dataset_of(at, id_), expected
        opening = found.last_opening.id if found and found.last_opening else ZERO_WORD
        closing = found.last_closing.id if found and found.last_closing else ZERO_WORD
        yield (
            more_views.last_orders_of(at, id_),
            more_views.LastOrders(opening, closing, found.unreviewed_closings if found else 0),
        )
        closed = found is not None and is_closed_by_order(found, world.now)
        yield more_views.closed_by_order(at, id_), closed
        for version, one in enumerate(found.publications if found else [], 1):
            published = contract_reads.Publication(one.root, one.count, one.base, one.published_at)
            yield contract_reads.publication_of(at, id_, version), published


def _orders(world: World, state: State) -> Iterator[Check]:
    for id_ in world.orders:
        found = state.orders.get(id_)
        expected = contract_reads.OrderState(
            ZERO_WORD, ZERO_WORD, 0, Class.UNCONDITIONAL, 0, 0, False, False, False
        )
        if found:
            expected = contract_reads.OrderState(
                found.dataset,
                found.purpose,
                found.fields,
                found.sharing,
                found.starts_at,
                found.ends_at,
                found.countersigned,
                found.reviewed,
                is_in_force(found, world.now),
            )
        yield contract_reads.order_of(world.chain.contracts, id_), expected


def _purposes(world: World, state: State) -> Iterator[Check]:
    at = world.chain.contracts
    for id_ in world.purposes:
        found = state.purposes.get(id_)
        bounds = contract_reads.PurposeBounds(False, 0, 0, 0)
        if found:
            bounds = contract_reads.PurposeBounds(
                found.active, found.max_validity, found.max_uses, found.min_interval
            )
        yield contract_reads.bounds_of(at, id_), bounds
        for dataset in world.datasets:
            bound = found.fields.get(dataset, 0) if found else 0
            yield more_views.fields_bound(at, id_, dataset), bound


def _agreements(world: World, state: State) -> Iterator[Check]:
    at = world.chain.contracts
    for id_ in world.applications:
        found = state.applications.get(id_)
        application = contract_reads.Application(NOBODY, ZERO_WORD, ZERO_WORD, 0, False, False)
        if found:
            application = contract_reads.Application(
                found.consumer,
                found.dataset.id,
                found.purpose,
                found.fields,
                found.decided,
                found.signed,
            )
        yield contract_reads.application_of(at, id_), application
    ids = {id(application): id_ for id_, application in state.applications.items()}
    for id_ in world.agreements:
        agreement = state.agreements.get(id_)
        expected = contract_reads.AgreementState(
            ZERO_WORD, 0, NOBODY, ZERO_WORD, ZERO_WORD, ZERO_WORD, 0, 0, 0, 0, False, False, False
        )
        if agreement:
            expected = contract_reads.AgreementState(
                id=id_,
                number=agreement.number,
                consumer=agreement.consumer,
                dataset=agreement.dataset.id,
                purpose=agreement.purpose,
                application=ids[id(agreement.application)],
                fields=agreement.fields,
                expires_at=agreement.expires_at,
                suspended_until=agreement.suspended_until,
                round=agreement.round,
                suspension_unseen=agreement.suspension_unseen,
                withdrawn=agreement.withdrawn,
                active=is_agreed(agreement, world.now),
            )
            yield more_views.agreement_by_number(at, agreement.number), expected
        yield contract_reads.agreement_of(at, id_), expected


def _subjects(world: World, state: State) -> Iterator[Check]:
    at = world.chain.contracts
    for id_ in world.subjects:
        found = state.subjects.get(id_)
        expected = contract_reads.SubjectState(
            0, NOBODY, 0, False, False, 0, 0, ZERO_WORD, 0, b"", b""
        )
        if found:
            expected = contract_reads.SubjectState(
                number=found.number,
                registrar=found.registrar,
                links_from=found.links_from,
                frozen=found.frozen,
                closed=found.closed,
                epoch=found.epoch,
                recovery_at=found.recovery_at,
                frozen_by=found.frozen_by,
                liftable_at=found.liftable_at,
                signer=found.signer,
                pending_signer=found.pending_signer,
            )
            for signer, hash_ in zip(SIGNERS, HASHES, strict=True):
                rights = more_views.Rights(
                    consent_until(found, hash_),
                    stop_until(found, hash_, world.chain.deployment.recovery_delay),
                )
                yield more_views.rights_of(at, id_, signer), rights
        yield contract_reads.subject_of(at, id_), expected


def _authorizations(world: World, state: State) -> Iterator[Check]:
    at = world.chain.contracts
    for terms in state.terms.values():
        expected = more_views.TermsState(terms.agreement.number, terms.round, terms.fields)
        yield more_views.terms_of(at, terms.number), expected
    for id_ in world.authorizations:
        found = state.authorizations.get(id_)
        slot = contract_reads.GrantState(0, 0, 0, 0, 0, 0, 0, 0, False, False, False)
        if found:
            slot = contract_reads.GrantState(
                subject=found.subject.number,
                terms=found.terms.number,
                not_before=found.not_before,
                expires_at=found.expires_at,
                uses_left=found.uses_left,
                min_interval=found.min_interval,
                last_use=found.last_use,
                epoch=found.epoch,
                revoked=found.revoked,
                item_bound=found.item != ZERO_WORD,
                halted=is_halted(found),
            )
        yield contract_reads.grant_of(at, id_), slot
        yield more_views.item_of(at, id_), found.item if found else ZERO_WORD
