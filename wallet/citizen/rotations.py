"""Replacing the key of an id, and appointing its guardians anew in the same step.

A new key ends all guardians at once, so each id's are appointed right after its own rotation. Whatever is to be done
is noted before, and done again if a crash leaves open whether it is on chain: a rotation with the same new key,
unless that key counts by then; an appointment, which says the same twice.
"""

from collections.abc import Sequence

from ledger.chain.deployment import Deployment
from ledger.hexstr import from_hex, to_hex
from wallet.citizen import acts
from wallet.citizen.enrolment import all_subjects
from wallet.citizen.identities import Identity, SignerKind
from wallet.citizen.keys import PersonKeys
from wallet.client.errors import ProblemError
from wallet.client.relays import Act
from wallet.client.transactions import Mined


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
            what = acts.rotation(identity.subject_id, keys.signer(following).signer)
            done.append((what, (await acts.act(deployment, keys.signer(identity), what))))
        keys.replace(identity, following)
        identity = keys.identities.of_entry(following.entry)
    for guard in identity.guards:
        if guard.until > now:
            call = acts.appointment(identity.subject_id, from_hex(guard.signer), guard.until)
            done.append((call, (await acts.act(deployment, keys.signer(identity), call))))
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
