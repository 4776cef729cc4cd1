"""Giving a use back: what replay and the journals show is sent, and nothing else."""

from collections.abc import Iterable, Sequence
from typing import Final

from ledger.chain import contract_calls, events
from ledger.hexstr import to_hex
from ledger.replay import Voidable
from wallet.client import chain
from wallet.client.errors import RefusedError
from wallet.client.party import PartyKey
from wallet.client.transactions import Ledger, Mined, transact
from wallet.errors import NotVoidableError

EVERY_ACCESS: Final = range(1, 1 << 48)
"""For `Replay.finish`: whatever may be given back."""

_OVERTAKEN: Final = frozenset(("UsedSince", "AlreadyRevoked", "AlreadyVoided", "NothingToVoid", ""))
"""Refusals of what was right when it was replayed; without a name when it was overtaken in its own block."""


def choose(found: Iterable[Voidable], wanted: Sequence[int]) -> tuple[Voidable, ...]:
    """Return what replay found of the accesses that are wanted, in the order in which it goes.

    Raises:
        NotVoidableError: one of them may not be given back, as far as the journals show.
    """
    chosen = tuple(found)
    missing = set(wanted) - {use.sequence for use in chosen}
    if missing:
        numbers = ", ".join(map(str, sorted(missing)))
        raise NotVoidableError(
            f"access {numbers}: no use that can be given back, as far as these journals show"
        )
    return chosen


async def give_back(ledger: Ledger, key: PartyKey, use: Voidable, reason: str) -> Mined:
    """Give one use back.

    Raises:
        NotVoidableError: the authorization was used or revoked since the replay, or another regulator was
            first; others may still be given back.
    """
    # The contract hashes what the person signed to the authorization's id.
    granted = await chain.events(ledger, events.Granted, (use.authorization,))
    if not granted:
        raise NotVoidableError(f"{to_hex(use.authorization)} is not in a final block")
    terms = granted[0].terms
    call = contract_calls.void_access(
        use.sequence, terms, use.before, use.last_use, use.ground, reason
    )
    try:
        return await transact(ledger, key, call)
    except RefusedError as error:
        if error.error not in _OVERTAKEN:
            raise
        raise NotVoidableError(f"access {use.sequence}: {error}") from error
