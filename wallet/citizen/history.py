"""Looking back over all of a person's ids: what waits, what was granted, who used it, who looked."""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from ledger.api.identity import LookupAnswer
from ledger.api.supervision import AuthorizationShown, HistoryEntry
from ledger.chain import contract_reads, events
from ledger.chain.contract_reads import GrantState
from ledger.chain.events import GrantTerms
from ledger.hexstr import to_hex
from wallet.client import chain
from wallet.client.calls import HttpCall, look
from wallet.client.consent_requests import Asked, my_inbox
from wallet.client.identity import my_lookups
from wallet.client.party import ChainAccess
from wallet.client.relays import my_authorizations, my_history
from wallet.client.signers import SubjectSigner, asking

_MAX_PAGES: Final = 1000

C = TypeVar("C")
P = TypeVar("P")


async def inbox(signers: Sequence[SubjectSigner]) -> tuple[Asked, ...]:
    """Return what waits for any of the ids, the newest first."""
    waiting = {
        asked.request: asked for signer in signers for asked in await asking(signer, my_inbox())
    }
    return tuple(sorted(waiting.values(), key=lambda asked: -asked.created_at))


async def authorizations(signers: Sequence[SubjectSigner]) -> tuple[AuthorizationShown, ...]:
    """Return what any of the ids granted, the newest first."""
    granted: dict[str, AuthorizationShown] = {}
    for signer in signers:
        for page in await _pages(signer, my_authorizations, lambda page: page.cursor):
            granted |= {each.id: each for each in (*page.authorizations, *page.elsewhere)}
    return tuple(sorted(granted.values(), key=lambda each: -each.at))


async def history(signers: Sequence[SubjectSigner]) -> tuple[HistoryEntry, ...]:
    """Return what happened around any of the ids, the newest first."""
    entries: list[HistoryEntry] = []
    for signer in signers:
        for page in await _pages(signer, my_history, lambda page: page.cursor):
            entries += [entry for entry in page.entries if entry not in entries]
    return tuple(sorted(entries, key=lambda entry: (-entry.at, -entry.sequence)))


async def lookups(signers: Sequence[SubjectSigner]) -> tuple[LookupAnswer, ...]:
    """Return who looked the person up, the newest first; any of the ids sees all."""
    seen: dict[int, LookupAnswer] = {}
    for signer in signers[:1]:
        for page in await _pages(signer, my_lookups, lambda page: page.next):
            seen |= {each.id: each for each in page.lookups}
    return tuple(sorted(seen.values(), key=lambda each: -each.at))


async def _pages(
    signer: SubjectSigner,
    ask: Callable[[C | None], HttpCall[P]],
    following: Callable[[P], C | None],
) -> list[P]:
    pages: list[P] = []
    cursor: C | None = None
    while len(pages) < _MAX_PAGES:
        pages.append(await asking(signer, ask(cursor)))
        cursor = following(pages[-1])
        if cursor is None:
            break
    return pages


async def contradictions(
    ledger: ChainAccess, subjects: Sequence[bytes], shown: Sequence[AuthorizationShown]
) -> tuple[str, ...]:
    """Return where a gateway tells of some subjects' authorizations otherwise than the chain.

    Args:
        ledger: the contracts, with a node of one's own.
        subjects: the person's ids.
        shown: what a gateway showed.
    """
    left = {each.id: each for each in shown}
    problems = []
    for subject in subjects:
        granted = await chain.events(ledger, events.Granted, (None, subject))
        ended = await chain.events(ledger, events.Revoked, (None, subject))
        revoked = {event.authorization for event in ended}
        for event in granted:
            name = to_hex(event.authorization)
            entry = left.pop(name, None)
            if entry is None:
                problems.append(f"the gateway leaves out {name}, which is on chain")
                continue
            state = await look(
                contract_reads.grant_of(ledger.deployment.contracts, event.authorization)
            )
            wrong = _differing(entry, event.terms, state, revoked=event.authorization in revoked)
            if wrong:
                problems.append(
                    f"the gateway tells of {name} another thing than the chain: {wrong}"
                )
    problems += [f"the gateway tells of {name}, which is not on chain" for name in left]
    return tuple(problems)


def _differing(
    entry: AuthorizationShown, terms: GrantTerms, state: GrantState, *, revoked: bool
) -> str:
    """Return the names of what is not as on chain."""
    pairs: dict[str, tuple[object, object]] = {
        "subject": (entry.subject, to_hex(terms.subject)),
        "consumer": (entry.consumer, to_hex(terms.consumer)),
        "dataset": (entry.dataset, to_hex(terms.dataset)),
        "purpose": (entry.purpose, to_hex(terms.purpose)),
        "fields": (entry.fields, str(terms.fields)),
        "expires_at": (entry.expires_at, terms.expires_at),
        "max_uses": (entry.max_uses, terms.max_uses),
        "min_interval": (entry.min_interval, terms.min_interval),
        "uses": (entry.uses, terms.max_uses - state.uses_left),
        "revoked": (entry.revoked, revoked),
        "halted": (entry.halted, state.halted),
    }
    return ", ".join(name for name, (here, there) in pairs.items() if here != there)
