"""Names that a person would take for another's.

A sentence shows one half of a name in each language, while contracts compare whole names: to them
"City Bank" and "假银行 / City Bank" are two names, and to who reads English one. So tools refuse a name of
which a half is another's, or looks like an id. It is the tools of the data bureau and the departments that
do: what these put on chain past their tools nobody refuses (SECURITY.md).
"""

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from ledger.chain.events import (
    DatasetRegistered,
    DatasetWithdrawn,
    Event,
    PartyAdmitted,
    PartyWithdrawn,
)
from ledger.crypto.statement import name_halves
from ledger.errors import LedgerError
from ledger.hexstr import from_hex
from ledger.jsonio import UNREADABLE
from wallet.client import chain
from wallet.client.datasets import ask_catalogue, ask_parties
from wallet.client.errors import ClientError, ErrorKind
from wallet.client.party import ChainAccess
from wallet.client.retry import with_retries

_LIKE_AN_ID: Final = re.compile(r"0x[0-9a-f]{4}", re.IGNORECASE)


def require_distinct(name: str, others: Iterable[str]) -> str:
    """Return a name if nobody would take it for another, or for an id.

    Args:
        name: as on chain: "中文 / English", or one for both languages.
        others: names of other parties, of other datasets, or of the other fields.

    Raises:
        ClientError (AMBIGUOUS_NAME): somebody would.
    """
    halves = {_folded(half): half for half in name_halves(name)}
    for half in halves.values():
        if _LIKE_AN_ID.search(half):
            raise ClientError(f"{half!r} holds what looks like an id", ErrorKind.AMBIGUOUS_NAME)
    for other in others:
        for half in map(_folded, name_halves(other)):
            if half in halves:
                raise ClientError(
                    f"{halves[half]!r} is already a name, or half of one: {other!r}",
                    ErrorKind.AMBIGUOUS_NAME,
                )
    return name


def require_distinct_fields(names: Iterable[str]) -> None:
    """Check that a person who reads the names of some fields of a dataset knows each from the others.

    Raises:
        ClientError (AMBIGUOUS_NAME): not.
    """
    before: list[str] = []
    for name in names:
        before.append(require_distinct(name, before))


async def require_free_name(ledger: ChainAccess, party: bytes, name: str) -> None:
    """Check a party's name against those of all others that are admitted, by the own node or the gateway.

    One that was withdrawn asks for nothing any more, and its successor may be called like it in one language.

    Raises:
        ClientError (AMBIGUOUS_NAME): it is, or half of it is, another's.
    """
    if ledger.own_node:
        admitted = await chain.events(ledger, PartyAdmitted)
        withdrawn = await chain.events(ledger, PartyWithdrawn)
        newest = {event.party: event for event in admitted}
        ended = {event.party: _place(event) for event in withdrawn}
        names = {
            address: event.title
            for address, event in newest.items()
            if _place(event) > ended.get(address, (-1, -1))
        }
    else:
        parties = await with_retries(ask_parties())
        names = {from_hex(each.address): each.name for each in parties if each.active}
    require_distinct(name, [other for address, other in names.items() if address != party])


async def require_free_title(ledger: ChainAccess, dataset: bytes, title: str) -> None:
    """Check a dataset's title against those of all others that are not withdrawn.

    Raises:
        ClientError (AMBIGUOUS_NAME): it is, or half of it is, another's.
    """
    if ledger.own_node:
        registered = await chain.events(ledger, DatasetRegistered)
        withdrawn = await chain.events(ledger, DatasetWithdrawn)
        gone = {event.dataset for event in withdrawn} | {dataset}
        others = [event.terms.title for event in registered if event.dataset not in gone]
    else:
        others = _titles((await with_retries(ask_catalogue())), dataset)
    require_distinct(title, others)


class _Entry(msgspec.Struct, rename={"dataset": "dct:identifier", "title": "dct:title"}):
    dataset: str
    title: str


class _Catalogue(msgspec.Struct, rename={"datasets": "dcat:dataset"}):
    datasets: tuple[_Entry, ...]


def _titles(catalogue: bytes, dataset: bytes) -> list[str]:
    try:
        entries = msgspec.json.decode(catalogue, type=_Catalogue).datasets
        return [entry.title for entry in entries if from_hex(entry.dataset, 32) != dataset]
    except (*UNREADABLE, LedgerError) as error:
        raise ClientError(f"the catalogue is none: {error}") from error


def _place(event: Event) -> tuple[int, int]:
    return event.block.number, event.log_index


def _folded(half: str) -> str:
    return " ".join(half.casefold().split())
