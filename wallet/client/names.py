"""Whether a name is free: names of parties and datasets against all others that are on chain (`wallet.names`)."""

import msgspec

from ledger.chain.events import (
    DatasetRegistered,
    DatasetWithdrawn,
    Event,
    PartyAdmitted,
    PartyWithdrawn,
)
from ledger.errors import LedgerError
from ledger.hexstr import from_hex
from ledger.jsonio import UNREADABLE
from wallet.client import chain
from wallet.client.datasets import ask_catalogue, ask_parties
from wallet.client.errors import ClientError
from wallet.client.party import ChainAccess
from wallet.client.retry import with_retries
from wallet.names import require_distinct


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
