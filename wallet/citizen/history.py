"""Looking back over all of a person's ids: what waits, what was granted, who used it, who looked."""

from collections.abc import Sequence
from typing import Final

from ledger import events, views
from ledger.events import GrantTerms
from ledger.hexes import to_hex
from ledger.views import GrantState
from wallet.client import chain
from wallet.client.asks import Asked, my_inbox
from wallet.client.identity import Lookup, my_lookups
from wallet.client.relays import Granted, HistoryEntry, my_authorizations, my_history
from wallet.client.signers import SubjectSigner, asking
from wallet.client.steps import look
from wallet.client.transactions import Ledger

_MOST_PAGES: Final = 1000


async def inbox(signers: Sequence[SubjectSigner]) -> tuple[Asked, ...]:
    """Return what waits for any of the ids, the newest first."""
    found: dict[str, Asked] = {}
    for signer in signers:
        for asked in await asking(signer, my_inbox()):
            found[asked.request] = asked
    return tuple(sorted(found.values(), key=lambda asked: -asked.created_at))


async def authorizations(signers: Sequence[SubjectSigner]) -> tuple[Granted, ...]:
    """Return what any of the ids granted, the newest first."""
    found: dict[str, Granted] = {}
    for signer in signers:
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            page = await asking(signer, my_authorizations(cursor))
            found |= {one.id: one for one in (*page.authorizations, *page.elsewhere)}
            cursor = page.cursor
            if cursor is None:
                break
    return tuple(sorted(found.values(), key=lambda one: -one.at))


async def history(signers: Sequence[SubjectSigner]) -> tuple[HistoryEntry, ...]:
    """Return what happened around any of the ids, the newest first."""
    found: list[HistoryEntry] = []
    for signer in signers:
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            page = await asking(signer, my_history(cursor))
            found += [entry for entry in page.entries if entry not in found]
            cursor = page.cursor
            if cursor is None:
                break
    return tuple(sorted(found, key=lambda entry: (-entry.at, -entry.sequence)))


async def contradictions(
    ledger: Ledger, subjects: Sequence[bytes], shown: Sequence[Granted]
) -> tuple[str, ...]:
    """Return where a gateway tells of some subjects' authorizations otherwise than the chain.

    Args:
        ledger: the contracts, with a node of one's own.
        subjects: the person's ids.
        shown: what a gateway showed.
    """
    told = {one.id: one for one in shown}
    problems = []
    for subject in subjects:
        granted = await chain.events(ledger, events.Granted, (None, subject))
        ended = await chain.events(ledger, events.Revoked, (None, subject))
        revoked = {event.authorization for event in ended}
        for event in granted:
            name = to_hex(event.authorization)
            one = told.pop(name, None)
            if one is None:
                problems.append(f"the gateway leaves out {name}, which is on chain")
                continue
            state = await look(views.grant_of(ledger.deployment.contracts, event.authorization))
            wrong = _differing(one, event.terms, state, revoked=event.authorization in revoked)
            if wrong:
                problems.append(
                    f"the gateway tells of {name} another thing than the chain: {wrong}"
                )
    problems += [f"the gateway tells of {name}, which is not on chain" for name in told]
    return tuple(problems)


def _differing(one: Granted, terms: GrantTerms, state: GrantState, *, revoked: bool) -> str:
    """Return the names of what is not as on chain."""
    pairs: dict[str, tuple[object, object]] = {
        "subject": (one.subject, to_hex(terms.subject)),
        "consumer": (one.consumer, to_hex(terms.consumer)),
        "dataset": (one.dataset, to_hex(terms.dataset)),
        "purpose": (one.purpose, to_hex(terms.purpose)),
        "fields": (one.fields, str(terms.fields)),
        "expires_at": (one.expires_at, terms.expires_at),
        "max_uses": (one.max_uses, terms.max_uses),
        "min_interval": (one.min_interval, terms.min_interval),
        "uses": (one.uses, terms.max_uses - state.uses_left),
        "revoked": (one.revoked, revoked),
        "halted": (one.halted, state.halted),
    }
    return ", ".join(name for name, (here, there) in pairs.items() if here != there)


async def lookups(signers: Sequence[SubjectSigner]) -> tuple[Lookup, ...]:
    """Return who looked the person up, the newest first; any of the ids sees all."""
    found: dict[int, Lookup] = {}
    for signer in signers[:1]:
        before: int | None = None
        for _ in range(_MOST_PAGES):
            page = await asking(signer, my_lookups(before))
            found |= {one.id: one for one in page.lookups}
            before = page.next
            if before is None:
                break
    return tuple(sorted(found.values(), key=lambda one: -one.at))
