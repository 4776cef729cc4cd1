"""Giving a use back: what replay and the journals show is sent, and nothing else."""

from collections.abc import Iterable, Sequence
from typing import Final

from ledger import events, views
from ledger.events import GrantTerms
from ledger.hexes import to_hex
from ledger.replay import Voidable
from wallet.client import chain
from wallet.client.party import PartyKey
from wallet.client.steps import Steps, look
from wallet.client.transactions import Ledger, Mined
from wallet.regulator.acts import void_access
from wallet.regulator.errors import NotVoidableError

EVERY_ACCESS: Final = range(1, 1 << 48)
"""For `Replay.finish`: whatever may be given back."""


def choose(found: Iterable[Voidable], wanted: Sequence[int]) -> tuple[Voidable, ...]:
    """Return what replay found of the accesses that are wanted, in the order in which it goes.

    Raises:
        NotVoidableError: one of them may not be given back, as far as the journals show.
    """
    chosen = tuple(found)
    missing = set(wanted) - {one.sequence for one in chosen}
    if missing:
        numbers = ", ".join(map(str, sorted(missing)))
        raise NotVoidableError(
            f"access {numbers}: no use that can be given back, as far as these journals show"
        )
    return chosen


def give_back(ledger: Ledger, key: PartyKey | None, use: Voidable, reason: str) -> Steps[Mined]:
    """Give one use back.

    Raises:
        NotVoidableError: the authorization was used since the replay, so its last use is another one.
    """
    terms = yield from _terms(ledger, use.authorization)
    state = yield from look(views.grant_of(ledger.deployment.contracts, use.authorization))
    if state.last_use != use.before:
        name = to_hex(use.authorization)
        raise NotVoidableError(f"{name} was used since the replay: replay again")
    steps = void_access(ledger, key, use.sequence, terms, use.last_use, use.ground, reason)
    return (yield from steps)


def _terms(ledger: Ledger, authorization: bytes) -> Steps[GrantTerms]:
    """Return what the person signed, as the contract hashes it to the id."""
    granted = yield from chain.events(ledger, events.Granted, (authorization,))
    if not granted:
        raise NotVoidableError(f"{to_hex(authorization)} is not in a final block")
    return granted[0].terms
