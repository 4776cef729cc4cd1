"""What a person signs and sends: grant, revoke, freeze, confirm, veto, rotate, appoint guardians."""

import random
import secrets
import time
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

import msgspec

from ledger.chain.deployment import Deployment
from ledger.hexstr import from_hex, to_hex
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
from wallet.citizen.identities import Identity, PersonKeys, SignerKind
from wallet.citizen.proposal import Proposal
from wallet.client.consent_requests import refuse_ask
from wallet.client.errors import ProblemError
from wallet.client.identity import ask_link
from wallet.client.relays import Act, relay_act, relay_authorization, relayed
from wallet.client.signers import MAX_TIME_TO_RELAY, SubjectSigner, all_subjects, approve, asking
from wallet.client.transactions import Mined
from wallet.errors import PartyError


class GrantedAuthorization(msgspec.Struct, frozen=True):
    """What a person granted, and where it is on chain."""

    id: bytes
    record: Authorization
    mined: Mined


async def grant(
    deployment: Deployment, signer: SubjectSigner, proposal: Proposal
) -> GrantedAuthorization:
    """Sign what was shown to the person that `signer` is of, and bring it on chain.

    Raises:
        RefusedError: the contract refuses; `error` says why.
        ClientError: it could not be relayed.
    """
    record = proposal.authorization
    link = await asking(signer, ask_link(record.dataset, record.subject))
    if (link.link.subject, link.link.dataset) != (record.subject, record.dataset):
        raise PartyError(
            "Citizen", "the identity authority gave a link for another subject or dataset"
        )
    approval = approve(signer, record, deployment)
    call = relay_authorization(record, approval, link, proposal.asked.request)
    mined = await relayed(call)
    return GrantedAuthorization(struct_hash(record), record, mined)


async def refuse(signer: SubjectSigner, request: str, reason: str = "") -> None:
    """Refuse what a consumer asks for; nothing gets on chain."""
    await asking(signer, refuse_ask(request, reason))


async def act(deployment: Deployment, signer: SubjectSigner, what: Act) -> Mined:
    """Sign an act and bring it on chain.

    Raises:
        RefusedError: the contract refuses; `error` says why.
        ClientError: it could not be relayed.
    """
    return await relayed(relay_act(what, approve(signer, what, deployment)))


# The acts, as they are signed


def revocation(subject: bytes, authorization: bytes) -> Revocation:
    return Revocation(subject, authorization, _deadline())


def confirmation(subject: bytes, authorization: bytes) -> Confirmation:
    """Return a new key's word that an authorization of the old one counts."""
    return Confirmation(subject, authorization, _deadline())


def freeze(subject: bytes, *, frozen: bool) -> Freeze:
    """Return the stop of everything of a subject, or its end."""
    return Freeze(subject, frozen, _nonce(), _deadline())


def rotation(subject: bytes, new_signer: bytes) -> SignerRotation:
    """Return the change to another key, by the present one."""
    return SignerRotation(subject, new_signer, _nonce(), _deadline())


def veto(subject: bytes, new_signer: bytes) -> RecoveryVeto:
    """Return the stop of a recovery that one did not ask for."""
    return RecoveryVeto(subject, new_signer, _nonce(), _deadline())


def opening(subject: bytes) -> SubjectOpening:
    """Return the word of a closed id's key that it is opened; the counter sends it."""
    return SubjectOpening(subject, _nonce(), _deadline())


def appointment(subject: bytes, guardian: bytes, expires_at: int) -> GuardianAppointment:
    """Return the appointment of a guardian until a time; zero dismisses."""
    return GuardianAppointment(subject, guardian, expires_at, _nonce(), _deadline())


def _nonce() -> bytes:
    return secrets.token_bytes(32)


def _deadline() -> int:
    return int(time.time()) + MAX_TIME_TO_RELAY


T = TypeVar("T")

MAX_SECONDS: Final = 50 * 60
"""Acts are signed for an hour: the last one must still be in time."""

_random = random.SystemRandom()


def spread(acts: Sequence[T], seconds: float) -> Iterator[tuple[float, T]]:
    """Yield acts in random order, each with how long to wait before it; the first goes at once.

    Args:
        acts: On one id each.
        seconds: At most, over which the rest are spread.
    """
    order = list(acts)
    _random.shuffle(order)
    times = [0.0, *sorted(_random.uniform(0, seconds) for _ in order[1:])]
    before = 0.0
    for at, act in zip(times, order, strict=False):
        yield at - before, act
        before = at


def begin(
    keys: PersonKeys, chosen: Sequence[Identity], kind: SignerKind
) -> tuple[tuple[Identity, ...], bool]:
    """Draw the keys to come, and note them.

    Returns:
        What to rotate, and whether that was begun before: then it is only what is left of that.
    """
    left = tuple(each for each in chosen if each.next_entry or each.guards_ended)
    if left:
        return left, True
    return tuple(keys.draw_next(each, kind) for each in chosen), False


async def rotate(
    deployment: Deployment, keys: PersonKeys, identity: Identity, now: int, *, again: bool
) -> tuple[tuple[Act, Mined], ...]:
    """Replace a key whose successor is drawn, and appoint the guardians of its id anew.

    Args:
        deployment: the contracts.
        keys: of the person.
        identity: as `begin` returned it.
        now: seconds since 1970; a guardian whose time is over is not appointed.
        again: whether it was begun before: then the new key may count already.

    Returns:
        What was brought on chain.

    Raises:
        RefusedError: the contract refuses; `error` says why.
        ClientError: it could not be relayed. What is left is done by calling again.
    """
    done: list[tuple[Act, Mined]] = []
    if identity.next_entry:
        following = keys.identities.of_entry(identity.next_entry)
        if not (again and (await _counts(keys, following, identity.subject))):
            what = rotation(identity.subject_id, keys.signer(following).signer)
            done.append((what, (await act(deployment, keys.signer(identity), what))))
        keys.replace(identity, following)
        identity = keys.identities.of_entry(following.entry)
    for guard in identity.guards:
        if guard.until > now:
            call = appointment(identity.subject_id, from_hex(guard.signer), guard.until)
            done.append((call, (await act(deployment, keys.signer(identity), call))))
    keys.identities.note_guards_appointed(identity.entry)
    return tuple(done)


async def _counts(keys: PersonKeys, key: Identity, subject: str) -> bool:
    """Ask the identity authority, which follows the chain, whether a key is an id's by now."""
    signer = keys.signer(key)
    try:
        subjects = await all_subjects(signer)
    except ProblemError:
        return False  # it signs for nobody
    mine = to_hex(signer.signer)
    return any(each.subject == subject and each.signer.lower() == mine for each in subjects)
