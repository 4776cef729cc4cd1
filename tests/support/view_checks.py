"""Every view of the contracts, and what the rebuilt state says that it returns."""

from collections.abc import Iterator
from typing import Any

from ledger import views
from ledger.entities import NOTHING, State
from ledger.enumerations import Class, Roles
from ledger.policy import guardian_until, is_agreed, is_halted, is_in_force, is_shared
from ledger.rpc import Call
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
    yield views.log_state(at), views.LogState(state.sequence, state.head)
    for party in world.parties[3:5]:
        for nonce in (*range(4), 255, 256, 257, 300):
            used = state.nonce_used(party.address, nonce)
            yield views.nonce_used(at, party.address, nonce), used


def _parties(world: World, state: State) -> Iterator[Check]:
    at = world.chain.contracts
    yield views.authority(at), state.authority
    for party in world.parties:
        found = state.parties.get(party.address)
        standing = views.Standing(Roles(0), False, 0)
        if found:
            standing = views.Standing(Roles(found.roles), found.active, found.restricted_until)
        yield views.standing_of(at, party.address), standing
        key = found.encryption_key if found else b""
        yield views.encryption_key_of(at, party.address), key


def _datasets(world: World, state: State) -> Iterator[Check]:
    at = world.chain.contracts
    for id_ in world.datasets:
        found = state.datasets.get(id_)
        expected = views.DatasetState(
            NOBODY, False, False, False, 0, Class.UNCONDITIONAL, Class.UNCONDITIONAL, 0, 0
        )
        if found:
            expected = views.DatasetState(
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
        yield views.dataset_of(at, id_), expected
        last = found.last_order if found else None
        yield views.last_order_of(at, id_), last.id if last else NOTHING
        for version, one in enumerate(found.publications if found else [], 1):
            published = views.Publication(one.root, one.count, one.base, one.published_at)
            yield views.publication_of(at, id_, version), published


def _orders(world: World, state: State) -> Iterator[Check]:
    for id_ in world.orders:
        found = state.orders.get(id_)
        expected = views.OrderState(NOTHING, NOTHING, 0, Class.UNCONDITIONAL, 0, 0, False, False)
        if found:
            expected = views.OrderState(
                found.dataset,
                found.purpose,
                found.fields,
                found.sharing,
                found.starts_at,
                found.ends_at,
                found.reviewed,
                is_in_force(found, world.now),
            )
        yield views.order_of(world.chain.contracts, id_), expected


def _purposes(world: World, state: State) -> Iterator[Check]:
    at = world.chain.contracts
    for id_ in world.purposes:
        found = state.purposes.get(id_)
        bounds = views.PurposeBounds(False, 0, 0, 0)
        if found:
            bounds = views.PurposeBounds(
                found.active, found.max_validity, found.max_uses, found.min_interval
            )
        yield views.bounds_of(at, id_), bounds
        for dataset in world.datasets:
            bound = found.fields.get(dataset, 0) if found else 0
            yield views.fields_bound(at, id_, dataset), bound


def _agreements(world: World, state: State) -> Iterator[Check]:
    at = world.chain.contracts
    for id_ in world.applications:
        found = state.applications.get(id_)
        application = views.Application(NOBODY, NOTHING, NOTHING, 0, False, False)
        if found:
            application = views.Application(
                found.consumer,
                found.dataset.id,
                found.purpose,
                found.fields,
                found.decided,
                found.signed,
            )
        yield views.application_of(at, id_), application
    ids = {id(application): id_ for id_, application in state.applications.items()}
    for id_ in world.agreements:
        agreement = state.agreements.get(id_)
        expected = views.AgreementState(
            NOTHING, 0, NOBODY, NOTHING, NOTHING, NOTHING, 0, 0, False, False
        )
        if agreement:
            expected = views.AgreementState(
                id=id_,
                number=agreement.number,
                consumer=agreement.consumer,
                dataset=agreement.dataset.id,
                purpose=agreement.purpose,
                application=ids[id(agreement.application)],
                fields=agreement.fields,
                expires_at=agreement.expires_at,
                withdrawn=agreement.withdrawn,
                active=is_agreed(agreement, world.now),
            )
            yield views.agreement_by_number(at, agreement.number), expected
        yield views.agreement_of(at, id_), expected


def _subjects(world: World, state: State) -> Iterator[Check]:
    at = world.chain.contracts
    for id_ in world.subjects:
        found = state.subjects.get(id_)
        expected = views.SubjectState(0, False, 0, 0, b"", b"")
        if found:
            expected = views.SubjectState(
                found.number,
                found.frozen,
                found.epoch,
                found.recovery_at,
                found.signer,
                found.pending_signer,
            )
            for guardian in found.guardians:
                until = guardian_until(found, guardian)
                yield views.guardian_until(at, id_, guardian), until
        yield views.subject_of(at, id_), expected


def _authorizations(world: World, state: State) -> Iterator[Check]:
    at = world.chain.contracts
    for terms in state.terms.values():
        expected = views.TermsState(terms.agreement.number, terms.fields)
        yield views.terms_of(at, terms.number), expected
    for id_ in world.authorizations:
        found = state.authorizations.get(id_)
        slot = views.GrantState(0, 0, 0, 0, 0, 0, 0, 0, False, False, False)
        if found:
            slot = views.GrantState(
                subject=found.subject.number,
                terms=found.terms.number,
                not_before=found.not_before,
                expires_at=found.expires_at,
                uses_left=found.uses_left,
                min_interval=found.min_interval,
                last_use=found.last_use,
                epoch=found.epoch,
                revoked=found.revoked,
                item_bound=found.item != NOTHING,
                halted=is_halted(found),
            )
        yield views.grant_of(at, id_), slot
        yield views.item_of(at, id_), found.item if found else NOTHING
