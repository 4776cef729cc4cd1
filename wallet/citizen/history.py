"""Looking back over all of a person's ids: what waits, what was granted, who used it, who looked."""

from collections.abc import Sequence
from typing import Final

from ledger import events
from ledger.hexes import to_hex
from wallet.client import chain
from wallet.client.asks import Asked, my_inbox
from wallet.client.identity import Lookup, my_lookups
from wallet.client.relays import Granted, HistoryEntry, my_authorizations, my_history
from wallet.client.signers import SubjectSigner, asking
from wallet.client.steps import Steps
from wallet.client.transactions import Ledger

_MOST_PAGES: Final = 1000


def inbox(signers: Sequence[SubjectSigner]) -> Steps[tuple[Asked, ...]]:
    """Return what waits for any of the ids, the newest first."""
    found: dict[str, Asked] = {}
    for signer in signers:
        for asked in (yield from asking(signer, my_inbox())):
            found[asked.request] = asked
    return tuple(sorted(found.values(), key=lambda asked: -asked.created_at))


def authorizations(signers: Sequence[SubjectSigner]) -> Steps[tuple[Granted, ...]]:
    """Return what any of the ids granted, the newest first."""
    found: dict[str, Granted] = {}
    for signer in signers:
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            page = yield from asking(signer, my_authorizations(cursor))
            found |= {one.id: one for one in (*page.authorizations, *page.elsewhere)}
            cursor = page.cursor
            if cursor is None:
                break
    return tuple(sorted(found.values(), key=lambda one: -one.at))


def history(signers: Sequence[SubjectSigner]) -> Steps[tuple[HistoryEntry, ...]]:
    """Return what happened around any of the ids, the newest first."""
    found: list[HistoryEntry] = []
    for signer in signers:
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            page = yield from asking(signer, my_history(cursor))
            found += [entry for entry in page.entries if entry not in found]
            cursor = page.cursor
            if cursor is None:
                break
    return tuple(sorted(found, key=lambda entry: (-entry.at, -entry.sequence)))


def left_out(
    ledger: Ledger, subjects: Sequence[bytes], shown: Sequence[Granted]
) -> Steps[tuple[bytes, ...]]:
    """Return the authorizations of some subjects that are on chain and were not shown.

    Args:
        ledger: the contracts, with a node of one's own.
        subjects: the person's ids.
        shown: what a gateway showed.
    """
    known = {one.id for one in shown}
    missing = []
    for subject in subjects:
        granted = yield from chain.events(ledger, events.Granted, (None, subject))
        missing += [
            event.authorization for event in granted if to_hex(event.authorization) not in known
        ]
    return tuple(missing)


def lookups(signers: Sequence[SubjectSigner]) -> Steps[tuple[Lookup, ...]]:
    """Return who looked the person up, the newest first; any of the ids sees all."""
    found: dict[int, Lookup] = {}
    for signer in signers[:1]:
        before: int | None = None
        for _ in range(_MOST_PAGES):
            page = yield from asking(signer, my_lookups(before))
            found |= {one.id: one for one in page.lookups}
            before = page.next
            if before is None:
                break
    return tuple(sorted(found.values(), key=lambda one: -one.at))
