"""Act: a lost key is replaced by the identity authority, which cannot consent in the person's name.

The person is frozen at once; the new key takes effect after a delay, in which the old key can veto.
What the old key granted stays frozen until the new one confirms it.
"""

import time
from typing import Final

from ledger.model import Outcome
from scripts.demo import loan
from scripts.demo.cast import REAL_ESTATE
from scripts.demo.citizens import Citizen, new_signer
from scripts.demo.consumers import Entitlement, obtain
from scripts.demo.stage import DemoError
from scripts.demo.world import World
from wallet.citizen import acts, history
from wallet.client.authorities import identity_authority
from wallet.client.errors import RefusedError
from wallet.client.identity import recovery_state, recovery_text
from wallet.client.identity import start_recovery as begin
from wallet.client.retry import with_retries
from wallet.client.signers import AccountSigner, prove

_TIMEOUT: Final = 60.0
_POLL: Final = 0.2


def play(world: World, person: Citizen, granted: Entitlement) -> Entitlement:
    """Lose a key and get a new one; let somebody else try. Return what a second person granted."""
    with world.stage.act("A lost key is replaced; a false recovery is vetoed"):
        replace_lost_key(world, person, granted)
        return veto_false_recovery(world)


def replace_lost_key(world: World, person: Citizen, granted: Entitlement) -> None:
    """Frozen at once, replaced after the delay; then the new key confirms what the old one granted."""
    stage, new, seen = world.stage, new_signer(), accesses_seen(person)
    recovery = start_recovery(world, person, new)
    granted.denied("while the recovery is under way", Outcome.FROZEN)
    stage.check("the new key takes effect after the delay", end_of(world, recovery), "completed")
    granted.denied("what the old key granted, not confirmed yet", Outcome.FROZEN)
    stage.check("the old key decides nothing", refusal(person, granted.basis), "SignerUnauthorized")
    person.signer = new
    person.act(acts.confirmation(person.subject, granted.basis))
    stage.check(
        "confirmed by the new key: served again", len(granted.use().opened.records) > 0, True
    )
    stage.check("the new key sees the whole history", accesses_seen(person), seen + 3)


def veto_false_recovery(world: World) -> Entitlement:
    """Somebody talks the counter into a recovery; the person, who has the key, stops it."""
    person = Citizen(world, world.files.resident_with(REAL_ESTATE, 1, place=1))
    granted = obtain(world, loan.wish(world, "2026-121", uses=9), person)
    thief = new_signer()
    recovery = start_recovery(world, person, thief)
    granted.denied("a recovery that the person did not ask for", Outcome.FROZEN)
    person.act(acts.veto(person.subject, thief.signer))
    world.stage.check("the person's key vetoes it", end_of(world, recovery), "vetoed")
    served = len(granted.use().opened.records)
    world.stage.check("nothing is frozen any more: served again", served > 0, True)
    return granted


def start_recovery(world: World, person: Citizen, signer: AccountSigner) -> str:
    """At the identity authority's counter: a new key for the person; return the recovery's id."""
    authority = world.officer.run(identity_authority(world.ledger()))
    proven = prove(signer, recovery_text(authority, person.person))
    started = world.officer.client.run(begin(person.person, "identity card", [proven]))
    world.stage.require(
        "the recovery is on chain", [subject.state for subject in started.subjects], ["pending"]
    )
    return started.recovery


def end_of(world: World, recovery: str) -> str:
    """Wait until a recovery has ended; return how."""
    until = time.monotonic() + _TIMEOUT
    while time.monotonic() < until:
        (found,) = world.officer.run(with_retries(recovery_state(recovery))).subjects
        if found.state not in ("waiting", "pending"):
            return found.state
        time.sleep(_POLL)
    raise DemoError("the recovery does not end")


def refusal(person: Citizen, authorization: bytes) -> str:
    """Try to let an authorization count again; return the contract's error, or nothing."""
    try:
        person.act(acts.confirmation(person.subject, authorization))
    except RefusedError as error:
        return error.error
    return ""


def accesses_seen(person: Citizen) -> int:
    """Return how many accesses the person's history shows."""
    entries = person.client.run(history.history([person.signer]))
    return sum(1 for entry in entries if entry.kind == "access")
